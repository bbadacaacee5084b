"""One soak: three equal parts of the same traffic, with a lull after each in which the process is looked at."""

import asyncio
import json
import os
import statistics
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from examples.server import Server, running
from tests.ingest import HANG, Ingest, ingest
from tests.soak.traffic import Traffic

#: How Sentry's server does, in turn, and the share of each part's time.
WEATHER = (("well", 0.4), ("answers 503", 0.15), ("hangs", 0.15), ("is away", 0.15), ("well", 0.15))
_LONGEST_TURN = 60.0
_SETTLE_SECONDS = 30.0
_DRAIN_SECONDS = 120.0

# The first part is the warm-up: caches, thread pools and the allocator's arenas fill. From then on what is measured
# in the last part must not exceed the middle one's by more than noise: some hundred of the objects that the garbage
# collector knows, counted in the lull; of the resident memory, whose median over a part is taken, what the allocator
# cannot give back. A part of the shortest soak has 2,000 requests, so a leak of one object or 3 KiB a request is seen;
# a part of the longest has 100,000. Of open files, the SDK may keep a connection and SQLite a journal more than before,
# and the SDK's profiler starts a thread when it is first needed.
_OBJECTS = 1500
_MIB = 6.0
_FILES = 3
_THREADS = 2
_POOLS = ("AnyIO worker", "asyncio_")


@dataclass
class Part:
    """What one part left: medians of the memory in MiB, and the state of the process in the lull after it."""

    requests: int
    memory: float
    state: dict[str, Any]


@dataclass
class Soak:
    """The result: `faults` says what is wrong, one sentence each; empty when all is well."""

    seconds: float
    parts: list[Part] = field(default_factory=list)
    traffic: Traffic | None = None
    faults: list[str] = field(default_factory=list)
    shown: int = 0
    lost: int = 0

    def report(self) -> str:
        """The figures, for a person."""
        lines = ["part      requests   memory    objects  tasks  threads  files"]
        for name, part in zip(("warm-up", "middle", "last"), self.parts, strict=False):
            state = part.state
            counts = [sum(state[kind].values()) for kind in ("tasks", "threads", "files")]
            lines.append(
                f"{name:8} {part.requests:9,} {part.memory:6.1f} MiB {state['objects']:8,} "
                f"{counts[0]:6} {counts[1]:8} {counts[2]:6}"
            )
        done = self.traffic.done if self.traffic else {}
        lines.append(f"{sum(done.values()):,} in {self.seconds:.0f} s: " + ", ".join(_told(done)))
        lines.append(f"{self.shown} events were named on error pages, {self.lost} of them did not reach the server.")
        return "\n".join([*lines, *(f"WRONG: {fault}" for fault in self.faults)])


def _told(done: Any) -> Iterator[str]:
    for what, count in done.most_common():
        yield f"{count:,} {what.replace('_', ' ')}"


def soak(seconds: float, folder: Path) -> Soak:
    """Run it for about so long, with everything in this folder; never raises for what it finds."""
    result = Soak(seconds)
    arrived: set[str] = set()
    sentry = _Sentry(arrived)
    environ = {
        "SENTRY_DSN": sentry.dsn,
        "ROTA_SENTRY_DEBUG": "",
        "ROTA_SENTRY_OUTBOX": str(folder / "outbox.sqlite3"),
        "ROTA_SENTRY_OUTBOX_SENDS_PER_SECOND": "200",
        "ROTA_SENTRY_SLOW_REQUEST_SECONDS": "0.15",
        "ROTA_SENTRY_TRAIL_VISITORS": "100",
        "ROTA_SENTRY_FEEDBACK_RATE": "1000/minute",
    }
    with sentry.turning(), running("tests.soak.app:application", **environ) as server:
        traffic = result.traffic = Traffic(server.url, int(server.url.rpartition(":")[2]))
        for _ in range(3):
            result.parts.append(_part(seconds / 3, server, traffic, sentry))
        deadline = time.monotonic() + _DRAIN_SECONDS
        while traffic.event_ids - arrived and time.monotonic() < deadline:
            time.sleep(0.5)
        result.shown, result.lost = len(traffic.event_ids), len(traffic.event_ids - arrived)
        log = server.output()
    result.faults += [*traffic.unexpected, *_left_behind(result.parts), *_faults_in(log)]
    if result.lost:
        result.faults.append(f"{result.lost} of {result.shown} events did not reach the server.")
    return result


class _Sentry:
    """Sentry's server on one port, in changing weather."""

    def __init__(self, arrived: set[str]) -> None:
        self._arrived = arrived
        self._stack = ExitStack()
        self._server = self._open(None)
        self.dsn = self._server.dsn

    def _open(self, port: int | None) -> Ingest:
        server = self._stack.enter_context(ingest(port))
        server.choose = self._note
        self._weather = "well"
        return server

    def _note(self, envelope: Any) -> tuple[int, dict[str, str]] | None:
        self._server.seen.clear()  # else they are all kept
        if self._weather == "well" and envelope.headers.get("event_id"):
            self._arrived.add(envelope.headers["event_id"])
        return {"answers 503": (503, {}), "hangs": HANG}.get(self._weather)

    def turn(self, weather: str) -> None:
        """From now on it does as WEATHER says."""
        if self._weather == "is away" and weather != "is away":
            self._server = self._open(self._server.port)
        elif self._weather == "hangs" and weather != "hangs":
            self._server.released.set()
            self._server.released = type(self._server.released)()
        if weather == "is away":
            self._stack.close()
        self._weather = weather

    @contextmanager
    def turning(self) -> Iterator[None]:
        """Until the block ends."""
        with self._stack:
            yield


def _part(seconds: float, server: Server, traffic: Traffic, sentry: _Sentry) -> Part:
    """A third of it: traffic in all weathers, then a lull until nothing is left that goes away by itself."""
    before, memory = sum(traffic.done.values()), list[float]()

    async def run() -> None:
        watching = asyncio.create_task(_watch(server.process.pid, memory))
        turns = max(1, round(seconds / _LONGEST_TURN))
        for _ in range(turns):
            turning = asyncio.create_task(_turn(sentry, seconds / turns))
            await traffic.run(seconds / turns)
            await turning
        watching.cancel()

    asyncio.run(run())
    return Part(sum(traffic.done.values()) - before, statistics.median(memory), _settled(server))


async def _turn(sentry: _Sentry, seconds: float) -> None:
    for weather, share in WEATHER:
        await asyncio.to_thread(sentry.turn, weather)
        await asyncio.sleep(seconds * share)


async def _watch(pid: int, memory: list[float]) -> None:
    """The resident memory, in MiB, four times a second."""
    page = os.sysconf("SC_PAGE_SIZE") / 2**20
    while True:
        memory.append(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * page)  # noqa: ASYNC240 - no disk
        await asyncio.sleep(0.25)


def _settled(server: Server) -> dict[str, Any]:
    """The state of the process as soon as it is the same twice, one second apart."""
    deadline, last = time.monotonic() + _SETTLE_SECONDS, None
    while True:
        time.sleep(1)
        with urllib.request.urlopen(f"{server.url}/state/", timeout=30) as answer:
            now: dict[str, Any] = json.load(answer)
        held = {kind: now[kind] for kind in ("tasks", "files")}
        if held == last or time.monotonic() > deadline:
            return now
        last = held


def _left_behind(parts: list[Part]) -> Iterator[str]:
    """What the last part has more of than the middle one."""
    _, middle, last = parts
    if last.memory > middle.memory + _MIB:
        yield f"The memory's median went from {middle.memory:.1f} to {last.memory:.1f} MiB."
    grown = last.state["objects"] - middle.state["objects"]
    if grown > _OBJECTS:
        kinds = {kind: count - middle.state["kinds"].get(kind, 0) for kind, count in last.state["kinds"].items()}
        most = sorted(kinds.items(), key=lambda each: -each[1])[:8]
        yield f"There are {grown:,} objects more: {most}."
    for kind, allowed in (("tasks", 0), ("threads", _THREADS), ("files", _FILES)):
        before, now = _own(middle.state[kind]), _own(last.state[kind])
        if sum(now.values()) > sum(before.values()) + allowed:
            more = {name: count - before.get(name, 0) for name, count in now.items() if count > before.get(name, 0)}
            yield f"There are {sum(now.values())} {kind}, and were {sum(before.values())}; more of these: {more}."


def _own(counts: dict[str, int]) -> dict[str, int]:
    """Without the worker threads of pools, which come and go with the load and are bounded."""
    return {name: count for name, count in counts.items() if not name.startswith(_POOLS)}


def _faults_in(log: str) -> list[str]:
    """What our own logger told of itself, and what the event loop could not tell anybody."""
    signs = ("A fault while", "was never retrieved", "was destroyed but it is pending", "never awaited")
    return [line[:300] for line in log.splitlines() if any(sign in line for sign in signs)][:10]
