"""The answer of one request, as the reply tells of it: what is then captured, noted and put in its place."""

import logging
import time

from asgi_rota_sentry import counters, faults, litestar, sdk
from asgi_rota_sentry.held import Headers, headers_of
from asgi_rota_sentry.pages import Answer
from asgi_rota_sentry.reply import Reply
from asgi_rota_sentry.report import Report
from asgi_rota_sentry.types import Message

_CLOSE = (b"connection", b"close")
# The statuses of an answer that may be sent bit by bit.
_STREAMED = frozenset(range(200, 300)) - {204, 205}


class Answering(Report):
    """A request that is being answered, which listens to its reply."""

    __slots__ = ("_is_cancelled", "_logged", "is_open", "reply")

    is_open: bool
    reply: Reply
    _is_cancelled: bool
    # The exception that a framework has logged, to answer it itself.
    _logged: logging.LogRecord | None

    def note_logged(self, record: logging.LogRecord) -> None:
        """Remember that an exception was logged before the answer: if that is a 5xx, it stands for it."""
        if self.is_open and not self._status:
            self._logged = record

    def on_error(self) -> None:
        """Capture the exception that Litestar is answering, unless it was, by the SDK's hook in the application.

        An application that was made before the SDK was initialised is without it.
        """
        try:
            if self._failed_with is not None:
                return  # it was captured, and is answered now
            exc, client = litestar.answering(), self._client
            if exc is None:
                return
            if client is None or not sdk.is_reported_in_litestar(client, exc):
                return
            self._failed_with = exc
            self._capture(exc)
            if self._span is not None:
                self._span.fail()
        except Exception:
            faults.report("capturing an exception")

    def on_start(self, status: int, message: Message) -> None:
        """The response begins: the story of the visitor, and the status of the span."""
        try:
            self._status = status
            self._answered_at = time.time()
            if self._span is not None and self._span.sampled:
                self._span.set_status_code(status)
            if self._config.trail.remembers and not self._is_excluded:
                headers = message.get("headers")
                headers = headers if type(headers) is list else headers_of(message)  # as nearly all, without a call
                self._remember(status, headers, self._answered_at)
            if self._logged is not None:
                self._tell_logged(status)
        except Exception:
            faults.report("noting a response")

    def _tell_logged(self, status: int) -> None:
        """Capture the exception that was logged, if the answer is a failure and no event was made of it."""
        record, self._logged = self._logged, None
        if record is None or status < 500 or self._sentry is None:
            return
        try:
            self._sentry.run(sdk.capture_logged, record)
        except Exception:
            faults.report("capturing an exception")

    def on_end(self, message: Message) -> None:
        """The last byte is out: the span ends, unless an exception may still follow and must come first."""
        try:
            if self.reply.client_left and self._may_hide_a_failure(message):
                self._cancel(is_cut=True)
            if self._span is None:
                return
            if message.get("type") == "websocket.close":
                self.on_close(message.get("code", 1000))
            self._ended_at = self._ended_at or time.time()
            if self._status < 500 and not self._may_hide_a_failure(message):
                self._end_span()
            else:
                self._pass_on()
            self._passed_at = self._passed_at or time.time()
        except Exception:
            faults.report("ending a span")

    def _may_hide_a_failure(self, message: Message) -> bool:
        """Whether an exception may follow that came before this last message, or the application was given up before.

        Starlette's `BaseHTTPMiddleware` ends the answer of an application that failed in the midst of it, and raises
        then. What has no body at all, as a redirect, has no midst.
        """
        if message.get("body") or message.get("type") != "http.response.body":
            return False
        return self._status in _STREAMED

    def _cancel(self, *, is_cut: bool = False) -> None:
        """Note that the request was given up; its span tells so unless the whole answer is out, and not `is_cut`."""
        if not self._is_cancelled:
            counters.count("requests.cancelled")
        self._is_cancelled = True
        if self._span is not None and (is_cut or not self.reply.ended):
            self._span.cancel()

    def on_close(self, code: int) -> None:
        """A websocket that was accepted ends when it is closed first, whoever closes it."""
        if self._status == 101 and self._close_code is None:
            self._close_code = code
            self._ended_at = self._passed_at = time.time()
            self._pass_on()

    def page(self, status: int, headers: Headers, *, closes: bool = False) -> Answer:
        """The page in place of a bare answer; where the server closes after it, the client is told, as by its own."""
        if self._logged is not None:
            self._tell_logged(status)
        situation = self._situation(status, self._failure_id() if status >= 500 else None)
        counters.count(f"pages.{status}")
        self._pages += 1
        answer = self._config.pages.answer(situation, headers)
        if closes and str(self._scope.get("http_version", "1.1")).startswith("1"):
            answer.headers.append(_CLOSE)  # HTTP/2 knows no such header
        return answer

    def is_decided(self) -> bool:
        """Whether it is known by now which event stands for a failure."""
        return self._sentry is not None and self._sentry.event_id(unhandled_only=True) is not None

    def _failure_id(self) -> str | None:
        """The event of the exception that ended the request, else the one that stands for its 5xx answer."""
        if self._sentry is None:
            return None
        failed_with = self._failed_with
        return self._sentry.event_id() if failed_with is None else self._sentry.event_id_of(failed_with)

    def _capture(self, exc: BaseException) -> None:
        client, sentry = self._client, self._sentry
        if client is None or sentry is None:
            return
        if sentry.skips(exc):
            sdk.remember_exception(client, exc)
        else:
            sdk.capture_exception(client, exc)
        counters.count("errors")
