"""Django's `request.user` as far as it is loaded, and kept from being loaded by those who only report."""

import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from django.db import connections
from django.http import HttpRequest

from asgi_rota_sentry.identity import LazyUser
from asgi_rota_sentry.identity.shapes import unwrapped

_DEEPEST_CALLER = 16


class RequestUser(LazyUser):
    """A Django request's user as far as the application itself has loaded them.

    `request.user` is lazy: looking at it makes a query. This only looks at what is there already.
    """

    __slots__ = ("_found", "_request")

    def __init__(self, request: HttpRequest) -> None:
        # The request holds the scope that holds this: a strong reference would leave a cycle behind.
        self._request = weakref.ref(request)
        self._found: Any = None

    def loaded(self) -> Any:
        """The user object, or None when nobody has asked for it so far."""
        request = self._request()
        if request is None:
            return self._found
        attributes = request.__dict__
        # What was assigned (by `login`, by Django REST framework) comes first; then what the lazy one has become; then
        # what `await request.auser()` has loaded.
        found = unwrapped(attributes.get("user"))
        return found if found is not None else attributes.get("_acached_user")

    def keep(self) -> None:
        """Keep the user for when the request is gone."""
        self._found = self.loaded()

    def unasked(self) -> AbstractContextManager[Any]:
        """A context in which nothing that runs in this thread can make a query: a property of the user may try to."""
        return _without_queries()


class NotLoadedError(AttributeError):
    """Raised to who would load a user only in order to report them.

    An AttributeError, so that `isinstance` and `getattr` with a default take the user for somebody unknown.
    """


class _QueryRefusedError(Exception):
    """Raised to who would make a query in order to report something."""


def keep_unloaded(request: HttpRequest) -> None:
    """Keep sentry-sdk from loading the lazy `request.user`: it would for each event, and for a local variable `user`.

    Whoever else asks gets the user as ever. Leans on SimpleLazyObject's private `_setupfunc`; where that is missing,
    nothing changes.
    """
    user = request.__dict__.get("user")
    own = getattr(user, "__dict__", {}) if unwrapped(user) is None and user is not None else {}
    load = own.get("_setupfunc")
    if callable(load) and not isinstance(load, _Reluctant):
        own["_setupfunc"] = _Reluctant(load)


class _Reluctant:
    """The function that loads a user, which does so for anybody but sentry-sdk."""

    __slots__ = ("_load",)

    def __init__(self, load: Callable[[], Any]) -> None:
        self._load = load

    def __call__(self) -> Any:
        if _is_asked_by_sentry():
            raise NotLoadedError("The user has not been loaded, and is not for a report's sake.")
        return self._load()

    def __repr__(self) -> str:
        return "not loaded"


def _is_asked_by_sentry() -> bool:
    """Whether it is sentry-sdk that looks at Django's lazy object, or at another around it, or its serialiser is near.

    A middleware may put a lazy object of its own around the user, as django-hijack does.
    """
    frame = sys._getframe(2)
    is_lazy = True
    for _ in range(_DEEPEST_CALLER):
        module = str(frame.f_globals.get("__name__", ""))
        if module == "sentry_sdk.serializer" or (is_lazy and module.partition(".")[0] == "sentry_sdk"):
            return True
        is_lazy = module == "django.utils.functional"
        if frame.f_back is None:
            return False
        frame = frame.f_back
    return False


@contextmanager
def _without_queries() -> Iterator[None]:
    """Refuse cursors, as Django's test cases do where no database is allowed: earlier than sentry-sdk notes a query."""
    refusing = [connection for connection in connections.all() if "cursor" not in connection.__dict__]
    for connection in refusing:
        connection.cursor = connection.chunked_cursor = _refuse
    try:
        yield
    finally:
        for connection in refusing:
            del connection.cursor, connection.chunked_cursor


def _refuse(*_: Any, **__: Any) -> Any:
    raise _QueryRefusedError("No query is made in order to report something.")
