"""What one ASGI scope says about the request.

Nothing here is worked out before somebody asks: a request without an event pays for none of it.
"""

import re
from collections.abc import Collection, Sequence
from http import HTTPMethod, HTTPStatus
from http.cookies import CookieError, SimpleCookie
from urllib.parse import quote

from asgi_rota_sentry.types import Scope

_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_PERSONAL_HEADERS = frozenset(
    {
        "authorization",
        "cookie",
        "forwarded",
        "from",
        "proxy-authorization",
        "set-cookie",
        "via",
        "x-api-key",
        "x-coming-from",
        "x-csrftoken",
        "x-envoy-external-address",
        "x-forwarded",
        "x-xsrf-token",
    }
)
# Gateways have many names for the same: `cf-connecting-ip`, `x-azure-clientip`, `x-goog-authenticated-user-id`.
_PERSONAL_PARTS = (
    *("-ip", "clientip", "realip", "socketip", "client-addr", "viewer-address", "forwarded-for"),
    *("-user", "-email", "remote-"),
)
#: Headers by name, and the cookies as they were sent, in one piece.
Sent = tuple[dict[bytes, bytes], bytes]

FILTERED = "[Filtered]"
COOKIE = b"cookie"
BAGGAGE = b"baggage"
_METHODS = frozenset(HTTPMethod)
_LONGEST_KNOWN = 100
_MOST_KNOWN = 1_000
_NEEDS_NO_QUOTES = re.compile(r"[A-Za-z0-9_.~/:@!$&'()*+,;=%-]*").fullmatch


def raw_headers(scope: Scope) -> Sequence[tuple[bytes, bytes]]:
    """The header pairs of the scope; empty when the server gave none, or an iterator, which is the application's."""
    found = scope.get("headers") or ()
    return () if type(found) is not list and hasattr(found, "__next__") else found


def header(scope: Scope, name: bytes) -> str | None:
    """The first value of a header, decoded as Latin-1 (RFC 9110, section 5.5); None when it is absent."""
    value = first_headers(scope).get(name)
    return None if value is None else value.decode("latin-1")


def joined_header(scope: Scope, name: bytes) -> str | None:
    """A header that is a list, as a whole: several lines are one (RFC 9110, section 5.3). None when it is absent."""
    found = [value for key, value in raw_headers(scope) if key == name]
    return b", ".join(found).decode("latin-1") if found else None


def first_headers(scope: Scope) -> dict[bytes, bytes]:
    """The headers by name, of several of one name the first."""
    return headers_and_cookies(scope)[0]


def some_headers_and_cookies(scope: Scope, names: Collection[bytes]) -> Sent:
    """The headers of these names, of which `COOKIE` is one: of several of one name the first, the cookies in one piece.

    `BAGGAGE` may be on several lines, and is in one piece, too (https://www.w3.org/TR/baggage/).
    Unlike `headers_and_cookies` it gathers nothing that no one asked for: every request pays for it.
    """
    cookies = b""
    found: dict[bytes, bytes] = {}
    headers = scope.get("headers")
    for name, value in headers if type(headers) is list else raw_headers(scope):
        if name in names:
            if name != COOKIE:
                if name not in found:
                    found[name] = value
                elif name == BAGGAGE:
                    found[name] = b",".join((found[name], value))
            elif cookies:
                cookies = b"; ".join((cookies, value))
            else:
                cookies = value
    return found, cookies


def headers_and_cookies(scope: Scope) -> Sent:
    """The headers by name, of several of one name the first; and the cookies as they were sent, in one piece.

    HTTP/2 may split the header of the cookies (RFC 9113, section 8.2.3).
    """
    found = raw_headers(scope)
    by_name = dict(found)
    if len(by_name) == len(found):
        return by_name, by_name.get(COOKIE, b"")
    cookies = b"; ".join([value for name, value in found if name == COOKIE])
    return dict(reversed(list(found))), cookies


def headers(scope: Scope, *, personal: bool) -> dict[str, str]:
    """All headers by name, repeated ones joined; without `personal`, those that identify a person read `[Filtered]`."""
    found: dict[str, str] = {}
    for raw_key, raw_value in raw_headers(scope):
        key, is_personal = _KNOWN_HEADERS[raw_key if type(raw_key) is bytes else bytes(raw_key)]
        if is_personal and not personal:
            found[key] = FILTERED
        else:
            value = raw_value.decode("latin-1") if type(raw_value) is bytes else str(raw_value, "latin-1")
            # Cookies on several lines, as HTTP/2 may have them, are one list all the same (RFC 9113, section 8.2.3).
            between = "; " if key == "cookie" else ", "
            found[key] = f"{found[key]}{between}{value}" if key in found else value
    return found


def personal_headers(scope: Scope) -> list[tuple[str, bytes]]:
    """Those that tell who sent the request, or from where: the names in lower case, the values as they are."""
    known = _KNOWN_HEADERS
    return [(told[0], value) for raw, value in raw_headers(scope) if (told := known[bytes(raw)])[1]]


class _KnownHeaders(dict[bytes, tuple[str, bool]]):
    """By a header's raw name the name, and whether it identifies a person; each found out when it is met."""

    def __missing__(self, raw: bytes) -> tuple[str, bool]:
        name = raw.decode("latin-1").lower()
        found = name, name in _PERSONAL_HEADERS or any(part in name for part in _PERSONAL_PARTS)
        # Nobody's invention of names fills the memory.
        if len(raw) <= _LONGEST_KNOWN and len(self) < _MOST_KNOWN:
            self[raw] = found
        return found


_KNOWN_HEADERS = _KnownHeaders()


def path(scope: Scope) -> str:
    """The URL path as the client sent it, the mount prefix included exactly once.

    `path` includes `root_path` since ASGI 3's clarification; servers and frameworks from before it leave it out.
    """
    own = scope.get("path")
    if isinstance(own, str) and not scope.get("root_path"):
        return own  # as nearly all
    own, prefix = _text(scope, "path"), _text(scope, "root_path")
    if not prefix or own == prefix or own.startswith(prefix.rstrip("/") + "/"):
        return own
    return prefix.rstrip("/") + own


def local_path(scope: Scope) -> str:
    """The URL path below the mount prefix: what this application routes on."""
    own, prefix = _text(scope, "path"), _text(scope, "root_path")
    if not prefix:
        return own
    prefix = prefix.rstrip("/")
    if own == prefix or own.startswith(prefix + "/"):
        return own[len(prefix) :] or "/"
    return own


def _text(scope: Scope, key: str) -> str:
    """What the scope has there; empty where that is no text, for an application may write into it what it likes."""
    found = scope.get(key)
    return found if isinstance(found, str) else ""


def method(scope: Scope) -> str:
    """The HTTP method; a websocket's handshake is a GET (RFC 6455, section 4.1)."""
    found = scope.get("method")
    return found if type(found) is str and found.isupper() else str(found or "GET").upper()


def known_method(scope: Scope) -> str:
    """The HTTP method, of those that a client invents `OTHER`: names that hang on it must not be without number."""
    found = method(scope)
    return found if found in _METHODS else "OTHER"


def query_string(scope: Scope) -> str:
    """The raw query string, still percent-encoded."""
    return bytes(scope.get("query_string") or b"").decode("latin-1")


def url(scope: Scope, *, without_host: bool = False) -> str:
    """The URL without its query; the path alone when neither a Host header nor the server's address is known.

    `without_host` leaves the Host header out of account and the path as it is: what the SDK calls a request first.
    """
    kind = "ws" if scope.get("type") == "websocket" else "http"
    scheme = scope.get("scheme") or kind
    if without_host:
        host, here = _server(scope, scheme), path(scope)
    else:
        # An IPv6 address stands in brackets (RFC 3986, section 3.2.2), which the SDK leaves out.
        host, here = header(scope, b"host") or _server(scope, scheme, "[{}]"), quoted(path(scope))
        if here[:1] != "/" and here and host:
            here = f"/{here}"  # a server may take any target (`@evil.example/`): none is a part of the host
    return f"{scheme}://{host}{here}" if host else here


def quoted(here: str) -> str:
    """A path as a URL has it, in which nothing is left that ends a line."""
    return here if _NEEDS_NO_QUOTES(here) else quote(here, safe="/:@!$&'()*+,;=~%", errors="replace")


def _server(scope: Scope, scheme: str, ipv6: str = "{}") -> str | None:
    server = scope.get("server")
    if not server or not server[0] or len(server) < 2 or server[0].startswith("/"):
        return None  # unknown, or a Unix socket's path
    name, port = server[0], server[1]
    if ":" in name:
        name = ipv6.format(name)
    return name if port in (None, _DEFAULT_PORTS.get(scheme)) else f"{name}:{port}"


def cookie_header(scope: Scope) -> bytes:
    """The cookies as they were sent, in one piece."""
    return headers_and_cookies(scope)[1]


def cookies(scope: Scope) -> dict[str, str]:
    """The cookies by name (RFC 6265); what cannot be parsed is left out."""
    found: dict[str, str] = {}
    for pair in cookie_header(scope).decode("latin-1").split(";"):
        name, separator, value = pair.partition("=")
        if separator and name.strip():
            found[name.strip()] = cookie_value(value.strip())
    return found


def cookie_value(value: str) -> str:
    """The value of a cookie, out of its quotes; as it stands where they are not well formed."""
    if not value.startswith('"'):
        return value
    try:
        parsed = SimpleCookie(f"x={value}")
    except CookieError:
        return value
    return parsed["x"].value if "x" in parsed else value


def status_text(status: int) -> str:
    """The status as people read it: `404 Not Found`."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
