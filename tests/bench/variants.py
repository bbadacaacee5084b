"""The variants of one application (bare, ours, the SDK's), each with its own client, bound in turn."""

import sys
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import sentry_sdk
from sentry_sdk.envelope import Envelope
from sentry_sdk.integrations.asgi import SentryAsgiMiddleware, _asgi_middleware_applied
from sentry_sdk.scope import _current_scope, _isolation_scope
from sentry_sdk.transport import Transport

from asgi_rota_sentry import RotaSentryMiddleware, Settings, init
from asgi_rota_sentry.types import ASGIApp, Receive, Scope, Send
from tests.bench.apps import Handler, call, raw_app, starlette_app

DSN = "http://key@127.0.0.1:9/1"
COMMON: dict[str, Any] = {"dsn": DSN, "environment": "bench", "release": "rota@1.0"}
AppMaker = Callable[[Handler], ASGIApp]
APPS: dict[str, AppMaker] = {"raw": raw_app, "starlette": starlette_app, "starlette-plain": starlette_app}


class Sink(Transport):
    """A transport that sends nothing: it counts the items by type, and the losses that a client report would tell.

    `error` counts the errors that the events tell of: one each, and those that were counted instead of sent.
    With `wire` each envelope is serialised too, which the SDK's own transport does in its thread. Streamed spans count
    as `transaction` where they are segments, so that both lifecycles read the same.
    """

    def __init__(self, wire: bool = False) -> None:
        super().__init__()
        self.wire = wire
        self.seen: Counter[str] = Counter()
        self.lost: Counter[tuple[str | None, str]] = Counter()
        self._lock = threading.Lock()  # the SDK's batchers flush from threads of their own

    def capture_envelope(self, envelope: Envelope) -> None:
        """Count, and forget."""
        if self.wire:
            envelope.serialize()
        with self._lock:
            for item in envelope.items:
                if item.type == "span":
                    spans = (item.payload.json or {}).get("items", ())
                    self.seen["transaction"] += sum(span["is_segment"] for span in spans)
                else:
                    self.seen[item.type or "?"] += 1
                if item.type == "event":
                    self.seen["error"] += errors_told(item.payload.json or {})

    def record_lost_event(self, reason: str, data_category: Any = None, item: Any = None, *, quantity: int = 1) -> None:
        """Keep the tally that the SDK's HTTP transport keeps for its client reports."""
        self.lost[data_category, reason] += quantity


def errors_told(event: Mapping[str, Any]) -> int:
    """How many errors an event tells of: its own, unless it stands for counted ones alone, and the counted ones."""
    budget = event.get("contexts", {}).get("error_budget", {})
    own = 0 if "event_id" in budget else 1
    return own + int(budget.get("not_sent", 0))


@dataclass
class Variant:
    """One application with what must be bound before it is called; `client` is None for the bare one."""

    name: str
    app: ASGIApp
    client: Any = None
    sink: Sink | None = None

    def flush(self) -> None:
        """Let the client's batchers (spans, metrics, sessions) hand over what they hold, on this variant's time."""
        if self.client is not None:
            self.client.flush()

    def settle(self) -> None:
        """Have what was counted instead of sent told of now, as once a minute; for whoever has a budget."""
        if isinstance(self.app, RotaSentryMiddleware):
            self.app.budget.settle()


class IntegrationsAlone:
    """Starlette with what the SDK's integrations put into it, and no ASGI middleware: what nobody's can take away.

    The middleware in the application believes that one is around it, and does nothing. The scopes, which the
    integrations write into with every request, are made anew now and then, so that they do not fill up.
    """

    _REQUESTS = 100

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._scopes: list[tuple[Any, Any]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, in a context of its own."""
        if not self._scopes:
            self._scopes = [(sentry_sdk.Scope(), sentry_sdk.Scope())] * self._REQUESTS
        current, isolation = self._scopes.pop()
        _asgi_middleware_applied.set(True)
        _current_scope.set(current)
        _isolation_scope.set(isolation)
        await self._app(scope, receive, send)


def _patchable() -> dict[tuple[Any, str], Any]:
    """Everything in Starlette that an integration could have replaced: functions of modules, methods of classes."""
    modules = [module for name, module in list(sys.modules.items()) if name.partition(".")[0] == "starlette"]
    classes = {value for module in modules for value in vars(module).values() if isinstance(value, type)}
    owners = [*modules, *(cls for cls in classes if cls.__module__.startswith("starlette."))]
    return {(owner, name): value for owner in owners for name, value in vars(owner).items() if callable(value)}


@dataclass
class Patches:
    """What the SDK's integrations replaced in Starlette, so that the bare app can run without it.

    The integrations patch classes for the whole process. Without this the bare variant would pay for the patched
    functions' early returns, and both differences would look smaller than they are.
    """

    originals: dict[tuple[Any, str], Any] = field(default_factory=_patchable)
    replaced: list[tuple[Any, str, Any, Any]] = field(default_factory=list)

    def learn(self) -> None:
        """Compare with what was there when this object was made."""
        now = _patchable()
        self.replaced = [
            (owner, name, old, now[owner, name])
            for (owner, name), old in self.originals.items()
            if now.get((owner, name), old) is not old
        ]

    def apply(self, on: bool) -> None:
        """Put the integrations' functions in place, or the original ones."""
        for owner, name, old, new in self.replaced:
            setattr(owner, name, new if on else old)


@dataclass
class Lineup:
    """The variants of one application under one configuration."""

    variants: list[Variant]
    patches: Patches

    def bind(self, variant: Variant) -> None:
        """Make this variant's client the process's client; raises RuntimeError when the SDK sees another one."""
        self.patches.apply(variant.client is not None)
        sentry_sdk.get_global_scope().set_client(variant.client)
        bound = sentry_sdk.get_client()
        if (bound is not variant.client) if variant.client is not None else bound.is_active():
            raise RuntimeError(f"the client of {variant.name} was not bound")


def sdk_client(rate: float | None, sink: Sink, **options: Any) -> Any:
    """The client of a plain `sentry_sdk.init`."""
    sentry_sdk.init(**COMMON, traces_sample_rate=rate, transport=sink, **options)
    return sentry_sdk.get_client()


def our_client(rate: float | None, sink: Sink, per_minute: int = 0, **options: Any) -> tuple[Any, Settings]:
    """The client that our `init` makes, and the settings that it was made with.

    Profiling is off, as in the plain `init`. The limit of errors per minute is off unless it is given, or the raising
    case would measure dropped events. `None` for the rate means tracing off, which `Settings` cannot say: it goes as an
    SDK option.
    """
    settings = Settings(
        **COMMON,
        traces_sample_rate=rate or 0.0,
        profiles_sample_rate=0.0,
        errors_per_minute=per_minute,
        outbox_path="",
    )
    if rate is None:
        options["traces_sample_rate"] = None
    init(settings, transport=sink, **options)
    return sentry_sdk.get_client(), settings


async def line_up(
    app: str,
    handler: Handler,
    rate: float | None,
    initialised: bool = True,
    wire: bool = False,
    *,
    make: AppMaker | None = None,
    per_minute: int = 0,
    alone: bool = False,
    **options: Any,
) -> Lineup:
    """Build the variants of `app`: the bare one before the SDK is initialised, the others each under its own client.

    `make` builds another application in its place; `per_minute` is our limit of full events, 0 for none.

    For `starlette` the SDK's middleware is the one that its integration puts around every Starlette application, as
    users have it; for the others it is put around by hand. `alone` adds a fourth variant there, `integrations`, which
    has the integrations alone.
    """
    make, patches = make or APPS[app], Patches()
    variants = [Variant("bare", make(handler))]
    await call(variants[0].app)  # Starlette builds its middleware at the first request
    if app == "starlette-plain":
        options["auto_enabling_integrations"] = False
    by_integration = app == "starlette" and initialised
    for name in ("ours", "sdk"):
        sink, client, settings = Sink(wire), None, None
        if initialised and name == "ours":
            client, settings = our_client(rate, sink, per_minute, **options)
        elif initialised:
            client = sdk_client(rate, sink, **options)
        wrapped = make(handler)
        if name == "ours":
            wrapped = RotaSentryMiddleware(wrapped, settings)
        elif not by_integration:
            wrapped = SentryAsgiMiddleware(wrapped)
        variants.append(Variant(name, wrapped, client, sink))
        await call(wrapped)
    if by_integration and alone:
        variants.append(Variant("integrations", IntegrationsAlone(variants[-1].app), variants[-1].client))
    patches.learn()
    return Lineup(variants, patches)
