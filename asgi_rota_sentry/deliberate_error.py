"""The route that fails on purpose, to see that errors arrive; it exists in debug mode only."""

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

from asgi_rota_sentry import request
from asgi_rota_sentry.types import Receive, Scope, Send


class DeliberateError(Exception):
    """What the route raises when no kind is named."""


def _division() -> Any:
    divisor = 0
    return 1 / divisor


def _index() -> Any:
    shifts: list[str] = []
    return shifts[3]


def _key() -> Any:
    shift = {"day": "Monday"}
    return shift["hours"]


def _type() -> Any:
    hours: Any = "8"
    return hours + 1


def _attribute() -> Any:
    shift: Any = None
    return shift.hours


def _value() -> Any:
    return int("abc")


def _generic() -> Any:
    raise DeliberateError("A deliberate error, to test the error reporting.")


_KINDS: dict[str, Callable[[], Any]] = {
    "attribute": _attribute,
    "division": _division,
    "index": _index,
    "key": _key,
    "type": _type,
    "value": _value,
}


async def deliberate_error(scope: Scope, _receive: Receive, _send: Send) -> None:
    """An ASGI application that raises the kind of error that the query names in `type`; a generic one otherwise."""
    kind = parse_qs(request.query_string(scope)).get("type", [""])[0]
    _KINDS.get(kind, _generic)()
