"""Which ASGI layer the present context is in: the SDK's own middleware, a request of ours, or none."""

from contextvars import ContextVar
from typing import Any

from sentry_sdk.integrations import asgi as _asgi

#: True inside the SDK's own ASGI middleware, else whoever opened the layer that we are in.
#:
#: It is the SDK's own variable. While it is true, the SDK's ASGI middleware, which its Starlette and Django
#: integrations put around the application, opens no scope and no span of its own. Private; without it there would be
#: two transactions a request.
layer: ContextVar[Any] = getattr(_asgi, "_asgi_middleware_applied", ContextVar("asgi_rota_sentry_layer"))


def withhold(payload: dict[str, Any]) -> None:
    """Have whoever opened the layer take out of a payload what must not leave, while it is made."""
    around = layer.get(None)
    if around and hasattr(around, "withhold"):
        around.withhold(payload)
