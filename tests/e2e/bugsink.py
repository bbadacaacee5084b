"""A real Bugsink (https://www.bugsink.com) on a free port of 127.0.0.1, headless, with its own virtual environment.

    with bugsink() as server:
        sentry_sdk.init(dsn=server.dsn)
        ...
        event = server.wait_for_event(event_id)     # the stored JSON: tags, user, breadcrumbs, exception …

Bugsink stores error events only; transactions and feedback are dropped on arrival, but for what `server.envelopes()`
shows. Its data lives in the folder given, so that a stopped server can be started again with `server.start()`.
"""

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import UUID

VERSION = "2.6.1"
_ROOT = Path(__file__).resolve().parents[2]
_VENV = _ROOT / ".e2e" / "bugsink"
_DATA = ("db.sqlite3", "snappea.sqlite3", "token")
_KEY = "b0b51ac0000040008000000000000001"
_CONF = """
from bugsink.settings.default import *  # noqa

SECRET_KEY = "only-for-tests-on-this-machine-0123456789abcdefghijklmnopqrstuvwxyz"
DATABASES["default"]["NAME"] = {folder!r} + "/db.sqlite3"
DATABASES["snappea"]["NAME"] = {folder!r} + "/snappea.sqlite3"
for _database in DATABASES.values():  # several times faster; power cuts are not what is tested here
    _database["OPTIONS"] = _database.get("OPTIONS", {{}}) | {{"init_command": "PRAGMA synchronous=OFF"}}
SNAPPEA = {{"TASK_ALWAYS_EAGER": True, "WAKEUP_CALLS_DIR": {folder!r} + "/wakeup"}}
EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
ALLOWED_HOSTS = ["127.0.0.1"]
BUGSINK = {{
    "BASE_URL": "http://127.0.0.1:{port}",
    "PHONEHOME": False,
    "SINGLE_USER": True,
    "SINGLE_TEAM": True,
    "INGEST_STORE_BASE_DIR": {folder!r} + "/ingestion",
    "KEEP_ENVELOPES": {keep_envelopes},
    **{{f"MAX_EVENTS_PER{{whose}}_{{period}}": 1_000_000
       for whose in ("", "_PROJECT_PER") for period in ("5_MINUTES", "HOUR", "MONTH")}},
}}
"""
_PAGES = """
from django.contrib.auth import get_user_model
from django.test import Client
from events.models import Event
user, _ = get_user_model().objects.get_or_create(username="reader", defaults={{"is_superuser": True}})
event = Event.objects.get(event_id="{event_id}")
client = Client(headers={{"host": "127.0.0.1"}})
client.force_login(user)
for page in ("", "details/", "breadcrumbs/"):
    answer = client.get(f"/issues/issue/{{event.issue_id}}/event/{{event.id}}/{{page}}")
    assert answer.status_code == 200, (page, answer.status_code)
    print(answer.content.decode())
"""
_PROJECT = """
from projects.models import Project
from bsmain.models import AuthToken
Project.objects.create(name="rota", sentry_key="{key}", retention_max_event_count=1_000_000, alert_on_new_issue=False)
print("TOKEN", AuthToken.create_full_access().token)
"""


def install() -> Path:
    """The folder with Bugsink's programs; installs it at the first call (about 20 seconds)."""
    ready = _VENV / f".ready-{VERSION}"
    if not ready.exists():
        shutil.rmtree(_VENV, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(_VENV)], check=True)
        pip = [str(_VENV / "bin" / "pip"), "install", "-q", "--disable-pip-version-check"]
        subprocess.run([*pip, f"bugsink=={VERSION}"], check=True)
        ready.touch()
    return _VENV / "bin"


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Bugsink:
    """One Bugsink with one project; `base_url` and `dsn` are known before it runs and stay the same."""

    def __init__(self, folder: Path, port: int | None = None, *, keep_envelopes: int = 0) -> None:
        self.folder = folder
        self.port = port or free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        self.dsn = f"http://{_KEY}@127.0.0.1:{self.port}/1"
        self._process: subprocess.Popen[bytes] | None = None
        self._token = ""
        self._prepare(keep_envelopes)

    def _environment(self) -> dict[str, str]:
        hidden = ("SENTRY_", "DJANGO_", "PYTHON")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
        return kept | {"PYTHONPATH": str(self.folder), "DJANGO_SETTINGS_MODULE": "bugsink_conf"}

    def _manage(self, *arguments: str) -> str:
        command = [str(install() / "bugsink-manage"), *arguments]
        done = subprocess.run(
            command, cwd=self.folder, env=self._environment(), capture_output=True, text=True, check=False, timeout=120
        )
        if done.returncode:
            raise RuntimeError(f"bugsink-manage {arguments[0]} failed:\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def _prepare(self, keep_envelopes: int) -> None:
        """Write the configuration and, into an empty folder, a fresh database: a copy of the one made first of all."""
        self.folder.mkdir(parents=True, exist_ok=True)
        conf = _CONF.format(folder=str(self.folder), port=self.port, keep_envelopes=keep_envelopes)
        (self.folder / "bugsink_conf.py").write_text(conf)
        fresh = install().parent / f"fresh-{VERSION}"
        if not (self.folder / "token").exists():
            if not fresh.exists():
                self._make_databases()
                made = fresh.with_name(f"{fresh.name}.{os.getpid()}")
                shutil.copytree(self.folder, made, ignore=lambda _, names: set(names) - set(_DATA))
                with suppress(OSError):  # another process was first
                    made.rename(fresh)
                shutil.rmtree(made, ignore_errors=True)
            else:
                shutil.copytree(fresh, self.folder, dirs_exist_ok=True)
        self._token = (self.folder / "token").read_text()

    def _make_databases(self) -> None:
        self._manage("migrate", "-v0")
        self._manage("migrate", "-v0", "--database=snappea")
        said = self._manage("shell", "-v0", "-c", _PROJECT.format(key=_KEY))
        (self.folder / "token").write_text(said.rpartition("TOKEN ")[2].strip())

    def start(self, timeout: float = 30.0) -> None:
        """Start the server and wait until it answers."""
        command = [str(install() / "gunicorn"), "bugsink.wsgi", "--bind", f"127.0.0.1:{self.port}"]
        command += ["--workers", "1", "--threads", "4", "--timeout", "60", "--no-control-socket"]
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=self.folder, env=self._environment(), stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            try:
                self.get("/api/canonical/0/projects/")
            except OSError:
                if self._process.poll() is not None:
                    break
                time.sleep(0.1)
            else:
                return
        self.stop()
        raise RuntimeError("Bugsink did not start:\n" + (self.folder / "server.log").read_text()[-3000:])

    def stop(self) -> None:
        """Stop the server; its data stays."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(10)
            self._process = None

    def get(self, path: str) -> Any:
        """The JSON that Bugsink's REST API answers; `path` is absolute, or a full URL of this server."""
        url = path if path.startswith("http") else self.base_url + path
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {self._token}"})
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.load(response)

    def _pages(self, path: str) -> Iterator[dict[str, Any]]:
        page = self.get(path)
        yield from page["results"]
        while page["next"]:
            page = self.get(page["next"])
            yield from page["results"]

    def events(self) -> list[dict[str, Any]]:
        """What Bugsink lists of every stored event: `id` (Bugsink's own), `event_id`, `timestamp`, `issue` …"""
        issues = self._pages("/api/canonical/0/issues/?project=1")
        return [event for issue in issues for event in self._pages(f"/api/canonical/0/events/?issue={issue['id']}")]

    def event_ids(self) -> list[str]:
        """The Sentry event IDs of every stored event, as 32 hexadecimal digits; repeated if stored repeatedly."""
        return [UUID(event["event_id"]).hex for event in self.events()]

    def received(self) -> int:
        """How many error events have arrived so far, repeats of one event ID included."""
        with closing(sqlite3.connect(f"file:{self.folder}/db.sqlite3?mode=ro", uri=True, timeout=10)) as connection:
            row = connection.execute("SELECT digested_event_count FROM projects_project WHERE id = 1").fetchone()
        return int(row[0])

    def stored(self) -> int:
        """How many error events are stored now."""
        with closing(sqlite3.connect(f"file:{self.folder}/db.sqlite3?mode=ro", uri=True, timeout=10)) as connection:
            return int(connection.execute("SELECT count(*) FROM events_event").fetchone()[0])

    def wait_for_ids(self, event_ids: Iterable[str], timeout: float = 60.0) -> set[str]:
        """Wait until all these events are stored or `timeout` seconds are over; returns those that are missing."""
        deadline, wanted = time.monotonic() + timeout, set(event_ids)
        while True:
            with closing(sqlite3.connect(f"file:{self.folder}/db.sqlite3?mode=ro", uri=True, timeout=10)) as connection:
                wanted -= {UUID(row[0]).hex for row in connection.execute("SELECT event_id FROM events_event")}
            if not wanted or time.monotonic() > deadline:
                return wanted
            time.sleep(0.5 if len(wanted) < 50 else 3)  # each look holds up Bugsink's own writing

    def event(self, event_id: str) -> dict[str, Any] | None:
        """The stored JSON of one event (`tags`, `user`, `breadcrumbs`, `exception` …), or None when it is not there."""
        wanted = UUID(event_id).hex
        for listed in self.events():
            if UUID(listed["event_id"]).hex == wanted:
                detail = self.get(f"/api/canonical/0/events/{listed['id']}/")
                data: dict[str, Any] = detail["data"]
                return data
        return None

    def pages(self, event_id: str) -> str:
        """The HTML of an event's three pages, as who has signed in reads them: stack trace, details, breadcrumbs."""
        return self._manage("shell", "-v0", "-c", _PAGES.format(event_id=UUID(event_id)))

    def wait_for_event(self, event_id: str, timeout: float = 15.0) -> dict[str, Any]:
        """The stored JSON of one event as soon as it is there; AssertionError after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            found = self.event(event_id)
            if found is not None:
                return found
            time.sleep(0.2)
        raise AssertionError(f"Bugsink has no event {event_id} after {timeout:g} s; it has {self.event_ids()[:20]}")

    def wait_for_stored(self, count: int, timeout: float = 60.0) -> int:
        """Wait until `count` events are stored or `timeout` seconds are over; returns how many are."""
        deadline = time.monotonic() + timeout
        while (now := self.stored()) < count and time.monotonic() < deadline:
            time.sleep(0.1)
        return now


@contextmanager
def bugsink(folder: Path | None = None, *, keep_envelopes: int = 0) -> Iterator[Bugsink]:
    """A running Bugsink, gone with its data at the end; with `folder` the data stays there."""
    if folder is not None:
        server = Bugsink(folder, keep_envelopes=keep_envelopes)
        try:
            server.start()
            yield server
        finally:
            server.stop()
        return
    with tempfile.TemporaryDirectory(prefix="bugsink-") as temporary, bugsink(Path(temporary) / "data") as server:
        yield server
