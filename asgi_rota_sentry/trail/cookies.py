"""The session cookie: where it stands in a request, and what a response does to it."""

from collections.abc import Iterable, Sequence

# What frameworks write into a cookie that they delete; no session has such a value.
_EMPTY = frozenset({b"", b"null", b"deleted", b"None"})


def session_cookie(header: bytes, wanted: Sequence[bytes]) -> bytes | None:
    """The value of the first of the wanted cookies in a Cookie header (RFC 6265, section 4.2); None without one.

    `wanted` are their names, each with its equals sign.
    """
    for prefix in wanted:
        before, found, rest = header.partition(prefix)
        if not found:
            continue
        if before and before[-1] not in b" ;":  # the end of another's name, or of its value
            _, found, rest = header.replace(b";", b"; ").partition(b" " + prefix)
        if found:
            value = rest.partition(b";")[0].strip(b' "')
            return None if value in _EMPTY else value
    return None


def set_session_cookie(headers: Iterable[tuple[bytes, bytes]], wanted: Sequence[bytes]) -> bytes | None:
    """The value of the session cookie that a response sets; empty when it deletes it, None when it does neither.

    Of several the last counts, as it does for browsers.
    """
    found = None
    for name, value in headers:
        if name.lower() == b"set-cookie":
            pair, _, attributes = value.partition(b";")
            if pair.partition(b"=")[0].strip() + b"=" in wanted:
                found = b"" if _is_gone(attributes) else session_cookie(pair.strip(), wanted) or b""
    return found


def _is_gone(attributes: bytes) -> bool:
    """Whether the cookie is deleted: an age of nothing, or an expiry in 1970 (RFC 6265, section 3.1)."""
    lowered = attributes.lower().replace(b" ", b"")
    return b"max-age=0" in lowered or b"max-age=-" in lowered or b"01jan1970" in lowered or b"01-jan-1970" in lowered
