"""Who it was and how they got there, of both examples under uvicorn, as Bugsink has stored it."""

import re
import time
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest

from examples.rota import PEOPLE
from examples.server import running
from tests.e2e.bugsink import Bugsink
from tests.e2e.redis_server import redis_server
from tests.told import told

pytestmark = [pytest.mark.e2e, pytest.mark.parametrize("example", ["starlette", "django"])]
MANAGER = PEOPLE["manager"]
# The address that a proxy on this machine tells: uvicorn believes such by default, and puts it into the scope.
ADDRESS = "203.0.113.66"


def environ(server: Bugsink, folder: Path, *, pii: bool, **more: str) -> dict[str, str]:
    return {
        "SENTRY_DSN": server.dsn,
        "SENTRY_TRACES_SAMPLE_RATE": "1",
        "SENTRY_SEND_DEFAULT_PII": str(pii),
        "ROTA_SENTRY_DEBUG": "",
        "ROTA_SENTRY_OUTBOX": str(folder / "outbox.sqlite3"),
        **more,
    }


def visitor(url: str, **cookies: str) -> httpx.Client:
    """A browser with its own cookies, behind a proxy on this machine."""
    headers = {
        "accept-language": "cy;q=0.4, en-GB",
        "x-forwarded-for": ADDRESS,
        "accept": "text/html",
        "origin": url,
        "referer": f"{url}/shifts/",
    }
    return httpx.Client(base_url=url, headers=headers, cookies=cookies, trust_env=False, timeout=30)


def create_shift(browser: httpx.Client) -> str:
    """The story's fault: hours that are no number; returns the event ID of the page."""
    browser.get("/shifts/create/?via=button")
    token = {"csrfmiddlewaretoken": browser.cookies["csrftoken"]} if "csrftoken" in browser.cookies else {}
    response = browser.post("/shifts/create/", data={"day": "Friday", "hours": "abc", **token})
    assert response.status_code == 500
    return str(response.headers["x-sentry-event-id"])


def new_event(server: Bugsink, before: set[str], timeout: float = 20) -> dict[str, Any]:
    """The one event that was not there before."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        found = set(server.event_ids()) - before
        if found:
            (event_id,) = found
            return server.wait_for_event(event_id)
        time.sleep(0.2)
    raise AssertionError("Bugsink got no new event")


def story(event: dict[str, Any]) -> list[str]:
    """What the visitor did, as the event tells it."""
    wanted = ("request", "click", "form")
    return [crumb["message"] for crumb in event["breadcrumbs"]["values"] if crumb["category"] in wanted]


def read(server: Bugsink, event: dict[str, Any]) -> str:
    """What a person reads of the event: the text of its pages in Bugsink."""
    html = re.sub(r"(?s)<(script|style).*?</\1>", " ", server.pages(event["event_id"]))
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())


def tags(event: dict[str, Any]) -> dict[str, str]:
    given = event["tags"]
    return dict(given)


FROM_LOGIN_TO_FAULT = [
    "GET /login/ (302 Found)",
    "GET /dashboard/ (200 OK)",
    'User clicked "Create Shift" button',
    "GET /shifts/create/ (200 OK)",
    "POST /shifts/create/",
    "User filled shift creation form",
    "POST /shifts/create/ (500 Internal Server Error)",
]


@pytest.mark.parametrize("pii", [True, False], ids=["personal", "impersonal"])
def test_a_manager_s_error(bugsink_server: Bugsink, example: str, tmp_path: Path, *, pii: bool) -> None:
    """User, role, preferences and the story from the login on; somebody else's requests are not in it."""
    with (
        running(example, **environ(bugsink_server, tmp_path, pii=pii)) as server,
        visitor(server.url) as manager,
        visitor(server.url) as staff,
    ):
        manager.get("/login/?as=manager", follow_redirects=True)
        staff.get("/login/?as=staff", follow_redirects=True)
        staff.get("/search/?q=staff")
        event = bugsink_server.wait_for_event(create_shift(manager))
    personal = {"username": MANAGER.username, "email": MANAGER.email}
    expected = {"id": MANAGER.id, "role": "Manager", **(personal if pii else {})}
    assert {key: value for key, value in event["user"].items() if key != "ip_address"} == expected
    assert event["user"].get("ip_address") == (ADDRESS if pii else None)
    assert tags(event)["user.role"] == "Manager"
    assert event["contexts"]["preferences"] == MANAGER.preferences
    assert story(event) == FROM_LOGIN_TO_FAULT
    assert event["request"]["data"]["hours"] == "abc"
    assert event["contexts"]["request"]["referrer"].endswith("/shifts/")
    page = read(bugsink_server, event)
    assert [line for line in FROM_LOGIN_TO_FAULT if line not in page] == []
    assert f"id {MANAGER.id}" in page
    assert "user.role Manager" in page
    assert f"timezone {MANAGER.preferences['timezone']}" in page
    if not pii:
        for name in (MANAGER.username, MANAGER.email, ADDRESS):
            assert name not in told(event), name


def test_an_anonymous_visitor_s_error(bugsink_server: Bugsink, example: str, tmp_path: Path) -> None:
    """No user and no role, the request's own preferences, and the story of this request only."""
    before = set(bugsink_server.event_ids())
    with running(example, **environ(bugsink_server, tmp_path, pii=False)) as server:
        with visitor(server.url) as manager:
            manager.get("/login/?as=manager", follow_redirects=True)
        with visitor(server.url, theme="light", timezone="Europe%2FDublin") as nobody:
            nobody.get("/search/?q=monday")
            with pytest.raises(httpx.RemoteProtocolError):
                nobody.get("/stream/?fail=1")
        event = new_event(bugsink_server, before)
    assert not event.get("user")
    assert "user.role" not in tags(event)
    assert event["contexts"]["preferences"] == {"theme": "light", "language": "en-GB", "timezone": "Europe/Dublin"}
    assert story(event) == ["GET /stream/", "GET /stream/ (200 OK)"]
    assert event["request"]["query_string"] == "fail=1"
    page = read(bugsink_server, event)
    assert "timezone Europe/Dublin" in page
    assert "GET /stream/ (200 OK)" in page
    assert MANAGER.id not in page


def test_a_restarted_server_goes_on_with_the_story(bugsink_server: Bugsink, example: str, tmp_path: Path) -> None:
    """With Redis the story outlives the process: before the restart the login, after it the fault."""
    if example == "django":
        return  # its database, and with it the session, is a new one with each start of the example
    with redis_server(tmp_path) as redis:
        given = environ(bugsink_server, tmp_path, pii=True, ROTA_SENTRY_TRAIL_REDIS_URL=redis.url)
        with running(example, **given) as server, visitor(server.url) as manager:
            manager.get("/login/?as=manager", follow_redirects=True)
            cookies = dict(manager.cookies)
            time.sleep(0.5)
        with running(example, **given) as server, visitor(server.url, **cookies) as manager:
            event = bugsink_server.wait_for_event(create_shift(manager))
    assert story(event) == FROM_LOGIN_TO_FAULT
