"""`python -m examples.demo starlette` or `django`: live the story against an example and show what Sentry got.

With a terminal the example is served on afterwards, until Ctrl-C. Without one the exit status says whether the whole
story was seen: 0, or 1 with what is missing. `SENTRY_DSN` sends to that server instead of keeping everything locally.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from asgi_rota_sentry.values import without_password
from examples.server import ROOT, TARGETS, Server, ServerError, running
from examples.story import Story, drive, event_faults, page_faults

_ARRIVAL_SECONDS = 15


class Outbox:
    """What the server under demonstration kept locally, read through the package's own command line."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = {**os.environ, **environ}

    def show(self, *arguments: str) -> str:
        """What `asgi-rota-sentry events …` prints for a person."""
        command = [sys.executable, "-m", "asgi_rota_sentry", "events", *arguments]
        done = subprocess.run(command, cwd=ROOT, env=self._environ, capture_output=True, text=True, check=False)
        return (done.stdout or done.stderr).rstrip()

    def listed(self) -> list[dict[str, Any]]:
        """The list of what is kept, for a program; empty while there is no outbox yet."""
        try:
            return list(json.loads(self.show("--json")))
        except ValueError:
            return []

    def wait_for(self, event_id: str) -> dict[str, Any] | None:
        """The payload of the event with this ID, once it is there; None when it does not come."""
        deadline = time.monotonic() + _ARRIVAL_SECONDS
        while time.monotonic() < deadline:
            if any(entry["event_id"] == event_id for entry in self.listed()):
                return dict(json.loads(self.show(event_id, "--json")))
            time.sleep(0.2)
        return None
