"""Applications of ASGI 2, `app(scope)` and then `await instance(receive, send)`, as those of ASGI 3.

https://asgi.readthedocs.io/en/latest/specs/main.html#legacy-applications
"""

import inspect
from typing import Any

from asgi_rota_sentry.types import ASGIApp, Receive, Scope, Send

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def as_asgi3(app: Any) -> ASGIApp:
    """The application itself, or an ASGI 3 callable around one of ASGI 2."""
    return _upgraded(app) if is_asgi2(app) else app


def is_asgi2(app: Any) -> bool:
    """Whether the application is called with the scope alone.

    By its signature: what can be called with three arguments is of ASGI 3, also a plain function that returns an
    awaitable, or a class whose instances are awaitable. Where there is no signature, it is taken for ASGI 3.
    """
    try:
        signature = inspect.signature(app)
    except (TypeError, ValueError):
        return False
    return not _takes(signature, 3) and _takes(signature, 1)


def _takes(signature: inspect.Signature, count: int) -> bool:
    """Whether it can be called with this many positional arguments and nothing else."""
    parameters = signature.parameters.values()
    positional = [one for one in parameters if one.kind in _POSITIONAL]
    required = sum(one.default is one.empty for one in positional)
    named_only = any(one.kind is one.KEYWORD_ONLY and one.default is one.empty for one in parameters)
    open_ended = any(one.kind is one.VAR_POSITIONAL for one in parameters)
    return not named_only and required <= count and (open_ended or count <= len(positional))


def _upgraded(app: Any) -> ASGIApp:
    async def application(scope: Scope, receive: Receive, send: Send) -> Any:
        __tracebackhide__ = True
        return await app(scope)(receive, send)

    return application
