"""The Django middleware that tells whose request it is."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponse

from asgi_rota_sentry import faults, journey
from asgi_rota_sentry.django.user import RequestUser, keep_unloaded

_logger = logging.getLogger("asgi_rota_sentry")
_GetResponse = Callable[[HttpRequest], Any]


class IdentityMiddleware:
    """Hands `request.user` to the ASGI scope, lazily; sync and async without a thread hop between them.

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
        user = self._hand_over(request)
        try:
            response: HttpResponse = self._get_response(request)
            return response
        finally:
            if user is not None:
                user.keep()

    async def _async_call(self, request: HttpRequest) -> HttpResponse:
        user = self._hand_over(request)
        try:
            response: HttpResponse = await self._get_response(request)
            return response
        finally:
            if user is not None:
                user.keep()

    def _hand_over(self, request: HttpRequest) -> RequestUser | None:
        try:
            scope = getattr(request, "scope", None)
            if scope is None or self._is_unwrapped():
                return None
            keep_unloaded(request)
            if scope.get("user") is not None:
                return None  # an outer layer has told who it is
            user = scope["user"] = RequestUser(request)
            return user
        except Exception:
            faults.report("handing over Django's user")
            return None

    def _is_unwrapped(self) -> bool:
        here = journey.here()
        if here is not None and here.is_open:
            return False
        if not self._has_warned:
            self._has_warned = True
            _logger.warning(
                "IdentityMiddleware is used, but RotaSentryMiddleware is not around the ASGI application; "
                "no user is told to Sentry. Wrap it in asgi.py: RotaSentryMiddleware(get_asgi_application())."
            )
        return True
