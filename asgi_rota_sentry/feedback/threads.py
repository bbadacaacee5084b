"""Blocking calls, in worker threads of our own: the application's threads may all be stuck when it is broken."""

from collections.abc import Callable
from typing import Any, TypeVar

import anyio
from anyio.lowlevel import RunVar

_MOST_THREADS = 8
_limiter: RunVar[anyio.CapacityLimiter] = RunVar("asgi_rota_sentry_feedback_threads")
_limiter_of_hooks: RunVar[anyio.CapacityLimiter] = RunVar("asgi_rota_sentry_feedback_hooks")

Result = TypeVar("Result")


async def run(function: Callable[..., Result], *arguments: Any) -> Result:
    """What the function returns; it runs to its end even when the caller is cancelled."""
    return await anyio.to_thread.run_sync(function, *arguments, limiter=_of(_limiter))


async def run_hook(hook: Callable[..., Result], *arguments: Any) -> Result:
    """What the application's function returns; when the caller is cancelled, it is waited for no longer."""
    limiter = _of(_limiter_of_hooks)
    return await anyio.to_thread.run_sync(hook, *arguments, limiter=limiter, abandon_on_cancel=True)


def _of(kept: RunVar[anyio.CapacityLimiter]) -> anyio.CapacityLimiter:
    limiter = kept.get(None)
    if limiter is None:
        limiter = anyio.CapacityLimiter(_MOST_THREADS)
        kept.set(limiter)
    return limiter
