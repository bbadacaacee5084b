"""Where the time of one request went: pure functions from its child spans to milliseconds and counts by kind.

A span's time is what no child of it took; kinds that run at the same time share it, and what none of them takes is the
rest. So they add up to the whole, however the spans nest and overlap.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from asgi_rota_sentry.statements import is_query, parametrised

#: From how many on the same query is a pattern (N+1) and no coincidence.
MANY = 10

REST = "rest"
# By the beginning of a span's `op` (https://develop.sentry.dev/sdk/telemetry/traces/span-operations/).
_KINDS = {
    "middleware": "middleware",
    "db": "db",
    "template": "template",
    "cache": "cache",
}
_HTTP = "http.client"
# The calls that a middleware hands through are waiting for the server, and what reads a cursor is no query more.
_UNCOUNTED = (".send", ".receive")
_CURSOR = "db.cursor."


class Child(NamedTuple):
    """One ended span of a request; `start` and `end` in seconds since the epoch."""

    op: str
    description: str
    start: float
    end: float
    span_id: str
    parent_id: str | None


class Repeated(NamedTuple):
    """The query that was made most often: the statement with its values left out, and how often."""

    query: str
    times: int


class Breakdown(NamedTuple):
    """Milliseconds and count by kind (`middleware`, `db`, `template`, `cache`, `http`), the rest, the repeated query.

    A kind that is left out had no span. `unseen` spans were more than are kept.
    """

    ms: dict[str, float]
    counts: dict[str, int]
    repeated: Repeated | None
    unseen: int = 0

    def flat(self) -> dict[str, float | int | str]:
        """The same in one level: `db.ms`, `db.count`, `rest.ms`, `n_plus_one.query`, …"""
        found: dict[str, float | int | str] = {f"{kind}.ms": round(ms, 3) for kind, ms in self.ms.items()}
        found |= {f"{kind}.count": count for kind, count in self.counts.items()}
        if self.repeated is not None:
            found |= {"n_plus_one.query": self.repeated.query, "n_plus_one.count": self.repeated.times}
        if self.unseen:
            found["unseen.count"] = self.unseen
        return found


def of(children: Sequence[Child], start: float, end: float, *, unseen: int = 0) -> Breakdown:
    """The breakdown of a request from `start` to `end`; what lies outside of that is left out."""
    end = max(start, end)
    spans = [_clipped(child, start, end) for child in children if child.start < end and child.end >= start]
    if not spans:
        return Breakdown({REST: (end - start) * 1000}, {}, None, unseen)
    spans.sort(key=_order)
    kinds = [_kind(span.op) for span in spans]
    counted = [
        (kind, span) for kind, span in zip(kinds, spans, strict=True) if kind is not None and _counts(kind, span)
    ]
    counts: dict[str, int] = dict(Counter(kind for kind, _ in counted))
    seconds = _self_times(spans, _own_kinds(spans, kinds), start, end)
    ms = {kind: seconds.get(kind, 0.0) * 1000 for kind in (*counts, *seconds, REST)}
    return Breakdown(ms, counts, _repeated([span.description for kind, span in counted if kind == "db"]), unseen)


def _clipped(child: Child, start: float, end: float) -> Child:
    if start <= child.start and child.end <= end:
        return child
    begun = max(child.start, start)
    return child._replace(start=begun, end=max(begun, min(child.end, end)))


def _order(span: Child) -> tuple[float, float]:
    """Those that are around others come before them."""
    return span.start, -span.end


def _kind(op: str) -> str | None:
    if op.endswith(_UNCOUNTED):
        return None
    return _KINDS.get(op.partition(".")[0]) or ("http" if op.startswith(_HTTP) else None)


def _counts(kind: str, span: Child) -> bool:
    return kind != "db" or (not span.op.startswith(_CURSOR) and is_query(span.description))


def _own_kinds(spans: Sequence[Child], kinds: Sequence[str | None]) -> list[str]:
    """The kind of each span's own time.

    Starlette has a span for each middleware and none for the endpoint, so what is inside of all of them is the rest.
    """
    own = [kind or REST for kind in kinds]
    if "middleware" not in own or any(span.op.startswith("view.") for span in spans):
        return own
    around = {span.parent_id for span, kind in zip(spans, own, strict=True) if kind == "middleware"}
    return [
        REST if kind == "middleware" and span.span_id not in around else kind
        for span, kind in zip(spans, own, strict=True)
    ]


def _self_times(spans: Sequence[Child], kinds: Sequence[str], start: float, end: float) -> dict[str, float]:
    """Seconds by kind: each moment belongs to the innermost spans that are open then."""
    tree = _Tree(spans)
    seconds: dict[str, float] = defaultdict(float)
    last = start
    moments = [(span.start, 0, place) for place, span in enumerate(spans)]
    moments += [(span.end, 1, place) for place, span in enumerate(spans)]
    for moment, is_end, place in sorted(moments):
        _share(moment - last, tree.innermost, kinds, seconds)
        last = moment
        if is_end:
            tree.end(place)
        else:
            tree.begin(place)
    _share(end - last, tree.innermost, kinds, seconds)
    return seconds


class _Tree:
    """Which spans are open at a moment, and which of them have nothing open inside.

    A span that has ended may have spans inside that are still open, or begin later, as where a middleware returns a
    stream: those are then inside of what is around it.
    """

    def __init__(self, spans: Sequence[Child]) -> None:
        places = {span.span_id: place for place, span in enumerate(spans)}
        self._parents = [places.get(span.parent_id or "") for span in spans]
        self._is_open = [False] * len(spans)
        # How many spans directly inside are open, or have such inside.
        self._busy_children = [0] * len(spans)
        self.innermost: set[int] = set()

    def begin(self, place: int) -> None:
        is_new = not self._busy_children[place]
        self._is_open[place] = True
        if is_new:
            self.innermost.add(place)
        while is_new and (parent := self._parents[place]) is not None:
            is_new = not (self._is_open[parent] or self._busy_children[parent])
            self._busy_children[parent] += 1
            self.innermost.discard(parent)
            place = parent

    def end(self, place: int) -> None:
        self._is_open[place] = False
        self.innermost.discard(place)
        while not self._busy_children[place] and (parent := self._parents[place]) is not None:
            self._busy_children[parent] -= 1
            if self._is_open[parent]:
                if not self._busy_children[parent]:
                    self.innermost.add(parent)
                return
            place = parent


def _share(elapsed: float, innermost: set[int], kinds: Sequence[str], seconds: dict[str, float]) -> None:
    if len(innermost) == 1:
        (place,) = innermost
        seconds[kinds[place]] += elapsed
        return
    # The rest is only what nothing else takes: spans that wait for others would have a share in them.
    told = [kind for place in innermost if (kind := kinds[place]) != REST] or [REST]
    for kind in told:
        seconds[kind] += elapsed / len(told)


def _repeated(statements: Sequence[str]) -> Repeated | None:
    """The most repeated query, where it is repeated often enough to be told."""
    if len(statements) < MANY:
        return None
    found: Counter[str] = Counter()
    for statement, times in Counter(statements).items():
        found[parametrised(statement)] += times
    query, times = found.most_common(1)[0]
    return Repeated(query, times) if times >= MANY else None
