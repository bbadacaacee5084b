"""How the outbox is doing, for monitoring."""

import time
from dataclasses import dataclass

from asgi_rota_sentry.outbox.database import identity
from asgi_rota_sentry.outbox.errors import OutboxError
from asgi_rota_sentry.outbox.store import LOCAL, QUEUED, SET_ASIDE, Outbox
from asgi_rota_sentry.outbox.transport import Keeping, LocalTransport
from asgi_rota_sentry.sdk.envelopes import current_transport


@dataclass(frozen=True, slots=True)
class Health:
    """The state of one outbox; all counts are those of its file, so every process that shares it says the same.

    `queued` envelopes wait to be sent, `local` ones are kept to be looked at, `set_aside` ones were refused for good.
    `sent` and `dropped` count since the file was made. `seconds_since_success` is None before the first. `last_error`
    is what the last failure said. `fault` says why the file cannot be read, or that there is no outbox; of the running
    client's also why it could not be written last.
    """

    queued: int = 0
    local: int = 0
    set_aside: int = 0
    sent: int = 0
    dropped: int = 0
    seconds_since_success: float | None = None
    last_error: str = ""
    fault: str = ""


def health(outbox: Outbox | None = None) -> Health:
    """The health of `outbox`, or of the running client's when left out; takes about a millisecond, never raises."""
    unrecorded, fault = 0, ""
    if outbox is None:
        transport = current_transport()
        if not isinstance(transport, Keeping | LocalTransport):
            return Health(fault="the running Sentry client has no outbox")
        outbox, unrecorded, fault = transport.outbox, transport.drops.unrecorded, transport.fault
        if not identity(outbox.path):
            return Health(dropped=unrecorded, fault=fault)
    try:
        counts, notes = outbox.counts(), outbox.notes()
    except OutboxError as unreadable:
        return Health(dropped=unrecorded, fault=unreadable.reason)
    of_state = dict.fromkeys((QUEUED, LOCAL, SET_ASIDE), 0)
    for (state, _), number in counts.items():
        of_state[state] += number
    last = notes.get("last_success")
    return Health(
        queued=of_state[QUEUED],
        local=of_state[LOCAL],
        set_aside=of_state[SET_ASIDE],
        sent=int(notes.get("sent", 0)),
        dropped=int(notes.get("dropped", 0)) + unrecorded,
        seconds_since_success=None if last is None else max(0.0, time.time() - last),
        last_error=str(notes.get("last_error", "")),
        fault=fault,
    )
