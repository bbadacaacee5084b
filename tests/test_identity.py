"""Who it was, by the shapes that frameworks and authentication packages have; what names a person stays at home."""

import enum
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sentry_sdk
from litestar import Litestar
from litestar import get as litestar_get
from sqlalchemy import ForeignKey, create_engine, event
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship
from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, SimpleUser
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from asgi_rota_sentry import Identity, RotaSentryMiddleware, identity
from asgi_rota_sentry.sdk.client import HAS_TRANSACTIONS
from asgi_rota_sentry.withheld import Withheld
from tests.conftest import Get, MemoryTransport
from tests.told import told
from tests.wire import Wire, http

pytestmark = pytest.mark.anyio
Sentry = Callable[..., MemoryTransport]


class Rank(enum.Enum):
    MANAGER = "Manager"
    STAFF = 2


@dataclass
class Person:
    id: Any = "SCW1001"
    username: str = "scw1001"
    email: str = "scw1001@example.com"
    role: Any = "Manager"
    preferences: dict[str, str] = field(default_factory=lambda: {"theme": "dark", "timezone": "Europe/London"})


class Named:
    name = "Manager"


class OwnUUID(uuid.UUID):
    """As Beanie makes an ID of its own out of MongoDB's."""


class Unprintable:
    """A role whose text is not for us to ask for: it might make a query."""

    name = "Manager"

    def __str__(self) -> str:
        raise RuntimeError("the session is closed")


class Claims:
    """Claims as attributes, in the way that many write it: what is missing is a KeyError."""

    def __init__(self, **claims: Any) -> None:
        self._claims = claims

    def __getattr__(self, name: str) -> Any:
        return self.__dict__["_claims"][name]


class Lazy(dict[str, Any]):
    """A mapping that is not there yet."""

    def get(self, *_: Any) -> Any:
        raise RuntimeError("not loaded")


class Plain:
    """An object with just these attributes."""

    def __init__(self, **own: Any) -> None:
        self.__dict__.update(own)


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        (Person(), ("SCW1001", "scw1001", "scw1001@example.com", "Manager")),
        (Person(id=7, role=Rank.MANAGER), ("7", "scw1001", "scw1001@example.com", "Manager")),
        ({"id": 7, "role": Rank.STAFF}, ("7", None, None, "STAFF")),
        ({"id": uuid.UUID(int=1), "role": Named()}, (str(uuid.UUID(int=1)), None, None, "Manager")),
        (
            {"sub": "auth0|1", "preferred_username": "jane", "email": "j@x.org", "roles": ["staff", "manager"]},
            ("auth0|1", "jane", "j@x.org", "manager"),
        ),
        (
            {"sub": "1", "realm_access": {"roles": ["default-roles-x", "offline_access", "auditor"]}},
            ("1", None, None, "auditor"),
        ),
        ({"sub": "1", "roles": "viewer ROLE_ADMIN"}, ("1", None, None, "ADMIN")),
        ({"sub": "1", "groups": ["/shift-managers"]}, ("1", None, None, "/shift-managers")),
        (Plain(pk=3, is_superuser=True, is_staff=True), ("3", None, None, "superuser")),
        (Plain(pk=3, is_superuser=False, is_staff=True), ("3", None, None, "staff")),
        (SimpleUser("jane"), (None, "jane", None, None)),
        ({"email": "j@x.org"}, (None, None, "j@x.org", None)),
        ({"role": "Manager"}, (None, None, None, "Manager")),
        (Plain(id=OwnUUID(int=1)), (str(uuid.UUID(int=1)), None, None, None)),
        (Plain(id=8, roles={Unprintable()}), ("8", None, None, "Manager")),
        (Plain(id=8, roles={"editor", "employee", "guest"}), ("8", None, None, "editor")),
        (
            Plain(id=8, USERNAME_FIELD="login", login="jane", EMAIL_FIELD="mail", mail="j@x.org"),
            ("8", "jane", "j@x.org", None),
        ),
        (Person(id=" 7 "), ("7", "scw1001", "scw1001@example.com", "Manager")),
        (Plain(id="", uid=5), ("5", None, None, None)),
        (Plain(id=True, uid=5), ("5", None, None, None)),
        (Plain(id=8, is_authenticated=True, is_anonymous=False), ("8", None, None, None)),
        (Plain(id=8, is_authenticated="perhaps"), ("8", None, None, None)),
    ],
)
def test_a_user_is_read_by_shape(user: Any, expected: tuple[str | None, ...]) -> None:
    """Objects, dataclasses, mappings, JWT claims; the role as text, enum, object with a name, or highest of many."""
    found = identity.read({"type": "http", "user": user})
    assert found is not None
    assert (found.id, found.username, found.email, found.role) == expected
    assert identity.owner({"type": "http", "user": user}) == identity.owner_of(found)
    assert found.id is None or identity.owner_of(found) == found.id


def test_what_an_object_does_not_have_may_be_any_exception() -> None:
    """Not an AttributeError only; whatever else is there is read."""
    scope = {"user": Claims(username="jane")}
    assert identity.read(scope) == Identity(username="jane")
    assert identity.owner(scope) == identity.owner_of(Identity(username="jane"))


@pytest.mark.parametrize(
    ("user", "owner"),
    [
        (None, None),
        ({}, None),
        (Plain(is_authenticated=False, id=1), identity.ANONYMOUS),
        (Plain(is_anonymous=True, id=1), identity.ANONYMOUS),
        ({"is_anonymous": True, "id": 1}, identity.ANONYMOUS),
        (object(), None),
        (Lazy(id=1), None),
    ],
)
def test_nobody_is_nobody(user: Any, owner: str | None) -> None:
    """An anonymous visitor has no identity, and owns what nobody does; an odd object does no harm."""
    assert identity.read({"type": "http", "user": user}) is None
    assert identity.owner({"type": "http", "user": user}) == owner
    assert identity.read({"type": "http"}) is None


@pytest.mark.parametrize(
    "scope",
    [
        {"state": {"user": Person()}},
        {"session": {"user": {"id": "SCW1001", "role": "Manager"}}},
        {"auth": {"sub": "SCW1001", "role": "Manager"}},
        {"user": Plain(is_authenticated=False), "state": {"user": Person()}},
        {"user": {"id": "SCW1001"}, "auth": AuthCredentials(["authenticated", "read:shifts", "role:Manager"])},
        {"user": {"id": "SCW1001"}, "auth": AuthCredentials(["authenticated", "Manager"])},
    ],
)
def test_a_user_is_found_where_applications_keep_them(scope: dict[str, Any]) -> None:
    """`request.state.user`, a signed session's user, claims in `scope["auth"]`, a role among the scopes."""
    found = identity.read(scope)
    assert found is not None
    assert (found.id, found.role) == ("SCW1001", "Manager")


def test_permissions_are_no_roles() -> None:
    """Scopes such as `read:items` say what a request may do, not what its user is."""
    found = identity.read({"user": {"id": 1}, "auth": AuthCredentials(["authenticated", "read:items", "admin:write"])})
    assert found is not None
    assert found.role is None

    scopes = ["user-data:read", "staff/shifts:write", "profile"]
    found = identity.read({"user": {"id": 1}, "auth": AuthCredentials(scopes)})
    assert found == Identity(id="1")


@pytest.mark.parametrize(
    ("roles", "highest"),
    [
        (["editor", "manager"], "manager"),
        (["staff", "Shift-Manager", "admins"], "Shift-Manager"),
        (["staff", "team/lead"], "team/lead"),
        (["staff", "night_supervisor"], "night_supervisor"),
        (["planner", "staff"], "staff"),
        (["viewer", "planner"], "planner"),
        (["planner", "cook"], "planner"),
        (["default-roles-rota", "offline_access", "uma_authorization", "cook"], "cook"),
        (["default-roles-rota"], None),
        (["role:"], "role:"),
    ],
)
def test_of_several_roles_the_highest_is_told(roles: list[str], highest: str | None) -> None:
    """By any word of its name, in any case; what nobody knows stands between staff and members; of equals the first."""
    found = identity.read({"user": {"id": 1, "roles": roles}})
    assert found == Identity(id="1", role=highest)


def test_of_several_places_the_nearest_tells_the_preferences() -> None:
    """`preferences`, `profile`, those of the profile, then the user's own attributes."""
    last = {"theme": "own", "language": "own", "timezone": "own", "locale": "own"}
    within = {"theme": "within", "language": "within", "timezone": "within"}
    profile = {"theme": "profile", "locale": "profile", "preferences": within}
    found = identity.read({"user": {"id": 1, "preferences": {"theme": "dark"}, "profile": profile, **last}})
    assert found is not None
    assert found.preferences == {"theme": "dark", "language": "profile", "timezone": "within"}


def test_what_is_read_is_bounded() -> None:
    """In length, and in the number of roles that are looked at."""
    roles = ["viewer"] * 100 + ["admin"]
    for user in ({"id": "x" * 10_000, "roles": roles}, *(Plain(id=long, roles=roles) for long in ("x" * 300, 10**300))):
        found = identity.read({"user": user})
        assert found is not None
        assert (len(found.id or ""), found.role) == (200, "viewer")
        assert identity.owner({"user": user}) == found.id


class Base(DeclarativeBase):
    pass


class Team(Base):
    __tablename__ = "team"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Worker(Base):
    __tablename__ = "worker"
    id: Mapped[int] = mapped_column(primary_key=True)
    username: Mapped[str]
    team_id: Mapped[int] = mapped_column(ForeignKey("team.id"))
    role: Mapped[Team] = relationship()


def test_a_sqlalchemy_user_is_not_loaded_any_further() -> None:
    """A relation that was not loaded, and everything after a commit, would be a query: it is left alone."""
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    queries: list[str] = []
    with Session(engine) as session:
        session.add(Worker(id=7, username="jane", role=Team(id=1, name="Manager")))
        session.commit()
        user = session.get(Worker, 7)
        event.listen(engine, "before_cursor_execute", lambda *given: queries.append(given[2]))
        found = identity.read({"user": user})
        assert found == Identity(id="7", username="jane")
        assert user is not None
        assert user.role.name == "Manager"
        assert queries[1:] == []
        found = identity.read({"user": user})
        assert found == Identity(id="7", username="jane", role="Manager")
        session.commit()
        assert identity.read({"user": user}) == Identity(id="7")
        assert len(queries) == 1
    engine.dispose()


def test_channels_lazy_user_is_read_when_it_is_loaded() -> None:
    """Channels fills its stand-in late; until then there is nobody."""
    from channels.auth import UserLazyObject

    scope: dict[str, Any] = {"type": "websocket", "user": UserLazyObject()}
    assert identity.read(scope) is None
    scope["user"]._wrapped = Person()
    found = identity.read(scope)
    assert found is not None
    assert (found.id, found.role) == ("SCW1001", "Manager")


@pytest.mark.parametrize(
    ("user", "headers", "expected"),
    [
        ({"id": 1, "theme": "dark"}, {"cookie": "theme=light; timezone=UTC"}, {"theme": "dark", "timezone": "UTC"}),
        (
            {"id": 1, "profile": {"locale": "de", "zoneinfo": "Europe/Berlin"}},
            {},
            {"language": "de", "timezone": "Europe/Berlin"},
        ),
        ({"id": 1, "profile": Plain(preferences={"theme": "dark"})}, {}, {"theme": "dark"}),
        ({"id": 1, "timezone": ZoneInfo("Europe/London")}, {}, {"timezone": "Europe/London"}),
        (None, {"accept-language": "fr;q=0.5, *;q=0.9, en-GB;q=0.8"}, {"language": "en-GB"}),
        (
            None,
            {"cookie": "timezone=Europe%2FLondon; language=cy", "accept-language": "en"},
            {"timezone": "Europe/London", "language": "cy"},
        ),
        (None, {"cookie": "theme=<script>; timezone=" + "x" * 100}, {}),
        (
            None,
            {"cookie": f"more={'x' * 2000}; theme=dark", "accept-language": "de"},
            {"theme": "dark", "language": "de"},
        ),
        (None, {"cookie": "django_language=fr; language=cy"}, {"language": "cy"}),
    ],
)
def test_preferences_come_from_the_user_else_from_the_request(
    user: Any, headers: dict[str, str], expected: dict[str, str]
) -> None:
    """Also for an anonymous visitor; what a cookie says is a short word or nothing."""
    from asgi_rota_sentry.person import Person as Knowledge

    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    person = Knowledge({"type": "http", "headers": raw, "user": user}, identity.read, personal=False)
    assert person.who().preferences == expected


def fails(before: Callable[[Request], Any] = lambda request: None, **kwargs: Any) -> Starlette:
    """An application whose only view fails."""

    def view(request: Request) -> Response:
        before(request)
        return PlainTextResponse(str(int("abc")))

    return Starlette(routes=[Route("/{path:path}", view, methods=["GET", "POST"])], **kwargs)


def signed_in(app: Any, user: Any) -> Any:
    async def with_user(scope: Any, receive: Any, send: Any) -> None:
        scope["user"] = user
        await app(scope, receive, send)

    return with_user


class Backend(AuthenticationBackend):
    async def authenticate(self, conn: Any) -> Any:
        return AuthCredentials(["authenticated", "Manager"]), Person(role=None)


async def test_starlette_s_user_has_a_role_on_both_sdks(sentry: Sentry, fetch: Get) -> None:
    """sentry-sdk's integration sets a user without one where personal data is allowed; it is completed."""
    server = sentry(send_default_pii=True)
    app = RotaSentryMiddleware(fails(middleware=[Middleware(AuthenticationMiddleware, backend=Backend())]))
    await fetch(app, "/")
    assert server.events[0]["user"] == {
        "id": "SCW1001",
        "username": "scw1001",
        "email": "scw1001@example.com",
        "role": "Manager",
        "ip_address": "198.51.100.7",
    }
    assert server.events[0]["tags"]["user.role"] == "Manager"
    assert server.spans[0]["tags"]["user.role"] == "Manager"
    assert server.spans[0]["user"]["id"] == "SCW1001"


async def test_a_user_set_by_an_integration_is_not_the_app_s_own(sentry: Sentry, fetch: Get) -> None:
    """`identify` knows better than what sentry-sdk copied from the scope."""
    server = sentry(send_default_pii=True)
    app = fails(middleware=[Middleware(AuthenticationMiddleware, backend=Backend())])
    await fetch(RotaSentryMiddleware(app, identify=lambda scope: Identity(id="own", role="Auditor")), "/")
    assert server.events[0]["user"] == {"id": "own", "role": "Auditor", "ip_address": "198.51.100.7"}


async def test_litestar_s_user_leaves_with_what_identifies_only(sentry: Sentry, fetch: Get) -> None:
    """sentry-sdk's integration would send a mapping whole, whatever it holds."""
    server = sentry(send_default_pii=True)

    @litestar_get("/")
    async def view() -> str:
        raise RuntimeError("broken")

    user = {"id": "1", "username": "jane", "badge": "4711", "role": "Staff"}
    await fetch(RotaSentryMiddleware(signed_in(Litestar([view]), user)), "/")
    assert server.events[0]["user"] == {"id": "1", "username": "jane", "role": "Staff", "ip_address": "198.51.100.7"}


@pytest.mark.parametrize("pii", [False, True])
async def test_a_user_that_the_app_set_is_neither_mixed_nor_changed(sentry: Sentry, fetch: Get, *, pii: bool) -> None:
    """Another ID: nothing of the scope's user, no role either; the same ID or none: the rest is added."""
    server = sentry(send_default_pii=pii)
    for own in ({"id": "own", "email": "own@example.com"}, {"id": "SCW1001", "segment": "beta"}, {"segment": "beta"}):
        app = RotaSentryMiddleware(signed_in(fails(lambda request, own=own: sentry_sdk.set_user(own)), Person()))
        await fetch(app, "/")
    first, second, third = (dict(event["user"]) for event in server.events)
    assert first.pop("ip_address", None) == ("198.51.100.7" if pii else None)
    assert first == {"id": "own", "email": "own@example.com"}
    assert "user.role" not in server.events[0]["tags"]
    assert second == third
    assert {"id": "SCW1001", "segment": "beta", "role": "Manager"}.items() <= second.items()
    assert ("email" in second) == pii


async def test_what_the_app_told_of_the_loaded_user_is_kept(sentry: Sentry, fetch: Get) -> None:
    """It is no integration's copy of that user, though all of it stands in the object, too."""
    server = sentry()
    person = Person()
    person.plan = "gold"  # type: ignore[attr-defined]
    app = fails(lambda request: sentry_sdk.set_user({"id": person.id, "plan": "gold"}))
    await fetch(RotaSentryMiddleware(signed_in(app, person)), "/")
    assert server.events[0]["user"] == {"id": "SCW1001", "role": "Manager", "plan": "gold"}


async def test_an_id_that_the_app_set_is_the_same_as_a_number(sentry: Sentry, fetch: Get) -> None:
    """As it stands in most databases, and None is none; the role's tag and the preferences are told with it."""
    server = sentry()
    for own in ({"id": 7, "segment": "beta"}, {"id": None, "segment": "beta"}):
        app = fails(lambda request, own=own: sentry_sdk.set_user(own))
        await fetch(RotaSentryMiddleware(signed_in(app, Person(id=7))), "/")
    for sent in server.events:
        assert str(sent["user"].pop("id")) == "7"
        assert sent["user"] == {"segment": "beta", "role": "Manager"}
        assert sent["tags"]["user.role"] == "Manager"
        assert sent["contexts"]["preferences"] == Person().preferences


async def test_what_a_user_model_calls_otherwise_does_not_leave(sentry: Sentry, fetch: Get) -> None:
    """The fields that a model of Django's declares to be the name and the e-mail address, beside a display name."""
    server = sentry()
    user = Plain(
        id=8, name="Jane", USERNAME_FIELD="login", login="jane.doe", EMAIL_FIELD="mail", mail="j.doe@example.com"
    )
    said = {"login": user.login, "to": f"Mail to <{user.mail}>"}
    await fetch(RotaSentryMiddleware(signed_in(fails(lambda request: sentry_sdk.set_extra("said", said)), user)), "/")
    assert server.events[0]["user"] == {"id": "8"}
    assert server.events[0]["extra"]["said"] == {"login": "[Filtered]", "to": "Mail to <[Filtered]>"}


@pytest.mark.parametrize(("pii", "address"), [(False, None), (True, "198.51.100.7")])
async def test_an_address_that_only_a_header_claims_is_nobody_s(
    sentry: Sentry, fetch: Get, pii: bool, address: str | None
) -> None:
    """An application that believes any header tells of it as the user's: it is left out, or the client's is told."""
    server = sentry(send_default_pii=pii)
    app = fails(lambda request: sentry_sdk.set_user({"id": "7", "ip_address": request.headers["x-forwarded-for"]}))
    await fetch(RotaSentryMiddleware(app), "/", headers={"x-forwarded-for": "203.0.113.9"})
    assert server.events[0]["user"].get("ip_address") == address


async def test_a_property_that_fails_hides_nothing_else(sentry: Sentry, fetch: Get) -> None:
    """The next of its names is asked for; nobody hears of the fault, and the rest of the user is told."""

    class Broken:
        id = "7"
        display_name = "Sam Wood"
        role = "Manager"

        @property
        def username(self) -> str:
            raise RuntimeError("the connection is closed")

    server = sentry(send_default_pii=True)
    await fetch(RotaSentryMiddleware(signed_in(fails(), Broken())), "/")
    assert {"id": "7", "username": "Sam Wood", "role": "Manager"}.items() <= server.events[0]["user"].items()
    assert server.events[0]["tags"]["user.role"] == "Manager"


async def test_an_error_page_knows_whom_it_speaks_to(sentry: Sentry, fetch: Get) -> None:
    """The name, the address, the theme and the language, as the application has them."""
    sentry()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        preferences = {"theme": "dark", "language": "de"}
        scope["user"] = {"id": "7", "username": "Sam Wood", "email": "sam@example.com", "preferences": preferences}
        raise ValueError("boom")

    answer = await fetch(RotaSentryMiddleware(app), "/", headers={"accept": "text/html"})
    assert 'value="Sam Wood"' in answer.text
    assert 'value="sam@example.com"' in answer.text
    assert answer.headers["content-language"] == "de"
    assert ' data-theme="dark"' in answer.text


@pytest.mark.parametrize(("path", "status", "name"), [("/fail/", 500, True), ("/nowhere/", 404, False)])
async def test_a_page_without_an_event_knows_it_too(fetch: Get, path: str, status: int, *, name: bool) -> None:
    """Where the SDK is not initialised, as for what is not found."""
    preferences = {"theme": "dark", "language": "de"}
    user = {"id": "7", "username": "Sam Wood", "preferences": preferences}

    def view(request: Request) -> Response:
        return PlainTextResponse(str(int("abc")))

    app = RotaSentryMiddleware(signed_in(Starlette(routes=[Route("/fail/", view)]), user))
    answer = await fetch(app, path, headers={"accept": "text/html"})
    assert answer.status_code == status
    assert ('value="Sam Wood"' in answer.text) == name
    assert answer.headers["content-language"] == "de"
    assert ' data-theme="dark"' in answer.text


async def test_nothing_personal_leaves_unless_allowed(sentry: Sentry, fetch: Get) -> None:
    """Name, e-mail and address are nowhere: frames, breadcrumbs, messages, headers, extra, URL, body, fingerprint.

    Nor in the frames of a message, or in what a mechanism or a log record tells.
    """
    server = sentry({"attach_stacktrace": True})
    person = Person(username="jane.doe", email="Jane.Doe@example.com")
    person.first_name = "Jane"  # type: ignore[attr-defined]

    async def view(request: Request) -> Response:
        user, sent = request.scope["user"], await request.json()
        greeting = f"Hello {user.first_name}, <{user.email}>"
        sentry_sdk.add_breadcrumb(category="mail", message=f"Mail to {user.email}", data={"to": [user.email.lower()]})
        sentry_sdk.set_extra("user", user)
        sentry_sdk.set_extra("by", {user.username: request.client.host})
        sentry_sdk.set_tag("who", user.username)
        sentry_sdk.get_isolation_scope().fingerprint = ["{{ default }}", user.email]
        sentry_sdk.capture_message(f"{user.username} was here")
        mechanism = {"type": "generic", "data": {"to": [user.email]}}
        values, entry = [{"type": "MailError", "mechanism": mechanism}], {"message": "To %s", "params": [user.email]}
        sentry_sdk.capture_event({"exception": {"values": values}, "logentry": entry})
        raise ValueError(f"No shift for {user.email} from {request.client.host}", sent, greeting)

    app = Starlette(routes=[Route("/of/{name}/", view, methods=["POST"])])
    await fetch(
        RotaSentryMiddleware(signed_in(app, person)),
        "/of/jane.doe/?mail=Jane.Doe%40example.com",
        "POST",
        json={"mail": "Jane.Doe@example.com", "called": "Jane", "day": "Monday"},
        headers={
            "x-forwarded-for": "203.0.113.9",
            "from": "Jane.Doe@example.com",
            "cookie": "mail=Jane.Doe@example.com",
        },
    )
    assert len(server.events) == 3
    assert server.events[0]["threads"]["values"][0]["stacktrace"]["frames"][-1]["vars"]["greeting"]
    sent = told([server.events, server.spans[:1] if server.items("transaction") else []])
    for name in ("jane.doe", "Jane.Doe", "Jane", "@example.com", "198.51.100.7", "203.0.113.9"):
        assert name not in sent, name
    event = server.events[2]
    assert event["user"] == {"id": "SCW1001", "role": "Manager"}
    assert event["request"]["data"] == {"mail": "[Filtered]", "called": "[Filtered]", "day": "Monday"}
    frame = event["exception"]["values"][0]["stacktrace"]["frames"][-1]
    assert (frame["function"], frame["vars"]["greeting"]) == ("view", "'Hello [Filtered], <[Filtered]>'")
    assert event["exception"]["values"][0]["type"] == "ValueError"
    assert event["fingerprint"] == ["{{ default }}", "[Filtered]"]


@pytest.mark.parametrize("pii", [False, True])
async def test_nothing_personal_leaves_in_logs_metrics_and_streamed_spans(
    sentry: Sentry, fetch: Get, lifecycle: str, *, pii: bool
) -> None:
    """What a request logs, counts and measures is without the names of its user, whoever it becomes in its course."""
    server = sentry({"enable_logs": True} if HAS_TRANSACTIONS else {}, send_default_pii=pii)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        sentry_sdk.logger.info("nobody yet")
        for person in (Person(username="jane.doe", email="jane@example.com"), Person("8", "bob", "bob@example.com")):
            scope["user"] = person
            given = {"at": "/of/bob/", "who": person.username}
            names = {"mail": person.email, "name": person.username, "attributes": given}
            sentry_sdk.logger.info("Mail to {mail}, {name}", **names)
            sentry_sdk.metrics.count("mails", 1, attributes={**given, "to": person.email, "user": person.id})
            if lifecycle == "stream":
                told_of = {"to": person.email, "all": [person.email]}
                with sentry_sdk.traces.start_span(name=f"mail {person.email}", attributes=told_of):
                    pass
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    await fetch(RotaSentryMiddleware(app), "/")
    sentry_sdk.flush()
    logs, metrics = (
        [item for batch in server.items(kind) for item in batch["items"]] for kind in ("log", "trace_metric")
    )
    spans = [span for batch in server.items("span") for span in batch["items"]]
    mails = [entry for entry in logs if entry["body"].startswith("Mail")]
    assert (len(mails), len([one for one in metrics if one["name"] == "mails"])) == (2, 2)
    assert len(spans) == (3 if lifecycle == "stream" else 0)
    everything = told([logs, metrics, spans])
    for name in ("jane.doe", "jane@example.com", "bob@example.com"):
        assert (name in everything) == pii, name
    if not pii:
        assert [entry["body"] for entry in mails] == ["Mail to [Filtered], [Filtered]"] * 2
        assert mails[1]["attributes"]["sentry.message.parameter.name"]["value"] == "[Filtered]"  # `bob`, a plain word
        for entry in (mails[1], [one for one in metrics if one["name"] == "mails"][1]):
            assert entry["attributes"]["who"]["value"] == "[Filtered]"
            assert entry["attributes"]["at"]["value"] == "/of/bob/"  # which may be part of any path
    assert [one["attributes"]["user"]["value"] for one in metrics if one["name"] == "mails"] == ["SCW1001", "8"]


@pytest.mark.parametrize("is_async", [False, True])
async def test_what_identify_gives_becomes_text(sentry: Sentry, fetch: Get, *, is_async: bool) -> None:
    """A UUID, a number, members of enumerations; no preferences at all are none."""
    server = sentry()

    given = [
        Identity(id=uuid.UUID(int=7), role=Rank.MANAGER),  # type: ignore[arg-type]
        Identity(id=7, preferences=None),  # type: ignore[arg-type]
        Identity(id="7", preferences={"theme": "dark", "timezone": None, "language": Rank.MANAGER}),  # type: ignore[dict-item]
    ]

    def identify(scope: Any) -> Any:
        return given[int(scope["path"][1:])]

    async def identify_async(scope: Any) -> Any:
        return identify(scope)

    app = RotaSentryMiddleware(fails(lambda _: None), identify=identify_async if is_async else identify)
    for number in range(len(given)):
        assert "text/html" in (await fetch(app, f"/{number}", headers={"accept": "text/html"})).headers["content-type"]
    assert [event["user"] for event in server.events] == [
        {"id": "00000000-0000-0000-0000-000000000007", "role": "Manager"},
        {"id": "7"},
        {"id": "7"},
    ]
    assert server.events[2]["contexts"]["preferences"] == {"theme": "dark", "language": "Manager"}


@pytest.mark.parametrize("kind", ["a coroutine", "a mapping", "a mapping later"])
async def test_an_identify_that_cannot_be_used_is_told_of(
    sentry: Sentry, fetch: Get, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    """What it gave and what is expected are logged once; the answer is the same, and nobody's name is in the log."""
    server = sentry()

    async def later(_: Any) -> Any:
        return {"id": "jane"}

    def coroutine(scope: Any) -> Any:
        return later(scope)

    given: dict[str, Any] = {"a coroutine": coroutine, "a mapping": lambda _: {"id": "jane"}}
    app = RotaSentryMiddleware(fails(lambda _: None), identify=given.get(kind, later))
    for _ in range(2):
        assert (await fetch(app, "/")).status_code == 500
    assert [event.get("user") for event in server.events] == [None, None]
    told_of = [record for record in caplog.records if "reading the identity" in record.getMessage()]
    assert len(told_of) == 1
    expected = (
        "declare it with `async def`" if kind == "a coroutine" else "gave a dict; expected asgi_rota_sentry.Identity"
    )
    assert expected in caplog.text
    assert "jane" not in caplog.text


async def test_a_plain_word_as_a_name_does_not_eat_the_event(sentry: Sentry, fetch: Get) -> None:
    """A user called `admin` is withheld in values, not in paths, code, tags or the role."""
    server = sentry()
    person = Person(username="admin", role="admin")

    def before(request: Request) -> None:
        sentry_sdk.set_extra("user", repr(request.scope["user"]))
        sentry_sdk.set_context("shift", {"given_by": "admin", "hours": 8})

    app = fails(before)
    await fetch(RotaSentryMiddleware(signed_in(app, person)), "/admin/shifts/")
    (event,) = server.events
    assert event["request"]["url"] == "http://rota.example/admin/shifts/"
    assert event["tags"]["http.url"] == "/admin/shifts/"
    assert event["tags"]["user.role"] == event["user"]["role"] == "admin"
    assert event["breadcrumbs"]["values"][0]["message"] == "GET /admin/shifts/"
    assert event["contexts"]["request"]["url"] == "http://rota.example/admin/shifts/"
    assert "username='[Filtered]'" in event["extra"]["user"]
    assert event["contexts"]["shift"] == {"given_by": "[Filtered]", "hours": 8}


async def test_what_is_too_deep_to_be_looked_through_goes_as_a_whole(sentry: Sentry, fetch: Get) -> None:
    """Where a name stands in it, and the SDK was told to send bodies as they are."""
    server = sentry({"max_request_body_size": "always"})
    deep: Any = ["to scw1001@example.com"]
    fine: Any = ["to nobody"]
    for _ in range(20):
        deep, fine = {"in": deep}, {"in": fine}

    async def view(request: Request) -> Response:
        await request.json()
        raise ValueError

    app = Starlette(routes=[Route("/", view, methods=["POST"])])
    await fetch(RotaSentryMiddleware(signed_in(app, Person())), "/", "POST", json={"deep": deep, "fine": fine})
    data = server.events[0]["request"]["data"]
    assert "[Filtered]" in repr(data["deep"])
    assert "scw1001@" not in repr(data)
    assert data["fine"] == fine


@pytest.mark.parametrize(("before", "late"), [(49_900, ["to [Filtered]", "besides"]), (50_000, "[Filtered]")])
def test_what_is_too_much_to_be_looked_through_goes_as_a_whole(before: int, late: Any) -> None:
    """Where a name stands in it; fifty thousand values are looked at."""
    name, many = "scw1001@example.com", ["to nobody"] * before
    event = {"extra": {"first": [name], "many": [name, *many], "fine": many[:9], "late": [f"to {name}", "besides"]}}
    Withheld([name], [])(event)
    assert event["extra"] == {"first": ["[Filtered]"], "many": ["[Filtered]", *many], "fine": many[:9], "late": late}


async def test_a_user_object_does_not_leave_by_a_client_of_the_application_s_own(sentry: Sentry, fetch: Get) -> None:
    """There the object itself is in the event, or what is lazily that user, and would leave as its text."""
    sentry()  # leaves things as they were, afterwards
    server = MemoryTransport()
    options: Any = {} if HAS_TRANSACTIONS else {"data_collection": {"user_info": False}}  # 3.x allows it by itself
    sentry_sdk.init(dsn="http://key@127.0.0.1:9/1", transport=server, **options)

    class Lazy:
        def __init__(self, user: Any) -> None:
            self._wrapped = user

        def __repr__(self) -> str:
            return repr(self._wrapped)

    def before(request: Request) -> None:
        user = request.scope["user"]
        sentry_sdk.set_extra("users", {"user": user, "lazy": Lazy(user), "other": Lazy("nobody")})

    await fetch(RotaSentryMiddleware(signed_in(fails(before), Person())), "/")
    (event,) = server.events
    assert event["extra"]["users"] == {"user": "[Filtered]", "lazy": "[Filtered]", "other": "'nobody'"}


async def test_a_client_that_has_no_address_is_no_fault(sentry: Sentry, caplog: pytest.LogCaptureFixture) -> None:
    """Starlette's test client calls itself `testclient`; the names are withheld all the same."""
    server = sentry()
    app = signed_in(fails(lambda request: sentry_sdk.set_extra("to", request.scope["user"].email)), Person())
    await Wire().run(RotaSentryMiddleware(app), {**http(), "client": ("testclient", 50000)})
    assert server.events[0]["extra"]["to"] == "[Filtered]"
    assert "A fault while" not in caplog.text


async def test_a_short_name_is_withheld_where_it_is_all_that_is_said(sentry: Sentry, fetch: Get) -> None:
    """Of a user called `Al` words with these letters are none; a variable, which is shown in quotes, is."""
    server = sentry()
    said = {"who": "Al", "shown": "'Al'", "told": "Al was late, also on Monday"}

    def before(request: Request) -> None:
        sentry_sdk.set_extra("said", said)

    await fetch(RotaSentryMiddleware(signed_in(fails(before), Person(username="Al"))), "/")
    assert server.events[0]["extra"]["said"] == {**said, "who": "[Filtered]", "shown": "[Filtered]"}


async def test_what_the_application_holds_is_not_changed(sentry: Sentry, fetch: Get) -> None:
    """Only the event's copy is without names."""
    server = sentry()
    kept = {"mail": ["scw1001@example.com"]}

    def before(request: Request) -> None:
        sentry_sdk.set_extra("kept", kept)

    await fetch(RotaSentryMiddleware(signed_in(fails(before), Person())), "/")
    assert kept == {"mail": ["scw1001@example.com"]}
    assert server.events[0]["extra"]["kept"] == {"mail": ["[Filtered]"]}


async def test_a_session_s_user_is_told_without_touching_the_session(sentry: Sentry, fetch: Get) -> None:
    """Reading it must not make Starlette renew the cookie or vary the answer."""
    server = sentry()

    def view(request: Request) -> Response:
        return PlainTextResponse("fine")

    def login(request: Request) -> Response:
        request.session["user"] = {"id": "7", "role": "Staff"}
        return PlainTextResponse("in")

    session = Middleware(SessionMiddleware, secret_key="only for tests")
    app = RotaSentryMiddleware(Starlette(routes=[Route("/", view), Route("/in", login)], middleware=[session]))
    cookie = (await fetch(app, "/in")).headers["set-cookie"].partition(";")[0]
    response = await fetch(app, "/", headers={"cookie": cookie})
    assert "set-cookie" not in response.headers
    assert "vary" not in response.headers
    assert [span["tags"].get("user.role") for span in server.spans] == ["Staff", "Staff"]
    assert {span["user"]["id"] for span in server.spans} == {"7"}
