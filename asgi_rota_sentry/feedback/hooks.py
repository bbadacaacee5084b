"""The application's own hooks: what it does itself with feedback, such as saving it to its database or mailing it."""

import inspect
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import anyio

from asgi_rota_sentry import counters, faults, sdk
from asgi_rota_sentry.feedback import threads
from asgi_rota_sentry.feedback.entry import Feedback

OnFeedback = Callable[[Feedback], Awaitable[Any] | Any]
"""A hook; it may be a coroutine function. Any other runs in a worker thread."""

_LONGEST_SECONDS = 60.0


def checked(given: OnFeedback | Iterable[OnFeedback | None] | None) -> tuple[OnFeedback, ...]:
    """The hooks as a tuple, without None among them. Raises `TypeError` for what cannot be called."""
    hooks = (given,) if callable(given) or not isinstance(given, Iterable) else given
    found = tuple(hook for hook in hooks if hook is not None)
    for hook in found:
        if not callable(hook):
            raise TypeError(f"on_feedback is {given!r}; expected a callable that takes a Feedback, or several.")
    return found


async def run(hooks: Sequence[OnFeedback], feedback: Feedback) -> bool:
    """Run each hook once, at most a minute, also when the client has gone; whether at least one did not fail.

    What a hook raises is logged and, as a handled error, told to Sentry.
    """
    done = False
    for hook in hooks:
        with anyio.move_on_after(_LONGEST_SECONDS, shield=True) as timer:
            done = await _run(hook, feedback) or done
        if timer.cancelled_caught:
            faults.logger.error("The feedback hook %r took longer than %g seconds.", hook, _LONGEST_SECONDS)
    return done


async def _run(hook: OnFeedback, feedback: Feedback) -> bool:
    try:
        if inspect.iscoroutinefunction(hook) or inspect.iscoroutinefunction(type(hook).__call__):
            await hook(feedback)
        else:
            found = await threads.run_hook(hook, feedback)
            if inspect.isawaitable(found):
                await found
    except Exception as exc:
        counters.count("feedback.hook_failures")
        faults.logger.error("A feedback hook failed for feedback %s.", feedback.id, exc_info=True)
        client = sdk.current_client()
        if client is not None:
            sdk.capture_exception(client, exc, handled=True)
        return False
    return True
