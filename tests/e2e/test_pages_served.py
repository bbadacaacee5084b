"""The pages in a real Chromium, from real applications under uvicorn."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from examples.rota import PEOPLE
from examples.server import running
from tests.e2e import browser as chrome

pytestmark = pytest.mark.e2e

APPLICATIONS = ["starlette", "django", "tests.e2e.fastapi_app:application"]
ENDS = [(320, "light"), (1280, "dark")]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chrome.chromium() as opened:
        yield opened


def environ(folder: Path, *, debug: bool = False) -> dict[str, str]:
    """Settings with a server that is away; its events wait in the outbox."""
    return {
        "SENTRY_DSN": "http://key@127.0.0.1:9/1",
        "SENTRY_SEND_DEFAULT_PII": "true",
        "ROTA_SENTRY_DEBUG": "true" if debug else "",
        "ROTA_SENTRY_OUTBOX": str(folder / "outbox.sqlite3"),
        "ROTA_SENTRY_SUPPORT_EMAIL": "support@example.com",
    }


@pytest.mark.parametrize("target", APPLICATIONS)
def test_404(browser: Browser, tmp_path: Path, target: str) -> None:
    """An unknown address gets the page, with a search for its words."""
    with running(target, **environ(tmp_path)) as server:
        chrome.check_page(browser, f"{server.url}/early-morning/", looks=ENDS)
        with chrome.visit(browser, f"{server.url}/early-morning/") as found:
            assert found.page.get_by_role("searchbox").input_value() == "early morning"


@pytest.mark.parametrize("target", APPLICATIONS)
def test_500(browser: Browser, tmp_path: Path, target: str) -> None:
    """An exception gets the page, in debug mode with the event ID of what was kept, and no word of the exception."""
    with running(target, **environ(tmp_path, debug=True)) as server:
        path = "/boom" if "fastapi" in target else "/test-sentry-error/?type=value"
        chrome.check_page(browser, server.url + path, looks=ENDS)
        with chrome.visit(browser, server.url + path) as found:
            assert found.response is not None
            shown = found.page.locator("#event").text_content()
            assert shown == found.response.headers["x-sentry-event-id"]
            assert "Recorded on this server only" in found.page.inner_text("main")
            assert "Error" not in found.page.inner_text("main").replace("Error reported", "")


@pytest.mark.parametrize("target", ["starlette", "django"])
def test_a_form_that_fails(browser: Browser, tmp_path: Path, target: str) -> None:
    """Whoever sends a form that fails sees her own theme and name, a way back and no way to send it twice."""
    with running(target, **environ(tmp_path)) as server, chrome.visit(browser, f"{server.url}/") as found:
        found.page.goto(f"{server.url}/login/?as=manager")
        found.page.goto(f"{server.url}/shifts/create/")
        found.page.get_by_label("Hours").fill("abc")
        found.requests.clear()
        with found.page.expect_navigation() as navigated:
            found.page.get_by_role("button", name="Save shift").click()
        answer = navigated.value
        assert answer.status == 500
        assert found.requests == [f"POST {server.url}/shifts/create/"]
        assert found.page.locator("#event").text_content() == answer.headers["x-sentry-event-id"]
        assert found.page.evaluate("document.documentElement.dataset.theme") == "dark"
        assert found.page.get_by_label("Your name").input_value() == PEOPLE["manager"].username
        assert found.page.get_by_label("Your e-mail").input_value() == PEOPLE["manager"].email
        assert found.page.get_by_text("Team notified").is_visible()
        assert found.page.get_by_role("link", name="Try again").count() == 0
        chrome.check_axe(found)
        found.page.get_by_role("button", name="Go back").click()
        found.page.get_by_label("Hours").wait_for()
        assert [request for request in found.requests if request.startswith("POST")] == found.requests[:1]


@pytest.mark.parametrize("target", ["starlette", "django"])
def test_a_page_of_the_application_is_left_alone(browser: Browser, tmp_path: Path, target: str) -> None:
    """What works is not touched."""
    with running(target, **environ(tmp_path)) as server, chrome.visit(browser, f"{server.url}/") as found:
        assert found.response is not None
        assert found.response.status == 200
        assert found.page.locator(".number").count() == 0
