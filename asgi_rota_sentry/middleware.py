"""The middleware, and the journey of one request through it.

`Journey.run` reads as the request goes: open, run, answer or fail, leave. Everything else is called from there.
"""

import inspect
import time
from collections.abc import Callable, Iterable
from contextvars import ContextVar, Token
from datetime import UTC, datetime
from typing import Any

from asgi_rota_sentry import counters, expected, faults, identity, request, sdk, start, trail
from asgi_rota_sentry.deliberate_error import deliberate_error
from asgi_rota_sentry.enrichment import Enrichment
from asgi_rota_sentry.feedback import FeedbackRoute, OnFeedback
from asgi_rota_sentry.identity import Identify
from asgi_rota_sentry.pages import Answer, ErrorPages, Situation
from asgi_rota_sentry.reply import Headers, Reply
from asgi_rota_sentry.settings import Settings
from asgi_rota_sentry.types import ASGIApp, Message, Receive, Scope, Send

_journey: ContextVar["Journey | None"] = ContextVar("asgi_rota_sentry_journey", default=None)
_TRACE_HEADERS = frozenset({b"sentry-trace", b"baggage"})
_BODY_HEADERS = frozenset({b"content-length", b"transfer-encoding"})
# The methods that make a transaction, as in the SDK's own ASGI layer.
_UNTRACED_METHODS = frozenset({"HEAD", "OPTIONS"})


class RotaSentryMiddleware:
    """Wraps any ASGI 3 application and gives its errors and requests to Sentry, with who, what and how they got there.

    `settings` are those that `init` was given, else those of the environment, when left out. `identify` reads the user
    from the ASGI scope; by default the shapes of Starlette, Django, plain mappings and JWT claims are understood.
    `on_feedback` is a callable, sync or async, or several, that get each `feedback.Feedback` that was kept. Raises
    `TypeError` for an application that cannot be called, `SettingsError` for settings that cannot be used.
    """

    def __init__(
        self,
        app: ASGIApp,
        settings: Settings | None = None,
        *,
        identify: Identify | None = None,
        on_feedback: OnFeedback | Iterable[OnFeedback] | None = None,
    ) -> None:
        if not callable(app):
            raise TypeError(
                f"app is {app!r}; expected an ASGI application, a callable that takes scope, receive, send."
            )
        if settings is not None and not isinstance(settings, Settings):
            raise TypeError(f"settings is {settings!r}; expected asgi_rota_sentry.Settings, or nothing.")
        if identify is not None and not callable(identify):
            raise TypeError(f"identify is {identify!r}; expected a callable that takes the ASGI scope, or nothing.")
        self.app = app
        self.settings = settings or start.current_settings()
        self.identify: Identify = identify or identity.read
        self.identifies_async = identify is not None and _is_async(identify)
        self.pages = ErrorPages(self.settings)
        self.feedback = FeedbackRoute(self.settings, self.pages, on_feedback)
        self.trail = trail.Trail(
            self.settings.session_cookies,
            visitors=self.settings.trail_visitors,
            length=self.settings.trail_requests,
            seconds=self.settings.trail_minutes * 60,
        )
        own = [] if self.settings.feedback_transactions else [self.settings.feedback_path]
        exact = [path for path in self.settings.exclude_paths if not path.endswith("*")]
        self._excluded_exact = frozenset([*exact, *own])
        self._excluded_prefixes = tuple(path[:-1] for path in self.settings.exclude_paths if path.endswith("*"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
        """The ASGI 3 interface."""
        __tracebackhide__ = True
        kind = scope.get("type")
        if kind == "lifespan":
            return await self._lifespan(scope, receive, send)
        outer = _journey.get()
        if kind not in ("http", "websocket") or (outer is not None and outer.is_open):
            return await self.app(scope, receive, send)
        return await Journey(self, scope, receive, send).run()

    def is_excluded(self, path: str) -> bool:
        """Whether this path gets isolation and error capture only."""
        return path in self._excluded_exact or path.startswith(self._excluded_prefixes)

    def own_route(self, path: str) -> ASGIApp | None:
        """The middleware's own application for this path, if it has one."""
        if path == self.settings.feedback_path:
            return self.feedback
        if self.settings.debug and path == self.settings.test_error_path:
            return deliberate_error
        return None

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> Any:
        __tracebackhide__ = True
        noted = _Noted(receive)
        # An application that knows no lifespan (Django) raises before it asks for the startup message: no fault.
        with sdk.muted(lambda: not noted.called):
            try:
                return await self.app(scope, noted, send)
            except Exception as exc:
                _capture_quietly(exc)
                raise


class Journey:
    """One request's way through the middleware, and all that is learnt on it."""

    __slots__ = (
        "_app",
        "_client",
        "_context_token",
        "_ended_at",
        "_enrichment",
        "_failed_with",
        "_middleware",
        "_receive",
        "_reply",
        "_root_path",
        "_scope",
        "_sentry",
        "_span",
        "_visitor",
        "actions",
        "is_open",
    )

    def __init__(self, middleware: RotaSentryMiddleware, scope: Scope, receive: Receive, send: Send) -> None:
        self._middleware = middleware
        self._scope = scope
        self._receive = receive
        self._app = middleware.app
        self._root_path: str = scope.get("root_path") or ""  # routers write into the scope's own
        self._client: sdk.Client | None = None
        self._sentry: sdk.RequestScope | None = None
        self._span: sdk.RequestSpan | None = None
        self._enrichment: Enrichment | None = None
        self._visitor: bytes | None = None
        self._ended_at: datetime | None = None
        self._failed_with: BaseException | None = None
        self._context_token: Token[Journey | None] | None = None
        self.actions: list[tuple[Any, ...]] = []
        self.is_open = False
        self._reply = Reply(
            send,
            middleware.pages if scope.get("type") == "http" else None,
            scope.get("method") or "GET",
            self,
        )

    async def run(self) -> Any:
        """Take the request to the application and its answer back."""
        __tracebackhide__ = True
        await self._open()
        try:
            result = await self._app(self._scope, self._receive, self._reply.send)
            await self._reply.conclude(failed=False)
        except Exception as exc:
            await self._fail(exc)
            raise
        except BaseException:
            self._cancel()
            raise
        else:
            return result
        finally:
            self._leave()

    # Open

    async def _open(self) -> None:
        try:
            self._arrive()
            if self._middleware.identifies_async and self._enrichment is not None:
                await self._resolve_identity(self._enrichment)
        except Exception:
            faults.report("opening a request")

    def _arrive(self) -> None:
        middleware, scope = self._middleware, self._scope
        path = request.local_path(scope)
        own = middleware.own_route(path)
        self._app = own or middleware.app
        if own is middleware.feedback:
            self._reply.leave_alone()
        self._context_token = _journey.set(self)
        self.is_open = True
        client = self._client = sdk.current_client()
        if client is None:
            return
        excluded = middleware.is_excluded(path)
        enrichment = self._enrichment = Enrichment(
            scope,
            identify=middleware.identify,
            earlier=self._earlier,
            personal=client.collects_personal_data,
            plain=excluded,
            remember=middleware.feedback.events.remember,
        )
        self._sentry = sdk.RequestScope(client, enrichment, expected.should_drop)
        self._sentry.open()
        if excluded:
            return
        self._visitor = middleware.trail.key(scope)
        self._watch_body(client, enrichment)
        self._start_span(client)

    def _watch_body(self, client: sdk.Client, enrichment: Enrichment) -> None:
        """Keep a bounded copy of what the application reads, where there is a body to read."""
        if client.max_body and any(name in _BODY_HEADERS for name, _ in request.raw_headers(self._scope)):
            enrichment.body = request.Body(client.max_body)
            self._receive = _Watched(self._receive, enrichment.body)

    def _start_span(self, client: sdk.Client) -> None:
        scope = self._scope
        if self._sentry is not None and self._sentry.is_adopted:
            self._span = sdk.adopt_span(client)
            return
        headers = {
            name.decode("latin-1"): value.decode("latin-1")
            for name, value in request.raw_headers(scope)
            if name in _TRACE_HEADERS
        }
        kind = str(scope.get("type"))
        if kind == "http" and request.method(scope) in _UNTRACED_METHODS:
            sdk.continue_trace(client, headers)
            return
        self._span = sdk.start_span(
            client, kind=kind, name=request.url(scope, host=""), asgi_scope=scope, headers=headers
        )

    async def _resolve_identity(self, enrichment: Enrichment) -> None:
        try:
            found = self._middleware.identify(self._scope)
            enrichment.resolved = await found if inspect.isawaitable(found) else found
        except Exception:
            faults.report("reading the identity")

    # Answer

    def on_start(self, status: int, headers: Any) -> None:
        """The response begins: the story of the visitor, and the status of the span."""
        enrichment = self._enrichment
        if enrichment is None:
            return
        try:
            enrichment.status = status
            enrichment.answered_at = time.time()
            if self._span is not None:
                self._span.set_status_code(status)
            self._note_trail(status, headers)
        except Exception:
            faults.report("noting a response")

    def on_end(self) -> None:
        """The last byte is out: the span ends, unless an exception may still follow and must come first."""
        try:
            self._ended_at = datetime.now(UTC)
            if self._enrichment is not None and self._enrichment.status < 500:
                self._end_span()
        except Exception:
            faults.report("ending a span")

    def page(self, status: int, headers: Headers) -> Answer:
        scope, sentry = self._scope, self._sentry
        who = self._enrichment.who() if self._enrichment is not None else None
        event_id = self._failure_id() if status >= 500 else None
        situation = Situation(
            status=status,
            method=request.method(scope),
            path=request.path(scope),
            root_path=self._root_path,
            accept=request.header(scope, b"accept"),
            accept_language=request.header(scope, b"accept-language"),
            event_id=event_id,
            trace_id=sentry.trace_id if sentry is not None else None,
            reported=event_id is not None and self._client is not None and self._client.reports,
            user_name=who.username if who is not None else None,
            user_email=who.email if who is not None else None,
            theme=who.preferences.get("theme") if who is not None else None,
            language=who.preferences.get("language") if who is not None else None,
        )
        counters.count(f"pages.{status}")
        return self._middleware.pages.answer(situation, headers)

    def _failure_id(self) -> str | None:
        """The event of the exception that ended the request, else the one that stands for its 5xx answer."""
        if self._sentry is None:
            return None
        return self._sentry.event_id_of(self._failed_with) if self._failed_with else self._sentry.event_id()

    def is_decided(self) -> bool:
        return self._sentry is not None and self._sentry.event_id(unhandled_only=True) is not None

    # Fail

    async def _fail(self, exc: Exception) -> None:
        """Capture the exception once, and answer with the page when nothing was sent yet."""
        __tracebackhide__ = True
        try:
            if expected.is_disconnect(exc) or (self._reply.client_gone and isinstance(exc, OSError)):
                self._cancel()
                return
            self._failed_with = exc
            self._capture(exc)
            if self._span is not None:
                self._span.fail()
        except Exception:
            faults.report("capturing an exception")
        try:
            await self._reply.conclude(failed=True)
        except Exception:
            # The client is gone, or the server refuses: the application's own exception is the one to tell.
            faults.report("answering a failed request")

    def _capture(self, exc: Exception) -> None:
        client, sentry = self._client, self._sentry
        if client is None or sentry is None:
            return
        if sentry.has_seen(exc):
            sdk.remember_exception(client, exc)
        elif not expected.should_drop(exc):
            sdk.capture_exception(client, exc)
        counters.count("errors")

    def _cancel(self) -> None:
        counters.count("requests.cancelled")
        if self._span is not None and not self._reply.ended:
            self._span.cancel()

    # Leave

    def _leave(self) -> None:
        try:
            if not self._reply.started and self._enrichment is not None and not self._enrichment.plain:
                self._note_trail(500, ())
            self._end_span()
        except Exception:
            faults.report("ending a span")
        try:
            self.is_open = False
            self._failed_with = None
            if self._sentry is not None:
                self._sentry.close()
            if self._context_token is not None:
                _journey.reset(self._context_token)
        except Exception:
            faults.report("leaving a request")

    def _end_span(self) -> None:
        span, self._span = self._span, None
        enrichment = self._enrichment
        if span is None or enrichment is None:
            return
        if span.sampled:
            span.rename(*enrichment.transaction_name(*span.name()))
            tags = {"http.method": request.method(self._scope), "http.url": request.path(self._scope)}
            if enrichment.status:
                tags["http.status_code"] = str(enrichment.status)
            who = enrichment.who()
            if who is not None and who.role:
                tags["user.role"] = who.role
            if who is not None and who.id:
                span.set_user_id(who.id)
            span.set_tags(tags)
        span.end(self._ended_at)

    # The trail

    def _earlier(self) -> list[trail.Breadcrumb]:
        return self._middleware.trail.earlier(self._visitor)

    def _note_trail(self, status: int, headers: Any) -> None:
        enrichment = self._enrichment
        if enrichment is None or enrichment.plain:
            return
        renewed = self._middleware.trail.renewed_key(headers)
        if renewed is None and self._visitor is None:
            return
        # With its status the request stands where it was answered: after the click that it came from was noted.
        answered_at = enrichment.answered_at or time.time()
        entry = ("request", answered_at, request.method(self._scope), request.path(self._scope), status)
        entries, self.actions = [*self.actions, entry], []
        who = enrichment.who() if renewed is not None else None
        owner = who.id if who is not None else None
        if renewed is not None:
            self._middleware.trail.renew(self._visitor, renewed, owner=owner)
        self._middleware.trail.note(renewed or self._visitor or b"", entries, owner=owner)


class _Noted:
    """A `receive` that remembers whether it was called."""

    __slots__ = ("_receive", "called")

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.called = False

    async def __call__(self) -> Message:
        self.called = True
        return await self._receive()


class _Watched:
    """A `receive` that keeps what passes, as far as its bound goes."""

    __slots__ = ("_body", "_receive")

    def __init__(self, receive: Receive, body: request.Body) -> None:
        self._receive = receive
        self._body = body

    async def __call__(self) -> Message:
        message = await self._receive()
        if message.get("type") == "http.request":
            self._body.note(message)
        return message


def record_action(category: str, message: str, **data: Any) -> None:
    """Note what the user did, as a breadcrumb of this and of the same visitor's later requests.

    `category` is a word such as `click` or `form`, `message` a sentence, `data` anything short that helps. Outside a
    request it is an ordinary breadcrumb; without an initialised SDK nothing happens. Never raises.
    """
    try:
        sdk.add_breadcrumb({"category": category, "message": message, "level": "info", "data": data})
        journey = _journey.get()
        if journey is not None and journey.is_open:
            journey.actions.append(("action", time.time(), category, message, data))
    except Exception:
        faults.report("recording an action")


def _is_async(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def _capture_quietly(exc: Exception) -> None:
    try:
        client = sdk.current_client()
        if client is not None and not expected.should_drop(exc):
            sdk.capture_exception(client, exc)
    except Exception:
        faults.report("capturing a lifespan exception")
