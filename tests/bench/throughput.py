"""Requests per second through uvicorn, driven by wrk on the same machine, one variant after the other."""

import json
import re
import shutil
import socket
import subprocess
import sys
import time
from typing import Any

from tests.bench.apps import HEADERS

VARIANTS = ("bare", "ours", "sdk")


def throughput(app: str, rate: float | None, seconds: int, *, fails: bool = False) -> dict[str, Any] | None:
    """Requests per second of each variant, or None where wrk is not installed.

    Each variant gets its own uvicorn process, `seconds` of load from 16 connections on 127.0.0.1 and one second of
    warm-up before that. `fails`: every request does, with our budget of full events used up.
    """
    wrk = shutil.which("wrk")
    if wrk is None:
        return None
    return {variant: _one(wrk, variant, app, rate, seconds, fails) for variant in VARIANTS}


def _one(wrk: str, variant: str, app: str, rate: float | None, seconds: int, fails: bool) -> float:
    """Start one server, load it, stop it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    job = json.dumps({"variant": variant, "app": app, "rate": rate, "port": port, "fails": fails})
    server = subprocess.Popen([sys.executable, "-m", "tests.bench.served", job])
    try:
        _wait_for(port, server)
        _load(wrk, port, 1, fails)
        return _load(wrk, port, seconds, fails)
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


def _load(wrk: str, port: int, seconds: int, fails: bool) -> float:
    """Requests per second as wrk counts them; RuntimeError when an answer was not 2xx, or all are to fail and one did
    not.
    """
    own = {b"host", b"connection"}
    headers = [
        part for name, value in HEADERS if name not in own for part in ("-H", f"{name.decode()}: {value.decode()}")
    ]
    url = f"http://127.0.0.1:{port}/rota/shifts/17/?week=2026-03&view=team"
    command = [wrk, "-t1", "-c16", f"-d{seconds}s", *headers, url]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 20).stdout
    found = re.search(r"Requests/sec:\s+([\d.]+)", said)
    served, failed = re.search(r"(\d+) requests in", said), re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    expected = int(served[1]) if served is not None and fails else 0
    if found is None or served is None or int(failed[1] if failed is not None else 0) != expected:
        raise RuntimeError(f"wrk met other answers than expected:\n{said}")
    return float(found[1])
