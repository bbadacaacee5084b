"""Passwords in URLs and connection strings (RFC 3986, section 3.2.1), and tokens in their paths."""

import re
from collections.abc import Iterator

from asgi_rota_sentry.scrubbing.randomness import looks_random
from asgi_rota_sentry.scrubbing.spans import Span
from asgi_rota_sentry.scrubbing.values import is_trivial

_LONGEST = 512
_BREAK = re.compile(r"""[\s"'<>`\\{}|^\[\]]""")
_NO_SCHEME = re.compile(
    r"(?<![\w.:/\-])[\w.\-]{1,64}:([^\s:@/\"'<>]{3,128}+)@(?:tcp|unix|[\w.\-]{1,128}(?::[0-9]{2,5}\b|/))"
)
_ORACLE = re.compile(r"oracle:thin:[\w$#.]{1,64}/([^\s@/\"'<>]{1,128}+)@")
_TELLING = re.compile(
    r"(?<![a-z])(?:resets?|password|passwd|pwd|token|tokens|invites?|invitations?|activate|activations?|verify|verification|"
    r"confirm|confirmation|unsubscribe|magic|magic-link|share|shared|auth|oauth|login|signin|secret|secrets|key|apikey|"
    r"api-key|signature|sso|session|sessions|webhook|webhooks|hooks|one-time|otp|recover|recovery)(?![a-z])",
    re.IGNORECASE,
)
_SEGMENT = re.compile(r"/([A-Za-z0-9_\-.~=%]{16,256})(?=[/?#\s\"'&<>]|$)")


def find(text: str) -> Iterator[Span]:
    """Each password in a URL's authority, and each random segment of a path that speaks of tokens."""
    position = text.find("://")
    while position >= 0:
        position += 3
        if text.find("@", position, position + _LONGEST) >= 0:
            yield from _credentials(text, position)
        position = text.find("://", position)
    if "@" in text and ":" in text:
        for found in _NO_SCHEME.finditer(text):
            if not is_trivial(found[1]) and not found[1].isalpha():
                yield Span(found.start(1), found.end(1), "password in a connection string")
        for found in _ORACLE.finditer(text):
            yield Span(found.start(1), found.end(1), "password in a connection string")
    if text.count("/") > 1:
        yield from _path_tokens(text)


def _credentials(text: str, start: int) -> Iterator[Span]:
    limit = min(len(text), start + _LONGEST)
    stop = _BREAK.search(text, start, limit)
    whole = text[start : stop.start() if stop else limit]
    authority = re.split(r"[/?#]", whole, maxsplit=1)[0]
    at = authority.rfind("@")
    if at < 0:
        # A password may hold an unescaped slash; then what follows the colon is no port.
        colon = authority.find(":")
        at = whole.rfind("@") if colon >= 0 and not authority[colon + 1 :].isdigit() and "::" not in authority else -1
        if at < 0 or at < colon:
            return
    user, separator, password = whole[:at].partition(":")
    if separator:
        if not is_trivial(password):
            yield Span(start + len(user) + 1, start + at, "password in a URL")
    elif looks_random(user):
        yield Span(start, start + at, "credential in a URL")


def _path_tokens(text: str) -> Iterator[Span]:
    for found in _SEGMENT.finditer(text):
        before = text[max(0, found.start() - 64) : found.start() + 1]
        after = text[found.end() : found.end() + 24]
        if (_TELLING.search(before) and looks_random(found[1], hexadecimal=True)) or (
            _TELLING.search(after) and looks_random(found[1])
        ):
            yield Span(found.start(1), found.end(1), "token in a path")
