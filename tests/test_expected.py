"""Which exceptions make no event."""

import asyncio

import pytest
from django.core.exceptions import PermissionDenied, RequestAborted
from django.http import Http404
from fastapi import HTTPException as FastAPIError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.websockets import WebSocketDisconnect
from werkzeug.exceptions import HTTPException as AbortError

from asgi_rota_sentry.expected import is_disconnect, is_expected, leaves, mark_unsent


class NoSuchShift(Http404):
    """An application's own kind of a known exception."""


@pytest.mark.parametrize(
    "exc",
    [
        Http404(),
        NoSuchShift("x"),
        PermissionDenied(),
        HTTPException(404),
        FastAPIError(403),
        ExceptionGroup("two", [HTTPException(404), ExceptionGroup("deep", [Http404()])]),
    ],
)
def test_answers_below_500_are_expected(exc: BaseException) -> None:
    """Known classes, their subclasses, and groups of nothing else."""
    assert is_expected(exc)


@pytest.mark.parametrize(
    "exc",
    [
        ValueError(),
        HTTPException(500),
        FastAPIError(503),
        AbortError(),
        ExceptionGroup("mixed", [HTTPException(404), ValueError()]),
        type("HTTPException", (Exception,), {"status_code": 404})(),
    ],
)
def test_everything_else_is_a_fault(exc: BaseException) -> None:
    """A 5xx, one real fault in a group, a namesake from another library (an API client's 404), one without a status."""
    assert not is_expected(exc)


def test_a_client_that_left_is_told_from_a_fault() -> None:
    """The frameworks' exceptions for a lost client, alone or in a group."""
    for exc in (ClientDisconnect(), WebSocketDisconnect(), RequestAborted(), ExceptionGroup("x", [ClientDisconnect()])):
        assert is_disconnect(exc)
    assert not is_disconnect(ExceptionGroup("x", [ClientDisconnect(), ValueError()]))
    assert is_disconnect(BaseExceptionGroup("x", [asyncio.CancelledError(), ClientDisconnect()]))
    assert not is_disconnect(BaseExceptionGroup("x", [asyncio.CancelledError(), ValueError()]))
    assert not is_disconnect(BaseExceptionGroup("x", [asyncio.CancelledError()]))
    assert not is_disconnect(ConnectionResetError())


def test_what_send_raised_is_a_client_that_left_and_nothing_else_of_its_kind_is() -> None:
    """Alone, in a group, and as what another was raised from, however long or circular the chain is."""
    unsent, other = OSError(), OSError()
    mark_unsent(unsent)
    wrapped, circular = RuntimeError(), RuntimeError()
    wrapped.__cause__ = unsent
    circular.__cause__ = circular
    for exc in (unsent, wrapped, ExceptionGroup("x", [wrapped, ClientDisconnect(), unsent])):
        assert is_disconnect(exc)
    for exc in (other, circular, ExceptionGroup("x", [unsent, other])):
        assert not is_disconnect(exc)
    handled = KeyError()
    handled.__context__ = unsent
    assert not is_disconnect(handled)


def test_leaves_are_the_members_at_any_depth_in_order() -> None:
    """A group stands for its members."""
    one, two, three = ValueError(1), KeyError(2), TypeError(3)
    assert list(leaves(ExceptionGroup("a", [one, ExceptionGroup("b", [two]), three]))) == [one, two, three]
    assert list(leaves(one)) == [one]
