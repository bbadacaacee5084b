"""Where a value stands beside its name without a sign between them: pairs, options, markup, forms.

Each function takes the name's place in the text and returns the value's, or None.
"""

import re

from asgi_rota_sentry.scrubbing import values
from asgi_rota_sentry.scrubbing.vocabulary import FIELD_NAMES

_LOOK_BACK = 24
_TUPLE = re.compile(r"""(?P<quote>\\{0,8}["']),\s{0,2}(?=[bBuU]?\\{0,8}["'])""")
_SQL = re.compile(
    r"""\\{0,8}["'`\]]?\s{1,4}(?:NOT\s{1,4})?
        (?:(?:I?LIKE\s{1,4}|<>\s{0,4})(?=[EN]?\\{0,8}')|IN\s{0,4}(?=\(\s{0,4}[EN]?\\{0,8}'))""",
    re.VERBOSE,
)
_XML = re.compile(r"(?:\s[^<>]{0,128})?>\s{0,8}(?:<!\[CDATA\[|(?=[^<\s]))")
_MULTIPART = re.compile(
    r"""["'](?:;[^\r\n\\]{0,128})?(?:\r?\n|\\r\\n)(?:[^\r\n\\]{1,128}(?:\r?\n|\\r\\n)){0,3}(?:\r?\n|\\r\\n)"""
)
_MULTIPART_END = re.compile(r"(?:\r?\n|\\r\\n)--|$")
_OPTION = re.compile(r"""["']?,?\s{1,4}["']?(?=[^\s\-"'])""")
_NAMED = re.compile(r"""(?:name|key|header|field)\\{0,8}["']?\s{0,2}[:=]\s{0,2}[bBuU]?\\{0,8}["']?$""", re.IGNORECASE)
_TYPED = re.compile(r"""\btype\\{0,8}["']?\s{0,2}[:=]\s{0,2}\\{0,8}["']?$""", re.IGNORECASE)
_ITS_VALUE = re.compile(
    r"""\\{0,8}["']?(?:[,;&]|\s|\\{1,8}[nrt]){1,4}[^<>{}\n]{0,64}?(?:\b|\\[nrt])(?:parameter)?value\\{0,8}["']?\s{0,2}[:=]\s{0,2}""",
    re.IGNORECASE,
)


def find(text: str, start: int, end: int) -> values.Value | None:
    """The value of the name at `start` to `end`, in whichever of these forms."""
    return (
        _in_sql(text, end)
        or _in_a_pair(text, start, end)
        or _as_an_option(text, start, end)
        or _in_markup(text, start, end)
        or _in_a_form(text, start, end)
        or _in_a_value(text, start, end)
    )


def _in_sql(text: str, end: int) -> values.Value | None:
    """`"token" IN ('x', 'y')`, `password LIKE 'x%'`, where the values stand in the statement itself."""
    operator = _SQL.match(text, end)
    return values.read(text, operator.end(), sign="IN", closed=True, source=False) if operator else None


def _in_a_pair(text: str, start: int, end: int) -> values.Value | None:
    """`('password', 'x')`."""
    pair = _TUPLE.match(text, end)
    if pair and _opens_a_pair(text, start):
        found = values.read(text, pair.end(), sign=",", closed=True, source=False)
        return None if found and text[found.start : found.end].lower() in FIELD_NAMES else found
    return None


def _as_an_option(text: str, start: int, end: int) -> values.Value | None:
    """`--password x`, `-password x`."""
    dashed = text.startswith("-", start) or (start and text[start - 1] == "-")
    option = _OPTION.match(text, end) if dashed else None
    return values.read_word(text, option.end()) if option else None


def _opens_a_pair(text: str, start: int) -> bool:
    """Whether the quoted name at `start` is the first thing in brackets."""
    position = start - 1
    while position > 0 and text[position] in "\\\"'bBuU" and start - position < _LOOK_BACK:
        position -= 1
    return 0 <= position < start - 1 and text[position] in "(["


def _in_markup(text: str, start: int, end: int) -> values.Value | None:
    """`<password>x</password>`."""
    tag = _XML.match(text, end) if start and text[start - 1] in "<:" else None
    if tag is None:
        return None
    stop = text.find("<", tag.end())
    return values.Value(tag.end(), stop if stop >= 0 else len(text))


def _in_a_form(text: str, start: int, end: int) -> values.Value | None:
    """The part of a multipart body (RFC 7578) with this name."""
    part = _MULTIPART.match(text, end) if text[max(0, start - 6) : start - 1].lower() == "name=" else None
    if part is None:
        return None
    closing = _MULTIPART_END.search(text, part.end())
    return values.Value(part.end(), closing.start() if closing else len(text))


def _in_a_value(text: str, start: int, end: int) -> values.Value | None:
    """`{"name": "password", "value": "x"}`, `<input name="password" value="x">`, and so by the type `password`."""
    before = max(0, start - _LOOK_BACK)
    if not (
        _NAMED.search(text, before, start) or (text[start:end] == "password" and _TYPED.search(text, before, start))
    ):
        return None
    its = _ITS_VALUE.match(text, end)
    return values.read(text, its.end(), sign="=", closed=True, source=False) if its else None
