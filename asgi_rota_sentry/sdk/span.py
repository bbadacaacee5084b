"""The request's span: a transaction on sentry-sdk 2.x, a segment where spans are streamed (2.x by option, 3.x)."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Protocol

import sentry_sdk
from sentry_sdk import traces

from asgi_rota_sentry.sdk import chance
from asgi_rota_sentry.sdk.client import HAS_TRANSACTIONS, Client

if HAS_TRANSACTIONS:
    from asgi_rota_sentry.sdk import transaction, transaction_unsampled
from asgi_rota_sentry.sdk import segment, segment_unsampled
from asgi_rota_sentry.sdk.scope import RequestScope

TraceHeaders = Mapping[str, str]


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

    def set_user(self, user: Mapping[str, Any], preferences: Mapping[str, str]) -> None:
        """Note whose request it was, where no event processor does."""

    def set_request(self, attributes: Mapping[str, Any]) -> None:
        """Attach what is told of the request, where no event processor does."""

    def end(self, at: datetime | None = None) -> None:
        """End and send the span, unless a layer around us began it."""

    def pass_on(self, at: datetime) -> None:
        """What begins from here on is work in the background, and not of this span, though it may not have ended."""

    def follow(self, since: datetime, until: datetime, *, failed: bool) -> None:
        """Send a span of the same trace, below this one that has ended, for what ran on in the background."""

    def has_more(self) -> bool:
        """Whether the application's own work has begun spans after the end, which would be lost with this one."""

    def let_go(self) -> None:
        """Forget what ran on: it was only the end of the request."""


def continue_trace(client: Client, scope: RequestScope, headers: TraceHeaders) -> None:
    """Continue the trace that the headers name."""
    scope.make_now()
    if client.streaming:
        traces.continue_trace(dict(headers))
    else:
        scope.scope.generate_propagation_context(dict(headers))


def start_span(
    client: Client, scope: RequestScope, asgi_scope: Any, *, headers: TraceHeaders | None, name: Callable[[], str]
) -> RequestSpan | None:
    """Start the span of one `http` or `websocket` request, in the trace that the headers name; for tracing clients.

    `name` is asked only when somebody looks, most of all when the request is sampled. Without a parent and without a
    sampler of the user's the draw comes first, so that an unsampled request costs next to nothing.
    """
    if scope.is_adopted:
        return adopt_span(client, scope)
    if headers:
        continue_trace(client, scope, headers)
    kind = str(asgi_scope.get("type"))
    if headers or client.sampler or not client.draws_alone():
        if client.streaming:
            return segment.begin(scope, asgi_scope, kind=kind, name=name(), draw=None)
        return transaction.begin(scope, asgi_scope, kind=kind, name=name(), draw=None)
    draw = chance.draw()
    is_chosen = draw < client.traces_sample_rate
    if client.streaming:
        if not is_chosen and scope.is_waiting and not client.ignores_spans:
            return segment_unsampled.begin(scope, kind=kind, name=name, draw=draw)
        return segment.begin(scope, asgi_scope, kind=kind, name=name(), draw=draw)
    if not is_chosen:
        return transaction_unsampled.begin(scope, kind=kind, name=name, draw=draw)
    return transaction.begin(scope, asgi_scope, kind=kind, name=name(), draw=draw)


def adopt_span(client: Client, scope: RequestScope) -> RequestSpan | None:
    """The request span that the SDK's own ASGI middleware around us has begun, if it has; it is ended there."""
    if client.streaming:
        found = getattr(scope.current, "_server_segment_span", None)
        return None if found is None else segment.SegmentSpan(found, client, is_adopted=True)
    root = sentry_sdk.get_current_scope().transaction
    return None if root is None else transaction.TransactionSpan(root, is_adopted=True)
