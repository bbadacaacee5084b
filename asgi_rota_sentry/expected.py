"""Which exceptions are no fault of the application: answers below 500, and clients that went away.

Known by their qualified names, so that no framework is imported; subclasses count, and so does an exception group all
of whose members count.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from traceback import walk_tb
from typing import Any, TypeVar

from asgi_rota_sentry import counters, faults

_Found = TypeVar("_Found")

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
# What daphne raises where nothing can be sent any more, whoever closed the websocket.
_CLOSED_SOCKET = "autobahn.exception.Disconnected"
# What Litestar says in place of an exception, in each of its layers that it comes through.
_RETELLER, _RETELLING = (
    "litestar.exceptions.base_exceptions.LitestarException",
    "Exception caught after response started",
)
_BACKGROUND = "starlette.background"
_UNSENT_MARK = "_unsent_by_asgi_rota_sentry"
# So many exceptions are looked at of those that one was raised from.
_MOST_CAUSES = 10
_CANCELLATIONS = frozenset({"asyncio.exceptions.CancelledError", "trio.Cancelled"})


def leaves(exc: BaseException) -> Iterable[BaseException]:
    """The exception itself, or the members of an exception group at any depth; a group without is one itself."""
    return _members(exc) if is_group(exc) else (exc,)


def first_leaf(exc: BaseException) -> BaseException:
    """The exception itself, or the first member of an exception group."""
    return next(iter(_members(exc))) if is_group(exc) else exc


def is_group(exc: BaseException) -> bool:
    """Whether the exception has members; by its real type, for what it says of its class may be anything."""
    return issubclass(type(exc), BaseExceptionGroup)


def has_error(exc: BaseException) -> bool:
    """Whether it is a group in which there is more than what ends a request or the process."""
    return is_group(exc) and any(isinstance(leaf, Exception) for leaf in leaves(exc))


def _members(group: BaseException) -> Iterator[BaseException]:
    pending = [group]
    while pending:
        current = pending.pop()
        members = _direct(current) if is_group(current) else ()
        if members:
            pending.extend(reversed(members))
        else:
            yield current


def _direct(group: Any) -> tuple[BaseException, ...]:
    try:
        return tuple(group.exceptions)
    except Exception:  # a subclass may do anything there
        return ()


def retold(exc: BaseException) -> Iterator[BaseException]:
    """The exceptions that this one only tells again, the latest first: Litestar's, once the answer began."""
    current = exc
    for _ in range(_MOST_CAUSES):
        kind, told = type(current), current.__cause__
        # Only Litestar's is asked for its detail: any other may raise there.
        is_retelling = (
            f"{kind.__module__}.{kind.__qualname__}" == _RETELLER and vars(current).get("detail") == _RETELLING
        )
        if told is None or not is_retelling:
            return
        yield told
        current = told


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
    if _is_ordinary(type(exc)):  # as nearly all
        return False
    return all(_answers_below_500(leaf) for leaf in leaves(exc))


def answer_status(exc: BaseException) -> int | None:
    """The status of the HTTP answer that the exception only stands for; None where it is another, or tells none."""
    name = _answer(_kind(exc))
    if name is None:
        return None
    attribute = _ANSWERS[name]
    status = 404 if attribute is None else getattr(exc, attribute, None)
    return status if isinstance(status, int) else None


def is_disconnect(exc: BaseException) -> bool:
    """Whether the exception only says that the client went away; in a group beside the tasks that were cancelled."""
    if _is_ordinary(type(exc)):
        return _is_unsent(exc)
    if not is_group(exc):
        return _is_disconnect(_kind(exc)) or _is_unsent(exc)
    left = [leaf for leaf in leaves(exc) if not _is_cancellation(_kind(leaf))]
    return bool(left) and all(_is_disconnect(_kind(leaf)) or _is_unsent(leaf) for leaf in left)


def is_of_background(exc: BaseException) -> bool:
    """Whether the exception comes from a background task of Starlette's, which runs when the answer is out."""
    frames = walk_tb(first_leaf(exc).__traceback__)
    return any(frame.f_globals.get("__name__") == _BACKGROUND for frame, _ in frames)


def is_of_closed_socket(exc: BaseException) -> bool:
    """Whether the server says that the websocket is closed; by itself it does not tell by whom."""
    return _CLOSED_SOCKET in _names(_kind(exc))


def mark_unsent(exc: Exception) -> None:
    """Note on an exception that `send` raised it: a client that left, where any other of its kind is an error.

    On the exception itself, so that nothing has to keep it, and other layers' captures are told, too.
    """
    exc.__dict__[_UNSENT_MARK] = True


def _is_unsent(exc: BaseException) -> bool:
    """Whether `send` raised it, or what it was raised from (or in place of, `from None`)."""
    current = exc
    for _ in range(_MOST_CAUSES):
        if _UNSENT_MARK in current.__dict__:
            return True
        before = current.__cause__
        if before is None and current.__suppress_context__:
            before = current.__context__
        if before is None:
            return False
        current = before
    return False


def _kind(exc: BaseException) -> Any:
    return type(exc)


def _remembered(look: Callable[[Any], _Found]) -> Callable[[Any], _Found]:
    """Each type is looked at once, but for one that cannot be looked up: its metaclass has no hash, or an odd one."""
    known = lru_cache(maxsize=256)(look)

    def find(kind: Any) -> _Found:
        try:
            return known(kind)
        except Exception:
            return look(kind)

    return find


@_remembered
def _is_disconnect(kind: Any) -> bool:
    return not _names(kind).isdisjoint(_DISCONNECTS)


@_remembered
def _is_ordinary(kind: Any) -> bool:
    """Whether the type tells that it stands for no answer and no client that left, and is no group."""
    return not (issubclass(kind, BaseExceptionGroup) or _is_disconnect(kind) or _answer(kind))


@_remembered
def _is_cancellation(kind: Any) -> bool:
    return not _names(kind).isdisjoint(_CANCELLATIONS)


@_remembered
def _answer(kind: Any) -> str | None:
    """The class of an answer that this is one of."""
    return next((name for name in _names(kind) if name in _ANSWERS), None)


def _names(kind: type[BaseException]) -> set[str]:
    return {f"{cls.__module__}.{cls.__qualname__}" for cls in kind.__mro__}


def _answers_below_500(exc: BaseException) -> bool:
    status = answer_status(exc)
    return status is not None and status < 500
