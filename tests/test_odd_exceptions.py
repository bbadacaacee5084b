"""Exceptions with manners that nobody expects: each is an event all the same, and is answered with the page."""

import contextlib
import sys
from collections.abc import Callable
from typing import Any

import pytest
import sentry_sdk
from sentry_sdk.integrations.asgi import SentryAsgiMiddleware

from asgi_rota_sentry import RotaSentryMiddleware
from tests.conftest import MemoryTransport
from tests.wire import Wire, http

pytestmark = pytest.mark.anyio

Sentry = Callable[..., MemoryTransport]


class HasEverythingError(Exception):
    """Has any attribute that it is asked for, but those over which the Django integration of 3.x falls by itself."""

    def __getattr__(self, name: str) -> int:
        if "template" in name:
            raise AttributeError(name)
        return 1


class _WithoutHash(type):
    __hash__ = None  # type: ignore[assignment]

    def __eq__(cls, other: object) -> bool:
        return cls is other


class OfAnOddClassError(Exception, metaclass=_WithoutHash):
    """Cannot be looked up in a table."""


class WithoutMessageError(Exception):
    """The SDK asks for its message."""

    @property
    def message(self) -> str:
        raise RuntimeError("no message")


class WithoutNumberError(OSError):
    """The SDK asks for its number."""

    @property
    def errno(self) -> int:  # type: ignore[override]
        raise RuntimeError("no number")


class EmptyError(ExceptionGroup[Exception]):
    """A group that shows no members."""

    exceptions = ()


class ClosedError(ExceptionGroup[Exception]):
    """A group that does not let anybody look for its members."""

    @property
    def exceptions(self) -> Any:
        raise RuntimeError("no members")


def _nested() -> Exception:
    error: Exception = ValueError("the innermost")
    for _ in range(2 * sys.getrecursionlimit()):
        error = ExceptionGroup("around", [error])
    return error


ODD: dict[str, Callable[[], Exception]] = {
    kind.__name__: lambda kind=kind: kind("It is broken")
    for kind in (HasEverythingError, OfAnOddClassError, WithoutMessageError, WithoutNumberError)
} | {
    "EmptyError": lambda: EmptyError("It is broken", [ValueError("no")]),
    "ClosedError": lambda: ClosedError("It is broken", [ValueError("no")]),
    "ExceptionGroup": _nested,
}
LAYERS: dict[str, Callable[[Any], Any]] = {
    "alone": RotaSentryMiddleware,
    "around the SDK's": lambda app: RotaSentryMiddleware(SentryAsgiMiddleware(app)),
}


@pytest.mark.parametrize("layers", LAYERS)
@pytest.mark.parametrize("kind", ODD)
async def test_an_odd_exception_is_one_event(sentry: Sentry, kind: str, layers: str) -> None:
    """With its type, as one that nobody handled; the page tells of it, and the server gets the very exception."""
    server = sentry()
    error = ODD[kind]()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise error

    wire = Wire()
    raised: list[Exception] = []
    try:
        await LAYERS[layers](app)(http(), wire.receive, wire.send)
    except Exception as exc:  # pytest would ask it for more than it can say
        raised.append(exc)
    (event,) = server.events
    values = event["exception"]["values"]
    assert kind in [value["type"] for value in values]
    assert [value["mechanism"]["handled"] for value in values][-1] is False
    assert [message["status"] for message in wire.sent if "status" in message] == [500]
    assert event["event_id"].encode() in dict(wire.sent[0]["headers"])[b"x-sentry-event-id"]
    assert len(raised) == 1
    assert raised[0] is error


@pytest.mark.parametrize("kind", ["WithoutMessageError", "ExceptionGroup"])
async def test_what_the_sdk_cannot_read_has_its_place(sentry: Sentry, kind: str) -> None:
    """The least that Sentry groups by: the type, a text, and where it was raised."""
    server = sentry()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise ODD[kind]()

    wire = Wire()
    with contextlib.suppress(Exception):
        await RotaSentryMiddleware(app)(http(), wire.receive, wire.send)
    (value,) = server.events[0]["exception"]["values"]
    assert value["value"] in ("It is broken", "around (1 sub-exception)")
    assert value["stacktrace"]["frames"][-1]["function"] == "app"


async def test_what_the_application_captures_itself_is_no_fault_of_the_sdk_s(sentry: Sentry) -> None:
    """Handled, as it says; without us the SDK's own fault would take the exception's place."""
    server = sentry()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        sentry_sdk.capture_exception(WithoutMessageError("It is broken"))

    await Wire().run(RotaSentryMiddleware(app), http())
    (value,) = server.events[0]["exception"]["values"]
    assert (value["type"], value["mechanism"]["handled"]) == ("WithoutMessageError", True)
