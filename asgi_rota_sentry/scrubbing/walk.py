"""One walk over a payload: what is a secret by its name or by its value is replaced, everything else is kept.

Nothing that is given is changed: a container in which something goes is replaced by a copy, all others are shared.
An event repeats itself (the request is a local of most frames), so equal parts are walked once.
"""

from collections.abc import Mapping
from typing import Any

from asgi_rota_sentry.scrubbing.changes import Change, Changes, joined
from asgi_rota_sentry.scrubbing.judge import UNPAIRED, Judge, Judged, teller
from asgi_rota_sentry.scrubbing.keys import Verdict, bare
from asgi_rota_sentry.scrubbing.layout import ANY, Layout
from asgi_rota_sentry.scrubbing.leaves import LEAST_CARD, Leaves
from asgi_rota_sentry.scrubbing.memory import Memory
from asgi_rota_sentry.scrubbing.quiet import tell
from asgi_rota_sentry.scrubbing.spans import FILTERED

_DEEPEST = 120
_MOST_ALIKE = 8
_ITSELF = FILTERED, Change("contains itself", whole=True)
_GONE = [FILTERED]
LEFT_ALONE = frozenset({type(None), bool, float})
TOLD = frozenset({str, int})


class Walk(Leaves):
    """One payload's walk; afterwards `changes` tells what went, `secrets` the removed values, `texts` what was read."""

    def __init__(
        self,
        judge: Judge,
        memory: Memory,
        exempt_paths: frozenset[str] = frozenset(),
        *,
        longest: int | None = None,
    ) -> None:
        super().__init__(judge, memory, longest)
        self._exempt_paths = exempt_paths
        self._path: list[Any] = []
        self._kept: list[Any] = []
        self._done: dict[int, tuple[Any, Changes | Change | None]] = {}
        self._alike: dict[int, list[tuple[Any, Any, Changes | Change | None]]] = {}

    # Each of the methods below returns the value to keep. When that is another than it was given, `changes` holds what
    # changed, for the caller to put into its own.

    def visit(self, value: Any, layout: Layout = ANY, *, source: bool = False) -> Any:
        """The value without secrets; a part that cannot be read is replaced as a whole."""
        kind = type(value)
        if kind in LEFT_ALONE:
            return value
        try:
            if kind is dict or kind is list:
                return self._container(value, layout, source=source)
            if isinstance(value, str):
                return self._leaf(value, source=source)
            if isinstance(value, int):
                return self._number(value)
            return self._other(value, layout, source=source)
        except Exception as fault:
            tell("A part of a payload", fault)
            return self._filtered("could not be read")

    def _other(self, value: Any, layout: Layout, *, source: bool) -> Any:
        """What JSON does not know; Sentry's SDK would send its text."""
        if isinstance(value, bytes | bytearray | memoryview):
            return self._leaf(bytes(value).decode("utf-8", "backslashreplace"), source=source)
        if isinstance(value, tuple | set | frozenset | list | Mapping):
            return self._container(value, layout, source=source)
        return value if isinstance(value, float) else self._leaf(str(value), source=source)

    def _container(self, value: Any, layout: Layout, *, source: bool) -> Any:
        done = self._done.get(id(value))
        if done is not None:
            result, self.changes = done
            return result
        if len(self._path) > _DEEPEST:
            return self._filtered("too deep")
        self._done[id(value)] = _ITSELF
        if type(value) is dict or isinstance(value, Mapping):
            has_statement = "sql" in value or "statement" in value or "query" in value or "operation" in value
            judged = self._judge.parameters_of(value) if has_statement else None
            result = self._without(judged, layout) if judged else self._mapping(value, layout)
        else:
            result = self._items(value, layout, source=source)
        self._done[id(value)] = result, self.changes if result is not value else None
        return result

    def _without(self, judged: Judged, layout: Layout) -> Any:
        """What is left of a mapping from which the parameters of an SQL statement went."""
        self._kept.append(judged.result)  # the walk remembers by `id`
        self._keep_secrets(judged.secrets)
        result = self._mapping(judged.result, layout)
        self.changes = joined(judged.changes, self.changes if result is not judged.result else None)
        return result

    def _once(self, value: Any, layout: Layout) -> Any:
        """As `visit`, but for a value equal to one seen before what was found then."""
        if (type(value) is not dict and type(value) is not list) or self._exempt_paths:
            return self.visit(value, layout)
        if layout.lasts and value in self._memory.lasting.get(layout.lasts, ()):
            self.blobs += map(str, value.values() if isinstance(value, dict) else value)
            return value
        alike = self._alike.setdefault(len(value), [])
        for earlier, result, changes in alike:
            if earlier == value:
                self.changes = changes
                return value if changes is None else result
        result = self.visit(value, layout)
        changed = result is not value
        alike.append((value, result, self.changes if changed else None))
        if len(alike) > _MOST_ALIKE:
            del alike[0]
        if layout.lasts and not changed:
            self._memory.keep_lasting(layout.lasts, value)
        return result

    def _own_of(self, node: Mapping[Any, Any], layout: Layout) -> frozenset[str]:
        """The keys that need no look: Sentry's own, and in a frame also the code, if it was searched before."""
        if not layout.source:
            return layout.own
        try:
            code = *node.get("pre_context", ()), node.get("context_line"), *node.get("post_context", ())
            lines = self._memory.code.get(code)
        except TypeError:
            return layout.own
        if lines is None:
            if any(isinstance(line, str) and self._leaf(line, source=True) is not line for line in code):
                return layout.own
            lines = self._memory.keep_code(code)
        self.blobs.append(lines)
        return layout.own_and_source

    # One loop without calls for what is known: most of the scrubber's time is spent here.
    def _mapping(self, node: Mapping[Any, Any], layout: Layout) -> Mapping[Any, Any]:  # noqa: C901, PLR0912
        changed: dict[Any, Any] = {}
        changes: Changes = {}
        renamed: dict[str, Any] = {}
        own, texts, shortest, source = self._own_of(node, layout), self.texts, self._shortest, layout.source
        names, remembered, told = self._memory.names, self._memory.texts, self._memory.told
        is_pair = "value" in node or "loc" in node or "kty" in node or "Value" in node or "ParameterValue" in node
        paired, pair = self._judge.pair_of(node) if is_pair else UNPAIRED
        for key, value in node.items():
            if key in own:
                continue
            verdict = names.get(key)
            if verdict is None:
                verdict = self._key(key, renamed)
            kind = type(value)
            if verdict or pair:
                if not pair and kind in TOLD and (key, value) in told:
                    if kind is str:
                        texts.add(value)
                    continue
                if kind is list and value == _GONE:
                    continue
            elif kind is str:
                if len(value) < shortest or value in texts:
                    continue
                if value in remembered:
                    texts.add(value)
                    continue
            elif kind in LEFT_ALONE or (kind is int and value < LEAST_CARD):
                continue
            elif kind is list and len(value) == 1 and type(value[0]) is str and key not in source:
                # A header of a streamed span, most of all.
                if len(value[0]) < shortest:
                    continue
                if value[0] in remembered:
                    texts.add(value[0])
                    continue
            new = self._child(key, value, pair if pair and key == paired else verdict, layout)
            if new is not value:
                changed[key] = new
                changes[key] = self.changes
            elif verdict and not pair and not self._exempt_paths:
                self._memory.keep_told(key, value)
        if not changed and not renamed:
            return node
        self.changes = changes
        if not renamed:
            return {**node, **changed}
        new_names = {key: new for new, key in renamed.items()}
        changes.update((key, Change("in a name", whole=False)) for key in new_names)
        return {new_names.get(key, key): changed.get(key, value) for key, value in node.items()}

    def _child(self, key: Any, value: Any, verdict: Verdict, layout: Layout) -> Any:
        """The value under this key of a mapping."""
        if self._exempt_paths and self._is_exempt(key):
            return value
        self._path.append(key)
        child = layout.inner.get(key) or layout.each or ANY
        if verdict:
            new = self._told(key, value, verdict, layout)
        elif child.repeats:
            new = self._once(value, child)
        else:
            new = self.visit(value, child, source=key in layout.source)
        self._path.pop()
        return new

    def _key(self, key: Any, renamed: dict[str, Any]) -> Verdict:
        """What a key says that was not met before; one with a secret in it is noted in `renamed` under its new name."""
        if not isinstance(key, str | bytes):
            return Verdict.PLAIN
        text = key if isinstance(key, str) else repr(key)
        verdict = self._judge.names.verdict(text)
        new = self._leaf(text)
        if new != text:
            renamed[f"{new} {len(renamed) + 1}" if new in renamed else new] = key
        elif isinstance(key, str):
            self._memory.keep_name(key, verdict)
        return verdict

    def _is_exempt(self, key: Any) -> bool:
        whole = ".".join(str(part) for part in (*self._path, key))
        named = ".".join(str(part) for part in (*self._path, key) if not isinstance(part, int))
        return whole in self._exempt_paths or named in self._exempt_paths

    def _items(self, value: Any, layout: Layout, *, source: bool) -> Any:
        items = value if isinstance(value, list) else list(value)
        path, texts, remembered, shortest = self._path, self.texts, self._memory.texts, self._shortest
        told = self._judge.told_by_neighbour(items)
        changed: dict[int, Any] = {}
        changes: Changes = {}
        for index, item in enumerate(items):
            if not source and type(item) is str and index not in told:
                if len(item) < shortest or item in texts:
                    continue
                if item in remembered:
                    texts.add(item)
                    continue
            path.append(index)
            if index in told:
                new = self._told(teller(items, index), item, told[index], layout)
            else:
                new = self.visit(item, layout, source=source)
            path.pop()
            if new is not item:
                changed[index] = new
                changes[index] = self.changes
        if not changed:
            return value if isinstance(value, list | tuple) else items
        self.changes = changes
        result = items.copy()
        for index, new in changed.items():
            result[index] = new
        return result

    def _told(self, key: Any, value: Any, verdict: Verdict, layout: Layout) -> Any:
        """The value under a telling name, or beside one."""
        if self._longest is not None and isinstance(value, str) and len(value) > self._longest:
            return self._filtered("too long")  # to be judged
        name = bare(key if isinstance(key, str) else str(key))
        try:
            judged = self._judge.value(name, value, verdict, structural=layout.structural)
        except Exception as fault:
            tell("A value", fault)
            return self._filtered("could not be read")
        if judged is Judged.STAYS:
            return value
        if judged is Judged.ORDINARY:
            return self.visit(value, layout.child(key))
        self._keep_secrets(judged.secrets)
        self.changes = judged.changes
        return judged.result
