"""The isolation scope of one request, and the capture of its exceptions exactly once."""

import inspect
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import sentry_sdk
from sentry_sdk.integrations.logging import ignore_logger
from sentry_sdk.utils import event_from_exception

from asgi_rota_sentry.expected import leaves
from asgi_rota_sentry.sdk.client import Client, close_own_layer, is_inside_sdk_layer, own_layer

# What our own logger says is for the application's logs: as events it would come round to us again.
ignore_logger("asgi_rota_sentry")

Event = dict[str, Any]
Enrich = Callable[[Event], None]

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


def add_breadcrumb(crumb: dict[str, Any]) -> None:
    """Add a breadcrumb to whatever is captured next in this context."""
    sentry_sdk.add_breadcrumb(crumb)


@contextmanager
def muted(is_muted: Callable[[], bool]) -> Iterator[None]:
    """A scope in which an exception makes no event while `is_muted` says so, whoever captures it."""
    with sentry_sdk.new_scope() as scope:
        scope.add_event_processor(cast(Any, lambda event, hint: None if "exc_info" in hint and is_muted() else event))
        yield


def remember_exception(client: Client, exc: BaseException) -> None:
    """Let the SDK know that this exception has been seen, so that a logger further out does not report it again."""
    if client.last_seen is None:
        return
    try:
        client.last_seen.set(weakref.ref(exc))
    except TypeError:  # the built-in exceptions have no weak references
        client.last_seen.set(exc)


def _forget_exception(client: Client, exc: BaseException) -> None:
    """Make the SDK forget that it has seen this exception: it was in an earlier request, and is a new event now."""
    # sentry-sdk 2.x remembers the last exception of a context, 3.x marks the exception itself.
    if client.last_seen is not None:
        client.last_seen.set(None)
    if getattr(exc, _SEEN_MARK, False):
        delattr(exc, _SEEN_MARK)


class RequestScope:
    """One request's isolation scope; sees every event that is made inside and knows which of them were accepted.

    `enrich` is called with each event, to add what is known of the request. `is_expected` tells the exceptions that
    make no event.
    """

    __slots__ = (
        "_accepted",
        "_enrich",
        "_forked",
        "_manager",
        "_pending",
        "_seen",
        "_should_drop",
        "_token",
        "client",
        "current",
        "is_adopted",
        "scope",
    )

    def __init__(self, client: Client, enrich: Enrich, should_drop: Callable[[BaseException], bool]) -> None:
        self.client = client
        self._enrich = enrich
        self._should_drop = should_drop
        self._seen: list[tuple[BaseException, str]] = []
        self._pending: list[tuple[str, bool]] = []
        self._accepted: list[tuple[str, bool]] = []

    def open(self) -> None:
        """Enter the scope, with no breadcrumb, error or session of an outer one left in it.

        Where the SDK's own ASGI middleware is around us, its scope is the request's, and is used as it is.
        """
        self.is_adopted = is_inside_sdk_layer()
        if self.is_adopted:
            self.scope = sentry_sdk.get_isolation_scope()
        else:
            self._open_own()
        self.current = sentry_sdk.get_current_scope()
        # The current scope's processors run after the isolation scope's, where the SDK's integrations put theirs.
        self.current.add_event_processor(cast(Any, self._process))
        self._forked = sentry_sdk.last_event_id()

    def _open_own(self) -> None:
        self._token = own_layer(is_open=True)
        self._manager = sentry_sdk.isolation_scope()
        self.scope = self._manager.__enter__()
        self.scope.clear_breadcrumbs()
        sentry_sdk.get_current_scope().span = None
        if self.client.sessions:
            self.scope.start_session(session_mode="request")

    def close(self) -> None:
        """Leave the scope; what runs on in it (background work) keeps its tags, and exceptions are let go."""
        if self.is_adopted:
            return
        if self.client.sessions:
            self.scope.end_session()
        self._seen.clear()
        self._manager.__exit__(None, None, None)
        close_own_layer(self._token)

    def has_seen(self, exc: BaseException) -> bool:
        """Whether this exception, or each member of this group, was captured in this request already."""
        return all(any(known is leaf for known, _ in self._seen) for leaf in leaves(exc))

    def event_id_of(self, exc: BaseException) -> str | None:
        """The accepted event of just this exception; None when there is none, or when it was not accepted."""
        self._note_accepted()
        first = next(leaves(exc))
        made = [event_id for known, event_id in self._seen if known is first]
        accepted = {event_id for event_id, _ in self._accepted}
        return next((event_id for event_id in made if event_id in accepted), None)

    def event_id(self, *, unhandled_only: bool = False) -> str | None:
        """The accepted event that stands for this request's failure: the last unhandled one, else the last of all."""
        self._note_accepted()
        unhandled = [event_id for event_id, handled in self._accepted if not handled]
        others = [] if unhandled_only else [event_id for event_id, _ in self._accepted]
        found = unhandled or others
        return found[-1] if found else None

    @property
    def trace_id(self) -> str | None:
        """The trace that events of this request belong to."""
        context = self.current.get_trace_context()
        return context.get("trace_id")

    def set_tags(self, tags: Iterable[tuple[str, str]]) -> None:
        """Put tags on everything that is made in this request."""
        for name, value in tags:
            self.scope.set_tag(name, value)

    def set_attribute(self, name: str, value: Any) -> None:
        """Put an attribute on the logs, metrics and streamed spans of this request."""
        self.scope.set_attribute(name, value)

    def _process(self, event: Event, hint: dict[str, Any]) -> Event | None:
        if event.get("type") == "transaction":
            self._enrich(event)
            return event
        self._note_accepted()
        info = hint.get("exc_info")
        exc = info[1] if info else None
        if exc is not None and (self.has_seen(exc) or self._should_drop(exc)):
            return None
        event_id = event.get("event_id") or ""
        if exc is not None:
            self._seen.extend((leaf, event_id) for leaf in leaves(exc))
        if event_id and event.get("level", "error") in ("error", "fatal"):
            self._pending.append((event_id, _handled(event)))
        self._enrich(event)
        return event

    def _note_accepted(self) -> None:
        """The SDK keeps only the ID that it accepted last; look at it before each next event, and at the end."""
        last = self.scope._last_event_id if hasattr(self.scope, "_last_event_id") else sentry_sdk.last_event_id()
        if last is not None and last != self._forked:
            self._accepted.extend(entry for entry in self._pending if entry[0] == last)
        self._pending = [entry for entry in self._pending if entry[0] != last]


def _handled(event: Event) -> bool:
    values = (event.get("exception") or {}).get("values") or []
    return not any((value.get("mechanism") or {}).get("handled") is False for value in values)
