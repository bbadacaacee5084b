"""What every test may use: a real SDK client whose transport keeps the envelopes in memory."""

import gc
import json
import logging
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import httpx
import pytest
import sentry_sdk
from sentry_sdk.envelope import Envelope
from sentry_sdk.transport import Transport
from sentry_sdk.utils import capture_internal_exceptions

from asgi_rota_sentry import RotaSentryMiddleware, Settings, accounts, budget, faults, init, metering
from asgi_rota_sentry.sdk.client import HAS_TRANSACTIONS


def pytest_collection_finish() -> None:
    """Let no garbage collection look through what thousands of tests hold: that took a sixth of the time."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish() -> None:
    """And let those who ask the collector at the end, as Hypothesis does, find it as it was."""
    gc.unfreeze()


class MemoryTransport(Transport):
    """Keeps what would be sent, as it would be sent."""

    def __init__(self) -> None:
        super().__init__()
        self.envelopes: list[Envelope] = []
        self.lost: list[tuple[str, str | None]] = []

    def capture_envelope(self, envelope: Envelope) -> None:
        # What cannot be written is told to the log and lost, as the SDK's transport does in a thread of its own:
        # which thread flushes is a matter of luck, and none may see it raise.
        with capture_internal_exceptions():
            self.envelopes.append(Envelope.deserialize(envelope.serialize()))

    def record_lost_event(self, reason: str, data_category: Any = None, item: Any = None, *, quantity: int = 1) -> None:
        self.lost.append((reason, data_category))

    def items(self, kind: str) -> list[dict[str, Any]]:
        """The payloads of all items of one type, in the order of their sending."""
        sentry_sdk.flush()
        found = [item for envelope in self.envelopes for item in envelope.items if item.type == kind]
        return [json.loads(item.get_bytes()) for item in found]

    @property
    def events(self) -> list[dict[str, Any]]:
        """The error events and messages."""
        return self.items("event")

    @property
    def spans(self) -> list[dict[str, Any]]:
        """The request spans in one form for both lifecycles: name, source, status, tags, op, trace_id, data."""
        return [span for span in self.all_spans if span["op"] != "task.background"]

    @property
    def all_spans(self) -> list[dict[str, Any]]:
        """The request spans, and those of what ran on: on a slow machine any request may have such."""
        return [_transaction(payload) for payload in self.items("transaction")] + [
            _segment(span) for batch in self.items("span") for span in batch["items"] if span["is_segment"]
        ]


def _transaction(payload: dict[str, Any]) -> dict[str, Any]:
    trace = payload["contexts"]["trace"]
    return {
        "name": payload["transaction"],
        "source": payload["transaction_info"]["source"],
        "status": trace.get("status", "ok"),
        "failed": trace.get("status", "ok") not in ("ok", "not_found", "cancelled"),
        "tags": payload.get("tags") or {},
        "op": trace["op"],
        "trace_id": trace["trace_id"],
        "parent_span_id": trace.get("parent_span_id"),
        "user": payload.get("user"),
        "payload": payload,
    }


def _segment(span: dict[str, Any]) -> dict[str, Any]:
    attributes = {name: attribute["value"] for name, attribute in span["attributes"].items()}
    return {
        "name": span["name"],
        "source": attributes["sentry.segment.name.source"],
        "status": span["status"],
        "failed": span["status"] == "error",
        "tags": {name: value for name, value in attributes.items() if name.startswith(("http.", "user."))},
        "op": attributes["sentry.op"],
        "trace_id": span["trace_id"],
        "parent_span_id": span.get("parent_span_id"),
        "user": {"id": attributes.get("user.id")},
        "payload": span,
    }


def when(span: dict[str, Any]) -> tuple[float, float]:
    """Beginning and end, in seconds since the epoch."""
    payload = span["payload"]
    moments = payload["start_timestamp"], payload.get("end_timestamp") or payload.get("timestamp")
    begun, ended = (
        datetime.fromisoformat(moment).timestamp() if isinstance(moment, str) else moment for moment in moments
    )
    return float(begun), float(ended)


def ran_on_for_long(span: dict[str, Any]) -> bool:
    """Whether the span is of what ran on for a quarter of a second, which on a slow machine may be anything."""
    begun, ended = when(span)
    return span["op"] == "task.background" and ended - begun >= 0.25


LIFECYCLES = ["static", "stream"] if HAS_TRANSACTIONS else ["stream"]


def session_counts(payloads: Iterable[dict[str, Any]]) -> Counter[str]:
    """The sessions that these items of the type `sessions` tell of, by outcome."""
    totals: Counter[str] = Counter()
    for payload in payloads:
        for counts in payload["aggregates"]:
            totals.update({outcome: count for outcome, count in counts.items() if outcome != "started"})
    return totals


def is_cancelled(span: dict[str, Any]) -> bool:
    """Whether the span says so: by its status, or where spans are streamed and have none for it, by an attribute."""
    attributes = span["payload"].get("attributes")
    return span["status"] == "cancelled" if attributes is None else "asgi.cancelled" in attributes


@pytest.fixture(params=LIFECYCLES)
def lifecycle(request: pytest.FixtureRequest) -> str:
    """How this SDK sends spans: in transactions, or streamed."""
    return str(request.param)


@pytest.fixture
def sentry(lifecycle: str) -> Iterator[Callable[..., MemoryTransport]]:
    """Start the SDK through `init`, with every request sampled: `sentry(settings_field=…, options={…})`."""

    def start(options: dict[str, Any] | None = None, **fields: Any) -> MemoryTransport:
        transport = MemoryTransport()
        given = {
            "dsn": "http://key@127.0.0.1:9/1",
            "traces_sample_rate": 1.0,
            "profiles_sample_rate": 0.0,
            "slow_request_seconds": 60,
            **fields,
        }
        own = {"transport": transport, "trace_lifecycle": lifecycle, "trace_propagation_targets": []}
        own |= options or {}
        if lifecycle == "static":
            own.pop("trace_lifecycle")
        init(Settings(**given), **own)
        flush_whole()
        return transport

    yield start
    _reset()


def flush_whole() -> None:
    """Let a flush wait for the one that the batcher's own thread is busy with; the SDK's returns at once, too early."""
    client = sentry_sdk.get_client()
    for batcher in (client.span_batcher, client.log_batcher, client.metrics_batcher):
        if batcher is not None:
            batcher._flush = _one_at_a_time(batcher._flush)  # type: ignore[method-assign]


def _one_at_a_time(flush: Callable[..., None]) -> Callable[..., None]:
    lock = threading.RLock()

    def whole(*args: Any, **kwargs: Any) -> None:
        with lock:
            flush(*args, **kwargs)

    return whole


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    """No test sees the SDK, or the silence of a fault, of another."""
    faults.forget()
    # A framework under test may have configured logging (Celery's worker does).
    faults.logger.disabled = False
    logging.root.setLevel(logging.WARNING)
    budget.BUDGETS.forget()
    metering.METERINGS.forget()
    call = RotaSentryMiddleware.__call__
    yield
    # The SDK puts a span around the middleware classes that Starlette is given.
    RotaSentryMiddleware.__call__ = call  # type: ignore[method-assign]
    _reset()


def _reset() -> None:
    from asgi_rota_sentry import sdk, start

    sdk.layer.set(False)
    start._started_with.clear()
    sentry_sdk.get_client().close(timeout=0)
    sentry_sdk.get_global_scope().set_client(None)
    sentry_sdk.get_isolation_scope().clear()
    sentry_sdk.get_current_scope().clear()


@contextmanager
def no_new_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As where the process has as many threads as it may have."""

    def refuse(*_: Any) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as full:
        full.setattr(accounts, "start_new_thread", refuse)
        yield


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Every async test runs on both event loops."""
    return str(request.param)


Get = Callable[..., Awaitable[httpx.Response]]


@pytest.fixture
def fetch() -> Get:
    """One HTTP request to an ASGI app: `await fetch(app, "/path")`; what the app raises is swallowed, as servers do."""

    async def send(app: Any, url: str, method: str = "GET", *, raises: bool = False, **given: Any) -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=raises, client=("198.51.100.7", 1234))
        async with httpx.AsyncClient(transport=transport, base_url="http://rota.example") as client:
            return await client.request(method, url, **given)

    return send
