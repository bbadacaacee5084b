"""What the server under demonstration kept in its local outbox."""

import time
from collections.abc import Iterator
from typing import Any

from asgi_rota_sentry.outbox import Outbox, OutboxError, health
from asgi_rota_sentry.sdk.envelopes import item_json


class KeptEnvelopes:
    """The outbox at `path`, which another process fills; every `timeout` is in seconds."""

    def __init__(self, path: str) -> None:
        self._outbox = Outbox(path, create=False)

    def wait_for_event(self, event_id: str, timeout: float) -> dict[str, Any] | None:
        """The payload of the error event with this ID as soon as it is there; None when it does not come."""
        deadline = time.monotonic() + timeout
        while event_id:
            for _, kind, payload in self._items():
                if kind == "event" and payload.get("event_id") == event_id:
                    return payload
            if time.monotonic() > deadline:
                return None
            time.sleep(0.2)
        return None

    def wait_for_request_spans(self, count: int, timeout: float) -> dict[str, str]:
        """The transactions (or segment spans, where those are streamed) by trace ID, once there are `count`.

        Each is given as what `asgi-rota-sentry events` calls it. However many there are after `timeout` are returned.
        """
        deadline = time.monotonic() + timeout
        while len(found := dict(self._request_spans())) < count and time.monotonic() < deadline:
            time.sleep(0.2)
        return found

    def wait_until_sent(self, timeout: float) -> str:
        """Wait until the server took everything; returns why it has not after `timeout`, empty when it has."""
        deadline = time.monotonic() + timeout
        while True:
            state = health(self._outbox)
            if state.sent and not state.queued and not state.set_aside:
                return ""
            if state.set_aside or time.monotonic() > deadline:
                return state.last_error or state.fault or "it has not answered yet"
            time.sleep(0.2)

    def _items(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Reference, type and payload of every item of every envelope."""
        try:
            for listed in self._outbox.entries():
                kept = self._outbox.get(listed.number)
                for item in kept.envelope().items if kept is not None else ():
                    payload = item_json(item)
                    if isinstance(payload, dict):
                        yield f"#{listed.number}", str(item.type), payload
        except OutboxError:
            return  # nothing was kept yet

    def _request_spans(self) -> Iterator[tuple[str, str]]:
        for reference, kind, payload in self._items():
            if kind == "transaction":
                yield payload["contexts"]["trace"]["trace_id"], reference
            elif kind == "span":
                segments = (span for span in payload["items"] if span.get("is_segment"))
                yield from ((span["trace_id"], reference) for span in segments)
