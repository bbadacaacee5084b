"""The transports: one keeps every envelope until the server took it, one only keeps, one does neither."""

import threading
import time
import weakref
from collections.abc import Collection, Sequence
from typing import Any, ClassVar

from asgi_rota_sentry import forks
from asgi_rota_sentry.outbox.bounds import Bounds, Dropped
from asgi_rota_sentry.outbox.drops import Complaint, Drops
from asgi_rota_sentry.outbox.errors import OutboxError
from asgi_rota_sentry.outbox.pace import Pace
from asgi_rota_sentry.outbox.sender import Answer, Sender
from asgi_rota_sentry.outbox.store import LOCAL, QUEUED, Outbox
from asgi_rota_sentry.outbox.summary import is_client_report, is_essential
from asgi_rota_sentry.outbox.writer import Writer
from asgi_rota_sentry.sdk.envelopes import (
    BaseHttpTransport,
    Envelope,
    Http2Transport,
    HttpTransport,
    Transport,
    failure_reason,
    item_json,
    refresh_sent_at,
)
from asgi_rota_sentry.settings import Settings

_SENDING_THREADS = 2
_TOLD = 200  # bytes of a server's explanation that are kept
_FULL = "because the outbox is full or they were too old"
_CATEGORIES = (
    *("error", "default", "feedback", "monitor", "session", "attachment"),
    *("transaction", "span", "log_item", "trace_metric", "profile", "profile_chunk"),
)


def bounds_of(settings: Settings) -> Bounds:
    """The outbox's bounds in the settings."""
    return Bounds(settings.outbox_max_mib, settings.outbox_max_envelopes, settings.outbox_max_days)


class NowhereTransport(Transport):
    """Takes every envelope and forgets it: no DSN and no outbox, or debug mode and no outbox."""

    keeps_locally = True
    fault = "there is no outbox"

    def capture_envelope(self, envelope: Envelope) -> None:
        """Do nothing."""


class LocalTransport(Transport):
    """Keeps every envelope in the outbox to be looked at, and never opens a connection."""

    keeps_locally = True

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.drops = Drops()
        self._complaint = Complaint()
        self.outbox = Outbox(settings.outbox_path, bounds_of(settings))
        self._writer = Writer(self.outbox, LOCAL, self._written, self._refused)
        forks.in_child(self._writer.reset)
        forks.in_child(self.drops.reset)

    @property
    def fault(self) -> str:
        """Why the file could not be written last; empty when it could."""
        return self._writer.fault

    def capture_envelope(self, envelope: Envelope) -> None:
        """Hand the envelope to the writer's thread."""
        if not self._writer.put(envelope):
            self.drops.count(1, "because the disk is slower than the errors come")

    def flush(self, timeout: float, callback: Any = None) -> None:  # noqa: ARG002
        """Wait up to `timeout` seconds until everything is on disk."""
        self._writer.flush(timeout)

    def kill(self) -> None:
        """End the writer's thread; a later envelope starts it again."""
        self._writer.stop()

    def _written(self, dropped: list[Dropped]) -> None:
        self._complaint.over("The outbox %s can be written again.", self.outbox.path)
        self.drops.count(sum(each.quantity for each in dropped), _FULL, recorded=True)

    def _refused(self, envelopes: Sequence[Envelope], reason: str) -> None:
        self._complaint.raise_once("The outbox %s cannot be written (%s).", self.outbox.path, reason)
        self.drops.count(len(envelopes), "because the outbox cannot be written")


class Keeping(BaseHttpTransport):
    """The SDK's HTTP transport, with every essential envelope kept on disk until the server took it."""

    settings: ClassVar[Settings]
    waits_for_orders: ClassVar[bool] = False
    """Whether it sends only when told to, by `send_all`."""

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__(options)
        bounds = bounds_of(self.settings)
        self.drops = Drops()
        self.outbox = Outbox(self.settings.outbox_path, bounds)
        self._complaint = Complaint()
        self._attempt = threading.local()
        self._killing = threading.Lock()
        pace = Pace(self.settings.outbox_sends_per_second)
        self._writer = Writer(self.outbox, QUEUED, self._written, self._refused)
        sending = Outbox(self.settings.outbox_path, bounds)
        self._sender = Sender(sending, pace, self._deliver, self._blocked, self._dropped, self._destination())
        forks.in_child(self._writer.reset)
        forks.in_child(self._sender.reset)
        forks.in_child(self._after_fork_in_child)
        if not self.waits_for_orders:
            self._take_over()
            self._start_if_something_waits()

    @property
    def fault(self) -> str:
        """Why the file could not be written last; empty when it could."""
        return self._writer.fault

    def _destination(self) -> str:
        """Server and project, without the key."""
        dsn = self.parsed_dsn
        return "" if dsn is None else f"{dsn.netloc}{dsn.path}{dsn.project_id}"

    def _take_over(self) -> None:
        """Have the sender of an earlier client leave the file to this one's: it may send to another DSN."""
        path = str(self.outbox.path)
        earlier = _latest.get(path)
        _latest[path] = self
        if earlier is not None:
            earlier.kill()

    def _after_fork_in_child(self) -> None:
        self.drops.reset()
        self._killing = threading.Lock()
        self._pool = self._make_pool()  # two processes must not talk over one connection

    def on_dropped_event(self, reason: str) -> None:
        """Count what the SDK drops on its own account."""
        self.drops.count(1, f"by the SDK ({reason})")

    def _start_if_something_waits(self) -> None:
        try:
            # Whatever is queued, also what may not be tried again just yet: nobody else may come to wake the sender.
            if self.outbox.path.exists() and self.outbox.entries(states=[QUEUED], limit=1):
                self._sender.start()
        except OutboxError:
            pass  # the writer will say so when there is something to write

    def capture_envelope(self, envelope: Envelope) -> None:
        """Keep and send the envelope; one that is not kept goes the SDK's way."""
        kept = is_essential(envelope) or (self.settings.outbox_transactions and not is_client_report(envelope))
        if not kept or not self._writer.put(envelope):
            super().capture_envelope(envelope)

    def flush(self, timeout: float, callback: Any = None) -> None:
        """Wait up to `timeout` seconds until everything is sent; at least it is on disk after that."""
        deadline = time.monotonic() + timeout
        self._writer.flush(timeout)
        self._sender.flush(deadline - time.monotonic())
        super().flush(max(0.0, deadline - time.monotonic()), callback)

    def kill(self) -> None:
        """End the threads; what is not sent stays on disk."""
        with self._killing:
            self._writer.stop()
            self._sender.stop()
        super().kill()

    def send_all(self) -> str:
        """Send everything queued on this thread, at the settings' pace; returns why it stopped early, or nothing."""
        return self._sender.drain()

    def _written(self, dropped: list[Dropped]) -> None:
        self._complaint.over("The outbox %s can be written again.", self.outbox.path)
        self._dropped(dropped)
        with self._killing:  # what is written last, after `kill`, must not leave a sender behind
            if not self._writer.stopped:
                self._sender.start()

    def _dropped(self, dropped: list[Dropped]) -> None:
        for each in dropped:
            self.record_lost_event("cache_overflow", data_category=each.category, quantity=each.quantity)  # type: ignore[arg-type]
        self.drops.count(sum(each.quantity for each in dropped), _FULL, recorded=True)

    def _refused(self, envelopes: Sequence[Envelope], reason: str) -> None:
        message = "The outbox %s cannot be written (%s); until it can, envelopes are sent without being kept."
        self._complaint.raise_once(message, self.outbox.path, reason)
        for envelope in envelopes:
            super().capture_envelope(envelope)

    def _blocked(self) -> Collection[str]:
        return [category for category in _CATEGORIES if self._check_disabled(category)]

    def _deliver(self, envelope: Envelope) -> Answer:
        """Send one envelope on this thread; the SDK's handlers below note what became of it."""
        refresh_sent_at(envelope)
        self._attempt.answer = Answer(None, "a rate limit stands in the way", limited=True)
        try:
            self._send_envelope(envelope)
        except Exception as fault:  # whatever went wrong, the envelope is still kept
            return Answer(None, failure_reason(fault))
        return self._attempt.answer  # type: ignore[no-any-return]

    def _handle_response(self, response: Any, envelope: Envelope | None) -> None:
        if getattr(self._attempt, "answer", None) is None:
            super()._handle_response(response, envelope)
            return
        self._update_rate_limits(response)
        told: bytes = getattr(response, "data", None) or getattr(response, "content", None) or b""
        reason = f"HTTP {response.status} {told[:_TOLD].decode('utf-8', 'replace')}".strip()
        answer = Answer(response.status, reason, self._retry_after(response), response.status == 429)
        self._attempt.answer = answer
        if not answer.taken:
            self._take_back_reports(envelope)

    def _handle_request_error(
        self, envelope: Envelope | None, loss_reason: str = "network", record_reason: str = "network_error"
    ) -> None:
        if getattr(self._attempt, "answer", None) is None:
            super()._handle_request_error(envelope, loss_reason, record_reason)
            return
        self._take_back_reports(envelope)

    def _take_back_reports(self, envelope: Envelope | None) -> None:
        """Count again what a report told that went with an envelope that did not arrive."""
        for item in envelope.items if envelope is not None else ():
            if item.type == "client_report":
                for each in (item_json(item) or {}).get("discarded_events", ()):
                    self.record_lost_event(each["reason"], each["category"], quantity=each["quantity"])

    def _retry_after(self, response: Any) -> float | None:
        value = self._get_header_value(response, "Retry-After")
        try:
            return None if value is None else float(self._retry.parse_retry_after(value))
        except Exception:  # urllib3's error for a header that is neither seconds nor a date
            return None


# By the outbox's path, whose client was started last in this process.
_latest: "weakref.WeakValueDictionary[str, Keeping]" = weakref.WeakValueDictionary()


class OutboxTransport(Keeping, HttpTransport):
    """Keeps and sends, over HTTP/1.1."""

    def _get_pool_options(self) -> dict[str, Any]:
        # The sender and the SDK's own thread send at once: with room for one connection, as the SDK has it, urllib3
        # would close the other each time, and warn of that in the application's log.
        return {**super()._get_pool_options(), "maxsize": _SENDING_THREADS}


class OutboxHttp2Transport(Keeping, Http2Transport):
    """Keeps and sends, over HTTP/2: an experiment of the SDK that its users ask for."""
