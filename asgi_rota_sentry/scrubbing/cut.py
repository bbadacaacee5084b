"""Texts that are too long: cut before they are searched, for a search of megabytes would hold up the event loop.

What ends beyond the cut is not to leave its first half behind, by which nobody would know it for a secret. So the text
is searched a bit further, and a word that the cut would part goes as a whole.
"""

from collections.abc import Callable
from string import ascii_letters, digits

from asgi_rota_sentry.scrubbing.spans import FILTERED, Span, replaced

#: The longest text that an event may have, in characters; Sentry itself cuts most of them far below that.
LONGEST = 65_536
#: So much of one event is searched; the longest of the texts that come after it.
MOST_TOGETHER = 1_000_000
LONGEST_BEYOND = 1_024
#: By this a text is known that was cut; as the SDK has it.
MARK = "..."

_FURTHER = 8_192
_OF_WORDS = ascii_letters + digits + "_+/=.~%$&@:-"


def cut(text: str, longest: int, find: Callable[[str], list[Span]]) -> tuple[str, list[Span]]:
    """The first `longest` characters with a mark, without the secrets that `find` finds there, and where those were."""
    head = text[: longest + min(longest, _FURTHER)]
    end = whole_words(head, longest - len(MARK))
    spans = [span for span in find(head) if span.start < end]
    parted = spans.pop() if spans and spans[-1].end > end else None
    if parted is None:
        return replaced(head[:end], spans) + MARK, spans
    return replaced(head[: parted.start], spans) + FILTERED + MARK, [*spans, parted]


def whole_words(text: str, end: int) -> int:
    """Where the word begins that a cut at `end` would part; a word has no blank, quote, bracket or comma."""
    begin = max(0, end - _FURTHER)
    return begin + len(text[begin:end].rstrip(_OF_WORDS))
