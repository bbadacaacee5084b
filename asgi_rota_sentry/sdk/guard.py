"""No event is built that nobody wants: of an exception that has been seen, or of one beyond the budget.

Building an event costs milliseconds, most of it for the variables of its frames, and every layer that sees an exception
builds one of its own: the SDK's integrations, ours, the logger of the server. All of them call one function of the SDK,
so that is where they are asked. It is not public; without it everything works, at a higher price.
"""

import sys
from collections.abc import Callable, Mapping
from typing import Any, cast

import sentry_sdk.utils
from sentry_sdk import scope

from asgi_rota_sentry.budget import described
from asgi_rota_sentry.sdk.capture import is_last_seen, is_marked, is_settled
from asgi_rota_sentry.sdk.client import current_client
from asgi_rota_sentry.sdk.tallies import exception_value

_GRANIAN = "_granian.utils"
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
    if client is None or client.raw.get_integration("dedupe") is None:
        return False
    if client.last_seen is None:
        return is_marked(exc)
    return is_last_seen(client, exc)


def _mechanism(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
    """The mechanism, wherever it is among the arguments."""
    for value in (kwargs.get("mechanism"), *args):
        if isinstance(value, Mapping) and "handled" in value:
            return value
    return {"type": "generic", "handled": True}


def _drop_unbuilt() -> None:
    if not _installed:
        _installed.append(True)
        # Before all others, to whom it would be an event without its exception.
        scope.global_event_processors.insert(0, cast(Any, _processor))


_installed: list[bool] = []


def _processor(event: dict[str, Any], hint: dict[str, Any]) -> dict[str, Any] | None:
    values = (event.get("exception") or {}).get("values")
    return None if isinstance(values, _NotBuilt) or _is_servers_word(hint) else event


def _is_servers_word(hint: Mapping[str, Any]) -> bool:
    """Whether a server logs the traceback of a settled exception as mere text, while it handles it: granian does."""
    record = hint.get("log_record")
    return getattr(record, "name", None) == _GRANIAN and is_settled(sys.exc_info()[1])
