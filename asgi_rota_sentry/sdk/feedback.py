"""Feedback for Sentry: the envelope, and the way to the client's transport. The SDK has no interface for it.

The item types are `feedback` (https://develop.sentry.dev/sdk/data-model/envelope-items/#user-feedback) and its
predecessor `user_report`, which some servers know only.
"""

from collections.abc import Mapping
from typing import Any

from sentry_sdk.envelope import Envelope, Item, PayloadRef

from asgi_rota_sentry.sdk.client import Client


def feedback_envelope(kind: str, event_id: str, payload: Mapping[str, Any]) -> Envelope:
    """An envelope with one item of type `kind`; `event_id` is what the envelope's header says."""
    item = Item(PayloadRef(json=dict(payload)), type=kind)
    return Envelope(headers={"event_id": event_id}, items=[item])


def is_kept_by(client: Client) -> bool:
    """Whether the client's transport keeps what it is given in an outbox."""
    transport = client.raw.transport
    return hasattr(getattr(transport, "_inner", transport), "outbox")  # the SDK's envelope printer wraps it


def hand_over(client: Client, envelope: Envelope) -> bool:
    """Give the envelope to the client's transport; False when there is none that keeps or sends it."""
    transport = client.raw.transport
    if transport is None or not (client.reports or is_kept_by(client)):
        return False
    transport.capture_envelope(envelope)
    return True


def environment_and_release(client: Client) -> tuple[str, str]:
    """The environment and the release that the client reports; empty where it knows none."""
    return str(client.options.get("environment") or ""), str(client.options.get("release") or "")
