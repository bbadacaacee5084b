"""An example under uvicorn, in a process of its own, on a free port of 127.0.0.1."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
TARGETS = {
    "starlette": "examples.starlette.asgi:application",
    "django": "examples.django_asgi.asgi:application",
}
"""What uvicorn serves, under the names that the demo and the tests know the examples by."""

_STARTED = re.compile(r"Uvicorn running on (http://127\.0\.0\.1:\d+)")
_START_SECONDS = 30
_STOP_SECONDS = 15


class ServerError(Exception):
    """The server did not start, or did not stop; the message has what it wrote last."""


@dataclass(frozen=True)
class Server:
    """A running example: its base URL, the file that its output goes to, its process."""

    url: str
    log: Path
    process: subprocess.Popen[bytes]

    def is_running(self) -> bool:
        """Whether its process has not ended."""
        return self.process.poll() is None

    @property
    def websocket_url(self) -> str:
        """The base URL for websockets."""
        return self.url.replace("http", "ws", 1)

    def output(self) -> str:
        """What the server has written so far."""
        return self.log.read_text(errors="replace")


def _run_tool(arguments: list[str], environ: Mapping[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=environ, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ServerError(f"{' '.join(arguments)} failed:\n{done.stderr}")


def _wait_for_url(process: subprocess.Popen[bytes], log: Path) -> str:
    """The address that uvicorn chose; asking it for port 0 leaves nobody time to take a port that was free."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        found = _STARTED.search(log.read_text(errors="replace"))
        if found:
            return found[1]
        if process.poll() is not None:
            break
        time.sleep(0.05)
    raise ServerError(f"uvicorn did not start:\n{log.read_text(errors='replace')[-4000:]}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the server as Ctrl-C would, and by force when it takes too long."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise ServerError(f"uvicorn did not end within {_STOP_SECONDS} s and was killed") from None


@contextmanager
def running(target: str, **environ: str) -> Iterator[Server]:
    """Serve `target` (a name in TARGETS, or `module:attribute`) until the block ends; `environ` is added to ours.

    Django's database is a new one with the demo data. Raises `ServerError` where the server does not start or stop.
    """
    target = TARGETS.get(target, target)
    with tempfile.TemporaryDirectory(prefix="rota-example-") as folder:
        log = Path(folder) / "server.log"
        env = {**os.environ, "PYTHONUNBUFFERED": "1", **environ}
        if "django" in target:
            env["ROTA_EXAMPLE_DATABASE"] = str(Path(folder) / "rota.sqlite3")
            _run_tool(["-m", "django", "migrate", "--verbosity=0", "--settings=examples.django_asgi.settings"], env)
        command = [sys.executable, "-m", "uvicorn", target, "--host=127.0.0.1", "--port=0", "--no-use-colors"]
        with log.open("wb") as output:
            # A session of its own: Ctrl-C in the terminal is for us, who then end it in good order.
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            yield Server(_wait_for_url(process, log), log, process)
        finally:
            _stop(process)
