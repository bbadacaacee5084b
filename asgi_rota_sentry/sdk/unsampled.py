"""The request span of a request that is not sampled, in either lifecycle."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any


class UnsampledSpan:
    """Nothing is kept; `end`, which is the lifecycle's own, has the SDK count what was not sent."""

    sampled = False

    def name(self) -> tuple[str, str]:
        """Nobody sees the name."""
        return "", "url"

    def rename(self, name: str, source: str) -> None:
        """Nobody sees the name."""

    def set_status_code(self, status: int) -> None:
        """Nobody sees the status."""

    def fail(self) -> None:
        """Nobody sees the failure here; the error has its own event."""

    def cancel(self) -> None:
        """Nobody sees it."""

    def set_data(self, data: Mapping[str, Any]) -> None:
        """Nobody sees the data."""

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Nobody sees the tags."""

    def set_user(self, user: Mapping[str, Any], preferences: Mapping[str, str]) -> None:
        """Nobody sees the user."""

    def set_request(self, attributes: Mapping[str, Any]) -> None:
        """Nobody sees the request."""

    def end(self, at: datetime | None = None) -> None:
        """Count what was not sent, as the SDK does."""

    def pass_on(self, at: datetime) -> None:
        """Nobody sees what runs on."""

    def follow(self, since: datetime, until: datetime, *, failed: bool) -> None:
        """Nobody sees what ran on."""

    def has_more(self) -> bool:
        """Nothing is kept."""
        return False

    def let_go(self) -> None:
        """Nothing was kept."""
