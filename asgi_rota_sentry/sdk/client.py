"""What is fixed for the life of one SDK client, worked out once instead of for every request."""

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

import sentry_sdk
from sentry_sdk import scope as _scope
from sentry_sdk.client import NonRecordingClient
from sentry_sdk.consts import DEFAULT_OPTIONS
from sentry_sdk.tracing_utils import has_tracing_enabled

from asgi_rota_sentry import faults, forks
from asgi_rota_sentry.sdk import apart, batched, children, metrics, ready, settled
from asgi_rota_sentry.sdk.breadcrumbs import Breadcrumb, in_order
from asgi_rota_sentry.sdk.collection import Collection
from asgi_rota_sentry.sdk.contexts import ARE_KNOWN, get_current, get_isolation
from asgi_rota_sentry.sdk.session import SessionCounts

_PROFILING = ("profiles_sample_rate", "profiles_sampler", "profile_session_sample_rate")

# The methods that make a transaction, as in the SDK's own ASGI layer, and the integrations that may be given others.
_TRACED_METHODS = frozenset({"CONNECT", "DELETE", "GET", "PATCH", "POST", "PUT", "TRACE"})
_GIVEN_METHODS = ("django", "fastapi", "starlette")

#: The key in an event's hint under which our hook finds what takes out the names that must not leave.
WITHHOLD = "asgi_rota_sentry.withhold"
#: And the one under which it finds whom to tell that the user's hook has dropped the event.
DROPPED = "asgi_rota_sentry.dropped"

#: Whether this SDK still has the transactions of 2.x.
HAS_TRANSACTIONS = "before_send_transaction" in DEFAULT_OPTIONS


def streams(options: Mapping[str, Any]) -> bool:
    """Whether spans are streamed: always in 3.x, by option (or the experiment that it was before) in 2.x."""
    lifecycle = options.get("trace_lifecycle") or (options.get("_experiments") or {}).get("trace_lifecycle")
    return not HAS_TRANSACTIONS or lifecycle == "stream"


def _traced_methods(integrations: Mapping[str, Any]) -> frozenset[str]:
    """The methods that make a transaction: those of an integration whose user has given it others than the usual."""
    for name in _GIVEN_METHODS:
        given = getattr(integrations.get(name), "http_methods_to_capture", None)
        if given is not None and (methods := frozenset(given)) != _TRACED_METHODS:
            return methods
    return _TRACED_METHODS


def _lists(options: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The option `data_collection`; None where it does not count, as in 2.x when the user has not given it."""
    found: Mapping[str, Any] = options.get("data_collection") or {}
    return found if not HAS_TRANSACTIONS or found.get("provided_by_user") else None


class Client:
    """The facts of one active client: what is traced, what may be collected, what is counted."""

    __slots__ = (
        "_has_usable_rate",
        "before_breadcrumb",
        "begins_all",
        "collection",
        "collects_personal_data",
        "eager_requests",
        "has_metrics",
        "ignores_spans",
        "last_seen",
        "lifespan_failed_at",
        "max_body",
        "max_breadcrumbs",
        "max_spans",
        "options",
        "prepares_events",
        "profiles",
        "raw",
        "sampler",
        "scrubs_spans",
        "sdk_info",
        "segment_facts",
        "sessions",
        "shutdown_seconds",
        "streaming",
        "traced_methods",
        "traces_sample_rate",
        "tracing",
        "withholds_last",
    )

    def __init__(self, raw: Any) -> None:
        options: dict[str, Any] = raw.options
        self.raw = raw
        self.options = options
        self.streaming = streams(options)
        is_sentry = options.get("instrumenter") in (None, "sentry")
        # With another instrumenter it makes the transactions: the SDK makes none, and streams spans all the same.
        self.tracing = has_tracing_enabled(options) and (is_sentry or self.streaming)
        self.traced_methods = _traced_methods(raw.integrations)
        if self.streaming:
            batched.install(raw)
        # Whether what a request withholds is taken out of each of its spans when that is sent.
        self.scrubs_spans = self.streaming and batched.sees_all(raw)
        if self.streaming:
            children.watch(raw)
        settled.pass_over(raw)
        apart.install(self.transport)
        self.has_metrics = metrics.has_metrics(raw)
        self.sampler = callable(options.get("traces_sampler"))
        experiments = options.get("_experiments") or {}
        self.profiles = any(found.get(name) for found in (options, experiments) for name in _PROFILING)
        self.ignores_spans = any(found.get("ignore_spans") for found in (options, experiments))
        # More spans than these a transaction does not keep.
        self.max_spans: int = experiments.get("max_spans") or 1_000
        self.traces_sample_rate: Any = (rate := options.get("traces_sample_rate"))
        self._has_usable_rate = is_sentry and isinstance(rate, int | float) and 0 <= rate <= 1
        # Whether nearly each request has a span of the SDK's from the start, so that its scopes are looked at.
        self.begins_all = self.tracing and (self.sampler or (self._has_usable_rate and rate == 1))
        # What counts the sessions of the requests; None where they are not to be counted.
        counts = options.get("auto_session_tracking") and options.get("release")
        self.sessions = SessionCounts(raw) if counts else None
        # A scrubber of the SDK's puts marks into the event that only its serializer understands; it also cuts texts.
        self.prepares_events = not options.get("event_scrubber") and options.get("max_value_length") is None
        if self.prepares_events and HAS_TRANSACTIONS:
            ready.pass_over_serializer()
        # Our own hook sees the event last and whole: threads are added, and objects become texts, after the processors.
        self.withholds_last = bool(getattr(options.get("before_send"), "withholds", False))
        self.sdk_info = ready.sdk_info(raw.integrations)
        # What the SDK tells of this process with each segment span.
        self.segment_facts: Any = None
        self.before_breadcrumb: Any = options.get("before_breadcrumb")
        most = options.get("max_breadcrumbs")
        self.max_breadcrumbs: int = most if isinstance(most, int) else 100
        lists = _lists(options)
        self.collection = Collection(lists, lists_headers=not HAS_TRANSACTIONS)
        # Whether name, e-mail and address may leave the process.
        self.collects_personal_data = bool(options.get("send_default_pii") if lists is None else lists.get("user_info"))
        # How long the SDK waits for what is queued when the process ends.
        self.shutdown_seconds = float(options.get("shutdown_timeout") or 0)
        self.max_body = {"never": 0, "small": 1_000, "medium": 10_000, "always": 1_000_000}.get(
            options.get("max_request_body_size") or "medium", 10_000
        )
        if not self.collection.takes_bodies:
            self.max_body = 0
        # How many of the next requests have their scopes copied at once.
        self.eager_requests = 0
        # When a lifespan's failure was told last, by the clock that only goes forward.
        self.lifespan_failed_at = float("-inf")
        # The dedupe integration's memory of the exception that it saw last in this context.
        self.last_seen: ContextVar[Any] | None = getattr(raw.get_integration("dedupe"), "_last_seen", None)

    def ignores(self, exc: BaseException) -> bool:
        """Whether the user's `ignore_errors` leave this exception out, as the SDK reads them."""
        if not self.options.get("ignore_errors"):
            return False
        # Private; without it the SDK leaves it out when its event was built.
        is_ignored: Any = getattr(self.raw, "_is_ignored_error", None)
        return is_ignored is not None and bool(is_ignored({}, {"exc_info": (type(exc), exc, exc.__traceback__)}))

    def draws_alone(self) -> bool:
        """Whether the fixed rate alone decides: it is usable, and the SDK does not sample less under pressure."""
        monitor = self.raw.monitor
        return self._has_usable_rate and (monitor is None or not monitor.downsample_factor)

    def with_breadcrumbs(self, theirs: list[Breadcrumb], ours: list[Breadcrumb]) -> list[Breadcrumb]:
        """The scope's breadcrumbs with ours among them in the order of time; the user's options hold for ours, too."""
        if callable(self.before_breadcrumb):
            ours = [crumb for crumb in (self._asked(crumb) for crumb in ours) if crumb is not None]
        merged = in_order([*theirs, *ours])
        return merged[max(0, len(merged) - self.max_breadcrumbs) :]

    def _asked(self, crumb: Breadcrumb) -> Breadcrumb | None:
        try:
            changed: Breadcrumb | None = self.before_breadcrumb(crumb, {})
        except Exception:
            faults.report("asking before_breadcrumb")
            return crumb
        return changed

    @property
    def transport(self) -> Any:
        """The client's transport, without the SDK's envelope printer around it; None where there is none."""
        transport = self.raw.transport
        return getattr(transport, "_inner", transport)

    @property
    def reports(self) -> bool:
        """Whether what is accepted goes to a server, rather than being kept locally."""
        transport = self.transport
        return transport is not None and not getattr(transport, "keeps_locally", False)

    @property
    def keeps(self) -> bool:
        """Whether what is accepted is kept locally: there is an outbox, and nothing is known to be wrong with it."""
        return hasattr(self.transport, "outbox") and not getattr(self.transport, "fault", "")


_known: list[Client] = []
# The last one, for most processes have no other.
_last: tuple[Any, Client | None] = None, None


def current_client() -> Client | None:
    """The facts of the client that is in force here, as `sentry_sdk.get_client` finds it; None where there is none.

    In a context that has no scopes yet, as servers start each request, the SDK would find it by way of two exceptions,
    and where there is none it would make one that does nothing.
    """
    last, client = _last
    if ARE_KNOWN:
        scope = get_current()
        if scope is None or type(scope.client) is NonRecordingClient:
            scope = get_isolation()
            if scope is None or type(scope.client) is NonRecordingClient:
                # As nearly always: it is the whole process's.
                scope = _scope._global_scope
                found = None if scope is None else scope.client
                if found is last:
                    return client
                if found is None or type(found) is NonRecordingClient:
                    return None
    raw = sentry_sdk.get_client()
    if not raw.is_active():
        return None
    return client if raw is last else _client_of(raw)


def _client_of(raw: Any) -> Client:
    global _last  # noqa: PLW0603 - written at once, for threads may see one each
    client = next((client for client in _known if client.raw is raw), None)
    if client is None:
        client = Client(raw)
        _known.insert(0, client)
        del _known[4:]
    _last = raw, client
    return client


def _begin_counts_anew() -> None:
    for client in _known:
        if client.sessions is not None:
            client.sessions.begin_anew()


forks.in_child(_begin_counts_anew)
