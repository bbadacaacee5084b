"""`Scrubber`, which ties the parts together: two walks over a payload, then its `_meta`."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from asgi_rota_sentry.scrubbing import layout, meta
from asgi_rota_sentry.scrubbing.again import Again, present, worth_seeking
from asgi_rota_sentry.scrubbing.assignments import Assignments
from asgi_rota_sentry.scrubbing.changes import Change, Changes, Removal, joined, removals
from asgi_rota_sentry.scrubbing.clean import Look
from asgi_rota_sentry.scrubbing.judge import Judge
from asgi_rota_sentry.scrubbing.keys import Names, Verdict, words
from asgi_rota_sentry.scrubbing.memory import Memory
from asgi_rota_sentry.scrubbing.patterns import compiled
from asgi_rota_sentry.scrubbing.quiet import tell
from asgi_rota_sentry.scrubbing.spans import FILTERED
from asgi_rota_sentry.scrubbing.text import TextScrubber
from asgi_rota_sentry.scrubbing.walk import Walk

if TYPE_CHECKING:  # which checks the patterns by this package
    from asgi_rota_sentry.settings import Settings

_KEPT_ON_FAULT = ("event_id", "timestamp", "start_timestamp", "platform", "level", "type", "sdk", "trace_id", "span_id")


class Report(NamedTuple):
    """A scrubbed payload and the tree of what was removed from it."""

    payload: dict[str, Any]
    changes: Changes | Change | None

    @property
    def removals(self) -> tuple[Removal, ...]:
        """What was removed, as a list."""
        return tuple(removals(self.changes))


class Scrubber:
    """Removes secrets from payloads and texts; one serves the whole process and any number of threads.

    `keys` are more names whose values go, in any spelling, also as a part of a longer name. `patterns` are regular
    expressions (Python's `re`, at most two open repeats and none inside another, so that none takes for ever) whose
    matches go. `exempt` are names (`session_count`) or dotted paths (`request.data.pin`, the indices of lists left out
    or not) whose values stay. A text of more than `longest` characters is cut, None for no text, and none in feedback.
    Raises ValueError for a pattern that cannot be used.
    """

    def __init__(
        self,
        *,
        keys: Iterable[str] = (),
        patterns: Iterable[str] = (),
        exempt: Iterable[str] = (),
        longest: int | None = None,
    ) -> None:
        keys, exempt = tuple(keys), tuple(exempt)
        self._names = Names(keys, exempt)
        stems = tuple(words(key)[0] for key in keys if words(key))
        self._text = TextScrubber(self._names, Assignments(self._names, stems), map(compiled, patterns))
        self._judge = Judge(self._names, self._text)
        self._memory = Memory()
        self._longest = longest
        self._exempt_paths = frozenset(entry for entry in exempt if "." in entry)

    @classmethod
    def from_settings(cls, settings: "Settings", *, longest: int | None = None) -> "Scrubber":
        """With the user's own names, patterns and exemptions."""
        return cls(
            keys=settings.scrub_keys, patterns=settings.scrub_patterns, exempt=settings.scrub_exempt, longest=longest
        )

    def payload(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """The payload without secrets: an event, transaction, feedback, check-in, log, metric, span or session.

        What is given is never changed; parts in which there is no secret are shared with the result. Never raises:
        a part that cannot be read is replaced by `[Filtered]`.
        """
        return self.report(payload).payload

    def report(self, payload: Mapping[str, Any]) -> Report:
        """The payload without secrets, together with what was removed, where and why."""
        try:
            return self._scrubbed(payload)
        except Exception as fault:
            tell("A payload", fault)
            return Report(_bare(payload), Change("could not be read", whole=True))

    def tells_nothing(self, name: str) -> bool:
        """Whether this name, met before, says nothing of the value under it: any float there stays as it is."""
        return self._memory.names.get(name) is Verdict.PLAIN

    def text(self, text: str) -> str:
        """The text with each secret in it replaced by `[Filtered]`; never raises."""
        try:
            return self._text.scrub(text)
        except Exception as fault:
            tell("A text", fault)
            return FILTERED

    def _scrubbed(self, payload: Mapping[str, Any]) -> Report:
        shape = layout.of(payload)
        body = {key: value for key, value in payload.items() if key != "_meta"}
        is_clean = payload.get("type") == "transaction" and self._is_clean(body, shape)
        result, changes = (body, None) if is_clean else self._walked(body, shape)
        if not isinstance(result, dict):
            return Report(_bare(payload), changes)
        kept = meta.without(payload.get("_meta"), changes)
        if said := joined(kept, meta.of_cuts(changes)):
            result = {**result, "_meta": said}
        return Report(result, changes)

    def _walked(self, body: dict[str, Any], shape: layout.Layout) -> tuple[Any, Changes | Change | None]:
        longest = None if body.get("type") == "feedback" else self._longest
        walk = Walk(self._judge, self._memory, self._exempt_paths, longest=longest)
        result = walk.visit(body, shape)
        changes = walk.changes if result is not body else None
        sought = worth_seeking(walk.secrets)
        if sought and (sought := present(sought, (*walk.texts, *walk.blobs))):
            again, first = Again(sought), result
            result = again.visit(first, shape)
            changes = joined(changes, again.changes) if result is not first else changes
        return result, changes

    def _is_clean(self, body: dict[str, Any], shape: layout.Layout) -> bool:
        """Whether a first look finds nothing to scrub: most transactions differ in a few texts only."""
        try:
            return Look(self._judge, self._memory).is_clean(body, shape)
        except Exception:
            return False  # the walk knows what to do about a part that cannot be read


def _bare(payload: Any) -> dict[str, Any]:
    """What is left of a payload that cannot be read: its ID, its time and the like."""
    try:
        return {
            key: payload[key]
            for key in _KEPT_ON_FAULT
            if key in payload and isinstance(payload[key], str | int | float)
        }
    except Exception:
        return {}
