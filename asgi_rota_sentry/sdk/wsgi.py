"""The SDK's WSGI layer, which its integrations (Flask's, Django's, Falcon's) put around a WSGI application.

Where an adapter has made an ASGI application of that one (`a2wsgi`, asgiref's `WsgiToAsgi`), it runs inside one of our
requests. Then the layer opens no scope, no transaction and no session of its own, as the SDK's ASGI layer does not:
there would be two of each request, the inner one in another trace. What the WSGI application raises, the adapter raises
too.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from sentry_sdk.integrations.wsgi import SentryWsgiMiddleware


def install(is_inside: Callable[[], bool]) -> None:
    """Have the layer ask whether it is inside a request of ours; the last one to be installed is asked."""
    call: Any = SentryWsgiMiddleware.__call__
    call = getattr(call, "alone", call)

    @wraps(call)
    def call_unless_inside(self: Any, environ: dict[str, Any], start_response: Any) -> Any:
        if is_inside():
            return self.app(environ, start_response)
        return call(self, environ, start_response)

    call_unless_inside.alone = call  # type: ignore[attr-defined]
    setattr(SentryWsgiMiddleware, "__call__", call_unless_inside)  # noqa: B010 - to the type checker it is a method
