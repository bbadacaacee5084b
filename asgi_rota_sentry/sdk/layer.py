"""Which ASGI layer the present context is in: the SDK's own middleware, a request of ours, or none."""

import gc
import sys
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, TypeVar

from sentry_sdk.integrations import asgi as _asgi

_Given = TypeVar("_Given")
_Result = TypeVar("_Result")

#: True inside the SDK's own ASGI middleware, else whoever opened the layer that we are in.
#:
#: It is the SDK's own variable. While it is true, the SDK's ASGI middleware, which its Starlette and Django
#: integrations put around the application, opens no scope and no span of its own. Private; without it there would be
#: two transactions a request.
layer: ContextVar[Any] = getattr(_asgi, "_asgi_middleware_applied", ContextVar("asgi_rota_sentry_layer"))

#: Open a layer, given who does; and leave it, given the token that came of it.
open_layer, close_layer = layer.set, layer.reset

#: Whether Python's collector may run within `ContextVar.set`, as it does before 3.12. If what it collects sets one of
#: the same context (the SDK does, with each exception), what is read next may have been freed, and the process dies.
MAY_COLLECT = sys.version_info < (3, 12)


def undisturbed(do: Callable[[_Given], _Result], given: _Given) -> _Result:
    """What this returns, which sets one of the context's variables; the collector rests meanwhile."""
    if not MAY_COLLECT or not gc.isenabled():
        return do(given)
    gc.disable()
    try:
        return do(given)
    finally:
        gc.enable()


def withhold(payload: dict[str, Any]) -> None:
    """Have whoever opened the layer take out of a payload what must not leave, while it is made."""
    around = layer.get(None)
    if around and hasattr(around, "withhold"):
        around.withhold(payload)
