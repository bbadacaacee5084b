"""The feedback endpoint: an ASGI application of its own, which needs nothing of the application that it is put before.

GET shows the form alone, POST takes what was written.
"""

from collections.abc import Iterable
from urllib.parse import parse_qs
from uuid import uuid4

from asgi_rota_sentry import counters, faults, request, sdk
from asgi_rota_sentry.feedback import body, client, fields, hooks, threads
from asgi_rota_sentry.feedback.answers import Answers, Extra
from asgi_rota_sentry.feedback.body import BodyError, ClientGoneError
from asgi_rota_sentry.feedback.entry import Feedback
from asgi_rota_sentry.feedback.fields import Draft, Fault
from asgi_rota_sentry.feedback.hooks import OnFeedback
from asgi_rota_sentry.feedback.keeping import Keeper
from asgi_rota_sentry.feedback.known import KnownEvents
from asgi_rota_sentry.feedback.limiter import RateLimits
from asgi_rota_sentry.feedback.repeats import Repeats
from asgi_rota_sentry.pages import Answer, ErrorPages
from asgi_rota_sentry.settings import Settings
from asgi_rota_sentry.types import Receive, Scope, Send

_LONGEST_QUERY = 2000
_ALLOW = ((b"allow", b"GET, HEAD, POST"),)
_ACCEPT_POST = ((b"accept-post", f"{body.FORM}, {body.MULTIPART}, {body.JSON}".encode()),)
_OFTEN = Fault("fault_often", "Too many posts; try again after the time in Retry-After.")
_ELSEWHERE = Fault("fault_again", "Posts from other sites' pages are refused.")
_OURS = Fault("fault_ours", "The feedback could not be kept.")
_METHOD = Fault("fault_again", "Expected GET, HEAD or POST.")


class FeedbackRoute:
    """Answers requests for `Settings.feedback_path`; `events` is what it knows of the errors behind the feedback.

    `on_feedback` is one hook or several, which get each `Feedback` once, after it was kept and answered. Raises
    `TypeError` for a hook that cannot be called.
    """

    def __init__(
        self, settings: Settings, pages: ErrorPages, on_feedback: OnFeedback | Iterable[OnFeedback | None] | None = None
    ) -> None:
        self.events = KnownEvents()
        self.hooks = hooks.checked(on_feedback)
        self.settings = settings
        self.answers = Answers(pages)
        self.limits = RateLimits(settings)
        self.repeats = Repeats()
        self.keeper = Keeper(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI 3 interface, for `http`; a websocket is refused."""
        if scope.get("type") != "http":
            await send({"type": "websocket.close", "code": 1000})
            return
        submission = _Submission(self, scope, receive)
        try:
            answer = await submission.answer()
        except ClientGoneError:
            return
        except Exception as exc:
            _tell(exc)
            answer = self.answers.refused(scope, 503, [_OURS], submission.draft)
        counters.count(f"feedback.{answer.status}")
        try:
            await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
            await send({"type": "http.response.body", "body": answer.body, "more_body": False})
        finally:  # also for a client that has gone before it heard of it
            if submission.for_hooks is not None:
                await hooks.run(self.hooks, submission.for_hooks)


class _Submission:
    """One request to the endpoint."""

    def __init__(self, route: FeedbackRoute, scope: Scope, receive: Receive) -> None:
        self.draft: Draft | None = None
        self.for_hooks: Feedback | None = None
        self._taken_as = ""
        self._route = route
        self._scope = scope
        self._receive = receive

    async def answer(self) -> Answer:
        """The answer to this request, whatever it is."""
        route, scope = self._route, self._scope
        method = request.method(scope)
        if method in ("GET", "HEAD"):
            asked = parse_qs(request.query_string(scope)[:_LONGEST_QUERY]).get("event_id", [""])[0]
            return route.answers.form(scope, fields.event_id_of(asked))
        if method != "POST":
            return self._refused(405, _METHOD, _ALLOW)
        if client.is_from_elsewhere(scope):
            return self._refused(403, _ELSEWHERE)
        return await self._post()

    async def _post(self) -> Answer:
        route, scope = self._route, self._scope
        who = client.key(scope, route.settings.trusted_proxies)
        seconds = await route.limits.wait("client", who)
        try:
            content = await body.read(self._receive, route.settings.feedback_seconds)
            given, is_json = await body.parse(scope, content)
        except BodyError as fault:
            if seconds:
                return self._too_often(seconds)
            return self._refused(fault.status, fault.fault, self._about(fault.status))
        self.draft = draft = fields.read(given, strict=is_json)
        if seconds:
            return self._too_often(seconds)
        if draft.trapped:
            counters.count("feedback.robots")
            return route.answers.taken(scope, draft, uuid4().hex)
        if draft.faults:
            return route.answers.refused(scope, 422, draft.faults, draft)
        return await self._take(draft, who)

    async def _take(self, draft: Draft, who: str) -> Answer:
        """Keep what is in order, unless it is a repeat."""
        repeats = self._route.repeats
        known = await repeats.begin(draft, who)
        if known is not None:
            return self._route.answers.taken(self._scope, draft, known)
        try:
            return await self._take_new(draft)
        finally:
            repeats.end(draft, who, self._taken_as)

    async def _take_new(self, draft: Draft) -> Answer:
        """Keep what is new, unless it is one too many for its event."""
        route, scope = self._route, self._scope
        seconds = await route.limits.wait("event", draft.event_id) if draft.event_id else 0
        if seconds:
            return self._too_often(seconds)
        feedback, is_kept = await threads.run(self._keep, draft)
        if is_kept:
            self.for_hooks = feedback
        elif not await hooks.run(route.hooks, feedback):  # nowhere else to keep it
            return self._refused(503, _OURS)
        self._taken_as = feedback.id
        return route.answers.taken(scope, draft, feedback.id)

    def _keep(self, draft: Draft) -> tuple[Feedback, bool]:
        keeper, facts = self._route.keeper, self._route.events.find(draft.event_id)
        feedback = keeper.complete(draft, facts)
        agent = request.header(self._scope, b"user-agent")
        return feedback, keeper.keep(feedback, span_id=facts.span_id if facts else None, user_agent=agent)

    def _too_often(self, seconds: int) -> Answer:
        return self._refused(429, _OFTEN, [(b"retry-after", str(seconds).encode())])

    def _refused(self, status: int, fault: Fault, extra: Extra = ()) -> Answer:
        return self._route.answers.refused(self._scope, status, [fault], self.draft, extra)

    def _about(self, status: int) -> Extra:
        """What else is to say: the rest of a body that was not read must not be taken for the next request."""
        if status == 415:
            return _ACCEPT_POST
        if status in (408, 413) and str(self._scope.get("http_version", "1.1")).startswith("1"):
            return [(b"connection", b"close")]
        return ()


def _tell(exc: Exception) -> None:
    """Log a fault of ours, and let Sentry know of it."""
    faults.report("taking feedback")
    try:
        found = sdk.current_client()
        if found is not None:
            sdk.capture_exception(found, exc, handled=True)
    except Exception:
        faults.report("capturing a fault of the feedback route")
