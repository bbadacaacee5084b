"""One text in, the same without its secrets out."""

import re
from collections.abc import Iterable

from asgi_rota_sentry.scrubbing import beside, commands, numbers, parameters, patterns, sql, tokens, urls, validation
from asgi_rota_sentry.scrubbing.assignments import Assignments
from asgi_rota_sentry.scrubbing.keys import Names
from asgi_rota_sentry.scrubbing.spans import FILTERED, Span, merged, replaced

_SHORTEST = 6
# How Python shows an object that says nothing of itself: nothing to search.
_OBJECT = re.compile(r"<(?:[\w.]|<locals>| (?!at 0x))++ at 0x[0-9a-f]++>")
_ESCAPE = re.compile(r"\\[bfnrtv]")


class TextScrubber:
    """Finds and replaces the secrets of a text: by the names in it, by form, and by the user's patterns.

    A text of less than `shortest` characters has none.
    """

    def __init__(self, names: Names, assignments: Assignments, own: Iterable[re.Pattern[str]] = ()) -> None:
        self._names = names
        self._assignments = assignments
        self._own = tuple(own)
        self.shortest = 1 if self._own else _SHORTEST

    def spans(self, text: str, *, source: bool = False) -> list[Span]:
        """What must go, in order; a `source` line is code, where a name is followed by an expression."""
        found: list[Span] = []
        for pattern in self._own:
            found += patterns.matches(pattern, text)
        if len(text) >= _SHORTEST and not (text[0] == "<" and _OBJECT.fullmatch(text)):
            low = _lowered(text)
            if "/" in text or "@" in text:
                found += urls.find(text)
            found += self._assignments.find(text, low, source=source)
            if not source and ("%" in text or "\\u" in text or "\\x" in text):
                found += self._assignments.find_escaped(text)
            plain = text
            if "\\" in text:
                plain = _unescaped(text)
                low = _lowered(plain)
            found += tokens.find(plain, low)
            found += numbers.find(plain)
            found += sql.find(plain, low, self._names)
            if parameters.SAID in low:
                found += parameters.find(text, plain, low, self._names)
            found += commands.find(plain, low)
            found += beside.find(plain, low)
            if "input" in low:
                found += validation.find(text, plain, low, self._names)
        # What begins with the mark was replaced before.
        return merged([span for span in found if not text.startswith(FILTERED[:-1], span.start)]) if found else found

    def scrub(self, text: str, *, source: bool = False) -> str:
        """The text with every secret in it replaced by `[Filtered]`."""
        spans = self.spans(text, source=source)
        return replaced(text, spans) if spans else text


def _unescaped(text: str) -> str:
    """The text with its new lines and the like as they were before `repr`, every other character in its place.

    Otherwise the `n` of a `\\n` would be the first letter of whatever begins the line.
    """
    return _ESCAPE.sub("\n\n", text)


def _lowered(text: str) -> str:
    """The text in lower case, every character in its place."""
    low = text.lower()
    if len(low) == len(text):
        return low
    return "".join(character.lower() if character.isascii() else character for character in text)
