"""The documentation says what the code does."""

import os
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

from asgi_rota_sentry import Settings

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
LINE = re.compile(r"^# ((?:ROTA_)?SENTRY_[A-Z_]+)=(.*)$", re.MULTILINE)


def test_the_example_environment_documents_each_variable_once() -> None:
    """`.env.sentry.example` is the reference of the settings."""
    documented = [name for name, _ in LINE.findall((ROOT / ".env.sentry.example").read_text())]
    assert sorted(documented) == sorted(spec.metadata["env"] for spec in fields(Settings))


def test_each_documented_value_is_accepted_and_is_the_default_or_an_example() -> None:
    """A line that is uncommented as it stands does not stop the server."""
    given = dict(LINE.findall((ROOT / ".env.sentry.example").read_text()))
    given.pop("ROTA_SENTRY_PAGES_DIR")  # a folder that only its owner has
    settings = Settings.from_env(given)
    assert settings.trail_requests == Settings().trail_requests
    assert settings.support_email == "support@example.com"


def test_a_shell_reads_the_example_environment(tmp_path: Path) -> None:
    """`. .env` gives what a program that reads the file gives, with every line uncommented."""
    given = LINE.findall((ROOT / ".env.sentry.example").read_text())
    (tmp_path / "env").write_text("".join(f"{name}={value}\n" for name, value in given))
    done = subprocess.run(
        ["sh", "-c", "set -ae; . ./env; env -0"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        check=False,
    )
    assert done.stderr == b""
    read = dict(line.split("=", 1) for line in done.stdout.decode().split("\0") if "SENTRY_" in line)
    assert read == dict(given)


def test_the_first_lines_of_the_readme_start_a_new_django_project(tmp_path: Path) -> None:
    """As they stand, in the place of the `asgi.py` that `startproject` wrote."""
    (lines,) = re.findall(r"^```python\n(# asgi\.py of a Django project\n.*?)^```", README, re.MULTILINE | re.DOTALL)
    known = {name: value for name, value in os.environ.items() if "SENTRY" not in name and "DJANGO" not in name}
    known["PYTHONPATH"] = str(ROOT)

    def run(*arguments: str) -> None:
        subprocess.run([sys.executable, *arguments], cwd=tmp_path, env=known, check=True)

    run("-m", "django", "startproject", "mysite", ".")
    (tmp_path / "mysite" / "asgi.py").write_text(lines)
    run("-c", "import mysite.asgi as it; assert type(it.application).__name__ == 'RotaSentryMiddleware'")
