"""The Django middleware that tells whose request it is, and by which route it came to its view."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponse

from asgi_rota_sentry import faults, journey, sdk
from asgi_rota_sentry.django.route import RequestRoute
from asgi_rota_sentry.django.user import RequestUser, keep_unloaded

_logger = logging.getLogger("asgi_rota_sentry")
_GetResponse = Callable[[HttpRequest], Any]


class IdentityMiddleware:
    """Hands `request.user` to the ASGI scope, lazily; sync and async without a thread hop between them.

    The route goes with it: where URLs are translated, sentry-sdk does not find it.
    Its place is directly behind `AuthenticationMiddleware`. It never loads the user, and keeps sentry-sdk from it.
    Without `RotaSentryMiddleware` around the application it says so once, and does nothing.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: _GetResponse) -> None:
        self._get_response = get_response
        self._has_warned = False
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponse | Awaitable[HttpResponse]:
        """Note the request's user, then go on."""
        if self._is_async:
            return self._async_call(request)
        handed_over = self._hand_over(request)
        try:
            response: HttpResponse = self._get_response(request)
            return response
        finally:
            _keep(handed_over)

    async def _async_call(self, request: HttpRequest) -> HttpResponse:
        handed_over = self._hand_over(request)
        try:
            response: HttpResponse = await self._get_response(request)
            return response
        finally:
            _keep(handed_over)

    def _hand_over(self, request: HttpRequest) -> list[RequestUser | RequestRoute]:
        """Tell the request's journey of the user and of the route; both are looked at when they are asked for."""
        told: list[RequestUser | RequestRoute] = []
        try:
            scope = getattr(request, "scope", None)
            if scope is None or (here := self._journey()) is None:
                return told
            keep_unloaded(request)
            here.find_route = route = RequestRoute(request)
            told.append(route)
            if scope.get("user") is None:  # else an outer layer has told who it is
                user = scope["user"] = RequestUser(request)
                told.append(user)
        except Exception:
            faults.report("handing over Django's user")
        return told

    def _journey(self) -> journey.Journey | None:
        here = journey.here()
        if here is not None and here.is_open:
            return here
        if not self._has_warned and sdk.current_client() is not None:  # without one there is nobody to tell
            self._has_warned = True
            _logger.warning(
                "IdentityMiddleware is used, but RotaSentryMiddleware is not around the ASGI application; "
                "no user is told to Sentry. Wrap it in asgi.py: RotaSentryMiddleware(get_asgi_application())."
            )
        return None


def _keep(handed_over: list[RequestUser | RequestRoute]) -> None:
    for one in handed_over:
        try:
            one.keep()
        except Exception:
            faults.report("keeping what Django tells of a request")
