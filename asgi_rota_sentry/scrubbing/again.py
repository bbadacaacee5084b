"""The second walk: a value that was removed under one name goes wherever else it stands."""

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

from asgi_rota_sentry.scrubbing.changes import Change, Changes
from asgi_rota_sentry.scrubbing.layout import ANY, Layout
from asgi_rota_sentry.scrubbing.randomness import is_uuid
from asgi_rota_sentry.scrubbing.spans import FILTERED
from asgi_rota_sentry.scrubbing.values import is_trivial

_SHORTEST, _LONGEST = 6, 4096
_MOST = 64
_NAME_LIKE = re.compile(
    r"[A-Za-z_]+(?:[.\-_/ :][A-Za-z_]+)*|(?:text|image|audio|video|application|multipart|font)/[\w.+\-]+"
    r"|https?://[^@?=]*|[0-9.,:\-/ TZ+]{1,8}|<.*>|[\[({].*[\])}]",
    re.DOTALL,
)
_REASON = "the same value was removed elsewhere"
_ESCAPED = re.compile(r"[^A-Za-z0-9_.~\-]")


def worth_seeking(secrets: Iterable[str]) -> list[str]:
    """The removed values that are told from ordinary words and short numbers, the longest first; at most 64."""
    found: set[str] = set()
    for secret in secrets:
        text = secret.strip()
        if _SHORTEST <= len(text) <= _LONGEST and not is_trivial(text) and _is_telling(text):
            found.update(_spellings(text) if _ESCAPED.search(text) else (text,))
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
    """The text as it stands in a URL, a form, a repr, a JSON text and a page.

    It may have surrogates: Python decodes what is no UTF-8 in file names and the environment to them (PEP 383).
    """
    escaped = text.encode("unicode_escape").decode("ascii")
    html = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
    in_url = quote(text, safe="", errors="surrogatepass")
    in_form = quote_plus(text, errors="surrogatepass")
    return {text, in_url, in_form, escaped, text.replace('"', '\\"').replace("'", "\\'"), html}


def present(secrets: list[str], texts: Iterable[str]) -> list[str]:
    """Those secrets that stand in any of the texts."""
    blob = "\0".join(texts)
    return [secret for secret in secrets if secret in blob]


def _whole(secret: str) -> str:
    """A pattern for the secret, a short one only where it stands by itself."""
    before = r"(?<![A-Za-z0-9])" if secret[0].isalnum() and len(secret) < 16 else ""
    after = r"(?![A-Za-z0-9])" if secret[-1].isalnum() and len(secret) < 16 else ""
    return before + re.escape(secret) + after


class Again:
    """Replaces known secrets in a payload; `changes` tells where, as in `Walk`."""

    def __init__(self, secrets: list[str]) -> None:
        self.changes: Changes | Change | None = None
        self._secrets = secrets
        self._pattern = re.compile("|".join(_whole(secret) for secret in secrets))
        self._texts: dict[str, str] = {}
        self._done: dict[int, tuple[Any, Changes | Change | None]] = {}

    def visit(self, value: Any, layout: Layout = ANY) -> Any:
        """The value without the secrets, copied only where something changed."""
        if isinstance(value, str):
            return self._leaf(value)
        if isinstance(value, Mapping | list | tuple):
            done = self._done.get(id(value))
            if done is None:
                self._done[id(value)] = value, None
                result = self._inside(value, layout)
                done = self._done[id(value)] = result, self.changes
            result, self.changes = done
            return result
        if isinstance(value, int) and not isinstance(value, bool) and value > 10**8:
            return FILTERED if self._leaf(str(value)) == FILTERED else value
        return value

    def _inside(self, value: Any, layout: Layout) -> Any:
        changed: Changes = {}
        changes: Changes = {}
        renamed: dict[Any, str] = {}
        mapping = isinstance(value, Mapping)
        for key, item in value.items() if mapping else enumerate(value):
            if mapping and isinstance(key, str) and (name := self._leaf(key)) is not key:
                renamed[key] = name
            if mapping and key in layout.own:
                continue
            new = self.visit(item, layout.child(key) if mapping else layout)
            if new is not item:
                changed[key] = new
                changes[key] = self.changes
        if not changed and not renamed:
            return value
        self.changes = changes
        if mapping:
            return {renamed.get(key, key): changed.get(key, item) for key, item in value.items()}
        return [changed.get(index, item) for index, item in enumerate(value)]

    def _leaf(self, text: str) -> str:
        if len(text) < _SHORTEST:
            return text
        known = self._texts.get(text)
        if known is None:
            known = text
            if any(secret in text for secret in self._secrets):
                known = self._pattern.sub(FILTERED, text)
            self._texts[text] = known
        if known == text:
            return text
        self.changes = Change(_REASON, whole=known == FILTERED)
        return known
