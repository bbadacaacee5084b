"""What happened, in numbers, for the life of this process."""

from collections import Counter
from threading import Lock

_counts: Counter[str] = Counter()
_lock = Lock()


def count(name: str, by: int = 1) -> None:
    """Add to one counter (`errors.ignored`, `pages.404`, …)."""
    with _lock:
        _counts[name] += by


def counts() -> dict[str, int]:
    """A copy of all counters."""
    with _lock:
        return dict(_counts)
