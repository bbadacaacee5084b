"""Parts of an event that are plain data already, and so need no second walk by the SDK's serializer.

The serializer asks each object for `__sentry_repr__` first and takes what that returns as it is. Most of an event is
plain strings and numbers by the time it is serialized; a copy that checks as it goes costs a tenth of the serializer's
walk, and what it does not know for sure it leaves to the serializer.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from math import isfinite
from typing import Any, Protocol

from sentry_sdk import client as _client
from sentry_sdk.serializer import serialize
from sentry_sdk.utils import format_timestamp

Event = dict[str, Any]

# The bounds of the serializer for what users put in (`MAX_DATABAG_DEPTH`, `MAX_DATABAG_BREADTH`), with a margin.
_BAG_DEPTH = 4
_BAG_BREADTH = 10
_DEEPEST = 40
_UNBOUNDED = 1_000_000
_LONGEST = 20_000
_WITH_BAGS = frozenset({"breadcrumbs", "exception", "extra", "request"})
_PLAIN = frozenset({int, bool, type(None)})
_SEAM = "serialize"
_HOW = ("max_request_body_size", "max_value_length", "custom_repr")


class _NotPlainError(Exception):
    """Something that the serializer has to look at."""


class _Ready(dict[str, Any]):
    """A mapping that the serializer takes as it is."""

    def __sentry_repr__(self) -> dict[str, Any]:
        return dict(self)


class _ReadyList(list[Any]):
    """A list that the serializer takes as it is."""

    def __sentry_repr__(self) -> list[Any]:
        return list(self)


class _ReadyEvent(dict[str, Any]):
    """An event that the serializer takes as it is, looked at when its turn comes: an event processor may follow ours.

    A transaction whole, if all of it is plain by then, another in parts.
    """

    client: "Facts"

    def __sentry_repr__(self) -> dict[str, Any]:
        if self.get("type") == "transaction":
            with suppress(_NotPlainError):
                return {
                    name: value if type(value) is str and len(value) <= _LONGEST else self._whole(name, value)
                    for name, value in self.items()
                }
        how = {name: self.client.options.get(name) for name in _HOW}
        return dict(serialize(_in_parts(dict(self)), **how))

    def _whole(self, name: str, value: Any) -> Any:
        if name == "sdk" and value == self.client.sdk_info:  # known to be plain, and a fifth of all there is
            return {
                key: [part.copy() if type(part) is dict else part for part in item] if type(item) is list else item
                for key, item in value.items()
            }
        return _whole(name, value)


class Facts(Protocol):
    """What has to be known of the client: its options, and what the SDK says of itself in each event."""

    options: dict[str, Any]
    sdk_info: Mapping[str, Any] | None


def pass_over_serializer() -> None:
    """Have the SDK's client take a ready event at once, as its serializer would after some detours.

    The name by which the client calls that is private; without it the serializer does the same, as it does for all
    other events.
    """
    original = getattr(_client, _SEAM, None)
    if original is None or getattr(original, "is_ours", False):
        return

    def serialize_unless_ready(event: Any, **how: Any) -> Any:
        if type(event) is _ReadyEvent:
            with suppress(Exception):  # which the serializer meets, too, and tells of
                return event.__sentry_repr__()
        return original(event, **how)

    serialize_unless_ready.is_ours = True  # type: ignore[attr-defined]
    setattr(_client, _SEAM, serialize_unless_ready)


def prepare(event: Event, client: Facts) -> Event:
    """The event, whose plain parts the serializer will pass over."""
    if client.sdk_info is not None:
        event.setdefault("sdk", dict(client.sdk_info))
    whole = _ReadyEvent(event)
    whole.client = client
    return whole


def _in_parts(event: Event) -> Event:
    for name, value in event.items():
        if type(value) is dict or type(value) is list:
            event[name] = _PARTS.get(name, _part)(value)
    return event


def sdk_info(integrations: Iterable[str]) -> Mapping[str, Any] | None:
    """What the SDK says of itself in each event; None where this SDK keeps it elsewhere."""
    known = getattr(_client, "SDK_INFO", None)
    return {**known, "integrations": sorted(integrations)} if isinstance(known, dict) else None


def _copy(value: Any, depth: int, breadth: int) -> Any:
    kind = type(value)
    if kind is dict or kind is list or kind is tuple:
        if depth <= 0 or len(value) > breadth:
            raise _NotPlainError
        if kind is dict:
            return _copy_mapping(value, depth - 1, breadth)
        return [
            item if type(item) is str and len(item) <= _LONGEST else _copy(item, depth - 1, breadth) for item in value
        ]
    if kind is str and len(value) <= _LONGEST:
        return value
    if kind in _PLAIN or (kind is float and isfinite(value)):
        return value
    if kind is datetime:
        return _timestamp(value)
    raise _NotPlainError


def _copy_mapping(value: dict[Any, Any], depth: int, breadth: int) -> dict[str, Any]:
    copied = value.copy()
    for key, item in copied.items():
        if type(key) is not str:
            raise _NotPlainError
        # Most values are short texts: no call for those.
        kind = type(item)
        if kind is str:
            if len(item) > _LONGEST:
                raise _NotPlainError
        elif kind not in _PLAIN:
            copied[key] = _copy(item, depth, breadth)
    return copied


def _timestamp(moment: datetime) -> str:
    """As the SDK writes a time; `strftime` takes ten times as long."""
    if moment.tzinfo is UTC:
        return moment.isoformat("T", "microseconds")[: -len("+00:00")] + "Z"
    return str(format_timestamp(moment))


def _whole(name: str, value: Any) -> Any:
    """A part of an event as the serializer would have it."""
    kind = type(value)
    if kind is datetime:
        return _timestamp(value)
    if kind is dict and name not in _WITH_BAGS:
        return _copy_mapping(value, _DEEPEST, _UNBOUNDED)
    if name in ("breadcrumbs", "exception"):
        raise _NotPlainError  # not to be met in a transaction
    if name == "extra":
        return _copy(value, _BAG_DEPTH, _BAG_BREADTH)
    if name == "request" and type(value) is dict and "data" in value:
        copied = _copy_mapping({key: item for key, item in value.items() if key != "data"}, _DEEPEST, _UNBOUNDED)
        return {**copied, "data": _copy(value["data"], _BAG_DEPTH, _BAG_BREADTH)}
    return _copy(value, _DEEPEST, _UNBOUNDED)


def _part(value: Any, depth: int = _DEEPEST, breadth: int = _UNBOUNDED) -> Any:
    """A ready copy, or the value itself where it is not plain."""
    try:
        copied = _copy(value, depth, breadth)
    except _NotPlainError:
        return value
    if type(copied) is dict:
        return _Ready(copied)
    return _ReadyList(copied) if type(copied) is list else copied


def _bag(value: Any) -> Any:
    """What users put in: the serializer trims it beyond these bounds, so that it goes there."""
    return _part(value, _BAG_DEPTH, _BAG_BREADTH)


def _each(make: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """One entry at a time, so that an odd one does not hold up the others."""

    def entries(value: Any) -> Any:
        return [make(item) for item in value] if type(value) is list else value

    return entries


def _values(make: Callable[[Any], Any], depth: int, breadth: int) -> Callable[[Any], Any]:
    """The `values` of an interface: all of them ready, or else one at a time, each within these bounds or by `make`."""

    def interface(value: Any) -> Any:
        if type(value) is not dict or type(value.get("values")) is not list:
            return value
        try:
            if len(value) == 1:
                return _Ready(values=[_copy(item, depth, breadth) for item in value["values"]])
        except _NotPlainError:
            pass
        return {**value, "values": [make(item) for item in value["values"]]}

    return interface


def _request(value: Any) -> Any:
    """The body is the user's, the rest is not."""
    if type(value) is not dict:
        return value
    rest = _part({key: item for key, item in value.items() if key != "data"})
    if "data" not in value:
        return rest
    data = _bag(value["data"])
    plain = type(rest) is _Ready and (type(data) in (_Ready, _ReadyList) or type(data) is str)
    return (
        _Ready({**rest, "data": data}) if plain else {key: _part(item) for key, item in rest.items()} | {"data": data}
    )


def _exception(value: Any) -> Any:
    """An exception as a whole, or else its frames one at a time."""
    whole = _part(value)
    if whole is not value or type(value) is not dict or type(value.get("stacktrace")) is not dict:
        return whole
    stacktrace = value["stacktrace"]
    return {**value, "stacktrace": {**stacktrace, "frames": _each(_part)(stacktrace.get("frames"))}}


_PARTS: dict[str, Callable[[Any], Any]] = {
    "breadcrumbs": _values(_bag, _BAG_DEPTH, _BAG_BREADTH),
    "exception": _values(_exception, _DEEPEST, _UNBOUNDED),
    "extra": _bag,
    "request": _request,
    "spans": _each(_part),
}
