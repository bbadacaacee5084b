"""The middleware: what is configured once, and the way of each request to the application and back."""

import inspect
import sys
from collections.abc import Callable, Iterable
from typing import Any, cast, overload

from asgi_rota_sentry import faults, identity, lifespan, request, sdk, start, trail
from asgi_rota_sentry.asgi2 import as_asgi3
from asgi_rota_sentry.budget import Budget
from asgi_rota_sentry.deliberate_error import deliberate_error
from asgi_rota_sentry.feedback import FeedbackRoute, OnFeedback
from asgi_rota_sentry.identity import Identify
from asgi_rota_sentry.journey import Journey, here
from asgi_rota_sentry.metering import Metering
from asgi_rota_sentry.pages import ErrorPages
from asgi_rota_sentry.scrubbing import Scrubber
from asgi_rota_sentry.settings import Settings, given_or_none
from asgi_rota_sentry.slow import SlowRequests
from asgi_rota_sentry.types import AnyASGIApp, ASGIApp, Receive, Scope, Send


class RotaSentryMiddleware:
    """Wraps any ASGI application and gives its errors and requests to Sentry, with who, what and how they got there.

    `settings` are those that `init` was given, else those of the environment, when left out. `identify` reads the user
    from the ASGI scope; by default the shapes of Starlette, Django, plain mappings and JWT claims are understood.
    `on_feedback` is a callable, sync or async, or several, that get each `feedback.Feedback` once it is kept; None
    among several, as `FeedbackMail.from_settings` may give, is left out. Raises `TypeError` for an application that
    cannot be called, `SettingsError` for settings that cannot be used.
    """

    def __init__(
        self,
        app: AnyASGIApp,
        settings: Settings | None = None,
        *,
        identify: Identify | None = None,
        on_feedback: OnFeedback | Iterable[OnFeedback | None] | None = None,
    ) -> None:
        if not callable(app):
            raise TypeError(
                f"app is {app!r}; expected an ASGI application, a callable that takes scope, receive, send."
            )
        settings = given_or_none(settings)
        if identify is not None and not callable(identify):
            raise TypeError(f"identify is {identify!r}; expected a callable that takes the ASGI scope, or nothing.")
        start.connect_celery()  # for who calls `sentry_sdk.init`, which imports it after `sentry_options`
        self.app = as_asgi3(app)
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
            redis_url=self.settings.trail_redis_url,
            scrubber=Scrubber.from_settings(self.settings),
        )
        self.budget = Budget(self.settings.errors_per_minute, sdk.capture_tally)
        self.slow = SlowRequests(self.settings.slow_request_seconds, self.settings.slow_request_routes)
        self.metering = Metering(sdk.send_sums) if self.settings.metrics else None
        # The middleware's own applications, by path.
        self._own_routes: dict[Any, ASGIApp] = {self.settings.feedback_path: self.feedback}
        if self.settings.debug:
            self._own_routes[self.settings.test_error_path] = deliberate_error
        self.excludes = bool(self.settings.exclude_paths)
        self._excluded_exact = frozenset(path for path in self.settings.exclude_paths if not path.endswith("*"))
        self._excluded_prefixes = tuple(path[:-1] for path in self.settings.exclude_paths if path.endswith("*"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
        """The ASGI 3 interface."""
        __tracebackhide__ = True
        # Whoever prints a traceback counts the instructions up to the call of the application: few are before it. A
        # call that stands on one line is parsed as well, to have a part of it underlined.
        kind, around = scope.get("type"), sdk.layer.get(None)
        if kind not in ("http", "websocket") or (around and isinstance(around, Journey) and around.is_answering):
            return await self._pass_on(scope, receive, send)
        app = self._own_routes.get(request.local_path(scope) if scope.get("root_path") else scope.get("path"), self.app)
        if app is self.feedback and not self.settings.feedback_transactions:
            return await self._isolate(app, scope, receive, send)
        journey = Journey(self, app, scope, receive, send)
        try:
            journey.open(around)
        except Exception:
            faults.report("opening a request")
        reply = journey.reply
        try:
            if self.identifies_async:
                await journey.resolve_identity()
            result = await app(
                scope,
                reply.receive,
                reply.send,
            )
            if reply.held is not None:
                await reply.conclude(failed=False)
        # Without a name for the exception: the SDK looks at the variables of this frame, which the exception knows.
        except Exception:
            await journey.fail(cast(Exception, sys.exc_info()[1]))
            raise
        except BaseException:
            await journey.abandon(cast(BaseException, sys.exc_info()[1]))
            raise
        else:
            return result
        finally:
            journey.leave()

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> Any:
        """What is no request, or is followed already."""
        __tracebackhide__ = True
        if scope.get("type") == "lifespan":
            answers = self.settings.answer_lifespan
            return await lifespan.run(self.app, scope, receive, send, answers=answers)
        return await self.app(scope, receive, send)

    @staticmethod
    async def _isolate(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> Any:
        """What has a scope of its own, and no transaction."""
        with sdk.isolated():
            return await app(scope, receive, send)

    def is_excluded(self, scope: Scope) -> bool:
        """Whether this path gets isolation and error capture only."""
        path = request.local_path(scope)
        return path in self._excluded_exact or path.startswith(self._excluded_prefixes)


@overload
def record_action(category: str, message: str, /, **data: Any) -> None: ...
@overload
def record_action(category: str, message: str, **data: Any) -> None: ...
def record_action(*words: str, **data: Any) -> None:
    """Note what the user did, as a breadcrumb of this and of the same visitor's later requests.

    `category` is a word such as `click` or `form`, `message` a sentence, `data` anything short that helps, under any
    name: given by position, the first two leave theirs free. Outside a request it is an ordinary breadcrumb, and so it
    is in a bare `threading.Thread`, which knows of none (`asyncio.to_thread` does); without an initialised SDK nothing
    happens. Never raises.
    """
    try:
        by_name = ("category", "message")[len(words) :]
        category, message = words + tuple(data.pop(name) for name in by_name)
        sdk.add_breadcrumb({"category": category, "message": message, "level": "info", "data": data})
        current = here()
        if current is not None and current.is_open:
            current.add_action(category, message, data)
    except Exception:
        faults.report("recording an action")


def _is_async(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)
