"""The story: a manager signs in, looks around, wants to create a shift and mistypes the hours; then a page is missing.

Driven over HTTP as a browser would: cookies, the headers of a page visit, hidden form fields sent back.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any

import httpx

from examples.rota import PEOPLE

_BROWSER = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "Accept-Language": "en-GB,en;q=0.9",
    "Upgrade-Insecure-Requests": "1",
}

EXPECTED_VISITS = (
    ("GET", "/", 200),
    ("GET", "/login/", 302),
    ("GET", "/dashboard/", 200),
    ("GET", "/shifts/", 200),
    ("GET", "/shifts/create/", 200),
    ("POST", "/shifts/create/", 500),
    ("GET", "/no-such-page/", 404),
)
"""Method, path and status of each request of the story, in its order, redirects included."""

EXPECTED_BREADCRUMBS = (
    ("request", "GET /dashboard/ (200 OK)"),
    ("click", 'User clicked "Create Shift" button'),
    ("request", "GET /shifts/create/ (200 OK)"),
    ("form", "User filled shift creation form"),
    ("request", "POST /shifts/create/ (500 Internal Server Error)"),
    ("exception", "ValueError: invalid literal for int()"),
)
"""Category and beginning of the message of the breadcrumbs that must lead to the error, in their order."""


@dataclass(frozen=True)
class Story:
    """What the browser saw: each request as (method, path, status), and the two error pages."""

    visits: tuple[tuple[str, str, int], ...]
    error: httpx.Response
    missing: httpx.Response

    @property
    def event_id(self) -> str | None:
        """The event ID that the 500 page carries in its header, 32 hexadecimal digits; None where there is none."""
        return self.error.headers.get("X-Sentry-Event-ID")


class _HiddenFields(HTMLParser):
    """Collects the hidden inputs of a page, such as Django's CSRF token."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: dict[str, str] = {}
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "input" and given.get("type") == "hidden":
            self.found[given.get("name") or ""] = given.get("value") or ""


class Browser:
    """A visitor with cookies, who comes from the page seen last."""

    def __init__(self, client: httpx.Client) -> None:
        self.visits: list[tuple[str, str, int]] = []
        self._client = client
        self._page: httpx.Response | None = None
        client.headers.update(_BROWSER)
        client.follow_redirects = True
        client.event_hooks = {"response": [self._saw]}

    def _saw(self, response: httpx.Response) -> None:
        self.visits.append((response.request.method, response.url.path, response.status_code))

    def open(self, path: str) -> httpx.Response:
        """Follow a link to `path`."""
        return self._go("GET", path)

    def submit(self, path: str, **fields: str) -> httpx.Response:
        """Send the form of the page seen last, hidden fields included, to `path`."""
        hidden = _HiddenFields(self._page.text).found if self._page is not None else {}
        return self._go("POST", path, data={**hidden, **fields})

    def _go(self, method: str, path: str, data: Mapping[str, str] | None = None) -> httpx.Response:
        headers = {} if self._page is None else {"Referer": str(self._page.url)}
        if method == "POST":
            headers["Origin"] = str(self._client.base_url).rstrip("/")
        try:
            self._page = self._client.request(method, path, data=data, headers=headers)
        except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError):
            if method != "GET":
                raise
            # uvicorn closes a kept-alive connection after an application raised; browsers then try a new one.
            self._page = self._client.request(method, path, headers=headers)
        return self._page


def drive(base_url: str, *, http2: bool = False) -> Story:
    """Live the story against the example that serves `base_url`; raises `httpx.HTTPError` where nothing answers.

    `http2` speaks HTTP/2 and nothing else, without TLS (RFC 9113, section 3.3).
    """
    with httpx.Client(base_url=base_url, timeout=30, trust_env=False, http1=not http2, http2=http2) as client:
        browser = Browser(client)
        browser.open("/")
        browser.open("/login/?as=manager")
        browser.open("/shifts/")
        browser.open("/shifts/create/?via=button")
        error = browser.submit("/shifts/create/", day="Friday", hours="abc")
        missing = browser.open("/no-such-page/")
        return Story(tuple(browser.visits), error, missing)


def page_faults(story: Story) -> list[str]:
    """What the browser should have seen and did not, one sentence each; empty when all is well."""
    faults = []
    if story.visits != EXPECTED_VISITS:
        faults.append(f"The requests were {story.visits}; expected {EXPECTED_VISITS}.")
    if story.event_id is None:
        faults.append("The 500 page has no X-Sentry-Event-ID header.")
    elif story.event_id not in story.error.text:
        faults.append(f"The 500 page does not show the event ID {story.event_id}.")
    return faults


def event_faults(story: Story, event: Mapping[str, Any]) -> list[str]:
    """What Sentry should know of the error and does not, one sentence each; empty when all is well.

    `event` is the payload of the stored error event (https://develop.sentry.dev/sdk/data-model/event-payloads/).
    """
    manager = PEOPLE["manager"]
    user = event.get("user") or {}
    exception = _values(event.get("exception"))[-1:] or [{}]
    expected: tuple[tuple[str, Any, Any], ...] = (
        ("event ID", str(event.get("event_id")).replace("-", ""), story.event_id),
        ("exception", exception[0].get("type"), "ValueError"),
        ("exception's message", exception[0].get("value"), "invalid literal for int() with base 10: 'abc'"),
        ("user's ID", user.get("id"), manager.id),
        ("role tag", _tags(event).get("user.role"), manager.role),
        ("method tag", _tags(event).get("http.method"), "POST"),
        ("status tag", str(_tags(event).get("http.status_code")), "500"),
    )
    faults = [f"The {name} is {got!r}; expected {wanted!r}." for name, got, wanted in expected if got != wanted]
    preferences = (event.get("contexts") or {}).get("preferences") or {}
    if not preferences.items() >= manager.preferences.items():
        faults.append(f"The preferences are {preferences}; expected {manager.preferences}.")
    trail = [(str(crumb.get("category")), str(crumb.get("message"))) for crumb in _values(event.get("breadcrumbs"))]
    absent = _first_missing(EXPECTED_BREADCRUMBS, trail)
    if absent:
        faults.append(f"The breadcrumb {absent} is not there, or not in its place; there are {trail}.")
    return faults


def _values(given: Any) -> list[dict[str, Any]]:
    """The list of an interface that may come bare or under the key `values`."""
    return list(given.get("values") or ()) if isinstance(given, dict) else list(given or ())


def _tags(event: Mapping[str, Any]) -> dict[str, Any]:
    return dict(event.get("tags") or {})


def _first_missing(wanted: tuple[tuple[str, str], ...], trail: list[tuple[str, str]]) -> tuple[str, str] | None:
    """The first of `wanted` that `trail` does not hold after those before it, None when it holds all in order."""
    rest = iter(trail)
    for category, beginning in wanted:
        if not any(kind == category and message.startswith(beginning) for kind, message in rest):
            return category, beginning
    return None
