"""The frameworks' own default answers, known byte for byte, so that nothing else is ever replaced.

Each entry was taken from the running framework and has a test against it. An answer that differs in one byte is the
application's own.
"""

from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import NamedTuple

Headers = Sequence[tuple[bytes, bytes]]

STATUSES = (404, *(int(status) for status in HTTPStatus if 500 <= status <= 599))

# What each framework sends when nobody wrote a page, with the standard reason phrase of the status filled in.
_PHRASED = (
    ("Starlette, BlackSheep", "text/plain", "{phrase}"),
    ("FastAPI", "application/json", '{{"detail":"{phrase}"}}'),
    # Litestar answers in JSON whatever media type the handler declares, and sends that type with it.
    ("Litestar", "application/json", '{{"status_code":{status},"detail":"{phrase}"}}'),
    ("Litestar", "text/plain", '{{"status_code":{status},"detail":"{phrase}"}}'),
    ("Litestar", "text/html", '{{"status_code":{status},"detail":"{phrase}"}}'),
    ("Falcon", "application/json", '{{"title": "{status} {phrase}"}}'),
    (
        "Falcon",
        "application/xml",
        '<?xml version="1.0" encoding="UTF-8"?><error><title>{status} {phrase}</title></error>',
    ),
    ("aiohttp", "text/plain", "{status}: {phrase}"),
)

_DJANGO = (
    '\n<!doctype html>\n<html lang="en">\n<head>\n  <title>{title}</title>\n</head>\n<body>\n'
    "  <h1>{title}</h1><p>{details}</p>\n</body>\n</html>\n"
)
_WERKZEUG = "<!doctype html>\n<html lang=en>\n<title>{status} {phrase}</title>\n<h1>{phrase}</h1>\n<p>{details}</p>\n"

_WERKZEUG_DETAILS = {
    404: "The requested URL was not found on the server. If you entered the URL manually please check your spelling "
    "and try again.",
    500: "The server encountered an internal error and was unable to complete your request. Either the server is "
    "overloaded or there is an error in the application.",
    501: "The server does not support the action requested by the browser.",
    502: "The proxy server received an invalid response from an upstream server.",
    503: "The server is temporarily unable to service your request due to maintenance downtime or capacity problems. "
    "Please try again later.",
    504: "The connection to an upstream server timed out.",
    505: "The server does not support the HTTP protocol version used in the request.",
}

_SINGLE = (
    (404, "text/plain", "Resource not found"),  # BlackSheep
    (
        404,
        "text/html",
        _DJANGO.format(title="Not Found", details="The requested resource was not found on this server."),
    ),
    (500, "text/html", _DJANGO.format(title="Server Error (500)", details="")),
    (500, "text/plain", "500 Internal Server Error\n\nServer got itself in trouble"),  # aiohttp
    (
        500,
        "text/html",  # aiohttp, for a client that accepts HTML
        "<html><head><title>500 Internal Server Error</title></head><body>\n<h1>500 Internal Server Error</h1>\n"
        "Server got itself in trouble\n</body></html>\n",
    ),
)


def _entries() -> Iterable[tuple[int, str, str]]:
    for status in STATUSES:
        phrase = HTTPStatus(status).phrase
        for _, media_type, text in _PHRASED:
            yield status, media_type, text.format(status=status, phrase=phrase)
        if status in _WERKZEUG_DETAILS:
            details = _WERKZEUG_DETAILS[status]
            yield status, "text/html", _WERKZEUG.format(status=status, phrase=phrase, details=details)
    yield from _SINGLE


def _table() -> dict[tuple[int, bytes], frozenset[bytes]]:
    table: dict[tuple[int, bytes], set[bytes]] = {}
    for status, media_type, text in _entries():
        table.setdefault((status, media_type.encode()), set()).add(text.encode())
    return {key: frozenset(bodies) for key, bodies in table.items()}


_BODIES = _table()
_LENGTHS = {key: frozenset(map(len, bodies)) for key, bodies in _BODIES.items()}
_NONE: frozenset[bytes] = frozenset()
_UTF8 = (b"", b"charset=utf-8", b'charset="utf-8"')


class _Described(NamedTuple):
    """What the headers say about the body: the media type in lower case (None: other than UTF-8), its length."""

    media_type: bytes | None
    length: int | None
    plain: bool  # neither compressed nor followed by trailers


def _described(headers: Headers) -> _Described:
    media_type: bytes | None = b""
    length: int | None = None
    plain = True
    for raw_name, value in headers:
        name = raw_name.lower()
        if name == b"content-type":
            media_type, _, parameters = (part.strip() for part in value.lower().partition(b";"))
            media_type = media_type if parameters in _UTF8 else None
        elif name == b"content-length":
            length = int(value) if value.isdigit() else -1
        elif (name == b"content-encoding" and value.strip().lower() != b"identity") or name == b"trailer":
            plain = False
    return _Described(media_type, length, plain)


def is_error(status: int) -> bool:
    """Whether it is a status that a page may be served for: 404 or any 5xx, without a standard phrase too."""
    return status == 404 or 500 <= status <= 599


def is_stream(headers: Headers) -> bool:
    """Whether the headers announce a body that has no end, or that goes on after it (trailers)."""
    return any(
        name.lower() == b"trailer"
        or (name.lower() == b"content-type" and value.lower().startswith((b"text/event-stream", b"multipart/x-mixed")))
        for name, value in headers
    )


def could_be_bare(status: int, headers: Headers, beginning: bytes = b"") -> bool:
    """Whether an answer with this start may still turn out to be bare, given the beginning of its body.

    False as soon as that is impossible, so that a stream is let go at its first byte that no bare answer has.
    """
    if not headers and not beginning:
        return True
    media_type, length, plain = _described(headers)
    if length == 0:
        return not beginning
    if not plain:
        return False
    key = (status, media_type or b"")
    if length is None and not beginning:
        return not is_stream(headers)
    if length is not None and length not in _LENGTHS.get(key, _NONE):
        return False
    return any(body.startswith(beginning) for body in _BODIES.get(key, _NONE))


def is_bare(status: int, headers: Headers, body: bytes, method: str = "GET") -> bool:
    """Whether this complete answer is empty or exactly a framework's default.

    The answer to HEAD may come without its body (RFC 9110, section 9.3.2): there the length must be that of a default.
    """
    if not is_error(status):
        return False
    media_type, length, plain = _described(headers)
    key = (status, media_type or b"")
    if body:
        return plain and body in _BODIES.get(key, _NONE)
    if method != "HEAD" or length == 0:
        return True
    if length is None:
        return media_type == b""
    return plain and length in _LENGTHS.get(key, _NONE)
