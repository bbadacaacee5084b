"""Values of telling columns in SQL: `INSERT INTO t (name, password) VALUES ('ada', '…')`, `IDENTIFIED BY '…'`."""

import re
from collections.abc import Iterator

from asgi_rota_sentry.scrubbing.keys import Names, Verdict
from asgi_rota_sentry.scrubbing.spans import Span
from asgi_rota_sentry.scrubbing.values import is_trivial

INSERT = re.compile(
    r"\b(?:insert|replace)\s{1,64}(?:or\s{1,64}[a-z]{1,8}\s{1,64}|ignore\s{1,64})?into\s{1,64}[^\s(]{1,200}\s{0,64}"
    r"\(([^()]{1,4000})\)\s{0,64}values\s{0,64}",
    re.IGNORECASE,
)
_VALUE = re.compile(r"\s*(?:'((?:[^'\\]|''|\\.)*+)'|([^,()']*+))\s*([,)]?)", re.DOTALL)
_IDENTIFIED = re.compile(r"\bidentified\s{1,4}by\s{1,4}'([^']{1,512})'", re.IGNORECASE)
_MOST_ROWS = 1000
# What a database says of a value that is there already: PostgreSQL, then MySQL.
_KEY = re.compile(r"\bkey \(([^()]{1,400})\)=\(", re.IGNORECASE)
_KEY_END = re.compile(r"\) (?:already exists|conflicts with)")
_ENTRY = re.compile(r"\bduplicate entry '([^\n]{1,512}?)' for key '([\w.$-]{1,128})", re.IGNORECASE)
_LONGEST_VALUE = 2048


def find(text: str, low: str, names: Names) -> Iterator[Span]:
    """Each such value, `low` being the text in lower case."""
    if "identified" in low:
        for found in _IDENTIFIED.finditer(text):
            yield Span(found.start(1), found.end(1), "beside 'IDENTIFIED BY'")
    if "key (" in low or "entry '" in low:
        yield from _told_by_errors(text, names)
    if "into" not in low or "values" not in low:
        return
    for insert in INSERT.finditer(text):
        columns = split(insert[1])
        telling = {index for index, column in enumerate(columns) if names.verdict(column) is Verdict.SECRET}
        if telling:
            yield from _rows(text, insert.end(), columns, telling)


def split(columns: str) -> list[str]:
    """The names in a list of columns, without their quotes."""
    return [column.strip(' "`[]\\\n\t') for column in columns.split(",")]


def _told_by_errors(text: str, names: Names) -> Iterator[Span]:
    """`Key (pin)=(4821) already exists.`, `Duplicate entry '4821' for key 'users.pin'`."""
    for key in _KEY.finditer(text):
        if any(names.verdict(column) is Verdict.SECRET for column in split(key[1])):
            end = _KEY_END.search(text, key.end(), key.end() + _LONGEST_VALUE)
            if end:
                yield Span(key.end(), end.start(), f"beside {key[1]!r}")
    for entry in _ENTRY.finditer(text):
        if names.verdict(entry[2].rpartition(".")[2]) is Verdict.SECRET:
            yield Span(entry.start(1), entry.end(1), f"beside {entry[2]!r}")


def _rows(text: str, position: int, columns: list[str], telling: set[int]) -> Iterator[Span]:
    for _ in range(_MOST_ROWS):
        if not text.startswith("(", position):
            return
        position += 1
        for index in range(len(columns)):
            value = _VALUE.match(text, position)
            if value is None:
                return
            group = 1 if value[1] is not None else 2
            if index in telling and not is_trivial(value[group].strip()):
                yield Span(value.start(group), value.end(group), f"beside {columns[index]!r}")
            position = value.end()
            if value[3] != ",":
                break
        following = re.compile(r"\s{0,8},\s{0,8}").match(text, position)
        position = following.end() if following else len(text)
