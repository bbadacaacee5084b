"""What the SDK's integrations do with the scopes of every request is noted, and its span stood in for."""

import asyncio
import threading
from _thread import start_new_thread
from collections.abc import Callable
from typing import Any

import anyio
import pytest
import sentry_sdk
from sentry_sdk.scope import Scope
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from asgi_rota_sentry import RotaSentryMiddleware
from asgi_rota_sentry.sdk import client, late
from tests.conftest import MemoryTransport
from tests.wire import Wire, http

pytestmark = pytest.mark.anyio

Sentry = Callable[..., MemoryTransport]

RATES = pytest.mark.parametrize("rate", [None, 1e-9, 1.0], ids=["off", "unsampled", "sampled"])
UNSAMPLED = pytest.mark.parametrize("rate", [None, 1e-9], ids=["off", "unsampled"])


View = Callable[[], Any]


async def _answer(send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body"})


async def _request(view: View) -> RotaSentryMiddleware:
    """One request to `/rota/7`, in which the view is called, after many to another path.

    With the first ones the SDK starts threads, which look at the scopes; those after them are copied at once.
    """

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/rota/7":
            await view()
        await _answer(send)

    wrapped = RotaSentryMiddleware(app)
    for path in [*["/before"] * 20, "/rota/7"]:
        await wrapped(http(path=path), Wire().receive, Wire().send)
    return wrapped


def _name(name: str, source: str | None = None) -> None:
    sentry_sdk.get_current_scope().set_transaction_name(name, source=source)


def _is_late() -> bool:
    return isinstance(sentry_sdk.get_current_scope(), late.LateScope)


@RATES
async def test_names_and_processors_hold_for_what_is_captured_later(sentry: Sentry, rate: float | None) -> None:
    """The last name counts, as the application's own without a source; the processors run in their order."""
    server = sentry(options={"traces_sample_rate": rate})

    def ran(word: str) -> Any:
        return lambda event, hint: {**event, "extra": {"ran": [*event.get("extra", {}).get("ran", []), word]}}

    async def view() -> None:
        isolation = sentry_sdk.get_isolation_scope()
        _name("/first/", "component")
        isolation.add_event_processor(ran("one"))
        _name("/rota/{id}")
        isolation.add_event_processor(ran("two"))
        isolation._name = "mine"
        assert _is_late() is (rate != 1.0)
        sentry_sdk.capture_message("seen")
        assert isolation._name == "mine"
        isolation.add_event_processor(ran("three"))
        _name("/rota/{id}/again", "route")
        sentry_sdk.capture_message("seen again")

    await _request(view)
    first, second = server.events
    assert (first["transaction"], first["transaction_info"]) == ("/rota/{id}", {"source": "custom"})
    assert (second["transaction"], second["transaction_info"]) == ("/rota/{id}/again", {"source": "route"})
    assert [event["extra"]["ran"] for event in (first, second)] == [["one", "two"], ["one", "two", "three"]]


@RATES
async def test_a_name_counts_though_nobody_looks(sentry: Sentry, rate: float | None) -> None:
    """A request is counted by the name that an integration gave it."""
    server = sentry(options={"traces_sample_rate": rate})

    async def view() -> None:
        _name("/rota/{id}", "route")
        assert _is_late() is (rate != 1.0)

    wrapped = await _request(view)
    assert wrapped.metering is not None
    wrapped.metering.settle()
    sentry_sdk.flush()
    counted = [item["attributes"] for found in server.items("trace_metric") for item in found["items"]]
    assert {"value": "/rota/{id}", "type": "string"} in [attributes.get("http.route") for attributes in counted]


async def test_what_is_noted_is_bounded(sentry: Sentry) -> None:
    """A websocket that is named for days has its scope copied before the notes fill the memory."""
    server = sentry(options={"traces_sample_rate": None})

    async def view() -> None:
        for number in range(1_000):
            _name(f"/rota/{number}", "route")
        assert not _is_late()
        sentry_sdk.capture_message("seen")

    await _request(view)
    assert [event["transaction"] for event in server.events] == ["/rota/999"]


@UNSAMPLED
async def test_starlette_s_integration_has_no_scope_copied(
    sentry: Sentry, rate: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it does with every request needs none; what a view captures has the route's name all the same."""
    server = sentry(options={"traces_sample_rate": rate})

    async def shift(request: Request) -> PlainTextResponse:
        if request.method == "HEAD":
            sentry_sdk.capture_message("seen")
        return PlainTextResponse("ok")

    app = Starlette(
        routes=[Mount("/rota", routes=[Route("/shifts/{id:int}/", shift)])],
        middleware=[Middleware(SessionMiddleware, secret_key="x")],
    )
    wrapped = RotaSentryMiddleware(app)

    async def send(method: str) -> None:
        await wrapped(http(path="/rota/shifts/7/", method=method), Wire().receive, Wire().send)

    for _ in range(20):
        await send("GET")
    copies: list[Any] = []
    copy = Scope.__copy__
    monkeypatch.setattr(Scope, "__copy__", lambda scope: (copies.append(scope), copy(scope))[1])
    for method in ("GET", "GET", "GET", "HEAD"):
        assert copies == []
        await send(method)
    assert copies
    (event,) = server.events
    assert event["transaction"] == "/rota/shifts/{id}/"


def _facts(span: Any) -> dict[str, Any]:
    """What can be asked of a span, but for what is each one's own."""
    slots = [name for kind in type(span).__mro__ for name in getattr(kind, "__slots__", ())]
    own = ("_trace_id", "_span_id", "_scope", "_segment", "_baggage", "_context_manager_state", "_sample_rand")
    own += ("_start_timestamp", "_start_timestamp_monotonic_ns", "start_timestamp", "_unsampled", "_unsampled_reason")
    own += (
        "_client",
        "_context",
        "_current",
        "_draw",
        "_kind",
        "_naming",
        "is_real",
        "_previous_span_on_scope",
        "_finished",
    )
    facts = {name: getattr(span, name) for name in slots if name not in own and hasattr(span, name)}
    return {**facts, "id": len(span.span_id), "trace": len(span.trace_id), "sampled": span.sampled}


async def test_the_span_that_stands_in_is_what_the_real_one_is(sentry: Sentry) -> None:
    """Of an unsampled request: every fact, its trace and its baggage."""
    sentry(traces_sample_rate=1e-9, environment="here")
    seen: list[tuple[dict[str, Any], str]] = []

    async def view() -> None:
        was_late = _is_late()
        span = sentry_sdk.get_current_scope()._span
        assert _is_late() is was_late
        assert span.trace_id == (sentry_sdk.get_traceparent() or "")[:32]
        items = dict(pair.strip().split("=", 1) for pair in (sentry_sdk.get_baggage() or "").split(","))
        assert items.pop("sentry-trace_id") == span.trace_id
        assert 0 <= float(items.pop("sentry-sample_rand")) < 1
        seen.append((_facts(span), str(sorted(items.items()))))
        sentry_sdk.get_current_scope().set_tag("somebody", "looks")
        assert sentry_sdk.get_current_scope()._span is span
        assert sentry_sdk.get_current_scope()._server_segment_span in (span, None)

    async def view_with_copies() -> None:
        assert not _is_late()
        await view()

    await _request(view)
    known = client.current_client()
    assert known is not None
    known.eager_requests = 100
    await _request(view_with_copies)
    assert seen[0] == seen[1]


@pytest.mark.parametrize("rate", [1e-9, 1.0], ids=["unsampled", "sampled"])
async def test_another_trace_that_the_application_continues_is_not_the_request_s(
    sentry: Sentry, lifecycle: str, rate: float
) -> None:
    """A view that works off a queue continues the trace of a job; after it all is of the request's own trace again."""
    server = sentry(traces_sample_rate=rate)
    job = {"sentry-trace": "aaaabbbbccccddddaaaabbbbccccdddd-1234567890abcdef-1"}

    async def work_off(request: Request) -> PlainTextResponse:
        if lifecycle == "static":
            with sentry_sdk.start_transaction(sentry_sdk.continue_trace(job, op="queue.process", name="job")):
                """Work."""
        else:
            sentry_sdk.traces.continue_trace(job)
            with sentry_sdk.traces.start_span(name="job", attributes={"sentry.op": "queue"}, parent_span=None):
                """Work."""
        sentry_sdk.capture_message("done")
        return PlainTextResponse(str(sentry_sdk.get_traceparent()))

    wire = Wire([{"type": "http.request"}])
    await wire.run(RotaSentryMiddleware(Starlette(routes=[Route("/", work_off)])), http())
    (event,) = server.events
    trace = event["contexts"]["trace"]["trace_id"]
    assert wire.sent[-1]["body"].decode().startswith(trace)
    assert trace not in job["sentry-trace"]
    assert {span["trace_id"] for span in server.spans if span["name"] == "/"} <= {trace}


@pytest.mark.parametrize("asked", ["before", "after", "never"])
async def test_a_span_that_stands_in_has_the_name_that_is_set(sentry: Sentry, asked: str) -> None:
    """Whether it was asked for its name before that or not."""
    sentry(traces_sample_rate=1e-9)
    names: list[tuple[str, str]] = []

    async def view() -> None:
        span = sentry_sdk.get_current_scope()._span
        assert _is_late()
        if asked == "before":
            assert span.name.endswith("/rota/7")
        _name("/rota/{id}", "route")
        if asked == "after":
            assert span.name == "/rota/{id}"
        sentry_sdk.get_current_scope().set_tag("somebody", "looks")
        names.append((str(sentry_sdk.get_current_scope()._transaction), span.name))

    await _request(view)
    assert names == [("/rota/{id}", "/rota/{id}")]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("asked", ["in time", "late"])
async def test_a_span_that_stands_in_can_be_asked_when_the_request_is_over(
    sentry: Sentry, anyio_backend: str, asked: str
) -> None:
    """It is of the trace that everything else of the request is of; what begins then is not below it."""
    server = sentry(traces_sample_rate=1e-9)
    over = asyncio.Event()
    tasks = []

    async def later(span: Any) -> tuple[str, str]:
        trace = span.trace_id if asked == "in time" else ""
        await over.wait()
        if isinstance(span, getattr(sentry_sdk.traces, "StreamedSpan", ())):
            assert sentry_sdk.get_current_scope()._span is None
        sentry_sdk.capture_message("later")
        return trace or span.trace_id, span.span_id

    async def view() -> None:
        tasks.append(asyncio.create_task(later(sentry_sdk.get_current_scope()._span)))
        assert _is_late()
        await asyncio.sleep(0)

    await _request(view)
    over.set()
    ((trace, span_id),) = await asyncio.gather(*tasks)
    (event,) = server.events
    assert event["contexts"]["trace"]["trace_id"] == trace
    assert len(span_id) == 16
    assert server.lost.count(("sample_rate", "span")) == 21


async def test_threads_that_ask_at_once_see_one_span(sentry: Sentry) -> None:
    """And one trace, the request's, though they have scopes of their own."""
    server = sentry(traces_sample_rate=1e-9)
    found: list[Any] = []

    async def view() -> None:
        current, ready = sentry_sdk.get_current_scope(), threading.Barrier(8)
        assert _is_late()

        def ask() -> None:
            ready.wait()
            span = current._span
            found.append((id(span), span.trace_id))

        for _ in range(8):
            start_new_thread(ask, ())  # with `Thread` the SDK's integration would copy the scopes
        for _ in range(1_000):
            if len(found) == 8:
                break
            await anyio.sleep(0.01)

        sentry_sdk.capture_message("seen")

    await _request(view)
    assert len(found) == 8
    assert len(set(found)) == 1
    assert [event["contexts"]["trace"]["trace_id"] for event in server.events] == [found[0][1]]


@UNSAMPLED
async def test_a_child_of_what_stands_in_is_not_sent(sentry: Sentry, lifecycle: str, rate: float | None) -> None:
    """It begins and ends as any other."""
    server = sentry(options={"traces_sample_rate": rate})

    async def view() -> None:
        assert (sentry_sdk.get_current_scope()._span is None) is (rate is None)
        _name("/rota/{id}", "route")
        assert _is_late()
        start: Any = sentry_sdk.start_span if lifecycle == "static" else sentry_sdk.traces.start_span
        with start(name="child"):
            pass

    await _request(view)
    assert server.spans == []
