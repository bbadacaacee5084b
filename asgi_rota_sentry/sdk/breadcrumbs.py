"""Breadcrumbs in the order of time, whatever an application has given as theirs."""

from collections.abc import Iterable
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any

Breadcrumb = dict[str, Any]


def in_order(crumbs: Iterable[Breadcrumb]) -> list[Breadcrumb]:
    """The breadcrumbs, oldest first; one that does not say when it was stays behind the one before it.

    Sentry takes a time as a text (ISO 8601) and as seconds of the epoch, the SDK also as a datetime; without a zone it
    is UTC (https://develop.sentry.dev/sdk/data-model/event-payloads/breadcrumbs/).
    """
    moments = []
    last = 0.0
    for crumb in crumbs:
        last = _moment(crumb, last)
        moments.append((last, crumb))
    return [crumb for _, crumb in sorted(moments, key=itemgetter(0))]


def _moment(crumb: Any, unknown: float) -> float:
    """When it was, in seconds of the epoch."""
    try:
        given = crumb["timestamp"]
        if isinstance(given, str):
            given = datetime.fromisoformat(given)
        if isinstance(given, datetime):
            return (given if given.tzinfo else given.replace(tzinfo=UTC)).timestamp()
        moment = float(given)
    except Exception:
        return unknown
    return moment if moment == moment else unknown  # noqa: PLR0124 - not a number
