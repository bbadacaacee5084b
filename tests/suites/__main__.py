"""`python -m tests.suites`: a test that passes with the bare application must pass with the wrapped one.

The suites come with the frameworks' source distributions, in the versions that are installed here; each runs bare and
wrapped, and the outcomes are compared test by test. Status 1 if one differs. Pages are left as they are
(`ROTA_SENTRY_PAGES=never`), for the suites look at the frameworks' own.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zlib
from collections import Counter
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

_HERE = Path(__file__).resolve().parent
_ROOT = _HERE.parents[1]
_WORK = _ROOT / ".e2e" / "suites"
_LONGEST_SECONDS = 900
# What the suites need beside the frameworks; what tests/requirements.txt pins has that version.
_TOOLS = """
a2wsgi anyio[trio] blockbuster dirty-equals email-validator flask httpx httpx2[zstd] importlib-metadata inline-snapshot
coverage itsdangerous jinja2 logfire opentelemetry-exporter-otlp-proto-http opentelemetry-instrumentation-fastapi
opentelemetry-sdk orjson pwdlib[argon2] pydantic-settings pyjwt pytest pytest-codspeed pytest-timeout pytest-xdist
python-multipart python-slugify pyyaml ruff sqlmodel strawberry-graphql tblib typer ujson uvicorn
"""
_PYTEST = ("-m", "pytest", "-q", "-p", "rota_wrapping", "-p", "no:cacheprovider", "--timeout=20", "tests")


@dataclass(frozen=True)
class Suite:
    """A framework's suite: its distribution, and how Python runs it in its folder."""

    name: str
    command: tuple[str, ...]


SUITES = (
    Suite("starlette", _PYTEST),
    Suite("fastapi", _PYTEST),
    Suite(
        "django",
        (
            *(str(_HERE / "rota_django.py"), "{folder}/tests", "asgi", "handlers", "test_client"),
            *("test_client_regress", "middleware", "middleware_exceptions", "requests_tests", "csrf_tests"),
            *("sessions_tests", "signed_cookies_tests", "urlpatterns", "urlpatterns_reverse", "view_tests", "async"),
        ),
    ),
)


def main() -> int:
    """Run what the command line names; returns the exit status."""
    parser = argparse.ArgumentParser("python -m tests.suites", description=__doc__)
    parser.add_argument("name", nargs="*", help="starlette, fastapi, django; default: all")
    names = parser.parse_args().name or [suite.name for suite in SUITES]
    _install()
    results = [_compare(suite) for suite in SUITES if suite.name in names]
    return 0 if all(results) else 1


def _python() -> str:
    return str(_WORK / "venv" / "bin" / "python")


def _install() -> None:
    """A virtual environment for the suites; made at the first call, in about a minute."""
    wanted = [f"{suite.name}=={version(suite.name)}" for suite in SUITES] + [f"sentry-sdk=={version('sentry-sdk')}"]
    ready = _WORK / f"ready-{zlib.crc32(f'{wanted} {_TOOLS}'.encode())}"
    if ready.exists():
        return
    shutil.rmtree(_WORK / "venv", ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(_WORK / "venv")], check=True)
    pip = [_python(), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    constraints = ["-c", str(_ROOT / "tests" / "requirements.txt")]
    subprocess.run([*pip, *constraints, *wanted, *_TOOLS.split(), "-e", str(_ROOT)], check=True)
    ready.touch()


def _sources(name: str) -> Path:
    """The unpacked source distribution, which has the tests."""
    folder = _WORK / f"{name}-{version(name)}"
    if not folder.is_dir():
        pip = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*pip, "--no-binary", ":all:", "-d", str(_WORK), f"{name}=={version(name)}"], check=True)
        with tarfile.open(folder.with_name(f"{folder.name}.tar.gz")) as archive:
            archive.extractall(_WORK, filter="data")
    return folder


def _run(suite: Suite, mode: str) -> tuple[dict[str, str], int]:
    """How each test ended, by its name; and how many requests went through the middleware."""
    folder, outcomes = _sources(suite.name), _WORK / f"{suite.name}-{mode}.json"
    outcomes.unlink(missing_ok=True)
    hidden = ("SENTRY_", "ROTA_", "DJANGO_")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    # The wrapping is no part of our package `tests`, for that is what a suite's own folder is called, too.
    environ |= {"ROTA_SUITE_MODE": mode, "ROTA_SUITE_OUTCOMES": str(outcomes), "PYTHONPATH": str(_HERE)}
    command = [_python(), *(part.format(folder=folder) for part in suite.command)]
    with outcomes.with_suffix(".log").open("wb") as log:
        subprocess.run(command, cwd=folder, env=environ, stdout=log, stderr=log, check=False, timeout=_LONGEST_SECONDS)
    found = json.loads(outcomes.read_text(encoding="utf-8"))
    return found["tests"], found["requests"]


def _compare(suite: Suite) -> bool:
    """Whether no test passes bare and does not pass wrapped; prints what there is to say."""
    (bare, _), (wrapped, requests) = _run(suite, "bare"), _run(suite, "wrapped")
    print(
        f"{suite.name} {version(suite.name)}: bare {_told(bare)}; wrapped {_told(wrapped)}; {requests:,} calls wrapped"
    )
    changed = sorted(test for test, outcome in bare.items() if outcome == "passed" != wrapped.get(test))
    if changed:
        alone, _ = _run(suite, "sdk")
        for test in changed:
            whose = "differs" if alone.get(test) == "passed" else "differs with the SDK alone, too"
            print(f"  {whose}: {test}")
    return bool(requests) and not changed


def _told(outcomes: dict[str, str]) -> str:
    counts = Counter(outcomes.values())
    return ", ".join(f"{counts[outcome]:,} {outcome}" for outcome in ("passed", "skipped", "failed"))


if __name__ == "__main__":
    sys.exit(main())
