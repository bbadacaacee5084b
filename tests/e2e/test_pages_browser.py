"""The pages in a real Chromium, from a tiny application under uvicorn."""

import re
import threading
import time
from collections.abc import Iterator
from urllib.parse import parse_qs, urlencode

import pytest
import uvicorn
from playwright.sync_api import Browser

from asgi_rota_sentry.pages import ErrorPages, Situation
from asgi_rota_sentry.settings import Settings
from asgi_rota_sentry.types import Receive, Scope, Send
from tests.e2e import browser as chrome

pytestmark = pytest.mark.e2e

EVENT = "0123456789abcdef0123456789abcdef"
USER = {"user_name": "Sam Wood", "user_email": "scw1001@example.com"}
FULL = ErrorPages(Settings(support_email="support@example.com"))
BARE = ErrorPages(Settings(home_url="", dashboard_url="", search_url=""))


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the page for the situation that the query describes; `/ok` is a page without a fault."""
    asked = {key: values[0] for key, values in parse_qs(scope["query_string"].decode()).items()}
    sent = dict(scope["headers"])
    pages = BARE if asked.pop("bare", "") else FULL
    known = Situation(
        status=int(asked.pop("status", "404")),
        method=asked.pop("method", scope["method"]),
        path=scope["path"],
        accept=sent.get(b"accept", b"").decode(),
        accept_language=asked.pop("lang", None) or sent.get(b"accept-language", b"").decode(),
        reported=bool(asked.pop("reported", "")),
        **{key: value for key, value in asked.items() if key in Situation._fields},
    )
    answer = pages.answer(known)
    if scope["path"] == "/thanks":
        answer = pages.thanks(known)
    elif scope["path"] == "/feedback":
        answer = pages.feedback(known, "I pressed the button.", "fault_often")
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    await send({"type": "http.response.body", "body": answer.body})


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """The address of the application, served for as long as the tests of this module take."""
    server = uvicorn.Server(uvicorn.Config(application, port=0, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    for _ in range(200):
        if server.started:
            break
        time.sleep(0.05)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(10)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chrome.chromium() as opened:
        yield opened


def url(site: str, path: str = "/shifts/early-morning/", **known: object) -> str:
    return f"{site}{path}?{urlencode(known)}"


@pytest.mark.parametrize(
    ("path", "known"),
    [
        ("/shifts/early-morning/", {"status": 404}),
        ("/shifts/create/", {"status": 500, "event_id": EVENT, "reported": 1, **USER}),
    ],
)
def test_page(browser: Browser, site: str, path: str, known: dict[str, object]) -> None:
    """Both pages are valid, silent, accessible and fit, at three widths, light and dark."""
    chrome.check_page(browser, url(site, path, **known))


@pytest.mark.parametrize(
    ("path", "known"),
    [
        ("/" + "a-very-long-address-" * 20, {"status": 404, "lang": "de"}),
        ("/x", {"status": 404, "bare": 1}),
        ("/shifts/create/", {"status": 500, "event_id": EVENT, "lang": "cy", "method": "POST"}),
        ("/x", {"status": 503, "bare": 1}),
        ("/thanks", {"status": 200, "event_id": EVENT}),
        ("/feedback", {"status": 422, "event_id": EVENT, "lang": "fr"}),
    ],
)
def test_variant(browser: Browser, site: str, path: str, known: dict[str, object]) -> None:
    """So is each variant, at its narrowest and its widest."""
    chrome.check_page(browser, url(site, path, **known), looks=[(320, "light"), (1280, "dark")])


@pytest.mark.parametrize("language", ["en", "de", "fr", "es", "cy", "pl"])
def test_every_language_fits(browser: Browser, site: str, language: str) -> None:
    """No language is too long for the narrowest window."""
    for status in (404, 500):
        with chrome.visit(browser, url(site, status=status, event_id=EVENT, lang=language), 320) as found:
            assert found.page.evaluate("document.documentElement.lang") == language
            chrome.check_fits(found)


@pytest.mark.parametrize("status", [404, 500])
def test_200_percent(browser: Browser, site: str, status: int) -> None:
    """At 200 % zoom a desktop's page fits; so it does when the text alone is twice as large (WCAG 1.4.4)."""
    with chrome.visit(browser, url(site, status=status, event_id=EVENT), 640, device_scale_factor=2) as found:
        chrome.check_fits(found)
        found.page.evaluate("document.documentElement.style.fontSize = '200%'")
        chrome.check_fits(found)


def test_keyboard_only_404(browser: Browser, site: str) -> None:
    """The Tab key reaches all in the order of reading; Enter on "Go back" goes back."""
    with chrome.visit(browser, url(site, "/before", status=500), 1280) as found:
        found.page.goto(url(site, status=404))
        assert chrome.tab_through(found) == [
            "Take me home",
            "Go back",
            "q",
            "Search",
            "Start again from the home page",
            "Open your dashboard",
            "support@example.com",
        ]
        found.page.get_by_role("button", name="Go back").focus()
        found.page.keyboard.press("Enter")
        found.page.wait_for_url("**/before?*")


def test_keyboard_only_500(browser: Browser, site: str) -> None:
    """The Tab key reaches all in the order of reading, but never the trap for robots; Enter tries again."""
    address = url(site, status=500, event_id=EVENT, reported=1)
    with chrome.visit(browser, address, 1280) as found:
        assert chrome.tab_through(found) == [
            "Copy",
            "support@example.com",
            "Go to homepage",
            "Try again",
            "message",
            "name",
            "email",
            "Send",
        ]
        found.page.get_by_role("link", name="Try again").focus()
        with found.page.expect_navigation():
            found.page.keyboard.press("Enter")
        assert found.requests == [f"GET {address}"] * 2


def test_copy(browser: Browser, site: str) -> None:
    """The button copies the event ID and says so, where it is seen and where a screen reader hears it."""
    allowed = {"permissions": ["clipboard-read", "clipboard-write"]}
    with chrome.visit(browser, url(site, status=500, event_id=EVENT), **allowed) as found:
        found.page.get_by_role("button", name="Copy").click()
        found.page.get_by_role("status").get_by_text("Copied").wait_for()
        assert found.page.evaluate("navigator.clipboard.readText()") == EVENT


def test_copy_without_the_clipboard_interface(browser: Browser, site: str) -> None:
    """Where the page is not served securely, so that the interface is missing, the ID is selected and copied."""
    with chrome.visit(browser, url(site, status=500, event_id=EVENT)) as found:
        found.page.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
        found.page.get_by_role("button", name="Copy").click()
        assert found.page.evaluate("getSelection().toString()").strip() == EVENT
        found.page.get_by_role("status").get_by_text("Copied").wait_for()


def test_search(browser: Browser, site: str) -> None:
    """The search takes the words of the address, and asks the search page by GET."""
    with chrome.visit(browser, url(site, status=404)) as found:
        assert found.page.get_by_role("searchbox").input_value() == "early morning"
        found.page.get_by_role("button", name="Search").click()
        found.page.wait_for_url("**/search/?q=early+morning")


def test_feedback_is_posted(browser: Browser, site: str) -> None:
    """The form posts what was written, with the event and the address, and wants a message."""
    with chrome.visit(browser, url(site, status=500, event_id=EVENT, **USER)) as found:
        found.page.get_by_role("button", name="Send").click()
        assert len(found.requests) == 1
        found.page.get_by_label("What were you doing?").fill("Adding a shift & more")
        with found.page.expect_request("**/api/error-feedback/") as posted:
            found.page.get_by_role("button", name="Send").click()
        assert posted.value.method == "POST"
        parts = re.findall(r'name="(\w+)"\r\n\r\n(.*?)\r\n--', posted.value.post_data or "")
        assert dict(parts) == {
            "event_id": EVENT,
            "url": "/shifts/early-morning/",
            "message": "Adding a shift & more",
            "name": "Sam Wood",
            "email": "scw1001@example.com",
            "website": "",
        }


@pytest.mark.parametrize("status", [404, 500])
def test_without_javascript(browser: Browser, site: str, status: int) -> None:
    """Without JavaScript all that is shown works, and what needs it is not shown."""
    with chrome.visit(browser, url(site, status=status, event_id=EVENT), java_script_enabled=False) as found:
        assert found.page.get_by_role("button").all_text_contents() == (["Search"] if status == 404 else ["Send"])
        chrome.check_quiet(found)


def test_no_way_back_where_there_is_none(browser: Browser, site: str) -> None:
    """In a fresh tab there is nothing to go back to, so there is no button for it."""
    with chrome.visit(browser, url(site, "/before", status=500)) as found:
        with found.page.context.expect_page() as opened:
            found.page.evaluate("address => { open(address, '_blank', 'noopener') }", url(site, status=404))
        opened.value.wait_for_load_state()
        assert opened.value.evaluate("history.length") == 1
        assert opened.value.get_by_role("link", name="Take me home").is_visible()
        assert opened.value.get_by_role("button", name="Go back").count() == 0


def test_theme_preference_wins_over_the_system(browser: Browser, site: str) -> None:
    """A user who prefers dark gets dark on a light system, and the other way round."""
    card = "getComputedStyle(document.querySelector('.card')).backgroundColor"
    seen = {}
    for theme in ("dark", "light"):
        for scheme in ("dark", "light"):
            with chrome.visit(browser, url(site, status=404, theme=theme), scheme=scheme) as found:
                seen[theme, scheme] = found.page.evaluate(card)
    assert seen["dark", "dark"] == seen["dark", "light"] != seen["light", "dark"] == seen["light", "light"]


def test_reduced_motion(browser: Browser, site: str) -> None:
    """Who asks for less motion gets none."""
    for status in (404, 500):
        address = url(site, status=status)
        with chrome.visit(browser, address, reduced_motion="reduce") as still, chrome.visit(browser, address) as moving:
            count = "document.getAnimations().length"
            assert still.page.evaluate(count) == 0
            assert moving.page.evaluate(count) == 1


def test_motion_ends(browser: Browser, site: str) -> None:
    """What moves by itself stops within five seconds (WCAG 2.2.2)."""
    for status in (404, 500):
        with chrome.visit(browser, url(site, status=status)) as found:
            ends = "Math.max(...document.getAnimations().map(one => one.effect.getComputedTiming().endTime))"
            assert 0 < found.page.evaluate(ends) <= 5000


def test_forced_colours(browser: Browser, site: str) -> None:
    """In forced colours every button and card keeps a border to be seen by, and axe is content."""
    with chrome.visit(browser, url(site, status=500, event_id=EVENT), forced_colors="active") as found:
        chrome.check_axe(found)
        for selector in (".card", ".card .button", ".hero .button", "input[type=email]"):
            style = f"getComputedStyle(document.querySelector('{selector}'))"
            assert found.page.evaluate(f"{style}.borderTopStyle") == "solid"
            assert found.page.evaluate(f"{style}.borderTopColor") != found.page.evaluate(f"{style}.backgroundColor")


def test_print(browser: Browser, site: str) -> None:
    """On paper there is black on white, with the event ID and without buttons or forms."""
    with chrome.visit(browser, url(site, status=500, event_id=EVENT), scheme="dark") as found:
        found.page.emulate_media(media="print")
        assert found.page.get_by_text(EVENT).is_visible()
        assert found.page.get_by_role("button").count() == 0
        assert not found.page.get_by_role("link", name="Try again").is_visible()
        assert not found.page.get_by_label("What were you doing?").is_visible()
        for selector in ("h1", ".lead", ".card li", ".event code"):
            assert (
                found.page.evaluate(f"getComputedStyle(document.querySelector('{selector}')).color") == "rgb(0, 0, 0)"
            )
        assert found.page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "light"
        for selector in ("body", ".card", ".event"):
            style = f"getComputedStyle(document.querySelector('{selector}'))"
            assert found.page.evaluate(f"{style}.backgroundImage") == "none"
            assert found.page.evaluate(f"{style}.backgroundColor") == "rgba(0, 0, 0, 0)"
