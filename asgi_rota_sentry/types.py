"""The types of the ASGI 3 interface (https://asgi.readthedocs.io/en/latest/specs/main.html)."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[Any]]

AnyASGIApp = Callable[[Any, Any, Any], Awaitable[Any]] | Callable[[Any], Callable[[Any, Any], Awaitable[Any]]]
"""An application of any framework, ASGI 3 or 2: each has types of its own for scope, receive and send."""
