"""The route by which Django found a request's view, which it leaves nowhere but on the request."""

import weakref
from functools import lru_cache

from django.http import HttpRequest

from asgi_rota_sentry.routers import braced


class RequestRoute:
    """The route template of a Django request, as soon as Django has found it.

    In the language of the request where URLs are translated (`i18n_patterns`): sentry-sdk looks for the view before
    that language is known.
    """

    __slots__ = ("_found", "_request")

    def __init__(self, request: HttpRequest) -> None:
        # What runs on may hold the journey, and with it this, for long: not the request too, and what was uploaded.
        self._request = weakref.ref(request)
        self._found: str | None = None

    def __call__(self) -> str | None:
        """The template, `/de/shifts/{id}/`; None before Django has looked for the view, or where there is none."""
        request = self._request()
        if request is None:
            return self._found
        match = request.resolver_match
        return None if match is None or match.route is None else _template(match.route)

    def keep(self) -> None:
        """Keep the template for when the request is gone."""
        self._found = self()


@lru_cache(maxsize=1_000)
def _template(route: str) -> str:
    """A route as Django joins it from `path` and `re_path`, in the form of the other frameworks."""
    # Importing these makes roles for docutils, where that is installed: only who needs them shall have them.
    from django.contrib.admindocs import utils  # noqa: PLC0415

    simple = utils.remove_non_capturing_groups(route)
    simple = utils.replace_unnamed_groups(utils.replace_named_groups(simple))
    simple = utils.replace_metacharacters(simple).replace("\\", "")
    return "/" + braced(simple).lstrip("/")
