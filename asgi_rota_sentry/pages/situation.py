"""What there is to say to a visitor, as the fields of a template, as problem+json and as plain text."""

import json
import re
from collections.abc import Container, Mapping
from functools import lru_cache
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, urlsplit

from asgi_rota_sentry.settings import Settings

_encode = json.JSONEncoder().encode
_UNAVAILABLE = (502, 503, 504)
_THEMES = ("dark", "light")
_PLAIN_PATH = re.compile(r"[\w.~/:@!$&'()*+,;=-]*", re.ASCII).fullmatch
_EXTENSION = re.compile(r"\.[a-z]\w{1,4}$", re.IGNORECASE)
_SEPARATORS = re.compile(r"[\W_]+")
_MACHINE_MADE = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}", re.IGNORECASE)
_LONGEST_WORDS = 60
_LONGEST_URL = 300  # the path alone: a query may hold secrets
_LONGEST_NAME = 100
_LONGEST_EMAIL = 254  # RFC 5321, section 4.5.3.1.3


class Situation(NamedTuple):
    """What there is to say to the visitor; whatever is unknown is None and left out.

    `path` is that of the request, decoded; `root_path` is the mount prefix that the server gave, read before the
    application ran, since routers write into it. `accept` and `accept_language` are the request's headers, several of
    one name joined by commas. `reported`: an event was accepted and goes to a server; False in debug mode and without
    a DSN, where an event is only kept locally, and not even that where `kept` is False. `theme` is `dark` or `light`,
    `language` a tag such as `de`: the user's preferences.
    """

    status: int
    method: str = "GET"
    path: str = "/"
    root_path: str = ""
    accept: str | None = None
    accept_language: str | None = None
    event_id: str | None = None
    trace_id: str | None = None
    reported: bool = False
    kept: bool = True
    user_name: str | None = None
    user_email: str | None = None
    theme: str | None = None
    language: str | None = None


class Outcome(NamedTuple):
    """What many situations have in common: how it ended, and in which colours it is told."""

    status: int
    theme: str
    recorded: bool
    reported: bool
    repeatable: bool


@lru_cache(maxsize=256)
def phrase(status: int) -> str:
    """The standard reason phrase (RFC 9110, section 15), or a general one for a status without."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Server Error"


def words(path: str) -> str:
    """The words of a path's last segment, as one would type them into a search."""
    segment = path.rstrip("/").rpartition("/")[2]
    if _MACHINE_MADE.fullmatch(segment):
        return ""
    return _SEPARATORS.sub(" ", _EXTENSION.sub("", segment))[:_LONGEST_WORDS].strip()


def _title_and_lead(status: int, texts: Mapping[str, str]) -> tuple[str, str]:
    kind = "missing" if status == 404 else "busy" if status in _UNAVAILABLE else "error"
    return texts[f"{kind}_title"], texts[f"{kind}_lead"]


def _mail(settings: Settings, situation: Situation, texts: Mapping[str, str]) -> str:
    """A `mailto:` link (RFC 6068) whose subject has the event ID."""
    if settings.support_email is None:
        return ""
    subject = f"{texts['subject']} {situation.event_id or situation.status}"
    return f"mailto:{quote(settings.support_email, safe='@')}?subject={quote(subject, errors='replace')}"


def _url(path: str) -> str:
    """A path as it stands in a URL (RFC 3986, section 3.3)."""
    return path if _PLAIN_PATH(path) else quote(path, safe="/:@!$&'()*+,;=~", errors="replace")


@lru_cache(maxsize=64)
def _own_url(root_path: str, path: str) -> str:
    """Of one of the middleware's own routes, below the mount prefix."""
    return _url(root_path + path)


def outcome(situation: Situation) -> Outcome:
    """What the situation has in common with many others."""
    return Outcome(
        situation.status,
        situation.theme if situation.theme in _THEMES else "",
        bool(situation.event_id) and (situation.reported or situation.kept),
        situation.reported,
        situation.method in ("GET", "HEAD"),
    )


def fixed_values(settings: Settings, language: str, texts: Mapping[str, str]) -> dict[str, str]:
    """The fields of a template that are the same for all: `t_` and a key is a text of the language."""
    return {
        **{f"t_{key}": text for key, text in texts.items()},
        "lang": language,
        "home_url": settings.home_url,
        "dashboard_url": settings.dashboard_url,
        "search_url": settings.search_url,
        "support_email": settings.support_email or "",
    }


def search_fields(settings: Settings) -> list[tuple[str, str]]:
    """What the query of `search_url` has besides `q`: a form that is sent with GET replaces its action's query."""
    query = parse_qsl(urlsplit(settings.search_url).query, keep_blank_values=True)
    return [(name, value) for name, value in query if name != "q"]


def outcome_values(common: Outcome, texts: Mapping[str, str]) -> dict[str, str]:
    """The fields of a template that say how it ended; an empty one is left out of the page."""
    title, lead = _title_and_lead(common.status, texts)
    return {
        "theme": common.theme,
        "title": title,
        "lead": lead,
        "reported": "yes" if common.recorded and common.reported else "",
        "kept": "yes" if common.recorded and not common.reported else "",
        "unreported": "" if common.recorded else "yes",
        "status": str(common.status),
        "message": "",
        "fault": "",
        "repeatable": "yes" if common.repeatable else "",
    }


def own_values(
    settings: Settings, situation: Situation, texts: Mapping[str, str], wanted: Container[str]
) -> dict[str, str]:
    """The fields of a template that are this situation's alone; of the costly ones those that are wanted."""
    return {
        "url": _url(situation.path)[:_LONGEST_URL],
        "event_id": situation.event_id or "",
        "trace_id": situation.trace_id or "",
        "words": words(situation.path) if "words" in wanted else "",
        "support_link": _mail(settings, situation, texts) if "support_link" in wanted else "",
        "feedback_url": _own_url(situation.root_path, settings.feedback_path),
        "user_name": (situation.user_name or "")[:_LONGEST_NAME],
        "user_email": (situation.user_email or "")[:_LONGEST_EMAIL],
    }


def problem(situation: Situation, texts: Mapping[str, str]) -> bytes:
    """The situation as problem+json (RFC 9457); in English, since a program reads it."""
    found: dict[str, str | int] = {
        "type": "about:blank",
        "title": phrase(situation.status),
        "status": situation.status,
        "detail": _title_and_lead(situation.status, texts)[1],
        "instance": _url(situation.path)[:_LONGEST_URL],
    }
    if situation.event_id:
        found["event_id"] = situation.event_id
    if situation.trace_id:
        found["trace_id"] = situation.trace_id
    return _encode(found).encode()


def plain(situation: Situation, texts: Mapping[str, str]) -> bytes:
    """The situation as plain text."""
    title, lead = _title_and_lead(situation.status, texts)
    lines = [f"{situation.status} {title}", "", lead]
    if situation.event_id:
        lines += ["", f"{texts['event']}: {situation.event_id}"]
    return ("\n".join(lines) + "\n").encode("utf-8", "replace")
