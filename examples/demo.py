"""`python -m examples.demo starlette` or `django`: live the story against an example and show what Sentry got.

With a terminal the example is served on afterwards, until Ctrl-C. Without one the exit status says whether the whole
story was seen: 0, or 1 with what is missing. `SENTRY_DSN` sends to that server instead of keeping everything locally.
"""

import argparse
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType

import httpx

from asgi_rota_sentry import Settings, SettingsError
from asgi_rota_sentry.values import without_password
from examples.kept import KeptEnvelopes
from examples.server import ROOT, TARGETS, Server, ServerError, running
from examples.story import Story, drive, event_faults, page_faults

_DEFAULTS = {"SENTRY_TRACES_SAMPLE_RATE": "1", "SENTRY_SEND_DEFAULT_PII": "true"}
_PATIENCE = 20.0


def main() -> int:
    """Run the demonstration that the command line names; returns the exit status."""
    arguments = argparse.ArgumentParser(prog="examples.demo", description=__doc__)
    arguments.add_argument("example", choices=sorted(TARGETS))
    example = arguments.parse_args().example
    signal.signal(signal.SIGTERM, _interrupt)
    sys.stdout.reconfigure(line_buffering=True)  # so that a pipe gets it in the order of a terminal
    try:
        with tempfile.TemporaryDirectory(prefix="rota-demo-") as folder:
            outbox = Path(folder) / "outbox.sqlite3"
            environ = {**_DEFAULTS, **os.environ, "ROTA_SENTRY_OUTBOX": str(outbox)}
            settings = Settings.from_env(environ)
            with running(example, **environ) as server:
                return _demonstrate(example, server, settings, environ)
    except (ServerError, SettingsError, httpx.HTTPError) as fault:
        print(f"The demonstration failed: {fault}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped.")
        return 130


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _demonstrate(example: str, server: Server, settings: Settings, environ: Mapping[str, str]) -> int:
    personal = "included" if settings.send_default_pii else "left out"
    print(f"The {example} example serves {server.url}.")
    print(f"Requests sampled: {settings.traces_sample_rate:.0%}. Names, e-mail and IP addresses: {personal}.")
    story = drive(server.url)
    _show_story(story)
    kept = KeptEnvelopes(settings.outbox_path)
    if settings.dsn is None or settings.debug:
        ending = "The whole story was seen: the page's event ID leads to the error, its user, role and breadcrumbs."
        faults = page_faults(story) + _show_kept(story, kept, settings, environ)
    else:
        ending = f"The page showed an event ID, and {without_password(settings.dsn)} took the event: look it up there."
        faults = page_faults(story) + _missing_there(settings.dsn, kept)
    status = _report(faults, ending, server)
    if sys.stdin.isatty() and sys.stdout.isatty():
        return _serve_on(server, settings)
    return status


def _show_story(story: Story) -> None:
    _headline("The story, as the browser saw it")
    for method, path, status in story.visits:
        print(f"  {status}  {method:4} {path}")
    print(f"\n  The 500 page shows the event ID {story.event_id}.")


def _show_kept(story: Story, kept: KeptEnvelopes, settings: Settings, environ: Mapping[str, str]) -> list[str]:
    """Print what is in the local outbox about the story; returns what is missing there."""
    expected = len(story.visits) if settings.traces_sample_rate == 1 else 0
    event = kept.wait_for_event(story.event_id or "", _PATIENCE)
    spans = kept.wait_for_request_spans(expected, _PATIENCE)
    faults = _show_command("What Sentry got", environ)
    if event is None:
        return [*faults, "No event with the ID of the page was kept."]
    faults += _show_command("The error", environ, str(story.event_id))
    faults += event_faults(story, event)
    if expected and len(spans) != expected:
        faults.append(f"There are {len(spans)} transactions; expected one for each of {expected} requests.")
    trace_id = event["contexts"]["trace"]["trace_id"]
    if trace_id in spans:
        faults += _show_command("Its transaction", environ, spans[trace_id])
    elif expected:
        faults.append(f"There is no transaction of the failed request's trace {trace_id}.")
    return faults


def _missing_there(dsn: str, kept: KeptEnvelopes) -> list[str]:
    """Wait until the server took everything; returns what it did not take."""
    fault = kept.wait_until_sent(_PATIENCE)
    return [f"The server of {without_password(dsn)} did not take everything: {fault}."] if fault else []


def _show_command(title: str, environ: Mapping[str, str], *arguments: str) -> list[str]:
    """Print what `asgi-rota-sentry events …` prints; returns that it failed, if it did."""
    _headline(f"{title}: {shlex.join(['asgi-rota-sentry', 'events', *arguments])}")
    command = [sys.executable, "-m", "asgi_rota_sentry", "events", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    print(textwrap.indent((done.stdout + done.stderr).rstrip(), "  "))
    return [f"`asgi-rota-sentry events` ended with status {done.returncode}."] if done.returncode else []


def _headline(text: str) -> None:
    print(f"\n{text}\n{'-' * len(text)}")


def _report(faults: list[str], ending: str, server: Server) -> int:
    print()
    if not faults:
        print(ending)
        return 0
    print("Something of the story is missing:", file=sys.stderr)
    for fault in faults:
        print(f"  - {fault}", file=sys.stderr)
    print(f"The server's log ends with:\n{server.output()[-3000:]}", file=sys.stderr)
    return 1


def _serve_on(server: Server, settings: Settings) -> int:
    """Go on serving until Ctrl-C; returns 0, or 1 when the server ended by itself."""
    print(f"\nNow it is your turn: {server.url} is served until you press Ctrl-C. Its log is {server.log}.")
    print(f"What Sentry gets: ROTA_SENTRY_OUTBOX={settings.outbox_path} {sys.executable} -m asgi_rota_sentry events")
    try:
        while server.is_running():
            time.sleep(0.3)
    except KeyboardInterrupt:
        print("\nStopped.")
        return 0
    print(f"The server ended by itself:\n{server.output()[-2000:]}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
