"""Which exceptions are no fault of the application: answers below 500, and clients that went away.

Known by their qualified names, so that no framework is imported; subclasses count, and so does an exception group all
of whose members count.
"""

from collections.abc import Iterator

from asgi_rota_sentry import counters, faults

# A class of an answer, and the attribute that holds its HTTP status; None: always an answer below 500.
_ANSWERS = {
    "aiohttp.web_exceptions.HTTPException": "status",
    "blacksheep.exceptions.HTTPException": "status",
    "django.core.exceptions.PermissionDenied": None,
    "django.http.response.Http404": None,
    "falcon.http_error.HTTPError": "status_code",
    "falcon.http_status.HTTPStatus": "status_code",
    "litestar.exceptions.http_exceptions.HTTPException": "status_code",
    "rest_framework.exceptions.APIException": "status_code",
    "starlette.exceptions.HTTPException": "status_code",
    "werkzeug.exceptions.HTTPException": "code",
}
_DISCONNECTS = frozenset(
    {
        "django.core.exceptions.RequestAborted",
        "starlette.requests.ClientDisconnect",
        "starlette.websockets.WebSocketDisconnect",
        "litestar.exceptions.websocket_exceptions.WebSocketDisconnect",
        "falcon.errors.WebSocketDisconnected",
    }
)


def leaves(exc: BaseException) -> Iterator[BaseException]:
    """The exception itself, or the members of an exception group at any depth."""
    pending = [exc]
    while pending:
        current = pending.pop()
        if isinstance(current, BaseExceptionGroup):
            pending.extend(reversed(current.exceptions))
        else:
            yield current


def should_drop(exc: BaseException) -> bool:
    """Whether this exception makes no event: an answer below 500, or a client that left; counted and logged."""
    if is_disconnect(exc):
        counters.count("errors.disconnects")
        return True
    if not is_expected(exc):
        return False
    counters.count("errors.ignored")
    faults.logger.info("An expected error makes no event: %s: %s", type(exc).__name__, exc)
    return True


def is_expected(exc: BaseException) -> bool:
    """Whether the exception only stands for an HTTP answer below 500 (a 404, a denied permission)."""
    return all(_answers_below_500(leaf) for leaf in leaves(exc))


def is_disconnect(exc: BaseException) -> bool:
    """Whether the exception only says that the client went away."""
    return all(not _names(leaf).isdisjoint(_DISCONNECTS) for leaf in leaves(exc))


def _names(exc: BaseException) -> set[str]:
    return {f"{cls.__module__}.{cls.__qualname__}" for cls in type(exc).__mro__}


def _answers_below_500(exc: BaseException) -> bool:
    for name in _names(exc):
        if name not in _ANSWERS:
            continue
        attribute = _ANSWERS[name]
        status = 404 if attribute is None else getattr(exc, attribute, None)
        return isinstance(status, int) and status < 500
    return False
