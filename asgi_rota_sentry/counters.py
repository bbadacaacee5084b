"""What happened, in numbers, for the life of this process."""

from collections import Counter

from asgi_rota_sentry import forks

_counts: Counter[str] = Counter()
_mine = forks.Locked()


def count(name: str, by: int = 1) -> None:
    """Add to one counter (`errors.ignored`, `pages.404`, …)."""
    with _mine.lock:
        _counts[name] += by


def counts() -> dict[str, int]:
    """A copy of all counters."""
    with _mine.lock:
        return dict(_counts)
