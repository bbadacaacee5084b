"""Who posts: whether the post comes from a page of ours, and the client's address behind trusted proxies."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import urlsplit

from asgi_rota_sentry import forwarded, request
from asgi_rota_sentry.types import Scope
from asgi_rota_sentry.values import Network

_PORTS = {"http": 80, "https": 443}
_IPV6_PREFIX = 64  # what one customer has at least: one address more costs an attacker nothing


def is_from_elsewhere(scope: Scope) -> bool:
    """Whether a browser says that another site's page sent this.

    By `Sec-Fetch-Site` (https://www.w3.org/TR/fetch-metadata/), which browsers send over HTTPS; else by `Origin`
    (RFC 6454), which must be this host's. What sends neither is no browser's page.
    """
    site = request.header(scope, b"sec-fetch-site")
    if site is not None:
        return site.strip().lower() not in ("same-origin", "none")
    origin = request.header(scope, b"origin")
    return origin is not None and not _is_here(scope, origin)


def _is_here(scope: Scope, origin: str) -> bool:
    """Whether the origin has the host and the port that the client asked for; a proxy may have ended TLS."""
    host = request.header(scope, b"host") or ""
    try:
        theirs = urlsplit(origin.strip())
        port = _PORTS.get(theirs.scheme)
        ours = urlsplit(f"//{host}")
        same_port = (theirs.port or port) == (ours.port or port)
    except ValueError:
        return False
    return port is not None and bool(theirs.hostname) and theirs.hostname == ours.hostname and same_port


def key(scope: Scope, trusted: Sequence[Network]) -> str:
    """What stands for this client in rate limits: its IPv4 address, or its IPv6 network of 64 bits.

    Behind `trusted` proxies it is the address that they tell of.
    """
    address = forwarded.nearest_address(scope, trusted)
    if address is None:
        return "unknown"
    if isinstance(address, IPv4Address):
        return str(address)
    return f"{IPv6Address(int(address) >> _IPV6_PREFIX << _IPV6_PREFIX)}/{_IPV6_PREFIX}"
