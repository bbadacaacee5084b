"""How the visitor likes it: theme, language and time zone, from the user, else from the request."""

import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote

from asgi_rota_sentry import request
from asgi_rota_sentry.identity.shapes import first, get, worth_asking

PREFERENCES = ("theme", "language", "timezone")
_SPELLINGS = {
    "theme": ("theme", "color_scheme"),
    "language": ("language", "locale", "lang", "language_code"),
    "timezone": ("timezone", "time_zone", "tz", "zoneinfo"),  # `zoneinfo` and `locale` are OpenID Connect's
}
_SOURCES = ("preferences", "profile", *(name for names in _SPELLINGS.values() for name in names))
# The cookies by what they tell; of two that tell the same the first counts.
_COOKIES = {
    "theme": "theme",
    "language": "language",
    "django_language": "language",
    "timezone": "timezone",
    "django_timezone": "timezone",
}
_SENT = frozenset(name.encode() for name in _COOKIES)
_LONGEST = 1_000
_MAYBE_PREFERENCE = re.compile(r"[A-Za-z][A-Za-z0-9_+/:.-]{0,63}")
_LANGUAGE = re.compile(r"[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8}){0,4}")


def of_user(user: Any) -> dict[str, str]:
    """What the user object itself says: under `preferences`, under `profile`, or as own attributes."""
    if not worth_asking(user, _SOURCES):
        return {}
    sources = [get(user, "preferences"), get(user, "profile"), user]
    sources.insert(2, get(sources[1], "preferences"))
    sources = [source for source in sources if source is not None]
    found: dict[str, str] = {}
    for name in PREFERENCES:
        for source in sources:
            value = first(source, *_SPELLINGS[name])
            if value:
                found[name] = value
                break
    return found


def requested(headers: Mapping[bytes, bytes], cookies: bytes) -> Mapping[str, str]:
    """What the request says: the cookies `theme`, `language` and `timezone`, and the Accept-Language header."""
    accepted = headers.get(b"accept-language", b"")[:_LONGEST]
    if len(cookies) > _LONGEST:
        return _preferences(_sent(cookies), accepted)
    return _known_preferences(_sent(cookies), accepted)


def _sent(cookies: bytes) -> tuple[tuple[bytes, bytes], ...]:
    found = []
    for pair in cookies.split(b";"):
        name, sign, value = pair.partition(b"=")
        if sign and (name := name.strip()) in _SENT:
            found.append((name, value))
    return tuple(found)


def _preferences(cookies: tuple[tuple[bytes, bytes], ...], accepted: bytes) -> Mapping[str, str]:
    given = {name.decode(): request.cookie_value(value.decode("latin-1").strip()) for name, value in cookies}
    found: dict[str, str] = {}
    for cookie, name in _COOKIES.items():
        if cookie in given and _MAYBE_PREFERENCE.fullmatch(value := unquote(given[cookie])):
            found.setdefault(name, value)
    language = _accepted_language(accepted.decode("latin-1"))
    if language:
        found.setdefault("language", language)
    return MappingProxyType(found)


# Of a thousand visitors nearly all prefer the same.
_known_preferences = lru_cache(maxsize=256)(_preferences)


def _accepted_language(header: str) -> str | None:
    """The language that the browser likes best (RFC 9110, section 12.5.4); of equal ones the first."""
    best, best_quality = None, 0.0
    for choice in header.split(",")[:20]:
        language, _, parameters = choice.strip().partition(";")
        quality = _quality(parameters)
        if quality > best_quality and _LANGUAGE.fullmatch(language.strip()):
            best, best_quality = language.strip(), quality
    return best


def _quality(parameters: str) -> float:
    name, _, value = parameters.strip().partition("=")
    if name.strip().lower() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0
