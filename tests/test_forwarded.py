"""The client's address behind proxies, and that a spoofed header never becomes it."""

from collections.abc import Callable
from typing import Any

import pytest
import sentry_sdk
from quart import Quart
from sentry_sdk.integrations.asgi import SentryAsgiMiddleware
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from asgi_rota_sentry import RotaSentryMiddleware
from asgi_rota_sentry.forwarded import claimed_addresses, client_address
from asgi_rota_sentry.values import networks
from tests.conftest import Get, MemoryTransport
from tests.told import told

Sentry = Callable[..., MemoryTransport]
TRUSTED = networks("10.0.0.0/8, 2001:db8::/32, 127.0.0.1")
SPOOFED = "203.0.113.66"


def scope_of(peer: str | None, **headers: str) -> dict[str, Any]:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http", "client": (peer, 4711) if peer else None, "headers": raw}


@pytest.mark.parametrize(
    ("peer", "headers", "expected"),
    [
        (None, {"x_forwarded_for": SPOOFED}, None),
        ("198.51.100.7", {}, "198.51.100.7"),
        ("198.51.100.7", {"x_forwarded_for": SPOOFED}, "198.51.100.7"),
        ("10.0.0.1", {"x_forwarded_for": "198.51.100.7"}, "198.51.100.7"),
        ("10.0.0.1", {"x_forwarded_for": f"{SPOOFED}, 198.51.100.7"}, "198.51.100.7"),
        ("10.0.0.1", {"x_forwarded_for": f"{SPOOFED}, 198.51.100.7, 10.0.0.2"}, "198.51.100.7"),
        ("10.0.0.1", {"x_forwarded_for": "10.0.0.3, 10.0.0.2"}, "10.0.0.3"),
        ("10.0.0.1", {"x_forwarded_for": "unknown"}, "10.0.0.1"),
        ("10.0.0.1", {"x_forwarded_for": "198.51.100.7", "forwarded": "proto=https;host=h"}, "198.51.100.7"),
        ("10.0.0.1", {"x_forwarded_for": SPOOFED, "forwarded": "for=unknown;proto=https"}, "10.0.0.1"),
        ("10.0.0.1", {"x_forwarded_for": f"{SPOOFED}, nonsense, 10.0.0.2"}, "10.0.0.2"),
        ("10.0.0.1", {"x_forwarded_for": "198.51.100.7:4711"}, "198.51.100.7"),
        ("10.0.0.1", {"x_forwarded_for": ","}, "10.0.0.1"),
        ("10.0.0.1", {"x_forwarded_for": "198.51.100.7, , "}, "198.51.100.7"),
        ("10.0.0.1", {"forwarded": "by=10.0.0.1; For=198.51.100.7, "}, "198.51.100.7"),
        ("10.0.0.1", {"x_forwarded_for": ", ".join([SPOOFED] * 5000 + ["198.51.100.7"])}, "198.51.100.7"),
        ("2001:db8::1", {"forwarded": 'for="[2001:470::7]:4711";proto=https'}, "2001:470::7"),
        ("10.0.0.1", {"forwarded": f"for={SPOOFED}, For=198.51.100.7;by=10.0.0.1"}, "198.51.100.7"),
        ("10.0.0.1", {"forwarded": f"for={SPOOFED}, for=_hidden"}, "10.0.0.1"),
        ("10.0.0.1", {"forwarded": f"for={SPOOFED}, proto=https"}, "10.0.0.1"),
        ("10.0.0.1", {"x_forwarded_for": "198.51.100.7", "forwarded": f"for={SPOOFED}"}, "10.0.0.1"),
        ("10.0.0.1", {"x_forwarded_for": "198.51.100.7", "forwarded": "for=198.51.100.7"}, "198.51.100.7"),
        ("10.0.0.1", {"x_real_ip": SPOOFED, "cf_connecting_ip": SPOOFED}, "10.0.0.1"),
        ("::ffff:10.0.0.1", {"x_forwarded_for": "::ffff:198.51.100.7"}, "198.51.100.7"),
        ("testclient", {"x_forwarded_for": SPOOFED}, "testclient"),
    ],
)
def test_only_trusted_hops_are_believed(peer: str | None, headers: dict[str, str], expected: str | None) -> None:
    """From the right, hop by hop; two headers that contradict each other are both not believed."""
    assert client_address(scope_of(peer, **headers), TRUSTED) == expected


def test_the_hops_may_come_in_several_headers() -> None:
    """Repeated headers are one list (RFC 9110, section 5.3)."""
    scope = scope_of("10.0.0.1")
    scope["headers"] = [(b"x-forwarded-for", SPOOFED.encode()), (b"x-forwarded-for", b"198.51.100.7, 10.0.0.2")]
    assert client_address(scope, TRUSTED) == "198.51.100.7"
    assert claimed_addresses(scope) == {SPOOFED, "198.51.100.7", "10.0.0.2"}


def test_every_address_that_a_header_claims_is_known_as_it_is_written_there() -> None:
    """With quotes, brackets and port or without, whatever else is told beside it; of a list without end the first."""
    found = claimed_addresses(scope_of(None, forwarded='for="[2001:DB8::1]:80";by=10.0.0.1, for=192.0.2.1:80;proto=x'))
    assert found == {"2001:DB8::1", "2001:db8::1", "10.0.0.1", "192.0.2.1"}
    endless = ",".join(f"192.0.{number // 250}.{number % 250}" for number in range(5_000))
    assert 10 < len(claimed_addresses(scope_of(None, x_forwarded_for=endless))) < 100


def test_without_trusted_proxies_no_header_is_believed() -> None:
    """The default: the address is that of the connection."""
    assert client_address(scope_of("10.0.0.1", x_forwarded_for=SPOOFED)) == "10.0.0.1"


def failing() -> Starlette:
    def view(request: Request) -> Response:
        return PlainTextResponse(str(int("abc")))

    return Starlette(routes=[Route("/", view)])


def quart() -> Any:
    app = Quart("rota")

    @app.get("/")
    async def view() -> str:
        return str(int("abc"))

    return app


@pytest.mark.anyio
@pytest.mark.parametrize("spelled", ["2001:DB8::0001", "[2001:DB8::0001]:443", "2001:db8::1"])
async def test_an_address_is_withheld_as_the_header_spells_it(sentry: Sentry, fetch: Get, spelled: str) -> None:
    """IPv6 has many spellings of one address: neither that of the header nor the usual one leaves."""
    server = sentry()

    async def view(request: Request) -> Response:
        raise ValueError(f"no room for {request.headers['x-forwarded-for']}, which is 2001:db8::1")

    await fetch(RotaSentryMiddleware(Starlette(routes=[Route("/", view)])), "/", headers={"x-forwarded-for": spelled})
    (event,) = server.events
    assert "2001:" not in told(event)


@pytest.mark.anyio
@pytest.mark.parametrize("stack", ["ours", "inside sentry-sdk's layer", "Quart"])
async def test_a_spoofed_header_is_the_user_s_address_in_no_part_of_an_event(
    sentry: Sentry, fetch: Get, stack: str, anyio_backend: str
) -> None:
    """Nor where sentry-sdk's own layers believe it: user, request environment, span attributes."""
    if stack == "Quart" and anyio_backend == "trio":
        return  # Quart is at home on asyncio
    server = sentry(send_default_pii=True)
    app = RotaSentryMiddleware(quart() if stack == "Quart" else failing())
    wrapped = SentryAsgiMiddleware(app) if stack == "inside sentry-sdk's layer" else app
    spoofed = {"x-forwarded-for": SPOOFED, "x-real-ip": SPOOFED, "forwarded": f"for={SPOOFED}"}
    await fetch(wrapped, "/", headers=spoofed)
    (event,) = server.events
    assert event["user"]["ip_address"] == "198.51.100.7"
    assert event["request"]["env"]["REMOTE_ADDR"] == "198.51.100.7"
    assert event["contexts"]["request"]["ip_address"] == "198.51.100.7"
    for payload in [event, *(span["payload"] for span in server.spans)]:
        shown = told({key: part for key, part in payload.items() if key in ("user", "contexts", "tags", "breadcrumbs")})
        assert SPOOFED not in shown
        assert SPOOFED not in told((payload.get("request") or {}).get("env"))
        addresses = {name: value["value"] for name, value in payload.get("attributes", {}).items() if "address" in name}
        assert SPOOFED not in addresses.values()


@pytest.mark.anyio
async def test_the_address_behind_a_trusted_proxy_is_told(sentry: Sentry, fetch: Get) -> None:
    """With personal data allowed and the proxy's network in the settings."""
    server = sentry(send_default_pii=True, trusted_proxies="198.51.100.0/24")
    await fetch(RotaSentryMiddleware(failing()), "/", headers={"x-forwarded-for": f"{SPOOFED}, 192.0.2.8"})
    (event,) = server.events
    assert event["user"]["ip_address"] == event["request"]["env"]["REMOTE_ADDR"] == "192.0.2.8"


@pytest.mark.anyio
async def test_the_address_behind_a_trusted_proxy_is_withheld(sentry: Sentry, fetch: Get) -> None:
    """However many others the client has put before it."""
    server = sentry(trusted_proxies="198.51.100.0/24")

    async def view(request: Request) -> Response:
        raise ValueError("no room for 192.0.2.8")

    headers = {"x-forwarded-for": ", ".join([SPOOFED] * 99 + ["192.0.2.8"])}
    await fetch(RotaSentryMiddleware(Starlette(routes=[Route("/", view)])), "/", headers=headers)
    (event,) = server.events
    assert event["exception"]["values"][0]["value"] == "no room for [Filtered]"


@pytest.mark.anyio
async def test_an_address_that_the_app_sets_stays(sentry: Sentry, fetch: Get) -> None:
    """The application may know better than any header."""
    server = sentry(send_default_pii=True)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        sentry_sdk.set_user({"id": "1", "ip_address": "192.0.2.99"})
        raise ValueError

    await fetch(RotaSentryMiddleware(app), "/")
    assert server.events[0]["user"] == {"id": "1", "ip_address": "192.0.2.99"}
