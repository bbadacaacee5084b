"""Requests per second through uvicorn, driven by wrk on the same machine, the variants in turn."""

import json
import re
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from tests.bench.apps import HEADERS

VARIANTS = ("bare", "ours", "sdk")


def throughput(app: str, rate: float | None, rounds: int, *, fails: bool = False) -> dict[str, Any] | None:
    """Requests per second of each variant, the median of its rounds, or None where wrk is not installed.

    Each variant gets its own uvicorn process, one second of warm-up, and in each round one second of load from 16
    connections on 127.0.0.1, one variant after the other. `fails`: every request does, with our budget of full events
    used up.
    """
    wrk = shutil.which("wrk")
    if wrk is None:
        return None
    with ExitStack() as stack:
        ports = {variant: stack.enter_context(_served(variant, app, rate, fails)) for variant in VARIANTS}
        for port in ports.values():
            _load(wrk, port, fails)
        found = [{variant: _load(wrk, port, fails) for variant, port in ports.items()} for _ in range(rounds)]
    return {variant: statistics.median(each[variant] for each in found) for variant in VARIANTS}


@contextmanager
def _served(variant: str, app: str, rate: float | None, fails: bool) -> Iterator[int]:
    """One server, which ends with this; its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    job = json.dumps({"variant": variant, "app": app, "rate": rate, "port": port, "fails": fails})
    server = subprocess.Popen([sys.executable, "-m", "tests.bench.served", job])
    try:
        _wait_for(port, server)
        yield port
    finally:
        server.terminate()
        server.wait(10)


def _wait_for(port: int, server: "subprocess.Popen[bytes]") -> None:
    """Return once the port accepts connections; RuntimeError when the server stops or needs more than 20 seconds."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and server.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("uvicorn did not start")


def _load(wrk: str, port: int, fails: bool) -> float:
    """Requests per second as wrk counts them; RuntimeError when an answer was not 2xx, or all are to fail and one did
    not.
    """
    own = {b"host", b"connection"}
    headers = [
        part for name, value in HEADERS if name not in own for part in ("-H", f"{name.decode()}: {value.decode()}")
    ]
    url = f"http://127.0.0.1:{port}/rota/shifts/17/?week=2026-03&view=team"
    command = [wrk, "-t1", "-c16", "-d1s", *headers, url]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout
    found = re.search(r"Requests/sec:\s+([\d.]+)", said)
    served, failed = re.search(r"(\d+) requests in", said), re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    expected = int(served[1]) if served is not None and fails else 0
    if found is None or served is None or int(failed[1] if failed is not None else 0) != expected:
        raise RuntimeError(f"wrk met other answers than expected:\n{said}")
    return float(found[1])
