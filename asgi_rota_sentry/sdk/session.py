"""The release-health session of one request, counted by the SDK together with the others of its minute.

As the SDK's own, without what a count does not need (its ID, its user, its clock readings).
"""

import time
from datetime import UTC, datetime
from typing import Any

from sentry_sdk.scope import Scope
from sentry_sdk.session import Session

_MINUTE = 60.0


class RequestSession(Session):
    """A session of the mode `request`: the SDK adds one to `exited`, `errored` or `crashed` for its minute."""

    _minute: tuple[float, datetime] = (-1.0, datetime.fromtimestamp(0, UTC))

    def __init__(self, release: str, environment: str | None) -> None:
        self.status = "ok"
        self.errors = 0
        self.release = release
        self.environment = environment
        self.session_mode = "request"
        self.user_agent = self.ip_address = self.did = self.duration = None
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
            self.status = status or "exited"


def start_session(scope: Scope, release: str, environment: str | None) -> None:
    """Begin the session of a request; the SDK notes on it what its events tell (an error, a crash)."""
    scope._session = RequestSession(release, environment)
