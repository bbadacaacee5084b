"""What a server's log says of a request that is known: an exception that it has dealt with, or that it was answered.

Of the exception, which is logged when the request has been left, the SDK would begin an event, for us to drop it, and
for a breadcrumb that no event will have it would make a scope. In a storm that costs as much as all that we do. The
line of the access log would be a breadcrumb beside the one that the request has of us.
"""

import logging
import time
from typing import Any

from asgi_rota_sentry.expected import is_group, leaves
from asgi_rota_sentry.sdk.layer import layer

_MARK = "_settled_by_asgi_rota_sentry"
_SECONDS = 10.0
# What the names of the servers' loggers begin with, and those of their access logs.
_SERVERS = frozenset({"_granian", "daphne", "gunicorn", "hypercorn", "uvicorn"})
_ACCESS = frozenset({"granian.access", "gunicorn.access", "hypercorn.access", "uvicorn.access"})


def mark_settled(exc: BaseException) -> None:
    """Note on an exception that leaves a request that nothing is to be reported of it any more.

    Some servers log it when the request's context is gone: daphne a second later, from a timer. Of a group each member
    is told, too: a layer around may take it out, as Starlette's `BaseHTTPMiddleware` does.
    """
    _mark(exc)
    if is_group(exc):
        for leaf in leaves(exc):
            _mark(leaf)


def is_settled(exc: BaseException | None) -> bool:
    """Whether a request that this exception has just left has dealt with it; later on it is news again.

    So it is with a group that a layer around has put it into (hypercorn's task group), if there is nothing else in it.
    """
    if exc is None or _is_marked(exc):
        return exc is not None
    return is_group(exc) and all(_is_marked(leaf) for leaf in leaves(exc))


def _mark(exc: BaseException) -> None:
    try:  # noqa: SIM105 - a context manager would be most of what this costs
        exc.__dict__[_MARK] = time.monotonic()
    except Exception:  # noqa: S110 - one that takes no notes
        pass


def _is_marked(exc: BaseException) -> bool:
    settled_at = getattr(exc, "__dict__", {}).get(_MARK)
    return settled_at is not None and time.monotonic() - settled_at < _SECONDS


class _NoEvent(logging.Filter):
    """Keeps settled exceptions from the handler that makes events."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record may become an event."""
        return not _is_of_settled(record)


class _NoBreadcrumb(logging.Filter):
    """Keeps what a server says of a request that is known from the handler that makes breadcrumbs."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record may become a breadcrumb."""
        name = record.name
        if name in _ACCESS:
            return not _is_ours()
        return name.partition(".")[0] not in _SERVERS or not _is_of_settled(record)


def _is_ours() -> bool:
    """Whether we are in a request that has a breadcrumb of our own."""
    around = layer.get(None)
    return bool(around) and around is not True


def _is_of_settled(record: logging.LogRecord) -> bool:
    """Whether its exception is settled; in another request, which we may be in by now, it would be news."""
    exc_info: Any = record.exc_info
    if not exc_info or layer.get(None):
        return False
    try:
        return is_settled(exc_info[1])
    except Exception:  # anything can be put into a record
        return False


# By the private names of the logging integration's handlers, those of both SDKs.
_FILTERS = {"_handler": _NoEvent(), "_event_handler": _NoEvent(), "_breadcrumb_handler": _NoBreadcrumb()}


def pass_over(raw: Any) -> None:
    """Have the logging integration of this client pass over what is settled."""
    integration = raw.integrations.get("logging")
    for name, settled in _FILTERS.items():
        handler = getattr(integration, name, None)
        if isinstance(handler, logging.Handler):
            handler.addFilter(settled)
