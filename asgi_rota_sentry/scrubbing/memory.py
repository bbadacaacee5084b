"""What need not be searched a second time: names judged, texts without secrets, lines of code.

Of what an application handled it holds nothing in which a secret was found. Each table is emptied when it is full.
"""

from typing import Any

from asgi_rota_sentry.scrubbing.changes import Change
from asgi_rota_sentry.scrubbing.keys import Verdict

_MOST = 8192
_MOST_CODE = 2048
_MOST_LASTING = 4
_LONGEST = 512


class Memory:
    """The tables that all walks of a scrubber share; reading and adding are safe from any thread."""

    def __init__(self) -> None:
        self.names: dict[str, Verdict] = {}
        self.texts: set[str] = set()
        self.source: dict[str, tuple[str, Change | None]] = {}
        self.code: dict[tuple[Any, ...], str] = {}
        self.told: set[tuple[str, Any]] = set()
        self.lasting: dict[str, list[Any]] = {}

    def keep_name(self, name: str, verdict: Verdict) -> None:
        """Remember what a name says."""
        if len(self.names) >= _MOST:
            self.names.clear()
        if len(name) <= _LONGEST:
            self.names[name] = verdict

    def keep_text(self, text: str) -> None:
        """Remember a text without secrets."""
        if len(self.texts) >= _MOST:
            self.texts.clear()
        if len(text) <= _LONGEST:
            self.texts.add(text)

    def keep_told(self, name: Any, value: Any) -> None:
        """Remember a text or number that is no secret, though its name tells of one (`http.status_code`)."""
        if type(name) is not str or type(value) not in (str, int) or len(name) > _LONGEST:
            return
        if len(self.told) >= _MOST:
            self.told.clear()
        if type(value) is int or len(value) <= _LONGEST:
            self.told.add((name, value))

    def keep_lasting(self, name: str, part: Any) -> None:
        """Remember a part without secrets that many events have; the last few under this name."""
        known = self.lasting.get(name, [])
        self.lasting[name] = [part, *known[: _MOST_LASTING - 1]]

    def keep_source(self, line: str, found: tuple[str, Change | None]) -> None:
        """Remember a line of code and what becomes of it."""
        if len(self.source) >= _MOST:
            self.source.clear()
        if len(line) <= _LONGEST:
            self.source[line] = found

    def keep_code(self, code: tuple[Any, ...]) -> str:
        """Remember a frame's lines of code without secrets; returns them in one."""
        if len(self.code) >= _MOST_CODE:
            self.code.clear()
        lines = "\0".join(line for line in code if isinstance(line, str))
        if len(lines) <= _LONGEST * 20:
            self.code[code] = lines
        return lines
