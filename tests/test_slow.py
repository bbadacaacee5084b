"""Slow requests are told, sampled or not, once a minute for each route."""

import logging
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from asgi_rota_sentry import RotaSentryMiddleware
from tests.conftest import Get, MemoryTransport

pytestmark = pytest.mark.anyio


async def slow(request: Request) -> Response:
    await anyio.sleep(0.6)
    return PlainTextResponse("at last")


async def stream(request: Request) -> Response:
    async def chunks() -> Any:
        yield b"first"
        await anyio.sleep(0.6)
        yield b"last"

    return StreamingResponse(chunks())


@pytest.mark.parametrize("rate", [1.0, 0.0], ids=["sampled", "unsampled"])
async def test_a_slow_route_is_told_once(
    sentry: Callable[..., MemoryTransport], fetch: Get, caplog: pytest.LogCaptureFixture, rate: float
) -> None:
    """A warning of its own kind by route, the tag `slow` and a log line; a stream is as slow as its first byte."""
    server = sentry(traces_sample_rate=rate, slow_request_seconds=0.5)
    app = RotaSentryMiddleware(Starlette(routes=[Route("/slow/{shift}", slow), Route("/stream", stream)]))
    for path in ("/slow/1", "/slow/2", "/stream"):
        assert (await fetch(app, path)).status_code == 200
    (event,) = server.events
    assert (event["level"], event["transaction"]) == ("warning", "/slow/{shift}")
    assert event["fingerprint"] == ["asgi_rota_sentry", "slow", "GET", "/slow/{shift}"]
    assert event["tags"]["slow"] == "true"
    assert event["contexts"]["slow_request"]["seconds"] >= 0.5
    told = [record for record in caplog.records if record.name == "asgi_rota_sentry"]
    assert [(record.levelno, "GET /slow/{shift}" in record.getMessage()) for record in told] == [
        (logging.WARNING, True)
    ]
    if rate:
        tags = {span["name"]: span["payload"] for span in server.spans}
        assert "slow" in str(tags["/slow/{shift}"].get("tags") or tags["/slow/{shift}"].get("attributes"))
