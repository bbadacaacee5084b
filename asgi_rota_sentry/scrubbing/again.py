"""The second walk: a value that was removed under one name goes wherever else it stands."""

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

from asgi_rota_sentry.scrubbing.layout import ANY, Layout
from asgi_rota_sentry.scrubbing.randomness import is_uuid
from asgi_rota_sentry.scrubbing.spans import FILTERED
from asgi_rota_sentry.scrubbing.values import is_trivial
from asgi_rota_sentry.scrubbing.walk import Path, Removal

_LONGEST = 4096
_MOST = 64
_NAME_LIKE = re.compile(r"[A-Za-z_]+(?:[.\-_/ :][A-Za-z_]+)*|[a-z]+/[\w.+\-]+|https?://[^@?=]*|[0-9.,:\-/ TZ+]{1,8}|<.*>|[\[({].*[\])}]", re.DOTALL)
_REASON = "the same value was removed elsewhere"


def worth_seeking(secrets: Iterable[str]) -> list[str]:
    """The removed values that are told from ordinary words and short numbers, the longest first; at most 64."""
    found = set()
    for secret in secrets:
        text = secret.strip()
        if 6 <= len(text) <= _LONGEST and not is_trivial(text) and _is_telling(text):
            found.update(_spellings(text))
    return sorted(found, key=len, reverse=True)[:_MOST]


def _is_telling(text: str) -> bool:
    if text.isdigit():
        return len(text) >= 9
    if text.isalpha():
        return len(text) >= 16 or (len(text) >= 10 and not (text.islower() or text.istitle() or text.isupper()))
    if _NAME_LIKE.fullmatch(text):
        return len(text) >= 20 and len(set(text)) > 9 and not text.startswith(("http", "<", "[", "(", "{"))
    return not is_uuid(text) or len(text) > 30


def _spellings(text: str) -> set[str]:
    """The text as it stands in a URL, a form, a repr, a JSON text and a page."""
    escaped = text.encode("unicode_escape").decode("ascii")
    html = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
    return {text, quote(text, safe=""), quote_plus(text), escaped, text.replace('"', '\\"').replace("'", "\\'"), html}


def pattern(secrets: list[str]) -> re.Pattern[str]:
    """What finds any of them, a short one only where it stands by itself."""
    return re.compile("|".join(_whole(secret) for secret in secrets))


def _whole(secret: str) -> str:
    before = r"(?<![A-Za-z0-9])" if secret[0].isalnum() and len(secret) < 16 else ""
    after = r"(?![A-Za-z0-9])" if secret[-1].isalnum() and len(secret) < 16 else ""
    return before + re.escape(secret) + after


class Again:
    """Replaces known secrets in a payload; `removals` tells where."""

    def __init__(self, secrets: list[str]) -> None:
        self.removals: list[Removal] = []
        self._pattern = pattern(secrets)
        self._texts: dict[str, str] = {}
        self._done: dict[int, Any] = {}

    def visit(self, value: Any, layout: Layout = ANY, path: Path = ()) -> Any:
        """The value without the secrets, copied only where something changed."""
        if isinstance(value, str):
            return self._leaf(value, path)
        if isinstance(value, Mapping | list):
            if id(value) not in self._done:
                self._done[id(value)] = value
                self._done[id(value)] = self._inside(value, layout, path)
            return self._done[id(value)]
        if isinstance(value, int) and not isinstance(value, bool) and value > 10**8:
            return FILTERED if self._leaf(str(value), path) == FILTERED else value
        return value

    def _inside(self, value: Any, layout: Layout, path: Path) -> Any:
        if isinstance(value, list):
            items = [self.visit(item, layout, (*path, index)) for index, item in enumerate(value)]
            return items if any(new is not old for new, old in zip(items, value, strict=True)) else value
        result = {}
        changed = False
        for key, item in value.items():
            name = self._leaf(key, (*path, key)) if isinstance(key, str) and len(key) >= 6 else key
            new = item if key in layout.own else self.visit(item, layout.child(key), (*path, key))
            changed = changed or new is not item or name is not key
            result[name] = new
        return result if changed else value

    def _leaf(self, text: str, path: Path) -> str:
        if len(text) < 6:
            return text
        known = self._texts.get(text)
        if known is None:
            known = self._pattern.sub(FILTERED, text)
            self._texts[text] = known = text if known == text else known
        if known is text or known == text:
            return text
        self.removals.append(Removal(path, _REASON, known == FILTERED))
        return known
