"""A reload of the thank-you page, or a second click, sends the same again: it is known by its content."""

import time
from collections import OrderedDict
from hashlib import sha256

from asgi_rota_sentry.feedback.fields import Draft
from asgi_rota_sentry.forks import Locked

_SECONDS = 600.0
_MOST = 1000


class Repeats(Locked):
    """The IDs of what was taken within the last minutes, by content and client."""

    def __init__(self) -> None:
        super().__init__()
        self._taken: OrderedDict[bytes, tuple[str, float]] = OrderedDict()

    def find(self, draft: Draft, client: str) -> str | None:
        """The ID under which just this was taken already."""
        with self.lock:
            found = self._taken.get(_digest(draft, client))
        return found[0] if found and time.monotonic() - found[1] < _SECONDS else None

    def note(self, draft: Draft, client: str, feedback_id: str) -> None:
        """Remember what was taken."""
        with self.lock:
            self._taken[_digest(draft, client)] = (feedback_id, time.monotonic())
            while len(self._taken) > _MOST:
                self._taken.popitem(last=False)


def _digest(draft: Draft, client: str) -> bytes:
    parts = (client, draft.message, draft.name, draft.email, draft.url, draft.event_id or "")
    return sha256("\x00".join(parts).encode("utf-8", "replace")).digest()
