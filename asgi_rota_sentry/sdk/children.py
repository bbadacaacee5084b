"""The child spans of a request, for its breakdown, and those that begin when its answer is out.

A transaction of 2.x keeps its children until it ends. Streamed spans are sent one by one, so that each is noted when it
ends, for the segment that it belongs to. The SDK has no public place for that; without it there is no breakdown.
"""

from datetime import UTC, datetime
from typing import Any
from weakref import ref

from asgi_rota_sentry import breakdown, faults
from asgi_rota_sentry.sdk.background import Background

_SEAM = "_capture_span"
# As many as a transaction of the SDK's keeps.
_MOST = 1_000


class Children:
    """What has ended inside of one segment; the first thousand, the others are counted."""

    __slots__ = ("__weakref__", "around", "background", "spans", "unseen")

    def __init__(self) -> None:
        #: What has the spans that begin from some moment on.
        self.background: Background | None = None
        self.spans: list[breakdown.Child] = []
        self.unseen = 0
        #: By its ID each span that was on the scope when one inside of it ended, as long as it is open itself.
        self.around: dict[str, Any] = {}

    def add_ended(self, span: Any) -> None:
        """Note a span that has ended, and which one is then on its scope.

        Where spans overlap, as those of two tasks do, one that has ended may be on the scope later; it no longer knows
        what is around it.
        """
        if self.background is not None and self.background.takes(span):
            return
        self.around.pop(span.span_id, None)
        left = span._scope._span if span._scope is not None else None
        if left is not None and left is not span._segment and len(self.around) < _MOST:
            self.around[left.span_id] = left
        self.add(span)

    def add(self, span: Any, at: datetime | None = None) -> None:
        """Note a span that has ended, or is still open at that time."""
        if len(self.spans) >= _MOST:
            self.unseen += 1
            return
        op = _op(span)
        begun, ended = span.start_timestamp, span.end_timestamp or at
        if begun is not None and ended is not None:
            parent = span._parent_span_id
            self.spans.append(
                breakdown.Child(op, span.name or "", begun.timestamp(), ended.timestamp(), span.span_id, parent)
            )


def _op(span: Any) -> str:
    """The operation of a span; those of 3.x do not tell a middleware from the calls that it hands through."""
    attributes = span.get_attributes()
    op = str(attributes.get("sentry.op") or "")
    middleware = attributes.get("middleware.name")
    if op != "middleware" or middleware is None or middleware == span.name:
        return op
    # Django's are called by their methods; the others' only where they are a `send` or a `receive`.
    return op if attributes.get("sentry.origin") == "auto.http.django" else f"{op}.send"


# By the identity of the segment, which whoever holds the children holds as well.
_open: dict[int, ref[Children]] = {}


def watch(raw: Any) -> None:
    """Have each span of this client noted when it ends."""
    capture = getattr(raw, _SEAM, None)
    if capture is None or is_watched(raw):
        return

    def noting(span: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            known = _open.get(id(span._segment)) if span is not span._segment else None
            children = known() if known is not None else None
            if children is not None:
                children.add_ended(span)
        except Exception:
            faults.report("noting a span for the breakdown")
        return capture(span, *args, **kwargs)

    noting.is_ours = True  # type: ignore[attr-defined]
    setattr(raw, _SEAM, noting)


def is_watched(raw: Any) -> bool:
    """Whether the spans of this client are noted."""
    return getattr(getattr(raw, _SEAM, None), "is_ours", False)


def collect(segment: Any) -> Children:
    """Collect the children of this segment for as long as the result is held, and the segment with it."""
    key, children = id(segment), Children()

    def forget(known: ref[Children]) -> None:
        if _open.get(key) is known:
            del _open[key]

    _open[key] = ref(children, forget)
    return children


def close(segment: Any) -> None:
    """Collect no more children of this segment."""
    _open.pop(id(segment), None)


def add_open(children: Children, segment: Any, at: datetime) -> None:
    """Note what is around the answer, such as a middleware, and so is still open at its last byte."""
    seen: set[str] = set()
    for inner in (getattr(getattr(segment, "_scope", None), "_span", None), *children.around.values()):
        span = inner
        while span is not None and span is not segment and span.span_id not in seen and len(seen) < _MOST:
            seen.add(span.span_id)
            if span._segment is segment and span.end_timestamp is None:
                children.add(span, at)
            span = getattr(span, "_previous_span_on_scope", None)
    children.around.clear()


def cut(transaction: Any, at: datetime) -> list[Any]:
    """Have a transaction's spans be those of the time until then, and return those that began later.

    What is around the answer is still open at its last byte; it is closed, for the SDK sends only what has ended.
    """
    recorder, until = transaction._span_recorder, at.timestamp()
    if recorder is None:
        return []
    kept: list[Any] = []
    later: list[Any] = []
    for span in recorder.spans:
        (later if span.start_timestamp.timestamp() > until else kept).append(span)
    recorder.spans = kept
    for span in kept:
        if span.timestamp is None and span is not transaction:
            span.timestamp = at
    return later


def of_segment(segment: Any, children: Children, at: datetime) -> breakdown.Breakdown:
    """The breakdown of a segment that ends at that time."""
    begun = segment.start_timestamp.timestamp()
    return breakdown.of(children.spans, begun, at.timestamp(), unseen=children.unseen)


def of_transaction(transaction: Any, at: datetime | None) -> breakdown.Breakdown | None:
    """The breakdown of a transaction that ends now, or did at that time; None where it has kept no spans."""
    recorder = transaction._span_recorder
    if recorder is None:
        return None
    end = (at or datetime.now(UTC)).timestamp()
    children = [
        breakdown.Child(
            span.op or "",
            span.description or "",
            span.start_timestamp.timestamp(),
            span.timestamp.timestamp(),
            span.span_id,
            span.parent_span_id,
        )
        for span in recorder.spans
        if span is not transaction and span.timestamp is not None
    ]
    unseen = getattr(recorder, "dropped_spans", 0)
    return breakdown.of(children, transaction.start_timestamp.timestamp(), end, unseen=unseen)
