"""What is served for which `Accept` and `Accept-Language`: RFC 9110, sections 12.4 and 12.5."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_rota_sentry.pages.accept import HTML, PLAIN, PROBLEM, language, media_type

CHROME = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8"
TAGS = ("en", "de", "fr", "es", "cy", "pl", "pt-br")


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, PROBLEM),
        ("", PROBLEM),
        ("*/*", PROBLEM),
        (CHROME, HTML),
        ("text/html", HTML),
        ("TEXT/HTML", HTML),
        ("text/html, */*;q=0.1", HTML),
        ("text/html, */*", HTML),
        ("text/*", HTML),
        ("text/html, application/json", HTML),
        ("application/json", PROBLEM),
        ("application/problem+json", PROBLEM),
        ("application/*", PROBLEM),
        ("application/json, text/plain, */*", PROBLEM),
        ("application/json;charset=utf-8", PROBLEM),
        ("application/json;q=0.9, text/html;q=0.8", PROBLEM),
        ("application/json;q=0.8, text/html;q=0.9", HTML),
        ("text/html;q=0, */*", PROBLEM),
        ("text/html;q=0.000, text/plain;q=0.001", PLAIN),
        ("text/plain", PLAIN),
        ("text/plain, */*", PROBLEM),
        ("text/plain, */*;q=0.5", PLAIN),
        ("text/plain, text/html;q=0.5", PLAIN),
        ("text/html;q=0, text/*", PLAIN),
        ("image/png", PROBLEM),
        ("application/vnd.api+json", PROBLEM),
        ("*/*;q=0", PROBLEM),
        (";;;,,,q=,text/html;q=high", HTML),
        ("text/html;level=1;q=0.4, application/json;q=0.3", HTML),
        ("text/html ; q=0.2 , application/json ; q=0.9", PROBLEM),
        ("\x00\xff/é;q=²", PROBLEM),
        ("a/b," * 100_000 + "text/html", PROBLEM),
    ],
)
def test_media_type(accept: str | None, expected: str) -> None:
    """The best quality wins, the more specific range counts, plain text is the last resort; nonsense is no error."""
    assert media_type(accept) == expected


@pytest.mark.parametrize(
    ("preferred", "accept_language", "expected"),
    [
        (None, None, "en"),
        (None, "de", "de"),
        (None, "DE-at", "de"),
        (None, "fr-CH, fr;q=0.9, en;q=0.8, de;q=0.7, *;q=0.5", "fr"),
        (None, "it, cy;q=0.4, pl;q=0.5", "pl"),
        (None, "de;q=0, es", "es"),
        (None, "pt-BR-x-own", "pt-br"),
        (None, "pt", "en"),
        (None, "*", "en"),
        ("pl", "de", "pl"),
        ("de_DE", "fr", "de"),
        ("it", "fr", "fr"),
        ("", "fr", "fr"),
        ("../../etc/passwd", "\x00;q=;,,", "en"),
    ],
)
def test_language(preferred: str | None, accept_language: str | None, expected: str) -> None:
    """The user's preference comes first, then the best of `Accept-Language`, then English."""
    assert language(TAGS, preferred, accept_language) == expected


@given(st.text(), st.text())
def test_any_text_is_answered(accept: str, accept_language: str) -> None:
    """No header makes the choice fail."""
    assert media_type(accept) in (HTML, PROBLEM, PLAIN)
    assert language(TAGS, accept, accept_language) in TAGS
