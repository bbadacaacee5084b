"""One walk over a payload: what is a secret by its name or by its value is replaced, everything else is kept.

Nothing that is given is changed: a container in which something goes is replaced by a copy.
"""

import logging
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from asgi_rota_sentry.scrubbing.checksums import is_card
from asgi_rota_sentry.scrubbing.cookies import cookie_spans, is_secret_cookie
from asgi_rota_sentry.scrubbing.keys import Names, Verdict, bare
from asgi_rota_sentry.scrubbing.layout import ANY, Layout
from asgi_rota_sentry.scrubbing.randomness import looks_random
from asgi_rota_sentry.scrubbing.spans import FILTERED, merged, replaced
from asgi_rota_sentry.scrubbing.text import TextScrubber
from asgi_rota_sentry.scrubbing.values import is_trivial

_logger = logging.getLogger("asgi_rota_sentry")
_DEEPEST = 200
_SHORTEST_TEXT = 6
_FIELD_NAMES = frozenset("username email user name id first_name last_name login remember role phone title".split())

Path = tuple[str | int, ...]


class Removal(NamedTuple):
    """One thing that was removed: the `path` to it in the payload, the `reason`, and whether it went as a `whole`."""

    path: Path
    reason: str
    whole: bool


class Clean:
    """Texts in which nothing was found, so that the next event with the same text need not search it; bounded."""

    def __init__(self, most: int = 8192, longest: int = 400) -> None:
        self.texts: set[tuple[bool, str] | str] = set()
        self._most = most
        self._longest = longest

    def add(self, entry: tuple[bool, str] | str, text: str) -> None:
        """Remember a text without secrets."""
        if len(text) <= self._longest:
            if len(self.texts) >= self._most:
                self.texts.clear()
            self.texts.add(entry)


class Walk:
    """One payload's walk; afterwards `removals` tells what went, `secrets` the removed values, `texts` all that stayed."""

    def __init__(self, names: Names, text: TextScrubber, clean: Clean, exempt_paths: frozenset[str] = frozenset()) -> None:
        self.removals: list[Removal] = []
        self.secrets: dict[str, None] = {}
        self.texts: dict[tuple[bool, str] | str, str] = {}
        self._names = names
        self._text = text
        self._clean = clean
        self._exempt_paths = exempt_paths
        self._path: list[str | int] = []
        self._done: dict[int, Any] = {}

    def visit(self, value: Any, layout: Layout = ANY, *, source: bool = False) -> Any:
        """The value without secrets; a part that cannot be read is replaced as a whole."""
        try:
            if isinstance(value, str):
                return self._leaf(value, source=source)
            if value is None or isinstance(value, bool | float):
                return value
            if isinstance(value, int):
                return self._number(value)
            return self._container(value, layout, source=source)
        except Exception as fault:  # noqa: BLE001 - whatever is wrong with the part, it must not leave as it is
            _logger.warning("A part of a payload could not be scrubbed (%s); it was removed.", type(fault).__name__)
            return self._removed(FILTERED, "could not be read")

    def _container(self, value: Any, layout: Layout, *, source: bool) -> Any:
        if isinstance(value, bytes | bytearray | memoryview):
            return self._leaf(bytes(value).decode("utf-8", "backslashreplace"), source=source)
        if not isinstance(value, Mapping | list | tuple | set | frozenset):
            return self._leaf(str(value), source=source)
        identity = id(value)
        if identity in self._done or len(self._path) > _DEEPEST:
            # Seen before: its clean copy, or, when it contains itself, nothing.
            return self._done.get(identity, FILTERED)
        self._done[identity] = FILTERED
        result = self._mapping(value, layout) if isinstance(value, Mapping) else self._items(list(value), layout, source=source)
        self._done[identity] = result
        return result

    def _mapping(self, node: Mapping[Any, Any], layout: Layout) -> Mapping[Any, Any]:
        changed: dict[Any, Any] = {}
        renamed: dict[Any, str] = {}
        own, verdict_of, path = layout.own, self._names.verdict, self._path
        pair = verdict_of(_named(node)) if "value" in node else Verdict.PLAIN
        for key, value in node.items():
            if key in own or (self._exempt_paths and self._is_exempt(key)):
                continue
            path.append(key)
            verdict = verdict_of(key) if isinstance(key, str) else Verdict.PLAIN
            if pair and key == "value":
                verdict = max(verdict, pair)
            if verdict:
                new = self._judged(key, value, verdict, layout)
            elif type(value) is str:
                new = self._leaf(value, source=key in layout.source)
            else:
                new = self.visit(value, layout.child(key), source=key in layout.source)
            if new is not value:
                changed[key] = new
            if not isinstance(key, str) or len(key) > 11:
                self._rename(key, renamed)
            path.pop()
        if not changed and not renamed:
            return node
        return {renamed.get(key, key): changed.get(key, value) for key, value in node.items()}

    def _rename(self, key: Any, renamed: dict[Any, str]) -> None:
        if isinstance(key, int | float) or key is None:
            return
        text = key if isinstance(key, str) else str(key)
        new = self._leaf(text)
        if new is not text and new != text:
            renamed[key] = f"{new} {len(renamed) + 1}" if new in renamed.values() else new

    def _is_exempt(self, key: Any) -> bool:
        whole = [str(part) for part in (*self._path, key)]
        named = [str(part) for part in (*self._path, key) if not isinstance(part, int)]
        return ".".join(whole) in self._exempt_paths or ".".join(named) in self._exempt_paths

    def _items(self, items: list[Any], layout: Layout, *, source: bool) -> list[Any]:
        path, result = self._path, list(items)
        pair = self._pair(items) if len(items) == 2 else Verdict.PLAIN
        option = Verdict.PLAIN
        for index, item in enumerate(items):
            path.append(index)
            if (option and isinstance(item, str) and not bare(item).startswith("-")) or (pair and index):
                name = bare(items[index - 1])
                result[index] = self._judged(name, item, max(option, pair), layout)
            else:
                result[index] = self._leaf(item, source=source) if type(item) is str else self.visit(item, layout, source=source)
            option = Verdict.PLAIN
            if isinstance(item, str) and item[:3].lstrip("'\"").startswith("-") and "=" not in item:
                option = self._names.verdict(bare(item).lstrip("-"))
            path.pop()
        return result

    def _pair(self, items: list[Any]) -> Verdict:
        """What the second of two says when the first is a telling name, as in headers: `[b'authorization', …]`."""
        name, value = items
        if not isinstance(name, str) or len(name) < 2:
            return Verdict.PLAIN
        verdict = self._names.verdict(name)
        if verdict and isinstance(value, str) and (bare(value).lower() in _FIELD_NAMES or self._names.verdict(value)):
            return Verdict.PLAIN
        return verdict

    def _judged(self, key: Any, value: Any, verdict: Verdict, layout: Layout) -> Any:
        """The value under a telling name."""
        name = bare(str(key))
        if value is None or isinstance(value, bool):
            return value
        if verdict is Verdict.COOKIES:
            return self._cookies(name, value)
        if verdict is Verdict.MAYBE:
            random = isinstance(value, str) and looks_random(bare(value), hexadecimal=name.lower() != "key")
            if not random:
                return self.visit(value, layout.child(key))
        elif isinstance(value, str) and (is_trivial(value) or self._names.is_exempt(name)):
            return value
        elif isinstance(value, Mapping | list | tuple | set | frozenset) and not value:
            return value
        if isinstance(value, Mapping) and (layout.structural or {"value", "type"} <= value.keys()):
            return self._emptied(name, value)
        self._keep_secret(value)
        return self._removed(FILTERED, f"beside {name!r}")

    def _emptied(self, name: str, value: Mapping[Any, Any]) -> dict[Any, Any]:
        """The mapping with all that is in it removed, because Sentry expects a mapping here."""
        self._keep_secret(value)
        self._removed(FILTERED, f"beside {name!r}", whole=False)
        if {"value", "type"} <= value.keys():
            return {**value, "value": FILTERED, "type": "string"}
        return dict.fromkeys(value, FILTERED)

    def _cookies(self, name: str, value: Any) -> Any:
        if isinstance(value, Mapping):
            result = dict(value)
            for key, cookie in value.items():
                text = cookie if isinstance(cookie, str) else str(cookie)
                if not is_trivial(text) and is_secret_cookie(bare(str(key)), bare(text), self._names):
                    self._keep_secret(cookie)
                    result[key] = self._removed(FILTERED, f"cookie {key!r}", at=key)
            return result if any(result[key] is not value[key] for key in value) else value
        if isinstance(value, str):
            spans = merged(list(cookie_spans(value, 0, len(value), self._names))) if not is_trivial(value) else []
            for span in spans:
                self._keep_secret(value[span.start : span.end])
                self._removed(FILTERED, span.reason, whole=False)
            return replaced(value, spans) if spans else value
        if isinstance(value, list | tuple):
            return [self._cookies(name, item) if isinstance(item, str) and "=" in item else self.visit(item) for item in value]
        self._keep_secret(value)
        return self._removed(FILTERED, f"beside {name!r}")

    def _leaf(self, text: str, *, source: bool = False) -> str:
        if len(text) < _SHORTEST_TEXT:
            return text
        entry = (True, text) if source else text
        known = self.texts.get(entry)
        if known is text or known == text:
            return text
        if entry in self._clean.texts:
            self.texts[entry] = text
            return text
        return self._searched(text, entry, source=source)

    def _searched(self, text: str, entry: tuple[bool, str] | str, *, source: bool) -> str:
        try:
            spans = self._text.spans(text, source=source)
            result = replaced(text, spans) if spans else text
        except Exception as fault:  # noqa: BLE001 - a text that cannot be searched must not leave as it is
            _logger.warning("A text could not be scrubbed (%s); it was removed.", type(fault).__name__)
            spans, result = [], self._removed(FILTERED, "could not be read")
        for span in spans:
            self._keep_secret(text[span.start : span.end])
            self._removed(FILTERED, span.reason, whole=len(spans) == 1 and result == FILTERED)
        if result is text:
            self._clean.add(entry, text)
        self.texts[entry] = result
        return result

    def _number(self, value: int) -> Any:
        if 10**12 <= value < 10**19 and is_card(str(value)):
            self._keep_secret(value)
            return self._removed(FILTERED, "card number")
        return value

    def _removed(self, result: str, reason: str, *, whole: bool = True, at: Any = None) -> str:
        path = (*self._path, at) if at is not None else tuple(self._path)
        self.removals.append(Removal(path, reason, whole))
        return result

    def _keep_secret(self, value: Any) -> None:
        """Remember what was removed, each text of a container by itself, to look for it elsewhere."""
        waiting, seen = [value], 0
        while waiting and seen < 100:
            seen += 1
            item = waiting.pop()
            if isinstance(item, Mapping):
                waiting += item.values()
            elif isinstance(item, list | tuple | set | frozenset):
                waiting += item
            elif isinstance(item, str | int) and not isinstance(item, bool) and len(self.secrets) < 200:
                self.secrets[bare(str(item))] = None


def _named(node: Mapping[Any, Any]) -> str:
    """The name in `{"name": "password", "value": …}`."""
    for key in ("name", "key", "header", "field"):
        name = node.get(key)
        if isinstance(name, str) and name:
            return name
    return ""


def strings(texts: Iterable[str]) -> str:
    """All texts as one, to look for something in all of them at once."""
    return "\0".join(texts)
