"""Decides about single values: what a name beside a value means for it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from asgi_rota_sentry.scrubbing import commands, parameters, validation
from asgi_rota_sentry.scrubbing.changes import Change, Changes
from asgi_rota_sentry.scrubbing.cookies import cookie_spans, is_secret_cookie
from asgi_rota_sentry.scrubbing.keys import Names, Verdict, bare
from asgi_rota_sentry.scrubbing.randomness import looks_random
from asgi_rota_sentry.scrubbing.spans import FILTERED, merged, replaced
from asgi_rota_sentry.scrubbing.text import TextScrubber
from asgi_rota_sentry.scrubbing.values import is_count, is_folder, is_said, is_trivial
from asgi_rota_sentry.scrubbing.vocabulary import FIELD_NAMES, WHO

UNPAIRED = "", Verdict.PLAIN
_NOTHING: Mapping[int, Verdict] = {}
_SECOND = {verdict: {1: verdict} for verdict in Verdict}
_THIRD = {verdict: {2: verdict} for verdict in Verdict}
# What Django's `_update` goes over: `(<django.db.models.fields.CharField: pin>, None, '4821')`.
_FIELD = re.compile(r"<[\w.]{1,128}Field: (\w{1,64})>")
_PASSWORD = ("password", "'password'")
# A name and the key of its value; those with capitals are Amazon's.
_NAMED = (
    *(("name", "value"), ("key", "value"), ("header", "value"), ("field", "value")),
    *(("Name", "Value"), ("Key", "Value"), ("ParameterKey", "ParameterValue")),
)
_MOST_LEAVES = 200
_FEW = 8
_SHORT_OPTION = len("'-p'")


@dataclass(frozen=True, slots=True)
class Judged:
    """What becomes of a value: the `result`, what changed, and the texts that were removed."""

    result: Any
    changes: Changes | Change | None
    secrets: tuple[str, ...]

    STAYS: ClassVar["Judged"]
    ORDINARY: ClassVar["Judged"]


Judged.STAYS = Judged(None, None, ())
Judged.ORDINARY = Judged(None, None, ())


class Judge:
    """The rules for values beside names."""

    def __init__(self, names: Names, text: TextScrubber) -> None:
        self.names = names
        self.text = text

    def pair_of(self, node: Mapping[Any, Any]) -> tuple[str, Verdict]:
        """What `{"name": "password", "value": …}` says about `value`, `{"loc": ["pin"], "input": …}` about `input`.

        So does `{"ParameterKey": "Password", "ParameterValue": …}`.
        A JWK says it by its form (RFC 7518): `{"kty": "RSA", "d": …}`, a form's field by the type `password`.
        """
        if "loc" in node and "input" in node and (verdict := validation.of_entry(node, self.names)):
            return "input", verdict
        if "kty" in node:
            return "k" if "k" in node else "d", Verdict.SECRET
        kind = node.get("type")
        if isinstance(kind, str) and kind in _PASSWORD:  # no other: an exception has a type, too
            return "value", Verdict.SECRET
        if bare(str(node.get("Type"))) == "SecureString":  # of Amazon's Parameter Store
            return "Value", Verdict.SECRET
        for key, paired in _NAMED:
            name = node.get(key)
            if isinstance(name, str) and name and paired in node:
                return paired, self.names.verdict(name)
        return UNPAIRED

    def parameters_of(self, node: Mapping[Any, Any]) -> Judged | None:
        """The mapping without what its SQL statement takes for secret columns; None where there is nothing such."""
        columns = parameters.columns_beside(node, self.names)
        found = {key: self._parameters(node[key], columns) for key in parameters.PARAMETERS & node.keys() if columns}
        found = {key: judged for key, judged in found.items() if judged is not Judged.STAYS}
        return _together(node, found) if found else None

    def _parameters(self, value: Any, columns: Mapping[int, str]) -> Judged:
        """The parameters of one execution, or of each of several, that stay."""
        if isinstance(value, str):
            found, _ = parameters.items(value, value.find("(") if value[:1] in "'\"" else 0, columns)
            change = Change(", ".join(span.reason for span in found), whole=False)
            gone = tuple(value[span.start : span.end] for span in found)
            return Judged(replaced(value, found), change, gone) if found else Judged.STAYS
        if not isinstance(value, list | tuple) or not value:
            return Judged.STAYS
        if isinstance(value[0], list | tuple):
            rows = {index: self._parameters(row, columns) for index, row in enumerate(value)}
        else:
            rows = {
                index: self.value(column, value[index], Verdict.SECRET, structural=False)
                for index, column in columns.items()
                if index < len(value)
            }
        rows = {index: judged for index, judged in rows.items() if judged is not Judged.STAYS}
        return _together(value, rows) if rows else Judged.STAYS

    def told_by_neighbour(self, items: Sequence[Any]) -> Mapping[int, Verdict]:
        """The items that the one before tells about: `[b'authorization', …]`, `["--password", …]`."""
        if len(items) == 2 and type(items[0]) is str:
            verdict = self.names.verdict(items[0])
            if verdict and not (isinstance(items[1], str) and bare(items[1]).lower() in FIELD_NAMES):
                return _SECOND[verdict]
        if len(items) == 3 and type(items[0]) is str and (field := _FIELD.fullmatch(items[0])):
            verdict = self.names.verdict(field[1])
            return _THIRD[verdict] if verdict else _NOTHING
        found: dict[int, Verdict] = {}
        previous: Any = None
        for index, item in enumerate(items):
            if previous and isinstance(item, str) and not bare(item).startswith("-"):
                verdict = self.names.verdict(bare(previous).lstrip("-"))
                if verdict:
                    found[index] = verdict
            previous = None
            if type(item) is str and "-" in item[:2]:
                previous = item if "=" not in item else None
                if len(item) <= _SHORT_OPTION and commands.asks_for_password(index, items):
                    found[index + 1] = Verdict.SECRET
                elif "-p" in item[:3] and commands.is_password_option(bare(item), items):
                    found[index] = Verdict.SECRET
        return found or _NOTHING

    def value(self, name: str, value: Any, verdict: Verdict, *, structural: bool) -> Judged:
        """What becomes of the value under this name, in a mapping that may be `structural` for Sentry."""
        if _is_harmless(name, value):
            return Judged.STAYS
        if verdict is Verdict.COOKIES:
            return self._cookies(name, value)
        if verdict is Verdict.MAYBE and not _looks_secret(name, value):
            return Judged.ORDINARY
        change = Change(f"beside {name!r}", whole=True)
        secrets = tuple(_leaves(value))
        if isinstance(value, Mapping) and {"value", "type"} <= value.keys():
            return Judged({**value, "value": FILTERED, "type": "string"}, {"value": change}, secrets)
        if isinstance(value, Mapping) and structural:
            return Judged(dict.fromkeys(value, FILTERED), dict.fromkeys(value, change), secrets)
        return Judged(FILTERED, change, secrets)

    def _cookies(self, name: str, value: Any) -> Judged:
        if isinstance(value, str):
            spans = merged(list(cookie_spans(value, 0, len(value), self.names)))
            if not spans:
                return Judged.ORDINARY
            reasons = ", ".join(dict.fromkeys(span.reason for span in spans))
            result = replaced(value, spans)
            return Judged(
                result,
                Change(reasons, whole=result == FILTERED),
                tuple(value[span.start : span.end] for span in spans),
            )
        if isinstance(value, Mapping):
            gone = [key for key, cookie in value.items() if self._is_secret_cookie(key, cookie)]
            if not gone:
                return Judged.ORDINARY
            changes = {key: Change(f"cookie {key!r}", whole=True) for key in gone}
            return Judged(
                {**value, **dict.fromkeys(gone, FILTERED)}, changes, tuple(_leaves([value[key] for key in gone]))
            )
        if isinstance(value, list | tuple) and all(isinstance(item, list | tuple) and len(item) == 2 for item in value):
            return Judged.ORDINARY
        return Judged(FILTERED, Change(f"beside {name!r}", whole=True), tuple(_leaves(value)))

    def _is_secret_cookie(self, key: Any, value: Any) -> bool:
        text = value if isinstance(value, str) else str(value)
        return not is_trivial(text) and is_secret_cookie(bare(str(key)), bare(text), self.names)


def teller(items: Sequence[Any], index: int) -> Any:
    """The item that tells about the one at `index`: the one before it, or the field of the model."""
    is_field = index == 2 and len(items) == 3 and type(items[0]) is str and items[0].startswith("<")
    return items[0] if is_field else items[index - 1]


def _together(whole: Any, parts: Mapping[Any, Judged]) -> Judged:
    """The mapping or list with these parts of it judged."""
    result = dict(whole) if isinstance(whole, Mapping) else list(whole)
    for key, judged in parts.items():
        result[key] = judged.result
    secrets = tuple(secret for judged in parts.values() for secret in judged.secrets)
    return Judged(result, {key: judged.changes for key, judged in parts.items()}, secrets)


def _looks_secret(name: str, value: Any) -> bool:
    """Whether the value under a name that may tell of a secret is one, by its looks."""
    return isinstance(value, str) and looks_random(bare(value), hexadecimal=name.lower() != "key")


def _is_harmless(name: str, value: Any) -> bool:
    """Whether there is nothing to hide in the value, whatever its name: nothing, yes or no, a count, a placeholder."""
    if value is None or isinstance(value, bool):
        return True
    if isinstance(value, int | float):
        return -1 <= value <= 1 or name.lower() == "pass" or is_count(name, str(value))
    if isinstance(value, str):
        plain = bare(value)
        return is_trivial(value) or is_said(plain) or is_count(name, plain) or is_folder(name, plain)
    if isinstance(value, list | tuple) and len(value) < _FEW:
        return all(isinstance(item, str) and is_said(bare(item)) for item in value)  # what a form says of its field
    return isinstance(value, Mapping | list | tuple | set | frozenset) and not value


def _leaves(value: Any) -> Iterator[str]:
    """The texts and numbers in a removed value, each by itself, at most 200; not who it is that gave a password.

    Otherwise the user would be removed wherever else he stands in the event.
    """
    waiting, seen = [value], 0
    while waiting and seen < _MOST_LEAVES:
        seen += 1
        item = waiting.pop()
        if isinstance(item, Mapping):
            waiting += [
                inner for key, inner in item.items() if not (type(inner) is str and bare(str(key)).lower() in WHO)
            ]
        elif isinstance(item, list | tuple | set | frozenset):
            waiting += item
        elif isinstance(item, str | int) and not isinstance(item, bool):
            yield bare(str(item))
