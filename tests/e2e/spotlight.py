"""Spotlight (https://spotlightjs.com), Sentry's own local sidecar, on a free port of 127.0.0.1.

    with spotlight() as server:
        sentry_sdk.init(dsn=server.dsn)
        ...
        event = server.wait_for_event(event_id)     # the payload as it came: tags, user, breadcrumbs …
        server.payloads("transaction")              # of every item of that type

Unlike other small servers it keeps everything that it is sent: events, transactions, feedback, sessions, the last 500
envelopes. Needs `node` and `npm`.
"""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

VERSION = "4.11.8"
HONO = "4.12.25"  # Spotlight's web framework; under a newer one it answers 500 to everything
_FOLDER = Path(__file__).resolve().parents[2] / ".e2e" / "spotlight"
_PROGRAM = Path(__file__).with_name("spotlight_server.mjs")
_QUIET_SECONDS = 0.5


@dataclass(frozen=True)
class Item:
    """One item of an envelope (https://develop.sentry.dev/sdk/data-model/envelopes/): its type and its payload."""

    type: str
    payload: dict[str, Any]
    envelope_header: dict[str, Any]


def install() -> Path:
    """The folder that Spotlight runs in; installs it at the first call (about 15 seconds)."""
    ready = _FOLDER / f".ready-{VERSION}"
    if not ready.exists():
        shutil.rmtree(_FOLDER, ignore_errors=True)
        _FOLDER.mkdir(parents=True)
        needs = {
            "private": True,
            "dependencies": {"@spotlightjs/spotlight": VERSION},
            "overrides": {"hono": HONO},
        }
        (_FOLDER / "package.json").write_text(json.dumps(needs))
        command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
        subprocess.run(command, cwd=_FOLDER, check=True, stdin=subprocess.DEVNULL, timeout=300)
        ready.touch()
    here = _FOLDER / _PROGRAM.name  # node looks for packages beside the program
    if not here.exists() or here.read_bytes() != _PROGRAM.read_bytes():
        shutil.copy(_PROGRAM, here)
    return _FOLDER


class Spotlight:
    """A running Spotlight and what it has received."""

    def __init__(self, port: int) -> None:
        self.base_url = f"http://127.0.0.1:{port}"
        self.dsn = f"http://spotlight@127.0.0.1:{port}/1"

    def items(self) -> list[Item]:
        """Every item of every envelope received so far, in the order of arrival."""
        found = []
        for envelope_header, items in self._envelopes():
            found += [Item(str(header.get("type")), payload, envelope_header) for header, payload in items]
        return found

    def payloads(self, kind: str) -> list[dict[str, Any]]:
        """The payloads of all items of one type, such as `event`, `transaction` or `feedback`."""
        return [item.payload for item in self.items() if item.type == kind]

    def wait_for_event(self, event_id: str, timeout: float = 15.0) -> dict[str, Any]:
        """The payload of one error event as soon as it is there; AssertionError after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while True:
            events = {event["event_id"]: event for event in self.payloads("event")}
            if event_id in events:
                return events[event_id]
            if time.monotonic() > deadline:
                raise AssertionError(f"Spotlight has no event {event_id} after {timeout:g} s; it has {list(events)}")

    def wait_for_count(self, kind: str, count: int, timeout: float = 15.0) -> list[dict[str, Any]]:
        """The payloads of one type once there are `count`; however many there are after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while len(found := self.payloads(kind)) < count and time.monotonic() < deadline:
            pass
        return found

    def clear(self) -> None:
        """Forget everything received."""
        httpx.delete(f"{self.base_url}/clear", trust_env=False).raise_for_status()

    def _envelopes(self) -> Iterator[list[Any]]:
        """What `/stream` replays at once; a moment's quiet means that there is no more, since it never ends itself."""
        timeout = httpx.Timeout(10, read=_QUIET_SECONDS)
        try:
            with httpx.stream("GET", f"{self.base_url}/stream", timeout=timeout, trust_env=False) as response:
                rest = b""
                for chunk in response.iter_bytes():
                    *lines, rest = (rest + chunk).split(b"\n")
                    yield from (json.loads(line[6:]) for line in lines if line.startswith(b"data: "))
        except httpx.ReadTimeout:
            return


@contextmanager
def spotlight() -> Iterator[Spotlight]:
    """A running Spotlight, gone with what it holds at the end of the block."""
    folder = install()
    log = folder / "server.log"
    with (
        log.open("w") as errors,
        # It ends when its standard input does, so that it never outlives us.
        subprocess.Popen(
            ["node", _PROGRAM.name], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as process,
    ):
        try:
            assert process.stdout is not None
            port = next((line.split()[1] for line in process.stdout if line.startswith("PORT ")), None)
            if port is None:
                raise RuntimeError(f"Spotlight did not start:\n{log.read_text()}")
            yield Spotlight(int(port))
        finally:
            process.kill()
