"""What need not be searched a second time: names judged, texts and parts of payloads in which nothing was found.

It never holds a text in which something was found, and is bounded: a full table is emptied.
"""

from collections.abc import Iterator
from typing import Any

from asgi_rota_sentry.scrubbing.keys import Verdict

_MOST_TEXTS = 8192
_MOST_PARTS = 2048
_LONGEST_TEXT = 512
_LONGEST_PART = 8192


class Memory:
    """The tables that all walks of a scrubber share; reading and adding are safe from any thread."""

    def __init__(self) -> None:
        self.codes: dict[str, Verdict] = {}
        self.texts: set[str] = set()
        self.source: set[str] = set()
        self.parts: dict[tuple[int, bytes], str] = {}

    def keep_code(self, key: str, verdict: Verdict) -> None:
        """Remember what a key says."""
        if len(self.codes) >= _MOST_TEXTS:
            self.codes.clear()
        if len(key) <= _LONGEST_TEXT:
            self.codes[key] = verdict

    def keep_text(self, text: str, *, source: bool) -> None:
        """Remember a text without secrets."""
        table = self.source if source else self.texts
        if len(table) >= _MOST_TEXTS:
            table.clear()
        if len(text) <= _LONGEST_TEXT:
            table.add(text)

    def keep_part(self, key: tuple[int, bytes], value: Any) -> None:
        """Remember a part of a payload without secrets, by its serialised form, with all its texts in one."""
        if len(self.parts) >= _MOST_PARTS:
            self.parts.clear()
        if len(key[1]) <= _LONGEST_PART:
            self.parts[key] = "\0".join(_texts(value))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield str(key)
            yield from _texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)
