"""The release-health session of one request, counted by the SDK together with the others of its minute.

As the SDK's own, without what a count does not need (its ID, its user, its clock readings).
"""

from collections import Counter, deque
from collections.abc import Mapping
from datetime import UTC, datetime
from threading import Lock
from typing import Any

from sentry_sdk.session import Session

from asgi_rota_sentry import faults
from asgi_rota_sentry.accounts import taken

_MINUTE = 60.0
# So many are added up together.
_MOST_NOTED = 1_000


class RequestSession(Session):
    """A session of the mode `request`: the SDK adds one to `exited`, `errored` or `crashed` for its minute."""

    session_mode = "request"
    status = "ok"
    errors = 0
    user_agent = None

    def __init__(self, attributes: dict[str, str], began: float) -> None:
        self._attributes = attributes
        self.release = attributes["release"]
        self.began = began

    @property
    def truncated_started(self) -> datetime:
        """The minute in which the request arrived."""
        return _beginning(self.began // _MINUTE)

    def update(self, *_: Any, status: Any = None, errors: int | None = None, **__: Any) -> None:
        """Note what an event tells; its user is not looked at, for no count tells of one."""
        if status is not None:
            self.status = status
        if errors is not None:
            self.errors = errors

    def close(self, status: Any = None) -> None:
        """End the session; one that nothing went wrong in has exited."""
        if status is not None or self.status == "ok":
            self.status = status or "exited"  # type: ignore[assignment]

    def get_json_attrs(self, with_user_info: bool | None = True) -> Any:  # noqa: ARG002 - the SDK's signature
        """What sessions are counted by: release and environment."""
        return self._attributes


class SessionCounts:
    """Counts the sessions of one client's requests: they are noted, and added to the SDK's own counts many at a time.

    Before the SDK sends its counts, those that were noted are among them. Safe to be used from many threads.
    """

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        known = {name: raw.options.get(name) for name in ("release", "environment")}
        self._attributes = attributes = {name: str(value) for name, value in known.items() if value is not None}
        self._counted_by = tuple(sorted(attributes.items()))
        # When those began that nothing went wrong in, as in nearly all; and the others, with how they ended.
        self._exited: deque[float] = deque()
        self._failed: deque[tuple[float, str]] = deque()
        # Until the SDK has got a session, it has no thread that sends any.
        self._is_awaited = False
        # Private; without it each session is handed to the SDK at once.
        flusher: Any = getattr(raw, "session_flusher", None)
        self._flusher = flusher if hasattr(flusher, "_aggregate_lock") else None
        if self._flusher is not None:
            self._send = flusher.flush
            flusher.flush = self._send_all

    def new(self, began: float) -> RequestSession:
        """The session of a request; the SDK notes on it what the events of its scope tell (an error, a crash)."""
        return RequestSession(self._attributes, began)

    def note(self, began: float) -> None:
        """Count a session that nothing went wrong in; the request began at this moment, in seconds of the epoch."""
        self._exited.append(began)
        if len(self._exited) >= _MOST_NOTED or not self._is_awaited:
            self._add_up()

    def note_ended(self, session: RequestSession) -> None:
        """Count this session, which ends now."""
        status: str = session.status
        if status == "crashed":
            self._note_failed(session.began, status)
        elif session.errors:
            self._note_failed(session.began, "errored")
        else:
            self.note(session.began)

    def _note_failed(self, began: float, outcome: str) -> None:
        self._failed.append((began, outcome))
        if len(self._failed) >= _MOST_NOTED or not self._is_awaited:
            self._add_up()

    def _add_up(self) -> None:
        self._is_awaited = self._flusher is not None
        counts = Counter((began // _MINUTE, status) for began, status in taken(self._failed))
        for minute, times in _by_minute(taken(self._exited)).items():
            counts[minute, "exited"] = times
        for (minute, status), times in counts.items():
            missing = times
            while missing:
                # The SDK begins a count with the first; to that the others are added, unless it has sent it meanwhile.
                self._raw.capture_session(self._ended(minute, status))
                missing = self._add(minute, status, missing - 1)

    def _add(self, minute: float, status: str, times: int) -> int:
        """Add to what the SDK counts of this minute; how many could not be."""
        if self._flusher is None or not times:
            return times
        moment = _beginning(minute)
        with self._flusher._aggregate_lock:  # in which nothing is made that the collector would run for
            minutes = self._flusher.pending_aggregates.get(self._counted_by)
            counts = minutes.get(moment) if minutes else None
            if not counts:
                return times
            counts[status] = counts.get(status, 0) + times
            return 0

    def _ended(self, minute: float, status: str) -> RequestSession:
        session = self.new(minute * _MINUTE)
        session.errors = int(status == "errored")
        session.close("crashed" if status == "crashed" else None)
        return session

    def _send_all(self) -> None:
        try:
            self._add_up()
        except Exception:
            faults.report("counting sessions")
        self._send()

    def begin_anew(self) -> None:
        """In the child of a fork: what the parent counted it tells; the child's SDK has no thread yet.

        A thread of the parent may have held the lock of the SDK's counts.
        """
        self._exited.clear()
        self._failed.clear()
        self._is_awaited = False
        if self._flusher is not None:
            self._flusher._aggregate_lock = Lock()
            self._flusher.pending_aggregates = {}


def note_error(session: Session | None, *, crashed: bool) -> None:
    """Note an error of which no event tells the session."""
    if session is not None:
        session.update(status="crashed" if crashed else None, errors=session.errors + 1)


def _by_minute(moments: list[float]) -> Mapping[float, int]:
    """How many there are of each minute; mostly all are of one."""
    if not moments:
        return {}
    first = min(moments) // _MINUTE
    if first == max(moments) // _MINUTE:
        return {first: len(moments)}
    return Counter(moment // _MINUTE for moment in moments)


def _beginning(minute: float) -> datetime:
    """The moment in which this minute of the epoch begins."""
    return datetime.fromtimestamp(minute * _MINUTE, UTC)
