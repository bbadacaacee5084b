"""Where what one file keeps is sent to: two applications with different DSNs that share a file are told so."""

from asgi_rota_sentry.outbox.drops import Complaint
from asgi_rota_sentry.outbox.store import Outbox

_NAME = "destination"


class Destination:
    """The server and project `own` that this process sends to, for the file of `outbox`.

    Who leads the file notes its own there; everybody else compares.
    """

    def __init__(self, outbox: Outbox, own: str) -> None:
        self._outbox = outbox
        self._own = own
        self._complaint = Complaint()
        self.reset()

    def reset(self) -> None:
        """Somebody else leads now, or may: what was noted holds no longer."""
        self._noted = False

    def note(self) -> None:
        """Note it once; for the process that leads."""
        if not self._noted:
            self._outbox.note(_NAME, self._own)
            self._noted = True

    def compare(self) -> None:
        """Say so once where the process that leads sends to another DSN: what is captured here goes there, too."""
        other = self._outbox.notes().get(_NAME, self._own)
        if other != self._own:
            message = (
                "What the outbox %s keeps is sent to %s by another process, not to %s: each needs a file of its own."
            )
            self._complaint.raise_once(message, self._outbox.path, other, self._own)
