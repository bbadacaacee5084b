"""The texts and numbers of one payload: each is searched once, and what was found in it is remembered and told."""

from collections.abc import Iterable
from functools import partial
from typing import Any

from asgi_rota_sentry.scrubbing.changes import Change, Changes
from asgi_rota_sentry.scrubbing.checksums import is_card
from asgi_rota_sentry.scrubbing.cut import LONGEST_BEYOND, MOST_TOGETHER, cut
from asgi_rota_sentry.scrubbing.judge import Judge
from asgi_rota_sentry.scrubbing.keys import bare
from asgi_rota_sentry.scrubbing.memory import Memory
from asgi_rota_sentry.scrubbing.spans import FILTERED, Span, replaced

#: No smaller number is that of a card.
LEAST_CARD = 10**12
_MOST_SECRETS = 200


class Leaves:
    """The leaves of a payload; see `Walk` for what is left in `changes`, `secrets`, `texts` and `blobs`."""

    def __init__(self, judge: Judge, memory: Memory, longest: int | None) -> None:
        self.secrets: dict[str, None] = {}
        self.texts: set[str] = set()
        self.blobs: list[str] = []
        self.changes: Changes | Change | None = None
        self._judge = judge
        self._memory = memory
        self._longest = longest
        self._room = MOST_TOGETHER
        self._shortest = judge.text.shortest
        self._found: dict[str, tuple[str, Change | None]] = {}

    def _keep_secrets(self, secrets: Iterable[str]) -> None:
        for secret in secrets:
            if len(self.secrets) < _MOST_SECRETS:
                self.secrets[secret] = None

    def _leaf(self, text: str, *, source: bool = False) -> str:
        if len(text) < self._shortest or (not source and text in self.texts):
            return text
        memory = self._memory
        if not source and text in memory.texts:
            self.texts.add(text)
            return text
        table = memory.source if source else self._found
        found = table.get(text)
        if found is None:
            found = self._searched(text, source=source)
            if source:
                memory.keep_source(text, found)
            elif found[1] is not None:
                table[text] = found
            else:
                memory.keep_text(text)
                self.texts.add(text)
        result, change = found
        if change is None:
            return text
        self.changes = change
        return result

    def _searched(self, text: str, *, source: bool) -> tuple[str, Change | None]:
        length = len(text)
        if self._longest is not None and length > LONGEST_BEYOND:
            longest = self._longest if self._room > 0 else LONGEST_BEYOND
            self._room -= min(length, longest)
            if length > longest:
                result, spans = cut(text, longest, partial(self._judge.text.spans, source=source))
                return self._replaced(text, spans, result, length)
        spans = self._judge.text.spans(text, source=source)
        return self._replaced(text, spans, replaced(text, spans)) if spans else (text, None)

    def _replaced(self, text: str, spans: list[Span], result: str, length: int = 0) -> tuple[str, Change]:
        self._keep_secrets(bare(text[span.start : span.end]) for span in spans)
        self.blobs.append(result)
        reasons = ", ".join(dict.fromkeys(span.reason for span in spans)) or "too long"
        return result, Change(reasons, result == FILTERED, length)

    def _number(self, value: int) -> Any:
        if LEAST_CARD <= value < 10**19 and is_card(str(value)):
            self.secrets[str(value)] = None
            return self._filtered("card number")
        return value

    def _filtered(self, reason: str) -> str:
        self.changes = Change(reason, whole=True)
        return FILTERED
