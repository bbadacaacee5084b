"""The route by which Django found a request's view, which it leaves nowhere but on the request."""

import weakref
from functools import lru_cache

from django.http import HttpRequest
from django.urls import Resolver404, resolve
from django.utils import translation

from asgi_rota_sentry.routers import braced

# The statuses of Django's redirect for the sake of a slash (`APPEND_SLASH`), now and where it keeps the method.
_FOR_A_SLASH = frozenset({301, 308})


class RequestRoute:
    """The route template of a Django request, as soon as Django has found it.

    In the language of the request where URLs are translated (`i18n_patterns`): sentry-sdk looks for the view before
    that language is known. And where the same routes are included twice, that by which the view was reached.
    """

    __slots__ = ("_found", "_lost", "_request")

    def __init__(self, request: HttpRequest) -> None:
        # What runs on may hold the journey, and with it this, for long: not the request too, and what was uploaded.
        self._request = weakref.ref(request)
        self._found: str | None = None
        self._lost: tuple[str, str | None, str | None] | None = None

    def __call__(self, status: int) -> str | None:
        """The template, `/de/shifts/{id}/`; None before Django has looked for the view, or where there is none.

        `status` is that of the answer: a redirect for the sake of a slash is told by the route that it leads to.
        """
        self.keep()
        if self._found is None and self._lost is not None and status in _FOR_A_SLASH:
            self._found = _beyond_slash(*self._lost)
        return self._found

    def keep(self) -> None:
        """Keep the template for when the request is gone; of what has none, what it takes to look for it elsewhere."""
        request = self._request()
        if request is None:
            return
        match = request.resolver_match
        if match is None:
            self._lost = request.path_info, getattr(request, "urlconf", None), translation.get_language()
        elif match.route is not None:
            self._found = _template(match.route)


def _beyond_slash(path: str, urlconf: str | None, language: str | None) -> str | None:
    """The template of the path with a slash at its end, in the language of the request."""
    with translation.override(language):
        try:
            return _template(resolve(f"{path}/", urlconf).route)
        except Resolver404:
            return None


def _may_be_regex(route: str) -> bool:
    """Whether a part of the route may be a regular expression; in others `+` and `*` stand for themselves."""
    return route.startswith("^") or route.endswith("$") or "(" in route or "\\" in route


@lru_cache(maxsize=1_000)
def _template(route: str) -> str:
    """A route as Django joins it from `path` and `re_path`, in the form of the other frameworks."""
    if not _may_be_regex(route):
        return "/" + braced(route).lstrip("/")
    # Importing these makes roles for docutils, where that is installed: only who needs them shall have them.
    from django.contrib.admindocs import utils  # noqa: PLC0415

    simple = utils.remove_non_capturing_groups(route)
    simple = utils.replace_unnamed_groups(utils.replace_named_groups(simple))
    simple = utils.replace_metacharacters(simple).replace("\\", "")
    return "/" + braced(simple).lstrip("/")
