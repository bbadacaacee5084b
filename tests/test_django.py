"""Django's users, told without one query more; the system checks."""

import asyncio
import copy
import gc
import os
import subprocess
import sys
import weakref
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import sentry_sdk

from asgi_rota_sentry import RotaSentryMiddleware
from asgi_rota_sentry.sdk.client import HAS_TRANSACTIONS
from tests.conftest import Get, MemoryTransport, ran_on_for_long
from tests.django_site import CUSTOM, noted_queries, session_of, site, token_of
from tests.told import told
from tests.wire import Wire, http

Sentry = Callable[..., MemoryTransport]
VIEWS = ["untouched", "held", "loaded", "async-untouched", "async-held", "async-loaded"]
# What becomes an event; of sentry-sdk 3.x a log record is none.
TELLING = ["raise", "message", *(["log"] if HAS_TRANSACTIONS else [])]
ROLE = "Manager" if CUSTOM else None


@pytest.fixture(autouse=True, scope="module")
def _site() -> None:
    site()


def get(fetch: Get, app: Any, url: str, **headers: str) -> Any:
    """One request to the site; Django is at home on asyncio only."""
    return asyncio.run(fetch(app, url, headers=headers))


def known(name: str, **more: Any) -> dict[str, Any]:
    role = {"role": ROLE} if ROLE else {}
    return {"id": "1" if name == "jane" else "2", **role, **more}


@pytest.mark.parametrize("pii", [False, True], ids=["impersonal", "personal"])
@pytest.mark.parametrize("view", VIEWS)
def test_not_one_query_more_than_the_app_itself_makes(sentry: Sentry, fetch: Get, view: str, *, pii: bool) -> None:
    """On success, an error, a log record and a message, with the request sampled; the same queries as without us."""
    session = session_of("jane")
    bare = {}
    for way in ("fine", *TELLING):
        with noted_queries() as queries:
            get(fetch, site(), f"/{view}/{way}/", **session)
            bare[way] = list(queries)
    assert len(bare["fine"]) == (2 if view.endswith("loaded") else 0)
    server = sentry(send_default_pii=pii)
    for way in ("fine", *TELLING):
        with noted_queries() as queries:
            get(fetch, RotaSentryMiddleware(site()), f"/{view}/{way}/", **session)
            assert queries == bare[way]
    assert len(server.events) == len(TELLING)
    assert len(server.spans) == len(TELLING) + 1


@pytest.mark.parametrize("view", ["untouched", "async-untouched"])
def test_a_storm_is_counted_where_django_answers_itself(sentry: Sentry, fetch: Get, view: str) -> None:
    """Its handlers raise nothing: the SDK's integration tells of the error, and the page in Django's answer's place."""
    server = sentry(errors_per_minute=2)
    app = RotaSentryMiddleware(site())
    answers = [get(fetch, app, f"/{view}/raise/") for _ in range(7)]
    ids = [answer.headers["x-sentry-event-id"] for answer in answers]
    assert ids == [*(event["event_id"] for event in server.events), *[ids[1]] * 5]
    assert [answer.status_code for answer in answers] == [500] * 7
    assert all(name in answer.text for name, answer in zip(ids, answers, strict=True))
    app.budget.settle()
    assert server.events[-1]["contexts"]["error_budget"]["not_sent"] == 5
    assert len(server.events) == 3


@pytest.mark.parametrize("pii", [False, True], ids=["impersonal", "personal"])
@pytest.mark.parametrize("view", ["loaded", "async-loaded"])
def test_every_event_tells_the_user_that_the_view_has_loaded(
    sentry: Sentry, fetch: Get, view: str, *, pii: bool
) -> None:
    """An error, a log record, a captured message, and the request's span; with a name only where that may leave."""
    session = session_of("jane")
    server = sentry(send_default_pii=pii)
    for way in TELLING:
        get(fetch, RotaSentryMiddleware(site()), f"/{view}/{way}/", **session)
    personal = {"username": "jane", "email": "jane@example.com", "ip_address": "198.51.100.7"} if pii else {}
    assert [event["user"] for event in server.events] == [known("jane", **personal)] * len(TELLING)
    assert [event.get("tags", {}).get("user.role") for event in server.events] == [ROLE] * len(TELLING)
    assert {span["user"]["id"] for span in server.spans} == {"1"}
    if CUSTOM:
        assert server.events[0]["contexts"]["preferences"] == {"theme": "dark", "timezone": "Europe/London"}
    assert ("jane" in told([server.events, server.spans]).lower()) == pii


@pytest.mark.parametrize("pii", [False, True], ids=["impersonal", "personal"])
def test_a_user_that_the_view_told_of_is_not_called_as_the_loaded_one(sentry: Sentry, fetch: Get, *, pii: bool) -> None:
    """sentry-sdk's integration fills in a name and an e-mail address where it finds none: another person's."""
    server = sentry(send_default_pii=pii)
    get(fetch, RotaSentryMiddleware(site()), "/loaded/own/", **session_of("jane"))
    (event,) = server.events
    assert event["user"] == {"id": "own", **({"ip_address": "198.51.100.7"} if pii else {})}


@pytest.mark.parametrize("view", ["untouched", "held", "async-untouched", "async-held"])
def test_a_user_that_nobody_loaded_is_not_told(sentry: Sentry, fetch: Get, view: str) -> None:
    """Neither with personal data allowed, where sentry-sdk itself would load it; and the event is whole."""
    server = sentry(send_default_pii=True)
    get(fetch, RotaSentryMiddleware(site()), f"/{view}/raise/", **session_of("jane"))
    (event,) = server.events
    assert event["user"] == {"ip_address": "198.51.100.7"}
    assert event["exception"]["values"][0]["type"] == "ValueError"
    if view.endswith("held"):
        frames = [frame for frame in event["exception"]["values"][0]["stacktrace"]["frames"] if "vars" in frame]
        (shown,) = [frame["vars"]["user"] for frame in frames if "user" in frame["vars"] and "way" in frame["vars"]]
        assert "jane" not in repr(shown)


@pytest.mark.parametrize("view", ["loaded", "async-loaded"])
def test_an_anonymous_visitor_has_no_id(sentry: Sentry, fetch: Get, view: str) -> None:
    """And still the preferences of the request."""
    server = sentry()
    get(fetch, RotaSentryMiddleware(site()), f"/{view}/raise/", cookie="theme=dark; timezone=Europe%2FLondon")
    (event,) = server.events
    assert not event.get("user")
    assert event["contexts"]["preferences"] == {"theme": "dark", "timezone": "Europe/London"}


def test_rest_framework_s_token_tells_the_user(sentry: Sentry, fetch: Get) -> None:
    """Its user wins over the anonymous one of the session; no query more than the view's own."""
    token = token_of("bob")
    with noted_queries() as queries:
        get(fetch, site(), "/api/raise/", **token)
        bare = list(queries)
    server = sentry()
    with noted_queries() as queries:
        get(fetch, RotaSentryMiddleware(site()), "/api/raise/", **token)
        assert queries == bare
    (event,) = server.events
    assert event["user"] == known("bob")


@pytest.mark.parametrize("view", ["in", "async-in"])
def test_a_user_who_has_just_signed_in_or_out(sentry: Sentry, fetch: Get, view: str) -> None:
    """The span of the sign-in has the user, that of the sign-out nobody."""
    server = sentry()
    app = RotaSentryMiddleware(site())
    response = get(fetch, app, f"/{view}/bob/")
    cookie = response.headers["set-cookie"].partition(";")[0]
    get(fetch, app, "/out/", cookie=cookie)
    assert [span["user"] and span["user"].get("id") for span in server.spans] == ["2", None]


def test_the_trail_goes_on_when_the_session_s_key_changes(sentry: Sentry, fetch: Get) -> None:
    """From before the sign-in, through Django's new key, to the fault; not beyond the sign-out."""
    server = sentry()
    app = RotaSentryMiddleware(site())
    before = session_of("jane")
    get(fetch, app, "/loaded/fine/", **before)
    again = get(fetch, app, "/in/jane/", **before)
    cookie = again.headers["set-cookie"].partition(";")[0] if "set-cookie" in again.headers else before["cookie"]
    get(fetch, app, "/loaded/raise/", cookie=cookie)
    get(fetch, app, "/out/", cookie=cookie)
    get(fetch, app, "/loaded/raise/", cookie=cookie)
    first, second = (
        [crumb["message"] for crumb in event["breadcrumbs"]["values"] if crumb["category"] == "request"]
        for event in server.events
    )
    assert first == [
        "GET /loaded/fine/ (200 OK)",
        "GET /in/jane/ (200 OK)",
        "GET /loaded/raise/",
        "GET /loaded/raise/ (500 Internal Server Error)",
    ]
    assert "GET /in/jane/ (200 OK)" not in second


def test_without_the_wrapper_the_middleware_says_so_once(
    fetch: Get, sentry: Sentry, caplog: pytest.LogCaptureFixture
) -> None:
    """And the site works as ever."""
    from django.core.asgi import get_asgi_application

    sentry()
    app = get_asgi_application()
    for _ in range(2):
        assert get(fetch, app, "/loaded/fine/").status_code == 200
    assert caplog.text.count("RotaSentryMiddleware is not around the ASGI application") == 1


def test_where_the_sdk_is_not_initialised_nothing_is_said_of_the_wrapper(
    fetch: Get, caplog: pytest.LogCaptureFixture
) -> None:
    """It may well be there; as in a site's own tests, which start no SDK."""
    assert get(fetch, RotaSentryMiddleware(site()), "/loaded/fine/").status_code == 200
    assert "RotaSentryMiddleware" not in caplog.text


def test_what_django_does_at_the_end_of_a_request_is_no_background_work(sentry: Sentry, fetch: Get) -> None:
    """It closes old connections and caches when the answer is out, of which the SDK makes spans."""
    server = sentry()
    get(fetch, RotaSentryMiddleware(site()), "/loaded/fine/")
    assert [span["op"] for span in server.all_spans if not ran_on_for_long(span)] == ["http.server"]


def sync_only(get_response: Any) -> Any:
    """A middleware as Django takes any plain function: all that stands before it is made sync."""

    def middleware(request: Any) -> Any:
        response = get_response(request)
        response["x-behind"] = "sync"
        return response

    return middleware


def async_only(get_response: Any) -> Any:
    async def middleware(request: Any) -> Any:
        return await get_response(request)

    return middleware


async_only.sync_capable, async_only.async_capable = False, True  # type: ignore[attr-defined]


def wrapping(get_response: Any) -> Any:
    """A middleware with a lazy user of its own around Django's, as django-hijack has it."""
    from django.utils.functional import SimpleLazyObject

    def middleware(request: Any) -> Any:
        user = copy.copy(request.user)
        request.user = SimpleLazyObject(lambda: _marked(user))
        return get_response(request)

    return middleware


def _marked(user: Any) -> Any:
    user.is_hijacked = False
    return user


@pytest.mark.parametrize("view", ["untouched", "held", "loaded", "async-untouched", "async-held"])
def test_a_lazy_user_around_django_s_is_not_loaded_to_be_told(sentry: Sentry, fetch: Get, view: str) -> None:
    """The same queries as without us, and the user is told that the view has loaded."""
    from django.conf import settings
    from django.core.asgi import get_asgi_application
    from django.test import override_settings

    session = session_of("jane")
    with override_settings(MIDDLEWARE=[*settings.MIDDLEWARE, f"{__name__}.wrapping"]):
        with noted_queries() as queries:
            get(fetch, get_asgi_application(), f"/{view}/raise/", **session)
            bare = list(queries)
        server = sentry(send_default_pii=True)
        with noted_queries() as queries:
            get(fetch, RotaSentryMiddleware(get_asgi_application()), f"/{view}/raise/", **session)
            assert queries == bare
    (event,) = server.events
    assert event["user"].get("id") == ("1" if view == "loaded" else None)


@pytest.mark.parametrize("behind", ["nothing", "sync_only", "async_only"])
@pytest.mark.parametrize("view", ["loaded", "async-loaded", "de/rota/3"])
def test_the_chain_of_middlewares_may_be_sync_or_async(sentry: Sentry, fetch: Get, behind: str, view: str) -> None:
    """Whichever stands behind: the user and the route are told in events and in the span, and nothing else changes."""
    from django.conf import settings
    from django.core.asgi import get_asgi_application
    from django.test import override_settings

    more = [] if behind == "nothing" else [f"{__name__}.{behind}"]
    session = session_of("jane")
    server = sentry()
    with override_settings(MIDDLEWARE=[*settings.MIDDLEWARE, *more]):
        app = RotaSentryMiddleware(get_asgi_application())
        for way, status in (("fine", 200), ("raise", 500)):
            assert get(fetch, app, f"/{view}/{way}/", **session).status_code == status
    user = known("jane") if view.endswith("loaded") else None
    name = "/{}/{{way}}/".format(view.replace("3", "{week}"))
    assert [(event.get("user"), event["transaction"]) for event in server.events] == [(user, name)]
    spans = [(span["name"], (span["user"] or {}).get("id")) for span in server.spans]
    assert spans == [(name, user and user["id"])] * 2


@pytest.mark.parametrize("is_async", [False, True])
def test_who_it_was_is_known_when_the_request_is_gone(sentry: Sentry, *, is_async: bool) -> None:
    """User and route are kept for what is told at the very end, after Django has let go of its own objects."""
    from django.http import HttpRequest

    from asgi_rota_sentry.django import IdentityMiddleware

    server = sentry()

    async def get_response(request: HttpRequest) -> None:
        """Answer nothing."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        request: Any = HttpRequest()
        request.scope, request.user = scope, {"id": 7}
        request.resolver_match = SimpleNamespace(route="shifts/<int:id>/")
        answering = IdentityMiddleware(get_response if is_async else lambda request: None)(request)
        if is_async:
            await answering
        gone = weakref.ref(request)
        del request, answering
        assert gone() is None
        sentry_sdk.capture_message("at the end")

    async def ask() -> None:
        await Wire().run(RotaSentryMiddleware(app), http(path="/shifts/3/"))

    asyncio.run(ask())
    (event,) = server.events
    assert (event["user"], event["transaction"]) == ({"id": "7"}, "/shifts/{id}/")


@pytest.mark.parametrize("is_async", [False, True])
def test_a_route_that_cannot_be_read_changes_no_answer(
    sentry: Sentry, caplog: pytest.LogCaptureFixture, *, is_async: bool
) -> None:
    """As where a middleware of the site's own has put something else in its place; the user is told all the same."""
    from django.http import HttpRequest

    from asgi_rota_sentry.django import IdentityMiddleware

    server = sentry()
    answers = []

    async def get_response(request: HttpRequest) -> str:
        return "answered"

    async def app(scope: Any, receive: Any, send: Any) -> None:
        request: Any = HttpRequest()
        request.scope, request.user, request.resolver_match = scope, {"id": 7}, object()
        answer = IdentityMiddleware(get_response if is_async else lambda request: "answered")(request)
        answers.append(await answer if is_async else answer)
        sentry_sdk.capture_message("behind it")

    async def ask() -> None:
        await Wire().run(RotaSentryMiddleware(app), http(path="/shifts/3/"))

    asyncio.run(ask())
    assert answers == ["answered"]
    assert server.events[0]["user"] == {"id": "7"}
    assert caplog.text.count("A fault while keeping what Django tells of a request") == 1


@pytest.mark.parametrize("is_async", [False, True])
def test_the_middleware_is_async_where_what_it_calls_is(*, is_async: bool) -> None:
    """Whoever stands before it asks it, by the mark that Django's own bear; so no thread is changed because of it."""
    from asgiref.sync import iscoroutinefunction

    from asgi_rota_sentry.django import IdentityMiddleware

    async def get_response(request: Any) -> Any:
        """Answer nothing."""

    middleware = IdentityMiddleware(get_response if is_async else lambda request: None)
    assert iscoroutinefunction(middleware) == is_async
    assert (middleware.sync_capable, middleware.async_capable) == (True, True)


def test_the_user_outlives_the_request() -> None:
    """A scope that an outer layer holds tells the user, and does not hold the request that holds the scope."""
    from django.http import HttpRequest

    from asgi_rota_sentry.django import RequestUser

    request = HttpRequest()
    user = RequestUser(request)
    request.user = {"id": "1"}
    assert user.loaded() == {"id": "1"}
    user.keep()
    gone = weakref.ref(request)
    del request
    gc.collect()
    assert gone() is None
    assert user.loaded() == {"id": "1"}


MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "asgi_rota_sentry.django.IdentityMiddleware",
]


@pytest.mark.parametrize(
    ("order", "found"),
    [((0, 1, 2), []), ((0, 1), ["W001"]), ((0, 2, 1), ["W002"]), ((0, 2), ["W003"])],
    ids=["right", "missing", "wrong order", "nobody to tell of"],
)
def test_the_system_checks_tell_what_is_wrong_with_the_middleware(order: tuple[int, ...], found: list[str]) -> None:
    """Each fault has an id to silence it by, and a hint."""
    from django.core.checks import run_checks
    from django.test import override_settings

    with override_settings(MIDDLEWARE=[MIDDLEWARE[place] for place in order]):
        messages = [message for message in run_checks() if str(message.id).startswith("asgi_rota_sentry.")]
    assert [message.id for message in messages] == [f"asgi_rota_sentry.{number}" for number in found]
    assert all(message.hint for message in messages)


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("application = get_asgi_application()", ["asgi_rota_sentry.W004"]),
        ("application = RotaSentryMiddleware(get_asgi_application())", []),
        (None, []),
    ],
)
def test_the_system_checks_look_for_the_wrapper(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, source: str | None, found: list[str]
) -> None:
    """Read, not imported: the ASGI module may start the application."""
    from django.core.checks import run_checks
    from django.test import override_settings

    name = f"rota_{tmp_path.name.replace('-', '_')}"
    if source is not None:
        (tmp_path / f"{name}.py").write_text(f"raise RuntimeError('imported')\n{source}\n")
    monkeypatch.syspath_prepend(tmp_path)
    with override_settings(ASGI_APPLICATION=f"{name}.application"):
        messages = run_checks()
    assert [message.id for message in messages if "asgi_rota_sentry" in str(message.id)] == found


@pytest.mark.parametrize("place", ["{name}", "{name}/settings", ""])
def test_the_system_checks_find_the_asgi_module_beside_or_above_the_settings(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """Also where the settings are a package with a module for each stage."""
    from django.core.checks import run_checks

    name = f"rota_{tmp_path.name.replace('-', '_')}"
    (tmp_path / name / "settings").mkdir(parents=True)
    module = tmp_path / place.format(name=name) / "asgi.py"
    module.write_text("application = get_asgi_application()\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", f"{name}.settings.production")
    found = [message.id for message in run_checks() if "asgi_rota_sentry" in str(message.id)]
    assert found == ["asgi_rota_sentry.W004"]
    module.write_text("application = RotaSentryMiddleware(get_asgi_application())\n")
    assert [message.id for message in run_checks() if "asgi_rota_sentry" in str(message.id)] == []


WITHOUT_AUTHENTICATION = """
import django
from django.conf import settings
from django.core.checks import run_checks

settings.configure(INSTALLED_APPS=["asgi_rota_sentry.django"], MIDDLEWARE={middleware!r}, USE_TZ=True)
django.setup()
print(*sorted(message.id for message in run_checks() if "asgi_rota_sentry" in message.id))
"""


@pytest.mark.parametrize(
    ("places", "found"), [((), "W001"), ((2,), "W003"), ((1, 2), "W003")], ids=["none", "ours", "Django's, too"]
)
def test_the_system_checks_do_without_django_s_users(places: tuple[int, ...], found: str) -> None:
    """A site need not have `django.contrib.auth`, without which its middleware cannot even be imported."""
    script = WITHOUT_AUTHENTICATION.format(middleware=[MIDDLEWARE[place] for place in places])
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.split() == [f"asgi_rota_sentry.{found}"], done.stderr[-2000:]


if not CUSTOM:

    def test_all_of_this_holds_for_a_user_model_of_the_site_s_own() -> None:
        """The same tests in a process whose site has another user model, one with a property that makes a query."""
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__],
            env={**os.environ, "ROTA_TEST_USER_MODEL": "custom"},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-6000:]
