"""CPU time added per request: small batches of each variant in rotating order, each compared within its round."""

import gc
import itertools
import logging
import os
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asgi_rota_sentry import Settings
from tests.bench.apps import answer, blunt_app, call, fail
from tests.bench.variants import Lineup, Variant, line_up


@dataclass(frozen=True)
class Case:
    """One column of the cost table; `goal` is the most that ours may add, as a ratio to what the SDK's adds.

    In a storm every request fails, and the default budget of full events is used up before anything is measured: what
    is measured are the errors beyond it, each counted and logged, its page served. `is_blunt`: with an application
    that fails in its only frame, in place of the others.
    """

    title: str
    goal: float
    rate: float | None = None
    initialised: bool = True
    raises: bool = False
    is_storm: bool = False
    is_blunt: bool = False


CASES = {
    "uninitialised": Case("SDK not initialised", 0.05, initialised=False),
    "off": Case("tracing off", 0.15),
    "10": Case("10 %", 0.35, rate=0.1),
    "100": Case("100 %", 0.75, rate=1.0),
    "raises": Case("app raises, at 10 %", 1.0, rate=0.1, raises=True),
    "storm": Case("storm, at 10 %", 0.10, rate=0.1, raises=True, is_storm=True),
    "storm-blunt": Case("storm of one frame", 0.10, rate=0.1, raises=True, is_storm=True, is_blunt=True),
}

WARM_UP = 5
BATCH_NS = 25_000_000
LARGEST_BATCH = 1000
STORM_BATCH = 100  # so that what a batch costs once, its flush, weighs no more than in a real storm
PER_MINUTE: int = Settings().errors_per_minute


async def measure(
    app: str, case: Case, seconds: float, *, collect: bool = True, wire: bool = False, **options: Any
) -> dict[str, Any]:
    """Run one case for `seconds` of wall time and say what it cost; see `summary` for the result's shape."""
    storm = {"per_minute": PER_MINUTE} if case.is_storm else {}
    make = {"make": lambda _: blunt_app} if case.is_blunt else {}
    handler = fail if case.raises else answer
    own = {**storm, **make, "alone": not case.raises}
    lineup = await line_up(app, handler, case.rate, case.initialised, wire, **own, **options)
    with logged(case.is_storm):
        return await _measure(lineup, case, seconds, collect)


@contextmanager
def logged(is_on: bool) -> Iterator[None]:
    """With the log written, and thrown away, where it is part of what is measured; else as the process has it."""
    if not is_on:
        yield
        return
    root, disabled = logging.getLogger(), logging.root.manager.disable
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        handler = logging.StreamHandler(nowhere)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
        root.addHandler(handler)
        logging.disable(logging.NOTSET)
        try:
            yield
        finally:
            logging.disable(disabled)
            root.removeHandler(handler)


async def _measure(lineup: Lineup, case: Case, seconds: float, collect: bool) -> dict[str, Any]:
    if case.is_storm:
        await _use_up(lineup)
    size = await _batch_size(lineup, case)
    for variant in lineup.variants:
        lineup.bind(variant)
        variant.settle()
        if variant.sink is not None:
            variant.sink.seen.clear()
    rounds: list[dict[str, float]] = []
    orders = itertools.cycle(itertools.permutations(lineup.variants))
    gc.collect()
    gc.freeze()  # what the frameworks hold is no part of any batch's collections
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline or len(rounds) < 3:
        rounds.append({variant.name: await _batch(lineup, variant, size, collect) for variant in next(orders)})
    for variant in lineup.variants:
        lineup.bind(variant)
        variant.settle()
    return {**summary(rounds), "batch": size, "seen": _seen(lineup, len(rounds) * (size + WARM_UP))}


async def _use_up(lineup: Lineup) -> None:
    """Let the storm begin: as many errors as become full events of their kind."""
    for variant in lineup.variants:
        lineup.bind(variant)
        for _ in range(PER_MINUTE):
            await call(variant.app)


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
    least = STORM_BATCH if case.is_storm else 200 if case.rate == 0.1 and not case.raises else 10
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
    Where the SDK's integrations were measured alone, `integrations` is what they add, and `least` that by the SDK's.
    """
    ours = [each["ours"] - each["bare"] for each in rounds]
    sdk = [each["sdk"] - each["bare"] for each in rounds]
    floor = [each["integrations"] - each["bare"] for each in rounds if "integrations" in each]
    return {
        "rounds": len(rounds),
        "bare": spread([each["bare"] for each in rounds]),
        "ours": spread(ours),
        "sdk": spread(sdk),
        "ratio": spread(_ratios(ours, sdk)),
        **({"integrations": spread(floor), "least": spread(_ratios(floor, sdk))} if floor else {}),
    }


def _ratios(mine: list[float], theirs: list[float]) -> list[float]:
    return [one / other for one, other in zip(mine, theirs, strict=True)]
