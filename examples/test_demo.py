"""The demonstration, as `make demo` and `make demo-django` run it, without a terminal."""

import os
import subprocess
import sys

import pytest

from examples.rota import PEOPLE
from examples.server import ROOT
from examples.story import EXPECTED_BREADCRUMBS


def _demo(example: str, **environ: str) -> subprocess.CompletedProcess[str]:
    mine = {name: value for name, value in os.environ.items() if not name.startswith(("SENTRY_", "ROTA_SENTRY_"))}
    command = [sys.executable, "-m", "examples.demo", example]
    return subprocess.run(
        command,
        check=False,
        cwd=ROOT,
        env={**mine, **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("example", ["starlette", "django"])
def test_the_demonstration_tells_the_story(example: str) -> None:
    """It ends with status 0 after it printed who did what before what went wrong, and the ID that the page showed."""
    done = _demo(example)
    assert done.returncode == 0, done.stdout + done.stderr
    manager = PEOPLE["manager"]
    for said in (manager.id, manager.role, *manager.preferences.values(), *(text for _, text in EXPECTED_BREADCRUMBS)):
        assert said in done.stdout
    event_id = done.stdout.partition("shows the event ID ")[2][:32]
    assert f"asgi-rota-sentry events {event_id}" in done.stdout


def test_the_demonstration_fails_when_the_story_is_not_seen() -> None:
    """Where the page shows no event ID, it says so and ends with status 1."""
    done = _demo("starlette", ROTA_SENTRY_PAGES="never")
    assert done.returncode == 1
    assert "The 500 page has no X-Sentry-Event-ID header." in done.stderr


def test_the_demonstration_explains_settings_that_cannot_be_used() -> None:
    """A fault of the environment is one line, no traceback."""
    done = _demo("starlette", SENTRY_TRACES_SAMPLE_RATE="2")
    assert done.returncode == 1
    assert "SENTRY_TRACES_SAMPLE_RATE is '2'; expected a number from 0 to 1." in done.stderr
    assert "Traceback" not in done.stderr
