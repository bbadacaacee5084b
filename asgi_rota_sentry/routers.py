"""The routers of frameworks that leave nothing in the scope, asked once more which route a request took.

Neither framework is imported: they are known by what they have.
"""

import re
from typing import Any

from asgi_rota_sentry import request
from asgi_rota_sentry.types import Scope

# `<int:id>` as werkzeug writes it, `{id:int}` as Falcon does.
_ANGLED = re.compile(r"<(?:[^<>]*:)?(\w+)>")
_TYPED = re.compile(r"\{(\w+):[^{}]*\}")
_DEEPEST = 10


def find(app: Any, scope: Scope) -> str | None:
    """The route's template in the form of the other frameworks, or None where it is neither Quart nor Falcon."""
    for _ in range(_DEEPEST):
        if app is None:
            return None
        if hasattr(app, "url_map") and hasattr(app, "asgi_app"):
            return _quart(app, scope)
        router = getattr(app, "_router", None)
        if hasattr(router, "find") and hasattr(app, "add_sink"):
            return _falcon(router, scope)
        # An application inside a middleware, or the bound method that a middleware was put in place of.
        app = getattr(app, "app", None) or getattr(app, "__self__", None)
    return None


def _quart(app: Any, scope: Scope) -> str | None:
    try:
        adapter = app.url_map.bind(request.header(scope, b"host") or "localhost")
        websocket = scope.get("type") == "websocket"
        rule, _ = adapter.match(
            request.local_path(scope), method=request.method(scope), return_rule=True, websocket=websocket
        )
    except Exception:  # of werkzeug: nothing found, or a redirect
        return None
    return _ANGLED.sub(r"{\1}", str(rule.rule))


def _falcon(router: Any, scope: Scope) -> str | None:
    try:
        found = router.find(scope.get("path") or "/")
    except Exception:  # of a router of the application's own
        return None
    return _TYPED.sub(r"{\1}", str(found[3])) if found is not None else None
