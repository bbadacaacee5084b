"""Keeping a known person's name, e-mail and address out of an event, wherever they stand in it.

Only values that are known of this very request are looked for. The event's structure (file names, functions, source
lines, IDs) is left alone, and nothing that the application still holds is changed: what has to change is copied.
"""

import marshal
import re
from collections.abc import Callable, Iterable
from functools import cached_property, lru_cache
from ipaddress import ip_address
from typing import Any
from urllib.parse import quote, quote_plus

from asgi_rota_sentry import faults
from asgi_rota_sentry.request import FILTERED

Event = dict[str, Any]
_Clean = Callable[[str], str]
# Version 2 has no references, which would only take time.
_FORMAT = 2

_MOST_NODES = 50_000
_DEEPEST = 12
_SHORTEST_PART = 3
# The attributes of a log that are what the application put into its text.
_PARAMETERS = "sentry.message.parameter"
# What the SDK's own attributes of logs and metrics begin with; what else is there is the application's own.
_ATTRIBUTES_OF_THE_SDK = frozenset(
    {"code", "http", "logger", "process", "sentry", "server", "thread", "url", "user", "user_agent"}
)
_FIXED_CONTEXTS = frozenset({"runtime", "os", "device", "app", "preferences"})
# These tell of paths and queries; what else is there is the application's own.
_CONTEXTS_OF_PATHS = frozenset({"trace", "request", "breakdown", "slow_request", "error_budget"})
# A name that is one plain word (`admin`, `alice`) may be part of any path; others are looked for there too.
_PLAIN_WORD = re.compile(r"[^\W\d_]+")


class Withheld:
    """The names and addresses of one request's person; called with an event, it replaces them by `[Filtered]`.

    `user` is the loaded user object, which is replaced where it stands in the event as it is. Looks at 50,000 values at
    most, and twelve levels deep; what is beyond goes as a whole where one of the names is in it. A name of fewer than
    three letters is replaced only where it is the whole value.
    """

    def __init__(self, names: Iterable[str], addresses: Iterable[str], user: Any = None) -> None:
        spellings = _spellings(frozenset(names), frozenset(filter(_tells_of_somebody, addresses)))
        self._whole, self._parts, self._distinct, self._written = spellings
        self._user = user
        self._nodes = 0

    def __call__(self, event: Event) -> None:
        """Replace what is withheld in this event."""
        if not self._whole and self._user is None:
            return
        if event.get("type") == "transaction" and not self._may_tell([event.get(key) for key, _ in _PARTS_OF_AN_EVENT]):
            return
        self._nodes = _MOST_NODES
        for key, withhold in _PARTS_OF_AN_EVENT:
            try:
                if event.get(key) is not None:
                    withhold(self, event, key)
            except Exception:
                faults.report("withholding a name")
                del event[key]  # what cannot be looked through does not leave

    def from_telemetry(self, payload: Event) -> None:
        """Replace what is withheld in a log, a metric or a streamed span."""
        self._nodes = _MOST_NODES
        for key, withhold, instead in _PARTS_OF_OTHERS:
            try:
                if payload.get(key) is not None:
                    withhold(self, payload, key)
            except Exception:
                faults.report("withholding a name")
                payload[key] = instead

    def text(self, value: str) -> str:
        """A free text, or the repr of a value, without any of the names."""
        if value in self._whole or value[1:-1] in self._whole:
            return FILTERED
        return self._of_parts.sub(FILTERED, value) if any(part in value for part in self._parts) else value

    def path(self, value: str) -> str:
        """A path, URL or tag, without those names that cannot be a word of its own there."""
        return self._of_distinct.sub(FILTERED, value) if any(part in value for part in self._distinct) else value

    def _exceptions(self, event: Event, key: str) -> None:
        for value in _values(event, key):
            self._at(value, "value", self.text)
            self._frames(value)
            mechanism = value.get("mechanism")
            if isinstance(mechanism, dict):
                self._at(mechanism, "data", self.text)

    def _threads(self, event: Event, key: str) -> None:
        for thread in _values(event, key):
            self._frames(thread)

    def _frames(self, holder: dict[str, Any]) -> None:
        for frame in (holder.get("stacktrace") or {}).get("frames") or ():
            if frame.get("vars"):
                self._at(frame, "vars", self.text)

    def _spans(self, event: Event, key: str) -> None:
        for span in event[key]:
            if isinstance(span, dict):
                for part in ("description", "data", "tags"):
                    self._at(span, part, self.path)

    def _crumbs(self, event: Event, key: str) -> None:
        crumbs = event[key]
        values = crumbs.get("values") if isinstance(crumbs, dict) else None
        if isinstance(crumbs, dict) and values and self._may_tell(values):
            crumbs["values"] = [
                crumb
                if not self._may_tell({**crumb, "timestamp": None})
                else self._clean(crumb, self.path if crumb.get("category") in ("request", "httplib") else self.text, 4)
                for crumb in values
            ]

    def _contexts(self, event: Event, key: str) -> None:
        event[key] = {
            name: context
            if name in _FIXED_CONTEXTS or not self._may_tell(context)
            else self._clean(context, self.path if name in _CONTEXTS_OF_PATHS else self.text, _DEEPEST)
            for name, context in event[key].items()
        }

    def _request(self, event: Event, key: str) -> None:
        self._as_path(event, key)
        if isinstance(event[key], dict):
            for part in ("data", "cookies"):
                self._at(event[key], part, self.text)

    def _as_text(self, event: Event, key: str) -> None:
        self._at(event, key, self.text)

    def _attributes(self, payload: Event, key: str) -> None:
        if self._may_tell(payload[key]):
            of_others = self.path if "is_segment" in payload else self._value
            payload[key] = {
                name: self._clean(value, self._for_attribute(name, of_others), _DEEPEST)
                for name, value in payload[key].items()
            }

    def _for_attribute(self, name: str, of_others: _Clean) -> _Clean:
        """What cleans this attribute of a log, a metric or a span; `of_others` those that are the application's own."""
        if name.startswith(_PARAMETERS):
            return self.text
        return self.path if name.partition(".")[0] in _ATTRIBUTES_OF_THE_SDK else of_others

    def _value(self, value: str) -> str:
        """A value that the application gave: a name, or a text that may be a path."""
        return FILTERED if value in self._whole else self.path(value)

    def _as_path(self, event: Event, key: str) -> None:
        self._at(event, key, self.path)

    @cached_property
    def _of_parts(self) -> re.Pattern[str]:
        return _pattern(self._parts)

    @cached_property
    def _of_distinct(self) -> re.Pattern[str]:
        return _pattern(self._distinct)

    def _may_tell(self, node: Any) -> bool:
        """Whether one of the names may stand in here; writing plain data out is many times faster than a walk.

        `marshal` does so in a fifth of the time that JSON takes, with each text as it is, in UTF-8.
        """
        try:
            written = marshal.dumps(node, _FORMAT)
        except ValueError:
            return True  # more than plain data
        return any(value in written for value in self._written)

    def _at(self, holder: dict[str, Any], key: str, clean: _Clean) -> None:
        if holder.get(key) is not None and self._may_tell(holder[key]):
            holder[key] = self._clean(holder[key], clean, _DEEPEST)

    def _clean(self, node: Any, clean: _Clean, depth: int) -> Any:
        """The node itself where nothing is to change, else a copy with the changes."""
        self._nodes -= 1
        kind = type(node)
        if kind is str:
            return clean(node)
        if issubclass(kind, dict) and depth and self._nodes > 0:
            changed = {clean(k) if type(k) is str else k: self._clean(v, clean, depth - 1) for k, v in node.items()}
            return changed if _differ(changed.values(), node.values()) or changed.keys() != node.keys() else node
        if issubclass(kind, list | tuple) and depth and self._nodes > 0:
            items = [self._clean(item, clean, depth - 1) for item in node]
            return items if _differ(items, node) else node
        # What is too deep, or more than can be looked at, is not looked through.
        is_left = issubclass(kind, dict | list | tuple) and self._may_tell(node)
        return FILTERED if is_left or self._is_user(node) else node

    def _is_user(self, node: Any) -> bool:
        if self._user is None or type(node) in (int, float, bool, type(None)):
            return False
        return node is self._user or getattr(node, "__dict__", {}).get("_wrapped") is self._user


_PARTS_OF_AN_EVENT: tuple[tuple[str, Callable[[Withheld, Event, str], None]], ...] = (
    ("exception", Withheld._exceptions),
    ("threads", Withheld._threads),
    ("spans", Withheld._spans),
    ("breadcrumbs", Withheld._crumbs),
    ("message", Withheld._as_text),
    ("logentry", Withheld._as_text),
    ("extra", Withheld._as_text),
    ("fingerprint", Withheld._as_text),
    ("contexts", Withheld._contexts),
    ("request", Withheld._request),
    ("tags", Withheld._as_path),
    ("transaction", Withheld._as_path),
)
# A log has a body, a metric and a streamed span a name; without one they would be none.
_PARTS_OF_OTHERS: tuple[tuple[str, Callable[[Withheld, Event, str], None], Any], ...] = (
    ("body", Withheld._as_text, FILTERED),
    ("name", Withheld._as_path, FILTERED),
    ("attributes", Withheld._attributes, {}),
)


@lru_cache(maxsize=256)
def _spellings(names: frozenset[str], addresses: frozenset[str]) -> tuple[Any, ...]:
    """What is looked for: as the whole value, within one, within one that may be a path, within what is written."""
    known = names | addresses | {name.lower() for name in names if "@" in name}
    # As a URL has it, and as a form does, with a plus for each space.
    known |= {quoted(value, safe="", errors="surrogatepass") for value in known for quoted in (quote, quote_plus)}
    parts = tuple(sorted((value for value in known if len(value) >= _SHORTEST_PART), key=len, reverse=True))
    distinct = tuple(value for value in parts if not _PLAIN_WORD.fullmatch(value))
    # Where one is not written, no longer one is that has it inside.
    least = (value for value in known if not any(other != value and other in value for other in known))
    return known, parts, distinct, tuple(value.encode("utf-8", "surrogatepass") for value in least)


def _differ(new: Iterable[Any], old: Iterable[Any]) -> bool:
    return any(one is not other for one, other in zip(new, old, strict=False))


def _values(event: Event, key: str) -> list[dict[str, Any]]:
    holder = event.get(key)
    values = holder.get("values") if isinstance(holder, dict) else holder
    return [value for value in values or () if isinstance(value, dict)]


def _pattern(values: Iterable[str]) -> re.Pattern[str]:
    """Any of the values, the longest first, where no letter or digit goes on."""
    return re.compile(rf"(?<![^\W_])(?:{'|'.join(map(re.escape, values)) or '(?!)'})(?![^\W_])")


@lru_cache(maxsize=2048)
def _tells_of_somebody(address: str) -> bool:
    """Whether an address is more than this machine itself."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    return not (parsed.is_loopback or parsed.is_unspecified)
