"""A first look at a payload in which most is Sentry's own or was seen before: is there anything to scrub at all?

It keeps no account of where it is, so it takes a third of the time of a walk. What it does not know for sure it leaves
to the walk, which then begins from the start.
"""

from collections.abc import Mapping
from typing import Any

from asgi_rota_sentry.scrubbing.cut import LONGEST
from asgi_rota_sentry.scrubbing.judge import Judge
from asgi_rota_sentry.scrubbing.keys import Verdict
from asgi_rota_sentry.scrubbing.layout import ANY, Layout
from asgi_rota_sentry.scrubbing.leaves import LEAST_CARD
from asgi_rota_sentry.scrubbing.memory import Memory
from asgi_rota_sentry.scrubbing.parameters import PARAMETERS, STATEMENTS
from asgi_rota_sentry.scrubbing.walk import LEFT_ALONE, TOLD

_PLAIN = Verdict.PLAIN  # an enumeration's members take long to look up
_PAIRED = frozenset({"value", "loc", "kty", "Value", "ParameterValue"})
_MOST_PARTS = 2_000
_DEEPEST = 40


class Look:
    """One payload's look; reads what the walks remember, and adds the new texts in which there is nothing."""

    __slots__ = ("_judge", "_memory", "_parts", "_shortest")

    def __init__(self, judge: Judge, memory: Memory) -> None:
        self._judge = judge
        self._memory = memory
        self._shortest = judge.text.shortest
        self._parts = _MOST_PARTS

    def is_clean(self, payload: Mapping[str, Any], layout: Layout) -> bool:
        """Whether a walk over this payload would certainly change nothing; False where that is not known."""
        # Where there is a secret it is mostly here: a cookie, a token in the URL.
        request = payload.get("request")
        child = layout.child("request")
        if type(request) is dict and not self._is_clean_mapping(request, child, _DEEPEST):
            return False
        return self._is_clean_mapping({**payload, "request": None}, layout, _DEEPEST)

    def _is_clean_mapping(self, node: dict[Any, Any], layout: Layout, depth: int) -> bool:
        """As the loop of `Walk`, which says what each of these conditions is about."""
        self._parts -= 1
        if layout.source or depth <= 0 or self._parts <= 0 or not _PAIRED.isdisjoint(node):
            return False
        if not (PARAMETERS.isdisjoint(node) or STATEMENTS.isdisjoint(node)):
            return False
        own, inner, each, shortest = layout.own, layout.inner, layout.each, self._shortest
        names, texts, told = self._memory.names, self._memory.texts, self._memory.told
        for key, value in node.items():
            if key in own:
                continue
            verdict = names.get(key)
            kind = type(value)
            if verdict is not _PLAIN:
                if verdict is None or kind not in TOLD or (key, value) not in told:
                    return False
            elif kind is str:
                if len(value) >= shortest and value not in texts and not self._is_clean_text(value):
                    return False
            elif not self._is_clean_other(kind, value, inner.get(key) or each or ANY, depth):
                return False
        return True

    def _is_clean_other(self, kind: type, value: Any, layout: Layout, depth: int) -> bool:
        """The same of anything but a text."""
        if kind in LEFT_ALONE or (kind is int and value < LEAST_CARD):
            return True
        if kind is dict:
            return not value or self._is_clean_mapping(value, layout, depth - 1)
        return kind is list and (not value or self._is_clean_list(value, layout, depth - 1))

    def _is_clean_list(self, items: list[Any], layout: Layout, depth: int) -> bool:
        self._parts -= 1
        if depth <= 0 or self._parts <= 0 or self._judge.told_by_neighbour(items):
            return False
        texts, shortest = self._memory.texts, self._shortest
        for item in items:
            kind = type(item)
            if kind is str:
                if len(item) >= shortest and item not in texts and not self._is_clean_text(item):
                    return False
            elif not self._is_clean_other(kind, item, layout, depth):
                return False
        return True

    def _is_clean_text(self, text: str) -> bool:
        if len(text) > LONGEST or self._judge.text.spans(text):
            return False
        self._memory.keep_text(text)
        return True
