"""The applications that are measured and the request that they get: a page of a staff rota, asked for by a browser."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, BaseUser
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route

from asgi_rota_sentry.types import ASGIApp, Message, Receive, Scope, Send

Handler = Callable[[], Awaitable[None]]

BODY = b"<!doctype html><title>Shift 17</title><h1>Early shift</h1>" + b"<p>Ward 3, two nurses.</p>" * 20

HEADERS = [
    (b"host", b"rota.example.com"),
    (b"connection", b"keep-alive"),
    (b"sec-ch-ua", b'"Chromium";v="130", "Not?A_Brand";v="99"'),
    (b"sec-ch-ua-mobile", b"?0"),
    (b"upgrade-insecure-requests", b"1"),
    (
        b"user-agent",
        b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Safari/537.36",
    ),
    (b"accept", b"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"),
    (b"sec-fetch-mode", b"navigate"),
    (b"referer", b"https://rota.example.com/dashboard/"),
    (b"accept-encoding", b"gzip, deflate, br, zstd"),
    (b"accept-language", b"en-GB,en;q=0.9"),
    (b"cookie", b"sessionid=2f1c8d0b9a7e4c6f8b1d3e5a7c9e0f24; csrftoken=Zk3uT9vXw2Yb7Qm4; theme=dark"),
]

SCOPE: dict[str, Any] = {
    "type": "http",
    "asgi": {"version": "3.0", "spec_version": "2.4"},
    "http_version": "1.1",
    "server": ("10.0.0.5", 8000),
    "client": ("203.0.113.7", 51234),
    "scheme": "https",
    "method": "GET",
    "root_path": "",
    "path": "/rota/shifts/17/",
    "raw_path": b"/rota/shifts/17/",
    "query_string": b"week=2026-03&view=team",
}


class User(BaseUser):
    """The signed-in user, as a project's own user model has it."""

    id = "SCW1001"
    pk = "SCW1001"
    username = "scw1001"
    email = "scw1001@example.com"
    role = "Manager"
    is_authenticated = True
    display_name = "scw1001"
    identity = "SCW1001"


USER = User()


class SignedIn(AuthenticationBackend):
    """Knows everybody: what it costs belongs to the bare app too."""

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, BaseUser]:
        return AuthCredentials(["authenticated"]), USER


async def answer() -> None:
    """The view that has nothing to wait for."""


class ViewFailedError(Exception):
    """What the failing view raises, so that the harness lets nothing else pass."""


async def fail() -> None:
    """The view that meets bad input two calls down, as most real ones do."""
    form = {"day": "2026-03-02", "hours": "abc", "ward": "3"}
    create_shift(form)


def create_shift(form: dict[str, str]) -> dict[str, Any]:
    """The middle frame: some locals, one call."""
    day, ward = form["day"], int(form["ward"])
    return {"day": day, "ward": ward, "hours": hours_of(form)}


def hours_of(form: dict[str, str]) -> int:
    """The frame that fails, with a cause to report."""
    try:
        return int(form["hours"])
    except ValueError as error:
        raise ViewFailedError("hours is no number") from error


class Gate:
    """A view that waits while the gate is closed, for counting what a request in flight holds."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()
        self.opened.set()
        self.full = asyncio.Event()
        self._missing = 0

    def close(self, requests: int) -> None:
        """Hold whatever comes from now on; `full` is set once so many requests wait."""
        self.opened.clear()
        self.full.clear()
        self._missing = requests

    async def hold(self) -> None:
        """Wait for the gate to open."""
        self._missing -= 1
        if self._missing == 0:
            self.full.set()
        await self.opened.wait()


def raw_app(handler: Handler) -> ASGIApp:
    """A bare ASGI application that signs the user in, calls the handler and answers with HTML."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope["user"] = USER
        await handler()
        headers = [(b"content-type", b"text/html; charset=utf-8"), (b"content-length", b"%d" % len(BODY))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": BODY})

    return app


async def blunt_app(scope: Scope, receive: Receive, send: Send) -> None:
    """A bare ASGI application that fails in its only frame: of all errors the one that costs the SDK least."""
    scope["user"] = USER
    raise ViewFailedError("nothing works")


def starlette_app(handler: Handler) -> ASGIApp:
    """A Starlette application with authentication, a mount and a route with a parameter."""

    async def shift(request: Request) -> Response:
        await handler()
        return HTMLResponse(BODY)

    routes = [
        Route("/", shift),
        Mount("/rota", routes=[Route("/dashboard/", shift), Route("/shifts/{id:int}/", shift)]),
    ]
    return Starlette(routes=routes, middleware=[Middleware(AuthenticationMiddleware, backend=SignedIn())])


def fresh_scope(number: int | None = None) -> dict[str, Any]:
    """A new scope as a server makes it for each request.

    With a number it is that of another visitor on another page, every fiftieth of which does not exist.
    """
    scope = dict(SCOPE)
    headers = list(HEADERS)
    if number is not None:
        headers[-1] = (b"cookie", b"sessionid=%032x; theme=dark" % number)
        scope["client"] = (f"203.0.{number // 250 % 250}.{number % 250}", 1024 + number % 60000)
        scope["path"] = f"/rota/shifts/{number}/" if number % 50 else f"/nowhere/{number}/"
        scope["raw_path"] = scope["path"].encode()
    scope["headers"] = headers
    return scope


async def no_body() -> Message:
    """`receive` of a request without a body."""
    return {"type": "http.request", "body": b"", "more_body": False}


async def discard(message: Message) -> None:
    """`send` that throws the response away."""


async def call(app: ASGIApp, number: int | None = None) -> None:
    """One request in a task of its own, as servers run them; the failing view's error ends here, any other goes on."""
    with contextlib.suppress(ViewFailedError):
        await asyncio.get_running_loop().create_task(app(fresh_scope(number), no_body, discard))  # type: ignore[arg-type]
