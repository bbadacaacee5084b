"""The request's transaction on sentry-sdk 2.x, and its stand-in for a request that is not sampled."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import sentry_sdk
from sentry_sdk.scope import Scope
from sentry_sdk.tracing import Transaction

from asgi_rota_sentry import faults
from asgi_rota_sentry.breakdown import REST
from asgi_rota_sentry.sdk import chance, children, profiles
from asgi_rota_sentry.sdk.client import BACKGROUND_OP, ORIGIN, Client
from asgi_rota_sentry.sdk.late import is_late, make_now, making
from asgi_rota_sentry.sdk.scope import RequestScope
from asgi_rota_sentry.sdk.unsampled import UnsampledSpan


class TransactionSpan:
    """A transaction of sentry-sdk 2.x."""

    sampled: bool

    def __init__(self, transaction: Any, *, is_adopted: bool = False, max_spans: int = 1_000) -> None:
        self._transaction = transaction
        self._max_spans = max_spans
        self._is_adopted = is_adopted
        self.sampled = bool(transaction.sampled)

    def name(self) -> tuple[str, str]:
        """The present name and its source."""
        return self._transaction.name, str(getattr(self._transaction.source, "value", self._transaction.source))

    def rename(self, name: str, source: str) -> None:
        """Name the transaction."""
        self._transaction.name = name
        self._transaction.source = source

    def set_status_code(self, status: int) -> None:
        """Note the HTTP status; Sentry's table makes the span's status of it."""
        self._transaction.set_http_status(status)

    def fail(self) -> None:
        """Mark the transaction as failed by an exception."""
        self._transaction.set_status("internal_error")

    def cancel(self) -> None:
        """Mark the transaction as given up by the client."""
        self._transaction.set_status("cancelled")

    def set_data(self, data: Mapping[str, Any]) -> None:
        """Attach data attributes."""
        for name, value in data.items():
            self._transaction.set_data(name, value)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Attach tags."""
        for name, value in tags.items():
            self._transaction.set_tag(name, value)

    def set_user(self, user: Mapping[str, Any], preferences: Mapping[str, str]) -> None:
        """The event processor of the request puts the user into its transaction."""

    def set_request(self, attributes: Mapping[str, Any]) -> None:
        """The event processor puts the request into its transaction, too."""

    def end(self, at: datetime | None = None) -> None:
        """End and send the transaction, which tells where its time went."""
        later: list[Any] = []
        if self.sampled:
            if at is not None and not self._is_adopted:
                later = self._cut(at)
            self._break_down(at)
        if not self._is_adopted:
            profiles.stop(self._transaction)
            self._transaction.finish(end_timestamp=at)
            if self.sampled:
                # The spans of what runs on are for the transaction that follows.
                self._transaction.init_span_recorder(self._max_spans)
                self._transaction._span_recorder.spans.extend(later)

    def follow(self, since: datetime, until: datetime, *, failed: bool) -> None:
        """Send a transaction of its own for what ran on in the background, with the spans that began since."""
        done = self._transaction
        if self._is_adopted:
            return
        background = Transaction(
            op=BACKGROUND_OP,
            name=f"{done.name} (background)",
            source="custom",
            origin=ORIGIN,
            baggage=done.get_baggage(),
            parent_sampled=True,
            sampled=True,
            trace_id=done.trace_id,
            parent_span_id=done.span_id,
            start_timestamp=since,
        )
        background.sample_rate = done.sample_rate
        background._span_recorder, done._span_recorder = done._span_recorder, None
        spans = background._span_recorder.spans
        known = {span.span_id for span in spans}
        for span in spans:
            if span.parent_span_id not in known:  # but below what was closed with the request
                span.parent_span_id = background.span_id
        background.set_status("internal_error" if failed else "ok")
        TransactionSpan(background).end(until)

    def let_go(self) -> None:
        """Forget the spans that began after the end, which know the transaction in turn."""
        if not self._is_adopted:
            self._transaction._span_recorder = None

    def _cut(self, at: datetime) -> list[Any]:
        try:
            return children.cut(self._transaction, at)
        except Exception:
            faults.report("looking through the spans of a request")
            return []

    def _break_down(self, at: datetime | None) -> None:
        try:
            recorder = self._transaction._span_recorder
            if recorder is not None and not recorder.spans and not getattr(recorder, "dropped_spans", 0):
                # There is nothing to be shared out, as in most requests without a framework.
                elapsed = ((at or datetime.now(UTC)) - self._transaction.start_timestamp).total_seconds()
                self._transaction.set_context("breakdown", {f"{REST}.ms": round(max(0.0, elapsed) * 1000, 3)})
                return
            found = children.of_transaction(self._transaction, at)
            if found is not None:
                self._transaction.set_context("breakdown", found.flat())
                if found.repeated is not None:
                    self._transaction.set_tag("n_plus_one", "true")
        except Exception:
            faults.report("breaking down the time of a request")


class _StandIn(Transaction):
    """An unsampled transaction that becomes a real one only when somebody looks at it.

    Its slots are empty at first. Reading an empty one fills them all, as the SDK would have filled them: from the
    request's propagation context, and with the draw that left the request unsampled.
    """

    __slots__ = ("_client", "_context", "_current", "_draw", "_kind", "_naming", "is_real")

    is_real: bool
    _client: Client
    _context: Callable[[], Any] | None
    _current: Scope | None
    _draw: float
    _kind: str
    _naming: Callable[[], str]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        with making():  # threads may ask at once
            if self._current is not None and is_late(self._current):
                make_now(self._current)  # which may have a name for it
                return getattr(self, name)
            if name == "name":
                self.name = self._naming()
            elif name == "source":
                self.source = "url"
            elif not self.is_real:
                self._become_real()
        return object.__getattribute__(self, name)

    def _become_real(self) -> None:
        self.is_real = True
        # The request's own, whoever asks: a thread may have scopes of its own.
        context = (self._context or sentry_sdk.get_isolation_scope().get_active_propagation_context)()
        name, source = self.name, self.source
        kind = f"{self._kind}.server"
        super().__init__(
            name=name,
            source=source,
            op=kind,
            origin=ORIGIN,
            trace_id=context.trace_id,
            sampled=False,
            same_process_as_parent=False,
            baggage=chance.baggage(self._draw),
        )
        self.sample_rate = float(self._client.traces_sample_rate)

    def update_active_thread(self) -> None:
        """A request that is not sampled has no profile."""

    def set_profiler_id(self, profiler_id: str | None) -> None:
        """A request that is not sampled has no profile."""


class _UnsampledTransaction(UnsampledSpan):
    """The request span of a request that the draw left out; a stand-in is made when somebody looks at the scopes."""

    _transaction: _StandIn | None = None

    def __init__(self, scope: RequestScope, *, kind: str, name: Callable[[], str], draw: float) -> None:
        self._client = scope.client
        self._scope: RequestScope | None = scope
        self._kind = kind
        self._name = name
        self._draw = draw

    def begin(self, current: Scope) -> None:
        """Have a scope that somebody has looked at hold a stand-in."""
        transaction, _ = self.stand_ins(None)
        # Not through the property, which would look at the name.
        current._span = transaction

    def stand_ins(self, current: Scope | None) -> tuple[Any, Any]:
        """What a scope that nobody has looked at yet holds instead of a transaction and a segment."""
        if self._transaction is None:
            transaction = _StandIn.__new__(_StandIn)
            transaction.is_real = False
            transaction.sampled = False
            transaction._span_recorder = None
            transaction._naming = self._name
            transaction._kind = self._kind
            transaction._draw = self._draw
            transaction._client = self._client
            transaction._current = current
            transaction._context = None if self._scope is None else self._scope.new_trace
            self._transaction = transaction
        return self._transaction, None

    def end(self, at: datetime | None = None) -> None:
        """Count the transaction as not sampled, as the SDK does when it ends one."""
        transaction, self._scope = self._transaction, None  # the scope knows us: no cycle is left
        if transaction is not None:
            transaction._current = transaction._context = None
            if transaction.is_real:
                transaction.finish(end_timestamp=at)
                return
        transport = self._client.raw.transport
        if transport is not None:
            transport.record_lost_event("sample_rate", data_category="transaction")
            transport.record_lost_event("sample_rate", data_category="span")


def begin_unsampled(scope: RequestScope, *, kind: str, name: Callable[[], str], draw: float) -> _UnsampledTransaction:
    """The span of a request that the draw left out."""
    span = _UnsampledTransaction(scope, kind=kind, name=name, draw=draw)
    scope.begin_when_seen(span.begin, span.stand_ins)
    return span


def begin(scope: RequestScope, asgi_scope: Any, *, kind: str, name: str, draw: float | None) -> TransactionSpan:
    """The span of a request that the draw has chosen, or that the SDK is to decide on (`draw` None)."""
    client = scope.client
    scope.make_now()
    context = scope.scope.get_active_propagation_context()
    transaction = Transaction(
        op=f"{kind}.server",
        name=name,
        source="url",
        origin=ORIGIN,
        baggage=context.baggage if draw is None else chance.baggage(draw),
        parent_sampled=context.parent_sampled,
        trace_id=context.trace_id,
        span_id=chance.span_id(),
        parent_span_id=context.parent_span_id,
        same_process_as_parent=False,
    )
    if draw is None or client.profiles:
        sentry_sdk.start_transaction(transaction, custom_sampling_context={"asgi_scope": asgi_scope})
        profiles.start(transaction)
    else:
        _start_chosen(transaction, float(client.traces_sample_rate), client.max_spans)
    scope.current.span = transaction
    return TransactionSpan(transaction, max_spans=client.max_spans)


def _start_chosen(transaction: Transaction, rate: float, max_spans: int) -> None:
    """What the SDK does to start a transaction, once its draw has chosen it; the rate goes out with the trace."""
    transaction.sampled = True
    transaction.sample_rate = rate
    if transaction._baggage is not None:
        transaction._baggage.sentry_items["sample_rate"] = str(rate)
    transaction.init_span_recorder(max_spans)
