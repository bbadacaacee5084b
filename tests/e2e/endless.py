"""A stream that lasts longer than any test, and a count of those that were cut; both examples are given it."""

from collections.abc import AsyncIterator

import anyio

_cut = 0


async def lines() -> AsyncIterator[str]:
    """A line every 50 ms for two minutes."""
    global _cut  # noqa: PLW0603 - a process serves one application
    whole = False
    try:
        for _ in range(2400):
            yield "still there\n"
            await anyio.sleep(0.05)
        whole = True
    finally:
        _cut += not whole


def cut() -> int:
    """How many streams ended before their end."""
    return _cut
