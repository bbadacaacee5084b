"""The scopes of one request, and which of its events were accepted."""

from collections.abc import Callable
from typing import Any, cast

import sentry_sdk
from sentry_sdk.scope import Scope

from asgi_rota_sentry.expected import leaves
from asgi_rota_sentry.sdk import ready
from asgi_rota_sentry.sdk.client import Client, close_layer, layer_around, open_layer
from asgi_rota_sentry.sdk.session import begin_session, end_session

Event = dict[str, Any]
Enrich = Callable[[Event], None]


class RequestScope:
    """One request's isolation scope; sees every event that is made inside and knows which of them were accepted.

    `enrich` is called with each event, to add what is known of the request. `should_drop` tells the exceptions that
    make no event.
    """

    is_adopted = False
    _forked: str | None = None
    _token: Any = None
    _outer: tuple[Scope, Scope] | None = None
    _is_used = False

    def __init__(self, client: Client, enrich: Enrich, should_drop: Callable[[BaseException], bool]) -> None:
        self.client = client
        self._enrich = enrich
        self._should_drop = should_drop

    def open(self) -> None:
        """Enter the scope, with no breadcrumb, span or session of an outer one left in it.

        Where the SDK's own ASGI middleware is around us, its scope is the request's, and is used as it is. A server may
        start a request in the context that another one left behind: a pipelined request, or the next one on a
        connection whose reading was paused (https://github.com/python/cpython/issues/140947). It begins where that one
        began, which is what `open_layer` was given.
        """
        around = layer_around()
        if around is True:
            self.is_adopted = True
            self.scope = Scope.get_isolation_scope()
            self.current = Scope.get_current_scope()
        else:
            outer = self._outer = around or (Scope.get_current_scope(), Scope.get_isolation_scope())
            self._token = open_layer(outer)
            # What `fork` does, without its detour through the copy module.
            self.current = outer[0].__copy__()
            self.scope = outer[1].__copy__()
            Scope.set_current_scope(self.current)
            Scope.set_isolation_scope(self.scope)
            self.scope.clear_breadcrumbs()
            self.current.span = None
            if self.client.sessions:
                begin_session(self.scope, self.client)
        # The current scope's processors run after the isolation scope's, where the SDK's integrations put theirs.
        self.current.add_event_processor(cast(Any, self._process))

    def close(self) -> None:
        """Leave the scope; what runs on in it (background work) keeps its tags, and exceptions are let go.

        The scopes know us by the event processor. That we no longer know them leaves no cycle for the collector.
        """
        if self._is_used:
            self._seen.clear()
        try:
            if self._token is not None and self.client.sessions:
                end_session(self.scope, self.client)
        finally:
            self._close_own()

    def _close_own(self) -> None:
        """Go back to the outer scopes, unless the scope is adopted or was never quite opened."""
        token, outer, self._token = self._token, self._outer, None
        self.__dict__.pop("scope", None)
        self.__dict__.pop("current", None)
        self._outer = None
        if token is not None and outer is not None:
            Scope.set_current_scope(outer[0])
            Scope.set_isolation_scope(outer[1])
            close_layer(token)

    def has_seen(self, exc: BaseException) -> bool:
        """Whether this exception, or each member of this group, was captured in this request already."""
        return self._is_used and all(any(known is leaf for known, _ in self._seen) for leaf in leaves(exc))

    def event_id_of(self, exc: BaseException) -> str | None:
        """The accepted event of just this exception; None when there is none, or when it was not accepted."""
        if not self._is_used:
            return None
        self._note_accepted()
        first = next(leaves(exc))
        made = [event_id for known, event_id in self._seen if known is first]
        accepted = {event_id for event_id, _ in self._accepted}
        return next((event_id for event_id in made if event_id in accepted), None)

    def event_id(self, *, unhandled_only: bool = False) -> str | None:
        """The accepted event that stands for this request's failure: the last unhandled one, else the last of all."""
        if not self._is_used:
            return None
        self._note_accepted()
        unhandled = [event_id for event_id, handled in self._accepted if not handled]
        others = [] if unhandled_only else [event_id for event_id, _ in self._accepted]
        found = unhandled or others
        return found[-1] if found else None

    @property
    def trace_id(self) -> str | None:
        """The trace that events of this request belong to."""
        return self.current.get_trace_context().get("trace_id")

    def _process(self, event: Event, hint: dict[str, Any]) -> Event | None:
        """The event processor of this request."""
        if event.get("type") == "transaction":
            return self._complete(event)
        if not self._is_used:
            self._begin_use()
        self._note_accepted()
        info = hint.get("exc_info")
        exc = info[1] if info else None
        event_id = event.get("event_id") or ""
        if exc is not None:
            if self.has_seen(exc) or self._should_drop(exc):
                return None
            self._seen.extend((leaf, event_id) for leaf in leaves(exc))
        if event_id and event.get("level", "error") in ("error", "fatal"):
            self._pending.append((event_id, _handled(event)))
        return self._complete(event)

    def _complete(self, event: Event) -> Event:
        self._enrich(event)
        if not self.client.scrubs_before_serializing:
            ready.prepare(event, self.client.sdk_info)
        return event

    def _begin_use(self) -> None:
        """The first event of this request: until it is accepted, the last ID is one that the fork brought along."""
        self._is_used = True
        self._forked = self._last_event_id()
        self._seen: list[tuple[BaseException, str]] = []
        self._pending: list[tuple[str, bool]] = []
        self._accepted: list[tuple[str, bool]] = []

    def _note_accepted(self) -> None:
        """The SDK keeps only the ID that it accepted last; look at it before each next event, and at the end."""
        last = self._last_event_id()
        if last is None or last == self._forked:
            return
        self._accepted.extend(entry for entry in self._pending if entry[0] == last)
        self._pending = [entry for entry in self._pending if entry[0] != last]

    def _last_event_id(self) -> str | None:
        """That of the request's own scope, in whichever context we are; private, else that of this context."""
        scope: Any = getattr(self, "scope", None)
        return scope._last_event_id if hasattr(scope, "_last_event_id") else sentry_sdk.last_event_id()


def _handled(event: Event) -> bool:
    values = (event.get("exception") or {}).get("values") or []
    return not any((value.get("mechanism") or {}).get("handled") is False for value in values)
