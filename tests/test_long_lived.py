"""What lasts for hours, a websocket or a task, holds no more of its errors than it needs to know them again."""

import gc
import logging
import weakref
from collections.abc import Callable
from typing import Any

import anyio
import pytest
import sentry_sdk
from anyio.lowlevel import checkpoint

from asgi_rota_sentry import RotaSentryMiddleware
from tests.conftest import MemoryTransport
from tests.wire import Wire, http, websocket

pytestmark = pytest.mark.anyio

Sentry = Callable[..., MemoryTransport]

ERRORS = 200
MOST_KEPT = 60


class OfItsOwnError(Exception):
    """One that can be referred to weakly; Python's built-in ones cannot."""


class _Load:
    """What a frame holds."""


def _fail(kind: type[Exception], loads: "weakref.WeakSet[_Load]") -> None:
    load = _Load()
    loads.add(load)
    raise kind("broken")


async def _capture_many(kind: type[Exception], loads: "weakref.WeakSet[_Load]") -> int:
    """How many of the frames are still there after so many errors, each of which is captured."""
    for _ in range(ERRORS):
        try:
            _fail(kind, loads)
        except kind as exc:
            sentry_sdk.capture_exception(exc)
        await checkpoint()
    gc.collect()
    return len(loads)


@pytest.mark.parametrize(("kind", "most"), [(OfItsOwnError, 2), (ValueError, MOST_KEPT)])
@pytest.mark.parametrize("per_minute", [0, 20])
async def test_an_open_websocket_keeps_few_of_its_errors(
    sentry: Sentry, kind: type[Exception], most: int, per_minute: int, caplog: pytest.LogCaptureFixture
) -> None:
    """An exception keeps the variables of all its frames: those that are over are let go of, counted ones as well."""
    caplog.set_level(logging.ERROR, "asgi_rota_sentry.budget")  # it keeps what is logged
    server = sentry(errors_per_minute=per_minute)
    kept: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        kept.append(await _capture_many(kind, weakref.WeakSet()))
        await send({"type": "websocket.close"})

    await Wire([{"type": "websocket.connect"}]).run(RotaSentryMiddleware(app), websocket())
    assert len(server.events) == (per_minute or ERRORS)
    assert kept[0] <= most


@pytest.mark.parametrize("kind", [OfItsOwnError, ValueError])
async def test_a_task_that_outlives_its_request_keeps_no_errors(sentry: Sentry, kind: type[Exception]) -> None:
    """It goes on in the request's context, perhaps for ever."""
    server = sentry()
    kept: list[int] = []
    answered = anyio.Event()

    async def goes_on() -> None:
        await answered.wait()
        kept.append(await _capture_many(kind, weakref.WeakSet()))

    async def app(scope: Any, receive: Any, send: Any) -> None:
        tasks.start_soon(goes_on)
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})

    async with anyio.create_task_group() as tasks:
        wire = Wire()
        await RotaSentryMiddleware(app)(http(), wire.receive, wire.send)
        answered.set()
    assert len(server.events) == ERRORS
    assert kept[0] <= 2


async def test_the_members_of_a_large_group_stay_known(sentry: Sentry) -> None:
    """A group counts as one error, however many are in it; each of them was told with it."""
    server = sentry()
    group = ExceptionGroup("tasks", [ValueError(number) for number in range(ERRORS)])

    async def app(scope: Any, receive: Any, send: Any) -> None:
        sentry_sdk.capture_exception(group)
        sentry_sdk.capture_exception(KeyError("another"))
        raise group.exceptions[0]

    await Wire().run(RotaSentryMiddleware(app), http())
    assert len(server.events) == 2
