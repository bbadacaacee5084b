"""The route that fails on purpose: in debug mode only, and never a way to send anything."""

from collections.abc import Callable
from typing import Any

import pytest

from asgi_rota_sentry import RotaSentryMiddleware
from tests.conftest import Get, MemoryTransport

pytestmark = pytest.mark.anyio


async def app(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"the app answers"})


@pytest.mark.parametrize(
    ("kind", "raised"),
    [
        ("division", ZeroDivisionError),
        ("index", IndexError),
        ("key", KeyError),
        ("type", TypeError),
        ("attribute", AttributeError),
        ("value", ValueError),
        ("", Exception),
        ("nonsense", Exception),
    ],
)
async def test_each_kind_raises_its_error(sentry: Any, fetch: Get, kind: str, raised: type[Exception]) -> None:
    """All seven kinds, a generic one for no or an unknown kind; each is answered with the 500 page."""
    sentry(debug=True, outbox_path="")
    wrapped = RotaSentryMiddleware(app)
    with pytest.raises(raised):
        await fetch(wrapped, f"/test-sentry-error/?type={kind}", raises=True)
    response = await fetch(wrapped, f"/test-sentry-error/?type={kind}")
    assert response.status_code == 500
    assert len(response.headers["x-sentry-event-id"]) == 32


async def test_outside_debug_mode_the_route_does_not_exist(sentry: Callable[..., MemoryTransport], fetch: Get) -> None:
    """The application answers there as everywhere."""
    sentry()
    assert (await fetch(RotaSentryMiddleware(app), "/test-sentry-error/?type=key")).text == "the app answers"


async def test_in_debug_mode_nothing_leaves_whatever_transport_is_given(sentry: Any, fetch: Get) -> None:
    """A transport of the user's, a DSN, a Spotlight: none of them hears of it."""
    server = sentry(debug=True, outbox_path="", options={"spotlight": "http://127.0.0.1:9/stream"})
    await fetch(RotaSentryMiddleware(app), "/test-sentry-error/")
    assert server.envelopes == []
