"""What is learnt of one request, and what Sentry is told of it: its events, its span, the counts.

The flow of the request itself is the journey's, which notes what it learns here.
"""

import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Protocol

from asgi_rota_sentry import counters, faults, forwarded, identity, request, route, sdk, semantics, trail
from asgi_rota_sentry.budget import Budget
from asgi_rota_sentry.enrichment import Enrichment, Event
from asgi_rota_sentry.feedback import FeedbackRoute
from asgi_rota_sentry.identity import Identify, Identity
from asgi_rota_sentry.metering import Metering
from asgi_rota_sentry.pages import ErrorPages
from asgi_rota_sentry.person import Person, User
from asgi_rota_sentry.reply import Headers
from asgi_rota_sentry.request_body import Body
from asgi_rota_sentry.settings import Settings
from asgi_rota_sentry.slow import SlowRequests
from asgi_rota_sentry.types import ASGIApp, Scope
from asgi_rota_sentry.withheld import Withheld

# From when on what runs after the last byte is work in the background, and not the end of the request.
_BACKGROUND_SECONDS = 0.25
_EVERYTHING = sdk.Collection(None)
# The name of a request that could not be described.
_UNKNOWN = "(unknown)"
# What slow requests without a route have in its place: their paths may be without number.
_NO_ROUTE = "(no route)"


class Configuration(Protocol):
    """What the middleware is configured with, and every journey shares."""

    feedback: FeedbackRoute
    identify: Identify
    identifies_async: bool
    metering: Metering | None
    pages: ErrorPages
    settings: Settings
    trail: trail.Trail
    budget: Budget
    slow: SlowRequests
    #: Whether any path is excluded.
    excludes: bool

    def is_excluded(self, scope: Scope) -> bool:
        """Whether this path gets isolation and error capture only."""


class Record:
    """The facts of one request, as the journey notes them, and what becomes of them."""

    __slots__ = (
        "_actions",
        "_answered_at",
        "_app",
        "_arrived_at",
        "_body",
        "_client",
        "_close_code",
        "_config",
        "_ended_at",
        "_ended_span",
        "_failed_with",
        "_identity",
        "_is_excluded",
        "_last_knowledge",
        "_pages",
        "_passed_at",
        "_path",
        "_root_path",
        "_scope",
        "_sentry",
        "_span",
        "_status",
        "_visitor",
        "_withheld",
        "find_route",
    )

    _config: Configuration
    _app: ASGIApp
    _scope: Scope
    _root_path: str
    _path: Any
    _is_excluded: bool
    _client: sdk.Client | None
    _sentry: sdk.RequestScope | None
    _span: sdk.RequestSpan | None
    _ended_span: sdk.RequestSpan | None
    _last_knowledge: Enrichment | None
    _body: Body | None
    # The visitor's key, as the request's session cookie gives it, and what the user did in this request.
    _visitor: trail.Key | None
    _actions: deque[trail.Entry] | None
    _identity: Identity | None
    # Whose names must not leave, and how they are taken out.
    _withheld: tuple[Any, Withheld | None] | None
    #: What a framework tells of the route that it found, where it leaves it nowhere in the scope.
    find_route: Callable[[], str | None] | None
    _failed_with: BaseException | None
    _close_code: int | None
    _status: int
    _pages: int
    # In seconds of the epoch: when it came, had its first (or ended without one) and its last byte, and when the server
    # went on from there.
    _arrived_at: float
    _answered_at: float
    _ended_at: float
    _passed_at: float

    def enrich(self, event: Event) -> Callable[[Event], None] | None:
        """Put what is known of this request into one of its events, and remember it for feedback on it.

        Returns what takes out the names that must not leave.
        """
        withhold = self._knowledge()(event)
        if event.get("type") != "transaction":
            self._config.feedback.events.remember(event)
        return withhold

    def withhold(self, payload: Event) -> None:
        """Take out of a log, a metric or a streamed span of this request what names the person and must not leave."""
        if self._client is None or self._client.collects_personal_data:
            return
        try:
            found = self._withholding()
            if found is not None:
                found.from_telemetry(payload)
        except Exception:
            faults.report("withholding a name")

    def _withholding(self) -> Withheld | None:
        """What of the person must not leave; worked out once for each user that the application loads."""
        user = _loaded_user(self._scope)
        if self._withheld is None or self._withheld[0] is not user:
            knowledge = self._knowledge()
            who = knowledge.who()
            found = knowledge.person.withheld(who)
            if user is None and not who.username and not who.email and not self._ended_at:
                return found  # the application may still learn who it is
            self._withheld = user, found
        return self._withheld[1]

    def attributes(self) -> dict[str, Any]:
        """What all spans, logs and metrics of this request tell of it."""
        address = forwarded.client_address(self._scope, self._config.settings.trusted_proxies)
        personal = self._client is not None and self._client.collects_personal_data
        return semantics.of_everything(self._scope, address, personal=personal)

    def _who(self, sent: request.Sent) -> Identity:
        """The user, for a page: what else is known of the request is not looked for. `sent`: headers and cookies."""
        if self._last_knowledge is not None:
            return self._last_knowledge.who()
        identify = self._identify
        person = Person(self._scope, identity.named if identify is identity.read else identify, personal=False)
        return person.who(sent)

    @property
    def _identify(self) -> Callable[[Scope], Any]:
        """Who reads the identity now: what a coroutine function had to say, it has said when the request came."""
        return self._found_before if self._config.identifies_async else self._config.identify

    def _found_before(self, _: Scope) -> Identity | None:
        return self._identity

    def _knowledge(self) -> Enrichment:
        """What is known by now; once the application has ended, nothing more is learnt of the user."""
        enrichment = self._last_knowledge or self._new_knowledge()
        enrichment.answered_at = self._answered_at
        enrichment.status = self._status
        if self._failed_with is not None:
            self._last_knowledge = enrichment
        return enrichment

    def _as_sent(self) -> Scope:
        """The scope with the path that the client sent.

        Litestar's mounts cut off theirs, and tell of it nowhere; where it is told, in `root_path`, the two are a whole.
        """
        scope, path = self._scope, self._path
        if scope.get("path") == path or (scope.get("root_path") or "") != self._root_path:
            return scope
        return {**scope, "path": path}

    def _new_knowledge(self) -> Enrichment:
        enrichment = Enrichment(
            self._as_sent(),
            identify=self._identify,
            story=self._story,
            personal=self._client is not None and self._client.collects_personal_data,
            collection=_EVERYTHING if self._client is None else self._client.collection,
            trusted_proxies=self._config.settings.trusted_proxies,
        )
        enrichment.plain = self._is_excluded
        enrichment.body = self._body
        enrichment.arrived_at = self._arrived_at
        enrichment.app = self._app
        enrichment.find_route = self.find_route
        return enrichment

    def _story(self, theirs: list[trail.Breadcrumb], ours: list[trail.Breadcrumb]) -> list[trail.Breadcrumb]:
        """The breadcrumbs of the SDK's scope and of this request, with those of the visitor's earlier requests."""
        earlier: list[trail.Breadcrumb] = []
        if self._visitor:
            whose = self._owner()
            # Once this request is answered, it is in the visitor's story itself.
            earlier = self._config.trail.earlier(self._visitor, whose, besides=self._answered_at)
        return theirs if self._client is None else self._client.with_breadcrumbs(theirs, [*earlier, *ours])

    def _remember(self, status: int, headers: Headers, at: float) -> None:
        """Let the visitor's story go on with this request and its answer, which may renew the session cookie or end it.

        With its status the request stands where it was answered: after the click that it came from was noted.
        """
        stories, scope, key = self._config.trail, self._scope, self._visitor
        renewed = stories.renewed_key(headers)
        if renewed is not None:
            stories.renew(key, renewed)
            key = renewed or key
        if not key:
            return
        whose = self._owner()
        method, path, root_path = scope.get("method"), scope.get("path"), scope.get("root_path")
        if path != self._path:
            path = self._as_sent().get("path")
        stories.note(key, (whose, at, method, path, root_path, status, self._actions))
        self._actions = None

    def _owner(self) -> str | None:
        """Whose request it is: an ID, "" for certainly nobody's, None for not known; asked with all of a session."""
        if self._config.identify is identity.read:
            return identity.owner(self._scope)
        found = Person(self._scope, self._identify, personal=False).identified()
        return found.id if found is not None else None

    def _end_span(self) -> None:
        span, self._span = self._span, None
        if span is None:
            return
        if span.sampled:
            try:
                self._describe(span)
            except Exception:
                faults.report("describing a request")
                # What must not leave may not be taken out of its name yet.
                span.rename(_UNKNOWN, "custom")
            self._ended_span = span
        try:
            if span.sampled and self._sentry is not None:
                self._sentry.run(span.end, datetime.fromtimestamp(self._ended_at, UTC) if self._ended_at else None)
            else:
                span.end()
        finally:
            self._last_knowledge = None

    def _follow(self, span: sdk.RequestSpan) -> None:
        """Give what ran on after the last byte a span of its own."""
        now = time.time()
        if self._passed_at and now - self._passed_at >= _BACKGROUND_SECONDS:
            since, until = (datetime.fromtimestamp(moment, UTC) for moment in (self._ended_at, now))
            if self._sentry is not None:
                self._sentry.run(span.follow, since, until, failed=self._failed_with is not None)
        else:
            span.let_go()

    def _describe(self, span: sdk.RequestSpan) -> None:
        """Give a sampled span its name and its tags."""
        # The span's own event, which is about to be made, is told the same.
        knowledge = self._last_knowledge = self._knowledge()
        named = span.name()
        if self._sentry is not None:
            named = self._sentry.span_name(*named)
        name, source = knowledge.transaction_name(*named)
        tags = {"http.method": request.method(self._scope), "http.url": request.path(self._as_sent())}
        if self._status:
            tags["http.status_code"] = str(self._status)
        if self._is_slow():
            tags["slow"] = "true"
        user, who = knowledge.user(self._set_user)
        if who.role:
            tags["user.role"] = who.role
        facts: Event = {"type": "transaction", "transaction": name, "tags": tags}
        if self._client is not None and self._client.streaming:
            self._describe_streamed(facts, knowledge)
        else:
            tags["asgi.type"] = str(self._scope.get("type"))
        span.rename(facts["transaction"], source)
        span.set_tags(facts["tags"])
        if self._close_code is not None:
            span.set_data({"websocket.close_code": self._close_code})
        if "request" in facts:
            span.set_request(facts["request"])
        span.set_user(user if knowledge.person.personal else {"id": user.get("id")}, who.preferences)

    def _describe_streamed(self, facts: Event, knowledge: Enrichment) -> None:
        """Add what a transaction's event would tell of the request, and withhold here what is not when it is sent.

        A span of a layer around us is sent when we have left.
        """
        client, is_ours = self._client, self._sentry is not None and not self._sentry.is_adopted
        if client is not None and is_ours:
            personal = knowledge.person.personal
            facts["request"] = semantics.of_request(self._as_sent(), client.collection, personal=personal)
        withhold = self._withholding()
        if withhold is not None and not (client is not None and client.scrubs_spans and is_ours):
            withhold(facts)

    def user(self) -> tuple[User, str | None]:
        """The user and the role as an event of this request would tell them now."""
        user, who = self._knowledge().user(self._set_user)
        return user, who.role

    @property
    def _set_user(self) -> User | None:
        """The user that the application itself has set."""
        return self._sentry.user if self._sentry is not None else None

    def _is_slow(self) -> bool:
        slow, elapsed = self._config.slow, self._answered_at - self._arrived_at
        if elapsed <= slow.least:
            return False
        path = request.local_path({"path": self._path or "", "root_path": self._root_path})
        names = [path, route.template(self._scope, self._app)]
        if self._sentry is not None:
            # Where the scope says nothing (Django), the SDK or the framework may know the route.
            names.append(self._knowledge().transaction_name(*self._sentry.transaction())[0])
        return elapsed > slow.limit(*names)

    def _tell_slow(self) -> None:
        """Warn of a slow request, in the log and as an event of its route; what has none is told as one."""
        name, source = self._sentry.transaction() if self._sentry is not None else ("", "url")
        called, source = self._knowledge().transaction_name(name, source)
        kind = called if source != "url" else _NO_ROUTE
        method, seconds = request.known_method(self._scope), self._answered_at - self._arrived_at
        counters.count("requests.slow")
        if self._config.slow.is_to_be_told(f"{method} {kind}"):
            faults.logger.warning("Slow request: %s %s took %.1f s.", method, called, seconds)
            sdk.capture_slow_request(method, kind, seconds)

    def _count(self, sentry: sdk.RequestScope, status: int) -> None:
        """Count the request, which was answered with this status (0: it was not), and tell of a slow one."""
        is_slow = self._answered_at - self._arrived_at > self._config.slow.least and self._is_slow()
        if is_slow:
            self._tell_slow()
        metering = self._config.metering
        if metering is None or not sentry.client.has_metrics:
            return
        known, source = sentry.transaction()
        if self.find_route is not None:
            known, source = route.found_by(self.find_route, known, source)
        named = route.name_of_route(self._scope, self._app, status, known, source)
        errors = sentry.errors
        others: tuple[int, ...] = ()
        if errors is not None or is_slow or self._pages:
            captured, ignored = (errors.captured, errors.ignored) if errors is not None else (0, 0)
            others = captured, ignored, int(is_slow), self._pages
        metering.note("" if named is None else named[0], status, others)


def _loaded_user(scope: Scope) -> Any:
    try:
        return identity.loaded_user(scope)
    except Exception:  # an object that cannot be looked at: reading the identity has told of it
        return None
