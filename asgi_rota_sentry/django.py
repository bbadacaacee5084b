"""The Django bridge: what Django knows of the user, handed to the ASGI scope without ever asking Django for more.

Put `asgi_rota_sentry.django.IdentityMiddleware` behind `AuthenticationMiddleware` in `MIDDLEWARE`.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponse

from asgi_rota_sentry.identity import LazyUser


class RequestUser(LazyUser):
    """A Django request's user as far as the application itself has loaded them.

    `request.user` is lazy: looking at it makes a query. This only looks at what is there already.
    """

    __slots__ = ("_request",)

    def __init__(self, request: HttpRequest) -> None:
        self._request = request

    def loaded(self) -> Any:
        """The user object, or None when nobody has asked for it so far."""
        attributes = self._request.__dict__
        # Django's AuthenticationMiddleware caches under these names what the first access loaded.
        found = attributes.get("_cached_user") or attributes.get("_acached_user")
        if found is not None:
            return found
        user = attributes.get("user")
        if user is None or "_wrapped" not in getattr(user, "__dict__", {}):
            return user
        wrapped = user.__dict__["_wrapped"]
        return None if type(wrapped) is object else wrapped


class IdentityMiddleware:
    """Hands `request.user` to the ASGI scope, lazily; sync and async without a thread hop between them."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self._get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponse | Awaitable[HttpResponse]:
        """Note the request's user, then go on."""
        scope = getattr(request, "scope", None)
        if scope is not None and "user" not in scope:
            scope["user"] = RequestUser(request)
        response: HttpResponse | Awaitable[HttpResponse] = self._get_response(request)
        return response
