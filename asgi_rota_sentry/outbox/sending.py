"""Sending what is kept now, in the foreground, for the command line."""

from dataclasses import dataclass

from asgi_rota_sentry.outbox.store import QUEUED, SET_ASIDE
from asgi_rota_sentry.outbox.transport import OutboxTransport
from asgi_rota_sentry.sdk.envelopes import default_options
from asgi_rota_sentry.settings import Settings


@dataclass(frozen=True, slots=True)
class Sent:
    """How it went: envelopes `sent`, `set_aside` because the server refused them, `left` for later and why."""

    sent: int
    set_aside: int
    left: int
    stopped: str = ""


def send_now(settings: Settings) -> Sent:
    """Send every queued envelope at the settings' pace; stops at the first sign that the server is away."""
    transport_class = type("OutboxTransport", (OutboxTransport,), {"settings": settings, "waits_for_orders": True})
    transport = transport_class(default_options(settings.dsn or "", settings.release, settings.environment))
    before = _counts(transport)
    try:
        stopped = transport.send_all()
    finally:
        transport.kill()
    after = _counts(transport)
    return Sent(
        sent=after["sent"] - before["sent"],
        set_aside=after[SET_ASIDE] - before[SET_ASIDE],
        left=after[QUEUED],
        stopped=stopped,
    )


def _counts(transport: OutboxTransport) -> dict[str, int]:
    counts = {QUEUED: 0, SET_ASIDE: 0, "sent": int(transport.outbox.notes().get("sent", 0))}
    for (state, _), number in transport.outbox.counts().items():
        counts[state] = counts.get(state, 0) + number
    return counts
