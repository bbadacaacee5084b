"""Values that a validation error of pydantic or FastAPI tells of, judged by the field that they were given for.

As text: `password⏎  String should … [type=…, input_value='…', …]` and `{'loc': ('body', 'password'), 'input': '…'}`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from asgi_rota_sentry.scrubbing import values
from asgi_rota_sentry.scrubbing.keys import Names, Verdict, bare
from asgi_rota_sentry.scrubbing.randomness import looks_random
from asgi_rota_sentry.scrubbing.spans import Span

_PIECES = re.compile(
    r"""\n(?P<line>[^\s\\\[\]{}][^\n\\]{0,200}+)\\{0,8}\n{1,2}[ ]{2}(?=\S)
        |["']loc\\{0,8}["']:\s?[\[(](?P<loc>[^\[\]()]{0,400})[\])]
        |(?:\binput_value=|["']input\\{0,8}["']:\s?)(?P<input>)""",
    re.VERBOSE,
)
_PART = re.compile(r"[^\W\d][\w\-]*")
_MOST_PARTS = 16


def of_entry(entry: Mapping[Any, Any], names: Names) -> Verdict:
    """What the `loc` of an error says about its `input`."""
    if bare(str(entry.get("type"))) == "missing":
        return Verdict.PLAIN  # the input is what stood around the field
    loc = entry["loc"]
    if isinstance(loc, str):
        loc = _PART.findall(loc[:400])
    return _verdict(loc, names) if isinstance(loc, list | tuple) else Verdict.PLAIN


def _verdict(loc: Iterable[Any], names: Names) -> Verdict:
    parts = [bare(part) for part in loc if isinstance(part, str)]
    return max(map(names.verdict, parts[-_MOST_PARTS:]), default=Verdict.PLAIN)


def find(text: str, plain: str, low: str, names: Names) -> Iterator[Span]:
    """Each such value; `plain` is the text with its lines told apart, `low` the same in lower case."""
    if not ("input_value=" in low or "loc'" in low or 'loc"' in low or "loc\\" in low):
        return
    field, position = "", 0
    while piece := _PIECES.search(plain, position):
        position = piece.end()
        if piece["input"] is None:
            field = piece["line"] or piece["loc"] or ""
            continue
        verdict = _verdict(_PART.findall(field), names) if field else Verdict.PLAIN
        if verdict and (value := _value(text, position)):
            told = text[value.start : value.end]
            position = max(position, value.end)  # each value is read once
            if not values.is_trivial(told) and (verdict is Verdict.SECRET or looks_random(told)):
                yield Span(value.start, value.end, f"beside {field.strip()!r}")
        field = ""


def _value(text: str, start: int) -> values.Value | None:
    """The input; of a mapping, which stood around the field, each value is judged by its own name."""
    return None if text.startswith("{", start) else values.read(text, start, sign="=", closed=True, source=False)
