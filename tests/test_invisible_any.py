"""Any application, right or wrong, behaves as without us: scripts of messages and exceptions, bare and wrapped."""

import asyncio
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asgi_rota_sentry import RotaSentryMiddleware, Settings
from tests.conftest import MemoryTransport
from tests.wire import Wire, http, websocket

Sentry = Callable[..., MemoryTransport]

MOST = 7  # steps of an application
STATUSES = [200, 204, 301, 403, 404, 500, 503, 600]
HEADERS: list[Any] = [
    [],
    [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"9")],
    [[b"Set-Cookie", b"session=abc; Path=/"], [b"x", b"y"]],
    ((b"content-type", b"text/event-stream"),),
    [(b"trailer", b"x-sum")],
]
BODIES: list[Any] = [b"", b"Not Found", b"Not", b" Found", b"Internal Server Error", bytearray(b"page")]
LARGE = st.builds(bytes, st.just(70_000))  # more than is ever held
ODD: list[Any] = [
    *({"type": kind} for kind in ("http.response.trailers", "http.response.push", "http.response.debug", "x.y")),
    *({"type": kind} for kind in (None, 7, ["x"], "websocket.send", "websocket.accept", "websocket.close")),
    {"type": "http.response.pathsend", "path": "/srv/x"},
    {"type": "http.response.zerocopysend", "file": 3, "more_body": True},
    {"type": "websocket.close", "code": 4000, "reason": "x"},
    {"type": "websocket.http.response.start", "status": 404, "headers": []},
    {},
    None,
    "text",
]


def messages(kind: str, **fields: Any) -> st.SearchStrategy[Any]:
    """Messages of this type, each with some of these fields."""
    return st.fixed_dictionaries({"type": st.just(kind)}, optional=fields)  # type: ignore[arg-type]


def scripts() -> st.SearchStrategy[list[Any]]:
    """What an application does, one after the other: sends messages, receives, raises; and what of it it catches."""
    starts = messages(
        "http.response.start",
        status=st.sampled_from(STATUSES),
        headers=st.sampled_from(HEADERS),
        trailers=st.booleans(),
    )
    bodies = messages("http.response.body", body=st.sampled_from(BODIES) | LARGE, more_body=st.booleans())
    raised = st.sampled_from([ValueError, OSError, asyncio.TimeoutError, SystemExit, KeyboardInterrupt])
    step = starts | bodies | bodies | st.sampled_from(ODD) | st.just("receive") | raised
    return st.lists(st.tuples(step, st.booleans()), max_size=MOST)


def played(script: list[tuple[Any, bool]]) -> Any:
    """The application of a script."""

    async def app(scope: Any, receive: Any, send: Any) -> str:
        async def take(step: Any) -> None:
            if step == "receive":
                scope["wire"].note(await receive())
            elif isinstance(step, type):
                raise step("the application's own")
            else:
                await send(dict(step) if isinstance(step, dict) else step)

        for step, catches in script:
            try:
                await take(step)
            except Exception as exc:
                scope["wire"].note(type(exc).__name__)
                if not catches:
                    raise
        return "result"

    return app


def scopes() -> st.SearchStrategy[Any]:
    """Requests and handshakes, whole and with what servers leave out."""
    cookies = [(b"host", b"rota.example"), (b"cookie", b"session=abc"), (b"content-length", b"6")]
    requests = st.builds(http, st.sampled_from(["GET", "HEAD", "POST", "X"]), st.sampled_from(["/", "/\xff", ""]))
    with_cookies = requests.map(lambda scope: {**scope, "headers": cookies})
    without = st.sampled_from(["headers", "method", "client", "server", "root_path", "query_string"])
    lacking = st.builds(lambda scope, name: {key: scope[key] for key in scope if key != name}, requests, without)
    return requests | with_cookies | lacking | st.builds(websocket)


def incoming(scope: Any) -> list[Any]:
    """What the server has to give."""
    if scope["type"] == "websocket":
        return [{"type": "websocket.connect"}, *[{"type": "websocket.disconnect", "code": 1001}] * MOST]
    return [{"type": "http.request", "body": b"abcdef"}, *[{"type": "http.disconnect"}] * MOST]


def compare(script: list[tuple[Any, bool]], scope: Any, gone_at: int, pages: str) -> None:
    """Serve it twice."""
    app = played(script)

    async def log_of(served: Any) -> list[Any]:
        return (await Wire(incoming(scope), gone_at=gone_at).run(served, scope)).log

    wrapped = RotaSentryMiddleware(app, Settings(pages=pages))
    assert asyncio.run(log_of(wrapped)) == asyncio.run(log_of(app))


EASY = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
GONE_AT = st.sampled_from([-1, -1, 0, 1, 2])


@EASY
@given(script=scripts(), scope=scopes(), gone_at=GONE_AT)
def test_without_pages_nothing_differs(sentry: Sentry, script: Any, scope: Any, gone_at: int) -> None:
    """Message by message, in order and in time, with what it returns, raises and catches."""
    sentry(pages="never")
    compare(script, scope, gone_at, "never")


@EASY
@given(script=scripts(), scope=scopes(), gone_at=GONE_AT)
def test_with_pages_nothing_differs_once_an_answer_began(sentry: Sentry, script: Any, scope: Any, gone_at: int) -> None:
    """One that is no error: whatever comes after it, no page may."""
    sentry()
    compare([({"type": "http.response.start", "status": 200}, False), *script], scope, gone_at, "bare")
