"""The client's address behind proxies: only what a trusted hop says is believed.

`X-Forwarded-For` and `Forwarded` (RFC 7239) are lists to which each proxy appends the address that it was called from.
A client may send such a list itself, so it is read from the right, as far as the hops are trusted.
"""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

from asgi_rota_sentry import request
from asgi_rota_sentry.types import Scope
from asgi_rota_sentry.values import Network

_MOST_HOPS = 64
Address = IPv4Address | IPv6Address


def client_address(scope: Scope, trusted: Sequence[Network] = ()) -> str | None:
    """The address that the request came from; None when the server does not know it.

    Where both headers are sent and say different things, one of them is the client's own invention: then neither is
    believed, and the address is that of the last proxy.
    """
    peer = _peer(scope)
    if peer is None:
        return None
    address = _parsed(peer)
    if address is None:
        return peer
    return _written(_behind(scope, address, trusted) or address)


def nearest_address(scope: Scope, trusted: Sequence[Network] = ()) -> Address | None:
    """As `client_address`; where the server knows none (a Unix socket), a proxy has called, and it is believed."""
    peer = _peer(scope)
    address = None if peer is None else _parsed(peer)
    return _behind(scope, address, trusted) or address


def _behind(scope: Scope, address: Address | None, trusted: Sequence[Network]) -> Address | None:
    """The client of the proxies that end with this address (None: one without); None where it is no proxy."""
    if address is not None and not _is_trusted(address, trusted):
        return None
    found = {_last_untrusted(address, hops, trusted) for hops in (_x_forwarded_for(scope), _forwarded(scope)) if hops}
    return found.pop() if len(found) == 1 else None


def claimed_addresses(scope: Scope) -> set[str]:
    """Every address that a header claims to be somebody's, as it is written there and in its usual form."""
    found: set[str] = set()
    for name, value in request.personal_headers(scope):
        if name != "cookie":
            pieces = value.decode("latin-1").replace(";", ",").split(",")
            named = (piece.partition("=")[2] if "=" in piece else piece for piece in pieces[:_MOST_HOPS])
            for text in map(_bare, named):
                if (address := _parsed(text)) is not None:
                    found |= {str(address), text}
    return found


def _peer(scope: Scope) -> str | None:
    client = scope.get("client")
    return str(client[0]) if client and client[0] else None


def _is_trusted(address: Address, trusted: Sequence[Network]) -> bool:
    return any(address in network for network in trusted)


def _last_untrusted(address: Address | None, hops: list[str], trusted: Sequence[Network]) -> Address | None:
    """Go from hop to hop to the left for as long as the one that tells of the next is trusted."""
    for hop in reversed(hops[-_MOST_HOPS:]):
        if address is not None and not _is_trusted(address, trusted):
            break
        told = _parsed(hop)
        if told is None:  # "unknown", an obfuscated name (RFC 7239, section 6.3), or no address at all
            break
        address = told
    return address


def _values(scope: Scope, name: bytes) -> str:
    return ",".join(value.decode("latin-1") for key, value in request.raw_headers(scope) if key == name)


def _x_forwarded_for(scope: Scope) -> list[str]:
    return [hop for hop in _values(scope, b"x-forwarded-for").split(",") if hop.strip()]


def _forwarded(scope: Scope) -> list[str]:
    """The `for` parameter of each element; an element without one stands as an unknown hop, if any has one."""
    found: list[str | None] = []
    for element in _values(scope, b"forwarded").split(","):
        if not element.strip():
            continue
        pairs = (pair.partition("=") for pair in element.split(";"))
        found.append(next((value for name, _, value in pairs if name.strip().lower() == "for"), None))
    # Without any it tells of the protocol or the host, and of no client.
    return [hop or "unknown" for hop in found] if any(found) else []


@lru_cache(maxsize=2048)
def _written(address: Address) -> str:
    return str(address)


@lru_cache(maxsize=2048)
def _parsed(text: str) -> Address | None:
    """The address of `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `"[2001:db8::1]:80"`; None for anything else."""
    try:
        address = ip_address(_bare(text).partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _bare(text: str) -> str:
    """What may be an address, without quotes, brackets and port."""
    text = text.strip().strip('"').strip()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text
