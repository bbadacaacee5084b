"""Settings: validated once, with messages that name the variable, what was given and what is expected."""

from dataclasses import FrozenInstanceError, fields
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from asgi_rota_sentry import RotaSentryMiddleware, Settings, SettingsError, init, sentry_options


def faults_of(environ: dict[str, str]) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        Settings.from_env(environ)
    return caught.value.faults


def test_an_empty_environment_gives_the_documented_defaults() -> None:
    """Nothing configured is a complete configuration."""
    settings = Settings.from_env({})
    assert settings == Settings()
    assert (settings.dsn, settings.environment, settings.release) == (None, "development", None)
    assert (settings.traces_sample_rate, settings.profiles_sample_rate) == (0.1, 0.1)
    assert (settings.send_default_pii, settings.debug) == (False, False)
    assert (settings.pages, settings.slow_request_seconds, settings.errors_per_minute) == ("bare", 1.0, 60)
    assert (settings.home_url, settings.dashboard_url, settings.search_url) == ("/", "/dashboard/", "/search/")
    assert settings.feedback_path == "/api/error-feedback/"
    assert settings.outbox_path == ".asgi_rota_sentry/outbox.sqlite3"


def test_every_field_is_read_from_its_variable(tmp_path: Path) -> None:
    """What the table says of a variable is what its field gets."""
    settings = Settings.from_env(
        {
            "SENTRY_DSN": "https://key@errors.example/3",
            "SENTRY_ENVIRONMENT": " production ",
            "SENTRY_RELEASE": "rota@1.2",
            "SENTRY_TRACES_SAMPLE_RATE": "0.25",
            "SENTRY_PROFILES_SAMPLE_RATE": "1",
            "SENTRY_SEND_DEFAULT_PII": "Yes",
            "ROTA_SENTRY_DEBUG": "on",
            "ROTA_SENTRY_EXCLUDE_PATHS": "/healthz, /static/*",
            "ROTA_SENTRY_TRUSTED_PROXIES": "10.0.0.0/8, ::1",
            "ROTA_SENTRY_SLOW_REQUEST_SECONDS": "2.5",
            "ROTA_SENTRY_SLOW_REQUEST_ROUTES": "/reports/*=10, /search/=.5, /items/{id}=2",
            "ROTA_SENTRY_ERRORS_PER_MINUTE": "0",
            "ROTA_SENTRY_OUTBOX": "",
            "ROTA_SENTRY_PAGES": "Always",
            "ROTA_SENTRY_PAGES_DIR": str(tmp_path),
            "ROTA_SENTRY_HOME_URL": "https://rota.example/",
            "ROTA_SENTRY_DASHBOARD_URL": "",
            "ROTA_SENTRY_SUPPORT_EMAIL": "help@rota.example",
            "ROTA_SENTRY_FEEDBACK_PATH": "/feedback",
            "PATH": "/usr/bin",
        }
    )
    assert settings.dsn == "https://key@errors.example/3"
    assert (settings.environment, settings.release) == ("production", "rota@1.2")
    assert (settings.traces_sample_rate, settings.profiles_sample_rate) == (0.25, 1.0)
    assert (settings.send_default_pii, settings.debug) == (True, True)
    assert settings.exclude_paths == ("/healthz", "/static/*")
    assert settings.trusted_proxies == (ip_network("10.0.0.0/8"), ip_network("::1/128"))
    assert (settings.slow_request_seconds, settings.errors_per_minute, settings.outbox_path) == (2.5, 0, "")
    assert settings.slow_request_routes == (("/reports/*", 10.0), ("/search/", 0.5), ("/items/{id}", 2.0))
    assert (settings.pages, settings.pages_dir) == ("always", str(tmp_path))
    assert (settings.home_url, settings.dashboard_url) == ("https://rota.example/", "")
    assert (settings.support_email, settings.feedback_path) == ("help@rota.example", "/feedback")


def test_the_message_names_the_variable_what_was_given_and_what_is_expected() -> None:
    """A person can mend the environment from the message alone."""
    assert faults_of({"SENTRY_TRACES_SAMPLE_RATE": "2"}) == (
        "SENTRY_TRACES_SAMPLE_RATE is '2'; expected a number from 0 to 1.",
    )


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("SENTRY_DSN", '"https://key@errors.example/3"'),
        ("SENTRY_ENVIRONMENT", "'production'"),
        ("ROTA_SENTRY_OUTBOX", '"/var/lib/rota/outbox.sqlite3"'),
        ("ROTA_SENTRY_OUTBOX", '""'),
        ("ROTA_SENTRY_SCRUB_KEYS", ' "staff_pin, badge_code" '),
        ("ROTA_SENTRY_SCRUB_PATTERNS", "'BADGE-[0-9]{6}'"),
    ],
)
def test_quotes_that_a_reader_of_env_files_left_are_refused(name: str, given: str) -> None:
    """`docker run --env-file` does: `"staff_pin` is no name of a secret, and the file would be in a folder `"`."""
    (fault,) = faults_of({name: given})
    assert fault.startswith(f"{name} is {given!r}; expected ")
    assert fault.endswith(", without quotes around it.")


def test_all_faults_of_one_environment_are_reported_together() -> None:
    """Nobody has to start the server once for each fault."""
    faults = faults_of({"SENTRY_DSN": "nonsense", "ROTA_SENTRY_DEBUG": "maybe", "ROTA_SENTRY_PAGES": "sometimes"})
    assert [fault.split(" is ")[0] for fault in faults] == ["SENTRY_DSN", "ROTA_SENTRY_DEBUG", "ROTA_SENTRY_PAGES"]


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("SENTRY_DSN", "https://errors.example/3"),
        ("SENTRY_DSN", "https://key@errors.example/project"),
        ("SENTRY_DSN", "https://key@errors.example:port/3"),
        ("SENTRY_DSN", "ftp://key@errors.example/3"),
        ("SENTRY_DSN", "https://key@errors example/3"),
        ("SENTRY_DSN", "https://key@errors.example/3\u00b2"),
        ("SENTRY_TRACES_SAMPLE_RATE", "nan"),
        ("SENTRY_TRACES_SAMPLE_RATE", "-0.1"),
        ("SENTRY_SEND_DEFAULT_PII", "perhaps"),
        ("ROTA_SENTRY_TRUSTED_PROXIES", "10.0.0.0/64"),
        ("ROTA_SENTRY_TRUSTED_PROXIES", "10.0.0.1/8"),
        ("ROTA_SENTRY_EXCLUDE_PATHS", "healthz"),
        ("ROTA_SENTRY_EXCLUDE_PATHS", "/a*b"),
        ("ROTA_SENTRY_SLOW_REQUEST_SECONDS", "0"),
        ("ROTA_SENTRY_SLOW_REQUEST_ROUTES", "/reports/*"),
        ("ROTA_SENTRY_SLOW_REQUEST_ROUTES", "reports=10"),
        ("ROTA_SENTRY_SLOW_REQUEST_ROUTES", "/a=1,/b=0"),
        ("ROTA_SENTRY_ERRORS_PER_MINUTE", "1.5"),
        ("ROTA_SENTRY_ERRORS_PER_MINUTE", "inf"),
        ("ROTA_SENTRY_PAGES_DIR", "no/such/folder"),
        ("ROTA_SENTRY_HOME_URL", "javascript:alert(1)"),
        ("ROTA_SENTRY_HOME_URL", "//evil.example/"),
        ("ROTA_SENTRY_SEARCH_URL", "search"),
        ("ROTA_SENTRY_SUPPORT_EMAIL", "help at rota"),
        ("ROTA_SENTRY_FEEDBACK_PATH", "feedback"),
        ("ROTA_SENTRY_FEEDBACK_PATH", "/feedback?x=1"),
        ("ROTA_SENTRY_SESSION_COOKIES", "a b"),
        ("SENTRY_ENVIRONMENT", "a\nb"),
        ("SENTRY_RELEASE", "a\rb"),
        ("SENTRY_ENVIRONMENT", "feature/rota"),
        ("SENTRY_ENVIRONMENT", "None"),
        ("SENTRY_ENVIRONMENT", "x" * 65),
        ("SENTRY_RELEASE", "rota\\1"),
        ("SENTRY_RELEASE", ".."),
        ("SENTRY_RELEASE", "Latest"),
        ("SENTRY_RELEASE", "\u00e9" * 101),
        ("ROTA_SENTRY_EXCLUDE_PATHS", "/healthz?full=1"),
        ("ROTA_SENTRY_ERRORS_PER_MINUTE", "-1"),
        ("ROTA_SENTRY_OUTBOX_MAX_MIB", "0"),
        ("ROTA_SENTRY_FEEDBACK_RATE", "0/minute"),
        ("ROTA_SENTRY_FEEDBACK_RATE", "10/fortnight"),
        ("ROTA_SENTRY_FEEDBACK_PATH", "//feedback"),
        ("ROTA_SENTRY_FEEDBACK_PATH", "/feed back"),
        ("ROTA_SENTRY_SMTP_URL", "https://mail.example"),
        ("ROTA_SENTRY_SMTP_URL", "smtp:///mail"),
        ("ROTA_SENTRY_TRAIL_REDIS_URL", "http://redis"),
        ("ROTA_SENTRY_TRAIL_REDIS_URL", "redis:///0"),
        ("ROTA_SENTRY_TRAIL_REDIS_URL", "unix://"),
        ("ROTA_SENTRY_SCRUB_KEYS", "pin,-"),
        ("ROTA_SENTRY_SCRUB_PATTERNS", "(a+)+"),
        ("ROTA_SENTRY_HOME_URL", "/\\evil.example"),
        ("ROTA_SENTRY_HOME_URL", "/a\x7fb"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(name: str, given: str) -> None:
    """Bad input is refused at start, with the variable and the value in the message."""
    (fault,) = faults_of({name: given})
    assert fault.startswith(f"{name} is {given!r}; expected ")


def test_what_sentry_takes_as_a_name_is_taken() -> None:
    """Spaces and other alphabets, and as long as it may be."""
    settings = Settings(environment="x" * 64, release="Rota \u00e9 none@1.4.2+" + "x" * 181)
    assert (len(settings.environment), len(str(settings.release).encode())) == (64, 200)


def test_an_unknown_variable_of_ours_is_refused_with_a_hint() -> None:
    """A typing error in a variable's name does not pass in silence."""
    assert faults_of({"ROTA_SENTRY_PAGE": "never"}) == (
        "ROTA_SENTRY_PAGE is not a setting; did you mean ROTA_SENTRY_PAGES?",
    )


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("ROTA_SENTRY_DSN", "SENTRY_DSN"),
        ("ROTA_SENTRY_TRACE_SAMPLE_RATE", "SENTRY_TRACES_SAMPLE_RATE"),
        ("ROTA_SENTRY_OUTBOX_PATH", "ROTA_SENTRY_OUTBOX"),
        ("ROTA_SENTRY_SLOW_SECONDS", "ROTA_SENTRY_SLOW_REQUEST_SECONDS"),
    ],
)
def test_the_hint_names_the_variable_that_is_meant(name: str, meant: str) -> None:
    """One of Sentry's own that was given our prefix, the name that the field has in code, a word left out."""
    assert faults_of({name: "x"}) == (f"{name} is not a setting; did you mean {meant}?",)


def test_what_is_like_no_setting_gets_the_list_of_all() -> None:
    """No hint is better than a wrong one; that all names begin alike makes none like another."""
    (fault,) = faults_of({"ROTA_SENTRY_XYZZY": "x"})
    assert fault.startswith("ROTA_SENTRY_XYZZY is not a setting; expected one of ROTA_SENTRY_ANSWER_LIFESPAN, ")


def test_a_path_may_begin_with_the_user_s_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No shell expands `~` in a file of variables; a folder of that name is never what was meant."""
    monkeypatch.setenv("HOME", str(tmp_path))
    settings = Settings.from_env({"ROTA_SENTRY_OUTBOX": "~/rota/outbox.sqlite3", "ROTA_SENTRY_PAGES_DIR": "~"})
    assert settings.outbox_path == str(tmp_path / "rota" / "outbox.sqlite3")
    assert settings.pages_dir == str(tmp_path)
    assert Settings(outbox_path=Path("~/a")).outbox_path == str(tmp_path / "a")


def test_settings_from_code_are_checked_the_same_way() -> None:
    """A field's name takes the place of the variable's; an unknown field is an error too."""
    with pytest.raises(SettingsError, match=r"^traces_sample_rate is 2; expected a number from 0 to 1\.$"):
        Settings(traces_sample_rate=2)
    with pytest.raises(TypeError, match="trace_rate"):
        Settings(trace_rate=1)  # type: ignore[call-arg]
    assert Settings(exclude_paths=["/healthz"]).exclude_paths == ("/healthz",)
    assert (Settings(traces_sample_rate=0).traces_sample_rate, Settings(traces_sample_rate=1).traces_sample_rate) == (
        0,
        1,
    )


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("environment", " "),
        ("release", 7),
        ("traces_sample_rate", True),
        ("traces_sample_rate", float("nan")),
        ("traces_sample_rate", None),
        ("trail_minutes", 10**400),
        ("errors_per_minute", -1),
        ("debug", 1),
        ("exclude_paths", 5),
        ("session_cookies", b"session"),
        ("trusted_proxies", ip_network("10.0.0.0/8")),
        ("slow_request_routes", {"/reports/*": 0}),
        ("slow_request_routes", [("/reports/*",)]),
        ("outbox_path", None),
        ("outbox_path", "a\0b"),
        ("outbox_path", "~nobody-of-that-name/a"),
    ],
)
def test_what_code_gives_and_cannot_be_used_is_refused_by_name(name: str, given: Any) -> None:
    """Whatever its type: never an error of Python's own, and no value that means something else than it looks like."""
    with pytest.raises(SettingsError) as caught:
        Settings(**{name: given})
    (fault,) = caught.value.faults
    assert fault.startswith(f"{name} is {given!r}; expected ")


@pytest.mark.parametrize(
    "given",
    [
        "https://key:hunter2@errors.example/project",
        "smtp://user:pa/hunter2@mail:port",
        "smtp://user:a@hunter2:b@mail:port",
        "smtp://user@rota.example:hunter2@mail:port",
        "smtps:///us/er:hunter2?#@mail:port",
        "smtp://user:a hunter2@mail:port",
        "user:hunter2@mail",
        "redis://mail:port/0?password=hunter2",
    ],
)
def test_a_password_is_not_repeated_in_a_message(given: str) -> None:
    """An error message ends up in logs; whoever left the password's `/` unescaped has it in there, too."""
    for name in ("SENTRY_DSN", "ROTA_SENTRY_SMTP_URL", "ROTA_SENTRY_TRAIL_REDIS_URL", "ROTA_SENTRY_FEEDBACK_REDIS_URL"):
        (fault,) = faults_of({name: given})
        assert "hunter2" not in fault
        assert fault.startswith(f"{name} is ")
        assert "mail" in fault or "errors.example" in fault
    with pytest.raises(SettingsError) as caught:
        Settings(smtp_url=[given])  # type: ignore[arg-type]
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("ROTA_SENTRY_SMTP_URL", "smtps://rota:p@hunter/2@mail.example"),
        ("ROTA_SENTRY_SMTP_URL", "smtps://rota:12#hunter2@mail.example"),
        ("ROTA_SENTRY_TRAIL_REDIS_URL", "redis://rota:12/hunter2@redis.example:6379/0"),
    ],
)
def test_a_password_that_should_have_been_escaped_is_refused(name: str, given: str) -> None:
    """What stands before its `/` or `#` would be taken for the host, and its rest for a path."""
    (fault,) = faults_of({name: given})
    assert fault.startswith(f"{name} is ")
    assert "hunter" not in fault


def test_the_settings_as_text_have_no_password() -> None:
    """They end up in logs and in the variables of a stack trace; everything else is there, as of any dataclass."""
    secret = Settings(
        dsn="https://key:hunter1@errors.example/1",
        smtp_url="smtps://user:hunter2@mail.example",
        trail_redis_url="redis://:hunter3@redis.example",
        feedback_redis_url="rediss://redis.example/0?password=hunter4&db=1",
        release="pkg:rota@1",
        scrub_patterns=("a:b@c",),
    )
    assert "hunter" not in repr(secret)
    assert "dsn='https://key:[Filtered]@errors.example/1', environment='development', " in repr(secret)
    assert "feedback_redis_url='rediss://redis.example/0?password=[Filtered]&db=1'" in repr(secret)
    assert "release='pkg:rota@1'" in repr(secret)
    assert "scrub_patterns=('a:b@c',)" in repr(secret)
    assert eval(repr(Settings(debug=True))) == Settings(debug=True)


def test_two_routes_of_ours_have_two_paths() -> None:
    """Else one would hide the other."""
    assert faults_of({"ROTA_SENTRY_FEEDBACK_PATH": "/oops/", "ROTA_SENTRY_TEST_ERROR_PATH": "/oops/"}) == (
        "test_error_path (ROTA_SENTRY_TEST_ERROR_PATH) is '/oops/', as feedback_path is; expected a path of its own.",
    )


@pytest.mark.parametrize("given", ["https://hunter2@errors.example/1", 5, {"dsn": "https://hunter2@errors.example/1"}])
def test_what_is_no_settings_is_refused_by_its_type(given: Any) -> None:
    """By all that take them, with a hint; a DSN given in their place is not repeated."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        """Never called."""

    wrong = rf"^settings is of type {type(given).__name__}; expected asgi_rota_sentry.Settings, such as Settings\(dsn="
    for take in (init, sentry_options, lambda settings: RotaSentryMiddleware(app, settings)):
        with pytest.raises(TypeError, match=wrong) as caught:
            take(given)
        assert "hunter2" not in str(caught.value)


def test_settings_are_frozen() -> None:
    """What was validated stays as it was validated."""
    settings = Settings()
    with pytest.raises(FrozenInstanceError):
        settings.debug = True  # type: ignore[misc]
    assert Settings(**{spec.name: getattr(settings, spec.name) for spec in fields(settings)}) == settings
