"""Parameters of SQL statements, judged by the columns that they are for: `UPDATE t SET pin = ? WHERE id = ?`.

They stand beside the statement in the locals of Django, SQLAlchemy and the drivers, and in SQLAlchemy's messages.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from asgi_rota_sentry.scrubbing import values
from asgi_rota_sentry.scrubbing.keys import Names, Verdict, bare
from asgi_rota_sentry.scrubbing.spans import Span
from asgi_rota_sentry.scrubbing.sql import INSERT, split
from asgi_rota_sentry.scrubbing.vocabulary import word_set

PARAMETERS = word_set("params parameters effective_parameters args param_list values")
STATEMENTS = word_set("sql statement query operation")
_LONGEST = 1 << 15
_MOST = 1000
SAID = "[parameters: "
# A name before a bracket is a function's.
_TOKENS = re.compile(
    r"""'[^']*+'|::\w++|(?P<mark>\?|%s|\$(?P<number>[0-9]{1,4}))|(?P<sign>[(),])
        |(?P<name>[^\W\d]\w*+)["`\]]?+(?!\s{0,4}\()""",
    re.VERBOSE,
)
# These stand between a column and its value: `pin NOT IN (%s, %s)`, `pin BETWEEN %s AND %s`.
_BETWEEN = word_set("and not in like ilike is between similar to any all when end")
_ITEMS = re.compile(r"""(?P<sign>[\[({\])},])|[bBuU]?(?P<quote>\\{0,8}["'])|[^\s\[\](){},"'\\]++""")


class _Marks:
    """Goes through a statement and notes for each placeholder the column."""

    def __init__(self) -> None:
        self.columns: dict[int, str] = {}
        self._count = 0
        self._inserted: list[str] = []
        self._place = self._depth = self._column_depth = 0
        self._column = self._case = ""

    def read(self, statement: str) -> dict[int, str]:
        """The columns of at most 1,000 placeholders, by the place of the parameter."""
        insert = INSERT.search(statement)
        self._inserted = split(insert[1]) if insert else []
        other = "?" if "%s" in statement else "%s"  # then a `?` is an operator of PostgreSQL's
        for token in _TOKENS.finditer(statement, insert.end() if insert else 0):
            if token["mark"]:
                self._mark(token["number"]) if token["mark"] != other else None
            elif token["name"]:
                self._name(token["name"])
            elif token["sign"]:
                self._sign(token["sign"])
            if self._count >= _MOST:
                break
        return self.columns

    def _mark(self, number: str | None) -> None:
        in_row = self._inserted and self._depth and self._place < len(self._inserted)
        column = self._inserted[self._place] if in_row else self._column
        self.columns.setdefault(int(number) - 1 if number else self._count, column)
        self._count += 1

    def _name(self, name: str) -> None:
        word = name.lower()
        if self._inserted and not self._depth:
            self._inserted = []  # after the rows: `ON CONFLICT … DO UPDATE SET …`
        if word == "case":
            self._case = self._column
        elif word in ("then", "else"):
            self._column, self._column_depth = self._case, self._depth
        elif word not in _BETWEEN:
            self._column, self._column_depth = name, self._depth

    def _sign(self, sign: str) -> None:
        if sign == "(":
            self._depth += 1
            self._place = 0 if self._depth == 1 else self._place
        elif sign == ")":
            self._depth -= 1
        else:
            self._place += self._depth == 1
            self._column = "" if self._depth <= self._column_depth else self._column


def columns(statement: str, names: Names) -> dict[int, str]:
    """The secret columns of a statement by the place of their parameter."""
    found = _Marks().read(statement[:_LONGEST])
    return {place: column for place, column in found.items() if names.verdict(column) is Verdict.SECRET}


def columns_beside(node: Mapping[Any, Any], names: Names) -> dict[int, str]:
    """The same of the statement that stands beside its parameters in a mapping."""
    if PARAMETERS.isdisjoint(node):
        return {}
    for key in ("str_statement", *STATEMENTS):
        statement = node.get(key)
        if isinstance(statement, str) and " " in statement:
            # As `repr` shows it in a frame's locals.
            return columns(bare(statement).replace("\\n", "\n").replace("\\", ""), names)
    return {}


def find(text: str, plain: str, low: str, names: Names) -> Iterator[Span]:
    """Each such value in `[SQL: INSERT INTO t (name, pin) VALUES (?, ?)]⏎[parameters: ('ada', '4821')]`.

    `plain` is the text with its lines told apart, `low` the same in lower case.
    """
    before, position = 0, low.find(SAID)
    while position >= 0:
        begin = plain.rfind("[SQL: ", max(before, position - _LONGEST), position)
        secret = columns(plain[begin:position], names) if begin >= 0 else {}
        before = position + len(SAID)
        if secret:
            spans, before = items(text, before, secret)
            yield from spans
        position = low.find(SAID, before)


def items(text: str, start: int, secret: Mapping[int, str]) -> tuple[list[Span], int]:
    """The secret ones in the tuple at `start`, or in each tuple of a list, and where the search ended."""
    row = 2 if text[start : start + 2] in ("[(", "[[") else 1
    found: list[Span] = []
    position, depth, place = start, 0, 0
    while depth >= 0 and position < start + _LONGEST and (item := _ITEMS.search(text, position)):
        position, sign = item.end(), item["sign"]
        end = values.closing(text, position, item["quote"]) if item["quote"] else position
        if sign:
            depth += (sign in "[({") - (sign in "])}")
            place = 0 if sign in "[({" and depth == row else place + (sign == "," and depth == row)
        elif depth and place in secret:
            begin = position if item["quote"] else item.start()
            if not values.is_trivial(text[begin:end]):
                found.append(Span(begin, end, f"beside {secret[place]!r}"))
        position = end + len(item["quote"] or "")
    return found, position
