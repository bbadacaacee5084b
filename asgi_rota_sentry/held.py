"""An error answer that is held back until it is known to be the framework's own bare one, or not."""

from collections.abc import MutableMapping, Sequence
from enum import Enum
from typing import Any

from asgi_rota_sentry.pages import ErrorPages
from asgi_rota_sentry.types import Message

MOST_HELD = 64 * 1024

Headers = Sequence[tuple[bytes, bytes]]


class Verdict(Enum):
    """What is known of a held answer."""

    OPEN = "it may still turn out to be bare"
    OWN = "it is the application's own"
    BARE = "it is complete, and bare"


class HeldAnswer:
    """The messages of one answer that is held, the start first; `pages` knows which are bare."""

    __slots__ = ("_body", "_method", "_pages", "messages")

    def __init__(self, start: Message, pages: ErrorPages, method: str) -> None:
        self.messages: list[Message] = [dict(start)]
        self._pages = pages
        self._method = method
        self._body = b""

    @property
    def status(self) -> int:
        """The HTTP status that it has."""
        return int(self.messages[0].get("status", 500))

    @property
    def headers(self) -> Headers:
        """The headers that it has."""
        return headers_of(self.messages[0])

    @property
    def is_empty(self) -> bool:
        """Whether nothing of a body has come."""
        return not self._body

    @property
    def is_complete(self) -> bool:
        """Whether it has been told to its end."""
        return len(self.messages) > 1 and not self.messages[-1].get("more_body", False)

    def add(self, message: Message) -> None:
        """Hold this message of it, too."""
        self.messages.append(dict(message) if isinstance(message, MutableMapping) else message)

    def judge(self) -> Verdict:
        """What is known of it, now that its last message has come."""
        message = self.messages[-1]
        if not isinstance(message, MutableMapping) or message.get("type") != "http.response.body":
            return Verdict.OWN
        self._body += message.get("body") or b""
        status, headers = self.status, list(self.headers)
        if message.get("more_body", False):
            is_short = len(self._body) <= MOST_HELD
            is_hopeful = is_short and self._pages.may_replace(status, headers, self._method, self._body)
            return Verdict.OPEN if is_hopeful else Verdict.OWN
        is_bare = self._pages.is_bare(status, headers, self._body, self._method)
        return Verdict.BARE if is_bare else Verdict.OWN


def is_to_be_held(start: Message, pages: ErrorPages, method: str) -> bool:
    """Whether an answer that starts like this may turn out to be bare."""
    if start.get("trailers") or _is_iterator(start.get("headers")):
        return False
    return pages.may_replace(start.get("status", 200), list(headers_of(start)), method)


def headers_of(message: Message) -> Headers:
    """The headers as far as they can be looked at: an iterator would be empty when the server reads it."""
    found = message.get("headers")
    if type(found) is list:  # as nearly all
        return found
    return () if not found or _is_iterator(found) else found


def _is_iterator(found: Any) -> bool:
    return type(found) is not list and hasattr(found, "__next__")
