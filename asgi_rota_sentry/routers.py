"""The routers of frameworks that leave nothing in the scope, asked once more which route a request took.

Neither framework is imported: they are known by what they have.
"""

import re
from collections.abc import Callable
from typing import Any

from asgi_rota_sentry import request
from asgi_rota_sentry.types import Scope

# `<int:id>` as werkzeug writes it, `{id:int}` as Falcon does.
_ANGLED = re.compile(r"<(?:[^<>]*:)?(\w+)>")
_TYPED = re.compile(r"\{(\w+):[^{}]*\}")
_DEEPEST = 10
_MOST_KNOWN = 100

Finder = Callable[[Any, Scope], str | None]
# By the identity of an application, which is kept so that it stays its own: the framework in it, and how to ask it.
_known: dict[int, tuple[Any, Any, Finder | None]] = {}


def has_router(app: Any) -> bool:
    """Whether the application is, or has inside, one whose router `find` asks."""
    _, _, finder = _known.get(id(app)) or _look_into(app)
    return finder is not None


def find(app: Any, scope: Scope) -> str | None:
    """The route's template in the form of the other frameworks, or None where it is neither Quart nor Falcon."""
    _, framework, finder = _known.get(id(app)) or _look_into(app)
    return None if finder is None else finder(framework, scope)


def _look_into(app: Any) -> tuple[Any, Any, Finder | None]:
    if len(_known) >= _MOST_KNOWN:
        _known.clear()
    known = _known[id(app)] = (app, *_framework(app))
    return known


def _framework(app: Any) -> tuple[Any, Finder | None]:
    for _ in range(_DEEPEST):
        if app is None:
            break
        if hasattr(app, "url_map") and hasattr(app, "asgi_app"):
            return app, _quart
        if hasattr(getattr(app, "_router", None), "find") and hasattr(app, "add_sink"):
            return app, _falcon
        # An application inside a middleware, or the bound method that a middleware was put in place of.
        app = getattr(app, "app", None) or getattr(app, "__self__", None)
    return None, None


def _quart(app: Any, scope: Scope) -> str | None:
    try:
        adapter = app.url_map.bind(request.header(scope, b"host") or "localhost")
        given = {"path_info": request.local_path(scope), "websocket": scope.get("type") == "websocket"}
        try:
            rule, _ = adapter.match(method=request.method(scope), return_rule=True, **given)
        except Exception as refused:
            # The route that takes other methods than this one.
            methods = getattr(refused, "valid_methods", None) or ()
            rule, _ = adapter.match(method=next(iter(methods)), return_rule=True, **given)
    except Exception:  # of werkzeug: nothing found, or a redirect
        return None
    return _ANGLED.sub(r"{\1}", str(rule.rule))


def _falcon(app: Any, scope: Scope) -> str | None:
    try:
        found = app._router.find(scope.get("path") or "/")
    except Exception:  # of a router of the application's own
        return None
    return _TYPED.sub(r"{\1}", str(found[3])) if found is not None else None
