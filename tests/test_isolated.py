"""Nothing of one request is ever seen in another's events, whatever runs at the same time."""

import contextvars
from collections.abc import Callable
from typing import Any

import anyio
import pytest
import sentry_sdk

from asgi_rota_sentry import RotaSentryMiddleware
from tests.conftest import MemoryTransport

pytestmark = pytest.mark.anyio

Sentry = Callable[..., MemoryTransport]


def http_scope(path: str, **fields: Any) -> dict[str, Any]:
    return {"type": "http", "method": "GET", "path": path, "headers": [(b"host", b"rota.example")], **fields}


async def test_a_request_in_a_context_left_behind_begins_anew(sentry: Sentry) -> None:
    """A pipelined request, or one after paused reading, starts in a copy of an earlier request's context."""
    server = sentry()
    left_behind: list[contextvars.Context] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/first":
            sentry_sdk.set_tag("leaked", "yes")
            sentry_sdk.get_isolation_scope().set_user({"id": "first"})
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})
        left_behind.append(contextvars.copy_context())
        raise ValueError(scope["path"])

    async def receive() -> Any:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            left_behind.append(contextvars.copy_context())

    wrapped = RotaSentryMiddleware(app)

    async def request(path: str) -> None:
        with pytest.raises(ValueError, match=path):
            await wrapped(http_scope(path), receive, send)

    await request("/first")
    for context in list(left_behind):
        async with anyio.create_task_group() as tasks:
            context.run(tasks.start_soon, request, "/later")
    first, *later = server.events
    assert first["tags"]["leaked"] == "yes"
    assert [event["tags"]["http.url"] for event in later] == ["/later"] * 2
    assert ["leaked" in event["tags"] for event in later] == [False, False]
    assert [event.get("user") for event in later] == [None, None]
    assert [event["request"]["url"] for event in later] == ["http://rota.example/later"] * 2
    assert len({event["contexts"]["trace"]["trace_id"] for event in server.events}) == 3
    assert len(server.spans) == 3
