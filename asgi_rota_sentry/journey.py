"""The journey of one request: it is opened, is answered, fails or is abandoned, and is left, in that order.

What is costly waits until there is an event or a sampled span.
"""

import inspect
import time
from collections import deque
from typing import Any

import anyio

from asgi_rota_sentry import expected, faults, identity, request, sdk, trace_context, trail
from asgi_rota_sentry.answering import Answering
from asgi_rota_sentry.receives import BodyReceive, SocketReceive
from asgi_rota_sentry.record import Configuration
from asgi_rota_sentry.reply import Reply
from asgi_rota_sentry.request_body import Body
from asgi_rota_sentry.types import ASGIApp, Receive, Scope, Send

# How long an async `identify` may take, and the answer of a request that was cancelled.
_IDENTIFY_SECONDS = 1.0
_LAST_SECONDS = 1.0
# The last ones of a request that are remembered.
_MOST_ACTIONS = 19
_BODY_HEADERS = frozenset({b"content-length", b"transfer-encoding"})
# The versions of HTTP whose frames tell where a body ends, and the methods that have none.
_FRAMED = ("2", "3")
_WITHOUT_BODY = ("GET", "HEAD")
# What is looked at when a request arrives; most have but the cookies of it.
_TELLING_HEADERS = trace_context.NAMES | _BODY_HEADERS | {request.COOKIE}


class Journey(Answering):
    """One request's way through the middleware."""

    __slots__ = ("outer_scopes",)

    def __init__(self, config: Configuration, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        self._config = config
        self._app = app
        self._scope = scope
        self._root_path = scope.get("root_path") or ""  # routers write into the scope's own
        self._path = scope.get("path")
        # Nothing is known yet.
        self._client = self._sentry = self._span = self._ended_span = self._last_knowledge = self._withheld = None
        self._body = self._visitor = self._actions = self._identity = self._failed_with = self._close_code = None
        self.find_route = self._logged = None
        self._is_excluded = False
        self._pages = self._status = 0
        self._arrived_at = self._answered_at = self._ended_at = self._passed_at = self._raised_at = 0.0
        self.is_open = self._is_cancelled = False
        #: The SDK's scopes that the request began in.
        self.outer_scopes: Any = None
        self.reply = Reply(receive, send, config.pages if scope["type"] == "http" else None, self)

    @property
    def method(self) -> str:
        """The request's method."""
        return request.method(self._scope)

    @property
    def is_answering(self) -> bool:
        """Whether a call in this context can still belong to this request.

        After the last byte it is another one, which the server began in the context that this one left behind.
        """
        return self.is_open and not self.reply.ends

    # Open

    def open(self, around: Any) -> None:
        """Enter the request's own scope, with all that is to be known before the application is called.

        `around` is the layer that the request came in.
        """
        client = sdk.current_client()
        if client is None:
            return  # only pages are served
        self.is_open = True
        self._client = client
        self.reply.is_followed = True
        self._arrived_at = time.time()
        sentry = self._sentry = sdk.RequestScope(client, self, expected.should_drop, self._config.budget)
        sentry.open(self._arrived_at, around, self)
        self.outer_scopes = sentry.outer
        config, scope = self._config, self._scope
        if config.excludes and config.is_excluded(scope):
            self._is_excluded = True
            sdk.leave_out(client, sentry)
            return
        told, cookies = request.some_headers_and_cookies(scope, _TELLING_HEADERS)
        headers = None
        if told:
            headers = trace_context.trace_headers(told)
            if not _BODY_HEADERS.isdisjoint(told):
                self._keep_body(client)
        if scope.get("http_version") in _FRAMED and not self._body and scope.get("method", "GET") not in _WITHOUT_BODY:
            self._keep_body(client)  # no header need tell of it (RFC 9113, section 8.1)
        # Where spans are streamed, the SDK does as the caller has decided with tracing off, too.
        is_tracing = client.tracing or (headers and client.streaming)
        if is_tracing and (scope.get("method") in client.traced_methods or self._is_traced(client)):
            self._span = sdk.start_span(client, sentry, scope, headers=headers, name=self._first_name)
            self.reply.follows_end = True
        elif headers and not sentry.is_adopted:
            sdk.continue_trace(client, sentry, headers)
        if scope["type"] == "websocket":
            self.reply.take = SocketReceive(self.reply.take, self.on_close)
        if cookies and config.trail.remembers:
            self._visitor = config.trail.key(cookies)

    def _keep_body(self, client: sdk.Client) -> None:
        """Keep what the application reads of the body, as far as the client's bound goes."""
        if client.max_body:
            self._body = Body(client.max_body)
            self.reply.take = BodyReceive(self.reply.take, self._body)

    def _is_traced(self, client: sdk.Client) -> bool:
        """Whether the request makes a transaction, as each websocket does."""
        return self._scope.get("type") == "websocket" or self.method in client.traced_methods

    def _first_name(self) -> str:
        """The span's name before the application has routed: what the SDK's own layer would call it."""
        return request.url(self._scope, without_host=True)

    async def resolve_identity(self) -> None:
        """Await an async `identify`; one that hangs is given up (a sync one cannot be interrupted)."""
        if self._sentry is None:
            return
        try:
            with anyio.fail_after(_IDENTIFY_SECONDS):
                found: Any = self._config.identify(self._scope)
                self._identity = identity.checked(await found if inspect.isawaitable(found) else found)
        except Exception:
            faults.report("reading the identity")

    # Meanwhile

    def add_action(self, category: str, message: str, data: dict[str, Any]) -> None:
        """Remember what the user did, for the visitor's later requests."""
        if self._sentry is None or self._is_excluded or not self._config.trail.remembers:
            return
        if self._actions is None:
            self._actions = deque(maxlen=_MOST_ACTIONS)
        self._actions.append(trail.action_entry(time.time(), category, message, data))

    def is_unwanted(self, exc: BaseException, *, handled: bool) -> bool:
        """Whether no event is to be built of this exception, whoever is about to build one."""
        if not handled:
            self._note_raised()
        return self._sentry is not None and self._sentry.skips(exc, handled=handled)

    # Fail

    async def fail(self, exc: Exception) -> None:
        """Capture the exception once, and answer with the page when nothing was sent yet."""
        __tracebackhide__ = True
        try:
            if expected.is_disconnect(exc):
                sdk.mark_settled(exc)
                self._cancel()
                return
            self._failed_with = exc
            self._note_raised()
            self._capture(exc)
            sdk.mark_settled(exc)
            if self._span is not None and not self._failed_afterwards(exc):
                self._span.fail()
        except Exception:
            faults.report("capturing an exception")
        # Whatever becomes of the answer, the application's own exception is the one to tell.
        await self._conclude("answering a failed request", failed=True)

    async def _conclude(self, doing: str, *, failed: bool) -> None:
        try:
            await self.reply.conclude(failed=failed)
        except Exception:
            if not self.reply.client_gone:
                faults.report(doing)

    async def abandon(self, exc: BaseException) -> None:
        """Leave a request that was cancelled, or whose process is about to end."""
        __tracebackhide__ = True
        try:
            if expected.has_error(exc) and not expected.is_disconnect(exc):
                self._capture(exc)
            sdk.mark_settled(exc)  # uvicorn logs each request that it cancels when it ends
            self._cancel()
        except Exception:
            faults.report("leaving a cancelled request")
        if self.reply.held is not None and not isinstance(exc, GeneratorExit):
            await self._release_at_last()

    async def _release_at_last(self) -> None:
        """The application has sent its answer before it was cancelled, so the client shall have it."""
        with anyio.move_on_after(_LAST_SECONDS, shield=True):
            await self._conclude("answering a cancelled request", failed=False)

    # Leave

    def leave(self) -> None:
        """Have Sentry told of the request, and leave its scope, whichever way it ended."""
        self.is_open = False
        # An unfinished coroutine is collected in whatever context the collector runs.
        is_here = sdk.layer.get(None) is self
        sentry = self._sentry
        if sentry is not None:
            try:
                is_unanswered = False if self.reply.ended else self._end_early()
                if self._actions:
                    self._remember(0, (), time.time())  # what the user did after the answer began, or without one
                if self._span is not None:
                    self._end_span()
                if self._ended_span is not None:
                    self._follow(self._ended_span)
                    self._ended_span = None
                if not self._is_excluded:
                    self._count(sentry, self._status or (500 if is_unanswered else 0))
            except Exception:
                faults.report("ending a span")
            try:
                self._sentry = None
                sentry.close(is_here=is_here)
            except Exception:
                faults.report("leaving a request")
        self._failed_with = self._last_knowledge = self._logged = None
        # What would make a cycle is let go, so that the request needs no garbage collector.
        self.reply.is_followed = False
        del self.reply

    def _end_early(self) -> bool:
        """Note the end of a request whose answer has none; whether the server has to answer in its place."""
        if self._is_given_up():
            self._cancel()
        is_unanswered = self._is_unanswered()
        if not self._answered_at:
            self._answered_at = time.time()
        if is_unanswered and self._visitor is not None:
            self._remember(500, (), self._answered_at)
        return is_unanswered

    def _is_given_up(self) -> bool:
        """Whether the application ended without an exception, and before its answer had ended, for the client had left.

        So Starlette ends a stream whose client leaves, and Django any request.
        """
        is_gone = self.reply.client_left or self.reply.client_gone
        return is_gone and self._failed_with is None and not self._is_cancelled

    def _is_unanswered(self) -> bool:
        """Whether the server has to answer in the application's place: it does so with a 500."""
        if self.reply.started or self._is_cancelled:
            return False
        return self._failed_with is not None or self._scope.get("type") == "http"


def here() -> Journey | None:
    """The journey that this context belongs to."""
    found = sdk.layer.get(None)
    return found if isinstance(found, Journey) else None


def _is_unwanted(exc: BaseException, handled: bool) -> bool:
    try:
        journey = here()
        if journey is None or not journey.is_open:
            return sdk.is_settled(exc)
        return journey.is_unwanted(exc, handled=handled)
    except Exception:
        faults.report("deciding on an error")
        return False


def _is_inside() -> bool:
    try:
        journey = here()
        return journey is not None and journey.is_open
    except Exception:
        faults.report("looking for the request")
        return False


sdk.install_guard(_is_unwanted)
sdk.install_in_wsgi(_is_inside)
