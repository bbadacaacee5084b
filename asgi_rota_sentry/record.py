"""What is learnt of one request, and what its events are told of it.

The flow of the request itself is the journey's, which notes what it learns here.
"""

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from asgi_rota_sentry import faults, forwarded, identity, sdk, semantics, trail
from asgi_rota_sentry.budget import Budget
from asgi_rota_sentry.enrichment import Enrichment, Event
from asgi_rota_sentry.feedback import FeedbackRoute
from asgi_rota_sentry.held import Headers
from asgi_rota_sentry.identity import Identify, Identity
from asgi_rota_sentry.metering import Metering
from asgi_rota_sentry.pages import ErrorPages
from asgi_rota_sentry.person import Person, User
from asgi_rota_sentry.request_body import Body
from asgi_rota_sentry.settings import Settings
from asgi_rota_sentry.slow import SlowRequests
from asgi_rota_sentry.types import ASGIApp, Scope
from asgi_rota_sentry.withheld import Withheld

_EVERYTHING = sdk.Collection(None)


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
        "_raised_at",
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
    find_route: Callable[[int], str | None] | None
    _failed_with: BaseException | None
    _close_code: int | None
    _status: int
    _pages: int
    # In seconds of the epoch: when it came, had its first (or ended without one) and its last byte, when the server
    # went on from there, and when an exception came after that.
    _arrived_at: float
    _answered_at: float
    _ended_at: float
    _passed_at: float
    _raised_at: float

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
        for name, _ in headers:
            if name in trail.SET_COOKIE:  # as few do
                key = stories.renewed(key, headers)
                break
        if not key:
            return
        # As `_owner`, without the call.
        whose = identity.owner(scope) if self._config.identify is identity.read else self._owner()
        method, path, root_path = scope.get("method"), scope.get("path"), scope.get("root_path")
        if path is not self._path:  # as few are
            path = self._as_sent().get("path")
        note = stories.note  # by itself: what is no method is looked up at a fifth of the price
        note(key, (whose, at, method, path, root_path, status, self._actions))
        self._actions = None

    def _owner(self) -> str | None:
        """Whose request it is, as `identity.owner` tells; asked with all of a session."""
        if self._config.identify is identity.read:
            return identity.owner(self._scope)
        found = Person(self._scope, self._identify, personal=False).identified()
        return identity.owner_of(found) if found is not None else None

    def user(self) -> tuple[User, str | None]:
        """The user and the role as an event of this request would tell them now."""
        user, who = self._knowledge().user(self._set_user)
        return user, who.role

    @property
    def _set_user(self) -> User | None:
        """The user that the application itself has set."""
        return self._sentry.user if self._sentry is not None else None


def _loaded_user(scope: Scope) -> Any:
    try:
        return identity.loaded_user(scope)
    except Exception:  # an object that cannot be looked at: reading the identity has told of it
        return None
