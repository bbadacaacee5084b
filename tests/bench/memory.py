"""Memory: what a request in flight holds, and whether anything grows over many requests."""

import asyncio
import gc
import itertools
import resource
import sys
import time
import tracemalloc
from operator import itemgetter
from typing import Any

from tests.bench.apps import Gate, call, discard, fail, fresh_scope, no_body
from tests.bench.variants import Lineup, Variant, line_up

_PARTS = 16  # looked at after each


async def in_flight(app: str, rate: float | None, requests: int = 1000, **options: Any) -> dict[str, Any]:
    """Bytes that each of `requests` open requests holds, by variant, as tracemalloc counts them.

    Measured twice, and the second time counts: the first fills caches.
    """
    gate = Gate()
    lineup = await line_up(app, gate.hold, rate, **options)
    tracemalloc.start()
    held = {}
    for _ in range(2):
        for variant in lineup.variants:
            held[variant.name] = await _held(lineup, variant, gate, requests)
    tracemalloc.stop()
    ours, sdk = held["ours"] - held["bare"], held["sdk"] - held["bare"]
    return {"requests": requests, "bare": held["bare"], "ours": ours, "sdk": sdk, "ratio": ours / sdk}


async def _settle() -> None:
    """Let the loop forget finished tasks, then collect twice: finalisers of the first pass free more."""
    for _ in range(2):
        await asyncio.sleep(0.01)
        gc.collect()


async def _held(lineup: Lineup, variant: Variant, gate: Gate, requests: int) -> float:
    """Bytes per request while all of them wait in the view."""
    lineup.bind(variant)
    gate.close(requests)
    await _settle()
    before = tracemalloc.get_traced_memory()[0]
    loop = asyncio.get_running_loop()
    coroutines: list[Any] = [variant.app(fresh_scope(), no_body, discard) for _ in range(requests)]
    tasks = [loop.create_task(each) for each in coroutines]
    del coroutines
    await gate.full.wait()
    gc.collect()
    after = tracemalloc.get_traced_memory()[0]
    gate.opened.set()
    await asyncio.gather(*tasks)
    variant.flush()
    return (after - before) / requests


async def soak(app: str, requests: int, variant: str = "ours", **options: Any) -> dict[str, Any]:
    """Serve `requests` to as many visitors at 10 %, and compare the least that is held in the second and last quarter.

    Every twentieth request fails, so that what is kept of events is full early, and every fiftieth asks for a page that
    is not there (see `fresh_scope`). `blocks` are the allocated memory blocks of Python's own allocator, `resident` the
    peak memory of the process in KiB. A store that is bounded is full by then; what still grows grows for ever. The
    least, since a memory that is emptied when it is full (such as the scrubber's, of what it has seen) is now full and
    now empty.
    """
    served = itertools.count(1)

    async def mostly_right() -> None:
        if next(served) % 20 == 0:
            await fail()

    lineup = await line_up(app, mostly_right, 0.1, **options)
    chosen = next(each for each in lineup.variants if each.name == variant)
    lineup.bind(chosen)
    marks = []
    started = time.monotonic()
    for part in range(_PARTS):
        for number in range(part * requests // _PARTS, (part + 1) * requests // _PARTS):
            await call(chosen.app, number)
        chosen.flush()
        gc.collect()
        resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        marks.append({"blocks": sys.getallocatedblocks(), "resident": resident})
    quarter = _PARTS // 4
    half = min(marks[quarter : 2 * quarter], key=itemgetter("blocks"))
    end = min(marks[3 * quarter :], key=itemgetter("blocks"))
    return {
        "requests": requests,
        "seconds": time.monotonic() - started,
        "half": half,
        "end": end,
        "blocks_per_request": (end["blocks"] - half["blocks"]) / (requests / 2),
    }
