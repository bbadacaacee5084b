"""Streamed spans are scrubbed where the client's batcher takes them: once, and after everything else.

`before_send_span` would do, but the SDK sets all attributes of a span again after such a hook, one by one, which costs
more than all else that becomes of the span. So our hook scrubs only until it is seen that spans come by the batcher.
From then on the user's own hook alone is left in the options. The batcher is private; without it our hook stays.
"""

import time
from collections.abc import Callable
from itertools import compress
from operator import ne
from typing import Any

from sentry_sdk.utils import capture_internal_exceptions, get_before_send_span

from asgi_rota_sentry import faults
from asgi_rota_sentry.request import FILTERED
from asgi_rota_sentry.sdk import wire_format
from asgi_rota_sentry.sdk.layer import withhold

Payload = dict[str, Any]

OPTION = "before_send_span"
_BATCHER = "span_batcher"
_SEAM = "add"
_FLUSH = "_flush"
_PENDING = "_pending_flush"
_GATHER_SECONDS = 0.05
# The scrubber leaves it alone, and each segment has another.
_SEGMENT_ID = "sentry.segment.id"
# The name by which the name of a span is remembered.
_NAME = ""
_MOST_CLEAN = 1_024
_LONGEST_CLEAN = 512


class SpanHook:
    """`before_send_span`: the user's own hook, if there is one, then the scrubbing, so that nothing it adds escapes."""

    def __init__(
        self,
        own: Callable[..., Any] | None,
        scrub: Callable[[Payload], Payload],
        tells_nothing: Callable[[str], bool],
    ) -> None:
        self.own = own
        self._scrub = scrub
        self._tells_nothing = tells_nothing
        # By name the value in which no secret was found last: most of what a span tells the one before told, too.
        self._clean: Payload = {}
        self._floats: set[str] = set()

    def __call__(self, span: Payload, hint: Payload) -> Payload:
        """The span that is to leave, without secrets."""
        return self.scrubbed(dict(span) if self.own is None else self._changed(self.own, span, hint))

    @staticmethod
    def _changed(own: Callable[..., Any], span: Payload, hint: Payload) -> Payload:
        """What the user's hook makes of the span, or the span as it was: the SDK drops none, and would not scrub it."""
        untouched = {**span, "attributes": dict(span.get("attributes") or {})}
        changed: Any = None
        with capture_internal_exceptions():
            changed = own(span, hint)
        return dict(changed) if isinstance(changed, dict) and "name" in changed else untouched

    def scrubbed(self, span: Payload) -> Payload:
        """The same mapping without secrets in its name, attributes and links; all else in it is Sentry's own.

        Nor is there what the request withholds that the span ends in.
        """
        withhold(span)
        name, attributes, links = span["name"], span.get("attributes") or {}, span.get("links")
        if not links and "value" not in attributes:  # `{"name": "password", "value": …}` is not to be taken apart
            clean, floats = self._clean, self._floats
            # The comparison by itself, in C: nearly all are as they were.
            differ = map(ne, attributes.values(), map(clean.get, attributes))
            unknown = {
                key: value
                for key, value in compress(attributes.items(), differ)
                if not (type(value) is float and key in floats)
            }
            unknown.pop(_SEGMENT_ID, None)
            if not unknown and clean.get(_NAME) == name:
                return span
            found = self._scrub({"name": name, "attributes": unknown})
            if found.get("name") == name and found.get("attributes") is unknown:
                self._keep({_NAME: name, **unknown})
                return span
        # A secret goes wherever else it stands. Of what could not be read nothing is left.
        found = self._scrub({"name": name, "attributes": attributes, **({"links": links} if links else {})})
        span["name"] = found.get("name", FILTERED)
        span["attributes"] = found.get("attributes") or {}
        if links:
            span["links"] = found.get("links") or []
        return span

    def _keep(self, attributes: Payload) -> None:
        """Remember that there is no secret in these.

        Not by the value of a float: an integer that is a secret may equal it.
        """
        if len(self._clean) >= _MOST_CLEAN or len(self._floats) >= _MOST_CLEAN:
            self._clean.clear()
            self._floats.clear()
        for name, value in attributes.items():
            kind = type(value)
            if kind is float and self._tells_nothing(name):
                self._floats.add(name)
            elif kind is int or kind is bool or (kind is str and len(value) <= _LONGEST_CLEAN):
                self._clean[name] = value
            elif kind is list and all(type(item) is str for item in value) and sum(map(len, value)) <= _LONGEST_CLEAN:
                self._clean[name] = value.copy()


def install(raw: Any) -> None:
    """Have the spans of this client scrubbed by its batcher, if they are scrubbed by our hook so far."""
    hook = raw.options.get(OPTION)
    batcher = getattr(raw, _BATCHER, None)
    add = getattr(batcher, _SEAM, None)
    if not isinstance(hook, SpanHook) or add is None or getattr(add, "is_ours", False):
        return

    def add_scrubbed(span: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            name = span["name"]
            hook.scrubbed(span)
            if span["name"] != name and span["is_segment"]:
                _rename(span["_segment_span"], name, span["name"])
        except Exception:
            faults.report("scrubbing a span")
            return None
        if raw.options.get(OPTION) is hook:
            raw.options[OPTION] = hook.own
        return add(span, *args, **kwargs)

    add_scrubbed.is_ours = True  # type: ignore[attr-defined]
    setattr(batcher, _SEAM, add_scrubbed)
    wire_format.install(batcher)
    _gather(batcher)


def _rename(segment: Any, old: str, new: str) -> None:
    """Have the trace tell the new name, too: it tells that of the segment, or what it had when it was told of first."""
    segment.name = new
    told = getattr(getattr(segment, "_baggage", None), "sentry_items", None)
    if told and told.get("transaction") == old:
        told["transaction"] = new


def seam(raw: Any) -> Callable[[Payload], Any] | None:
    """Where this client's spans are scrubbed, if they are and nothing else becomes of them before."""
    add: Any = getattr(getattr(raw, _BATCHER, None), _SEAM, None)
    is_last = getattr(add, "is_ours", False) and not get_before_send_span(raw.options)
    return add if is_last else None


def sees_all(raw: Any) -> bool:
    """Whether each span of this client is scrubbed, and what its request withholds taken out of it."""
    add = getattr(getattr(raw, _BATCHER, None), _SEAM, None)
    return getattr(add, "is_ours", False) or isinstance(raw.options.get(OPTION), SpanHook)


class _InOrder(dict[Any, None]):
    """The traces whose spans are to be sent, in the order in which they came; the batcher's set has none."""

    def add(self, trace_id: Any) -> None:
        """Note one more."""
        self[trace_id] = None


def _gather(batcher: Any) -> None:
    """Have the batcher's thread wait a moment for more spans before it sends those that it was woken for.

    It is woken for each segment. Going to and fro between the threads costs more than the sending itself: as long as it
    waits for the interpreter's lock, each write of the application's thread wakes it for nothing.
    """
    flush = getattr(batcher, _FLUSH, None)
    if flush is None or type(getattr(batcher, _PENDING, None)) is not set:
        return

    def flush_gathered(only_pending: bool = False, **kwargs: Any) -> Any:
        if only_pending:  # else somebody waits for it
            time.sleep(_GATHER_SECONDS)
        return flush(only_pending, **kwargs)

    setattr(batcher, _PENDING, _InOrder.fromkeys(getattr(batcher, _PENDING)))
    setattr(batcher, _FLUSH, flush_gathered)
