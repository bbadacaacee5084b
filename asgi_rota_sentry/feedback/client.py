"""Who posts: whether the post comes from a page of ours, and the client's address behind trusted proxies."""

from collections.abc import Collection
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

from asgi_rota_sentry import request
from asgi_rota_sentry.types import Scope
from asgi_rota_sentry.values import Network

_PORTS = {"http": 80, "https": 443}
_MOST_HOPS = 20
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


def key(scope: Scope, trusted: Collection[Network]) -> str:
    """What stands for this client in rate limits: its IPv4 address, or its IPv6 network of 64 bits.

    Behind `trusted` proxies it is the last address of `X-Forwarded-For` that is none of them; so it is when the
    server listens on a Unix socket, where only a proxy connects.
    """
    peer = scope.get("client")
    address = _address(str(peer[0])) if peer else None
    if address is None or _is_among(address, trusted):
        for hop in reversed(_forwarded(scope)):
            found = _address(hop)
            if found is None:
                break
            address = found
            if not _is_among(found, trusted):
                break
    return "unknown" if address is None else _network(address)


def _forwarded(scope: Scope) -> list[str]:
    """The hops of `X-Forwarded-For`, several headers read as one list; the last few of them."""
    values = [value.decode("latin-1") for name, value in request.raw_headers(scope) if name == b"x-forwarded-for"]
    return ",".join(values).split(",")[-_MOST_HOPS:] if values else []


def _address(text: str) -> IPv4Address | IPv6Address | None:
    text = text.strip()
    if text.startswith("["):  # an IPv6 address with its port
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:  # an IPv4 address with its port
        text = text.partition(":")[0]
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return found.ipv4_mapped or found if isinstance(found, IPv6Address) else found


def _is_among(address: IPv4Address | IPv6Address, networks: Collection[Network]) -> bool:
    return any(address in network for network in networks)


def _network(address: IPv4Address | IPv6Address) -> str:
    if isinstance(address, IPv4Address):
        return str(address)
    return f"{IPv6Address(int(address) >> _IPV6_PREFIX << _IPV6_PREFIX)}/{_IPV6_PREFIX}"
