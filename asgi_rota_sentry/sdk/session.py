"""The release-health session of one request, counted by the SDK together with the others of its minute.

As the SDK's own, without what a count does not need (its ID, its user, its clock readings).
"""

from datetime import UTC, datetime
from typing import Any

from sentry_sdk.session import Session

from asgi_rota_sentry.sdk.client import Client

_MINUTE = 60.0
_last_minute = 0.0, datetime.fromtimestamp(0, UTC)


class RequestSession(Session):
    """A session of the mode `request`: the SDK adds one to `exited`, `errored` or `crashed` for its minute."""

    session_mode = "request"
    status = "ok"
    errors = 0
    user_agent = ip_address = did = duration = None

    def __init__(self, attributes: dict[str, str], counted_by: tuple[tuple[str, str], ...], began: float) -> None:
        self._attributes = attributes
        self.counted_by = counted_by
        self.release = attributes["release"]
        self.environment = attributes.get("environment")
        self.began = began

    @property
    def truncated_started(self) -> datetime:
        """The minute in which the request arrived."""
        return _minute_of(self.began)

    def close(self, status: Any = None) -> None:
        """End the session; one that nothing went wrong in has exited."""
        if status is not None or self.status == "ok":
            self.status = status or "exited"  # type: ignore[assignment]

    def get_json_attrs(self, with_user_info: bool | None = True) -> Any:
        """What sessions are counted by: release and environment."""
        if with_user_info:
            return super().get_json_attrs(with_user_info)
        return self._attributes


def new_session(client: Client, began: float) -> RequestSession:
    """The session of a request; the SDK notes on it what the events of its scope tell (an error, a crash)."""
    return RequestSession(client.session_attributes, client.sessions_counted_by, began)


def note_error(session: Session | None, *, crashed: bool) -> None:
    """Note an error of which no event tells the session."""
    if session is not None:
        session.update(status="crashed" if crashed else None, errors=session.errors + 1)


def count_session(client: Client, session: RequestSession) -> None:
    """End a session, and have it counted."""
    status: str = session.status
    if status == "ok" and not session.errors:
        count(client, session.began, "exited", session)
    elif status == "crashed":
        count(client, session.began, "crashed", session)
    else:
        session.close()
        client.raw.capture_session(session)


def count(client: Client, began: float, status: str, session: RequestSession | None = None) -> None:
    """Count the session of a request, which ended with this status.

    One is added to the count that the SDK has begun for its minute; where it has begun none, or is another SDK, it gets
    the session.
    """
    flusher = client.session_flusher
    if flusher is not None:
        with flusher._aggregate_lock:
            states = flusher.pending_aggregates.get(client.sessions_counted_by)
            if states is not None:
                minute, moment = _last_minute
                state = states.get(moment if began // _MINUTE == minute else _minute_of(began))
                if state:
                    state[status] = state.get(status, 0) + 1
                    return
    if session is None:
        session = new_session(client, began)
    session.close()
    client.raw.capture_session(session)


def _minute_of(moment: float) -> datetime:
    global _last_minute  # noqa: PLW0603 - the same for thousands of requests
    minute = moment // _MINUTE
    if _last_minute[0] != minute:
        _last_minute = minute, datetime.fromtimestamp(minute * _MINUTE, UTC)
    return _last_minute[1]
