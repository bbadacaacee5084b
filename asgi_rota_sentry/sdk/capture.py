"""The capture of exceptions, and what the SDK remembers of those that it has seen."""

import inspect
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, cast

import sentry_sdk
from sentry_sdk.integrations.logging import ignore_logger
from sentry_sdk.utils import event_from_exception

from asgi_rota_sentry.expected import answer_status
from asgi_rota_sentry.sdk.client import Client
from asgi_rota_sentry.sdk.layer import undisturbed

# What our own logger says is for the application's logs: as events it would come round to us again.
ignore_logger("asgi_rota_sentry")

# Which answers that Litestar was told to give by an exception are reported, unless its integration says otherwise.
_FAILED = range(500, 600)
_SEEN_MARK = "_handled_by_sentry"
_TAKES_OPTIONS = "client_options" in inspect.signature(event_from_exception).parameters


def capture_exception(client: Client, exc: BaseException, *, handled: bool = False) -> str | None:
    """Send the exception as an event; returns the event's ID, or None when it was not accepted.

    To be called for what was not captured in this request yet.
    """
    _forget_exception(client, exc)
    mechanism = {"type": "asgi_rota_sentry", "handled": handled}
    options = {"client_options": client.options} if _TAKES_OPTIONS else {}
    event, hint = event_from_exception(exc, mechanism=mechanism, **options)
    return sentry_sdk.capture_event(event, hint=hint)


def is_reported_in_litestar(client: Client, exc: BaseException) -> bool:
    """Whether the SDK's integration reports this exception that Litestar answers, where it is in the application."""
    status = answer_status(exc)
    integration = client.raw.get_integration("litestar")
    return status is None or status in getattr(integration, "failed_request_status_codes", _FAILED)


def capture_slow_request(method: str, route: str, seconds: float) -> None:
    """Send a warning that stands for the slow requests of one route."""
    sentry_sdk.capture_event(
        {
            "level": "warning",
            "message": f"Slow request: {method} {route}",
            "fingerprint": ["asgi_rota_sentry", "slow", method, route],
            "tags": {"slow": "true"},
            "contexts": {"slow_request": {"seconds": round(seconds, 3)}},
        }
    )


def add_breadcrumb(crumb: dict[str, Any]) -> None:
    """Add a breadcrumb to whatever is captured next in this context."""
    sentry_sdk.add_breadcrumb(crumb)


def set_user(user: Mapping[str, Any], role: str | None) -> None:
    """Set the user of what is captured next in this context, unless it has one."""
    scope = sentry_sdk.get_isolation_scope()
    if getattr(scope, "_user", None) is None:
        scope.set_user(dict(user))
        if role:
            scope.set_tag("user.role", role)


@contextmanager
def muted(is_muted: Callable[[], bool]) -> Iterator[None]:
    """A scope in which an exception makes no event while `is_muted` says so, whoever captures it."""
    with sentry_sdk.new_scope() as scope:
        scope.add_event_processor(cast(Any, lambda event, hint: None if "exc_info" in hint and is_muted() else event))
        yield


@contextmanager
def isolated() -> Iterator[None]:
    """A scope that has nothing of what is around it, and leaves nothing there."""
    with sentry_sdk.isolation_scope() as scope:
        scope.clear()
        yield


def flush(seconds: float) -> None:
    """Wait so long at most until what the SDK has queued is sent, its counts of sessions included; in a thread."""
    sentry_sdk.flush(timeout=seconds)


def remember_exception(client: Client, exc: BaseException) -> None:
    """Let the SDK know that this exception has been seen, so that a logger further out does not report it again."""
    if client.last_seen is None or is_last_seen(client, exc):
        return
    try:
        undisturbed(client.last_seen.set, weakref.ref(exc))
    except TypeError:  # the built-in exceptions have no weak references
        undisturbed(client.last_seen.set, exc)


def is_last_seen(client: Client, exc: BaseException) -> bool:
    """Whether the SDK's deduplication remembers just this exception of this context; on 2.x alone."""
    seen = client.last_seen.get(None) if client.last_seen is not None else None
    return seen is exc or (isinstance(seen, weakref.ref) and seen() is exc)


def was_seen(client: Client, exc: BaseException) -> bool:
    """Whether the SDK's own deduplication would drop another event of this exception."""
    if client.raw.get_integration("dedupe") is None:
        return False
    return is_marked(exc) if client.last_seen is None else is_last_seen(client, exc)


def _forget_exception(client: Client, exc: BaseException) -> None:
    """Make the SDK forget that it has seen this exception: it was in an earlier request, and is a new event now."""
    # sentry-sdk 2.x remembers the last exception of a context, 3.x marks the exception itself.
    if client.last_seen is not None:
        undisturbed(client.last_seen.set, None)
    elif is_marked(exc):
        with suppress(Exception):  # one that takes no notes
            exc.__dict__[_SEEN_MARK] = False


def is_marked(exc: BaseException) -> bool:
    """Whether 3.x takes this exception for one that it has seen; it may have any attribute, or refuse them all."""
    try:
        return bool(getattr(exc, _SEEN_MARK, False))
    except Exception:
        return False
