"""Long random strings that stand near a suspicious word, in whatever a person or a library wrote."""

import re
from collections.abc import Iterator

from asgi_rota_sentry.scrubbing.randomness import is_uuid, looks_random
from asgi_rota_sentry.scrubbing.spans import Span

_WORD = re.compile(r"(?<![A-Za-z0-9])[A-Za-z0-9_+/\-~.]{16,}+={0,2}")
_LONGEST = 512
_BEFORE, _AFTER, _CLOSE = 48, 32, 24
_SUSPICIOUS = re.compile(
    r"(?<![a-z])(?:passwords?|passwd|passphrases?|secrets?|tokens?|credentials?|creds?|api[ _-]?keys?|keys?|auth|oauth|"
    r"authorization|authorisation|bearer|signatures?|sessions?|cookies?|jwt|csrf|nonce)(?![a-z])"
)
_HARMLESS = re.compile(
    r"(?<![a-z])(?:commit|sha|sha1|sha256|sha512|md5|hash|digest|checksum|etag|integrity|trace|span|event|request|release|"
    r"build|revision|rev|version|uuid|primary|public|foreign|cache|sentry-trace|traceparent|boundary|file|path|static)(?![a-z])"
)
_NAMED_LIKE_HASHES = re.compile(r"sha(?:256|384|512)[-:]")


def find(text: str, low: str) -> Iterator[Span]:
    """Each such string in the text, `low` being the same in lower case."""
    if len(text) < 20 or not _SUSPICIOUS.search(low):
        return
    for found in _WORD.finditer(text):
        word = found[0].strip("._/~-")
        start = found.start() + found[0].find(word)
        end = start + len(word)
        if end - start > _LONGEST or is_uuid(word) or _NAMED_LIKE_HASHES.match(low, start):
            continue
        if not looks_random(word, hexadecimal=True):
            continue
        before = low[max(0, start - _BEFORE) : start]
        if _HARMLESS.search(before) or (before.endswith(("://", "www.")) or _is_path(word)):
            continue
        is_hexadecimal = not looks_random(word)
        near = low[max(0, start - _CLOSE) : start] if is_hexadecimal else f"{before} {low[end : end + _AFTER]}"
        if _SUSPICIOUS.search(near):
            yield Span(start, end, "a random string beside a suspicious word")


def _is_path(word: str) -> bool:
    return word.count("/") > 1 and "." in word
