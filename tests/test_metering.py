"""Requests in numbers: as Sentry metrics, by route and status class, whether sampled or not."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
import sentry_sdk
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route, Router, WebSocketRoute
from starlette.websockets import WebSocket

from asgi_rota_sentry import RotaSentryMiddleware, metering
from tests.conftest import Get, MemoryTransport, no_new_thread
from tests.django_site import site
from tests.wire import Wire, http, websocket

Sentry = Callable[..., MemoryTransport]


def sums(server: MemoryTransport) -> dict[tuple[str, str, str], int]:
    """What the metrics say: by name, route and status class."""
    metering.METERINGS.settle()
    found: dict[tuple[str, str, str], int] = {}
    for metric in (metric for batch in server.items("trace_metric") for metric in batch["items"]):
        given = {name: attribute["value"] for name, attribute in metric["attributes"].items()}
        key = (
            metric["name"].removeprefix("asgi_rota_sentry."),
            given.get("http.route", ""),
            given["http.response.status_class"],
        )
        found[key] = found.get(key, 0) + int(metric["value"])
        assert metric["type"] == "counter"
        assert not any(name.startswith("user.") for name in given)
    return found


def view(request: Request) -> Response:
    if request.path_params["what"] == "broken":
        int("abc")
    if request.path_params["what"] == "handled":
        sentry_sdk.capture_exception(ValueError())
        sentry_sdk.capture_exception(HTTPException(404))
    return PlainTextResponse("fine")


async def live(socket: WebSocket) -> None:
    await socket.accept()
    await socket.close()


@pytest.mark.parametrize("rate", [1.0, 0.0], ids=["sampled", "unsampled"])
def test_each_request_is_counted_by_route_and_status_class(sentry: Sentry, fetch: Get, rate: float) -> None:
    """Requests, errors, ignored errors, slow ones, pages served; excluded paths are not."""
    server = sentry(traces_sample_rate=rate, exclude_paths="/healthz", slow_request_seconds=1e-9, send_default_pii=True)
    routes = [Route("/view/{what}", view), WebSocketRoute("/live", live)]
    app = RotaSentryMiddleware(Starlette(routes=[*routes, Mount("/{tenant}/of", routes=routes)]))

    async def ask() -> None:
        for path in ("/view/1", "/view/2", "/acme/of/view/1", "/view/broken", "/view/handled", "/none", "/healthz"):
            await fetch(app, path)
        await Wire([{"type": "websocket.connect"}]).run(app, websocket("/live"))

    sentry_sdk.set_user({"id": "of nobody's request"})
    asyncio.run(ask())
    found = sums(server)
    assert {key: count for key, count in found.items() if key[0] != "requests.slow"} == {
        ("requests", "/view/{what}", "2xx"): 3,
        ("requests", "/view/{what}", "5xx"): 1,
        ("requests", "/{tenant}/of/view/{what}", "2xx"): 1,
        ("requests", "GET 404", "4xx"): 1,
        ("requests", "/live", "1xx"): 1,
        ("errors", "/view/{what}", "5xx"): 1,
        ("errors", "/view/{what}", "2xx"): 1,
        ("errors.ignored", "/view/{what}", "2xx"): 1,
        ("pages", "/view/{what}", "5xx"): 1,
        ("pages", "GET 404", "4xx"): 1,
    }
    assert found["requests.slow", "/view/{what}", "2xx"] == 3
    assert sums(server) == found  # handed on once


def test_what_was_not_answered_is_no_server_error_unless_the_server_had_to_answer(sentry: Sentry) -> None:
    """Cancelled, or given up by its client, it has no status; raised or returned without an answer it is a 5xx."""
    server = sentry(pages="never")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/stopped/":
            scope["wire"].stop()
        await receive()
        if scope["path"] == "/raised/":
            raise ValueError

    ways = {"/silent": "http.request", "/left": "http.disconnect", "/stopped": "", "/raised": "http.request"}
    wrapped = RotaSentryMiddleware(Router([Mount(path, app) for path in ways]))

    async def ask() -> None:
        for path, incoming in ways.items():
            await Wire([{"type": incoming}]).run(wrapped, http(path=f"{path}/"))
        await Wire([{"type": "websocket.connect"}]).run(wrapped, websocket("/left/"))

    asyncio.run(ask())
    assert {key[1:]: count for key, count in sums(server).items() if key[0] == "requests"} == {
        ("/silent/{path}", "5xx"): 1,
        ("/left/{path}", "none"): 2,
        ("/stopped/{path}", "none"): 1,
        ("/raised/{path}", "5xx"): 1,
    }


def test_django_s_requests_are_counted_by_its_routes(sentry: Sentry, fetch: Get) -> None:
    """Also unsampled, and an error that Django answers itself."""
    server = sentry(traces_sample_rate=0.0)
    app = RotaSentryMiddleware(site())
    for path in ("/loaded/fine/", "/async-loaded/raise/", "/none/"):
        asyncio.run(fetch(app, path))
    found = sums(server)
    assert found["requests", "/loaded/{way}/", "2xx"] == 1
    assert found["requests", "/async-loaded/{way}/", "5xx"] == 1
    assert found["errors", "/async-loaded/{way}/", "5xx"] == 1
    assert found["requests", "GET 404", "4xx"] == 1


def test_the_numbers_of_routes_are_bounded() -> None:
    """What is beyond the bound is counted together, nothing is lost; what was there before is counted as it was."""
    reported: list[metering.Sum] = []
    counted = metering.Metering(reported.extend)
    for number in 4 * list(range(metering.MOST_ROUTES + 50)):
        counted.note(f"/{number}", 200)
    counted.settle()
    assert len(reported) == metering.MOST_ROUTES + 1
    assert {found.counts for found in reported[:-1]} == {(4, 0, 0, 0, 0)}
    assert reported[-1] == metering.Sum(metering.OTHERS, "2xx", (200, 0, 0, 0, 0))


def test_the_numbers_are_handed_on_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a thread of their own; and again when there are new ones. A report that fails is no fault of a request.

    Where no thread could be started, it is tried again.
    """
    told = threading.Semaphore(0)
    reported: list[metering.Sum] = []

    def report(sums: list[metering.Sum]) -> None:
        reported.extend(sums)
        told.release()
        raise RuntimeError

    counted = metering.Metering(report, every=0.01)
    with no_new_thread(monkeypatch):
        counted.note("/", 204, (1,))
    for _ in range(2):
        counted.note("/", 204, (1,))
        assert told.acquire(timeout=10)
    assert reported == [metering.Sum("/", "2xx", (2, 2, 0, 0, 0)), metering.Sum("/", "2xx", (1, 1, 0, 0, 0))]


def test_counting_can_be_switched_off(sentry: Sentry, fetch: Get) -> None:
    """`metrics=False` sends none."""
    server = sentry(metrics=False)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse("fine")(scope, receive, send)

    asyncio.run(fetch(RotaSentryMiddleware(app), "/"))
    assert sums(server) == {}
