"""What the user configures: one frozen `Settings`, from code or from the environment, validated once."""

import os
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from difflib import get_close_matches
from typing import Any

from asgi_rota_sentry import takes, values

_PREFIX = "ROTA_SENTRY_"


class SettingsError(ValueError):
    """Settings that cannot be used; `faults` has one sentence for each thing that is wrong.

    Each sentence names the setting (the environment variable, when it came from there), what was given and what is
    expected.
    """

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


def _option(default: Any, env: str, parse: Callable[[Any], Any], expected: str) -> Any:
    """A dataclass field that knows its environment variable, its parser and the words for what it expects."""
    return field(default=default, metadata={"env": env, "parse": parse, "expected": expected})


def _validate(spec: Field[Any], name: str, given: Any) -> Any:
    """The parsed value of one field, or a ValueError with the full sentence."""
    try:
        return spec.metadata["parse"](given)
    except (ValueError, TypeError, OverflowError):
        shown = values.without_password(repr(given))
        raise ValueError(f"{name} is {shown}; expected {spec.metadata['expected']}.") from None


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How the middleware and `init` behave; every field has a default, so `Settings()` is complete.

    `Settings.from_env()` reads the same fields from the environment. Whatever is wrong raises `SettingsError`, which
    reports all faults together. Text is accepted wherever the environment would give text, so `Settings(debug="yes")`
    means the same as `ROTA_SENTRY_DEBUG=yes`.
    """

    dsn: str | None = _option(None, "SENTRY_DSN", values.dsn, "a DSN such as https://key@host/1, or nothing")
    environment: str = _option(
        "development",
        "SENTRY_ENVIRONMENT",
        values.environment,
        "a name of at most 64 characters without slashes, other than none",
    )
    release: str | None = _option(
        None,
        "SENTRY_RELEASE",
        values.release,
        "a name of at most 200 characters without slashes, other than latest, or nothing",
    )
    traces_sample_rate: float = _option(0.1, "SENTRY_TRACES_SAMPLE_RATE", values.share, "a number from 0 to 1")
    profiles_sample_rate: float = _option(0.1, "SENTRY_PROFILES_SAMPLE_RATE", values.share, "a number from 0 to 1")
    send_default_pii: bool = _option(False, "SENTRY_SEND_DEFAULT_PII", values.boolean, "true or false")
    debug: bool = _option(False, "ROTA_SENTRY_DEBUG", values.boolean, "true or false")
    exclude_paths: takes.Names = _option(
        (),
        "ROTA_SENTRY_EXCLUDE_PATHS",
        values.paths,
        "comma-separated paths that begin with /, exact or ending in *, without query",
    )
    trusted_proxies: takes.Networks = _option(
        (), "ROTA_SENTRY_TRUSTED_PROXIES", values.networks, "comma-separated networks such as 10.0.0.0/8"
    )
    slow_request_seconds: float = _option(
        1.0, "ROTA_SENTRY_SLOW_REQUEST_SECONDS", values.positive, "a number of seconds above 0"
    )
    slow_request_routes: takes.Limits = _option(
        (),
        "ROTA_SENTRY_SLOW_REQUEST_ROUTES",
        values.limits,
        "comma-separated paths or routes (no query) with seconds above 0 such as /reports/*=10",
    )
    metrics: bool = _option(True, "ROTA_SENTRY_METRICS", values.boolean, "true or false")
    errors_per_minute: int = _option(
        60, "ROTA_SENTRY_ERRORS_PER_MINUTE", values.count, "a whole number, 0 for no limit"
    )
    answer_lifespan: bool = _option(False, "ROTA_SENTRY_ANSWER_LIFESPAN", values.boolean, "true or false")
    outbox_path: takes.File = _option(
        ".asgi_rota_sentry/outbox.sqlite3", "ROTA_SENTRY_OUTBOX", values.path, "a file's path, empty for no outbox"
    )
    outbox_max_mib: float = _option(50.0, "ROTA_SENTRY_OUTBOX_MAX_MIB", values.positive, "a number of MiB above 0")
    outbox_max_envelopes: int = _option(
        10_000, "ROTA_SENTRY_OUTBOX_MAX_ENVELOPES", values.count, "a whole number, 0 for no limit"
    )
    outbox_max_days: float = _option(7.0, "ROTA_SENTRY_OUTBOX_MAX_DAYS", values.positive, "a number of days above 0")
    outbox_sends_per_second: float = _option(
        10.0, "ROTA_SENTRY_OUTBOX_SENDS_PER_SECOND", values.positive, "a number of envelopes above 0"
    )
    outbox_transactions: bool = _option(False, "ROTA_SENTRY_OUTBOX_TRANSACTIONS", values.boolean, "true or false")
    pages: str = _option("bare", "ROTA_SENTRY_PAGES", values.one_of("bare", "always", "never"), "bare, always or never")
    pages_dir: takes.Folder = _option(None, "ROTA_SENTRY_PAGES_DIR", values.folder, "an existing folder, or nothing")
    home_url: str = _option("/", "ROTA_SENTRY_HOME_URL", values.link, "a URL or a path, empty to leave it out")
    dashboard_url: str = _option(
        "/dashboard/", "ROTA_SENTRY_DASHBOARD_URL", values.link, "a URL or a path, empty to leave it out"
    )
    search_url: str = _option(
        "/search/", "ROTA_SENTRY_SEARCH_URL", values.link, "a URL or a path, empty to leave it out"
    )
    support_email: str | None = _option(
        None, "ROTA_SENTRY_SUPPORT_EMAIL", values.email, "an e-mail address, or nothing"
    )
    feedback_path: str = _option(
        "/api/error-feedback/", "ROTA_SENTRY_FEEDBACK_PATH", values.route, "a path that begins with /"
    )
    feedback_rate: str = _option(
        "10/minute", "ROTA_SENTRY_FEEDBACK_RATE", values.rate, "a rate such as 10/minute, empty for no limit"
    )
    feedback_event_rate: str = _option(
        "20/hour", "ROTA_SENTRY_FEEDBACK_EVENT_RATE", values.rate, "a rate such as 20/hour, empty for no limit"
    )
    feedback_redis_url: str | None = _option(
        None,
        "ROTA_SENTRY_FEEDBACK_REDIS_URL",
        values.redis_url,
        "a URL such as redis://host:6379/0, or nothing",
    )
    feedback_seconds: float = _option(
        10.0, "ROTA_SENTRY_FEEDBACK_SECONDS", values.positive, "a number of seconds above 0"
    )
    feedback_user_report: bool = _option(False, "ROTA_SENTRY_FEEDBACK_USER_REPORT", values.boolean, "true or false")
    feedback_transactions: bool = _option(False, "ROTA_SENTRY_FEEDBACK_TRANSACTIONS", values.boolean, "true or false")
    feedback_max_entries: int = _option(
        1000, "ROTA_SENTRY_FEEDBACK_MAX_ENTRIES", values.count, "a whole number, 0 for no limit"
    )
    feedback_max_days: float = _option(
        90.0, "ROTA_SENTRY_FEEDBACK_MAX_DAYS", values.positive, "a number of days above 0"
    )
    smtp_url: str | None = _option(
        None,
        "ROTA_SENTRY_SMTP_URL",
        values.smtp_url,
        "a URL such as smtps://user:password@mail.example.com, or nothing",
    )
    mail_from: str | None = _option(None, "ROTA_SENTRY_MAIL_FROM", values.email, "an e-mail address, or nothing")
    test_error_path: str = _option(
        "/test-sentry-error/", "ROTA_SENTRY_TEST_ERROR_PATH", values.route, "a path that begins with /"
    )
    session_cookies: takes.Names = _option(
        ("sessionid", "session"), "ROTA_SENTRY_SESSION_COOKIES", values.names, "comma-separated names of cookies"
    )
    trail_requests: int = _option(20, "ROTA_SENTRY_TRAIL_REQUESTS", values.count, "a whole number, 0 for no trail")
    trail_minutes: float = _option(30.0, "ROTA_SENTRY_TRAIL_MINUTES", values.positive, "a number of minutes above 0")
    trail_visitors: int = _option(10_000, "ROTA_SENTRY_TRAIL_VISITORS", values.count, "a whole number, 0 for no trail")
    trail_redis_url: str | None = _option(
        None, "ROTA_SENTRY_TRAIL_REDIS_URL", values.redis_url, "a URL such as redis://host:6379/0, or nothing"
    )

    scrub_keys: takes.Names = _option(
        (), "ROTA_SENTRY_SCRUB_KEYS", values.keys, "comma-separated names, each with a letter or digit"
    )
    scrub_patterns: takes.Names = _option(
        (),
        "ROTA_SENTRY_SCRUB_PATTERNS",
        values.patterns,
        "regular expressions separated by white space, each with at most two open repeats and none inside another",
    )
    scrub_exempt: takes.Names = _option(
        (), "ROTA_SENTRY_SCRUB_EXEMPT", values.keys, "comma-separated names or dotted paths such as request.data.pin"
    )

    def __post_init__(self) -> None:
        faults = []
        for spec in fields(self):
            try:
                object.__setattr__(self, spec.name, _validate(spec, spec.name, getattr(self, spec.name)))
            except ValueError as fault:
                faults.append(str(fault))
        if not faults and self.test_error_path == self.feedback_path:
            what = f"test_error_path (ROTA_SENTRY_TEST_ERROR_PATH) is {self.test_error_path!r}"
            faults.append(f"{what}, as feedback_path is; expected a path of its own.")
        if faults:
            raise SettingsError(tuple(faults))

    def __repr__(self) -> str:
        """As of any dataclass, but for passwords: it ends up in logs and in the variables of stack traces."""
        return f"Settings({', '.join(f'{spec.name}={_shown(getattr(self, spec.name))}' for spec in fields(self))})"

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> "Settings":
        """The settings that the environment gives; `environ` is `os.environ` when left out.

        A value in quotes is a fault: not every reader of `.env` files takes them off (`docker run --env-file`), and a
        name or path would be another with them. A variable that is unset or blank leaves the default, but for those
        where empty means "none" (the outbox and the links). An unknown `ROTA_SENTRY_…` variable is a fault, because it
        is most often a typing error. Raises `SettingsError` with every fault of the environment.
        """
        environ = os.environ if environ is None else environ
        known = {spec.metadata["env"]: spec for spec in fields(cls)}
        faults = [_unknown(name, known) for name in sorted(environ) if name.startswith(_PREFIX) and name not in known]
        given = {}
        for name, spec in known.items():
            raw = environ.get(name)
            if raw is None or (not raw.strip() and spec.metadata["parse"] not in values.EMPTY_MEANS_NONE):
                continue
            try:
                given[spec.name] = _validate(spec, name, _unquoted(spec, name, raw))
            except ValueError as fault:
                faults.append(str(fault))
        if faults:
            raise SettingsError(tuple(faults))
        return cls(**given)


def _unquoted(spec: Field[Any], name: str, raw: str) -> str:
    """The text, or a ValueError with the full sentence for one in quotes."""
    text = raw.strip()
    if len(text) < 2 or text[0] not in "\"'" or text[0] != text[-1]:
        return raw
    shown = values.without_password(repr(raw))
    raise ValueError(f"{name} is {shown}; expected {spec.metadata['expected']}, without quotes around it.")


def _shown(value: Any) -> str:
    is_url = isinstance(value, str) and "://" in value
    return values.without_password(repr(value)) if is_url else repr(value)


def given_or_none(settings: Any) -> Settings | None:
    """The settings that a user gave, or None. Raises `TypeError` for anything else, which may be a secret: a DSN."""
    if settings is None or isinstance(settings, Settings):
        return settings
    kind = type(settings).__name__
    raise TypeError(
        f"settings is of type {kind}; expected asgi_rota_sentry.Settings, such as Settings(dsn=…), or nothing."
    )


def _unknown(name: str, known: Mapping[str, Field[Any]]) -> str:
    # What all names begin with says nothing: only the rest is compared, with the names in code, too.
    rests = {spec.name.upper(): env for env, spec in known.items()}
    rests |= {env.removeprefix(_PREFIX).removeprefix("SENTRY_"): env for env in known}
    close = get_close_matches(name.removeprefix(_PREFIX), list(rests), n=1)
    hint = f"did you mean {rests[close[0]]}?" if close else f"expected one of {', '.join(sorted(known))}."
    return f"{name} is not a setting; {hint}"
