"""The segment of a request that the draw has chosen, made with less ado than the SDK's own.

The SDK would decide once more, and gives every segment deep copies of the same few facts: the command line, the names
of the integrations. How it makes a span is private; where that is not as we know it, nothing is made here.
"""

import sys
from datetime import datetime
from typing import Any, NamedTuple

from sentry_sdk import traces
from sentry_sdk.scope import Scope

from asgi_rota_sentry.sdk import batched, chance, contexts
from asgi_rota_sentry.sdk.client import Client

_Span: Any = traces.StreamedSpan


class _Beginning(_Span):  # type: ignore[misc]
    """A segment while it is made; what follows is done to it afterwards, when it is of the SDK's own class."""

    __slots__ = ()

    def _update_active_thread(self) -> None: ...

    def _set_segment_attributes(self) -> None: ...

    def _start(self) -> None: ...


class Facts(NamedTuple):
    """What the SDK tells of the process with each segment, and what that depends on."""

    arguments: list[str]
    integrations: int
    plain: dict[str, Any]
    lists: dict[str, list[Any]]


_PRIVATE = ("_attributes", "_set_segment_attributes", "_span_id", "_start", "_update_active_thread")
_is_known = all(hasattr(_Span, name) for name in _PRIVATE)


def begin(client: Client, current: Any, *, name: str, attributes: dict[str, Any], draw: float) -> Any:
    """The segment, active in this scope and in its trace; None where the SDK has to make it."""
    global _is_known  # noqa: PLW0603
    if not _is_known:
        return None
    try:
        context = current.get_active_propagation_context()
        segment = _Beginning(
            name=name,
            scope=current,
            trace_id=context.trace_id,
            parent_span_id=context.parent_span_id,
            parent_sampled=context.parent_sampled,
            baggage=context.baggage,
            sample_rand=draw,
            sample_rate=float(client.traces_sample_rate),
        )
        # By its very class the SDK tells a span from one that records nothing.
        segment.__class__ = _Span
        segment._attributes |= attributes
        segment._update_active_thread()
        _add_facts(segment, client)
        segment._span_id = segment._span_id or chance.span_id()
        segment._start()
    except Exception:
        _is_known = False
        return None
    return segment


def end(client: Client, segment: Any, at: datetime) -> bool:
    """End a segment and give it to the batcher as the SDK does, without merging whole scopes; False where it has to.

    That is where it would do more: stop a profile, ask a hook, add a user or a conversation.
    """
    try:
        scopes = segment._scope, *(contexts.scopes() or ()), Scope.get_global_scope()
        told = [scope._attributes for scope in scopes]
        is_plain = type(segment) is _Span and segment._end_timestamp is None and segment._continuous_profile is None
        is_alone = segment._previous_span_on_scope is None and not any(
            scope._user or scope._gen_ai_conversation_id for scope in scopes
        )
        give = batched.seam(client.raw)
    except AttributeError:
        return False
    if give is None or not (is_plain and is_alone):
        return False
    del segment._previous_span_on_scope
    segment._scope._span = None
    segment._end_timestamp = at
    attributes = segment._attributes
    attributes |= {"sentry.segment.id": segment.span_id, "sentry.segment.name": segment.name}
    for attributes_of_scope in told:
        for key, value in attributes_of_scope.items():
            attributes.setdefault(key, value)
    give({**segment._to_json(), "_segment_span": segment})
    return True


def _add_facts(segment: Any, client: Client) -> None:
    """Add what the SDK tells of the process with each segment, as it told of it before."""
    attributes, facts = segment._attributes, client.segment_facts
    if facts is None or facts.arguments != sys.argv or facts.integrations != len(client.raw.integrations):
        before = attributes.copy()
        segment._set_segment_attributes()
        added = {key: attributes[key] for key in attributes.keys() - before.keys()}
        lists = {key: value.copy() for key, value in added.items() if type(value) is list}
        plain = {key: value for key, value in added.items() if key not in lists}
        facts = client.segment_facts = Facts(sys.argv.copy(), len(client.raw.integrations), plain, lists)
    attributes |= facts.plain
    for key, value in facts.lists.items():
        attributes[key] = value.copy()
