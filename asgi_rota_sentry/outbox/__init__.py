"""The outbox: an error or a piece of feedback, once captured, reaches the server or is still on disk.

Envelopes go to one SQLite file first and leave it when the server took them. An event is in memory only from its
capture until the writer's thread has put it into the file, most often one to ten milliseconds; what a SIGKILL within
that time takes is lost, and after a power cut the last seconds may be missing. Departing from Sentry's own rule for
SDKs, a 5xx answer is tried again: the event ID makes a repeat harmless.
"""

from collections.abc import Mapping
from typing import Any

from asgi_rota_sentry.outbox.bounds import Bounds, Dropped
from asgi_rota_sentry.outbox.errors import OutboxCorruptError, OutboxError, OutboxMissingError
from asgi_rota_sentry.outbox.health import Health, health
from asgi_rota_sentry.outbox.store import LOCAL, QUEUED, SET_ASIDE, Kept, Outbox
from asgi_rota_sentry.outbox.transport import (
    Keeping,
    LocalTransport,
    NowhereTransport,
    OutboxHttp2Transport,
    OutboxTransport,
    bounds_of,
)
from asgi_rota_sentry.sdk.envelopes import Transport, has_http_seams, wants_http2
from asgi_rota_sentry.settings import Settings

__all__ = [
    "LOCAL",
    "QUEUED",
    "SET_ASIDE",
    "Bounds",
    "Dropped",
    "Health",
    "Kept",
    "Outbox",
    "OutboxCorruptError",
    "OutboxError",
    "OutboxMissingError",
    "bounds_of",
    "health",
    "transport_for",
]


def transport_for(
    settings: Settings, *, options: Mapping[str, Any] | None = None
) -> type[Transport] | Transport | None:
    """The transport to give to `sentry_sdk.init` with these settings and these other options for it.

    Without a DSN and in debug mode it is an instance, which keeps everything and sends nothing, for the SDK makes
    none of a class without a DSN. Otherwise it is a class, which keeps and sends; None means the SDK's own.
    """
    if settings.debug or not settings.dsn:
        return LocalTransport(settings) if settings.outbox_path else NowhereTransport()
    base: type[Keeping] = OutboxHttp2Transport if wants_http2(options) else OutboxTransport
    if not settings.outbox_path or not has_http_seams(base):
        return None
    return type(base.__name__, (base,), {"settings": settings, "__doc__": base.__doc__})
