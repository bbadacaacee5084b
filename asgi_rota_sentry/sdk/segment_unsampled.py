"""What stands for the segment of a request that is not sampled, where spans are streamed."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from sentry_sdk import traces
from sentry_sdk.scope import Scope

from asgi_rota_sentry.sdk.late import make_now, making
from asgi_rota_sentry.sdk.scope import RequestScope
from asgi_rota_sentry.sdk.segment import attributes_of
from asgi_rota_sentry.sdk.unsampled import UnsampledSpan

_NoOp: Any = traces.NoOpStreamedSpan


class _StandIn(_NoOp):  # type: ignore[misc]
    """A segment that is not sampled, and learns who it is only when somebody asks: its slots are empty at first.

    The SDK's own does nothing with what it is told, and its integrations tell it something in every request.
    """

    __slots__ = ("_unsampled",)

    _unsampled: "_UnsampledSegment | None"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "_unsampled":
            raise AttributeError(name)
        with making():  # threads may ask at once
            if self._unsampled is not None:
                self._unsampled.tell(self)
        return object.__getattribute__(self, name)


class _UnsampledSegment(UnsampledSpan):
    """The request span of a request that the draw left out. The SDK's begins when somebody looks at the scope."""

    _segment: Any = None
    _stand_in: _StandIn | None = None
    _has_ended = False

    def __init__(self, scope: RequestScope, *, kind: str, name: Callable[[], str], draw: float) -> None:
        self._scope = scope
        self._kind = kind
        self._name = name
        self._draw = draw
        scope.begin_when_seen(self.begin, self.stand_ins, draw)

    def begin(self, current: Scope) -> None:
        """Begin on a scope that somebody has looked at."""
        begin_span: Any = getattr(current, "start_streamed_span", None) or current.start_span
        self._segment = begin_span(self._name(), attributes_of(self._kind), None, True)
        if self._has_ended:
            self._segment._scope = None  # nobody ends it: what runs on has looked
        current._server_segment_span = self._segment
        if self._stand_in is not None:
            current._span = current._server_segment_span = self._stand_in

    def stand_ins(self, _: Scope) -> tuple[Any, Any]:
        """What a scope that nobody has looked at yet holds instead of the span and of the server's segment."""
        self._stand_in = stand_in = _StandIn.__new__(_StandIn)
        stand_in._unsampled = self
        if self._has_ended:  # else it would be a cycle that nobody breaks
            self.tell(stand_in)
        return stand_in, stand_in

    def tell(self, stand_in: _StandIn) -> None:
        """Tell a stand-in what the SDK's own segment would know, and what was noted of it on the scope."""
        context = self._scope.new_trace()
        _NoOp.__init__(
            stand_in,
            name=self._name(),
            attributes=attributes_of(self._kind),
            trace_id=context.trace_id,
            parent_span_id=context.parent_span_id,
            parent_sampled=context.parent_sampled,
            baggage=context.baggage,
            sample_rand=self._draw,
            sample_rate=float(self._scope.client.traces_sample_rate),
        )
        stand_in._unsampled = None
        self._stand_in = stand_in  # of which the end has let go
        current = getattr(self._scope, "current", None)
        if current is not None:
            make_now(current)

    def end(self, at: datetime | None = None) -> None:
        """Count the segment as not sampled, as the SDK does when it ends one."""
        scope, segment = self._scope, self._segment
        # The stand-in knows us: no cycle is left.
        self._segment = self._stand_in = None
        self._has_ended = True
        if segment is not None:
            # It began on the copy; on the scope that the copy was made for it stays until that is left.
            segment._scope = None
            segment.end(at)
            return
        transport = scope.client.raw.transport
        if transport is not None:
            transport.record_lost_event("sample_rate", data_category="span", quantity=1)


def begin(scope: RequestScope, *, kind: str, name: Callable[[], str], draw: float) -> UnsampledSpan:
    """The span of a request that the draw left out, while its scopes wait to be looked at."""
    return _UnsampledSegment(scope, kind=kind, name=name, draw=draw)
