"""The release-health session of one request, counted by the SDK together with the others of its minute.

As the SDK's own, without what a count does not need (its ID, its user, its clock readings).
"""

from datetime import UTC, datetime
from typing import Any

from sentry_sdk.session import Session

from asgi_rota_sentry.sdk.client import NO_COUNTS, Client, SessionCounts

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

    The SDK gets the first one of each minute, and begins a count with it. To that count the others are added, as long
    as the SDK has not sent it.
    """
    flusher = client.session_flusher
    if flusher is not None:
        lock = flusher._aggregate_lock
        lock.acquire()  # at half the price of `with`
        try:
            pending, since, counts = client.session_counts
            if pending is flusher.pending_aggregates and 0 <= began - since < _MINUTE:
                counts[status] = counts.get(status, 0) + 1
                return
        finally:
            lock.release()
    if session is None:
        session = new_session(client, began)
    session.close()
    client.raw.capture_session(session)
    if flusher is not None and began >= since:
        client.session_counts = _counts_of(client, flusher, began)


def _counts_of(client: Client, flusher: Any, began: float) -> SessionCounts:
    """What the SDK counts in now, for the minute in which a request began."""
    with flusher._aggregate_lock:
        pending = flusher.pending_aggregates
        counts = pending.get(client.sessions_counted_by, {}).get(_minute_of(began))
    return (pending, began // _MINUTE * _MINUTE, counts) if counts else NO_COUNTS


def _minute_of(moment: float) -> datetime:
    global _last_minute  # noqa: PLW0603 - the same for thousands of requests
    minute = moment // _MINUTE
    if _last_minute[0] != minute:
        _last_minute = minute, datetime.fromtimestamp(minute * _MINUTE, UTC)
    return _last_minute[1]
