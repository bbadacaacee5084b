"""Profiles: one with each transaction that is to have one, and none that outlives its request."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import pytest
import sentry_sdk
from sentry_sdk.profiler import continuous_profiler
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from asgi_rota_sentry import RotaSentryMiddleware
from asgi_rota_sentry.sdk.client import HAS_TRANSACTIONS
from tests.conftest import Get, MemoryTransport
from tests.waiting import wait_until

pytestmark = pytest.mark.anyio

Sentry = Callable[..., MemoryTransport]
CONTINUOUS = {"profile_session_sample_rate": 1.0, "profile_lifecycle": "trace"}
# The isolation scopes that requests had.
SCOPES: list[Any] = []


@pytest.fixture(autouse=True)
def _no_profiler_is_left() -> Iterator[None]:
    """The SDK keeps its first profilers for the whole process."""
    SCOPES.clear()
    yield
    if HAS_TRANSACTIONS:
        from sentry_sdk.profiler import transaction_profiler

        transaction_profiler.teardown_profiler()
    if continuous_profiler._scheduler is not None:
        continuous_profiler._scheduler.teardown()
    continuous_profiler.teardown_continuous_profiler()


def busy(request: Request) -> Response:
    SCOPES.append(sentry_sdk.get_isolation_scope())
    until = time.monotonic() + 0.2
    while time.monotonic() < until:
        sum(range(1_000))
        time.sleep(0.001)  # for the profiler's thread to have its turn, on a busy machine too
    if request.url.path == "/broken":
        raise ValueError
    return PlainTextResponse("ok")


@pytest.mark.skipif(not HAS_TRANSACTIONS, reason="sentry-sdk 3.x has continuous profiles only")
@pytest.mark.parametrize("lifecycle", ["static"])
async def test_a_profile_is_sent_with_its_transaction(sentry: Sentry, fetch: Get) -> None:
    """Of the view that was busy, whether or not the request failed; the scope lets go of it."""
    server = sentry(profiles_sample_rate=1.0)
    app = RotaSentryMiddleware(Starlette(routes=[Route("/", busy), Route("/broken", busy)]))
    for path in ("/", "/broken"):
        server.envelopes.clear()
        await fetch(app, path)
        (profile,), (transaction,) = server.items("profile"), server.items("transaction")
        assert [found["id"] for found in profile["transactions"]] == [transaction["event_id"]]
        assert "busy" in {frame["function"] for frame in profile["profile"]["frames"]}
    assert [scope.profile for scope in SCOPES] == [None] * len(SCOPES)


async def test_a_continuous_profile_ends_with_the_last_request(sentry: Sentry, fetch: Get) -> None:
    """It runs while there are requests, which are not remembered when they are over."""
    sentry(options=CONTINUOUS)

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        assert continuous_profiler.get_profiler_id() is not None
        await anyio.sleep(0.02)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    wrapped = RotaSentryMiddleware(app)
    for _ in range(3):
        await fetch(wrapped, "/")
    await anyio.to_thread.run_sync(wait_until, lambda: continuous_profiler.get_profiler_id() is None)
