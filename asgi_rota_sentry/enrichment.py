"""What every event of one request is given: who, what and how they got there.

Worked out when there is an event, not for every request.
"""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from asgi_rota_sentry import faults, request, route, trail
from asgi_rota_sentry.identity import Identity
from asgi_rota_sentry.person import Person, User, is_same
from asgi_rota_sentry.request_body import Body
from asgi_rota_sentry.semantics import Collection
from asgi_rota_sentry.types import Scope
from asgi_rota_sentry.values import Network
from asgi_rota_sentry.withheld import Withheld

Event = dict[str, Any]

# The mechanisms by which the integrations of web frameworks, and we, tell of what nobody in the request has handled.
_OF_FRAMEWORKS = frozenset(
    {"asgi", "asgi_rota_sentry", "bottle", "django", "falcon", "fastapi", "flask"}
    | {"litestar", "pyramid", "quart", "starlette", "starlite", "wsgi"}
)


class Enrichment:
    """The facts of one request, put into each of its events."""

    __slots__ = (
        "_named",
        "_who",
        "answered_at",
        "app",
        "arrived_at",
        "body",
        "collection",
        "find_route",
        "person",
        "plain",
        "scope",
        "status",
        "story",
    )

    def __init__(
        self,
        scope: Scope,
        *,
        identify: Callable[[Scope], Identity | Awaitable[Identity | None] | None],
        story: Callable[[list[trail.Breadcrumb], list[trail.Breadcrumb]], list[trail.Breadcrumb]],
        personal: bool,
        collection: Collection,
        trusted_proxies: Sequence[Network] = (),
    ) -> None:
        self.scope = scope
        self.person = Person(scope, identify, personal=personal, trusted_proxies=trusted_proxies)
        self.collection = collection
        self.story = story
        self.plain = False
        self.body: Body | None = None
        self.arrived_at = time.time()
        self.answered_at = 0.0
        self.app: Any = None
        self.find_route: Callable[[int], str | None] | None = None
        self.status = 0
        self._named: tuple[str, str] | None = None
        self._who: Identity | None = None

    def __call__(self, event: Event) -> Withheld | None:
        """Enrich one event; a fault in one part leaves the others.

        Returns what takes out of the whole event what must not leave, None where all may.
        """
        for part in (self._request, self._user, self._tags, self._name, self._breadcrumbs):
            try:
                part(event)
            except Exception:
                faults.report("adding what is known of the request to an event")
        return self.person.withheld(self.who())

    def who(self) -> Identity:
        """The user as far as the application has loaded them; of an anonymous one the preferences only. Read once."""
        if self._who is None:
            self._who = self.person.who()
        return self._who

    def user(self, set_by_app: Mapping[str, Any] | None) -> tuple[User, Identity]:
        """The user as Sentry shows them, and the identity; that of nobody where the application set another user."""
        who = self.who()
        user = self.person.with_address(self.person.describe(set_by_app, who))
        return user, who if is_same(user, who) else Identity()

    def _request(self, event: Event) -> None:
        scope, personal, collection = self.scope, self.person.personal, self.collection
        headers = collection.headers(request.headers(scope, personal=personal))
        url, method = request.url(scope), request.method(scope)
        query = collection.query_string(request.query_string(scope))
        address = self.person.address if personal else None
        found: dict[str, Any] = {"url": url, "method": method, "query_string": query, "headers": headers}
        if personal:
            found["cookies"] = collection.cookies(request.cookies(scope))
            if address:
                found["env"] = {"REMOTE_ADDR": address}
        data = self.body.data(scope) if self.body is not None else None
        if data is not None:
            found["data"] = data
        if theirs := event.get("request"):
            # What the SDK's integrations put there believes any header, and knows nothing of the settings.
            found = {**{key: value for key, value in theirs.items() if key not in ("env", "cookies")}, **found}
        event["request"] = found
        context = {
            "url": url,
            "method": method,
            "query_string": query,
            "user_agent": headers.get("user-agent"),
            "referrer": headers.get("referer"),
            "ip_address": address,
        }
        self._context(event, "request", {key: value for key, value in context.items() if value})

    def _user(self, event: Event) -> None:
        user, who = self.user(event.get("user"))
        if user or "user" in event:
            event["user"] = user
        self._context(event, "preferences", dict(who.preferences))
        if who.role:
            _tag(event, "user.role", who.role)

    def _tags(self, event: Event) -> None:
        _tag(event, "http.method", request.method(self.scope))
        _tag(event, "http.url", request.path(self.scope))
        status = self.status or (500 if _ends_request(event) else 0)
        if status:
            _tag(event, "http.status_code", str(status))

    def _name(self, event: Event) -> None:
        source = (event.get("transaction_info") or {}).get("source")
        name, source = self.transaction_name(event.get("transaction") or "", str(source or "url"))
        event["transaction"], event["transaction_info"] = name, {"source": source}

    def transaction_name(self, name: Any, source: str) -> tuple[str, str]:
        """The name of the request's span, of what it is called so far."""
        if (name, source) != self._named:
            known, source = route.found_by(self.find_route, name, source, self.status)
            self._named = route.name(self.scope, self.app, self.status, known, source)
        return self._named

    def _breadcrumbs(self, event: Event) -> None:
        if self.plain or event.get("type") == "transaction":
            return
        crumbs = event.get("breadcrumbs")
        values = crumbs.get("values") if isinstance(crumbs, dict) else None
        if values is None:
            return
        now = time.time()
        ours = [trail.arrival(self.scope, at=self.arrived_at)]
        method, path = request.method(self.scope), request.path(self.scope)
        if self.status:
            ours.append(trail.answer(method, path, self.status, at=self.answered_at))
        elif _ends_request(event):
            ours.append(trail.answer(method, path, 500, at=now))
        for exc in _exceptions(event)[-1:]:
            ours.append(trail.exception(exc, at=now))
        values[:] = self.story(values, ours)

    @staticmethod
    def _context(event: Event, name: str, context: dict[str, Any]) -> None:
        if context:
            event.setdefault("contexts", {}).setdefault(name, context)


def _tag(event: Event, name: str, value: str) -> None:
    event.setdefault("tags", {}).setdefault(name, value)


def _exceptions(event: Event) -> list[Any]:
    return (event.get("exception") or {}).get("values") or []


def _ends_request(event: Event) -> bool:
    """Whether the exception will be answered with a 500; one that ended a thread or a task need not have ended more."""
    mechanisms = [value.get("mechanism") or {} for value in _exceptions(event)]
    return any(found.get("handled") is False and found.get("type") in _OF_FRAMEWORKS for found in mechanisms)
