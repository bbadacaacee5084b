"""Where in a text something must go, and why."""

from typing import NamedTuple

FILTERED = "[Filtered]"


class Span(NamedTuple):
    """The part `start` to `end` of a text that is a secret, and the `reason` in a few words."""

    start: int
    end: int
    reason: str


def merged(spans: list[Span]) -> list[Span]:
    """The spans in order, those that overlap made one, which keeps the first one's reason."""
    found: list[Span] = []
    for span in sorted(spans):
        if found and span.start < found[-1].end:
            found[-1] = found[-1]._replace(end=max(span.end, found[-1].end))
        else:
            found.append(span)
    return found


def replaced(text: str, spans: list[Span]) -> str:
    """The text with each of these spans (in order, apart) replaced by `[Filtered]`."""
    parts: list[str] = []
    position = 0
    for span in spans:
        parts += (text[position : span.start], FILTERED)
        position = span.end
    return "".join((*parts, text[position:]))
