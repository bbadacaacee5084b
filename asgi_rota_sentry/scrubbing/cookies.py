"""Cookies in one text: those with telling names or random values go, the others stay."""

import re
from collections.abc import Iterator

from asgi_rota_sentry.scrubbing.keys import Names, Verdict
from asgi_rota_sentry.scrubbing.randomness import looks_random
from asgi_rota_sentry.scrubbing.spans import FILTERED, Span

_COOKIE = re.compile(r"([^\s=;,\"']{1,128}+)\s{0,4}=\s{0,4}(\"?)([^;\"\r\n]*+)")
_ATTRIBUTES = frozenset({"path", "domain", "expires", "max-age", "samesite", "comment", "version", "priority"})
_HARMLESS_VALUES = re.compile(r"(?:[a-z]{2}(?:[-_][A-Za-z]{2})?|true|false|[0-9]{1,3})?")


def cookie_spans(text: str, start: int, end: int, names: Names) -> Iterator[Span]:
    """The values to hide in the part `start` to `end` of a `Cookie` or `Set-Cookie` header.

    A part that is no list of cookies goes as a whole.
    """
    found_any = False
    for found in _COOKIE.finditer(text, start, end):
        found_any = True
        name, value = found[1], found[3]
        if name.lower() in _ATTRIBUTES or value.startswith(FILTERED[:-1]) or _HARMLESS_VALUES.fullmatch(value):
            continue
        if is_secret_cookie(name, value, names):
            yield Span(found.start(3), found.end(3), f"cookie {name!r}")
    if not found_any and not text[start:end].strip().isalpha():
        yield Span(start, end, "cookies")


def is_secret_cookie(name: str, value: str, names: Names) -> bool:
    """Whether this cookie is a session, a token or the like: by its name, or by a random value."""
    if names.is_exempt(name):
        return False
    verdict = names.verdict(name)
    return (
        verdict is Verdict.SECRET or (verdict is Verdict.MAYBE and bool(value)) or looks_random(value, hexadecimal=True)
    )
