"""The ASGI servers that the examples must pass under, each in a process of its own on a free port of 127.0.0.1."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.bugsink import free_port

_ROOT = Path(__file__).resolve().parents[2]
_START_SECONDS = 60
_STOP_SECONDS = 20


@dataclass(frozen=True)
class AsgiServer:
    """How one server is started: its module, and its options, in which `{port}` stands for the port.

    `exits` are the exit statuses of one that was ended in good order. `tells_failure` says whether a client learns at
    once that an application failed midway: daphne leaves it waiting, hypercorn's HTTP/2 for as long as it keeps alive.
    `logs_late` says that it logs what the application raised up to a second later, as daphne does.
    """

    name: str
    module: str
    options: str
    http2: bool = False
    runs_trio: bool = False
    exits: tuple[int, ...] = (0, -signal.SIGTERM)
    tells_failure: bool = True
    logs_late: bool = False

    def command(self, target: str, port: int) -> list[str]:
        """What starts it with the application `target`, given as `module:attribute`."""
        return [sys.executable, "-m", self.module, *self.options.format(port=port).split(), target]


SERVERS = (
    AsgiServer("uvicorn-h11-asyncio", "uvicorn", "--host 127.0.0.1 --port {port} --http h11 --loop asyncio"),
    AsgiServer("uvicorn-httptools-uvloop", "uvicorn", "--host 127.0.0.1 --port {port} --http httptools --loop uvloop"),
    AsgiServer("hypercorn-asyncio", "hypercorn", "--bind 127.0.0.1:{port} --worker-class asyncio"),
    AsgiServer("hypercorn-trio", "hypercorn", "--bind 127.0.0.1:{port} --worker-class trio", runs_trio=True),
    AsgiServer(
        "hypercorn-http2",
        "hypercorn",
        "--bind 127.0.0.1:{port} --worker-class asyncio",
        http2=True,
        tells_failure=False,
    ),
    AsgiServer("granian", "granian", "--host 127.0.0.1 --port {port} --interface asgi"),
    AsgiServer("daphne", "daphne", "--bind 127.0.0.1 --port {port} --verbosity 1", tells_failure=False, logs_late=True),
)


@dataclass(frozen=True)
class Served:
    """A running application: where it is, and what its server has written."""

    url: str
    log: Path
    process: subprocess.Popen[bytes]

    @property
    def websocket_url(self) -> str:
        """The base URL for websockets."""
        return self.url.replace("http", "ws", 1)

    def output(self) -> str:
        """What the server has written so far."""
        return self.log.read_text(errors="replace")

    def stop(self) -> int:
        """End the server as a service manager would; returns its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(_STOP_SECONDS)


@contextlib.contextmanager
def served(server: AsgiServer, target: str, folder: Path, **environ: str) -> Iterator[Served]:
    """The application under this server, gone with all its processes at the end; `environ` is added to ours."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SENTRY_", "ROTA_"))}
    port, log = free_port(), folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            server.command(target, port),
            cwd=_ROOT,
            env={**kept, "PYTHONUNBUFFERED": "1", **environ},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    running = Served(f"http://127.0.0.1:{port}", log, process)
    try:
        _wait_for(running, port)
        yield running
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(_STOP_SECONDS)


def _wait_for(running: Served, port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while running.process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise AssertionError(f"the server did not start:\n{running.output()[-4000:]}")
