"""The routers of frameworks that leave nothing in the scope, asked once more which route a request took.

None of them is imported: they are known by what they have.
"""

import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote, urlsplit

from asgi_rota_sentry import request
from asgi_rota_sentry.types import Scope

# `<int:id>` as werkzeug and Django write it, `{id:int}` as Falcon does.
_ANGLED = re.compile(r"<(?:[^<>]*:)?(\w+)>")
_TYPED = re.compile(r"\{(\w+):[^{}]*\}")
# What a prefix of Falcon's that is a regular expression has more than text.
_GROUP = re.compile(r"\(\?P<(\w+)>[^()]*\)")
_ANCHORS = re.compile(r"^\^|\\[AZ]|\$$|\\(?=\W)")
# Where what is around an application keeps it: most middlewares; asgiref's adapter for WSGI; bound methods.
_INNER = ("app", "wsgi_application", "__self__")
_DEEPEST = 10
_MOST_KNOWN = 100

Finder = Callable[[Any, Scope], str | None]
# By the identity of an application, which is kept so that it stays its own: the framework in it, and how to ask it.
_known: dict[int, tuple[Any, Any, Finder | None]] = {}


def braced(pattern: str) -> str:
    """A pattern whose parameters are `<id>` or `<int:id>`, with `{id}` in their place as the other frameworks have."""
    return _ANGLED.sub(r"{\1}", pattern)


def has_router(app: Any) -> bool:
    """Whether the application is, or has inside, one whose router `find` asks."""
    return (_known.get(id(app)) or _look_into(app))[2] is not None


def find(app: Any, scope: Scope) -> str | None:
    """The route's template in the form of the other frameworks, or None where it is none of these frameworks."""
    _, framework, finder = _known.get(id(app)) or _look_into(app)
    return None if finder is None else finder(framework, scope)


def _look_into(app: Any) -> tuple[Any, Any, Finder | None]:
    if len(_known) >= _MOST_KNOWN:
        _known.clear()
    found = _known[id(app)] = (app, *_framework(app))
    return found


def _framework(app: Any) -> tuple[Any, Finder | None]:
    for _ in range(_DEEPEST):
        if app is None:
            break
        if hasattr(app, "url_map") and (hasattr(app, "asgi_app") or hasattr(app, "wsgi_app")):
            return app, _quart  # Flask, whose router is the same, where an adapter has made an ASGI application of it
        if hasattr(getattr(app, "_router", None), "find") and hasattr(app, "add_sink"):
            return app, _falcon
        if hasattr(getattr(app, "router", None), "get_matching_route"):
            return app, _blacksheep
        # An application inside a middleware or an adapter, or the bound method that a middleware was put in place of.
        app = next((inner for name in _INNER if (inner := getattr(app, name, None)) is not None), None)
    return None, None


def mount(app: Any, scope: Scope) -> str | None:
    """The template of what serves all that is below a prefix: Falcon's sinks and files, what BlackSheep mounts."""
    _, framework, finder = _known.get(id(app)) or _look_into(app)
    if finder is None:
        return None
    path = str(scope.get("path") or "/")
    if finder is _blacksheep:
        prefix, _, _ = _blacksheep_mount(framework, path)
        return None if prefix is None else prefix + "/{path}"
    if finder is not _falcon:
        return None
    for matcher, _, is_sink in getattr(framework, "_sink_and_static_routes", None) or ():
        if matcher.match(path):
            prefix = matcher.pattern if is_sink else getattr(matcher, "_prefix", "")
            prefix = _ANCHORS.sub("", _GROUP.sub(r"{\1}", str(prefix))).rstrip("/")
            return prefix if prefix.endswith("}") else prefix + "/{path}"
    return None


def sees_prefix(app: Any) -> bool:
    """Whether the framework knows nothing of a mount around it, so that its templates are those of the whole path."""
    _, _, finder = _known.get(id(app)) or _look_into(app)
    return finder is _falcon


def _quart(app: Any, scope: Scope) -> str | None:
    try:
        adapter = _quart_adapter(app, scope)
        given = {"path_info": request.local_path(scope), "websocket": scope.get("type") == "websocket"}
        try:
            rule, _ = adapter.match(method=request.method(scope), return_rule=True, **given)
        except Exception as refused:
            rule, _ = adapter.match(
                return_rule=True, **{"method": request.method(scope), **given, **_allowed(refused, given)}
            )
    except Exception:  # of werkzeug: nothing found
        return None
    return braced(str(rule.rule))


def _quart_adapter(app: Any, scope: Scope) -> Any:
    """What matches the paths of this host: where routes are told apart by it, as Quart makes it of a request."""
    host = request.header(scope, b"host") or "localhost"
    if not (app.url_map.host_matching or getattr(app, "subdomain_matching", False)):
        return app.url_map.bind(host)
    asked = {"host": host, "scheme": scope.get("scheme") or "http"}
    return app.create_url_adapter(
        SimpleNamespace(**asked, root_path="", method="GET", path="/", query_string=b"")  # which the match is told
    )


def _allowed(refused: Any, given: dict[str, Any]) -> dict[str, Any]:
    """What there is a route for in place of what werkzeug has refused: its error says what was wrong."""
    if methods := getattr(refused, "valid_methods", None):
        return {"method": next(iter(methods))}
    if url := getattr(refused, "new_url", None):
        return {"path_info": unquote(urlsplit(url).path)}
    if type(refused).__name__ == "WebsocketMismatch":
        return {"websocket": not given["websocket"]}
    raise refused


def _blacksheep(app: Any, scope: Scope) -> str | None:
    path = str(scope.get("path") or "/")
    try:
        prefix, inner, rest = _blacksheep_mount(app, path)
        if prefix is not None:
            # The path is left whole; what is mounted is told of its prefix.
            found = find(inner, {**scope, "path": rest, "root_path": ""})
            return None if found is None else prefix + found
        method = "GET_WS" if scope.get("type") == "websocket" else request.method(scope)
        route = app.router.get_matching_route(method, request.local_path(scope))
        return None if route is None else str(route.mustache_pattern).replace("*", "{path}")
    except Exception:  # of a router of the application's own
        return None


def _blacksheep_mount(app: Any, path: str) -> tuple[str | None, Any, str]:
    """The prefix at which another application is mounted that serves this path, that one, and the path below it."""
    for route in getattr(getattr(app, "mount_registry", None), "mounted_apps", None) or ():
        found = route.match_by_path(path.encode())
        if found is not None:
            tail = (found.values or {}).get("tail") or ""
            return str(route.mustache_pattern).removesuffix("/*"), route.handler, f"/{tail}"
    return None, None, path


def _falcon(app: Any, scope: Scope) -> str | None:
    path = str(scope.get("path") or "/")
    if getattr(getattr(app, "req_options", None), "strip_url_path_trailing_slash", False) and path != "/":
        path = path.removesuffix("/")
    try:
        found = app._router.find(path)
    except Exception:  # of a router of the application's own
        return None
    return _TYPED.sub(r"{\1}", str(found[3])) if found is not None else None
