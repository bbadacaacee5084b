"""What runs on when the answer of a request is out: which spans are of it, and, where they are streamed, its own.

That one is begun only when there is something to hang under it, or at its very end: mostly nothing runs on. That the
SDK lets nobody move a span from one to another is why its private parts are written to.
"""

from datetime import datetime
from typing import Any

from sentry_sdk import traces

from asgi_rota_sentry.sdk.origin import ORIGIN

BACKGROUND_OP = "task.background"
# The operations of what a framework does at the end of each request: Django tells its receivers, and middlewares listen
# for the client's leaving. In 3.x the former are any functions, of the origin that Django's own spans have.
_PLUMBING = ("event.", "middleware")
_RECEIVER = ("function", "auto.http.django")


def is_plumbing(op: str, origin: str = "") -> bool:
    """Whether such a span is none of an application's own work, and stands for no background by itself."""
    return op.startswith(_PLUMBING) or (op, origin) == _RECEIVER


class Background:
    """What follows one segment from this moment on."""

    __slots__ = ("_begun", "_segment", "_since")

    def __init__(self, segment: Any, since: datetime) -> None:
        self._segment = segment
        self._since = since
        # Where two threads have begun it, the first one counts.
        self._begun: list[Any] = []

    @property
    def has_begun(self) -> bool:
        """Whether there is something under it."""
        return bool(self._begun)

    def takes(self, span: Any) -> bool:
        """Have a span of the segment's that has ended hang under this one, if it began later; whether it does."""
        begun = span.start_timestamp
        if begun is None or begun < self._since:
            return False
        told = span.get_attributes()
        if not self._begun and is_plumbing(str(told.get("sentry.op") or ""), str(told.get("sentry.origin") or "")):
            return False
        own = self._begin()
        if not own.sampled:
            return False
        if self._began_before(span._parent_span_id, span._scope):
            span._parent_span_id = own.span_id
        span.set_attributes({"sentry.segment.id": own.span_id, "sentry.segment.name": own.name})
        return True

    def _began_before(self, span_id: str, scope: Any) -> bool:
        """Whether the span of this ID is the request's, or one inside of it that is around what runs on.

        What is around a span is on its scope again once it has ended.
        """
        if span_id == self._segment.span_id:
            return True
        around = scope._span if scope is not None else None
        return around is not None and around.span_id == span_id and around.start_timestamp < self._since

    def end(self, until: datetime, *, failed: bool) -> None:
        """Send it."""
        own = self._begin()
        own.name = self._name()  # the request may have had no route yet when it began
        # Without these the link and the beginning are lost.
        if own.sampled and hasattr(own, "_start_timestamp"):
            own._start_timestamp = self._since
            own._parent_span_id = self._segment.span_id
            own.status = "error" if failed else "ok"
        own.end(until)

    def _name(self) -> str:
        return f"{self._segment.name} (background)"

    def _begin(self) -> Any:
        if not self._begun:
            attributes: dict[str, Any] = {
                "sentry.segment.name.source": "custom",
                "sentry.op": BACKGROUND_OP,
                "sentry.origin": ORIGIN,
            }
            own = traces.start_span(name=self._name(), attributes=attributes, parent_span=None, active=False)
            if own.sampled and hasattr(own, "_trace_id"):
                own._trace_id = self._segment.trace_id  # a thread may have another
            self._begun.append(own)
        return self._begun[0]
