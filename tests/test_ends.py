"""When a request's span ends: websockets with their close code, and the work that goes on in the background."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import anyio
import pytest
import sentry_sdk
from fastapi import BackgroundTasks, FastAPI
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from asgi_rota_sentry import RotaSentryMiddleware, counters
from asgi_rota_sentry.sdk.client import HAS_TRANSACTIONS
from tests.conftest import Get, MemoryTransport, is_cancelled, ran_on_for_long, when
from tests.wire import Wire, http, websocket

pytestmark = pytest.mark.anyio

Sentry = Callable[..., MemoryTransport]


def data_of(span: dict[str, Any]) -> dict[str, Any]:
    payload = span["payload"]
    if "attributes" in payload:
        return {name: attribute["value"] for name, attribute in payload["attributes"].items()}
    return dict(payload["contexts"]["trace"].get("data") or {})


def id_of(span: dict[str, Any]) -> str:
    payload = span["payload"]
    return str(payload["span_id"] if "attributes" in payload else payload["contexts"]["trace"]["span_id"])


def children_of(span: dict[str, Any], server: MemoryTransport) -> list[dict[str, Any]]:
    """The spans inside of a transaction, or a segment."""
    payload = span["payload"]
    if "attributes" not in payload:
        return list(payload["spans"])
    found = [item for batch in server.items("span") for item in batch["items"] if not item["is_segment"]]
    return [item for item in found if item["attributes"]["sentry.segment.id"]["value"] == payload["span_id"]]


def name_of(child: dict[str, Any]) -> str:
    return str(child.get("name") or child["description"])


async def served(socket: WebSocket) -> None:
    await socket.accept()
    await socket.close(4001)


async def left(socket: WebSocket) -> None:
    await socket.accept()
    try:
        await socket.receive_text()
    except WebSocketDisconnect:
        await anyio.sleep(0.02)


async def rejected(socket: WebSocket) -> None:
    await socket.close(4003)


SOCKETS = [WebSocketRoute(f"/{view.__name__}", view) for view in (served, left, rejected)]
SOCKETS.append(WebSocketRoute("/lost", left))


async def test_a_websocket_s_span_ends_at_its_close_with_the_code(sentry: Sentry) -> None:
    """Whichever side closed it; one that was never accepted has none, its status is 403."""
    server = sentry()
    app = RotaSentryMiddleware(Starlette(routes=SOCKETS))
    codes, ends, statuses = {}, {}, {}
    for path in ("/served", "/left", "/rejected", "/lost"):
        server.envelopes.clear()
        end = {"type": "websocket.disconnect", "code": 1001}
        if path == "/lost":
            del end["code"]  # as the ASGI specification allows for "no code received"
        wire = Wire([{"type": "websocket.connect"}, end])
        await wire.run(app, websocket(path))
        ends[path] = time.time()
        (span,) = server.spans
        codes[path] = data_of(span).get("websocket.close_code")
        statuses[path] = span["tags"]["http.status_code"]
        ends[path] -= when(span)[1]
        assert span["op"] == "websocket.server"
    assert codes == {"/served": 4001, "/left": 1001, "/rejected": None, "/lost": 1005}
    assert statuses == {"/served": "101", "/left": "101", "/rejected": "403", "/lost": "101"}
    assert ends["/left"] >= 0.019


@pytest.mark.parametrize("status", [200, 503])
async def test_who_leaves_after_the_whole_answer_has_left_nothing(sentry: Sentry, status: int) -> None:
    """Applications wait for the client to go when all is sent; that cancels neither the request nor its count."""
    server = sentry()
    before = counters.counts().get("requests.cancelled", 0)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await JSONResponse({"own": "answer"}, status)(scope, receive, send)
        await receive()

    await Wire([{"type": "http.disconnect"}]).run(RotaSentryMiddleware(app), http())
    (span,) = server.spans
    assert not is_cancelled(span)
    assert span["tags"]["http.status_code"] == str(status)
    assert counters.counts().get("requests.cancelled", 0) == before


async def test_an_answer_with_trailers_ends_with_the_last_of_them(sentry: Sentry) -> None:
    """Not with the body before them, nor with what runs on after them."""
    server = sentry()
    at: list[float] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [], "trailers": True})
        await send({"type": "http.response.body", "body": b"fine"})
        await send({"type": "http.response.trailers", "headers": [(b"x", b"1")], "more_trailers": True})
        await anyio.sleep(0.002)
        at.append(time.time())
        await send({"type": "http.response.trailers", "headers": [(b"y", b"1")]})
        await anyio.sleep(0.3)
        at.append(time.time())

    await Wire().run(RotaSentryMiddleware(app), http())
    (span,) = server.spans
    assert at[0] - 0.0005 <= when(span)[1] < at[1] - 0.25


@pytest.mark.parametrize("fails", [False, True], ids=["fine", "fails"])
async def test_background_work_has_a_span_of_its_own(sentry: Sentry, fetch: Get, *, fails: bool) -> None:
    """It begins where the request's ends, in the same trace and below it; its error is an event of the same trace."""
    server = sentry()
    app = FastAPI()

    async def work() -> None:
        await anyio.sleep(0.26)
        if fails:
            int("abc")

    @app.get("/items/{number}")
    async def item(number: int, tasks: BackgroundTasks) -> int:
        tasks.add_task(work)
        return number

    assert (await fetch(RotaSentryMiddleware(app), "/items/3")).status_code == 200
    request, background = sorted(server.all_spans, key=when)
    assert (request["name"], request["op"], request["failed"]) == ("/items/{number}", "http.server", False)
    assert (background["name"], background["op"]) == ("/items/{number} (background)", "task.background")
    assert (background["source"], background["failed"]) == ("custom", fails)
    assert (background["trace_id"], background["parent_span_id"]) == (request["trace_id"], id_of(request))
    assert when(background)[0] == pytest.approx(when(request)[1], abs=0.001)
    assert when(background)[1] - when(background)[0] >= 0.25
    assert [event["contexts"]["trace"]["trace_id"] for event in server.events] == [request["trace_id"]] * fails


async def halfway() -> AsyncIterator[str]:
    """A body that fails midway."""
    yield "half"
    raise ValueError("midway")


async def through(request: Request, call_next: RequestResponseEndpoint) -> Response:
    """Hand the request through."""
    return await call_next(request)


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("what", ["a stream", "background work"])
async def test_a_stream_that_fails_behind_a_base_http_middleware_fails_the_request(
    sentry: Sentry, fetch: Get, what: str, depth: int
) -> None:
    """Which ends the answer before it raises; background work that fails at once fails no request there either."""
    server = sentry()

    async def view(request: Request) -> Response:
        if what == "a stream":
            return StreamingResponse(halfway())
        return JSONResponse({}, background=BackgroundTask(int, "abc"))

    layers = [Middleware(BaseHTTPMiddleware, dispatch=through)] * depth
    app = RotaSentryMiddleware(Starlette(routes=[Route("/", view)], middleware=layers))
    assert (await fetch(app, "/")).text == ("half" if what == "a stream" else "{}")
    (span,) = server.all_spans
    assert (span["name"], span["failed"], span["tags"]["http.status_code"]) == ("/", what == "a stream", "200")
    assert len(server.events) == 1


@pytest.mark.parametrize("rate", [1.0, None])
async def test_who_leaves_a_stream_behind_a_base_http_middleware_has_cancelled_the_request(
    sentry: Sentry, rate: float | None
) -> None:
    """Which ends the answer that the stream has given up; with tracing off, too, it is counted."""
    server = sentry(options={"traces_sample_rate": rate})
    before = counters.counts().get("requests.cancelled", 0)

    async def endless() -> AsyncIterator[str]:
        while True:
            yield "more"
            await anyio.sleep(0.01)

    async def view(request: Request) -> Response:
        return StreamingResponse(endless())

    layers = [Middleware(BaseHTTPMiddleware, dispatch=through)]
    app = RotaSentryMiddleware(Starlette(routes=[Route("/", view)], middleware=layers))
    scope = http(asgi={"version": "3.0", "spec_version": "2.3"})  # as uvicorn's, where a stream listens for the client
    wire = await Wire([{"type": "http.request"}, {"type": "http.disconnect"}]).run(app, scope)
    assert wire.sent[-1] == {"type": "http.response.body", "body": b"", "more_body": False}
    assert [(is_cancelled(span), span["failed"]) for span in server.all_spans] == [(True, False)] * (rate is not None)
    assert server.events == []
    assert counters.counts()["requests.cancelled"] == before + 1


@pytest.mark.parametrize("last", [b"", b"end"])
async def test_the_making_of_an_event_is_no_background_work(sentry: Sentry, fetch: Get, last: bytes) -> None:
    """However long it takes: what runs on ends with the exception."""
    server = sentry(options={"before_send": lambda event, hint: time.sleep(0.26) or event})

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": last})
        raise ValueError("at once")

    await fetch(RotaSentryMiddleware(app), "/")
    assert [span["name"] for span in server.all_spans] == ["/"]
    assert len(server.events) == 1


async def test_what_the_background_work_does_is_in_its_span(sentry: Sentry, fetch: Get, lifecycle: str) -> None:
    """The spans of a transaction's; where spans are streamed they are sent by themselves, below the request's."""
    server = sentry()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"fine"})
        with start("SELECT 1"):
            await anyio.sleep(0.26)

    await fetch(RotaSentryMiddleware(app), "/items/3")
    spans = {span["name"]: span for span in server.all_spans}
    background = spans["/items/3 (background)"]
    (child,) = children_of(background, server)
    assert (name_of(child), child["parent_span_id"]) == ("SELECT 1", id_of(background))
    assert children_of(spans["/items/3"], server) == []
    if lifecycle == "static":
        assert background["payload"]["contexts"]["breakdown"]["db.count"] == 1
    else:
        assert child["attributes"]["sentry.segment.name"]["value"] == "/items/3 (background)"


async def test_spans_of_short_background_work_are_not_lost(sentry: Sentry, fetch: Get) -> None:
    """Though what takes no time, and has no spans, has none of its own."""
    server = sentry()

    async def work() -> None:
        with start("save"):
            pass

    async def view(request: Request) -> Response:
        return JSONResponse({}, background=BackgroundTask(work))

    await fetch(RotaSentryMiddleware(Starlette(routes=[Route("/", view)])), "/")
    request, background = sorted(server.all_spans, key=when)
    assert (background["name"], background["op"]) == ("/ (background)", "task.background")
    assert (background["trace_id"], background["parent_span_id"]) == (request["trace_id"], id_of(request))
    assert when(request)[1] <= when(background)[0]
    assert [name_of(span) for span in children_of(background, server)] == ["save"]
    assert children_of(request, server) == []


@pytest.mark.parametrize("where", ["here", "a thread"])
async def test_what_is_nested_in_background_work_stays_so(sentry: Sentry, fetch: Get, where: str) -> None:
    """Only the outermost hangs under the span for the background; what began before the answer hangs where it did."""
    server = sentry()

    def work() -> None:
        with start("outer"), start("inner"):
            pass

    async def app(scope: Any, receive: Any, send: Any) -> None:
        with start("around"):
            await JSONResponse({})(scope, receive, send)
        if where == "here":
            work()
        else:
            await anyio.to_thread.run_sync(work)

    await fetch(RotaSentryMiddleware(app), "/")
    request, background = sorted(server.all_spans, key=when)
    assert [name_of(span) for span in children_of(request, server)] == ["around"]
    below = {name_of(span): span for span in children_of(background, server)}
    assert set(below) == {"outer", "inner"}
    assert below["outer"]["parent_span_id"] == id_of(background)
    assert below["inner"]["parent_span_id"] == below["outer"]["span_id"]


async def test_no_span_hangs_under_one_that_the_sampler_refuses(sentry: Sentry, fetch: Get, lifecycle: str) -> None:
    """It is asked where spans are streamed: what began in the background is then left where it was."""

    def sampler(context: Any) -> float:
        return 0.0 if "(background)" in context["transaction_context"]["name"] else 1.0

    server = sentry(options={"traces_sampler": sampler})

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await JSONResponse({})(scope, receive, send)
        with start("save"):
            pass

    await fetch(RotaSentryMiddleware(app), "/")
    if lifecycle == "stream":
        (request,) = server.all_spans
        assert [name_of(span) for span in children_of(request, server)] == ["save"]
    else:
        assert [span["name"] for span in sorted(server.all_spans, key=when)] == ["/", "/ (background)"]


async def test_what_a_framework_does_at_the_end_is_no_background_work(sentry: Sentry, fetch: Get) -> None:
    """A middleware that listens for the client's leaving."""
    server = sentry()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await JSONResponse({})(scope, receive, send)
        with start("receive", "middleware.starlette.receive"):
            pass

    await fetch(RotaSentryMiddleware(app), "/")
    assert [span["op"] for span in server.all_spans if not ran_on_for_long(span)] == ["http.server"]


@pytest.mark.parametrize("looked_before", [True, False])
@pytest.mark.parametrize("rate", [1.0, 1e-9], ids=["sampled", "unsampled"])
async def test_background_work_tells_other_services_of_the_request_s_trace(
    sentry: Sentry, fetch: Get, *, rate: float, looked_before: bool
) -> None:
    """The trace, the decision and the baggage that the request itself told them, which a later request does not."""
    sentry(traces_sample_rate=rate)
    told: list[tuple[str, str]] = []
    app = FastAPI()

    def tell() -> None:
        told.append((sentry_sdk.get_traceparent() or "", sentry_sdk.get_baggage() or ""))

    @app.get("/")
    async def view(tasks: BackgroundTasks) -> None:
        if looked_before:
            tell()
        tasks.add_task(tell)
        tasks.add_task(tell)

    wrapped = RotaSentryMiddleware(app)
    for _ in range(20):
        told.clear()
        await fetch(wrapped, "/")
        traceparent, baggage = told[-1]
        assert traceparent.endswith("-1" if rate == 1.0 else "-0")
        assert f"sentry-sampled={str(rate == 1.0).lower()}" in baggage
        assert f"sentry-trace_id={traceparent[:32]}" in baggage
        assert set(told) == {told[-1]}
        assert sentry_sdk.get_current_scope()._span is None


async def failed_for_now(request: Request) -> Response:
    return JSONResponse({"detail": "come back later"}, 503, background=BackgroundTask(runs_on))


async def runs_on() -> None:
    with start("save"):
        await anyio.sleep(0.26)


async def saved(socket: WebSocket) -> None:
    with start("load"):
        await socket.accept()
    with suppress(WebSocketDisconnect):
        await socket.receive_text()
    await runs_on()


def start(name: str, op: str = "db") -> Any:
    options = sentry_sdk.get_client().options
    if HAS_TRANSACTIONS and options.get("trace_lifecycle") != "stream":
        return sentry_sdk.start_span(op=op, name=name)
    return sentry_sdk.traces.start_span(name=name, attributes={"sentry.op": op})


@pytest.mark.parametrize("what", ["failed", "left"])
async def test_so_has_what_follows_a_failed_answer_or_the_client_s_leaving(sentry: Sentry, what: str) -> None:
    """The request's ends with the answer, or when the client closed the websocket; what began later is not in it."""
    server = sentry()
    app = RotaSentryMiddleware(Starlette(routes=[Route("/", failed_for_now), WebSocketRoute("/", saved)]))
    if what == "failed":
        await Wire([{"type": "http.request"}]).run(app, http())
    else:
        await Wire([{"type": "websocket.connect"}, {"type": "websocket.disconnect", "code": 1001}]).run(
            app, websocket()
        )
    request, background = sorted(server.all_spans, key=when)
    assert (background["name"], background["op"]) == ("/ (background)", "task.background")
    assert (background["trace_id"], background["parent_span_id"]) == (request["trace_id"], id_of(request))
    assert when(background)[1] - when(background)[0] >= 0.25
    assert when(background)[0] == pytest.approx(when(request)[1], abs=0.001)
    assert [name_of(span) for span in children_of(request, server)] == (["load"] if what == "left" else [])
    (child,) = children_of(background, server)
    assert (name_of(child), child["parent_span_id"]) == ("save", id_of(background))


async def test_the_background_of_an_unsampled_request_is_unsampled(sentry: Sentry, fetch: Get) -> None:
    """Nothing is sent of either."""
    server = sentry(traces_sample_rate=1e-9)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"fine"})
        await anyio.sleep(0.26)

    await fetch(RotaSentryMiddleware(app), "/items/3")
    assert server.all_spans == []
