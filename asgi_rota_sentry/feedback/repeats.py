"""A reload of the thank-you page, or a second click, sends the same again: it is known by its content."""

import time
from collections import OrderedDict
from hashlib import sha256

import anyio

from asgi_rota_sentry.feedback.fields import Draft
from asgi_rota_sentry.forks import Locked

_SECONDS = 600.0
_MOST = 1000
# A double click is quicker than a disk: so long is waited for what becomes of the first, looked at so often.
_PATIENCE_SECONDS = 60.0
_LOOK_SECONDS = 0.02


class Repeats(Locked):
    """The IDs of what was taken within the last minutes, by content and client; empty for what is being taken."""

    def __init__(self) -> None:
        super().__init__()
        self._taken: OrderedDict[bytes, tuple[str, float]] = OrderedDict()

    async def begin(self, draft: Draft, client: str) -> str | None:
        """The ID under which just this was taken already; None where the caller is to take it, and then to say `end`.

        Waits while another request takes the same.
        """
        digest = _digest(draft, client)
        while True:
            with self.lock:
                found = self._taken.get(digest)
                if found is None or time.monotonic() - found[1] >= (_SECONDS if found[0] else _PATIENCE_SECONDS):
                    self._note(digest, "")
                    return None
            if found[0]:
                return found[0]
            await anyio.sleep(_LOOK_SECONDS)

    def end(self, draft: Draft, client: str, feedback_id: str) -> None:
        """Remember what was taken; an empty ID says that it was not."""
        digest = _digest(draft, client)
        with self.lock:
            if feedback_id:
                self._note(digest, feedback_id)
            else:
                self._taken.pop(digest, None)

    def _note(self, digest: bytes, feedback_id: str) -> None:
        self._taken[digest] = (feedback_id, time.monotonic())
        while len(self._taken) > _MOST:
            self._taken.popitem(last=False)


def _digest(draft: Draft, client: str) -> bytes:
    parts = (client, draft.message, draft.name, draft.email, draft.url, draft.event_id or "")
    return sha256("\x00".join(parts).encode("utf-8", "replace")).digest()
