"""The request's span: the draw, the trace that goes on, what the SDK is told of it, sessions."""

import gc
import logging
import math
import random
import re
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import anyio
import pytest
import sentry_sdk
from sentry_sdk.integrations.asgi import SentryAsgiMiddleware
from sentry_sdk.integrations.starlette import StarletteIntegration
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from asgi_rota_sentry import RotaSentryMiddleware
from asgi_rota_sentry.journey import Journey
from asgi_rota_sentry.sdk.client import HAS_TRANSACTIONS
from tests.conftest import Get, MemoryTransport, session_counts
from tests.wire import Wire, http, websocket

pytestmark = pytest.mark.anyio

Sentry = Callable[..., MemoryTransport]
TRACE = "1f2e3d4c5b6a79881f2e3d4c5b6a7988"
PARENT = "1234567890abcdef"


class App:
    """Answers 200, and notes what a call to another service would have been told of the trace."""

    def __init__(self) -> None:
        self.traceparents: list[str] = []
        self.baggages: list[dict[str, str]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.traceparents.append(sentry_sdk.get_traceparent() or "")
        pairs = (sentry_sdk.get_baggage() or "").split(",")
        self.baggages.append(dict(pair.removeprefix("sentry-").split("=", 1) for pair in pairs if "=" in pair))
        if scope["path"] == "/logged":
            sentry_sdk.capture_exception(ValueError("handled"))
        if scope["path"] == "/broken":
            raise ValueError
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})


def scope_of(path: str = "/", *headers: tuple[bytes, bytes]) -> dict[str, Any]:
    return {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": list(headers)}


async def run(app: Any, scope: dict[str, Any]) -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        """Take it."""

    try:
        await app(scope, receive, send)
    except ValueError:
        return


async def test_the_sampled_share_is_the_configured_one(sentry: Sentry) -> None:
    """At 25 % of 2,000 requests, within four standard deviations; what was not sent is counted as such."""
    server = sentry(traces_sample_rate=0.25)
    app = RotaSentryMiddleware(App())
    for _ in range(2000):
        await run(app, scope_of())
    sampled = len(server.spans)
    assert abs(sampled - 500) < 4 * math.sqrt(2000 * 0.25 * 0.75)
    lost = server.lost.count(("sample_rate", "transaction" if not _streams() else "span"))
    assert lost == 2000 - sampled


def _streams() -> bool:
    return not HAS_TRANSACTIONS or sentry_sdk.get_client().options.get("trace_lifecycle") == "stream"


@pytest.mark.parametrize("rate", [0.0, 1e-9])
async def test_what_an_unsampled_request_sends_on_says_so(sentry: Sentry, rate: float) -> None:
    """The flag is 0, and the baggage tells the decision, the rate and the draw that led to it."""
    server = sentry(traces_sample_rate=rate)
    app = App()
    await run(RotaSentryMiddleware(app), scope_of())
    assert re.fullmatch(r"[0-9a-f]{32}-[0-9a-f]{16}-0", app.traceparents[0])
    baggage = app.baggages[0]
    assert baggage["trace_id"] == app.traceparents[0][:32]
    assert (baggage["sampled"], float(baggage["sample_rate"])) == ("false", rate)
    assert 0 <= float(baggage["sample_rand"]) < 1
    assert (server.spans, set(server.lost) - {("sample_rate", "span")}) == (
        [],
        set() if _streams() else {("sample_rate", "transaction")},
    )


async def test_what_a_sampled_request_sends_on_fits_its_span(sentry: Sentry) -> None:
    """The trace ID of the headers is the span's, the draw below the rate."""
    server = sentry(traces_sample_rate=1.0)
    app = App()
    await run(RotaSentryMiddleware(app), scope_of())
    (span,) = server.spans
    assert app.traceparents[0].startswith(span["trace_id"])
    assert app.traceparents[0].endswith("-1")
    assert float(app.baggages[0]["sample_rand"]) < float(app.baggages[0]["sample_rate"])


async def test_threads_that_ask_at_once_are_told_the_same_trace(sentry: Sentry, lifecycle: str) -> None:
    """Of a request that is not sampled, too; where spans are streamed, the SDK may tell each another parent."""
    sentry(traces_sample_rate=0.0)
    told: list[set[str | None]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        start, found = threading.Barrier(4), set[str | None]()

        def ask() -> None:
            start.wait(10)
            found.add(sentry_sdk.get_traceparent())

        async with anyio.create_task_group() as group:
            for _ in range(4):
                group.start_soon(anyio.to_thread.run_sync, ask)
        told.append({parent if lifecycle == "static" else str(parent)[:32] for parent in found})

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for _ in range(40):
            await run(RotaSentryMiddleware(app), scope_of())
    finally:
        sys.setswitchinterval(before)
    assert [len(found) for found in told] == [1] * 40


async def test_each_request_without_a_parent_has_a_trace_of_its_own(sentry: Sentry) -> None:
    """With tracing on or off."""
    for rate in (1.0, 1e-9, None):
        sentry(options={"traces_sample_rate": rate})
        app = App()
        wrapped = RotaSentryMiddleware(app)
        for _ in range(3):
            await run(wrapped, scope_of())
        assert len({traceparent[:32] for traceparent in app.traceparents}) == 3


@pytest.mark.parametrize("rate", [1.0, None], ids=["tracing on", "tracing off"])
@pytest.mark.parametrize("flag", ["1", "0", ""])
async def test_an_incoming_trace_is_continued(sentry: Sentry, lifecycle: str, rate: float | None, flag: str) -> None:
    """An event inside belongs to the incoming trace; what the parent decided holds, with tracing off as in the SDK."""
    server = sentry(options={"traces_sample_rate": rate})
    header = f"{TRACE}-{PARENT}" + (f"-{flag}" if flag else "")
    await run(RotaSentryMiddleware(App()), scope_of("/logged", (b"sentry-trace", header.encode())))
    assert server.events[0]["contexts"]["trace"]["trace_id"] == TRACE
    is_sampled = flag == "1" if rate is None and lifecycle == "stream" else rate is not None and flag != "0"
    assert len(server.spans) == int(is_sampled)
    assert {span["parent_span_id"] for span in server.spans} <= {PARENT}


@pytest.mark.parametrize(
    ("header", "is_continued"),
    [
        (f"00-{TRACE}-{PARENT}-01", True),
        (f"00-{TRACE}-{PARENT}-00", True),
        (f"ff-{TRACE}-{PARENT}-01", False),
        (f"00-{'0' * 32}-{PARENT}-01", False),
        (f"00-{TRACE}-{'0' * 16}-01", False),
        (f"00-{TRACE.upper()}-{PARENT}-01", False),
        (f"00-{TRACE}-{PARENT}", False),
        (f"00-{TRACE}-{PARENT}-01-more", False),
        (f"01-{TRACE}-{PARENT}-01-more", True),
        ("nonsense", False),
    ],
)
async def test_a_w3c_traceparent_serves_where_sentrys_header_is_missing(
    sentry: Sentry, header: str, is_continued: bool
) -> None:
    """A well-formed one is continued, with a draw of our own; a malformed one is ignored."""
    server = sentry()
    await run(RotaSentryMiddleware(App()), scope_of("/", (b"traceparent", header.encode())))
    (span,) = server.spans
    assert (span["trace_id"] == TRACE) is is_continued
    assert (span["parent_span_id"] == PARENT) is is_continued


async def test_a_w3c_traceparent_serves_where_sentrys_header_is_malformed(sentry: Sentry) -> None:
    """A well-formed one of Sentry's goes before it, with its decision."""
    server = sentry()
    traceparent = (b"traceparent", f"00-{TRACE}-{PARENT}-01".encode())
    for header in (b"nonsense", b"", f"{'3' * 32}-{PARENT}-1".encode()):
        await run(RotaSentryMiddleware(App()), scope_of("/", (b"sentry-trace", header), traceparent))
    assert [span["trace_id"] for span in server.spans] == [TRACE, TRACE, "3" * 32]


async def test_the_methods_of_a_transaction_are_those_of_the_sdk(sentry: Sentry) -> None:
    """Neither HEAD and OPTIONS nor what a client invents; a websocket always."""
    server = sentry()
    methods = ("GET", "POST", "put", "PATCH", "DELETE", "TRACE", "CONNECT", "HEAD", "OPTIONS", "PROPFIND", "X7")
    for method in methods:
        await run(RotaSentryMiddleware(App()), {**scope_of(), "method": method})
    assert [span["tags"]["http.method"] for span in server.spans] == [method.upper() for method in methods[:7]]
    server.envelopes.clear()
    await Wire().run(RotaSentryMiddleware(App()), websocket())
    assert len(server.spans) == 1


async def test_the_methods_that_an_integration_is_given_make_transactions(sentry: Sentry) -> None:
    """`http_methods_to_capture`, in whichever case; those that are left out do not, a websocket always does."""
    options = {"integrations": [StarletteIntegration(http_methods_to_capture=("post", "HEAD"))]}
    server = sentry(options=options)
    for method in ("GET", "POST", "HEAD", "head", "OPTIONS"):
        await run(RotaSentryMiddleware(App()), {**scope_of(), "method": method})
    assert [span["tags"]["http.method"] for span in server.spans] == ["POST", "HEAD", "HEAD"]
    server.envelopes.clear()
    await Wire().run(RotaSentryMiddleware(App()), websocket())
    assert len(server.spans) == 1


async def test_with_tracing_off_the_callers_decision_holds_where_spans_are_streamed(
    sentry: Sentry, lifecycle: str
) -> None:
    """As in the SDK, which begins nothing by itself then; what is done in the request hangs below its segment."""
    server = sentry(options={"traces_sample_rate": None})

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if lifecycle == "stream":
            with sentry_sdk.traces.start_span(name="SELECT 1", attributes={"sentry.op": "db"}):
                pass
        await App()(scope, receive, send)

    for header in (f"{TRACE}-{PARENT}-1", f"{TRACE}-{PARENT}-0", f"{TRACE}-{PARENT}", ""):
        await run(RotaSentryMiddleware(app), scope_of("/", *([(b"sentry-trace", header.encode())] if header else [])))
    spans = [span for batch in server.items("span") for span in batch["items"]]
    assert len(server.spans) == (1 if lifecycle == "stream" else 0)
    assert {span["trace_id"] for span in spans} <= {TRACE}
    if lifecycle == "stream":
        query, segment = spans
        assert (segment["name"], segment["parent_span_id"]) == ("/", PARENT)
        assert query["parent_span_id"] == segment["span_id"]
        assert segment["attributes"]["breakdown.db.count"]["value"] == 1


async def test_baggage_on_several_lines_is_continued_as_one(sentry: Sentry) -> None:
    """W3C allows it: the draw of the one who began the trace is kept, whichever line has it."""
    sentry()
    app = App()
    ours = f"sentry-trace_id={TRACE},sentry-sample_rand=0.25,sentry-sample_rate=0.5,sentry-sampled=true".encode()
    lines = [(b"sentry-trace", f"{TRACE}-{PARENT}-1".encode()), (b"baggage", b"team=a"), (b"baggage", ours)]
    await run(RotaSentryMiddleware(app), scope_of("/", *lines, (b"baggage", b"tenant=acme")))
    await run(RotaSentryMiddleware(app), scope_of("/", *reversed(lines)))
    assert [baggage["sample_rand"] for baggage in app.baggages] == ["0.25", "0.25"]


async def test_of_two_trace_headers_the_first_is_continued(sentry: Sentry) -> None:
    """As by the SDK: one that an intermediary added behind it is another trace."""
    for wrap in (RotaSentryMiddleware, SentryAsgiMiddleware):
        server = sentry()
        other = f"{TRACE[::-1]}-{PARENT}-0"
        lines = [(b"sentry-trace", header.encode()) for header in (f"{TRACE}-{PARENT}-1", other)]
        await run(wrap(App()), scope_of("/", *lines))
        assert [span["trace_id"] for span in server.spans] == [TRACE]


async def test_a_sampler_of_the_users_decides_and_sees_the_request(sentry: Sentry) -> None:
    """It gets the name, the source and the ASGI scope."""
    seen: list[Any] = []

    def sampler(context: Any) -> float:
        seen.append(context)
        return 1.0 if context["asgi_scope"]["path"] == "/keep" else 0.0

    server = sentry(options={"traces_sampler": sampler})
    for path in ("/keep", "/drop"):
        await run(RotaSentryMiddleware(App()), scope_of(path))
    assert [span["name"] for span in server.spans] == ["/keep"]
    assert [context["transaction_context"]["name"] for context in seen] == ["/keep", "/drop"]
    assert {str(context["transaction_context"]["source"]) for context in seen} == {"url"}


async def test_children_hang_under_the_request_and_are_dropped_with_it(sentry: Sentry) -> None:
    """A span started in a view belongs to a sampled request's span; an unsampled request sends none."""
    for rate, expected in ((1.0, 1), (1e-9, 0)):
        server = sentry(traces_sample_rate=rate)

        async def app(scope: Any, receive: Any, send: Any) -> None:
            start = sentry_sdk.traces.start_span if _streams() else sentry_sdk.start_span
            with start(name="work"):
                """Work."""

        await run(RotaSentryMiddleware(app), scope_of())
        children = [span for payload in server.items("transaction") for span in payload["spans"]]
        children += [span for batch in server.items("span") for span in batch["items"] if not span["is_segment"]]
        assert len(children) == expected
        assert len(server.spans) == expected


async def test_a_clock_that_is_put_back_ends_no_request_before_it_began(
    sentry: Sentry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sentry would refuse the span; it is as long as the request was."""
    now = time.time

    async def put_back(scope: Any, receive: Any, send: Any) -> None:
        monkeypatch.setattr(time, "time", lambda: now() - 3600)
        await anyio.sleep(0.05)
        await App()(scope, receive, send)

    server = sentry()
    await run(RotaSentryMiddleware(put_back), scope_of())
    monkeypatch.undo()
    (span,) = server.spans
    payload = span["payload"]
    begun, ended = payload["start_timestamp"], payload["end_timestamp" if _streams() else "timestamp"]
    if not _streams():
        begun, ended = (datetime.fromisoformat(moment).timestamp() for moment in (begun, ended))
    assert 0.04 < ended - begun < 60


async def test_request_sessions_are_counted_by_their_outcome(sentry: Sentry) -> None:
    """Release health: exited, errored (a handled error), crashed; in the minute of the request."""
    server = sentry(release="rota@1", environment="test")
    app = RotaSentryMiddleware(App())
    for path in ("/", "/", "/logged", "/", "/broken"):
        await run(app, scope_of(path))
    sessions = server.items("sessions")
    assert {session["attrs"]["release"] for session in sessions} == {"rota@1"}
    assert session_counts(sessions) == {"exited": 3, "errored": 1, "crashed": 1}


@pytest.mark.parametrize(
    ("told", "is_raised"),
    [
        (logging.getLogger("app").exception, True),
        (sentry_sdk.capture_exception, True),
        (sentry_sdk.capture_exception, False),
    ],
    ids=["logged", "captured", "answered"],
)
async def test_a_session_crashes_by_what_nobody_handles(
    sentry: Sentry, told: Callable[[Exception], Any], *, is_raised: bool
) -> None:
    """Also where the application has logged or captured it before it raised it again: the one event is of then."""
    server = sentry(release="rota@1")

    async def view(request: Request) -> Response:
        try:
            return Response(str(int("abc")))
        except ValueError as exc:
            told(exc)
            if is_raised:
                raise
            return Response("none")

    async def expected(request: Request) -> Response:
        raise ExceptionGroup("no events", [HTTPException(404)])

    app = RotaSentryMiddleware(Starlette(routes=[Route("/", view), Route("/expected", expected)]))
    await run(app, scope_of("/"))
    with pytest.raises(ExceptionGroup):
        await run(app, scope_of("/expected"))
    assert len(server.events) == 1
    outcome = "crashed" if is_raised else "errored"
    assert session_counts(server.items("sessions")) == {outcome: 1, "exited": 1}


@pytest.mark.parametrize(
    ("options", "outcome"),
    [
        ({"sample_rate": 0.0}, "crashed"),
        ({"error_sampler": lambda *_: 0.0}, "crashed"),
        ({"before_send": lambda *_: None}, "exited"),
    ],
    ids=["sample_rate", "error_sampler", "before_send"],
)
async def test_a_session_crashes_also_where_the_event_is_not_sampled(
    sentry: Sentry, fetch: Get, options: dict[str, Any], outcome: str
) -> None:
    """As by the SDK's layer: of an error that was captured, and raised again, within the budget and beyond it.

    What the user's hook keeps out crashes none.
    """
    server = sentry(release="rota@1", errors_per_minute=1, options=options)

    async def view(request: Request) -> Response:
        try:
            return Response(str(int("abc")))
        except ValueError as exc:
            sentry_sdk.capture_exception(exc)
            raise

    app = RotaSentryMiddleware(Starlette(routes=[Route("/", view)]))
    for _ in range(3):
        await fetch(app, "/")
    assert server.events == []
    assert session_counts(server.items("sessions")) == {outcome: 3}


async def test_a_session_that_the_application_begins_ends_with_the_request(sentry: Sentry) -> None:
    """It is sent, and the request's own is counted, as by the SDK's layer."""
    for wrap in (RotaSentryMiddleware, SentryAsgiMiddleware):
        server = sentry(release="rota@1")

        async def app(scope: Any, receive: Any, send: Any) -> None:
            sentry_sdk.get_isolation_scope().start_session(session_mode="application")
            await App()(scope, receive, send)

        await run(wrap(app), scope_of("/"))
        assert [session["status"] for session in server.items("session")] == ["exited"]
        assert session_counts(server.items("sessions")) == {"exited": 1}


async def test_no_session_is_lost_or_counted_twice_whenever_the_sdk_sends_them(sentry: Sentry) -> None:
    """They are added to the SDK's counts a thousand at a time, and before it sends those."""
    server = sentry(release="rota@1", environment="test", traces_sample_rate=1e-9)
    app = RotaSentryMiddleware(App())
    for number in range(1, 2_301):
        await run(app, scope_of("/broken" if number % 23 == 0 else "/"))
        if number in (1, 2, 57, 58, 1_900):
            sentry_sdk.flush()
    assert session_counts(server.items("sessions")) == {"exited": 2_200, "crashed": 100}


async def test_sessions_are_counted_in_the_minute_in_which_their_request_came(
    sentry: Sentry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where requests of several minutes are added up together, in whichever order they ended."""
    server = sentry(release="rota@1", traces_sample_rate=1e-9)
    app = RotaSentryMiddleware(App())
    minute = 1_900_000_020.0
    for moment in (minute + 59.9, minute + 60.0, minute, minute + 125.0, minute + 119.9):
        monkeypatch.setattr("time.time", lambda moment=moment: moment)
        await run(app, scope_of())
        await run(app, scope_of("/broken"))
    found = {
        counts["started"]: (counts.get("exited"), counts.get("crashed"))
        for payload in server.items("sessions")
        for counts in payload["aggregates"]
    }
    beginnings = [datetime.fromtimestamp(minute + later, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") for later in (0, 60, 120)]
    assert {start.replace(".000000Z", "Z"): counts for start, counts in found.items()} == dict(
        zip(beginnings, [(2, 2), (2, 2), (1, 1)], strict=True)
    )


@pytest.mark.parametrize(
    ("rate", "afterwards"),
    [
        pytest.param(1.0, None, id="sampled"),
        pytest.param(1e-9, None, id="unsampled"),
        pytest.param(1e-9, lambda: sentry_sdk.get_current_scope().set_tag("a", "b"), id="looked at later"),
        pytest.param(1e-9, lambda: sentry_sdk.get_current_scope()._span, id="asked for its span later"),
    ],
)
async def test_nothing_is_left_for_the_garbage_collector(
    sentry: Sentry, rate: float, afterwards: Callable[[], Any] | None
) -> None:
    """A request without an error leaves no cycle behind: no scope, no span, nothing of ours.

    But for what a sampled segment of the SDK's keeps: it knows itself and its scope.
    """
    sentry(traces_sample_rate=rate)

    async def answered(scope: Any, receive: Any, send: Any) -> None:
        if afterwards is None:
            await App()(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})
        afterwards()

    app = RotaSentryMiddleware(answered)
    for _ in range(20):
        await run(app, scope_of())
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        for _ in range(20):
            await run(app, scope_of())
        gc.collect()
        # Other tests' rubbish may be swept up here too: only journeys through this middleware count.
        left = [thing for thing in gc.garbage if type(thing) is Journey and thing._config is app]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert len(left) <= (40 if rate == 1.0 and _streams() else 0)


async def test_the_apps_own_name_wins(sentry: Sentry, fetch: Get) -> None:
    """`set_transaction_name` of the application (source `custom`) is kept for the span and its errors."""
    server = sentry()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        sentry_sdk.get_current_scope().set_transaction_name("my own", source="custom")
        raise ValueError

    await fetch(RotaSentryMiddleware(app), "/somewhere")
    assert [event["transaction"] for event in server.events] == ["my own"]
    assert [span["name"] for span in server.spans] == ["my own"]


async def test_a_scope_that_the_application_clears_makes_no_name_of_the_url(sentry: Sentry) -> None:
    """Each URL would be a name of the application's own at Sentry."""
    server = sentry()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        sentry_sdk.get_current_scope().clear()
        await App()(scope, receive, send)

    await run(RotaSentryMiddleware(app), scope_of("/17"))
    assert [(span["name"], span["source"]) for span in server.spans] == [("/17", "url")]


async def test_an_application_that_seeds_its_randomness_changes_no_draw_and_no_id(sentry: Sentry) -> None:
    """Two processes that seed alike, as for a model's sake, are not sampled alike and share no trace."""
    server = sentry(traces_sample_rate=0.5)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        random.seed(7)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"fine"})

    wrapped = RotaSentryMiddleware(app)
    random.seed(7)
    for _ in range(100):
        await Wire().run(wrapped, http())
    spans = server.spans
    assert 10 < len(spans) < 90
    assert len({span["trace_id"] for span in spans}) == len(spans)
