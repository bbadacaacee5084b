"""CPU time added per request: small batches of each variant in rotating order, each compared within its round."""

import gc
import itertools
import statistics
import time
from dataclasses import dataclass
from typing import Any

from tests.bench.apps import answer, call, fail
from tests.bench.variants import Lineup, Variant, line_up


@dataclass(frozen=True)
class Case:
    """One column of the cost table; `goal` is the most that ours may add, as a ratio to what the SDK's adds."""

    title: str
    goal: float
    rate: float | None = None
    initialised: bool = True
    raises: bool = False


CASES = {
    "uninitialised": Case("SDK not initialised", 0.05, initialised=False),
    "off": Case("tracing off", 0.15),
    "10": Case("10 %", 0.35, rate=0.1),
    "100": Case("100 %", 0.75, rate=1.0),
    "raises": Case("app raises, at 10 %", 1.0, rate=0.1, raises=True),
}

WARM_UP = 5
BATCH_NS = 25_000_000
LARGEST_BATCH = 1000


async def measure(
    app: str, case: Case, seconds: float, *, collect: bool = True, wire: bool = False, **options: Any
) -> dict[str, Any]:
    """Run one case for `seconds` of wall time and say what it cost; see `summary` for the result's shape."""
    handler = fail if case.raises else answer
    lineup = await line_up(app, handler, case.rate, case.initialised, wire, **options)
    size = await _batch_size(lineup, case)
    for variant in lineup.variants:
        if variant.sink is not None:
            variant.sink.seen.clear()
    rounds: list[dict[str, float]] = []
    orders = itertools.cycle(itertools.permutations(lineup.variants))
    gc.collect()
    gc.freeze()  # what the frameworks hold is no part of any batch's collections
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline or len(rounds) < 3:
        rounds.append({variant.name: await _batch(lineup, variant, size, collect) for variant in next(orders)})
    return {**summary(rounds), "batch": size, "seen": _seen(lineup, len(rounds) * (size + WARM_UP))}


async def _batch(lineup: Lineup, variant: Variant, size: int, collect: bool) -> float:
    """Microseconds of CPU time per request, of all threads together, what the client's batchers held included.

    Each batch begins with a collected heap and, if `collect`, pays for the garbage collections that it causes.
    """
    lineup.bind(variant)
    for _ in range(WARM_UP):
        await call(variant.app)
    variant.flush()
    gc.collect()
    if not collect:
        gc.disable()
    start = time.process_time_ns()
    for _ in range(size):
        await call(variant.app)
    variant.flush()
    spent = time.process_time_ns() - start
    gc.enable()
    return spent / size / 1000


async def _batch_size(lineup: Lineup, case: Case) -> int:
    """As many requests as the slowest variant serves in a batch's time; never less than a sampled case needs."""
    slowest = max([await _batch(lineup, variant, 20, collect=True) for variant in lineup.variants])
    least = 200 if case.rate == 0.1 and not case.raises else 10
    return max(least, min(LARGEST_BATCH, int(BATCH_NS / 1000 / slowest)))


def _seen(lineup: Lineup, requests: int) -> dict[str, Any]:
    """What each variant's client handed to its transport, per request, so that a reader sees that it did its work."""
    sinks = {variant.name: variant.sink.seen for variant in lineup.variants if variant.client and variant.sink}
    return {
        "requests": requests,
        **{name: {kind: count / requests for kind, count in sorted(seen.items())} for name, seen in sinks.items()},
    }


def spread(values: list[float]) -> dict[str, float]:
    """The median and the quartiles around it."""
    low, middle, high = statistics.quantiles(values, n=4)
    return {"median": middle, "low": low, "high": high}


def summary(rounds: list[dict[str, float]]) -> dict[str, Any]:
    """What was added, from each round's own differences to the bare app, in microseconds, and ours by the SDK's.

    The ratio is the median of the rounds' own ratios, so that a machine that slows down for a while changes nothing.
    """
    ours = [each["ours"] - each["bare"] for each in rounds]
    sdk = [each["sdk"] - each["bare"] for each in rounds]
    return {
        "rounds": len(rounds),
        "bare": spread([each["bare"] for each in rounds]),
        "ours": spread(ours),
        "sdk": spread(sdk),
        "ratio": spread([mine / theirs for mine, theirs in zip(ours, sdk, strict=True)]),
    }
