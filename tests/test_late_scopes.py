"""The scopes of a request are copied when somebody looks at them: whoever it is, whenever that is."""

import asyncio
import logging
import random
import threading
import time
from _thread import start_new_thread
from collections.abc import Callable
from typing import Any

import anyio
import pytest
import sentry_sdk
from httpx import Response
from sentry_sdk.integrations.logging import LoggingIntegration
from sentry_sdk.scope import Scope

from asgi_rota_sentry import RotaSentryMiddleware
from asgi_rota_sentry.sdk import chance, scopes
from tests.conftest import HAS_TRANSACTIONS, MemoryTransport, session_counts
from tests.forked import in_child
from tests.wire import Wire, http

pytestmark = pytest.mark.anyio

Sentry = Callable[..., MemoryTransport]
Fetch = Callable[..., Any]

THREADS = 8
# After one whose scopes were looked at, some requests have theirs at once.
MANY = 20


async def _answer(send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body"})


def _slowly(copy: Callable[[Scope], Scope]) -> Callable[[Scope], Scope]:
    def copy_slowly(scope: Scope) -> Scope:
        time.sleep(0.001)  # for the other threads to run
        return copy(scope)

    return copy_slowly


async def test_threads_that_look_at_once_see_one_scope(
    sentry: Sentry, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is lost of what several threads set on scopes that nobody has looked at before."""
    server = sentry(options={"traces_sample_rate": None})
    ready = threading.Barrier(THREADS)

    def work(number: int, isolation: Any) -> None:
        ready.wait()
        isolation.set_tag(f"tag {number}", "set")
        isolation.set_user({"id": "SCW1001"})
        isolation.add_breadcrumb(category="mine", message=str(number))

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async with anyio.create_task_group() as tasks:
            for number in range(THREADS):
                tasks.start_soon(anyio.to_thread.run_sync, work, number, sentry_sdk.get_isolation_scope())
        sentry_sdk.capture_message("seen")
        await _answer(send)

    app = RotaSentryMiddleware(app)  # type: ignore[assignment]
    monkeypatch.setattr(Scope, "__copy__", _slowly(Scope.__copy__))
    for _ in range(MANY):
        await fetch(app, "/")
    assert len(server.events) == MANY
    for event in server.events:
        assert {name for name in event["tags"] if name.startswith("tag ")} == {f"tag {n}" for n in range(THREADS)}
        assert event["user"]["id"] == "SCW1001"
        crumbs = [crumb["message"] for crumb in event["breadcrumbs"]["values"] if crumb["category"] == "mine"]
        assert sorted(crumbs) == [str(number) for number in range(THREADS)]


async def test_who_only_writes_to_the_log_does_not_look(sentry: Sentry, monkeypatch: pytest.MonkeyPatch) -> None:
    """The breadcrumbs of its lines are there once somebody does, in their order, however many."""
    # In 3.x the lines are sent as logs, too, with what the scopes tell, unless it is told otherwise.
    logging_integration = LoggingIntegration(**({} if HAS_TRANSACTIONS else {"level": None}))
    server = sentry(options={"traces_sample_rate": None, "integrations": [logging_integration]})
    logger, copies = logging.getLogger("rota"), []
    monkeypatch.setattr(logger, "level", logging.INFO)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        mine = {"category": "rota", "message": "first"}
        sentry_sdk.add_breadcrumb(mine)
        mine["message"] = "changed"
        sentry_sdk.add_breadcrumb({})
        for number in range(int(scope["path"][1:])):
            logger.info("line %d", number)
        sentry_sdk.add_breadcrumb(mine, message="last")
        if scope["path"] != "/3":
            sentry_sdk.capture_message("seen")
        await _answer(send)

    wrapped, copy = RotaSentryMiddleware(app), Scope.__copy__
    await wrapped(http(path="/3"), Wire().receive, Wire().send)  # begins the SDK's thread for sessions
    monkeypatch.setattr(Scope, "__copy__", lambda scope: copies.append(scope) or copy(scope))
    for _ in range(MANY):
        await wrapped(http(path="/3"), Wire().receive, Wire().send)
    assert copies == []
    for many in (2, 60):
        await wrapped(http(path=f"/{many}"), Wire().receive, Wire().send)
        crumbs = [crumb for crumb in server.events[-1]["breadcrumbs"]["values"] if crumb["category"] == "rota"]
        lines = [f"line {number}" for number in range(many)]
        assert [crumb["message"] for crumb in crumbs] == ["first", *lines, "last"]
        assert crumbs == sorted(crumbs, key=lambda crumb: str(crumb["timestamp"]))


async def test_a_hook_for_breadcrumbs_is_asked_at_once(sentry: Sentry, fetch: Fetch) -> None:
    """Though no event follows, and with the hint."""
    asked: list[Any] = []
    by_then: list[Any] = []
    sentry(options={"traces_sample_rate": None, "before_breadcrumb": lambda crumb, hint: asked.append((crumb, hint))})

    async def app(scope: Any, receive: Any, send: Any) -> None:
        sentry_sdk.add_breadcrumb({"message": "mine"}, {"why": "so"})
        by_then.extend(asked)
        await _answer(send)

    await fetch(RotaSentryMiddleware(app), "/")
    assert [(crumb["message"], hint) for crumb, hint in by_then] == [("mine", {"why": "so"})]


async def test_the_servers_access_log_is_no_breadcrumb_of_a_request(sentry: Sentry, fetch: Fetch) -> None:
    """Which has one that says the same; outside of requests it is one as any other."""
    server = sentry(options={"traces_sample_rate": None, "integrations": [LoggingIntegration()]})
    access = logging.getLogger("uvicorn.access")
    access.setLevel(logging.INFO)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 202, "headers": []})
        access.info('%s - "%s %s HTTP/%s" %d', "203.0.113.7:5", "GET", scope["path"], "1.1", 202)
        sentry_sdk.capture_message("seen")
        await send({"type": "http.response.body"})

    await fetch(RotaSentryMiddleware(app), "/rota")
    crumbs = [crumb["message"] for crumb in server.events[0]["breadcrumbs"]["values"]]
    assert crumbs == ["GET /rota", "GET /rota (202 Accepted)"]
    with sentry_sdk.isolation_scope():
        access.info("of another application")
        sentry_sdk.capture_message("outside")
    assert server.events[1]["breadcrumbs"]["values"][-1]["message"] == "of another application"


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("rate", [1e-9, None], ids=["unsampled", "off"])
async def test_work_that_looks_when_the_request_is_over(
    sentry: Sentry, lifecycle: str, anyio_backend: str, rate: float | None
) -> None:
    """It has the scopes of its request, which nobody had looked at: its tags and its trace, and no breadcrumb."""
    server = sentry(options={"traces_sample_rate": rate}, release="rota@1")
    sentry_sdk.set_tag("everywhere", "yes")
    sentry_sdk.add_breadcrumb(category="before", message="of the process")
    sentry_sdk.get_isolation_scope().set_new_propagation_context()
    if lifecycle == "stream":
        sentry_sdk.get_current_scope().set_new_propagation_context()
    over = asyncio.Event()
    tasks = []

    async def later(path: str) -> str:
        await over.wait()
        sentry_sdk.set_tag("mine", path)
        sentry_sdk.capture_message(path)
        return str(sentry_sdk.get_traceparent())

    async def app(scope: Any, receive: Any, send: Any) -> None:
        tasks.append(asyncio.create_task(later(scope["path"])))
        await _answer(send)

    wrapped = RotaSentryMiddleware(app)
    paths = [f"/{number}" for number in range(MANY)]
    for path in paths:
        await wrapped(http(path=path), Wire().receive, Wire().send)
    over.set()
    traceparents = await asyncio.gather(*tasks)
    events = server.events
    assert [event["tags"]["mine"] for event in events] == paths
    assert [event["tags"]["everywhere"] for event in events] == ["yes"] * MANY
    assert [event["tags"]["http.url"] for event in events] == paths
    assert not any(crumb["category"] == "before" for event in events for crumb in event["breadcrumbs"]["values"])
    traces = [event["contexts"]["trace"]["trace_id"] for event in events]
    assert [traceparent.partition("-")[0] for traceparent in traceparents] == traces
    assert len(set(traces)) == MANY
    assert session_counts(server.items("sessions")) == {"exited": MANY}


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_trace_on_a_page_is_that_of_what_follows(sentry: Sentry, fetch: Fetch, anyio_backend: str) -> None:
    """Of an error that is only counted nobody looks at the scopes; the trace that its page names is the request's."""
    server = sentry(options={"traces_sample_rate": None}, errors_per_minute=1, release="rota@1")
    over = asyncio.Event()
    tasks = []

    async def later() -> None:
        await over.wait()
        sentry_sdk.capture_message("later")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/counted":
            tasks.append(asyncio.create_task(later()))
        raise ValueError("boom")

    wrapped = RotaSentryMiddleware(app)
    answers: list[Response] = [await fetch(wrapped, path) for path in ("/first", *["/counted"] * MANY)]
    over.set()
    await asyncio.gather(*tasks)
    first, *messages = server.events
    assert first["exception"]
    assert {answer.headers["x-sentry-event-id"] for answer in answers} == {first["event_id"]}
    traces = [event["contexts"]["trace"]["trace_id"] for event in (first, *messages)]
    assert [answer.json()["trace_id"] for answer in answers] == traces
    assert len(set(traces)) == 1 + MANY
    assert session_counts(server.items("sessions")) == {"crashed": 1 + MANY}


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_fork_may_look(
    sentry: Sentry, fetch: Fetch, monkeypatch: pytest.MonkeyPatch, anyio_backend: str
) -> None:
    """The child is not kept waiting by a thread of its parent that was making the scopes, and is not in the child."""
    sentry(options={"traces_sample_rate": None})
    copy, is_copying, is_forked = Scope.__copy__, threading.Event(), threading.Event()

    def look_in_child() -> str:
        sentry_sdk.get_current_scope().set_tag("who", "child")
        return "seen"

    def slow_copy(scope: Scope) -> Scope:
        if threading.current_thread() is not threading.main_thread():
            is_copying.set()
            is_forked.wait(10)
        return copy(scope)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        isolation, is_done = sentry_sdk.get_isolation_scope(), threading.Event()

        def look() -> None:
            isolation.set_tag("who", "thread")
            is_done.set()

        with monkeypatch.context() as patch:
            patch.setattr(Scope, "__copy__", slow_copy)
            start_new_thread(look, ())  # with `Thread` the SDK's integration would copy the scopes
            is_copying.wait(10)
            assert in_child(look_in_child) == "seen"
            is_forked.set()
        assert is_done.wait(10)
        await _answer(send)

    await fetch(RotaSentryMiddleware(app), "/")


@pytest.mark.parametrize("looks", ["not", "at the span", "at the scope"])
async def test_what_is_not_sampled_is_counted_and_told_on(
    sentry: Sentry, fetch: Fetch, looks: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether or not somebody looks: one lost span a request; the trace headers say that it is not sampled."""
    monkeypatch.setattr(scopes, "_EAGER_REQUESTS", 0)
    monkeypatch.setattr(chance, "_source", random.Random(5))  # so that the share is the same each time
    server = sentry(traces_sample_rate=0.25, environment="here")
    told = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if looks == "at the scope":
            sentry_sdk.get_current_scope().set_tag("somebody", "looks")
        if looks != "not":
            told.append((sentry_sdk.get_traceparent(), _items(sentry_sdk.get_baggage())))
        await _answer(send)

    wrapped = RotaSentryMiddleware(app)
    rounds = 600
    for _ in range(rounds):
        await fetch(wrapped, "/")
    lost = [reason for reason, category in server.lost if category == "span"]
    assert lost == ["sample_rate"] * (rounds - len(server.spans))
    assert 0.2 < len(server.spans) / rounds < 0.3
    assert len(told) == (0 if looks == "not" else rounds)
    ids = {span["trace_id"] for span in server.spans}
    for traceparent, items in told:
        trace_id, _, flag = traceparent.split("-")
        assert (trace_id in ids) is (flag == "1")
        assert items["trace_id"] == trace_id
        assert items["sampled"] == ("true" if flag == "1" else "false")
        assert items["sample_rate"] == "0.25"
        assert items["environment"] == "here"
        assert (float(items["sample_rand"]) < 0.25) is (flag == "1")


def _items(baggage: str | None) -> dict[str, str]:
    pairs = [pair.strip().partition("=") for pair in (baggage or "").split(",")]
    return {name.removeprefix("sentry-"): value for name, _, value in pairs}
