"""No event is built that nobody wants: of an exception that has been seen, or of one beyond the budget.

Building an event costs milliseconds, most of it for the variables of its frames, and every layer that sees an exception
builds one of its own: the SDK's integrations, ours, the logger of the server. All of them call one function of the SDK,
so that is where they are asked. It is not public; without it everything works, at a higher price.
"""

import sys
import time
from collections.abc import Callable, Mapping
from functools import partial, wraps
from typing import Any, cast

import sentry_sdk.utils
from sentry_sdk import scope

from asgi_rota_sentry.sdk import accepted
from asgi_rota_sentry.sdk.capture import was_seen
from asgi_rota_sentry.sdk.client import current_client
from asgi_rota_sentry.sdk.settled import is_settled
from asgi_rota_sentry.sdk.tallies import exception_value
from asgi_rota_sentry.tally import described

_UVICORN = "uvicorn.error"
# The loggers of servers that write the traceback as mere text: granian of any exception, uvicorn of a lifespan's.
_TEXTUAL = ("_granian.utils", _UVICORN)
# What uvicorn says of a lifespan's failure when it no longer has the exception.
_LAST_WORDS = ("Application startup failed. Exiting.", "Application shutdown failed. Exiting.")
_LAST_WORDS_SECONDS = 10.0
_SEAM = "exceptions_from_error_tuple"

#: Says of an exception (and whether it is handled) that its event is not wanted.
IsUnwanted = Callable[[BaseException, bool], bool]


class _NotBuilt(list[Any]):
    """The exception values of an event that was not built, by which it is known."""


def install(is_unwanted: IsUnwanted) -> None:
    """Have each exception asked about before its event is built; the last one to be installed is asked."""
    build = getattr(sentry_sdk.utils, _SEAM, None)
    if build is None:
        return
    build = getattr(build, "unguarded", build)

    def guarded(exc_info: Any, *args: Any, **kwargs: Any) -> Any:
        exc = exc_info[1]
        if exc is not None and (_was_seen(exc) or is_unwanted(exc, bool(_mechanism(args, kwargs)["handled"]))):
            return _NotBuilt()
        try:
            return build(exc_info, *args, **kwargs)
        except Exception:
            # It has properties that raise, or more members within members than can be followed.
            return [exception_value(described(exc, exc.__traceback__), _mechanism(args, kwargs))]

    guarded.unguarded = build  # type: ignore[attr-defined]
    setattr(sentry_sdk.utils, _SEAM, guarded)
    _drop_unbuilt()


def _was_seen(exc: BaseException) -> bool:
    """Whether the SDK's own deduplication will drop it."""
    client = current_client()
    return client is not None and was_seen(client, exc)


def _mechanism(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
    """The mechanism, wherever it is among the arguments."""
    for value in (kwargs.get("mechanism"), *args):
        if isinstance(value, Mapping) and "handled" in value:
            return value
    return {"type": "generic", "handled": True}


def _drop_unbuilt() -> None:
    if _installed:
        return
    _installed.append(True)
    # Before all others, to whom it would be an event without its exception.
    scope.global_event_processors.insert(0, cast(Any, _processor))
    capture: Any = scope.Scope.capture_event

    @wraps(capture)
    def capture_built(self: Any, event: Any, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        # To have it dropped by the processor would be half of what an error beyond the budget costs.
        if _is_unbuilt(event):
            return None
        if isinstance(event, dict) and event.get("type") == "transaction":
            return capture(self, event, *args, **kwargs)
        return accepted.captured(partial(capture, self, event, *args, **kwargs))

    setattr(scope.Scope, "capture_event", capture_built)  # noqa: B010 - to the type checker it is no attribute


_installed: list[bool] = []


def _is_unbuilt(event: Any) -> bool:
    exception = event.get("exception") if isinstance(event, dict) else None
    return isinstance(exception, dict) and isinstance(exception.get("values"), _NotBuilt)


def _processor(event: dict[str, Any], hint: dict[str, Any]) -> dict[str, Any] | None:
    return None if _is_unbuilt(event) or _is_servers_word(hint) else event


def _is_servers_word(hint: Mapping[str, Any]) -> bool:
    """Whether a server says in mere text what is settled: the traceback while it is handled, or that it ends for it."""
    record = hint.get("log_record")
    name = getattr(record, "name", None)
    if name not in _TEXTUAL or getattr(record, "exc_info", None):
        return False
    return is_settled(sys.exc_info()[1]) or (name == _UVICORN and _is_last_word(record))


def _is_last_word(record: Any) -> bool:
    client = current_client()
    if client is None or record.msg not in _LAST_WORDS:
        return False
    return time.monotonic() - client.lifespan_failed_at < _LAST_WORDS_SECONDS
