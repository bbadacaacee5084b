"""The request's transaction on sentry-sdk 2.x."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import sentry_sdk
from sentry_sdk.tracing import Transaction

from asgi_rota_sentry import faults
from asgi_rota_sentry.breakdown import REST
from asgi_rota_sentry.sdk import chance, children, profiles
from asgi_rota_sentry.sdk.background import BACKGROUND_OP, is_plumbing
from asgi_rota_sentry.sdk.origin import ORIGIN
from asgi_rota_sentry.sdk.scope import RequestScope


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

    def pass_on(self, at: datetime) -> None:
        """What began when is told apart at the end."""

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

    def has_more(self) -> bool:
        """Whether spans of work began after the end, and not only those that a framework has around its own doings."""
        recorder = self._transaction._span_recorder
        if recorder is None or self._is_adopted:
            return False
        return any(span.timestamp is not None and not is_plumbing(span.op or "") for span in recorder.spans)

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
