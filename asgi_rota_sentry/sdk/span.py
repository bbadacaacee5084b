"""The request's span: a transaction on sentry-sdk 2.x, a segment where spans are streamed (2.x by option, 3.x)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol, cast

import sentry_sdk
from sentry_sdk import traces

from asgi_rota_sentry.sdk.client import Client

ORIGIN = "auto.http.asgi_rota_sentry"


class RequestSpan(Protocol):
    """What the journey needs of the request's span, whichever form it has."""

    sampled: bool

    def name(self) -> tuple[str, str]:
        """The present name and its source (`route`, `url`, `custom`, …)."""

    def rename(self, name: str, source: str) -> None:
        """Name the span."""

    def set_status_code(self, status: int) -> None:
        """Note the HTTP status, and whether it is a failure."""

    def fail(self) -> None:
        """Mark the span as failed by an exception."""

    def cancel(self) -> None:
        """Mark the span as given up by the client."""

    def set_data(self, data: Mapping[str, Any]) -> None:
        """Attach data attributes."""

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Attach tags."""

    def set_user_id(self, user_id: str) -> None:
        """Note whose request it was, where no event processor does."""

    def set_context(self, name: str, context: Mapping[str, Any]) -> None:
        """Attach a context."""

    def end(self, at: datetime | None = None) -> None:
        """End and send the span."""


class _TransactionSpan:
    """A transaction of sentry-sdk 2.x."""

    def __init__(self, transaction: Any) -> None:
        self._transaction = transaction
        self.sampled = bool(transaction.sampled)

    def name(self) -> tuple[str, str]:
        return self._transaction.name, str(getattr(self._transaction.source, "value", self._transaction.source))

    def rename(self, name: str, source: str) -> None:
        self._transaction.name = name
        self._transaction.source = source

    def set_status_code(self, status: int) -> None:
        self._transaction.set_http_status(status)

    def fail(self) -> None:
        self._transaction.set_status("internal_error")

    def cancel(self) -> None:
        self._transaction.set_status("cancelled")

    def set_data(self, data: Mapping[str, Any]) -> None:
        for name, value in data.items():
            self._transaction.set_data(name, value)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        for name, value in tags.items():
            self._transaction.set_tag(name, value)

    def set_user_id(self, user_id: str) -> None:
        """The event processor of the request puts the user into its transaction."""

    def set_context(self, name: str, context: Mapping[str, Any]) -> None:
        self._transaction.set_context(name, dict(context))

    def end(self, at: datetime | None = None) -> None:
        self._transaction.finish(end_timestamp=at)


class _SegmentSpan:
    """A streamed segment span."""

    def __init__(self, segment: Any) -> None:
        self._segment = segment
        self.sampled = bool(segment.sampled)

    def name(self) -> tuple[str, str]:
        attributes = self._segment.get_attributes()
        return self._segment.name or "", str(attributes.get("sentry.segment.name.source") or "url")

    def rename(self, name: str, source: str) -> None:
        self._segment.name = name
        self._segment.set_attribute("sentry.segment.name.source", source)

    def set_status_code(self, status: int) -> None:
        self._segment.status = "error" if status >= 400 else "ok"
        self._segment.set_attribute("http.response.status_code", status)

    def fail(self) -> None:
        self._segment.status = "error"

    def cancel(self) -> None:
        self._segment.set_attribute("asgi.cancelled", True)

    def set_data(self, data: Mapping[str, Any]) -> None:
        self._segment.set_attributes(dict(data))

    def set_tags(self, tags: Mapping[str, str]) -> None:
        self._segment.set_attributes(dict(tags))

    def set_user_id(self, user_id: str) -> None:
        self._segment.set_attribute("user.id", user_id)

    def set_context(self, name: str, context: Mapping[str, Any]) -> None:
        self._segment.set_attributes({f"{name}.{key}": value for key, value in context.items()})

    def end(self, at: datetime | None = None) -> None:
        self._segment.end(at)


class _Adopted:
    """The span of an SDK layer around us: named and tagged here, ended there."""

    def __init__(self, span: RequestSpan) -> None:
        self._span = span
        self.sampled = span.sampled

    def __getattr__(self, name: str) -> Any:
        return getattr(self._span, name)

    def end(self, at: datetime | None = None) -> None:
        """The layer that began it ends it."""


def adopt_span(client: Client) -> RequestSpan | None:
    """The request span that the SDK's own ASGI middleware has begun, if it has."""
    current = sentry_sdk.get_current_scope()
    if client.streaming:
        segment = getattr(current, "_server_segment_span", None)
        return None if segment is None else cast(RequestSpan, _Adopted(_SegmentSpan(segment)))
    transaction = current.transaction
    return None if transaction is None else cast(RequestSpan, _Adopted(_TransactionSpan(transaction)))


def start_span(client: Client, *, kind: str, name: str, asgi_scope: Any, headers: Mapping[str, str]) -> RequestSpan:
    """Start the span of one `http` or `websocket` request, continuing the trace that the headers name."""
    if client.streaming:
        return _start_segment(kind=kind, name=name, asgi_scope=asgi_scope, headers=headers)
    transaction = sentry_sdk.continue_trace(dict(headers), op=f"{kind}.server", name=name, source="url", origin=ORIGIN)
    sentry_sdk.start_transaction(transaction, custom_sampling_context={"asgi_scope": asgi_scope})
    sentry_sdk.get_current_scope().span = transaction
    return _TransactionSpan(transaction)


def _start_segment(*, kind: str, name: str, asgi_scope: Any, headers: Mapping[str, str]) -> RequestSpan:
    traces.continue_trace(dict(headers))
    sentry_sdk.Scope.set_custom_sampling_context({"asgi_scope": asgi_scope})
    attributes: dict[str, Any] = {
        "sentry.segment.name.source": "url",
        "sentry.origin": ORIGIN,
        "sentry.op": f"{kind}.server",
        "network.protocol.name": kind,
    }
    segment = traces.start_span(name=name, attributes=attributes, parent_span=None)
    # The SDK's integrations put the route on the server's segment, which they find here.
    sentry_sdk.get_current_scope()._server_segment_span = segment
    return _SegmentSpan(segment)


def continue_trace(client: Client, headers: Mapping[str, str]) -> None:
    """Continue an incoming trace without a span of our own: for methods that make no transaction."""
    if client.streaming:
        traces.continue_trace(dict(headers))
    else:
        sentry_sdk.get_isolation_scope().generate_propagation_context(dict(headers))
