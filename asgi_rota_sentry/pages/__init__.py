"""The 404 and 500 answers."""

from collections.abc import Sequence
from dataclasses import dataclass

from asgi_rota_sentry.settings import Settings

Headers = Sequence[tuple[bytes, bytes]]


@dataclass(frozen=True, kw_only=True)
class Situation:
    """What a page is made from."""

    status: int
    method: str = "GET"
    path: str = "/"
    query: str = ""
    accept: str | None = None
    accept_language: str | None = None
    event_id: str | None = None
    trace_id: str | None = None
    reported: bool = False
    user_name: str | None = None
    user_email: str | None = None
    theme: str | None = None
    language: str | None = None


@dataclass(frozen=True)
class Answer:
    """A response."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class ErrorPages:
    """Makes the answers."""

    def __init__(self, settings: Settings) -> None:
        self._mode = settings.pages

    def may_replace(self, status: int, headers: Headers, method: str) -> bool:
        """Whether the answer that begins so may be bare."""
        return self._mode != "never" and (status == 404 or status >= 500)

    def is_bare(self, status: int, headers: Headers, body: bytes) -> bool:
        """Whether the answer is a framework's own default."""
        return self._mode == "always" or body in (b"", b"Not Found", b"Internal Server Error")

    def answer(self, situation: Situation, headers: Headers = ()) -> Answer:
        """The page."""
        body = f"{situation.status} {situation.event_id or ''}".encode()
        extra = [(b"x-sentry-event-id", situation.event_id.encode())] if situation.event_id else []
        return Answer(situation.status, [(b"content-length", str(len(body)).encode()), *extra], body)
