"""Which exceptions make no event."""

import asyncio

import aiohttp.web
import blacksheep.exceptions
import falcon
import litestar.exceptions
import pytest
import trio
from django.core.exceptions import PermissionDenied, RequestAborted
from django.http import Http404
from fastapi import HTTPException as FastAPIError
from litestar.exceptions.websocket_exceptions import WebSocketDisconnect as LitestarDisconnect
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.websockets import WebSocketDisconnect
from werkzeug.exceptions import BadGateway
from werkzeug.exceptions import HTTPException as AbortError
from werkzeug.exceptions import NotFound as AbortNotFound

from asgi_rota_sentry.expected import is_disconnect, is_expected, leaves, mark_unsent
from tests.django_site import site


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
        AbortNotFound(),
        aiohttp.web.HTTPNotFound(),
        blacksheep.exceptions.NotFound(),
        falcon.HTTPNotFound(),
        falcon.HTTPStatus(204),
        litestar.exceptions.NotFoundException(),
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
        BadGateway(),
        aiohttp.web.HTTPBadGateway(),
        blacksheep.exceptions.InternalServerError(),
        falcon.HTTPBadGateway(),
        falcon.HTTPStatus(503),
        litestar.exceptions.ServiceUnavailableException(),
        ExceptionGroup("mixed", [HTTPException(404), ValueError()]),
        type("HTTPException", (Exception,), {"status_code": 404})(),
    ],
)
def test_everything_else_is_a_fault(exc: BaseException) -> None:
    """A 5xx, one real fault in a group, a namesake from another library (an API client's 404), one without a status."""
    assert not is_expected(exc)


def test_so_are_those_of_rest_framework() -> None:
    """Which can be imported only where Django has its settings."""
    site()
    from rest_framework.exceptions import APIException, NotFound

    assert is_expected(NotFound())
    assert not is_expected(APIException())


async def _cancelled() -> BaseException:
    """Trio makes its own."""
    found: list[BaseException] = []
    with trio.CancelScope() as scope:
        scope.cancel()
        try:
            await trio.sleep_forever()
        except trio.Cancelled as exc:
            found.append(exc)
            raise
    return found[0]


def test_a_client_that_left_is_told_from_a_fault() -> None:
    """The frameworks' exceptions for a lost client, alone or in a group."""
    sockets = WebSocketDisconnect(), LitestarDisconnect(detail=""), falcon.WebSocketDisconnected()
    for exc in (ClientDisconnect(), *sockets, RequestAborted(), ExceptionGroup("x", [ClientDisconnect()])):
        assert is_disconnect(exc)
    assert not is_disconnect(ExceptionGroup("x", [ClientDisconnect(), ValueError()]))
    for cancelled in (asyncio.CancelledError(), trio.run(_cancelled)):
        assert is_disconnect(BaseExceptionGroup("x", [cancelled, ClientDisconnect()]))
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
