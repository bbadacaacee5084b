"""The answer that a visitor gets: its form, headers, words and links, with everything escaped."""

import json
import logging
import re
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import html5lib
import pytest
from hypothesis import given
from hypothesis import settings as bounded
from hypothesis import strategies as st

from asgi_rota_sentry.pages import Answer, ErrorPages, Situation
from asgi_rota_sentry.settings import Settings

EVENT = "0123456789abcdef0123456789abcdef"
TRACE = "fedcba9876543210fedcba9876543210"
LANGUAGES = ("cy", "de", "en", "es", "fr", "pl")
PAGES = ErrorPages(Settings(support_email="support@example.com"))
MARKUP = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>&amp;${event_id}$"


def html(pages: ErrorPages = PAGES, **known: Any) -> str:
    """The page for a browser."""
    return pages.answer(Situation(accept="text/html", **known)).body.decode()


def headers(answer: Answer) -> dict[str, str]:
    """The headers by name, which must not repeat."""
    found = {name.decode(): value.decode() for name, value in answer.headers}
    assert len(found) == len(answer.headers)
    return found


def texts(page: str) -> str:
    """What a person reads in the page."""
    body = re.sub(r"<(style|script)\b.*?</\1>", "", page, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", body)).split())


def tree(page: str) -> Any:
    """The page as parsed by the rules of HTML; a parse error is an error."""
    parser = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False)
    return parser.parse(page)


# ---- problem+json and plain text


def test_problem() -> None:
    """A JSON client gets RFC 9457 with our two IDs, not to be cached."""
    known = Situation(status=500, path="/shifts/é <1>", event_id=EVENT, trace_id=TRACE)
    answer = PAGES.answer(known)
    assert json.loads(answer.body) == {
        "type": "about:blank",
        "title": "Internal Server Error",
        "status": 500,
        "detail": "We could not finish what you asked for. It is our fault, not yours.",
        "instance": "/shifts/%C3%A9%20%3C1%3E",
        "event_id": EVENT,
        "trace_id": TRACE,
    }
    found = headers(answer)
    assert found["content-type"] == "application/problem+json"
    assert found["content-length"] == str(len(answer.body))
    assert found["cache-control"] == "no-store"
    assert found["x-content-type-options"] == "nosniff"
    assert found["x-sentry-event-id"] == EVENT
    assert found["vary"] == "Accept, Accept-Language"


def test_problem_of_the_unknown() -> None:
    """What is not known is left out."""
    assert json.loads(PAGES.answer(Situation(status=404, path="/x")).body).keys() == {
        "type",
        "title",
        "status",
        "detail",
        "instance",
    }


@pytest.mark.parametrize("status", [500, 501, 502, 503, 504, 511, 599])
def test_every_server_error_keeps_its_status(status: int) -> None:
    """The status stays what the application said, in the response and in the body."""
    answer = PAGES.answer(Situation(status=status))
    assert answer.status == status
    assert json.loads(answer.body)["status"] == status
    assert str(status) in texts(html(status=status))


def test_plain_text() -> None:
    """A client that accepts plain text alone gets some, in its language."""
    answer = PAGES.answer(Situation(status=500, accept="text/plain", accept_language="de", event_id=EVENT))
    assert headers(answer)["content-type"] == "text/plain; charset=utf-8"
    assert answer.body.decode().splitlines() == [
        "500 Etwas ist schiefgegangen",
        "",
        "Wir konnten Ihre Anfrage nicht abschließen. Der Fehler liegt bei uns, nicht bei Ihnen.",
        "",
        f"Ereignis-ID für den Support: {EVENT}",
    ]


# ---- headers

OF_THE_BODY = """
    Accept-Ranges Age Cache-Control Content-Digest Digest ETag Expires Last-Modified Link Pragma Referrer-Policy
    Refresh Repr-Digest SourceMap Trailer Transfer-Encoding X-Content-Type-Options X-Frame-Options X-Sentry-Event-ID
    CDN-Cache-Control Vercel-CDN-Cache-Control Surrogate-Control X-Accel-Expires
"""


def test_the_applications_other_headers_stay() -> None:
    """Cookies, CORS and the like stay in order; what spoke of the body, or to a cache, goes; `Vary` is merged."""
    replaced = [
        (b"Set-Cookie", b"a=1"),
        (b"Content-Type", b"text/plain"),
        (b"content-length", b"9"),
        (b"Content-Encoding", b"gzip"),
        (b"Content-Security-Policy", b"default-src *"),
        *((name.encode(), b"of the body") for name in OF_THE_BODY.split()),
        (b"Vary", b"Cookie, accept"),
        (b"vary", b"Origin"),
        (b"Access-Control-Allow-Origin", b"*"),
        (b"Retry-After", b"30"),
        (b"set-cookie", b"b=2"),
        (b"x-own", b"caf\xe9"),
    ]
    answer = PAGES.answer(Situation(status=503, accept="text/html"), replaced)
    assert answer.headers[:5] == [
        (b"Set-Cookie", b"a=1"),
        (b"Access-Control-Allow-Origin", b"*"),
        (b"Retry-After", b"30"),
        (b"set-cookie", b"b=2"),
        (b"x-own", b"caf\xe9"),
    ]
    ours = dict(answer.headers[5:])
    assert ours.keys() == {
        b"content-type",
        b"content-language",
        b"content-security-policy",
        b"content-length",
        b"cache-control",
        b"x-content-type-options",
        b"referrer-policy",
        b"vary",
    }
    assert ours[b"vary"] == b"Cookie, accept, Origin, Accept-Language"
    assert ours[b"cache-control"] == b"no-store"


def test_vary_star_stays() -> None:
    """`Vary: *` already says it all."""
    assert (b"vary", b"*") in PAGES.answer(Situation(status=404), [(b"Vary", b"*")]).headers


@pytest.mark.parametrize("accept", ["text/html", "application/json", "text/plain"])
def test_head(accept: str) -> None:
    """HEAD gets the headers of GET and no body."""
    get = PAGES.answer(Situation(status=404, accept=accept))
    head = PAGES.answer(Situation(status=404, accept=accept, method="HEAD"))
    assert head.body == b""
    assert head.headers == get.headers


def test_event_id_header_only_where_there_is_one() -> None:
    """The header is on a 5xx with an event, and never carries what no header may."""
    assert "x-sentry-event-id" not in headers(PAGES.answer(Situation(status=500)))
    assert "x-sentry-event-id" not in headers(PAGES.answer(Situation(status=404, event_id=EVENT)))
    assert "x-sentry-event-id" not in headers(PAGES.answer(Situation(status=500, event_id="a\r\nset-cookie: b=c")))


def test_policy_allows_the_pages_own_code_and_nothing_else() -> None:
    """The policy names the hashes of the style sheet and script in the page, and the places of its forms."""
    from base64 import b64encode
    from hashlib import sha256

    for status in (404, 500):
        answer = PAGES.answer(Situation(status=status, accept="text/html"))
        policy = headers(answer)["content-security-policy"]
        for kind in ("style", "script"):
            (code,) = re.findall(rf"<{kind}>(.*?)</{kind}>", answer.body.decode(), re.DOTALL)
            digest = b64encode(sha256(code.encode()).digest()).decode()
            assert f"{kind}-src 'sha256-{digest}';" in policy
        assert "unsafe" not in policy
        assert {"default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'", "form-action 'self'"} <= set(
            policy.split("; ")
        )


def test_policy_allows_a_search_elsewhere() -> None:
    """The search form may lead to another host, if the settings say so, and nowhere else."""
    pages = ErrorPages(Settings(search_url="https://find.example.com:8443/s"))
    policy = headers(pages.answer(Situation(status=404, accept="text/html")))["content-security-policy"]
    assert "form-action 'self' https://find.example.com:8443" in policy


def test_a_search_with_a_query_of_its_own_keeps_it() -> None:
    """A form that is sent with GET replaces the query of its action, so what stands there is a field of the form."""
    page = html(ErrorPages(Settings(search_url='/find?site=rota&in=a%26b"&q=')), status=404, path="/shifts/")
    form = tree(page).find(".//form[@role='search']")
    fields = [(field.get("type"), field.get("name"), field.get("value")) for field in form.iter("input")]
    assert fields == [("hidden", "site", "rota"), ("hidden", "in", 'a&b"'), ("search", "q", "shifts")]


# ---- the 404 page


def test_404_page() -> None:
    """It says what happened, and offers the search, the suggestions, the way home and the way back."""
    page = html(status=404, path="/shifts/early-morning_2024.html")
    assert '<form role="search" action="/search/">' in page
    assert 'name="q" value="early morning 2024"' in page
    assert '<a class="button main" href="/">Take me home</a>' in page
    assert '<a href="/dashboard/">Open your dashboard</a>' in page
    assert "Go back</button>" in page
    assert "Check the address for a typing error." in page
    assert "mailto:support@example.com?subject=Error%20404" in page


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/", ""),
        ("/staff/Zoë-Müller/", "Zoë Müller"),
        ("/a/b.c/annual.leave.php", "annual leave"),
        ("/shifts/999", "999"),
        ("/x/7f4a1f8e-7d5b-4d5e-9b56-0d5f6f3f9a11/", ""),
        ("/x/----/", ""),
        ("/" + "long-" * 50, ("long " * 12).strip()),
    ],
)
def test_search_words(path: str, words: str) -> None:
    """The search is filled with the words of the last segment of the path; an ID made by a machine is none."""
    assert f'name="q" value="{words}"' in html(status=404, path=path)


# ---- the 500 page


def test_500_page_of_a_reported_error() -> None:
    """It has the event ID, says that the error was reported and the team notified, and offers the form."""
    page = html(
        status=500,
        path="/shifts/create/",
        event_id=EVENT,
        reported=True,
        user_name="Sam Wood",
        user_email="scw1001@example.com",
    )
    seen = texts(page)
    assert f"Event ID for support {EVENT}" in seen
    assert "Error reported Team notified" in seen
    assert "Nobody has been notified" not in seen
    assert "No report was made" not in seen
    assert "What may have happened" in seen
    assert '<form class="form" method="post" action="/api/error-feedback/" enctype="multipart/form-data">' in page
    assert f'<input type="hidden" name="event_id" value="{EVENT}">' in page
    assert '<input type="hidden" name="url" value="/shifts/create/">' in page
    assert 'value="Sam Wood"' in page
    assert 'value="scw1001@example.com"' in page
    assert '<input name="website" tabindex="-1" autocomplete="off">' in page
    assert f"mailto:support@example.com?subject=Error%20{EVENT}" in page
    assert '<a class="button main" href="/">Go to homepage</a>' in page
    assert '<a class="button" href="">Try again</a>' in page


def test_500_page_of_an_error_kept_locally() -> None:
    """In debug mode and without a DSN nobody was notified, and the page does not say so."""
    seen = texts(html(status=500, event_id=EVENT))
    assert "Recorded on this server only. Nobody has been notified." in seen
    assert "Error reported" not in seen
    assert "Team notified" not in seen
    assert "No report was made" not in seen
    assert EVENT in seen


@pytest.mark.parametrize("reported", [True, False])
def test_500_page_without_an_event(*, reported: bool) -> None:
    """Without an event there is no ID, and the page asks for a report instead, even if told that it was reported."""
    page = html(status=500, reported=reported)
    seen = texts(page)
    assert "No report was made, so please tell us." in seen
    assert "Nobody has been notified" not in seen
    assert "Event ID" not in seen
    assert "Error reported" not in seen
    assert 'name="event_id" value=""' in page


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_a_post_is_never_silently_repeated(method: str) -> None:
    """After anything but a GET, "Try again" is not offered, and the visitor is told to look first."""
    seen = texts(html(status=500, method=method))
    assert "Try again" not in seen
    assert "Before you send it again, check whether it was saved." in seen


def test_a_busy_service_says_so() -> None:
    """502, 503 and 504 have words of their own."""
    assert "be back in a moment" in texts(html(status=503))
    assert "Something went wrong" in texts(html(status=507))


def test_form_behind_a_prefix() -> None:
    """The form posts to the feedback path below the server's mount prefix."""
    assert 'action="/rota%20x/api/error-feedback/"' in html(status=500, root_path="/rota x")


@pytest.mark.parametrize("status", [404, 500])
def test_what_is_not_configured_is_left_out(status: int) -> None:
    """Without home, dashboard, search and support there is no trace of them, and the page is still valid."""
    page = html(ErrorPages(Settings(home_url="", dashboard_url="", search_url="")), status=status, method="POST")
    tree(page)
    assert "mailto:" not in page
    assert "<a " not in page
    assert "search" not in re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)


# ---- themes and languages


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_theme(theme: str) -> None:
    """The user's theme is set; without one the system's decides."""
    assert f'<html lang="en" dir="ltr" data-theme="{theme}">' in html(status=404, theme=theme)
    assert '<html lang="en" dir="ltr">' in html(status=404, theme="solarized")


@pytest.mark.parametrize("language", LANGUAGES)
def test_language(language: str) -> None:
    """Each language sets `lang`, and leaves no word of a page in English."""
    english, own = (
        {line for status in (404, 500) for line in re.findall(r">([^<>{}\n]{3,})<", html(status=status, language=code))}
        for code in ("en", language)
    )
    assert f'<html lang="{language}"' in html(status=404, language=language)
    same = {"support@example.com"} if language != "en" else english
    assert (english & own) - {"500"} == same - {"500"}


def test_every_language_is_complete() -> None:
    """Each built-in language has exactly the keys of English, so that nothing falls back unseen."""
    import tomllib

    folder = Path(__file__).parent.parent / "asgi_rota_sentry" / "pages" / "languages"
    keys = {path.stem: tomllib.loads(path.read_text(encoding="utf-8")).keys() for path in folder.glob("*.toml")}
    assert set(keys) == set(LANGUAGES)
    assert all(found == keys["en"] for found in keys.values())


# ---- robustness


def test_everything_is_escaped() -> None:
    """Paths, names, e-mails, event IDs and settings full of markup stay text."""
    pages = ErrorPages(
        Settings(search_url="/s?a=\"><b>&c='", home_url="/h?\"'<i>", support_email="o`{hare}&=@example.com")
    )
    for status in (404, 500):
        page = html(
            pages,
            status=status,
            path="/" + MARKUP,
            root_path="/" + MARKUP,
            event_id=MARKUP,
            trace_id=MARKUP,
            reported=True,
            user_name=MARKUP,
            user_email=MARKUP,
            theme=MARKUP,
            language=MARKUP,
        )
        found = tree(page)
        assert len(found.findall(".//script")) == 1
        assert not found.findall(".//img")
        assert not found.findall(".//b")
        assert "onerror=alert" not in {name for element in found.iter() for name in element.attrib}
        if status == 500:
            assert MARKUP in texts(page)
            assert found.find(".//input[@name='name']").get("value") == MARKUP


@pytest.mark.parametrize("status", [404, 500, 503])
@pytest.mark.parametrize("language", LANGUAGES)
def test_html_is_valid_and_small(status: int, language: str) -> None:
    """Each page parses without an error by the rules of HTML and has at most 14 KiB, with the longest values too."""
    long = '<&>"é' * 10_000
    known = {"event_id": EVENT, "reported": True, "language": language}
    usual = html(status=status, **known)
    longest = html(status=status, path="/" + long, user_name=long, user_email=long, **known)
    for page in (usual, longest):
        tree(page)
        assert len(page.encode()) <= 14 * 1024


TEXT = st.none() | st.text(st.characters())


@bounded(max_examples=100, deadline=None)
@given(
    st.builds(
        Situation,
        status=st.sampled_from([404, 500, 503]),
        path=st.text(st.characters()),
        accept=st.just("text/html"),
        accept_language=TEXT,
        event_id=TEXT,
        user_name=TEXT,
        user_email=TEXT,
        theme=TEXT,
        language=TEXT,
    )
)
def test_no_value_breaks_a_page(known: Situation) -> None:
    """Whatever the values, there is a complete page of the right length."""
    answer = PAGES.answer(known)
    assert answer.body.startswith(b"<!DOCTYPE html>")
    assert answer.body.endswith(b"</html>\n")
    assert headers(answer)["content-length"] == str(len(answer.body))


def test_a_lone_surrogate_is_no_error() -> None:
    """Text that cannot be encoded, such as a path from a careless server, is shown with a replacement."""
    for accept in ("text/html", "application/json", "text/plain"):
        answer = PAGES.answer(
            Situation(status=500, accept=accept, path="/\udcff", user_name="\ud800", event_id="\udcff")
        )
        assert headers(answer)["cache-control"] == "no-store"


def test_a_fault_of_ours_is_logged_once_and_answered(caplog: pytest.LogCaptureFixture) -> None:
    """When a page cannot be made, the visitor gets the phrase of the status, and the log one complaint."""
    pages = ErrorPages(Settings())
    broken: Any = Situation(status=503, accept="text/html", path=None)  # type: ignore[arg-type]
    with caplog.at_level(logging.ERROR, "asgi_rota_sentry"):
        answers = [pages.answer(broken), pages.answer(broken)]
    assert [(answer.status, answer.body) for answer in answers] == [(503, b"Service Unavailable")] * 2
    assert headers(answers[0]) == {"content-type": "text/plain; charset=utf-8", "content-length": "19"}
    assert len(caplog.records) == 1


# ---- the pages of the feedback form


def test_feedback_page() -> None:
    """The form alone comes with what was written before and why it comes again, escaped."""
    known = Situation(status=422, path="/api/error-feedback/", event_id=EVENT, language="de", user_name="Sam")
    answer = PAGES.feedback(known, message="</textarea><b>x", fault="fault_long")
    page = answer.body.decode()
    assert answer.status == 422
    assert tree(page).find(".//textarea").text == "</textarea><b>x"
    assert 'role="alert">Diese Nachricht ist zu lang. Bitte kürzen Sie sie.<' in page
    assert 'value="Sam"' in page
    assert "422" not in texts(page)
    assert 'role="alert"' not in PAGES.feedback(known).body.decode()


def test_thanks_page() -> None:
    """The page after feedback thanks, and shows the event ID if there is one."""
    page = PAGES.thanks(Situation(status=200, event_id=EVENT)).body.decode()
    tree(page)
    assert (
        f"Thank you Your message has reached us. It helps us to put the error right. Event ID for support {EVENT}"
        in (texts(page))
    )


def test_mail_link_is_a_mail_link() -> None:
    """The link's subject holds the event ID, whatever it is, and nothing else gets into the link."""
    page = html(status=500, event_id="a&cc=spy@example.com\r\nb")
    link = urlsplit(tree(page).find(".//p[@class='mail']/a").get("href"))
    assert link.scheme == "mailto"
    assert link.path == "support@example.com"
    assert unquote(link.query) == "subject=Error a&cc=spy@example.com\r\nb"
    assert "&" not in link.query
