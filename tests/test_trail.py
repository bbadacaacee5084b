"""The story that led to an event: of this visitor, all of it, and of nobody else."""

import sys
import time
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from asgi_rota_sentry import Identity, RotaSentryMiddleware, Settings, record_action
from asgi_rota_sentry.trail import Key, Trail
from asgi_rota_sentry.types import Receive, Scope, Send
from tests.conftest import Get, MemoryTransport
from tests.wire import Wire, http

Sentry = Callable[..., MemoryTransport]


def trail_of(**given: Any) -> Trail:
    return Trail(["sessionid", "session"], **{"visitors": 100, "length": 20, "seconds": 1800, **given})


def key_of(trail: Trail, value: str) -> Key:
    key = trail.key(f"session={value}".encode())
    assert key is not None
    return key


def visit(trail: Trail, key: bytes, path: str, owner: str | None = None, at: float | None = None) -> None:
    trail.note(key, (owner, time.time() if at is None else at, "GET", path, "", 200, None))


def story(trail: Trail, key: bytes | None, viewer: str | None = None) -> list[str]:
    return [crumb["message"].removesuffix(" (200 OK)") for crumb in trail.earlier(key, viewer)]


@pytest.mark.parametrize(
    ("header", "has_key"),
    [
        (b"session=abc", True),
        (b'a=1; session="abc"; b=2', True),
        (b"sessionid=abc; session=null", True),
        (b"mysession=1; session=abc", True),
        (b"mysession=1;session=abc", True),
        (b"mysession=abc", False),
        (b"a=session=abc", False),
        (b"session=null", False),
        (b'session=""', False),
        (b"session=deleted", False),
        (b"session", False),
        (b"", False),
    ],
)
def test_a_visitor_is_known_by_the_session_cookie(header: bytes, *, has_key: bool) -> None:
    """By its exact name; a cookie that was deleted or emptied is none, for everybody would have the same."""
    assert (trail_of().key(header) is not None) == has_key


def test_the_cookie_itself_is_not_kept() -> None:
    """A keyed hash of it, whose key is made anew in each process."""
    one, other = trail_of(), trail_of()
    assert key_of(one, "secret") == key_of(one, "secret")
    assert key_of(one, "secret") != key_of(other, "secret")
    assert "secret" not in repr(key_of(one, "secret"))


@pytest.mark.parametrize(
    ("cookies", "expected"),
    [
        ([], None),
        ([b"other=1; Path=/"], None),
        ([b"session=new; Path=/; HttpOnly"], "new"),
        ([b"session=old; Path=/", b"session=new; Max-Age=60"], "new"),
        ([b"session=null; path=/; expires=Thu, 01 Jan 1970 00:00:00 GMT;"], ""),
        ([b'sessionid=""; expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path=/'], ""),
        ([b"session=x; Max-Age=-1"], ""),
        ([b"session=x; Max-Age=0"], ""),
        ([b"session=x; Expires=Thu, 01 Jan 1970 00:00:00 GMT"], ""),
        ([b"session=x; Expires=Thu, 01-Jan-1970 00:00:00 GMT"], ""),
        ([b"session=; Path=/"], ""),
        ([b"session=new; Path=/", b"other=1; Path=/"], "new"),
    ],
)
def test_what_a_response_does_to_the_session_is_seen(cookies: list[bytes], expected: str | None) -> None:
    """A new value, the deletion, or nothing; of several cookies the last counts."""
    trail = trail_of()
    old = key_of(trail, "old")
    visit(trail, old, "/before/")
    key = trail.renewed(old, [(b"content-type", b"text/plain"), *((b"Set-Cookie", cookie) for cookie in cookies)])
    assert key == (key_of(trail, expected) if expected else old)
    assert story(trail, key) == ([] if expected == "" else ["GET /before/"])


def test_a_visitor_is_known_by_the_session_cookie_alone() -> None:
    """Whatever else is in the header, and however often it comes."""
    trail = trail_of()
    headers = (b"session=abc", b"session=abc; theme=dark", b"theme=light; session=abc")
    assert {trail.key(header) for header in headers * 2} == {trail.key(b"session=abc")}
    assert trail.key(b"theme=dark; session=abd") not in (None, trail.key(b"session=abc"))
    assert trail.key(b"theme=dark") is trail.key(b"theme=dark") is None


def test_the_story_is_bounded_in_requests_in_age_and_in_visitors() -> None:
    """The last so many of the last so many minutes; the visitor who was away longest is forgotten first."""
    trail = trail_of(visitors=3, length=2)
    keys = [key_of(trail, str(number)) for number in range(4)]
    for key in keys[:3]:
        for number in range(3):
            visit(trail, key, f"/{number}/")
    visit(trail, keys[0], "/again/")
    visit(trail, keys[3], "/")
    assert story(trail, keys[0]) == ["GET /2/", "GET /again/"]
    assert story(trail, keys[1]) == []
    assert story(trail, keys[2]) == ["GET /1/", "GET /2/"]
    visit(trail, keys[3], "/long/ago/", at=time.time() - 1801)
    assert story(trail, keys[3]) == ["GET /"]


def test_a_story_is_told_in_the_order_in_which_it_happened() -> None:
    """Two requests at once, or two processes, need not note theirs in that order."""
    trail = trail_of()
    key, now = key_of(trail, "a"), time.time()
    for path, at in (("/second/", now - 1), ("/first/", now - 2), ("/third/", now)):
        visit(trail, key, path, at=at)
    assert story(trail, key) == ["GET /first/", "GET /second/", "GET /third/"]


@pytest.mark.anyio
async def test_what_is_kept_of_a_request_is_bounded(sentry: Sentry) -> None:
    """A client's endless path and method, and an application's objects, do not stay in memory."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for _ in range(100):
            record_action("click", "x" * 10_000, form=object(), n=1, **{f"n{n}": n for n in range(50)})
        await PlainTextResponse("ok")(scope, receive, send)

    sentry()
    wrapped = RotaSentryMiddleware(app)
    scope = http("G" * 10_000, "/" + "x" * 100_000, headers=[(b"cookie", b"session=a")])
    assert len((await Wire().run(wrapped, scope)).sent) == 2
    crumbs = wrapped.trail.earlier(wrapped.trail.key(b"session=a"))
    assert len(crumbs) == 20
    assert max(len(crumb["message"]) for crumb in crumbs) < 650
    assert crumbs[0]["data"]["form"] == "<object>"
    assert len(crumbs[0]["data"]) == 10


def test_a_long_path_is_cut() -> None:
    """Of a plain request, too, which else is kept as it came."""
    trail = trail_of()
    key = key_of(trail, "a")
    visit(trail, key, "/" + "x" * 100_000)
    (told,) = story(trail, key)
    assert told == "GET /" + "x" * 298 + "…"


@pytest.mark.parametrize(
    ("status", "level"),
    [(200, "info"), (302, "info"), (399, "info"), (400, "warning"), (404, "warning"), (499, "warning"), (500, "error")],
)
def test_how_an_answer_went_is_told_by_its_level(status: int, level: str) -> None:
    """Sentry shows it in colour."""
    trail = trail_of()
    key = key_of(trail, "a")
    trail.note(key, (None, time.time(), "GET", "/", "", status, None))
    (crumb,) = trail.earlier(key)
    assert (crumb["level"], crumb["type"], crumb["data"]["status_code"]) == (level, "http", status)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("path", "root_path", "told"),
    [
        ("/shifts/7/", "", "/shifts/7/"),
        ("/rota/shifts/7/", "/rota", "/rota/shifts/7/"),
        ("/shifts/7/", "/rota/", "/rota/shifts/7/"),
        ("", "/rota", "/rota"),
        ("", "", ""),
    ],
)
async def test_what_is_kept_has_the_path_as_the_client_sent_it(
    sentry: Sentry, path: str, root_path: str, told: str
) -> None:
    """With the mount prefix exactly once, whether the server's path includes it or not; the method as HTTP has it."""
    sentry()
    wrapped = RotaSentryMiddleware(PlainTextResponse("ok"))
    await Wire().run(wrapped, http("get", path, root_path=root_path, headers=[(b"cookie", b"session=a")]))
    (crumb,) = wrapped.trail.earlier(wrapped.trail.key(b"session=a"))
    assert crumb["message"] == f"GET {told} (200 OK)"
    assert crumb["data"] == {"method": "GET", "url": told, "status_code": 200}


@pytest.mark.anyio
async def test_a_path_that_the_application_cuts_off_is_kept_whole(sentry: Sentry) -> None:
    """As Litestar's mounts do, in the very scope, and without a word of it in `root_path`."""
    sentry()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["path"] = "/7/"
        await PlainTextResponse("ok")(scope, receive, send)

    wrapped = RotaSentryMiddleware(app)
    await Wire().run(wrapped, http(path="/shifts/7/", headers=[(b"cookie", b"session=a")]))
    (crumb,) = wrapped.trail.earlier(wrapped.trail.key(b"session=a"))
    assert crumb["message"] == "GET /shifts/7/ (200 OK)"


@pytest.mark.parametrize("given", [{"visitors": 0}, {"length": 0}])
def test_a_trail_may_be_switched_off(given: dict[str, int]) -> None:
    """Then nobody has a key."""
    assert trail_of(**given).key(b"session=abc") is None


def test_a_renewed_cookie_goes_on_with_the_story() -> None:
    """Also for requests that are still under way with the old one, and for two that renew it at once."""
    trail = trail_of()
    old, new, other = (key_of(trail, name) for name in ("old", "new", "other"))
    visit(trail, old, "/a/")
    trail.renew(old, new)
    trail.renew(old, other)
    for key, path in ((new, "/b/"), (old, "/c/"), (other, "/d/")):
        visit(trail, key, path)
    assert story(trail, new) == story(trail, old) == story(trail, other) == ["GET /a/", "GET /b/", "GET /c/", "GET /d/"]


def test_a_cookie_of_which_nothing_is_known_is_renewed_as_well() -> None:
    """By two requests at once, that are given the same new one: it is one visitor's, and so is what was under way."""
    trail = trail_of()
    old, new = key_of(trail, "old"), key_of(trail, "new")
    for path in ("/a/", "/b/"):
        trail.renew(old, new)
        visit(trail, new, path)
    visit(trail, old, "/c/")
    assert story(trail, new) == story(trail, old) == ["GET /a/", "GET /b/", "GET /c/"]


def test_a_cookie_that_two_visitors_were_given_tells_nothing() -> None:
    """Signed cookies hold a time in seconds: two visitors with the same content in one second get the same one."""
    trail = trail_of()
    same = key_of(trail, "same")
    for mine in (None, None, key_of(trail, "third")):
        trail.renew(mine, same)
        visit(trail, same, "/private/")
    assert story(trail, same) == []
    own = key_of(trail, "own")
    trail.renew(same, own)
    visit(trail, own, "/")
    trail.renew(same, b"")
    assert story(trail, own) == ["GET /"]


def test_the_same_cookie_given_again_to_its_visitor_is_no_other_s() -> None:
    """As Django does with `SESSION_SAVE_EVERY_REQUEST`."""
    trail = trail_of()
    key = key_of(trail, "a")
    for number in range(3):
        trail.renew(key, key)
        visit(trail, key, f"/{number}/")
    assert story(trail, key) == ["GET /0/", "GET /1/", "GET /2/"]


def test_a_browser_that_changes_hands_begins_anew() -> None:
    """Another user's ID on the same cookie; the next one sees nothing of the former one's."""
    trail = trail_of()
    key = key_of(trail, "kiosk")
    visit(trail, key, "/")
    assert story(trail, key, viewer="jane") == story(trail, key, viewer="") == ["GET /"]
    visit(trail, key, "/jane/", owner="jane")
    assert story(trail, key, viewer="jane") == ["GET /", "GET /jane/"]
    assert story(trail, key, viewer="bob") == []
    visit(trail, key, "/bob/", owner="bob")
    assert story(trail, key, viewer="bob") == ["GET /bob/"]
    assert story(trail, key, viewer="jane") == []


def test_who_comes_after_a_sign_out_does_not_see_what_was_before() -> None:
    """Where the cookie stays: certainly nobody sees only what nobody did since."""
    trail = trail_of()
    key = key_of(trail, "a")
    visit(trail, key, "/login/", owner="")
    visit(trail, key, "/jane/", owner="jane")
    visit(trail, key, "/static/", owner=None)
    assert story(trail, key, viewer="") == []
    visit(trail, key, "/home/", owner="")
    visit(trail, key, "/static/", owner=None)
    assert story(trail, key, viewer="") == ["GET /home/", "GET /static/"]
    assert story(trail, key, viewer="jane") == [
        f"GET {path}" for path in ("/login/", "/jane/", "/static/", "/home/", "/static/")
    ]


def test_a_deleted_cookie_ends_the_story() -> None:
    """For all of the visitor's keys."""
    trail = trail_of()
    old, new = key_of(trail, "old"), key_of(trail, "new")
    visit(trail, old, "/a/")
    trail.renew(old, new)
    trail.renew(new, b"")
    assert story(trail, old) == story(trail, new) == []


# Through real applications


def rota() -> Starlette:
    """A session in a signed cookie, as Starlette's middleware keeps it: each change renews the cookie's value."""

    def login(request: Request) -> Response:
        request.session["user"] = {"id": request.query_params["as"]}
        return PlainTextResponse("in")

    def logout(request: Request) -> Response:
        request.session.clear()
        return PlainTextResponse("out")

    def leave(request: Request) -> Response:
        del request.session["user"]
        request.session["seen"] = True
        return PlainTextResponse("out")

    def count(request: Request) -> Response:
        request.session["count"] = request.session.get("count", 0) + 1
        record_action("click", f"Counted {request.session['count']}")
        return PlainTextResponse("counted")

    def fail(request: Request) -> Response:
        return PlainTextResponse(str(int("abc")))

    views = (login, logout, leave, count, fail)
    return Starlette(
        routes=[Route(f"/{view.__name__}/", view) for view in views],
        middleware=[Middleware(SessionMiddleware, secret_key="only for tests")],
    )


class Visitor:
    """A browser: sends back what it was given."""

    def __init__(self, fetch: Get, app: Any) -> None:
        self._fetch, self._app = fetch, app
        self.cookie = ""

    async def go(self, path: str) -> None:
        response = await self._fetch(self._app, path, headers={"cookie": self.cookie} if self.cookie else {})
        if "set-cookie" in response.headers:
            self.cookie = response.headers["set-cookie"].partition(";")[0]
            if self.cookie.endswith("=null"):
                self.cookie = ""


def told_story(event: dict[str, Any]) -> list[str]:
    wanted = ("request", "click")
    return [crumb["message"] for crumb in event["breadcrumbs"]["values"] if crumb["category"] in wanted]


@pytest.mark.anyio
async def test_the_story_goes_from_the_login_through_renewed_cookies_to_the_fault(sentry: Sentry, fetch: Get) -> None:
    """With the actions in their places; another visitor's requests in between are not among them."""
    server = sentry()
    app = RotaSentryMiddleware(rota())
    jane, bob = Visitor(fetch, app), Visitor(fetch, app)
    for path in ("/login/?as=jane", "/count/", "/count/"):
        await jane.go(path)
        await bob.go(path.replace("jane", "bob"))
    await jane.go("/fail/")
    (event,) = server.events
    assert event["user"] == {"id": "jane"}
    assert told_story(event) == [
        "GET /login/ (200 OK)",
        "Counted 1",
        "GET /count/ (200 OK)",
        "Counted 2",
        "GET /count/ (200 OK)",
        "GET /fail/",
        "GET /fail/ (500 Internal Server Error)",
    ]


@pytest.mark.anyio
@pytest.mark.parametrize("way", ["/logout/", "/leave/"])
async def test_a_sign_out_ends_the_story_whether_or_not_the_cookie_stays(sentry: Sentry, fetch: Get, way: str) -> None:
    """The next one at the same browser sees nothing of it."""
    server = sentry()
    visitor = Visitor(fetch, RotaSentryMiddleware(rota()))
    for path in ("/login/?as=jane", "/count/", way, "/login/?as=bob", "/fail/"):
        await visitor.go(path)
    (event,) = server.events
    assert event["user"] == {"id": "bob"}
    assert "GET /count/ (200 OK)" not in told_story(event)
    assert told_story(event)[-3:-1] == ["GET /login/ (200 OK)", "GET /fail/"]


@pytest.mark.anyio
async def test_after_its_answer_a_request_tells_its_own_story_once(sentry: Sentry, fetch: Get) -> None:
    """In background work, or a stream that fails; and what the user did then is told in the later ones."""
    server = sentry()

    def work() -> None:
        record_action("click", "afterwards")
        raise ValueError("background")

    async def later(request: Request) -> Response:
        record_action("click", "before")
        return PlainTextResponse("ok", background=BackgroundTask(work))

    async def broken(request: Request) -> Response:
        async def parts() -> AsyncIterator[str]:
            yield "one"
            raise ValueError("midway")

        return StreamingResponse(parts())

    app = RotaSentryMiddleware(Starlette(routes=[Route("/later/", later), Route("/broken/", broken)]))
    for path in ("/later/", "/broken/"):
        await fetch(app, path, headers={"cookie": "session=mine"})
    told = ["before", "GET /later/ (200 OK)", "afterwards"]
    assert [told_story(event) for event in server.events] == [
        ["GET /later/", *told],
        [*told, "GET /broken/", "GET /broken/ (200 OK)"],
    ]


@pytest.mark.anyio
async def test_a_request_that_the_server_had_to_answer_is_a_500_in_the_story(sentry: Sentry) -> None:
    """Whether the application raised or only returned; what was cancelled or left by its client had no answer."""
    server = sentry(pages="never")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        record_action("click", scope["path"])
        if scope["path"] == "/stopped/":
            scope["wire"].stop()
        await receive()
        if scope["path"] == "/raised/":
            raise ValueError

    wrapped = RotaSentryMiddleware(app)
    headers = [(b"cookie", b"session=mine")]
    read, left = {"type": "http.request"}, {"type": "http.disconnect"}
    for path, incoming in {"silent": read, "left": left, "stopped": read, "raised": read}.items():
        await Wire([incoming]).run(wrapped, http(path=f"/{path}/", headers=headers))
    (event,) = server.events
    assert told_story(event) == [
        "/silent/",
        "GET /silent/ (500 Internal Server Error)",
        "/left/",
        "/stopped/",
        "GET /raised/",
        "/raised/",
        "GET /raised/ (500 Internal Server Error)",
    ]


@pytest.mark.anyio
async def test_what_is_done_over_a_websocket_is_remembered(sentry: Sentry, fetch: Get) -> None:
    """It was answered when it was accepted; what the user did since is in the story of the next request."""
    server = sentry()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            raise ValueError("later")
        await send({"type": "websocket.accept"})
        record_action("click", "User moved a shift")
        await send({"type": "websocket.close"})

    wrapped = RotaSentryMiddleware(app)
    wire = Wire()
    scope = {"type": "websocket", "path": "/live/", "headers": [(b"cookie", b"session=mine")]}
    await wrapped(scope, wire.receive, wire.send)
    await fetch(wrapped, "/next/", headers={"cookie": "session=mine"})
    (event,) = server.events
    assert told_story(event)[:2] == ["GET /live/ (101 Switching Protocols)", "User moved a shift"]


@pytest.mark.anyio
@pytest.mark.parametrize("reader", ["default", "object", "function", "coroutine function"])
@pytest.mark.parametrize("field", ["id", "username", "email"])
async def test_nobody_sees_the_story_of_who_was_there_before(
    sentry: Sentry, fetch: Get, reader: str, field: str
) -> None:
    """One browser and one cookie, two users: whoever reads the identity, the second begins anew; without IDs, too."""
    server = sentry()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        name = dict(scope["headers"])[b"x-user"].decode()
        scope["user"] = SimpleNamespace(**{field: name}) if reader == "object" else {field: name}
        if scope["path"] == "/fail/":
            raise ValueError("boom")
        await PlainTextResponse("ok")(scope, receive, send)

    def read(scope: Scope) -> Identity:
        return Identity(**{field: dict(scope["headers"])[b"x-user"].decode()})

    async def read_async(scope: Scope) -> Identity:
        return read(scope)

    readers: dict[str, Any] = {"function": read, "coroutine function": read_async}
    wrapped = RotaSentryMiddleware(app, identify=readers.get(reader))
    for user, path in (("anna", "/secret-of-anna/"), ("bert", "/own/"), ("bert", "/fail/")):
        await fetch(wrapped, path, headers={"cookie": "session=shared", "x-user": user})
    (event,) = server.events
    assert told_story(event)[:2] == ["GET /own/ (200 OK)", "GET /fail/"]


@pytest.mark.anyio
async def test_a_split_cookie_header_is_read_whole(sentry: Sentry, fetch: Get) -> None:
    """HTTP/2 sends the cookies in several headers."""
    server = sentry()
    app = RotaSentryMiddleware(rota())
    visitor = Visitor(fetch, app)
    await visitor.go("/login/?as=jane")
    await fetch(app, "/fail/", headers=[("cookie", visitor.cookie), ("cookie", "theme=dark")])
    (event,) = server.events
    assert told_story(event)[0] == "GET /login/ (200 OK)"
    assert event["contexts"]["preferences"]["theme"] == "dark"


@pytest.mark.anyio
async def test_the_settings_name_the_cookie_and_the_bounds(sentry: Sentry, fetch: Get) -> None:
    """`session_cookies`, `trail_requests`, `trail_minutes`, `trail_visitors`."""
    server = sentry(session_cookies="sid", trail_requests=2)
    app = RotaSentryMiddleware(rota())
    for _ in range(4):
        await fetch(app, "/count/", headers={"cookie": "sid=1"})
    await fetch(app, "/fail/", headers={"cookie": "sid=1"})
    assert told_story(server.events[0]).count("GET /count/ (200 OK)") == 2


def test_a_missing_extra_is_named_at_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks for Redis without its package is told what to install."""
    monkeypatch.setitem(sys.modules, "redis", None)
    monkeypatch.delitem(sys.modules, "asgi_rota_sentry.trail.redis_store", raising=False)
    with pytest.raises(ImportError, match=r"install asgi_rota_sentry\[redis\]"):
        RotaSentryMiddleware(PlainTextResponse(""), Settings(trail_redis_url="redis://127.0.0.1/0"))
