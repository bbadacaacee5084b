"""Where envelopes wait."""

from collections.abc import Mapping
from typing import Any

from asgi_rota_sentry.settings import Settings


def transport_for(settings: Settings, *, options: Mapping[str, Any] | None = None) -> Any:
    """The transport for these settings."""
    return None
