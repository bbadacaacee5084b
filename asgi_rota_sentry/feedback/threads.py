"""Blocking calls, in worker threads of our own: the application's threads may all be stuck when it is broken."""

from collections.abc import Callable
from typing import Any, TypeVar

import anyio
from anyio.lowlevel import RunVar

_MOST_THREADS = 8
_limiter: RunVar[anyio.CapacityLimiter] = RunVar("asgi_rota_sentry_feedback_threads")

Result = TypeVar("Result")


async def run(function: Callable[..., Result], *arguments: Any) -> Result:
    """What the function returns; it runs to its end even when the caller is cancelled."""
    limiter = _limiter.get(None)
    if limiter is None:
        limiter = anyio.CapacityLimiter(_MOST_THREADS)
        _limiter.set(limiter)
    return await anyio.to_thread.run_sync(function, *arguments, limiter=limiter)
