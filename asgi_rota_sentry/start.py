"""Starting the SDK: settings in, `sentry_sdk.init` with our options, our transport and the user's own options."""

import sys
from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from typing import Any

from asgi_rota_sentry import expected, sdk
from asgi_rota_sentry.outbox import transport_for
from asgi_rota_sentry.scrubbing import LONGEST, Scrubber
from asgi_rota_sentry.settings import Settings, given_or_none

_started_with: list[Settings] = []


def init(settings: Settings | None = None, **sentry_options: Any) -> None:
    """Initialise sentry-sdk with these settings; `Settings.from_env()` when left out.

    `sentry_options` go to `sentry_sdk.init` and win over the settings
    (https://docs.sentry.io/platforms/python/configuration/options/). In debug mode nothing leaves the machine, whatever
    DSN or transport is given. Raises `SettingsError` for settings that cannot be used, `TypeError` for what is no
    `Settings` and for an option that the SDK does not know.
    """
    settings = given_or_none(settings) or Settings.from_env()
    sdk.initialise(sentry_options_for(settings, sentry_options))
    _started_with[:] = [settings]
    connect_celery()  # sentry-sdk has imported it where it is installed


def sentry_options(settings: Settings | None = None, **own: Any) -> dict[str, Any]:
    """What `init` would hand to `sentry_sdk.init`, for those who call that themselves.

    `settings` are `Settings.from_env()` when left out; `own` are other options, which win over them. Hooks such as
    `before_send` belong among these: put beside the dict, or into it, they are given twice or take the place of the
    scrubbing. The middleware needs the same settings, unless they are those of the environment. sentry-sdk 2.x then
    warns that the option for profiles is deprecated; `profiles_sample_rate=0` leaves it out. Raises what `init` raises
    for settings.
    """
    connect_celery()
    return sentry_options_for(given_or_none(settings) or Settings.from_env(), own)


def sentry_options_for(settings: Settings, own: Mapping[str, Any]) -> dict[str, Any]:
    """The options of `sentry_sdk.init` for these settings and the user's own options."""
    if "dsn" in own:
        settings = replace(settings, dsn=own["dsn"])
    scrubber = Scrubber.from_settings(settings, longest=LONGEST if own.get("max_value_length") is None else None)
    hooks = sdk.Hooks(should_drop=expected.should_drop, scrub=scrubber.payload, tells_nothing=scrubber.tells_nothing)
    return sdk.build_options(settings, own, transport=transport_for(settings, options=own), hooks=hooks)


def connect_celery() -> None:
    """Have tasks carry the user where Celery is in use by now; to be called once or more."""
    if "celery" in sys.modules:
        import_module("asgi_rota_sentry.celery").connect()


def current_settings() -> Settings:
    """The settings that `init` was given, else those of the environment."""
    return _started_with[0] if _started_with else Settings.from_env()
