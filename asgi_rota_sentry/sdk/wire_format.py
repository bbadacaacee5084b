"""The form in which the SDK's batcher sends a streamed span, made in fewer steps: it is much of what one costs.

Each attribute is sized up when the span is taken, and told with its type when it is sent; the SDK asks each several
questions. The batcher is private: its own functions are tried against ours first, and where the results differ it keeps
them.
"""

from typing import Any

from sentry_sdk import utils

Span = dict[str, Any]

_SIZE, _FORM = "_estimate_size", "_to_transport_format"
_SEGMENT = "_segment_span"
# By the exact type of a value what it is called; as the SDK estimates, what a span and an attribute take beside values.
_TYPES = {str: "string", bool: "boolean", int: "integer", float: "double"}
_BYTES, _BYTES_EACH = 210, 50

_PROBE: Span = {
    "name": "GET /",
    _SEGMENT: None,
    "attributes": {"text": "a", "yes": True, "whole": 7, "part": 0.5, "one": ["a"], "more": [1, 2], "none": []},
    "end_timestamp": 1.5,
}


class WireFormat:
    """What a batcher does to each span, by its own functions where there is more to it."""

    def __init__(self, batcher: Any) -> None:
        #: The batcher's own functions.
        self.own_size = getattr(batcher, _SIZE)
        self.own_form = getattr(batcher, _FORM)

    def size(self, span: Span) -> int:
        """About how many bytes it will take."""
        if span.get("links"):
            return int(self.own_size(span))
        values = (span.get("attributes") or {}).values()
        return _BYTES + _BYTES_EACH * len(values) + sum(map(len, map(str, values)))

    def form(self, span: Span) -> Any:
        """The span as it is sent."""
        attributes = span.get("attributes")
        if not attributes or span.get("links"):
            return self.own_form(span)
        types = _TYPES
        typed = {
            name: {"value": value, "type": types[kind]} if (kind := type(value)) in types else _other(value)
            for name, value in attributes.items()
        }
        sent = {**span, "attributes": typed}
        sent.pop(_SEGMENT, None)
        return sent


def _other(value: Any) -> Any:
    if type(value) is list and len(value) == 1 and type(value[0]) is str:  # most of all a header
        return {"value": value, "type": "array"}
    return utils.serialize_attribute(value)


def install(batcher: Any) -> None:
    """Have the batcher work so, if its own functions are as they were."""
    try:
        ours = WireFormat(batcher)
        theirs = ours.own_size(_PROBE), ours.own_form(_PROBE)
        is_alike = (ours.size(_PROBE), ours.form(_PROBE)) == theirs
    except Exception:  # it has no such functions, or they ask for more
        return
    if is_alike:
        setattr(batcher, _SIZE, ours.size)
        setattr(batcher, _FORM, ours.form)
