"""What the SDK's integrations do with the scopes of every request is noted, and its span stood in for."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

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
from tests.conftest import HAS_TRANSACTIONS, MemoryTransport
from tests.wire import Wire, http

pytestmark = pytest.mark.anyio

Sentry = Callable[..., MemoryTransport]
Fetch = Callable[..., Any]

RATES = pytest.mark.parametrize("rate", [None, 1e-9, 1.0], ids=["off", "unsampled", "sampled"])
UNSAMPLED = pytest.mark.parametrize("rate", [None, 1e-9], ids=["off", "unsampled"])


async def _answer(send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body"})


def _name(name: str, source: str | None = None) -> None:
    sentry_sdk.get_current_scope().set_transaction_name(name, source=source)


@RATES
async def test_names_and_processors_hold_for_what_is_captured_later(
    sentry: Sentry, fetch: Fetch, rate: float | None
) -> None:
    """The last name counts, with the last source that was given; the processors run in the order of their coming."""
    server = sentry(options={"traces_sample_rate": rate})

    async def app(scope: Any, receive: Any, send: Any) -> None:
        isolation = sentry_sdk.get_isolation_scope()
        _name("/first/", "component")
        isolation.add_event_processor(lambda event, hint: {**event, "extra": {"ran": ["one"]}})
        _name("/rota/{id}")
        isolation.add_event_processor(lambda event, hint: {**event, "extra": {"ran": [*event["extra"]["ran"], "two"]}})
        isolation._name = "mine"
        sentry_sdk.capture_message("seen")
        assert isolation._name == "mine"
        isolation.add_event_processor(
            lambda event, hint: {**event, "extra": {"ran": [*event["extra"]["ran"], "three"]}}
        )
        _name("/rota/{id}/again", "route")
        sentry_sdk.capture_message("seen again")
        await _answer(send)

    await fetch(RotaSentryMiddleware(app), "/rota/7")
    first, second = server.events
    assert (first["transaction"], first["transaction_info"]) == ("/rota/{id}", {"source": "component"})
    assert (second["transaction"], second["transaction_info"]) == ("/rota/{id}/again", {"source": "route"})
    assert [event["extra"]["ran"] for event in (first, second)] == [["one", "two"], ["one", "two", "three"]]


@RATES
async def test_a_name_counts_though_nobody_looks(sentry: Sentry, fetch: Fetch, rate: float | None) -> None:
    """A request is counted by the name that an integration gave it."""
    server = sentry(options={"traces_sample_rate": rate})

    async def app(scope: Any, receive: Any, send: Any) -> None:
        _name("/rota/{id}", "route")
        await _answer(send)

    wrapped = RotaSentryMiddleware(app)
    await fetch(wrapped, "/rota/7")
    assert wrapped.metering is not None
    wrapped.metering.settle()
    sentry_sdk.flush()
    (sums,) = [item for item in server.items("trace_metric") if item["items"]]
    assert sums["items"][0]["attributes"]["http.route"]["value"] == "/rota/{id}"


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

    for _ in range(20):  # the SDK starts threads with the first, and they look
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
    own += ("_client", "_current", "_draw", "_kind", "_naming", "is_real", "_previous_span_on_scope", "_finished")
    facts = {name: getattr(span, name) for name in slots if name not in own and hasattr(span, name)}
    return {**facts, "id": len(span.span_id), "trace": len(span.trace_id), "sampled": span.sampled}


async def test_the_span_that_stands_in_is_what_the_real_one_is(
    sentry: Sentry, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of an unsampled request: every fact, its trace and its baggage, whoever asks first and in whichever order."""
    sentry(traces_sample_rate=1e-9, environment="here")
    seen: list[tuple[dict[str, Any], str]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        span = sentry_sdk.get_current_scope()._span
        assert isinstance(span, type(span).__mro__[1])
        facts = _facts(span)
        assert span.trace_id == (sentry_sdk.get_traceparent() or "")[:32]
        assert sentry_sdk.get_current_scope()._span is span
        items = dict(pair.strip().split("=", 1) for pair in (sentry_sdk.get_baggage() or "").split(","))
        assert items.pop("sentry-trace_id") == span.trace_id
        assert 0 <= float(items.pop("sentry-sample_rand")) < 1
        seen.append((facts, str(sorted(items.items()))))
        await _answer(send)

    wrapped = RotaSentryMiddleware(app)
    await fetch(wrapped, "/rota/7")
    known = client.current_client()
    assert known is not None
    known.eager_requests = 5
    await fetch(wrapped, "/rota/7")
    monkeypatch.setattr(late, "IS_POSSIBLE", False)
    assert known.eager_requests < 5
    assert seen[0] == seen[1]


@pytest.mark.parametrize("asked", ["before", "after", "never"])
async def test_a_span_that_stands_in_has_the_name_that_is_set(sentry: Sentry, fetch: Fetch, asked: str) -> None:
    """Whether it was asked for its name before that or not."""
    sentry(traces_sample_rate=1e-9)
    names: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        span = sentry_sdk.get_current_scope()._span
        if asked == "before":
            assert span.name.endswith("/rota/7")
        _name("/rota/{id}", "route")
        if asked == "after":
            assert span.name == "/rota/{id}"
        names.append((sentry_sdk.get_current_scope()._transaction, span.name))
        await _answer(send)

    await fetch(RotaSentryMiddleware(app), "/rota/7")
    assert names == [("/rota/{id}", "/rota/{id}")]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("asked", ["in time", "late"])
async def test_a_span_that_stands_in_can_be_asked_when_the_request_is_over(
    sentry: Sentry, anyio_backend: str, asked: str
) -> None:
    """It is of the trace that everything else of the request is of, and is counted as lost once."""
    server = sentry(traces_sample_rate=1e-9)
    over = asyncio.Event()
    tasks = []

    async def later(span: Any) -> tuple[str, str]:
        trace = span.trace_id if asked == "in time" else ""
        await over.wait()
        sentry_sdk.capture_message("later")
        return trace or span.trace_id, span.span_id

    async def app(scope: Any, receive: Any, send: Any) -> None:
        tasks.append(asyncio.create_task(later(sentry_sdk.get_current_scope()._span)))
        await asyncio.sleep(0)
        await _answer(send)

    await RotaSentryMiddleware(app)(http(path="/rota/7"), Wire().receive, Wire().send)
    over.set()
    ((trace, span_id),) = await asyncio.gather(*tasks)
    (event,) = server.events
    assert event["contexts"]["trace"]["trace_id"] == trace
    assert len(span_id) == 16
    assert server.lost.count(("sample_rate", "span")) == 1


async def test_threads_that_ask_at_once_see_one_span(sentry: Sentry, fetch: Fetch) -> None:
    """And one trace."""
    sentry(traces_sample_rate=1e-9)
    found: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        current, ready = sentry_sdk.get_current_scope(), threading.Barrier(8)

        def ask() -> None:
            ready.wait()
            span = current._span
            found.append((id(span), span.trace_id))

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        await _answer(send)

    await fetch(RotaSentryMiddleware(app), "/")
    assert len(found) == 8
    assert len(set(found)) == 1


@UNSAMPLED
async def test_a_child_of_what_stands_in_is_not_sent(sentry: Sentry, fetch: Fetch, rate: float | None) -> None:
    """It begins and ends as any other."""
    server = sentry(options={"traces_sample_rate": rate})

    async def app(scope: Any, receive: Any, send: Any) -> None:
        sentry_sdk.get_current_scope().span  # noqa: B018 - the look is what counts
        _name("/rota/{id}", "route")
        with sentry_sdk.start_span(name="child"):
            pass
        if not HAS_TRANSACTIONS:
            with sentry_sdk.traces.start_span(name="child"):
                pass
        await _answer(send)

    await fetch(RotaSentryMiddleware(app), "/rota/7")
    assert server.spans == []
