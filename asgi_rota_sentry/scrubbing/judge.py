"""Decides about single values: what a name beside a value means for it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from asgi_rota_sentry.scrubbing import validation
from asgi_rota_sentry.scrubbing.changes import Change, Changes
from asgi_rota_sentry.scrubbing.cookies import cookie_spans, is_secret_cookie
from asgi_rota_sentry.scrubbing.keys import Names, Verdict, bare
from asgi_rota_sentry.scrubbing.randomness import looks_random
from asgi_rota_sentry.scrubbing.spans import FILTERED, merged, replaced
from asgi_rota_sentry.scrubbing.text import TextScrubber
from asgi_rota_sentry.scrubbing.values import is_count, is_said, is_trivial
from asgi_rota_sentry.scrubbing.vocabulary import FIELD_NAMES

UNPAIRED = "", Verdict.PLAIN
_NOTHING: Mapping[int, Verdict] = {}
_SECOND = {verdict: {1: verdict} for verdict in Verdict}
_MOST_LEAVES = 200
_FEW = 8


@dataclass(frozen=True, slots=True)
class Judged:
    """What becomes of a value: the `result`, what changed, and the texts that were removed."""

    result: Any
    changes: Changes | Change | None
    secrets: tuple[str, ...]

    STAYS: ClassVar["Judged"]
    ORDINARY: ClassVar["Judged"]


Judged.STAYS = Judged(None, None, ())
Judged.ORDINARY = Judged(None, None, ())


class Judge:
    """The rules for values beside names."""

    def __init__(self, names: Names, text: TextScrubber) -> None:
        self.names = names
        self.text = text

    def pair_of(self, node: Mapping[Any, Any]) -> tuple[str, Verdict]:
        """What `{"name": "password", "value": …}` says about `value`, `{"loc": ["pin"], "input": …}` about `input`."""
        if "loc" in node and "input" in node and (verdict := validation.of_entry(node, self.names)):
            return "input", verdict
        for key in ("name", "key", "header", "field"):
            name = node.get(key)
            if isinstance(name, str) and name:
                return "value", self.names.verdict(name)
        return UNPAIRED

    def told_by_neighbour(self, items: Sequence[Any]) -> Mapping[int, Verdict]:
        """The items that the one before tells about: `[b'authorization', …]`, `["--password", …]`."""
        if len(items) == 2 and type(items[0]) is str:
            verdict = self.names.verdict(items[0])
            if verdict and not (isinstance(items[1], str) and bare(items[1]).lower() in FIELD_NAMES):
                return _SECOND[verdict]
        found: dict[int, Verdict] = {}
        previous: Any = None
        for index, item in enumerate(items):
            if previous and isinstance(item, str) and not bare(item).startswith("-"):
                verdict = self.names.verdict(bare(previous).lstrip("-"))
                if verdict:
                    found[index] = verdict
            previous = item if type(item) is str and "-" in item[:2] and "=" not in item else None
        return found or _NOTHING

    def value(self, name: str, value: Any, verdict: Verdict, *, structural: bool) -> Judged:
        """What becomes of the value under this name, in a mapping that may be `structural` for Sentry."""
        if _is_harmless(name, value):
            return Judged.STAYS
        if verdict is Verdict.COOKIES:
            return self._cookies(name, value)
        if verdict is Verdict.MAYBE and not _looks_secret(name, value):
            return Judged.ORDINARY
        change = Change(f"beside {name!r}", whole=True)
        secrets = tuple(_leaves(value))
        if isinstance(value, Mapping) and {"value", "type"} <= value.keys():
            return Judged({**value, "value": FILTERED, "type": "string"}, {"value": change}, secrets)
        if isinstance(value, Mapping) and structural:
            return Judged(dict.fromkeys(value, FILTERED), dict.fromkeys(value, change), secrets)
        return Judged(FILTERED, change, secrets)

    def _cookies(self, name: str, value: Any) -> Judged:
        if isinstance(value, str):
            spans = merged(list(cookie_spans(value, 0, len(value), self.names)))
            if not spans:
                return Judged.ORDINARY
            reasons = ", ".join(dict.fromkeys(span.reason for span in spans))
            result = replaced(value, spans)
            return Judged(
                result,
                Change(reasons, whole=result == FILTERED),
                tuple(value[span.start : span.end] for span in spans),
            )
        if isinstance(value, Mapping):
            gone = [key for key, cookie in value.items() if self._is_secret_cookie(key, cookie)]
            if not gone:
                return Judged.ORDINARY
            changes = {key: Change(f"cookie {key!r}", whole=True) for key in gone}
            return Judged(
                {**value, **dict.fromkeys(gone, FILTERED)}, changes, tuple(_leaves([value[key] for key in gone]))
            )
        if isinstance(value, list | tuple) and all(isinstance(item, list | tuple) and len(item) == 2 for item in value):
            return Judged.ORDINARY
        return Judged(FILTERED, Change(f"beside {name!r}", whole=True), tuple(_leaves(value)))

    def _is_secret_cookie(self, key: Any, value: Any) -> bool:
        text = value if isinstance(value, str) else str(value)
        return not is_trivial(text) and is_secret_cookie(bare(str(key)), bare(text), self.names)


def _looks_secret(name: str, value: Any) -> bool:
    """Whether the value under a name that may tell of a secret is one, by its looks."""
    return isinstance(value, str) and looks_random(bare(value), hexadecimal=name.lower() != "key")


def _is_harmless(name: str, value: Any) -> bool:
    """Whether there is nothing to hide in the value, whatever its name: nothing, yes or no, a count, a placeholder."""
    if value is None or isinstance(value, bool):
        return True
    if isinstance(value, int | float):
        return -1 <= value <= 1 or name.lower() == "pass" or is_count(name, str(value))
    if isinstance(value, str):
        return is_trivial(value) or is_said(bare(value)) or is_count(name, bare(value))
    if isinstance(value, list | tuple) and len(value) < _FEW:
        return all(isinstance(item, str) and is_said(bare(item)) for item in value)  # what a form says of its field
    return isinstance(value, Mapping | list | tuple | set | frozenset) and not value


def _leaves(value: Any) -> Iterator[str]:
    """The texts and numbers in a removed value, each by itself, at most 200."""
    waiting, seen = [value], 0
    while waiting and seen < _MOST_LEAVES:
        seen += 1
        item = waiting.pop()
        if isinstance(item, Mapping):
            waiting += item.values()
        elif isinstance(item, list | tuple | set | frozenset):
            waiting += item
        elif isinstance(item, str | int) and not isinstance(item, bool):
            yield bare(str(item))
