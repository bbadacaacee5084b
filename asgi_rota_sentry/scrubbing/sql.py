"""Values of telling columns in SQL: `INSERT INTO t (name, password) VALUES ('ada', '…')`, `IDENTIFIED BY '…'`."""

import re
from collections.abc import Iterator

from asgi_rota_sentry.scrubbing.keys import Names, Verdict
from asgi_rota_sentry.scrubbing.spans import Span
from asgi_rota_sentry.scrubbing.values import is_trivial

_INSERT = re.compile(
    r"\b(?:insert|replace)\s{1,4}(?:ignore\s{1,4})?into\s{1,4}[^\s(]{1,200}\s{0,4}\(([^()]{1,4000})\)\s{0,4}values\s{0,4}",
    re.IGNORECASE,
)
_VALUE = re.compile(r"\s*(?:'((?:[^'\\]|''|\\.)*+)'|([^,()']*+))\s*([,)]?)", re.DOTALL)
_IDENTIFIED = re.compile(r"\bidentified\s{1,4}by\s{1,4}'([^']{1,512})'", re.IGNORECASE)
_MOST_ROWS = 1000


def find(text: str, low: str, names: Names) -> Iterator[Span]:
    """Each such value, `low` being the text in lower case."""
    if "identified" in low:
        for found in _IDENTIFIED.finditer(text):
            yield Span(found.start(1), found.end(1), "beside 'IDENTIFIED BY'")
    if "into" not in low or "values" not in low:
        return
    for insert in _INSERT.finditer(text):
        columns = [column.strip(' "`[]\n\t') for column in insert[1].split(",")]
        telling = {index for index, column in enumerate(columns) if names.verdict(column) is Verdict.SECRET}
        if telling:
            yield from _rows(text, insert.end(), columns, telling)


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
