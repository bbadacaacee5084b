"""The release-health session of one request, counted by the SDK together with the others of its minute.

As the SDK's own, without what a count does not need (its ID, its user, its clock readings).
"""

import time
from datetime import UTC, datetime
from typing import Any

from sentry_sdk.scope import Scope
from sentry_sdk.session import Session

from asgi_rota_sentry.sdk.client import Client

_MINUTE = 60.0


class RequestSession(Session):
    """A session of the mode `request`: the SDK adds one to `exited`, `errored` or `crashed` for its minute."""

    _minute: tuple[float, datetime] = (-1.0, datetime.fromtimestamp(0, UTC))

    session_mode = "request"
    status = "ok"
    errors = 0
    user_agent = ip_address = did = duration = None

    def __init__(self, attributes: dict[str, str], counted_by: tuple[tuple[str, str], ...]) -> None:
        self._attributes = attributes
        self.counted_by = counted_by
        self.release = attributes["release"]
        self.environment = attributes.get("environment")
        self._began = time.time()

    @property
    def truncated_started(self) -> datetime:
        """The minute in which the request arrived."""
        minute = self._began // _MINUTE * _MINUTE
        known = RequestSession._minute
        if known[0] != minute:
            known = RequestSession._minute = (minute, datetime.fromtimestamp(minute, UTC))
        return known[1]

    def close(self, status: Any = None) -> None:
        """End the session; one that nothing went wrong in has exited."""
        if status is not None or self.status == "ok":
            self.status = status or "exited"  # type: ignore[assignment]

    def get_json_attrs(self, with_user_info: bool | None = True) -> Any:
        """What sessions are counted by: release and environment."""
        if with_user_info:
            return super().get_json_attrs(with_user_info)
        return self._attributes


def begin_session(scope: Scope, client: Client) -> None:
    """Begin the session of a request; the SDK notes on it what its events tell (an error, a crash)."""
    scope._session = RequestSession(client.session_attributes, client.sessions_counted_by)


def note_error(scope: Scope, *, crashed: bool) -> None:
    """Note an error of which no event tells the session."""
    session = scope._session
    if session is not None:
        session.update(status="crashed" if crashed else None, errors=session.errors + 1)


def end_session(scope: Scope, client: Client) -> None:
    """End the session of a request and have it counted."""
    session, scope._session = scope._session, None
    if not isinstance(session, RequestSession):
        return
    if session.status != "ok" or session.errors or not _count_exited(client.raw.session_flusher, session):
        session.close()
        client.raw.capture_session(session)


def _count_exited(flusher: Any, session: RequestSession) -> bool:
    """Add one to the count that the SDK has begun for this minute; False when it has begun none, or is another SDK."""
    lock = getattr(flusher, "_aggregate_lock", None)
    if lock is None:
        return False
    with lock:
        states = flusher.pending_aggregates.get(session.counted_by)
        state = states.get(session.truncated_started) if states else None
        if state is None:
            return False
        state["exited"] = state.get("exited", 0) + 1
    return True
