"""Parsers of single settings: text or a Python value in, the checked value out, ValueError otherwise.

Each is idempotent, so that a value may be checked a second time.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from asgi_rota_sentry.scrubbing.patterns import compiled

Network = IPv4Network | IPv6Network

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off"}
_EMAIL = re.compile(r"[^@\s<>\"',;:()\\]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_CONTROL = re.compile(r"[\x00-\x20\x7f]")
_PASSWORD = re.compile(r"^((?:.*?://)?[^:]*):(?!//).*@", re.DOTALL)
_QUERY_PASSWORD = re.compile(r"([?&]password=)[^&'\"]*", re.IGNORECASE)  # as Redis may have it
# What Sentry takes in no environment or release (its `sentry-release-parser`): such a name it leaves out of an event.
_NOT_IN_NAMES = re.compile(r"[/\\\x00-\x1f\x7f]")
_RATE = re.compile(r"([1-9][0-9]{0,8}) ?(?:/|per) ?(second|minute|hour|day)")


def _stripped(given: Any) -> str:
    if not isinstance(given, str):
        raise TypeError(given)
    return given.strip()


def text(given: Any) -> str:
    """A name: not empty, no line breaks."""
    value = _stripped(given)
    if not value or "\n" in value or "\r" in value:
        raise ValueError(given)
    return value


def optional_text(given: Any) -> str | None:
    """A name, or None for nothing."""
    return None if given is None or _stripped(given) == "" else text(given)


def environment(given: Any) -> str:
    """A name that Sentry takes as an environment's."""
    return _sentry_name(text(given), 64, "none")


def release(given: Any) -> str | None:
    """A name that Sentry takes as a release's, or None for nothing."""
    value = optional_text(given)
    return None if value is None else _sentry_name(value, 200, "latest")


def _sentry_name(value: str, longest: int, reserved: str) -> str:
    is_reserved = value.lower() in (".", "..", reserved)
    if is_reserved or len(value.encode()) > longest or _NOT_IN_NAMES.search(value):
        raise ValueError(value)
    return value


def boolean(given: Any) -> bool:
    """True or False; from text 1, true, yes, on and 0, false, no, off in any case."""
    if isinstance(given, bool):
        return given
    word = _stripped(given).lower()
    if word not in _TRUE | _FALSE:
        raise ValueError(given)
    return word in _TRUE


def _number(given: Any) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float | str):
        raise TypeError(given)
    value = float(given)
    if not math.isfinite(value):
        raise ValueError(given)
    return value


def share(given: Any) -> float:
    """A number from 0 to 1."""
    value = _number(given)
    if not 0 <= value <= 1:
        raise ValueError(given)
    return value


def positive(given: Any) -> float:
    """A number above 0."""
    value = _number(given)
    if value <= 0:
        raise ValueError(given)
    return value


def count(given: Any) -> int:
    """A whole number, 0 or more."""
    value = _number(given)
    if value < 0 or value != int(value):
        raise ValueError(given)
    return int(value)


def dsn(given: Any) -> str | None:
    """A Sentry DSN (https://docs.sentry.io/concepts/key-terms/dsn-explainer/), or None for nothing."""
    value = optional_text(given)
    if value is None:
        return None
    parts = urlsplit(value)
    project = parts.path.rsplit("/", 1)[-1]
    is_whole = bool(parts.username and parts.hostname) and project.isdecimal()
    if parts.scheme not in ("http", "https") or not is_whole or _CONTROL.search(value):
        raise ValueError(given)
    _ = parts.port  # raises ValueError for a port that is no number
    return value


def redis_url(given: Any) -> str | None:
    """A URL of a Redis server (redis, rediss or unix), or None for nothing."""
    value = optional_text(given)
    if value is None:
        return None
    parts = urlsplit(value)
    _ = parts.port
    if parts.scheme not in ("redis", "rediss", "unix") or not (
        parts.hostname or (parts.scheme == "unix" and parts.path)
    ):
        raise ValueError(given)
    _refuse_half_a_password(parts)
    return value


def _refuse_half_a_password(parts: SplitResult) -> None:
    """ValueError for a URL whose password has a `/`, `?` or `#` as it is: what is before that would be the host."""
    if parts.scheme != "unix" and "@" in f"{parts.path}{parts.query}{parts.fragment}":
        raise ValueError


def without_password(given: str) -> str:
    """The text with the password of a URL replaced, so that an error message may show it.

    Whoever gets a URL wrong may have left out its scheme, or have left a `/` or `@` of the password as it is.
    """
    return _QUERY_PASSWORD.sub(r"\1[Filtered]", _PASSWORD.sub(r"\1:[Filtered]@", given))


def _items(given: Any) -> Iterable[Any]:
    if isinstance(given, str):
        return [item for item in (part.strip() for part in given.split(",")) if item]
    if isinstance(given, bytes) or not isinstance(given, Iterable):
        raise TypeError(given)
    return given


def paths(given: Any) -> tuple[str, ...]:
    """Paths without query, each exact or ending in `*`."""
    found = tuple(text(item) for item in _items(given))
    if any(not item.startswith("/") or "*" in item[:-1] or "?" in item for item in found):
        raise ValueError(given)
    return found


def limits(given: Any) -> tuple[tuple[str, float], ...]:
    """Pairs of a path or route (exact or ending in `*`) and a number above 0: from a mapping, pairs, or `/a/*=10`."""
    pairs = given.items() if isinstance(given, Mapping) else _items(given)
    found = []
    for item in pairs:
        where, number = item.rsplit("=", 1) if isinstance(item, str) else item
        (place,) = paths((text(where),))
        found.append((place, positive(number)))
    return tuple(found)


def names(given: Any) -> tuple[str, ...]:
    """Names that are HTTP tokens (RFC 9110, section 5.6.2), as those of cookies and headers are."""
    found = tuple(text(item) for item in _items(given))
    if any(not _TOKEN.fullmatch(item) for item in found):
        raise ValueError(given)
    return found


def keys(given: Any) -> tuple[str, ...]:
    """Names of values or dotted paths to them, each with a letter or digit in it."""
    found = tuple(text(item) for item in _items(given))
    if not all(any(character.isalnum() for character in name) for name in found):
        raise ValueError(given)
    return found


def patterns(given: Any) -> tuple[str, ...]:
    """Regular expressions that cannot take for ever; in one text they are separated by white space."""
    found = tuple(given.split() if isinstance(given, str) else given)
    for pattern in found:
        compiled(pattern)
    return found


def networks(given: Any) -> tuple[Network, ...]:
    """Networks in CIDR notation (RFC 4632); a single address is a network of one."""
    return tuple(
        item if isinstance(item, IPv4Network | IPv6Network) else ip_network(_stripped(item)) for item in _items(given)
    )


def path(given: Any) -> str:
    """A file's path, or empty for none; `~` at its beginning is the user's home, as in a shell."""
    value = str(given) if isinstance(given, Path) else _stripped(given)
    if "\0" in value:
        raise ValueError(given)
    try:
        return str(Path(value).expanduser()) if value.startswith("~") else value
    except RuntimeError:  # there is no such user
        raise ValueError(given) from None


def folder(given: Any) -> str | None:
    """An existing folder, or None for nothing."""
    if given is None or path(given) == "":
        return None
    if not Path(path(given)).is_dir():
        raise ValueError(given)
    return path(given)


def link(given: Any) -> str:
    """An http(s) URL or a path on this host, safe to put into a page's link; empty for none."""
    value = _stripped(given)
    if value == "":
        return value
    parts = urlsplit(value)
    absolute = parts.scheme in ("http", "https") and bool(parts.hostname)
    if _CONTROL.search(value) or "\\" in value or not (absolute or (value.startswith("/") and not parts.netloc)):
        raise ValueError(given)
    return value


def route(given: Any) -> str:
    """A path of this application, without query."""
    value = _stripped(given)
    if not value.startswith("/") or value.startswith("//") or set("?#*") & set(value) or _CONTROL.search(value):
        raise ValueError(given)
    return value


def email(given: Any) -> str | None:
    """An e-mail address by its form, or None for nothing."""
    value = optional_text(given)
    if value is not None and not _EMAIL.fullmatch(value):
        raise ValueError(given)
    return value


def rate(given: Any) -> str:
    """A rate such as `10/minute`, or empty for none."""
    value = _stripped(given).lower()
    found = _RATE.fullmatch(value)
    if value and not found:
        raise ValueError(given)
    return f"{found[1]}/{found[2]}" if found else ""


def smtp_url(given: Any) -> str | None:
    """A URL of a mail server (smtp or smtps), or None for nothing."""
    value = optional_text(given)
    if value is None:
        return None
    parts = urlsplit(value)
    _ = parts.port  # raises ValueError for a port that is no number
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
        raise ValueError(given)
    _refuse_half_a_password(parts)
    return value


def one_of(*words: str) -> Callable[[Any], str]:
    """A parser that accepts just these words, in any case."""

    def parse(given: Any) -> str:
        value = _stripped(given).lower()
        if value not in words:
            raise ValueError(given)
        return value

    return parse


EMPTY_MEANS_NONE = frozenset({path, link, rate})
