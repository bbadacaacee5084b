"""The SDK's envelopes and transports: what the outbox builds on, with a fallback for each private name.

An envelope is a header and a list of items (https://develop.sentry.dev/sdk/data-model/envelopes/).
"""

import json
from datetime import UTC, datetime
from typing import Any

import sentry_sdk
from sentry_sdk import Client, get_client
from sentry_sdk.envelope import Envelope, Item, PayloadRef
from sentry_sdk.transport import BaseHttpTransport, Http2Transport, HttpTransport, Transport

__all__ = [
    "BaseHttpTransport",
    "Envelope",
    "Http2Transport",
    "HttpTransport",
    "Item",
    "PayloadRef",
    "Transport",
    "count_metric",
    "current_transport",
    "default_options",
    "failure_reason",
    "get_client",
    "has_http_seams",
    "item_json",
    "parse_envelope",
    "refresh_sent_at",
    "wants_http2",
]

# What the outbox overrides or calls in `HttpTransport`; the same in 2.75 and in 3.0. Where one is missing, the SDK's
# own transport is used as it is.
_HTTP_SEAMS = (
    "_send_envelope",
    "_handle_response",
    "_handle_request_error",
    "_update_rate_limits",
    "_check_disabled",
    "_get_header_value",
    "_make_pool",
)


def has_http_seams(transport: type[Transport]) -> bool:
    """Whether this SDK's transport has the private methods that the outbox needs."""
    return all(callable(getattr(transport, name, None)) for name in _HTTP_SEAMS)


def wants_http2(options: Any) -> bool:
    """Whether the options for `sentry_sdk.init` ask for HTTP/2 (an experiment of the SDK)."""
    experiments = (options or {}).get("_experiments") or {}
    return bool(experiments.get("transport_http2"))


def current_transport() -> Transport | None:
    """The transport of the running client, or None."""
    transport = get_client().transport
    return getattr(transport, "_inner", transport)  # unwraps the SDK's envelope printer


def default_options(dsn: str, release: str | None, environment: str) -> dict[str, Any]:
    """The complete options that a transport needs, without the integrations."""
    client = Client(
        dsn=dsn,
        release=release,
        environment=environment,
        default_integrations=False,
        auto_enabling_integrations=False,
        enable_backpressure_handling=False,
    )
    return dict(client.options)


def failure_reason(fault: BaseException) -> str:
    """In one line why a request failed; urllib3 wraps the reason in others."""
    while isinstance(inner := getattr(fault, "reason", None), BaseException):
        fault = inner
    return f"{type(fault).__name__}: {fault}"[:300]


def item_json(item: Item) -> Any:
    """The JSON content of an item, or None where it has none."""
    if item.payload.json is not None:
        return item.payload.json
    try:
        return json.loads(item.get_bytes())
    except (ValueError, RecursionError):
        return None


def parse_envelope(data: bytes) -> Envelope:
    """The envelope in `data`, its payloads untouched; ValueError says what is wrong with it."""
    line, _, rest = data.partition(b"\n")
    headers = _header(line, "The envelope's header")
    items: list[Item] = []
    while rest.strip(b"\n"):
        line, _, rest = rest.partition(b"\n")
        if not line:
            continue
        item_headers = _header(line, f"The header of item {len(items) + 1}")
        length = item_headers.pop("length", None)
        if length is None:
            payload, _, rest = rest.partition(b"\n")
        elif not isinstance(length, int) or not 0 <= length <= len(rest):
            raise ValueError(f"Item {len(items) + 1} is cut off: it should have {length} bytes, there are {len(rest)}.")
        else:
            payload, rest = rest[:length], rest[length:]
        content_type = None if "content_type" in item_headers or payload[:1] != b"{" else "application/json"
        items.append(Item(payload, headers=item_headers, content_type=content_type))
    if not items:
        raise ValueError("The envelope has no items.")
    return Envelope(headers=headers, items=items)


def _header(line: bytes, what: str) -> dict[str, Any]:
    try:
        header = json.loads(line)
    except ValueError:
        header = None
    if not isinstance(header, dict):
        raise ValueError(f"{what} is no JSON object.")  # noqa: TRY004 - the text is at fault, not its type
    return header


def refresh_sent_at(envelope: Envelope) -> None:
    """Set the time of sending to now: the server takes an old one for a wrong clock and shifts the event's time."""
    envelope.headers["sent_at"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def count_metric(name: str, value: float) -> None:
    """Add to a counter among Sentry's metrics."""
    sentry_sdk.metrics.count(name, value)
