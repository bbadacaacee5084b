"""No span for a request that is left out, as on an excluded path, nor for what is done in it.

Where spans are streamed, one that has none above it is a root, sent by itself. So something stands above them that is
not sampled, and is not counted as lost either, for nothing was drawn.
"""

from typing import Any

from sentry_sdk import traces
from sentry_sdk.scope import Scope

from asgi_rota_sentry.sdk.client import Client
from asgi_rota_sentry.sdk.scope import RequestScope


class _LeftOut:
    """Stands above what is done in the request, once somebody looks."""

    def __init__(self, scope: RequestScope) -> None:
        self._new_trace = scope.new_trace
        self._nothing: Any = None
        scope.begin_when_seen(self.begin, self.stand_ins)

    def begin(self, current: Scope) -> None:
        """Stand on a scope that somebody has looked at."""
        current._span, current._server_segment_span = self.stand_ins(current)

    def stand_ins(self, _: Scope) -> tuple[Any, Any]:
        """What stands in for the span and for the server's segment."""
        if self._nothing is None:
            self._nothing = traces.NoOpStreamedSpan(trace_id=self._new_trace().trace_id)
        return self._nothing, self._nothing


def leave_out(client: Client, scope: RequestScope) -> None:
    """Have no span of this request be sent; a transaction of 2.x needs nothing for that."""
    if client.streaming and client.tracing and not scope.is_adopted:
        _LeftOut(scope)
