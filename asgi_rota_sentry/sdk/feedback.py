"""Feedback for Sentry: the envelope, and the way to the client's transport. The SDK has no interface for it.

The item types are `feedback` (https://develop.sentry.dev/sdk/data-model/envelope-items/#user-feedback) and its
predecessor `user_report`, which some servers know only.
"""

from collections.abc import Mapping
from typing import Any

from sentry_sdk.envelope import Envelope, Item, PayloadRef

from asgi_rota_sentry.sdk.client import Client

_WRITING_SECONDS = 5.0


def feedback_envelope(kind: str, event_id: str, payload: Mapping[str, Any]) -> Envelope:
    """An envelope with one item of type `kind`; `event_id` is what the envelope's header says."""
    item = Item(PayloadRef(json=dict(payload)), type=kind)
    return Envelope(headers={"event_id": event_id}, items=[item])


def is_kept_by(client: Client) -> bool:
    """Whether the client's transport keeps what it is given in an outbox."""
    return hasattr(client.transport, "outbox")


def hand_over(client: Client, envelope: Envelope) -> bool:
    """Give the envelope to the client's transport; False when there is none that keeps or sends it."""
    transport = client.raw.transport
    if transport is None or not (client.reports or is_kept_by(client)):
        return False
    transport.capture_envelope(envelope)
    return True


def has_taken(client: Client) -> bool:
    """Whether the client's transport sends what it was handed, or has written it by now; waits for the writing."""
    if client.reports:
        return True
    client.transport.flush(_WRITING_SECONDS)
    return client.keeps


def environment_and_release(client: Client) -> tuple[str, str]:
    """The environment and the release that the client reports; empty where it knows none."""
    return str(client.options.get("environment") or ""), str(client.options.get("release") or "")
