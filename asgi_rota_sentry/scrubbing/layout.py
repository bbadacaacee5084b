"""The parts of Sentry's payloads that are its own (IDs, times, places in the code), and where they stand.

What is not named here is the application's, and is scrubbed by name and by value. The names are those of Sentry's event
payload (https://develop.sentry.dev/sdk/data-model/event-payloads/).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from asgi_rota_sentry.scrubbing.vocabulary import word_set

_IDS = "event_id trace_id span_id parent_span_id segment_id replay_id profile_id check_in_id associated_event_id"
_TIMES = "timestamp start_timestamp end_timestamp received start_time duration exclusive_time time_unix_nano"
_OWN = word_set(f"{_IDS} {_TIMES}")


@dataclass(frozen=True, slots=True)
class Layout:
    """How one mapping of a payload is read.

    `own` are Sentry's keys, left as they are; `source` are lines of code; `inner` gives the layout of a child by its
    key, `each` that of all other children. A list has the layout of its items. In a `structural` mapping a telling
    key never removes a whole mapping, only what is in it, because Sentry expects one there. What `repeats` within an
    event is walked once; what `lasts`, under that name, is the same in most
    events of a process.
    """

    own: frozenset[str] = frozenset()
    source: frozenset[str] = frozenset()
    inner: "Mapping[str, Layout]" = field(default_factory=dict)
    each: "Layout | None" = None
    structural: bool = False
    repeats: bool = False
    lasts: str = ""
    own_and_source: frozenset[str] = field(init=False, default=frozenset())

    def __post_init__(self) -> None:
        object.__setattr__(self, "own_and_source", self.own | self.source)

    def child(self, key: Any) -> "Layout":
        """The layout of the value under this key."""
        return self.inner.get(key) or self.each or ANY


ANY = Layout()
_ENTRY = Layout(structural=True)
_RUNTIME = Layout(structural=True, repeats=True, lasts="runtime")
_REQUEST = Layout(structural=True, inner={"headers": Layout(repeats=True, lasts="headers")})
_LOCALS = Layout(each=Layout(repeats=True))
_FRAME = Layout(
    own=word_set(
        "filename abs_path function raw_function module package platform lineno colno in_app instruction_addr "
        "addr_mode image_addr symbol_addr stack_start"
    ),
    source=frozenset({"pre_context", "context_line", "post_context"}),
    inner={"vars": _LOCALS},
)
_STACKTRACE = Layout(inner={"frames": _FRAME}, own=frozenset({"registers", "frames_omitted"}))
_MECHANISM = Layout(own=word_set("type handled synthetic exception_id parent_id is_exception_group source"))
_EXCEPTION = Layout(
    own=frozenset({"thread_id"}),
    inner={"stacktrace": _STACKTRACE, "raw_stacktrace": _STACKTRACE, "mechanism": _MECHANISM},
    structural=True,
)
_THREAD = Layout(own=word_set("id crashed current main state"), inner={"stacktrace": _STACKTRACE}, structural=True)
_CRUMB = Layout(own=word_set("timestamp type level event_id"), structural=True)
# What the SDK says of itself, its process and its trace in the attributes of streamed spans, logs and metrics.
_ATTRIBUTES = Layout(
    own=word_set(
        "sentry.segment.id sentry.segment.name.source sentry.trace_lifecycle sentry.origin sentry.op sentry.platform "
        "sentry.sdk.name sentry.sdk.version sentry.sdk.integrations sentry.trace.parent_span_id thread.id "
        "process.runtime.name process.runtime.version process.runtime.description"
    ),
    inner={"process.command_args": Layout(repeats=True, lasts="command_args")},
    structural=True,
)
# What a trace was sampled by (https://develop.sentry.dev/sdk/telemetry/traces/dynamic-sampling-context/).
_SAMPLING = Layout(own=_OWN | word_set("public_key sample_rand sample_rate sampled"))
_SPAN = Layout(
    own=_OWN | word_set("op status origin hash is_segment is_remote same_process_as_parent"),
    inner={"dynamic_sampling_context": _SAMPLING},
    structural=True,
)
_LINK = Layout(own=_OWN | {"sampled"}, inner={"attributes": _ATTRIBUTES}, structural=True)


def _values(item: Layout) -> Layout:
    """A list of items, or the same wrapped as `{"values": […]}`; both are in use."""
    return Layout(
        own=item.own, source=item.source, inner={**item.inner, "values": item}, each=item.each, structural=True
    )


_EVENT = Layout(
    own=_OWN | word_set("platform sdk level type transaction_info debug_meta measurements _metrics_summary errors"),
    inner={
        "exception": _values(_EXCEPTION),
        "threads": _values(_THREAD),
        "stacktrace": _STACKTRACE,
        "breadcrumbs": _values(_CRUMB),
        "spans": _SPAN,
        "contexts": Layout(each=_ENTRY, inner={"trace": _SPAN, "runtime": _RUNTIME}, structural=True),
        "request": _REQUEST,
        "user": _ENTRY,
        "tags": _ENTRY,
        "extra": ANY,
        "modules": Layout(structural=True, repeats=True, lasts="modules"),
        "logentry": _ENTRY,
        "attributes": _ATTRIBUTES,
        "links": _LINK,
        "data": _ENTRY,
        "monitor_config": _ENTRY,
    },
    structural=True,
)
_SESSION = Layout(
    own=word_set("sid did seq init started timestamp duration status errors aggregates abnormal_mechanism")
)


def of(payload: Mapping[str, Any]) -> Layout:
    """The layout of a whole payload: a session update, or anything else that Sentry takes."""
    is_session = "attrs" in payload and ("sid" in payload or "aggregates" in payload) and "event_id" not in payload
    return _SESSION if is_session else _EVENT
