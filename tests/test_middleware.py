"""The journey of a request, seen through real apps and a real SDK client on both of its lifecycles."""

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import anyio
import pytest
import sentry_sdk
from fastapi import FastAPI
from sentry_sdk.integrations.asgi import SentryAsgiMiddleware
from sentry_sdk.scope import register_external_propagation_context, remove_external_propagation_context
from sentry_sdk.utils import event_from_exception
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket

from asgi_rota_sentry import Identity, RotaSentryMiddleware, Settings, counters, record_action
from asgi_rota_sentry.sdk.client import HAS_TRANSACTIONS
from asgi_rota_sentry.sdk.errors import RequestErrors
from tests.conftest import Get, MemoryTransport
from tests.wire import Wire, http

pytestmark = pytest.mark.anyio

Sentry = Callable[..., MemoryTransport]
MANAGER = {"id": "SCW1001", "username": "scw1001", "email": "scw1001@example.com", "role": "Manager", "theme": "dark"}


async def home(request: Request) -> Response:
    return PlainTextResponse("home")


async def broken(request: Request) -> Response:
    await request.body()
    return PlainTextResponse(str(int("abc")))


async def missing(request: Request) -> Response:
    raise HTTPException(404)


def rota(**kwargs: Any) -> Starlette:
    inner = [Route("/{shift}/", home), Route("/{shift}/broken/", broken, methods=["GET", "HEAD", "POST"])]
    return Starlette(routes=[Route("/", home), Route("/missing/", missing), Mount("/shifts", routes=inner)], **kwargs)


def signed_in(app: Any, user: Any = MANAGER) -> Any:
    async def with_user(scope: Any, receive: Any, send: Any) -> None:
        scope["user"] = user
        await app(scope, receive, send)

    return with_user


@pytest.mark.parametrize("version", ["2", "3"])
async def test_a_body_that_no_header_tells_of_is_told(sentry: Sentry, version: str) -> None:
    """HTTP/2 and HTTP/3 need no `content-length`, and have no `transfer-encoding`."""
    server = sentry()
    headers = [(b"host", b"rota.example"), (b"content-type", b"application/json")]
    parts = [{"type": "http.request", "body": b'{"day": ', "more_body": True}, {"type": "http.request", "body": b"1}"}]
    wire = Wire(parts)
    scope = http("POST", "/shifts/7/broken/", http_version=version, headers=headers)
    with pytest.raises(ValueError, match="abc"):
        await RotaSentryMiddleware(rota())(scope, wire.receive, wire.send)
    assert server.events[0]["request"]["data"] == {"day": 1}


async def test_an_error_becomes_one_event_with_who_what_and_how(sentry: Sentry, fetch: Get) -> None:
    """The whole promise in one request: exception, request, who, tags, story, environment, release."""
    server = sentry(environment="test", release="rota@1")
    app = RotaSentryMiddleware(signed_in(rota()))
    response = await fetch(
        app, "/shifts/7/broken/?week=3", "POST", json={"day": "Monday"}, headers={"referer": "/shifts/"}
    )
    (event,) = server.events
    (exception,) = event["exception"]["values"]
    assert (exception["type"], exception["mechanism"]["handled"]) == ("ValueError", False)
    assert exception["stacktrace"]["frames"][-1]["function"] == "broken"
    assert event["request"]["url"] == "http://rota.example/shifts/7/broken/"
    assert (event["request"]["method"], event["request"]["query_string"]) == ("POST", "week=3")
    assert event["request"]["data"] == {"day": "Monday"}
    assert event["user"] == {"id": "SCW1001", "role": "Manager"}
    assert event["contexts"]["preferences"]["theme"] == "dark"
    assert event["contexts"]["request"]["referrer"] == "/shifts/"
    assert event["tags"] == {
        "http.method": "POST",
        "http.url": "/shifts/7/broken/",
        "http.status_code": "500",
        "user.role": "Manager",
    }
    assert (event["transaction"], event["transaction_info"]["source"]) == ("/shifts/{shift}/broken/", "route")
    assert (event["environment"], event["release"]) == ("test", "rota@1")
    assert [(crumb["category"], crumb["message"]) for crumb in event["breadcrumbs"]["values"]] == [
        ("request", "POST /shifts/7/broken/"),
        ("request", "POST /shifts/7/broken/ (500 Internal Server Error)"),
        ("exception", "ValueError: invalid literal for int() with base 10: 'abc'"),
    ]
    assert (response.status_code, response.headers["x-sentry-event-id"]) == (500, event["event_id"])


@pytest.mark.parametrize("framing", [(b"content-length", b"17"), (b"transfer-encoding", b"chunked")])
@pytest.mark.parametrize(
    ("size", "read", "data"),
    [
        ("always", 2, {"day": "Monday"}),
        ("always", 1, '{"day": "'),
        ("always", 0, None),
        ("never", 2, None),
    ],
)
async def test_of_the_body_an_event_tells_what_the_application_has_read(
    sentry: Sentry, framing: tuple[bytes, bytes], size: str, read: int, data: Any
) -> None:
    """Without any framework's help, as far as the SDK's option `max_request_body_size` goes."""
    server = sentry(options={"max_request_body_size": size})

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for _ in range(read):
            await receive()
        raise ValueError

    parts = [{"type": "http.request", "body": part, "more_body": True} for part in (b'{"day": "', b'Monday"}')]
    scope = http("POST", headers=[(b"content-type", b"application/json"), framing])
    await Wire(parts).run(RotaSentryMiddleware(app), scope)
    (event,) = server.events
    assert event["request"].get("data") == data


async def test_each_request_makes_one_span_with_name_status_and_tags(sentry: Sentry, fetch: Get) -> None:
    """One transaction (or segment) a request, named by the route template with its mount prefix."""
    server = sentry()
    app = RotaSentryMiddleware(signed_in(rota()))
    for path in ("/shifts/7/", "/shifts/7/broken/", "/nowhere"):
        await fetch(app, path)
    spans = server.spans
    assert [(span["name"], span["source"], span["op"]) for span in spans] == [
        ("/shifts/{shift}/", "route", "http.server"),
        ("/shifts/{shift}/broken/", "route", "http.server"),
        ("GET 404", "route", "http.server"),
    ]
    assert [span["tags"]["http.status_code"] for span in spans] == ["200", "500", "404"]
    assert {span["tags"]["user.role"] for span in spans} == {"Manager"}
    assert {span["user"]["id"] for span in spans} == {"SCW1001"}
    assert [span["failed"] for span in spans][:2] == [False, True]


async def test_the_error_comes_before_its_span_and_shares_the_trace(sentry: Sentry, fetch: Get) -> None:
    """Sentry links the two by the trace ID; an incoming trace is continued."""
    server = sentry()
    trace = "1f2e3d4c5b6a79881f2e3d4c5b6a7988"
    await fetch(
        RotaSentryMiddleware(rota()), "/shifts/7/broken/", headers={"sentry-trace": f"{trace}-1234567890abcdef-1"}
    )
    order = [item.type for envelope in server.envelopes for item in envelope.items if item.type != "sessions"]
    assert order.index("event") == 0
    assert len(order) == 1 or order[1] in ("transaction", "span")
    assert server.events[0]["contexts"]["trace"]["trace_id"] == trace
    assert server.spans[0]["trace_id"] == trace
    assert server.spans[0]["parent_span_id"] == "1234567890abcdef"


@pytest.mark.parametrize("header", ["nonsense", "", "1-2-3-4", "\xff"])
async def test_a_malformed_trace_header_is_ignored(sentry: Sentry, fetch: Get, header: str) -> None:
    """The request works all the same."""
    server = sentry()
    response = await fetch(RotaSentryMiddleware(rota()), "/", headers={"sentry-trace": header.encode("latin-1")})
    assert response.status_code == 200
    assert len(server.spans) == 1


async def test_the_exception_reaches_the_server_itself_with_its_chain(sentry: Sentry) -> None:
    """The same object is raised, cause and context intact, and the app's own frames end its traceback."""
    sentry()
    cause = KeyError("cause")
    error = RuntimeError("effect")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise error from cause

    with pytest.raises(RuntimeError) as caught:
        await RotaSentryMiddleware(app)({"type": "http", "path": "/"}, _nothing, _ignore)
    assert caught.value is error
    assert error.__cause__ is cause
    assert error.__suppress_context__


async def _nothing() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _silence() -> dict[str, Any]:
    await anyio.sleep_forever()
    return {}


async def _ignore(message: Any) -> None:
    """Take a message and do nothing."""


async def talk(app: Any, path: str, *texts: str) -> list[Any]:
    """Drive a websocket application through its handshake and these texts; returns what it sent."""
    incoming = [{"type": "websocket.connect"}, *({"type": "websocket.receive", "text": text} for text in texts)]
    sent: list[Any] = []

    async def receive() -> Any:
        return incoming.pop(0) if incoming else {"type": "websocket.disconnect", "code": 1001}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "websocket", "scheme": "ws", "path": path, "headers": [(b"host", b"rota.example")]}
    await app({**scope, "query_string": b"", "subprotocols": []}, receive, send)
    return sent


STACKS: dict[str, Callable[[], Any]] = {
    "around Starlette": lambda: RotaSentryMiddleware(rota()),
    "inside Starlette": lambda: rota(middleware=[Middleware(RotaSentryMiddleware)]),
    "applied twice": lambda: RotaSentryMiddleware(RotaSentryMiddleware(rota())),
    "inside and around": lambda: RotaSentryMiddleware(rota(middleware=[Middleware(RotaSentryMiddleware)])),
    "with BaseHTTPMiddleware": lambda: RotaSentryMiddleware(
        rota(middleware=[Middleware(BaseHTTPMiddleware, dispatch=_onward)])
    ),
    "mounted twice": lambda: RotaSentryMiddleware(Starlette(routes=[Mount("/", RotaSentryMiddleware(rota()))])),
    "mounted FastAPI": lambda: RotaSentryMiddleware(_mounted_fastapi()),
}


async def _onward(request: Request, call_next: Any) -> Any:
    return await call_next(request)


def _mounted_fastapi() -> Any:
    api = FastAPI()
    api.add_middleware(BaseHTTPMiddleware, dispatch=_onward)
    api.mount("/", rota())
    return api


@pytest.mark.parametrize("stack", STACKS)
async def test_never_two_events_or_two_spans_for_one_request(sentry: Sentry, fetch: Get, stack: str) -> None:
    """However the layers are put together, the SDK's own ones included."""
    server = sentry()
    app = STACKS[stack]()
    assert (await fetch(app, "/shifts/7/")).text == "home"
    await fetch(app, "/shifts/7/broken/")
    assert len(server.events) == 1
    assert len(server.spans) == 2


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("path", ["/shifts/7/", "/shifts/7/broken/", "/nowhere/"])
async def test_without_the_sdk_the_pages_are_served_once(fetch: Get, stack: str, path: str) -> None:
    """Not initialised, no layer knows of another; the visitor sees one answer, and the server the one exception."""
    once = await fetch(STACKS["around Starlette"](), path)
    layered = await fetch(STACKS[stack](), path)
    assert (layered.status_code, layered.text) == (once.status_code, once.text)
    assert layered.headers.get_list("content-length") == once.headers.get_list("content-length")
    if "broken" in path:
        with pytest.raises(ValueError, match="invalid literal"):
            await fetch(STACKS[stack](), path, raises=True)


async def test_a_server_that_logs_the_exception_makes_no_second_event(sentry: Sentry, fetch: Get) -> None:
    """uvicorn logs what was re-raised, with `exc_info`, after the middleware is left."""
    server = sentry()
    for stack in ("around Starlette", "with BaseHTTPMiddleware"):
        try:
            await fetch(STACKS[stack](), "/shifts/7/broken/", raises=True)
        except ValueError:
            logging.getLogger("uvicorn.error").exception("Exception in ASGI application")
    assert len(server.events) == 2


async def test_the_same_exception_object_in_a_later_request_is_an_event_again(sentry: Sentry, fetch: Get) -> None:
    """Deduplication ends with the request."""
    server = sentry()
    error = ValueError("the one and only")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise error

    for _ in range(3):
        await fetch(RotaSentryMiddleware(app), "/")
    assert len(server.events) == 3


async def test_a_group_and_its_member_are_one_event(sentry: Sentry, fetch: Get) -> None:
    """A task group's exception, captured once inside and raised again as a group."""
    server = sentry()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        error = ValueError("inside")
        sentry_sdk.capture_exception(error)
        raise ExceptionGroup("outside", [error])

    await fetch(RotaSentryMiddleware(app), "/")
    assert len(server.events) == 1


async def test_the_page_shows_the_event_of_this_exception(sentry: Sentry, fetch: Get) -> None:
    """Not that of a message captured after it or before it."""
    server = sentry()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        sentry_sdk.capture_message("before", level="error")
        try:
            int("abc")
        except ValueError:
            sentry_sdk.capture_exception()
            sentry_sdk.capture_message("after", level="error")
            raise

    response = await fetch(RotaSentryMiddleware(app), "/")
    ids = {(event.get("message") or "exception"): event["event_id"] for event in server.events}
    assert response.headers["x-sentry-event-id"] == ids["exception"]
    assert len(ids) == 3


@pytest.mark.parametrize("where", ["scope", "thread"])
@pytest.mark.parametrize("is_raised", [True, False], ids=["raised", "answered"])
async def test_the_page_shows_what_was_captured_in_a_scope_of_the_applications_own(
    sentry: Sentry, fetch: Get, where: str, is_raised: bool
) -> None:
    """It opened one, or began a thread, which has one."""
    server = sentry()

    def capture(error: Exception) -> None:
        with sentry_sdk.isolation_scope():
            try:
                raise error
            except ValueError:
                sentry_sdk.capture_exception()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        error = ValueError("inside")
        if where == "thread":
            thread = threading.Thread(target=capture, args=[error])
            thread.start()
            thread.join()
        else:
            capture(error)
        if is_raised:
            raise error
        await send({"type": "http.response.start", "status": 500, "headers": []})
        await send({"type": "http.response.body"})

    response = await fetch(RotaSentryMiddleware(app), "/")
    (event,) = server.events
    assert response.headers.get("x-sentry-event-id") == event["event_id"]


async def test_what_was_captured_in_a_scope_of_the_applications_own_stands_for_the_next(
    sentry: Sentry, fetch: Get
) -> None:
    """Beyond the budget the page shows that event, as one that the request's own scope captured."""
    server = sentry(errors_per_minute=1)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        with sentry_sdk.isolation_scope():
            try:
                int("abc")
            except ValueError:
                sentry_sdk.capture_exception()
                raise

    wrapped = RotaSentryMiddleware(app)
    shown = {(await fetch(wrapped, "/")).headers.get("x-sentry-event-id") for _ in range(3)}
    (event,) = server.events
    assert shown == {event["event_id"]}


async def test_what_cannot_be_noted_of_an_event_harms_no_call_of_the_applications(
    sentry: Sentry, fetch: Get, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It captures a message, and answers as it would have without us; the event is sent."""
    server = sentry()

    def broken_note(*_: Any) -> None:
        raise RuntimeError("a fault of ours")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        sentry_sdk.capture_message("inside")
        await PlainTextResponse("fine")(scope, receive, send)

    monkeypatch.setattr(RequestErrors, "note_accepted", broken_note)
    response = await fetch(RotaSentryMiddleware(app), "/")
    assert (response.status_code, response.text) == (200, "fine")
    assert [event["message"] for event in server.events] == ["inside"]


async def test_the_page_never_shows_the_event_of_a_thread(sentry: Sentry, fetch: Get) -> None:
    """What failed in a scope of its own, and was handled, or ended a thread, is not what ended the request."""
    server = sentry()

    async def view(request: Request) -> Response:
        with sentry_sdk.isolation_scope():
            mechanism = {"type": "threading", "handled": False}
            event, hint = event_from_exception(KeyError("aside"), mechanism=mechanism)
            sentry_sdk.capture_event(event, hint=hint)
        if "raise" in request.url.query:
            raise ValueError("the request's own")
        return PlainTextResponse("Internal Server Error", 500)

    app = RotaSentryMiddleware(Starlette(routes=[Route("/", view)]))
    told, untold = [await fetch(app, f"/?{query}") for query in ("raise", "answer")]
    found = {each["event_id"]: each["exception"]["values"][-1]["value"] for each in server.events}
    assert found[told.json()["event_id"]] == "the request's own"
    assert "event_id" not in untold.json()


async def test_no_event_id_where_no_event_was_accepted(sentry: Sentry, fetch: Get) -> None:
    """A dropped exception has no ID; nor does the stale one of an outer scope appear."""
    server = sentry(options={"before_send": lambda event, hint: None if "exception" in event else event})
    sentry_sdk.capture_message("outside")
    response = await fetch(RotaSentryMiddleware(rota()), "/shifts/7/broken/")
    assert response.status_code == 500
    assert "x-sentry-event-id" not in response.headers
    assert [event["message"] for event in server.events] == ["outside"]


@pytest.mark.skipif(not HAS_TRANSACTIONS, reason="in sentry-sdk 3.x they are options alone")
async def test_the_users_hooks_are_asked_where_they_are_experiments(sentry: Sentry, fetch: Get) -> None:
    """Of logs and metrics as well, as the SDK takes them; and what they add is scrubbed."""
    asked: list[str] = []

    def hook(payload: Any, hint: Any) -> Any:
        payload["attributes"] = {**payload["attributes"], "password": "hunter22"}
        asked.append(payload.get("body") or payload["name"])
        return payload

    experiments = {"enable_logs": True, "before_send_log": hook, "before_send_metric": hook}
    server = sentry(options={"_experiments": experiments}, metrics=False)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        sentry_sdk.logger.info("a line")
        sentry_sdk.metrics.count("mails", 1)
        await PlainTextResponse("ok")(scope, receive, send)

    await fetch(RotaSentryMiddleware(app), "/")
    sent = [item for kind in ("log", "trace_metric") for batch in server.items(kind) for item in batch["items"]]
    assert asked == ["a line", "mails"]
    assert [item["attributes"]["password"]["value"] for item in sent] == ["[Filtered]"] * 2


async def test_the_users_hook_sees_the_hint_as_it_is_without_us(sentry: Sentry, fetch: Get) -> None:
    """With the exception, and nothing that is ours."""
    hints: list[Any] = []

    def before_send(event: Any, hint: Any) -> Any:
        hints.append(dict(hint))
        return event

    sentry(options={"before_send": before_send})
    await fetch(RotaSentryMiddleware(rota()), "/shifts/7/broken/")
    (hint,) = hints
    assert set(hint) == {"attachments", "exc_info"}


async def test_a_users_hook_that_raises_is_told_of(
    sentry: Sentry, fetch: Get, caplog: pytest.LogCaptureFixture
) -> None:
    """What it should have looked at does not leave, as without us; but nobody would know that each event is lost."""

    def before_send(event: Any, hint: Any) -> Any:
        raise LookupError("the hook's own")

    server = sentry({"before_send": before_send})
    answer = await fetch(RotaSentryMiddleware(rota()), "/shifts/1/broken/")
    assert answer.status_code == 500
    assert "event_id" not in answer.json()
    assert server.events == []
    (told,) = [each for each in caplog.records if each.name == "asgi_rota_sentry"]
    assert told.exc_info is not None
    assert isinstance(told.exc_info[1], LookupError)


async def test_sampling_an_error_is_drawn_once(sentry: Sentry, fetch: Get) -> None:
    """A second layer that sees the exception does not give it a second chance."""
    draws: list[int] = []

    def sampler(event: Any, hint: Any) -> float:
        draws.append(1)
        return 0.0

    server = sentry(options={"error_sampler": sampler})
    await fetch(STACKS["with BaseHTTPMiddleware"](), "/shifts/7/broken/")
    assert len(draws) == 1
    assert server.events == []


async def test_an_expected_error_makes_no_event_but_is_counted_and_logged(
    sentry: Sentry, fetch: Get, caplog: pytest.LogCaptureFixture
) -> None:
    """Also when it is logged or captured by hand, in a group, or lets the app fail."""
    server = sentry()
    before = counters.counts().get("errors.ignored", 0)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        sentry_sdk.capture_exception(HTTPException(403))
        raise ExceptionGroup("nothing here", [HTTPException(404)])

    with caplog.at_level(logging.INFO, logger="asgi_rota_sentry"):
        response = await fetch(RotaSentryMiddleware(app), "/")
    sentry_sdk.capture_exception(HTTPException(404))
    assert server.events == []
    assert response.status_code == 500
    assert counters.counts()["errors.ignored"] - before >= 3
    assert "An expected error makes no event: HTTPException: 403" in caplog.text


@pytest.mark.parametrize("error", [ClientDisconnect(), OSError("gone")], ids=["disconnect", "send"])
async def test_a_client_that_leaves_is_no_error(sentry: Sentry, error: Exception) -> None:
    """No event, no page; the exception propagates and the span is not a failure."""
    server = sentry()
    sent: list[Any] = []

    async def send(message: Any) -> None:
        if isinstance(error, OSError):
            raise error
        sent.append(message)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if isinstance(error, OSError):
            await send({"type": "http.response.start", "status": 200, "headers": []})
        raise error

    with pytest.raises(type(error)):
        await RotaSentryMiddleware(app)({"type": "http", "method": "GET", "path": "/", "headers": []}, _nothing, send)
    assert (server.events, sent) == ([], [])
    assert [span["failed"] for span in server.spans] == [False]


async def test_a_stream_that_fails_midway_is_captured_and_nothing_is_appended(sentry: Sentry, fetch: Get) -> None:
    """After the response began, the exception is captured and raised, and the span is failed."""
    server = sentry()
    sent: list[Any] = []

    async def chunks() -> Any:
        yield b"one"
        raise ValueError("midway")

    async def view(request: Request) -> Response:
        return StreamingResponse(chunks())

    async def send(message: Any) -> None:
        sent.append(message)

    app = RotaSentryMiddleware(Starlette(routes=[Route("/", view)]))
    with pytest.raises((ValueError, ExceptionGroup)):
        await app({"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}, _silence, send)
    assert [message.get("body") for message in sent] == [None, b"one"]
    (event,) = server.events
    assert [crumb["message"] for crumb in event["breadcrumbs"]["values"]][1] == "GET / (200 OK)"
    assert [span["failed"] for span in server.spans] == [True]


async def test_an_app_s_own_answers_pass_untouched(sentry: Sentry, fetch: Get) -> None:
    """A 404 or 500 of the app's own making is not ours to replace."""
    sentry()

    async def own(request: Request) -> Response:
        return JSONResponse({"error": "mine"}, int(request.path_params["status"]))

    app = RotaSentryMiddleware(Starlette(routes=[Route("/{status}", own)]))
    for status in (404, 500, 503, 403):
        response = await fetch(app, f"/{status}")
        assert (response.status_code, response.json()) == (status, {"error": "mine"})


@pytest.mark.parametrize("kind", ["missing", "broken", "told"])
async def test_a_page_leaves_the_application_s_other_headers(sentry: Sentry, fetch: Get, kind: str) -> None:
    """Of a bare 404, of a bare 500 that came without an exception, and of one whose error was captured; in order."""
    server = sentry()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if kind == "told":
            sentry_sdk.capture_exception(ValueError("told"))
        bare = PlainTextResponse("Not Found", 404) if kind == "missing" else PlainTextResponse("", 503)
        bare.raw_headers += [(b"set-cookie", b"a=1"), (b"x-own", b"stays"), (b"Set-Cookie", b"b=2"), (b"etag", b"1")]
        await bare(scope, receive, send)

    response = await fetch(RotaSentryMiddleware(app), "/", headers={"accept": "text/html"})
    assert response.status_code == (404 if kind == "missing" else 503)
    assert response.text.startswith("<!DOCTYPE html>")
    assert response.headers.get_list("set-cookie") == ["a=1", "b=2"]
    assert response.headers["x-own"] == "stays"
    assert "etag" not in response.headers
    assert response.headers.get("x-sentry-event-id") == (server.events[0]["event_id"] if kind == "told" else None)


async def test_what_is_accepted_may_be_on_several_lines(sentry: Sentry) -> None:
    """They are one list (RFC 9110, section 5.3): in whichever order, the one that is liked best wins."""
    sentry()
    lines = [(b"accept", b"text/html;q=0.4"), (b"accept", b"application/json"), (b"accept-language", b"xx")]
    lines.append((b"accept-language", b"de"))
    wire = Wire([{"type": "http.request"}])
    await RotaSentryMiddleware(rota())(http(path="/nowhere", headers=lines), wire.receive, wire.send)
    assert dict(wire.sent[0]["headers"])[b"content-type"] == b"application/problem+json"
    lines[0] = (b"accept", b"text/html")
    wire = Wire([{"type": "http.request"}])
    await RotaSentryMiddleware(rota())(http(path="/nowhere", headers=lines[::-1]), wire.receive, wire.send)
    assert dict(wire.sent[0]["headers"])[b"content-language"] == b"de"


@pytest.mark.parametrize("accept", ["text/html", "text/plain", "application/json"])
async def test_a_404_page_tells_of_no_event(sentry: Sentry, fetch: Get, accept: str) -> None:
    """Whatever the request captured before: what is missing is nobody's fault, and nothing to ask support about."""
    server = sentry()

    async def view(request: Request) -> Response:
        sentry_sdk.capture_exception(ValueError("the search index is away"))
        raise HTTPException(404)

    app = RotaSentryMiddleware(Starlette(routes=[Route("/", view)]))
    response = await fetch(app, "/", headers={"accept": accept})
    (event,) = server.events
    assert response.status_code == 404
    assert response.text != "Not Found"
    assert event["event_id"] not in f"{response.text} {response.headers}"


@pytest.mark.parametrize("path", ["/missing/", "/shifts/1/broken/"])
async def test_head_gets_the_headers_of_the_page_alone(sentry: Sentry, path: str) -> None:
    """Those of GET (RFC 9110, section 9.3.2), whether the application answered or raised."""
    sentry()
    app, asked = RotaSentryMiddleware(rota()), [(b"accept", b"text/html")]
    answers = {}
    for method in ("GET", "HEAD"):
        wire = await Wire([{"type": "http.request"}]).run(app, http(method, path, headers=asked))
        start, body = wire.sent
        headers = [pair for pair in start["headers"] if pair[0] != b"x-sentry-event-id"]
        answers[method] = (start["status"], headers), body["body"]
    assert answers["HEAD"] == (answers["GET"][0], b"")
    assert answers["GET"][1].startswith(b"<!DOCTYPE html>")


@pytest.mark.parametrize("pages", ["bare", "always"])
async def test_connect_gets_no_page(sentry: Sentry, pages: str) -> None:
    """What would answer it is read as the tunnel's bytes (RFC 9110, section 9.3.6)."""
    sentry(pages=pages)
    for app in (rota(), broken_bare):
        wire = await Wire().run(RotaSentryMiddleware(app), http("CONNECT", "/nowhere"))
        bare = await Wire().run(app, http("CONNECT", "/nowhere"))
        assert wire.sent == bare.sent


async def broken_bare(scope: Any, receive: Any, send: Any) -> None:
    raise ValueError


@pytest.mark.parametrize("scope", [{}, {"root_path": None}])
async def test_a_server_without_mount_prefix_gets_whole_pages(sentry: Sentry, scope: dict[str, Any]) -> None:
    """`root_path` may be left out of the scope."""
    sentry()
    given = http(headers=[(b"accept", b"text/html")])
    del given["root_path"]
    wire = await Wire().run(RotaSentryMiddleware(broken_bare), {**given, **scope})
    assert b'action="/api/error-feedback/"' in wire.sent[1]["body"]


@pytest.mark.parametrize("body", [None, b"", b"Not"])
@pytest.mark.parametrize("raises", [False, True])
async def test_an_error_answer_that_is_never_finished_is_let_go_as_it_is(
    sentry: Sentry, body: bytes | None, *, raises: bool
) -> None:
    """What was sent of it so far; where that is nothing and the application raises, the page of the failure stands."""
    sentry()
    start = {"type": "http.response.start", "status": 404, "headers": [(b"content-type", b"text/plain")]}
    sent = [start, *([] if body is None else [{"type": "http.response.body", "body": body, "more_body": True}])]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in sent:
            await send(message)
        if raises:
            raise ValueError

    for method in ("GET", "HEAD"):
        wire = await Wire().run(RotaSentryMiddleware(app), http(method))
        assert wire.sent == sent if body or not raises else [one.get("status") for one in wire.sent] == [500, None]


@pytest.mark.parametrize("begins", [False, True], ids=["nothing sent", "begun"])
@pytest.mark.parametrize(("version", "is_told"), [("1.1", True), ("1.0", True), ("2", False), ("3", False)])
async def test_a_page_in_place_of_the_servers_own_answer_ends_the_connection(
    sentry: Sentry, version: str, *, is_told: bool, begins: bool
) -> None:
    """uvicorn closes it after an exception; a client that had not been told would send its next request into that."""
    sentry()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if begins:
            await send({"type": "http.response.start", "status": 500, "headers": [(b"x-own", b"kept")]})
        raise ValueError

    wire = await Wire().run(RotaSentryMiddleware(app), {**http(), "http_version": version})
    headers = wire.sent[0]["headers"]
    assert headers.count((b"connection", b"close")) == is_told
    assert headers.count((b"x-own", b"kept")) == begins


async def test_a_page_in_place_of_a_whole_answer_leaves_the_connection_as_it_was(sentry: Sentry) -> None:
    """Starlette answers before it raises, and says nothing of the connection; nor does it with a page."""
    sentry()
    for path in ("/missing/", "/shifts/1/broken/"):
        wire = await Wire([{"type": "http.request"}]).run(RotaSentryMiddleware(rota()), http(path=path))
        assert b"connection" not in dict(wire.sent[0]["headers"])


@pytest.mark.parametrize(("kibibytes", "passes"), [(1, False), (20, False), (40, True)])
async def test_where_every_error_gets_a_page_no_more_than_64_kib_are_held(
    sentry: Sentry, kibibytes: int, *, passes: bool
) -> None:
    """`pages="always"`: an answer in parts is replaced when it is whole, a larger one let go as soon as it is that."""
    sentry(pages="always")
    parts = [b"x" * kibibytes * 1024] * 3
    wire = Wire()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 404, "headers": [(b"content-type", b"text/html")]})
        for number, part in enumerate(parts):
            await send({"type": "http.response.body", "body": part, "more_body": number < len(parts) - 1})
            wire.note(len(wire.sent))

    await wire.run(RotaSentryMiddleware(app), http())
    noted = [entry[1] for entry in wire.log if entry[0] == "app"]
    assert noted == ([0, 3, 4] if passes else [0, 0, 2])
    assert (
        [message["body"] for message in wire.sent[1:]] == parts if passes else b"x" * 1024 not in wire.sent[1]["body"]
    )


async def test_headers_that_only_the_server_may_read_are_not_lost_with_a_page(sentry: Sentry) -> None:
    """An iterator can be looked at once: an answer whose headers are one is the application's own, however bare."""
    sentry()
    headers = [(b"set-cookie", b"a=1")]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 404, "headers": iter(headers)})
        await send({"type": "http.response.body"})

    wire = await Wire().run(RotaSentryMiddleware(app), http())
    assert wire.sent == [
        {"type": "http.response.start", "status": 404, "headers": headers},
        {"type": "http.response.body"},
    ]


async def test_a_bare_answer_keeps_its_status_when_the_application_raises_after_it(sentry: Sentry) -> None:
    """The page comes with the event of the exception."""
    server = sentry()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse("Service Unavailable", 503)(scope, receive, send)
        raise ValueError

    wire = await Wire().run(RotaSentryMiddleware(app), http())
    (event,) = server.events
    assert wire.sent[0]["status"] == 503
    assert (b"x-sentry-event-id", event["event_id"].encode()) in wire.sent[0]["headers"]


async def test_a_large_error_answer_is_let_go_as_it_is(sentry: Sentry, fetch: Get) -> None:
    """Nothing over 64 KiB is ever held."""
    sentry()

    async def view(request: Request) -> Response:
        return PlainTextResponse("x" * 100_000, 404)

    response = await fetch(RotaSentryMiddleware(Starlette(routes=[Route("/", view)])), "/")
    assert response.text == "x" * 100_000


async def test_the_app_gets_the_same_scope_and_its_result_is_handed_on(sentry: Sentry) -> None:
    """Routers write into the scope that outer layers read; servers inspect what an app returns."""
    sentry()
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> str:
        seen.append(scope)
        return "result"

    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    assert await RotaSentryMiddleware(app)(scope, _nothing, _ignore) == "result"
    assert seen == [scope]
    assert seen[0] is scope
    assert set(scope) == {"type", "method", "path", "headers"}


@pytest.mark.parametrize("scope", [{}, {"type": "other"}, {"type": "mcp.session", "x": 1}])
async def test_unknown_scopes_pass_untouched(sentry: Sentry, scope: dict[str, Any]) -> None:
    """Neither the scope nor the callables are changed."""
    server = sentry()
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.extend([scope, receive, send])

    await RotaSentryMiddleware(app)(scope, _nothing, _ignore)
    assert [one is other for one, other in zip(seen, [scope, _nothing, _ignore], strict=True)] == [True] * 3
    assert server.spans == []


async def test_a_lifespan_failure_is_captured_and_raised(sentry: Sentry) -> None:
    """Startup that fails is an event, an app without a lifespan is none; lifespan makes no span."""
    server = sentry()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        raise RuntimeError("no database")

    async def knows_no_lifespan(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError("only http here")

    with pytest.raises(RuntimeError):
        await RotaSentryMiddleware(app)({"type": "lifespan"}, _nothing, _ignore)
    with pytest.raises(ValueError, match="only http"):
        await RotaSentryMiddleware(knows_no_lifespan)({"type": "lifespan"}, _nothing, _ignore)
    assert [event["exception"]["values"][0]["value"] for event in server.events] == ["no database"]
    assert server.spans == []


async def test_an_app_without_lifespan_makes_no_event(sentry: Sentry) -> None:
    """Django raises before it asks for the startup message, by which servers know that it takes none: no error."""
    server = sentry()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError("only HTTP, not lifespan")

    with pytest.raises(ValueError, match="not lifespan"):
        await RotaSentryMiddleware(SentryAsgiMiddleware(app))({"type": "lifespan"}, _nothing, _ignore)
    assert server.events == []


async def test_websockets_have_a_span_and_their_errors_an_event(sentry: Sentry) -> None:
    """A websocket's exception is captured with its request, user and role, and raised."""
    server = sentry()

    async def live(websocket: WebSocket) -> None:
        await websocket.accept()
        if await websocket.receive_text() == "fail":
            raise ValueError("live")
        await websocket.close(4000)

    app = RotaSentryMiddleware(signed_in(Starlette(routes=[WebSocketRoute("/live/{room}", live)])))
    sent = await talk(app, "/live/7", "done")
    assert [message["type"] for message in sent] == ["websocket.accept", "websocket.close"]
    with pytest.raises(ValueError, match="live"):
        await talk(app, "/live/7", "fail")
    (event,) = server.events
    assert event["request"]["url"] == "ws://rota.example/live/7"
    assert event["user"] == {"id": "SCW1001", "role": "Manager"}
    assert event["transaction"] == "/live/{room}"
    assert [(span["name"], span["op"]) for span in server.spans] == [("/live/{room}", "websocket.server")] * 2


async def test_a_visitor_s_earlier_requests_and_actions_lead_to_the_error(sentry: Sentry, fetch: Get) -> None:
    """The story of PRODUCT: requests with their answers and actions in order; no other visitor's among them."""
    server = sentry()

    async def create(request: Request) -> Response:
        if request.method == "GET":
            record_action("click", 'User clicked "Create Shift" button')
            return PlainTextResponse("form")
        record_action("form", "User filled shift creation form", fields=2)
        return PlainTextResponse(str(int("abc")))

    app = RotaSentryMiddleware(
        Starlette(routes=[Route("/", home), Route("/shifts/create/", create, methods=["GET", "POST"])])
    )
    await fetch(app, "/", headers={"cookie": "session=mine"})
    await fetch(app, "/", headers={"cookie": "session=theirs"})
    await fetch(app, "/shifts/create/", headers={"cookie": "a=b; session=mine; c=d"})
    await fetch(app, "/shifts/create/", "POST", headers={"cookie": "session=mine"})
    (event,) = server.events
    assert [(crumb["category"], crumb["message"]) for crumb in event["breadcrumbs"]["values"]] == [
        ("request", "GET / (200 OK)"),
        ("click", 'User clicked "Create Shift" button'),
        ("request", "GET /shifts/create/ (200 OK)"),
        ("request", "POST /shifts/create/"),
        ("form", "User filled shift creation form"),
        ("request", "POST /shifts/create/ (500 Internal Server Error)"),
        ("exception", "ValueError: invalid literal for int() with base 10: 'abc'"),
    ]


@pytest.mark.parametrize("kind", ["celery", "threading", "asyncio", "strawberry"])
async def test_what_ends_less_than_the_request_is_not_said_to_end_it(sentry: Sentry, fetch: Get, kind: str) -> None:
    """An unhandled exception of a task, a thread or a field of GraphQL, in a request that is answered 200."""
    server = sentry()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            int("abc")
        except ValueError as error:
            event, hint = event_from_exception(error, mechanism={"type": kind, "handled": False})
            sentry_sdk.capture_event(event, hint=hint)  # type: ignore[arg-type]
        await PlainTextResponse("ok")(scope, receive, send)

    assert (await fetch(RotaSentryMiddleware(app), "/")).status_code == 200
    (event,) = server.events
    assert "http.status_code" not in event["tags"]
    messages = [crumb["message"] for crumb in event["breadcrumbs"]["values"]]
    assert messages == ["GET /", "ValueError: invalid literal for int() with base 10: 'abc'"]


async def test_an_action_may_have_any_data(sentry: Sentry, caplog: pytest.LogCaptureFixture) -> None:
    """Under any name, that of its own category too; category and message may be given by name; none of it raises."""
    server = sentry()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        record_action("form", "positions", category="night", message="late", given=1, words=2)
        record_action("form", message="one by name", category="night")
        record_action(message="both by name", category="form", hours=8)
        raise ValueError

    await Wire().run(RotaSentryMiddleware(app), http())
    assert "recording an action" not in caplog.text
    for wrong in ((), ("form",), ("form", "a", "b")):
        record_action(*wrong)
    assert "recording an action" in caplog.text
    (event,) = server.events
    told = [(crumb["category"], crumb["message"], crumb.get("data")) for crumb in event["breadcrumbs"]["values"]]
    assert told[1:4] == [
        ("form", "positions", {"category": "night", "message": "late", "given": 1, "words": 2}),
        ("form", "one by name", {"category": "night"}),
        ("form", "both by name", {"hours": 8}),
    ]


async def test_identity_is_there_when_the_event_is_made(sentry: Sentry, fetch: Get) -> None:
    """A message or a handled error in the middle of a request knows the user, not only the exception at its end."""
    server = sentry()

    async def view(request: Request) -> Response:
        sentry_sdk.capture_message("in the middle")
        sentry_sdk.capture_exception(KeyError("handled"))
        return PlainTextResponse("fine")

    await fetch(RotaSentryMiddleware(signed_in(Starlette(routes=[Route("/", view)]))), "/")
    assert [event["user"] for event in server.events] == [{"id": "SCW1001", "role": "Manager"}] * 2
    assert [event["tags"]["user.role"] for event in server.events] == ["Manager"] * 2


async def test_a_user_that_the_app_set_wins(sentry: Sentry, fetch: Get) -> None:
    """`sentry_sdk.set_user` is never overwritten."""
    server = sentry()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["user"] = MANAGER
        sentry_sdk.set_user({"id": "own"})
        raise ValueError

    await fetch(RotaSentryMiddleware(app), "/")
    assert server.events[0]["user"] == {"id": "own"}


@pytest.mark.parametrize("kind", ["sync", "async", "failing"])
async def test_identify_reads_whatever_the_app_has(
    sentry: Sentry, fetch: Get, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Sync or async; a failing one is logged once and changes nothing."""
    server = sentry()

    def identify(scope: Any) -> Identity | None:
        if kind == "failing":
            raise RuntimeError("no such table")
        return Identity(id="42", role="Auditor")

    async def identify_async(scope: Any) -> Identity | None:
        return identify(scope)

    app = RotaSentryMiddleware(rota(), identify=identify_async if kind == "async" else identify)
    for _ in range(2):
        assert (await fetch(app, "/shifts/7/broken/")).status_code == 500
    expected = None if kind == "failing" else {"id": "42", "role": "Auditor"}
    assert [event.get("user") for event in server.events] == [expected] * 2
    assert caplog.text.count("A fault while reading the identity") == (1 if kind == "failing" else 0)


async def test_a_request_that_is_cancelled_while_its_user_is_read_leaves_its_scope(sentry: Sentry) -> None:
    """As one that is cancelled anywhere else: no event, and nothing of it in what comes after in the same context."""
    server = sentry()

    async def identify(scope: Any) -> Identity | None:
        sentry_sdk.set_tag("leaked", "yes")
        reading.set()
        await anyio.sleep_forever()
        return None

    reading = anyio.Event()
    before = sentry_sdk.get_isolation_scope()
    counted = counters.counts().get("requests.cancelled", 0)
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:

            async def cancel() -> None:
                await reading.wait()
                scope.cancel()

            tasks.start_soon(cancel)
            await RotaSentryMiddleware(rota(), identify=identify)(http(), Wire().receive, Wire().send)
    assert scope.cancelled_caught
    assert sentry_sdk.get_isolation_scope() is before
    sentry_sdk.capture_message("after")
    assert ["leaked" in event.get("tags", {}) for event in server.events] == [False]
    assert counters.counts()["requests.cancelled"] == counted + 1


async def test_excluded_paths_get_isolation_and_error_capture_only(sentry: Sentry, fetch: Get) -> None:
    """No span and no breadcrumb of ours for a health check; its error is an event all the same."""
    server = sentry(exclude_paths=("/healthz", "/static/*"))

    async def app(scope: Any, receive: Any, send: Any) -> None:
        sentry_sdk.set_tag("leaked", "yes")
        raise ValueError

    for path in ("/healthz", "/static/a.css"):
        await fetch(RotaSentryMiddleware(app), path)
    sentry_sdk.capture_message("after")
    assert server.spans == []
    crumbs = [crumb["category"] for event in server.events for crumb in event["breadcrumbs"]["values"]]
    assert not {"request", "exception"} & set(crumbs)
    assert "leaked" not in (server.events[-1].get("tags") or {})


async def test_what_is_done_on_an_excluded_path_has_no_span(sentry: Sentry, fetch: Get, lifecycle: str) -> None:
    """The queries of a health check are not sent, nor counted as lost; its error is in the trace that it tells of."""
    server = sentry(exclude_paths=("/healthz",))
    told: list[str] = []
    scopes: list[Any] = []

    async def health(request: Request) -> Response:
        scopes.append(sentry_sdk.get_current_scope())
        start: Any = sentry_sdk.start_span if lifecycle == "static" else sentry_sdk.traces.start_span
        for name in ("SELECT 1", "SELECT 2"):
            with start(name=name):
                """Ask."""
        told.append(sentry_sdk.get_traceparent() or "")
        sentry_sdk.capture_message("seen")
        return PlainTextResponse("ok")

    app = RotaSentryMiddleware(Starlette(routes=[Route("/healthz", health)]))
    for _ in range(20):
        await fetch(app, "/healthz")
    assert server.items("span") == server.items("transaction") == server.lost == []
    traces = [event["contexts"]["trace"]["trace_id"] for event in server.events]
    assert [traceparent[:32] for traceparent in told] == traces
    assert len(set(traces)) == 20
    assert [scope._span for scope in scopes] == [None] * 20


async def test_without_the_sdk_everything_works_and_the_page_is_served(fetch: Get) -> None:
    """The middleware may be there before the SDK is."""
    app = RotaSentryMiddleware(rota(), Settings())
    assert (await fetch(app, "/")).text == "home"
    response = await fetch(app, "/shifts/7/broken/")
    assert response.status_code == 500
    assert "x-sentry-event-id" not in response.headers


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("not an app",), "app is 'not an app'; expected an ASGI application"),
        ((rota(), {"debug": True}), "settings is of type dict; expected asgi_rota_sentry.Settings"),
    ],
)
def test_what_cannot_work_is_refused_at_start(arguments: tuple[Any, ...], message: str) -> None:
    """A clear error that says what was given and what is expected."""
    with pytest.raises(TypeError, match=message):
        RotaSentryMiddleware(*arguments)


async def test_head_and_options_make_no_span_but_their_errors_an_event(sentry: Sentry, fetch: Get) -> None:
    """As the SDK's own layer does; the incoming trace is continued all the same."""
    server = sentry()
    trace = "1f2e3d4c5b6a79881f2e3d4c5b6a7988"

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError

    await fetch(RotaSentryMiddleware(app), "/", "OPTIONS", headers={"sentry-trace": f"{trace}-1234567890abcdef-1"})
    assert server.spans == []
    assert server.events[0]["contexts"]["trace"]["trace_id"] == trace


async def test_the_page_tells_the_trace_of_another_tracer_as_the_event_does(sentry: Sentry, fetch: Get) -> None:
    """With OpenTelemetry around us (the SDK's `OTLPIntegration`) and tracing off, what is told of the trace is its."""
    server = sentry(options={"traces_sample_rate": None})
    trace = "1f2e3d4c5b6a79881f2e3d4c5b6a7988"

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError

    register_external_propagation_context(lambda: (trace, "1234567890abcdef"))
    try:
        answer = await fetch(RotaSentryMiddleware(app), "/", headers={"accept": "application/json"})
    finally:
        remove_external_propagation_context()
    assert server.events[0]["contexts"]["trace"]["trace_id"] == trace
    assert answer.json()["trace_id"] == trace


async def test_the_length_that_texts_are_cut_to_is_the_user_s(sentry: Sentry) -> None:
    """`max_value_length` holds for what this middleware adds, too."""
    server = sentry(options={"max_value_length": 40})

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError("x" * 100)

    with pytest.raises(ValueError, match="x"):
        await RotaSentryMiddleware(app)(http(path="/" + "p" * 100), None, None)
    (event,) = server.events
    assert event["tags"]["http.url"] == "/" + "p" * 36 + "..."
    assert event["exception"]["values"][0]["value"] == "x" * 37 + "..."


async def test_the_options_for_breadcrumbs_are_the_user_s(sentry: Sentry) -> None:
    """`before_breadcrumb` is asked for each of this middleware's own, and `max_breadcrumbs` counts them."""

    def own(crumb: dict[str, Any], hint: dict[str, Any]) -> dict[str, Any] | None:
        return None if crumb["category"] == "exception" else {**crumb, "message": f"({crumb['message']})"}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for number in range(5):
            record_action("click", str(number))
        raise ValueError("no")

    server = sentry(options={"before_breadcrumb": own, "max_breadcrumbs": 3})
    with pytest.raises(ValueError, match="no"):
        await RotaSentryMiddleware(app)(http(path="/shifts/"), None, None)
    (event,) = server.events
    told = [crumb["message"] for crumb in event["breadcrumbs"]["values"]]
    assert told == ["(3)", "(4)", "(GET /shifts/ (500 Internal Server Error))"]


async def _tells_first_second_third(server: MemoryTransport, app: Any) -> None:
    await Wire().run(RotaSentryMiddleware(app), http(path="/shifts/"))
    (event,) = server.events
    told = [crumb["message"] for crumb in event["breadcrumbs"]["values"]]
    assert told[:4] == ["GET /shifts/", "first", "second", "third"]
    assert len(told) == 6


@pytest.mark.parametrize(
    "given",
    [time.time, lambda: datetime.now(UTC).replace(tzinfo=None), lambda: datetime.now(UTC).isoformat()],
    ids=["seconds", "no zone", "text"],
)
async def test_breadcrumbs_stand_in_the_order_of_time(sentry: Sentry, given: Callable[[], Any]) -> None:
    """However the application tells the time of its own."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        sentry_sdk.add_breadcrumb({"message": "first", "timestamp": given()})
        record_action("click", "second")
        sentry_sdk.add_breadcrumb({"message": "third", "timestamp": given()})
        raise ValueError("no")

    await _tells_first_second_third(sentry(), app)


@pytest.mark.parametrize("given", ["yesterday", None, float("nan"), 10**400, [1]], ids=lambda given: f"{given!r:.9}")
async def test_a_breadcrumb_without_a_time_stays_where_it_stands(sentry: Sentry, given: Any) -> None:
    """And costs nobody the story."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        record_action("click", "first")
        sentry_sdk.add_breadcrumb({"message": "second", "timestamp": given})
        record_action("click", "third")
        raise ValueError("no")

    await _tells_first_second_third(sentry(), app)


@pytest.mark.parametrize("holder", ["current", "isolation"])
async def test_a_client_that_is_bound_to_a_scope_gets_the_requests_events(
    sentry: Callable[..., MemoryTransport], holder: str
) -> None:
    """Not the process's own, as with everything that the SDK captures there."""
    process, own = sentry(), MemoryTransport()
    client = sentry_sdk.Client(dsn="http://key@127.0.0.1:9/2", transport=own)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError("in the scope of another client")

    with sentry_sdk.isolation_scope() as isolation, sentry_sdk.new_scope() as current:
        (current if holder == "current" else isolation).set_client(client)
        await Wire().run(RotaSentryMiddleware(app), http())
        client.flush()
    assert ([len(own.items("event")), len(process.items("event"))]) == [1, 0]
