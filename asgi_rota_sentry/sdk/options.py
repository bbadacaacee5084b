"""The options of `sentry_sdk.init`: what the settings say, what the user adds, and our hooks behind the user's own."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import sentry_sdk
from sentry_sdk.consts import DEFAULT_OPTIONS

from asgi_rota_sentry import faults
from asgi_rota_sentry.sdk import batched
from asgi_rota_sentry.sdk.client import DROPPED, HAS_TRANSACTIONS, WITHHOLD, streams
from asgi_rota_sentry.sdk.layer import withhold as withhold_here
from asgi_rota_sentry.settings import Settings

Payload = dict[str, Any]

# What 3.x collects when personal data is not allowed: the same as 2.x with `send_default_pii=False`.
_PERSONAL_TERMS = ["forwarded", "-ip", "remote-", "via", "-user"]
_IMPERSONAL = {
    "user_info": False,
    "cookies": {"mode": "off"},
    "http_headers": {"request": {"mode": "denylist", "terms": _PERSONAL_TERMS}},
    "url_query_params": {"mode": "denylist", "terms": _PERSONAL_TERMS},
    "database_query_data": False,
    "queues": False,
    "graphql": {"document": False, "variables": False},
    "gen_ai": {"inputs": False, "outputs": False},
}


@dataclass(frozen=True, kw_only=True)
class Hooks:
    """What is done to everything that leaves: `should_drop` an exception's event, and `scrub` each payload.

    `tells_nothing` says of a name that was scrubbed before whether any float under it stays.
    """

    should_drop: Callable[[BaseException], bool]
    scrub: Callable[[Payload], Payload]
    tells_nothing: Callable[[str], bool]


def build_options(settings: Settings, own: Mapping[str, Any], *, transport: Any, hooks: Hooks) -> dict[str, Any]:
    """The options for `sentry_sdk.init`; `own` are the user's and win, but for where events go in debug mode."""
    options: dict[str, Any] = {
        "dsn": settings.dsn or "",
        "environment": settings.environment,
        "release": settings.release,
        "traces_sample_rate": settings.traces_sample_rate,
        **_privacy(settings, own),
        **_profiling(settings, own),
        **own,
    }
    if transport is not None:
        options.setdefault("transport", transport)
    if HAS_TRANSACTIONS:
        # Without it, the SDK's layer inside the application would cut the exception off from its cause.
        # Our own scrubbing does what the SDK's scrubber does, and after the user's hooks.
        options.setdefault("event_scrubber", False)
        options["_experiments"] = {"suppress_asgi_chained_exceptions": False, **(own.get("_experiments") or {})}
    if settings.debug:
        options |= {"dsn": "", "transport": transport, "spotlight": False}
    return _with_hooks(options, hooks)


def initialise(options: Mapping[str, Any]) -> None:
    """Call `sentry_sdk.init`, without the deprecation warnings of options that have no like successor."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Transaction-based profiling is deprecated", DeprecationWarning)
        warnings.filterwarnings("ignore", r"The send_default_pii option is deprecated", DeprecationWarning)
        sentry_sdk.init(**options)
    batched.install(sentry_sdk.get_client())


def _privacy(settings: Settings, own: Mapping[str, Any]) -> dict[str, Any]:
    if "data_collection" in own or "send_default_pii" in own:
        return {}
    if not HAS_TRANSACTIONS:
        return {"data_collection": {"user_info": True} if settings.send_default_pii else _IMPERSONAL}
    # `data_collection` would make 2.x throw away a user's own event scrubber.
    return {"send_default_pii": True} if settings.send_default_pii else {}


def _profiling(settings: Settings, own: Mapping[str, Any]) -> dict[str, Any]:
    rate = settings.profiles_sample_rate
    if not rate or any(name.startswith("profile") for name in own):
        return {}
    if not streams(own):
        return {"profiles_sample_rate": rate}
    return {"profile_session_sample_rate": rate, "profile_lifecycle": "trace"}


def _with_hooks(options: dict[str, Any], hooks: Hooks) -> dict[str, Any]:
    options["before_send"] = _before_send(options.get("before_send"), hooks)
    for name in ("before_send_transaction", "before_send_log", "before_send_metric"):
        if name in DEFAULT_OPTIONS:
            own = _own_hook(options, name)
            options[name] = _then_scrub(own, hooks, is_made_here=name != "before_send_transaction")
    if streams(options) and batched.OPTION in DEFAULT_OPTIONS:
        own = _own_hook(options, batched.OPTION)
        options[batched.OPTION] = batched.SpanHook(own, hooks.scrub, hooks.tells_nothing)
    return options


def _own_hook(options: Mapping[str, Any], name: str) -> Callable[..., Any] | None:
    """The user's hook: an option, else the experiment that it was before, as the SDK takes it."""
    own: Callable[..., Any] | None = options.get(name) or (options.get("_experiments") or {}).get(name)
    return own


def _before_send(own: Callable[..., Any] | None, hooks: Hooks) -> Callable[[Payload, Payload], Payload | None]:
    scrubbed = _then_scrub(own, hooks)

    def before_send(event: Payload, hint: Payload) -> Payload | None:
        info = hint.get("exc_info")
        if info and info[1] is not None and hooks.should_drop(info[1]):
            return None
        return scrubbed(event, hint)

    before_send.withholds = True  # type: ignore[attr-defined]
    return before_send


def _then_scrub(
    own: Callable[..., Any] | None, hooks: Hooks, *, is_made_here: bool = False
) -> Callable[[Payload, Payload], Payload | None]:
    """The user's own hook first, so that nothing it adds escapes the scrubbing.

    What has no event's processors, and no hint, `is_made_here`: in the context of the request that it tells of.
    """

    def hook(payload: Payload, hint: Payload) -> Payload | None:
        # What is ours the user's hook does not see.
        withhold, dropped = hint.pop(WITHHOLD, None), hint.pop(DROPPED, None)
        try:
            changed = own(payload, hint) if own is not None else payload
        except Exception:
            faults.report("asking the application's own hook")
            raise  # the SDK drops what it was asked about, and says so in its own debug mode alone
        if changed is None:
            if dropped is not None:
                dropped()
            return None
        if withhold is not None:
            withhold(changed)
        if is_made_here:
            withhold_here(changed)
        return hooks.scrub(changed)

    return hook
