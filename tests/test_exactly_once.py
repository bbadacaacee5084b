"""One exception is one event, however many layers see it; two exceptions are two."""

import asyncio
import contextlib
import contextvars
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
import sentry_sdk
from autobahn.exception import Disconnected
from django.core.exceptions import RequestAborted
from fastapi import FastAPI
from litestar import Litestar, get
from litestar.exceptions import LitestarException
from litestar.response import Stream
from sentry_sdk.integrations.asgi import SentryAsgiMiddleware
from sentry_sdk.integrations.litestar import SentryLitestarASGIMiddleware
from sentry_sdk.integrations.logging import LoggingIntegration
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.websockets import WebSocketDisconnect

from asgi_rota_sentry import RotaSentryMiddleware, counters
from tests.conftest import HAS_TRANSACTIONS, Get, MemoryTransport, is_cancelled
from tests.wire import Ended, Wire, http, websocket

pytestmark = pytest.mark.anyio

Sentry = Callable[..., MemoryTransport]
Stack = Callable[[Any], Any]


async def broken(request: Request) -> Response:
    return PlainTextResponse(str(int("abc")))


def broken_sync(request: Request) -> Response:
    return PlainTextResponse(str(int("abc")))


async def logs_and_raises(request: Request) -> Response:
    try:
        int("abc")
    except ValueError:
        logging.getLogger("rota").exception("It failed")
        raise
    return Response()


async def captures_and_raises(request: Request) -> Response:
    try:
        int("abc")
    except ValueError as exc:
        sentry_sdk.capture_exception(exc)
        raise
    return Response()


async def in_a_group(request: Request) -> Response:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(anyio.to_thread.run_sync, int, "abc")
    return Response()


async def from_a_group(request: Request) -> Response:
    try:
        await in_a_group(request)
    except ExceptionGroup as group:
        sentry_sdk.capture_exception(group)
        raise group.exceptions[0]  # as libraries do
    return Response()


async def in_the_background(request: Request) -> Response:
    return PlainTextResponse("fine", background=BackgroundTask(int, "abc"))


async def in_a_stream(request: Request) -> Response:
    async def chunks() -> Any:
        yield b"1"
        yield str(int("abc"))

    return StreamingResponse(chunks())


async def onward(request: Request, call_next: Any) -> Any:
    return await call_next(request)


VIEWS = {
    view.__name__: view
    for view in (broken, broken_sync, logs_and_raises, captures_and_raises, in_a_group, from_a_group)
} | {view.__name__: view for view in (in_the_background, in_a_stream)}


def starlette(*middleware: Middleware) -> Starlette:
    return Starlette(routes=[Route(f"/{name}", view) for name, view in VIEWS.items()], middleware=middleware)


def fastapi() -> FastAPI:
    app = FastAPI()
    for name, view in VIEWS.items():
        app.add_route(f"/{name}", view)
    return app


def mounted_fastapi() -> Any:
    outer = FastAPI()
    outer.add_middleware(BaseHTTPMiddleware, dispatch=onward)
    inner = fastapi()
    inner.add_middleware(BaseHTTPMiddleware, dispatch=onward)
    outer.mount("/", inner)
    return outer


STACKS: dict[str, Callable[[], Any]] = {
    "around Starlette": lambda: RotaSentryMiddleware(starlette()),
    "inside Starlette": lambda: starlette(Middleware(RotaSentryMiddleware)),
    "between two Starlettes": lambda: Starlette(routes=[Mount("/", RotaSentryMiddleware(starlette()))]),
    "applied twice": lambda: RotaSentryMiddleware(RotaSentryMiddleware(starlette())),
    "inside and around": lambda: RotaSentryMiddleware(starlette(Middleware(RotaSentryMiddleware))),
    "around FastAPI": lambda: RotaSentryMiddleware(fastapi()),
    "mounted FastAPI with BaseHTTPMiddleware": lambda: RotaSentryMiddleware(mounted_fastapi()),
    "BaseHTTPMiddleware inside": lambda: RotaSentryMiddleware(
        starlette(Middleware(BaseHTTPMiddleware, dispatch=onward))
    ),
    "inside BaseHTTPMiddleware": lambda: starlette(
        Middleware(BaseHTTPMiddleware, dispatch=onward), Middleware(RotaSentryMiddleware)
    ),
    "the SDK's layer inside": lambda: RotaSentryMiddleware(SentryAsgiMiddleware(starlette())),
    "the SDK's layer outside": lambda: SentryAsgiMiddleware(RotaSentryMiddleware(starlette())),
    "the SDK's layer on both sides": lambda: SentryAsgiMiddleware(
        RotaSentryMiddleware(SentryAsgiMiddleware(starlette()))
    ),
}


async def serve_as_uvicorn(app: Any, path: str) -> Wire:
    """One request; what is raised is logged with its traceback, and nobody sees it any more."""
    wire = Wire([{"type": "http.request"}])
    try:
        await app(http(path=path), wire.receive, wire.send)
    except BaseException:
        logging.getLogger("uvicorn.error").exception("Exception in ASGI application")
    return wire


@pytest.mark.parametrize("stack", STACKS)
async def test_one_exception_is_one_event(sentry: Sentry, stack: str) -> None:
    """Raised, logged by the application or the server, captured by hand, in a group, in the background, in a stream."""
    server = sentry()
    app = STACKS[stack]()
    counts = {}
    for name in VIEWS:
        server.envelopes.clear()
        await serve_as_uvicorn(app, f"/{name}")
        counts[name] = len(server.events), len(server.spans)
    assert counts == dict.fromkeys(VIEWS, (1, 1))


async def test_what_is_known_is_not_begun_again(sentry: Sentry) -> None:
    """By no layer and no server's log: nothing is told as lost, and the server's words are nobody's breadcrumbs."""
    # In 3.x neither events nor breadcrumbs are made of the log unless it is told so.
    levels = {} if HAS_TRANSACTIONS else {"event_level": logging.ERROR, "breadcrumb_level": logging.INFO}
    server = sentry(errors_per_minute=1, options={"integrations": [LoggingIntegration(**levels)]})
    app = STACKS["around Starlette"]()
    with sentry_sdk.isolation_scope():
        for _ in range(3):
            await serve_as_uvicorn(app, "/broken")
        try:
            await app(http(path="/broken"), Wire([{"type": "http.request"}]).receive, Wire().send)
        except ValueError:
            logging.getLogger("theirs").exception("And again")
        logging.getLogger("uvicorn.error").error("Another line")
        sentry_sdk.capture_message("later")
    sentry_sdk.flush()
    assert server.lost == []
    crumbs = [crumb["message"] for crumb in server.events[-1]["breadcrumbs"]["values"]]
    assert crumbs == ["And again", "Another line"]


def _log(exc: BaseException) -> None:
    logging.getLogger("theirs").error("Here it is", exc_info=exc)


def _failing(raised: list[BaseException]) -> RotaSentryMiddleware:
    """Fails at `/broken`, and logs what was raised there everywhere else."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/broken":
            try:
                int("abc")
            except ValueError as exc:
                raised.append(exc)
                raise
        _log(raised[0])

    return RotaSentryMiddleware(app)


@pytest.mark.skipif(not HAS_TRANSACTIONS, reason="sentry-sdk 3.x marks the exception itself as seen")
async def test_an_exception_that_another_request_logs_is_news_there(sentry: Sentry) -> None:
    """What one request has dealt with another has not, however soon it is."""
    server = sentry(options={"integrations": [LoggingIntegration(event_level=logging.ERROR)]})
    app = _failing([])
    for path in ("/broken", "/other"):
        async with anyio.create_task_group() as tasks:  # a context for each, as servers have it
            tasks.start_soon(Wire().run, app, http(path=path))
    assert [event.get("logger") for event in server.events] == [None, "theirs"]
    assert server.events[1]["tags"]["http.url"] == "/other"


@pytest.mark.skipif(not HAS_TRANSACTIONS, reason="sentry-sdk 3.x marks the exception itself as seen")
async def test_what_a_request_has_dealt_with_is_news_again_a_while_later(
    sentry: Sentry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job of the application's own may fail with it: only a server's late words are none."""
    moments = [1_000.0]
    monkeypatch.setattr("asgi_rota_sentry.sdk.settled.time", SimpleNamespace(monotonic=lambda: moments[-1]))
    server = sentry(options={"integrations": [LoggingIntegration(event_level=logging.ERROR)]})
    raised: list[BaseException] = []
    await Wire().run(_failing(raised), http(path="/broken"))
    for later, events in ((1_009.0, 1), (1_011.0, 2)):
        moments.append(later)
        contextvars.Context().run(_log, raised[0])
        assert len(server.events) == events


async def test_a_record_with_anything_for_its_exception_is_no_fault(
    sentry: Sentry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the SDK's to make something of; who has logged it hears nothing."""
    sentry(options={"integrations": [LoggingIntegration(event_level=logging.ERROR)]})
    await Wire().run(_failing([]), http(path="/broken"))
    logger = logging.getLogger("uvicorn.theirs")
    monkeypatch.setattr(logger, "propagate", False)
    monkeypatch.setattr(logger, "handlers", [logging.NullHandler()])
    logger.error("Here it is", exc_info=(1,))


def _log_as_daphne(exc: Exception) -> None:
    logging.getLogger("daphne.server").error("Exception inside application: %s", exc, exc_info=exc)


def _log_as_granian(exc: Exception) -> None:
    try:
        raise exc
    except Exception:
        logging.getLogger("_granian.utils").error("Application callable raised an exception")  # noqa: TRY400 - as text


@pytest.mark.parametrize("log", [_log_as_daphne, _log_as_granian])
async def test_a_server_that_logs_it_later_makes_no_second_event(
    sentry: Sentry, fetch: Get, log: Callable[[Exception], None]
) -> None:
    """From a timer where nothing is known of the request, or as mere text; what no request reported is an event."""
    server = sentry(options={"integrations": [LoggingIntegration(event_level=logging.ERROR)]})
    raised: list[Exception] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            int("abc")
        except ValueError as exc:
            raised.append(exc)
            raise

    await fetch(RotaSentryMiddleware(app), "/")
    contextvars.Context().run(log, raised[0])
    assert len(server.events) == 1
    contextvars.Context().run(log, ValueError("of the server's own"))
    assert len(server.events) == 2


async def test_a_stream_of_litestar_s_that_fails_is_one_event(sentry: Sentry) -> None:
    """Each of its layers raises it anew, and the SDK's, which its integration puts between them, sees it, too."""
    server = sentry()

    async def lines() -> Any:
        yield b"one"
        raise ValueError("midway")

    @get("/")
    async def view() -> Stream:
        return Stream(lines())

    app: Any = Litestar([view], middleware=[SentryLitestarASGIMiddleware])
    with pytest.raises(LitestarException):
        await RotaSentryMiddleware(app)(http(), Wire([{"type": "http.request"}]).receive, Wire().send)
    assert len(server.events) == 1


async def test_an_error_of_litestar_s_kind_that_is_another_is_an_event(sentry: Sentry) -> None:
    """Raised by the application from one that it has captured."""
    server = sentry()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        error = ValueError("captured")
        sentry_sdk.capture_exception(error)
        raise LitestarException("of its own") from error

    with pytest.raises(LitestarException):
        await RotaSentryMiddleware(app)(http(), Wire([{"type": "http.request"}]).receive, Wire().send)
    assert len(server.events) == 2


def _in_a_group(exc: BaseException) -> BaseException:
    """As hypercorn's task group hands it on, inside of another."""
    return BaseExceptionGroup("server", [BaseExceptionGroup("connection", [exc])])


def _out_of_its_group(exc: BaseException) -> BaseException:
    """As Starlette's `BaseHTTPMiddleware` hands it on."""
    while isinstance(exc, BaseExceptionGroup):
        exc = exc.exceptions[0]
    return exc


RAISED: dict[str, Callable[[], BaseException]] = {
    "alone": lambda: ValueError("error"),
    "in a group": lambda: ExceptionGroup("tasks", [ValueError("error")]),
    "with what ends the process": lambda: BaseExceptionGroup("tasks", [ValueError("error"), Ended("the end")]),
    "only what ends the process": lambda: Ended("the end"),
}


@pytest.mark.parametrize("hand_on", [_in_a_group, _out_of_its_group])
@pytest.mark.parametrize("raised", RAISED)
async def test_a_layer_around_that_groups_it_or_takes_it_out_of_its_group_makes_no_second_event(
    sentry: Sentry, raised: str, hand_on: Callable[[BaseException], BaseException]
) -> None:
    """The server logs what comes out of that; what else has got into the group is an event."""
    server = sentry(options={"integrations": [LoggingIntegration(event_level=logging.ERROR)]})

    def log(exc: BaseException) -> None:
        logging.getLogger("asyncio").error("Unhandled exception", exc_info=exc)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise RAISED[raised]()

    try:
        await RotaSentryMiddleware(app)(http(), Wire([{"type": "http.request"}]).receive, Wire().send)
    except BaseException as exc:
        handed_on = hand_on(exc)
    contextvars.Context().run(log, handed_on)
    expected = int(raised != "only what ends the process")
    assert len(server.events) == expected
    contextvars.Context().run(log, BaseExceptionGroup("server", [handed_on, OSError("of the server's own")]))
    assert len(server.events) == expected + 1


async def test_two_exceptions_are_two_events(sentry: Sentry, fetch: Get) -> None:
    """Also of the same type, from the same line, one after the other in one request; and in a group both in one."""
    server = sentry()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        errors = [ValueError(number) for number in range(3)]
        sentry_sdk.capture_exception(errors[0])
        sentry_sdk.capture_exception(errors[1])
        sentry_sdk.capture_exception(errors[0])
        raise ExceptionGroup("both", errors[1:])

    await fetch(RotaSentryMiddleware(app), "/")
    values = [[value["value"] for value in event["exception"]["values"]] for event in server.events]
    assert values[:2] == [["0"], ["1"]]
    assert len(values) == 3
    assert {"1", "2"} < set(values[2])


@pytest.mark.parametrize("stack", ["around Starlette", "mounted FastAPI with BaseHTTPMiddleware", "raw"])
async def test_the_same_exception_object_in_each_request_is_an_event_each_time(sentry: Sentry, stack: str) -> None:
    """A module-level exception that is raised again and again."""
    server = sentry()
    error = ValueError("the one and only")

    async def raises(request: Request) -> Response:
        raise error

    async def raw(scope: Any, receive: Any, send: Any) -> None:
        raise error

    inner = Starlette(routes=[Route("/", raises)])
    outer = FastAPI()
    outer.add_middleware(BaseHTTPMiddleware, dispatch=onward)
    outer.mount("/", inner)
    apps = {"around Starlette": inner, "mounted FastAPI with BaseHTTPMiddleware": outer, "raw": raw}
    for _ in range(3):
        await serve_as_uvicorn(RotaSentryMiddleware(apps[stack]), "/")
    assert len(server.events) == 3


async def test_what_was_dropped_is_not_marked_as_seen_for_ever(sentry: Sentry, fetch: Get) -> None:
    """An exception that `before_send` dropped in one request is an event in the next, if it is let pass there."""
    lets_pass: list[bool] = []
    server = sentry(options={"before_send": lambda event, hint: event if lets_pass else None})
    error = ValueError("the one and only")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise error

    await fetch(RotaSentryMiddleware(app), "/")
    lets_pass.append(True)
    await fetch(RotaSentryMiddleware(app), "/")
    assert len(server.events) == 1


GONE: dict[str, Callable[[], BaseException]] = {
    "ClientDisconnect": ClientDisconnect,
    "WebSocketDisconnect": lambda: WebSocketDisconnect(1001),
    "RequestAborted": RequestAborted,
    "asyncio's cancellation": asyncio.CancelledError,
    "in a group": lambda: ExceptionGroup("tasks", [ClientDisconnect(), ClientDisconnect()]),
    "cancellations in a group": lambda: BaseExceptionGroup("tasks", [asyncio.CancelledError(), ClientDisconnect()]),
}
SCOPES = {"http": http, "websocket": websocket}


@pytest.mark.parametrize("protocol", SCOPES)
@pytest.mark.parametrize("kind", GONE)
async def test_a_client_that_leaves_is_no_event_but_counted(sentry: Sentry, kind: str, protocol: str) -> None:
    """However the framework says so; the span is no failure but cancelled."""
    server = sentry()
    before = counters.counts().get("requests.cancelled", 0)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise GONE[kind]()

    wire = Wire()
    with pytest.raises(BaseException):  # noqa: B017,PT011 - any of them
        await RotaSentryMiddleware(app)(SCOPES[protocol](), wire.receive, wire.send)
    assert (server.events, wire.sent) == ([], [])
    assert [(span["failed"], is_cancelled(span)) for span in server.spans] == [(False, True)]
    assert counters.counts()["requests.cancelled"] == before + 1


class _Lines:
    """Without end. No generator: one that is left in the middle would have to be closed by somebody."""

    def __aiter__(self) -> "_Lines":
        return self

    async def __anext__(self) -> str:
        await anyio.sleep(0.001)
        return "data: 1\n\n"


async def _stream(request: Request) -> Response:
    return StreamingResponse(_Lines(), media_type="text/event-stream")


async def _minds_nothing(scope: Any, receive: Any, send: Any) -> None:
    with contextlib.suppress(OSError):
        await PlainTextResponse("nobody reads it")(scope, receive, send)


async def _looks(scope: Any, receive: Any, send: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


LEFT_ALONE: dict[str, tuple[Any, str]] = {
    "Starlette's stream": (Starlette(routes=[Route("/", _stream)]), "2.3"),
    "the same, told by send": (Starlette(routes=[Route("/", _stream)]), "2.4"),
    "FastAPI's stream": (FastAPI(routes=[Route("/", _stream)]), "2.3"),
    "an answer that could not be sent": (_minds_nothing, "2.4"),
    "before the answer": (_looks, "2.3"),
}


@pytest.mark.parametrize("kind", LEFT_ALONE)
async def test_an_application_that_ends_since_its_client_left_is_cancelled(sentry: Sentry, kind: str) -> None:
    """Without a word: it has heard of it from `receive`, or has seen `send` fail, and returns."""
    server = sentry()
    before = counters.counts().get("requests.cancelled", 0)
    app, spec = LEFT_ALONE[kind]
    told = [{"type": "http.request"}, *([{"type": "http.disconnect"}] if spec == "2.3" else [])]
    await Wire(told, gone_at=1 if spec == "2.4" else -1).run(
        RotaSentryMiddleware(app), http(asgi={"version": "3.0", "spec_version": spec})
    )
    assert server.events == []
    assert [(span["failed"], is_cancelled(span)) for span in server.spans] == [(False, True)]
    assert counters.counts()["requests.cancelled"] == before + 1


async def test_a_client_that_leaves_with_the_answer_has_had_it(sentry: Sentry) -> None:
    """Its leaving after the last byte, which servers tell by the same message, cancels nothing."""
    server = sentry()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await PlainTextResponse("ok")(scope, receive, send)
        assert (await receive())["type"] == "http.disconnect"

    await Wire([{"type": "http.request"}, {"type": "http.disconnect"}]).run(RotaSentryMiddleware(app), http())
    assert [(span["failed"], is_cancelled(span)) for span in server.spans] == [(False, False)]


@pytest.mark.parametrize("gone_at", [0, 1])
async def test_a_client_that_leaves_while_its_error_is_answered_is_nobody_s_fault(
    sentry: Sentry, gone_at: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The application's exception is the one event, and the one that the server gets; ours is no log line."""
    server = sentry()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError("the application's own")

    wire = Wire(gone_at=gone_at)
    await wire.run(RotaSentryMiddleware(app), http())
    assert len(wire.sent) == gone_at + 1
    assert [event["exception"]["values"][-1]["type"] for event in server.events] == ["ValueError"]
    assert [entry[:3] for entry in wire.log if entry[0] == "raised"] == [
        ("raised", "ValueError", "the application's own")
    ]
    assert "A fault while" not in caplog.text


@pytest.mark.parametrize("protocol", SCOPES)
async def test_a_server_that_shuts_down_cancels_the_same_way(sentry: Sentry, protocol: str) -> None:
    """A real cancellation, in the midst of an answer and of a websocket's conversation."""
    server = sentry()
    before = counters.counts().get("requests.cancelled", 0)
    starts = {
        "http": ({"type": "http.response.start", "status": 200}, {"type": "http.response.body", "more_body": True}),
        "websocket": ({"type": "websocket.accept"}, {"type": "websocket.send", "text": "hello"}),
    }

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in starts[protocol]:
            await send(message)
        await anyio.sleep_forever()

    wire = Wire(cancelled_at=1)
    await wire.run(RotaSentryMiddleware(app), SCOPES[protocol]())
    assert server.events == []
    assert [(span["failed"], is_cancelled(span)) for span in server.spans] == [(False, True)]
    assert counters.counts()["requests.cancelled"] == before + 1


async def test_what_uvicorn_logs_of_the_requests_that_it_cancels_is_no_event(sentry: Sentry) -> None:
    """It does so when it ends and they do not, in the time that it leaves them: each deployment would be errors."""
    server = sentry()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await anyio.sleep_forever()

    async with anyio.create_task_group() as requests:
        for _ in range(3):
            requests.start_soon(serve_as_uvicorn, RotaSentryMiddleware(app), "/")
        await anyio.wait_all_tasks_blocked()
        requests.cancel_scope.cancel()
    assert server.events == []
    assert [is_cancelled(span) for span in server.spans] == [True] * 3


async def test_an_error_of_the_application_s_own_is_one_though_it_looks_like_a_client_s(
    sentry: Sentry, fetch: Get
) -> None:
    """A database that is gone raises the OSError that a send would; the client is still there, and gets the page."""
    server = sentry()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise ConnectionResetError("the database is gone")

    response = await fetch(RotaSentryMiddleware(app), "/")
    assert [event["exception"]["values"][-1]["type"] for event in server.events] == ["ConnectionResetError"]
    assert response.headers["x-sentry-event-id"] == server.events[0]["event_id"]
    assert [span["failed"] for span in server.spans] == [True]


@pytest.mark.parametrize(
    ("error", "captured"),
    [(Ended("the end"), 0), (BaseExceptionGroup("mixed", [ValueError("a real one"), Ended("the end")]), 1)],
    ids=["alone", "beside an error"],
)
async def test_what_ends_the_process_is_no_error_but_hides_none(
    sentry: Sentry, error: BaseException, captured: int
) -> None:
    """SystemExit and its like make no event; an error that comes with it in a group makes one."""
    server = sentry()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise error

    with pytest.raises(BaseException) as raised:  # noqa: PT011 - it is this very one
        await RotaSentryMiddleware(app)(http(), Wire().receive, Wire().send)
    assert raised.value is error
    logging.getLogger("uvicorn.error").error("Exception in ASGI application", exc_info=error)
    assert len(server.events) == captured
    assert "ValueError" in [value["type"] for event in server.events for value in event["exception"]["values"]] or (
        not captured
    )


async def _by_anyio() -> None:
    with anyio.fail_after(0.01):
        await anyio.sleep_forever()


async def _by_asyncio() -> None:
    async with asyncio.timeout(0.01):
        await asyncio.sleep(60)


async def _by_waiting() -> None:
    await asyncio.wait_for(asyncio.sleep(60), 0.01)


@pytest.mark.parametrize("gives_up", [_by_anyio, _by_asyncio, _by_waiting])
async def test_a_timeout_of_the_application_is_an_error(
    sentry: Sentry, fetch: Get, gives_up: Callable[[], Any], anyio_backend: str
) -> None:
    """Cancelled inside, raised outside: the client is still there."""
    if anyio_backend == "trio" and gives_up is not _by_anyio:
        pytest.skip("asyncio's own")
    server = sentry()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await gives_up()

    response = await fetch(RotaSentryMiddleware(app), "/")
    assert [event["exception"]["values"][-1]["type"] for event in server.events] == ["TimeoutError"]
    assert response.headers["x-sentry-event-id"] == server.events[0]["event_id"]


_PART = {"type": "http.response.body", "body": b"x", "more_body": True}


async def _sends(send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send(_PART)


async def _in_a_group(send: Any) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_sends, send)
        tasks.start_soon(anyio.sleep_forever)


async def _beside_a_cancellation(send: Any) -> None:
    try:
        await _sends(send)
    except OSError as exc:
        raise BaseExceptionGroup("tasks", [exc, asyncio.CancelledError()]) from None


async def _wrapped(send: Any) -> None:
    try:
        await _sends(send)
    except OSError as exc:
        raise RuntimeError("the stream broke") from exc


async def _replaced(send: Any) -> None:
    try:
        await _sends(send)
    except OSError:
        raise RuntimeError("the stream broke") from None


async def _wrapped_in_a_group(send: Any) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_wrapped, send)


async def _logged(send: Any) -> None:
    try:
        await _sends(send)
    except OSError:
        logging.getLogger("rota").exception("It could not be sent")
        raise


UNSENT = (_sends, _in_a_group, _beside_a_cancellation, _wrapped, _replaced, _wrapped_in_a_group, _logged)


@pytest.mark.parametrize("stack", [RotaSentryMiddleware, lambda app: RotaSentryMiddleware(SentryAsgiMiddleware(app))])
@pytest.mark.parametrize("fails", UNSENT)
async def test_what_send_raised_is_no_event_in_whatever_it_comes(sentry: Sentry, fails: Any, stack: Stack) -> None:
    """By itself, in a group, or as what another exception was raised from; also where another layer captures it."""
    server = sentry()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await fails(send)

    await Wire(gone_at=1).run(stack(app), http())
    assert server.events == []
    assert [(span["failed"], is_cancelled(span)) for span in server.spans] == [(False, True)]


_ACCEPT = {"type": "websocket.accept"}
_CLOSE = {"type": "websocket.close", "code": 4001}
_LEFT = {"type": "websocket.disconnect", "code": 1001}
# As uvicorn and daphne tell that nothing can be sent any more: neither is an `OSError`.
_BY_UVICORN = RuntimeError, "Unexpected ASGI message 'websocket.send', after sending 'websocket.close'."
_BY_DAPHNE = Disconnected, "Attempt to send on a closed protocol"


class _ClosedSocket(Wire):
    """A websocket that takes one message, and is closed then."""

    refusal: tuple[type[Exception], str] = _BY_UVICORN

    async def send(self, message: Any) -> None:
        if len(self.sent) and message["type"] != "websocket.close":
            raise self.refusal[0](self.refusal[1])
        await super().send(message)


@pytest.mark.parametrize(("refusal", "is_told"), [(_BY_UVICORN, True), (_BY_DAPHNE, False), (_BY_DAPHNE, True)])
async def test_a_message_to_a_websocket_that_the_client_closed_is_no_event(
    sentry: Sentry, refusal: Any, *, is_told: bool
) -> None:
    """What is sent to a group may be for one who has just left, as another task is told, or nobody yet."""
    server = sentry()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(_ACCEPT)
        if is_told:
            await receive()
        await send({"type": "websocket.send", "text": "to all"})

    wire = _ClosedSocket([{"type": "websocket.connect"}, _LEFT])
    wire.refusal = refusal
    await wire.run(RotaSentryMiddleware(app), websocket())
    assert ("raised", refusal[0].__name__) == wire.log[-3][:2]
    assert server.events == []
    assert [(span["failed"], is_cancelled(span)) for span in server.spans] == [(False, True)]


@pytest.mark.parametrize("refusal", [_BY_UVICORN, _BY_DAPHNE])
async def test_a_message_after_the_application_s_own_close_is_an_error(sentry: Sentry, refusal: Any) -> None:
    """It could have known; the client's leaving that follows a close changes nothing."""
    server = sentry()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(_ACCEPT)
        await send(_CLOSE)
        await receive()
        await send({"type": "websocket.send", "text": "too late"})

    wire = _ClosedSocket([{"type": "websocket.connect"}, _LEFT])
    wire.refusal = refusal
    await wire.run(RotaSentryMiddleware(app), websocket())
    assert [event["exception"]["values"][-1]["type"] for event in server.events] == [refusal[0].__name__]


async def test_a_runtime_error_of_an_open_websocket_is_an_error(sentry: Sentry) -> None:
    """A message that the server does not know."""
    server = sentry()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(_ACCEPT)
        await send({"type": "websocket.send", "text": "odd"})

    await _ClosedSocket([{"type": "websocket.connect"}, _LEFT]).run(RotaSentryMiddleware(app), websocket())
    assert [event["exception"]["values"][-1]["type"] for event in server.events] == ["RuntimeError"]


async def _refused() -> None:
    raise ConnectionRefusedError("the database is down")


@pytest.mark.parametrize("fails", [_refused, _by_asyncio, _by_anyio])
async def test_an_error_after_the_client_left_is_the_application_s_own(
    sentry: Sentry, fails: Callable[[], Any], anyio_backend: str
) -> None:
    """It minds no client that leaves, and goes on: its OSError, as a timeout is one, did not come from `send`."""
    if anyio_backend == "trio" and fails is _by_asyncio:
        pytest.skip("asyncio's own")
    server = sentry()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        with contextlib.suppress(OSError):
            await _sends(send)
        await fails()

    await Wire(gone_at=1).run(RotaSentryMiddleware(app), http())
    assert [event["exception"]["values"][-1]["type"] for event in server.events] == [
        "ConnectionRefusedError" if fails is _refused else "TimeoutError"
    ]
    assert [(span["failed"], is_cancelled(span)) for span in server.spans] == [(True, False)]


async def test_an_error_in_the_handling_of_a_client_that_left_is_the_application_s_own(sentry: Sentry) -> None:
    """What is raised from nothing, while the client's leaving is handled, is a fault of the handling."""
    server = sentry()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await _sends(send)
        except OSError:
            int("abc")

    await Wire(gone_at=1).run(RotaSentryMiddleware(app), http())
    assert [event["exception"]["values"][-1]["type"] for event in server.events] == ["ValueError"]
    assert [span["failed"] for span in server.spans] == [True]


_DJANGO = Path(__file__).with_name("django_once.py")


@pytest.mark.parametrize("lifecycle", ["static", "stream"])
def test_django_s_handlers_make_one_event_each(lifecycle: str) -> None:
    """Sync and async views and middleware, streams, templates, logged by Django itself: in a process of its own.

    A client that leaves makes none, and its span is cancelled.
    """
    done = subprocess.run(
        [sys.executable, "-W", "error", str(_DJANGO), lifecycle],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stderr == ""
    lines = dict(line.split(": ") for line in done.stdout.splitlines())
    left = {name: lines.pop(name) for name in ("slow_view", "endless_view")}
    assert left == dict.fromkeys(left, "0 events, cancelled [True]")
    assert lines == dict.fromkeys(lines, "1 event, 1 span, ID on the page")
    assert len(lines) == 7


def falcon_app() -> Any:
    import falcon.asgi

    class Shift:
        async def on_get(self, req: Any, resp: Any) -> None:
            int("abc")

        async def on_post(self, req: Any, resp: Any) -> None:
            logging.getLogger("falcon").exception("A field is odd", exc_info=ValueError("it is mended"))
            resp.status = 202

    app = falcon.asgi.App()
    app.add_route("/shift", Shift())
    return app


def blacksheep_app() -> Any:
    from blacksheep import Application, Response
    from blacksheep.server.routing import Router

    router = Router()
    app = Application(router=router)

    @router.get("/shift")
    async def fails() -> None:
        int("abc")

    @router.post("/shift")
    async def goes_well() -> Any:
        app.logger.error("A field is odd", exc_info=ValueError("it is mended"))
        return Response(202)

    asyncio.run(app.start())
    return app


@pytest.mark.parametrize("makes_events", [True, False], ids=["logged as events", "logged as nothing"])
@pytest.mark.parametrize("pages", ["bare", "never"])
@pytest.mark.parametrize("framework", [falcon_app, blacksheep_app])
def test_what_a_framework_answers_itself_and_only_logs_is_one_event(
    sentry: Sentry, fetch: Get, framework: Any, pages: str, *, makes_events: bool
) -> None:
    """The SDK has no integration for them, and the page has the event's ID; what a good request logs is nothing."""
    integration = LoggingIntegration(event_level=logging.ERROR if makes_events else None)
    server = sentry({"integrations": [integration]}, pages=pages)
    app = RotaSentryMiddleware(framework())
    for _ in range(2):
        server.envelopes.clear()
        answer = asyncio.run(fetch(app, "/shift"))
        (event,) = server.events
        assert event["exception"]["values"][-1]["type"] == "ValueError"
        assert (answer.status_code, event["transaction"]) == (500, "/shift")
        assert answer.headers.get("x-sentry-event-id") == (event["event_id"] if pages == "bare" else None)
    server.envelopes.clear()
    assert asyncio.run(fetch(app, "/shift", "POST")).status_code == 202
    assert len(server.events) == (1 if makes_events else 0)
