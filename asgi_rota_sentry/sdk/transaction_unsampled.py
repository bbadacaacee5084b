"""What stands for the transaction of a request that is not sampled, on sentry-sdk 2.x."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import sentry_sdk
from sentry_sdk.scope import Scope
from sentry_sdk.tracing import Transaction

from asgi_rota_sentry.sdk import chance
from asgi_rota_sentry.sdk.client import Client
from asgi_rota_sentry.sdk.late import LateScope, make_now, making
from asgi_rota_sentry.sdk.origin import ORIGIN
from asgi_rota_sentry.sdk.scope import RequestScope
from asgi_rota_sentry.sdk.unsampled import UnsampledSpan


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
            if type(self._current) is LateScope:
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
            span_id=chance.span_id(),  # else each thread that asks at once might draw its own
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
            # After the end the scope knows it for good: a cycle that nobody would break.
            transaction._current = None if self._scope is None else current
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


def begin(scope: RequestScope, *, kind: str, name: Callable[[], str], draw: float) -> _UnsampledTransaction:
    """The span of a request that the draw left out."""
    span = _UnsampledTransaction(scope, kind=kind, name=name, draw=draw)
    scope.begin_when_seen(span.begin, span.stand_ins)
    return span
