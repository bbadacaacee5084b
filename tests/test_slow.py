"""Slow requests are told, sampled or not, once a minute for each route."""

import logging
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route, Router, WebSocketRoute
from starlette.websockets import WebSocket

from asgi_rota_sentry import RotaSentryMiddleware, Settings
from tests.conftest import Get, MemoryTransport
from tests.wire import Wire, http, websocket

pytestmark = pytest.mark.anyio


async def slow(request: Request) -> Response:
    await anyio.sleep(0.6)
    return PlainTextResponse("at last")


async def stream(request: Request) -> Response:
    async def chunks() -> Any:
        yield b"first"
        await anyio.sleep(0.6)
        yield b"last"

    return StreamingResponse(chunks())


@pytest.mark.parametrize("rate", [1.0, 0.0], ids=["sampled", "unsampled"])
async def test_a_slow_route_is_told_once(
    sentry: Callable[..., MemoryTransport], fetch: Get, caplog: pytest.LogCaptureFixture, rate: float
) -> None:
    """A warning of its own kind by route, the tag `slow` and a log line; a stream is as slow as its first byte."""
    server = sentry(traces_sample_rate=rate, slow_request_seconds=0.5)
    app = RotaSentryMiddleware(Starlette(routes=[Route("/slow/{shift}", slow), Route("/stream", stream)]))
    for path in ("/slow/1", "/slow/2", "/stream"):
        assert (await fetch(app, path)).status_code == 200
    (event,) = server.events
    assert (event["level"], event["transaction"]) == ("warning", "/slow/{shift}")
    assert event["fingerprint"] == ["asgi_rota_sentry", "slow", "GET", "/slow/{shift}"]
    assert event["tags"]["slow"] == "true"
    assert event["contexts"]["slow_request"]["seconds"] >= 0.5
    told = [record for record in caplog.records if record.name == "asgi_rota_sentry"]
    assert [(record.levelno, "GET /slow/{shift}" in record.getMessage()) for record in told] == [
        (logging.WARNING, True)
    ]
    if rate:
        tags = {span["name"]: span["payload"] for span in server.spans}
        assert "slow" in str(tags["/slow/{shift}"].get("tags") or tags["/slow/{shift}"].get("attributes"))


async def test_each_route_may_have_a_limit_of_its_own(sentry: Callable[..., MemoryTransport], fetch: Get) -> None:
    """By path, whole or up to a `*`, or by route template, mounted or not; the first that fits counts."""
    limits = {"/never/*": 60, "/slow/{shift}": 0.5, "/{tenant}/slow/{shift}": 0.5, "/late": 0.5}
    server = sentry()
    routes = [Route("/slow/{shift}", slow)]
    names = ("/late", "/later", "/nevermore", "/usual")
    inner = Starlette(routes=[*routes, *(Route(name, slow) for name in names), Mount("/{tenant}", routes=routes)])
    fewer = RotaSentryMiddleware(inner, Settings(slow_request_seconds=50, slow_request_routes=limits))
    more = RotaSentryMiddleware(inner, Settings(slow_request_seconds=0.5, slow_request_routes="/late=60,/never/*=60"))
    async with anyio.create_task_group() as tasks:
        for path in ("/slow/1", "/acme/slow/1", "/never/slow/1", "/usual"):
            tasks.start_soon(fetch, fewer, path)
        for path in ("/never/slow/1", *names):
            tasks.start_soon(fetch, more, path)
    told = sorted(event["transaction"] for event in server.events)
    assert told == ["/later", "/nevermore", "/slow/{shift}", "/usual", "/{tenant}/slow/{shift}"]


async def test_a_websocket_is_as_slow_as_its_handshake(sentry: Callable[..., MemoryTransport]) -> None:
    """How long it is open after that does not count."""

    async def late(socket: WebSocket) -> None:
        await anyio.sleep(0.6)
        await socket.accept()

    async def long(socket: WebSocket) -> None:
        await socket.accept()
        await anyio.sleep(0.6)

    server = sentry(slow_request_seconds=0.5)
    app = RotaSentryMiddleware(Starlette(routes=[WebSocketRoute("/late", late), WebSocketRoute("/long", long)]))
    async with anyio.create_task_group() as tasks:
        for path in ("/late", "/long"):
            tasks.start_soon(Wire([{"type": "websocket.connect"}]).run, app, websocket(path))
    assert [event["transaction"] for event in server.events] == ["/late"]


async def never(scope: Any, receive: Any, send: Any) -> None:
    """Take more than half a second, and end without an answer, each path in its own way."""
    await anyio.sleep(0.6)
    if scope["path"] == "/hangs/":
        scope["wire"].stop()
        await anyio.sleep_forever()
    elif scope["path"] == "/left/":
        while (await receive())["type"] != "http.disconnect":
            """Wait for the client to leave."""
    else:
        raise ValueError("hours")


@pytest.mark.parametrize("rate", [1.0, 0.0], ids=["sampled", "unsampled"])
async def test_a_request_that_is_never_answered_is_slow_by_its_end(
    sentry: Callable[..., MemoryTransport], rate: float
) -> None:
    """Whether it raises, is cancelled or given up; one whose client leaves at once is not slow."""
    server = sentry(traces_sample_rate=rate, slow_request_seconds=0.5, pages="never")
    ways = ("/hangs", "/left", "/fails", "/live")
    app = RotaSentryMiddleware(Router([Mount(way, never) for way in ways]))
    leaving = [{"type": "http.request"}, {"type": "http.disconnect"}]
    async with anyio.create_task_group() as tasks:
        for way in ways[:3]:
            tasks.start_soon(Wire(leaving).run, app, http(path=f"{way}/"))
        tasks.start_soon(Wire().run, app, websocket("/live/"))
    told = sorted(event["message"] for event in server.events if "slow_request" in event["contexts"])
    assert told == sorted(f"Slow request: GET {way}/{{path}}" for way in ways)
    tags = [span["payload"].get("tags") or span["payload"]["attributes"] for span in server.spans]
    assert ["slow" in told for told in tags] == [True] * 4 * int(rate)

    async def leaves(scope: Any, receive: Any, send: Any) -> None:
        await receive()

    server.envelopes.clear()
    for early in (http(path="/early/"), websocket("/early/")):
        await Wire(leaving).run(RotaSentryMiddleware(leaves), early)
    assert server.events == []


async def test_slow_requests_without_a_route_are_told_as_one(
    sentry: Callable[..., MemoryTransport], caplog: pytest.LogCaptureFixture
) -> None:
    """One warning a minute and one issue for each method, those that a client invents together; its URL is in it.

    On one line of the log, whatever path the client sends.
    """
    server = sentry(traces_sample_rate=0.0, slow_request_seconds=0.5, pages="never")
    app = RotaSentryMiddleware(never)
    async with anyio.create_task_group() as tasks:
        for number in range(20):
            for method in ("GET", "POST", f"LIST{number}"):
                tasks.start_soon(Wire().run, app, http(method, f"/items/{number}\nERROR"))
    told = {event["message"]: event for event in server.events if "slow_request" in event["contexts"]}
    assert sorted(told) == [f"Slow request: {method} (no route)" for method in ("GET", "OTHER", "POST")]
    event = told["Slow request: GET (no route)"]
    assert event["fingerprint"] == ["asgi_rota_sentry", "slow", "GET", "(no route)"]
    assert event["request"]["url"].startswith("http://rota.example/items/")
    lines = [record.getMessage() for record in caplog.records if "Slow request" in record.getMessage()]
    assert (len(lines), sum("GET /items/" in line for line in lines)) == (3, 1)
    assert all(len(line.splitlines()) == 1 for line in lines)


async def test_what_is_not_found_is_told_with_its_method_once(
    sentry: Callable[..., MemoryTransport], fetch: Get, caplog: pytest.LogCaptureFixture
) -> None:
    """The method is in the name of such a request."""
    server = sentry(slow_request_seconds=1e-9)
    await fetch(RotaSentryMiddleware(Starlette()), "/nowhere")
    (line,) = [record.getMessage() for record in caplog.records if "Slow request" in record.getMessage()]
    assert line.startswith("Slow request: GET 404 took ")
    assert [event["message"] for event in server.events] == ["Slow request: GET 404"]


async def test_the_log_tells_milliseconds_where_they_matter(
    sentry: Callable[..., MemoryTransport], fetch: Get, caplog: pytest.LogCaptureFixture
) -> None:
    """A route with a limit of some milliseconds is not said to have taken none."""

    async def brief(request: Request) -> Response:
        await anyio.sleep(0.02)
        return PlainTextResponse("soon")

    sentry(slow_request_routes={"/search/": 0.01})
    await fetch(RotaSentryMiddleware(Starlette(routes=[Route("/search/", brief)])), "/search/")
    (line,) = [record.getMessage() for record in caplog.records if "Slow request" in record.getMessage()]
    assert line.startswith("Slow request: GET /search/ took ")
    assert "took 0.0 s" not in line
