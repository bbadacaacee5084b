"""What the client accepts: media types and languages by RFC 9110, sections 12.4 and 12.5. Nonsense is no error."""

import re
from collections.abc import Set
from functools import lru_cache

HTML = "text/html"
PROBLEM = "application/problem+json"
PLAIN = "text/plain"

_JSON = "application/json"
_QUALITY = re.compile(r"0(\.\d{0,3})?|1(\.0{0,3})?")
_MOST_ITEMS = 50
_LONGEST = 1_000


def _weighted(header: str) -> list[tuple[str, float]]:
    """The items of a header, in lower case, each with its quality; at most the first 50."""
    found = []
    for item in header.split(",")[:_MOST_ITEMS]:
        name, *parameters = (part.strip().lower() for part in item.split(";"))
        if name:
            found.append((name, _quality(parameters)))
    return found


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip() == "q":
            return float(value) if _QUALITY.fullmatch(value.strip()) else 1.0
    return 1.0


def _match(accepted: list[tuple[str, float]], *names: str) -> tuple[float, int]:
    """The quality and specificity (3 named, 2 `type/*`, 1 `*/*`, 0 not at all) of the most specific match."""
    family = names[0].partition("/")[0] + "/*"
    best = (0, 0.0)
    for pattern, quality in accepted:
        specificity = 3 if pattern in names else 2 if pattern == family else 1 if pattern == "*/*" else 0
        if specificity:
            best = max(best, (specificity, quality))
    return best[1], best[0]


def media_type(accept: str | None) -> str:
    """The one of HTML, PROBLEM and PLAIN that suits an `Accept` header; PROBLEM for none, `*/*` or nothing suitable.

    The highest quality wins. Of equals, HTML wins where it is named and PLAIN comes last: it is for those who accept
    nothing else.
    """
    return _media_type((accept or "*/*")[:_LONGEST])


@lru_cache(maxsize=256)
def _media_type(accept: str) -> str:
    accepted = _weighted(accept)
    html, html_specificity = _match(accepted, HTML)
    problem, problem_specificity = _match(accepted, PROBLEM, _JSON)
    plain, _ = _match(accepted, PLAIN)
    if html > 0 and (html, html_specificity) >= (max(problem, plain), problem_specificity) and html_specificity > 1:
        return HTML
    if problem >= plain and problem >= html:
        return PROBLEM
    return HTML if html >= plain else PLAIN


def language(available: Set[str], preferred: str | None, accept_language: str | None) -> str:
    """The available language that the visitor likes best, `en` if there is none.

    The user's own preference comes first, then `Accept-Language`; a range such as `de-AT` also finds `de` (RFC 4647,
    section 3.4).
    """
    asked = (accept_language or "")[:_LONGEST]
    return _language(frozenset(available), (preferred or "")[:_LONGEST], asked)


@lru_cache(maxsize=256)
def _language(available: frozenset[str], preferred: str, accept_language: str) -> str:
    wanted = _weighted(accept_language)
    wanted.sort(key=lambda item: -item[1])
    for tag in [preferred, *(tag for tag, quality in wanted if quality > 0)]:
        parts = tag.lower().replace("_", "-").split("-")
        for size in range(min(len(parts), 4), 0, -1):
            if "-".join(parts[:size]) in available:
                return "-".join(parts[:size])
    return "en"
