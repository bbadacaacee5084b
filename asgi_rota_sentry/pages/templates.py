"""Page templates: `string.Template` with includes and conditions, each value escaped.

A template is HTML with three marks, each in an HTML comment:

    <!--include form.html-->                    another file, put in when the template is loaded
    <!--if support_email--> … <!--end-->        left out when the field is empty; `if not` for the opposite
    $event_id                                   the field's value, escaped (but `Html`)

Style sheets and scripts stand in the page itself, without fields, and are allowed by their hash (Content Security
Policy Level 3, https://www.w3.org/TR/CSP3/).
"""

import re
from base64 import b64encode
from collections.abc import Collection, Iterable, Mapping
from copy import copy
from hashlib import sha256
from html import escape
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template
from typing import NamedTuple

BUILT_IN = files("asgi_rota_sentry.pages") / "templates"  # in a ZIP file, perhaps

_MARK = re.compile(r"<!--\s*(?:(?P<end>end)|if\s+(?P<negated>not\s+)?(?P<field>\w+))\s*-->")
_INCLUDE = re.compile(r"<!--\s*include\s+([\w-]+\.\w+)\s*-->")
_CODE = re.compile(r"<(style|script)\b[^>]*>(.*?)</\1\s*>", re.IGNORECASE | re.DOTALL)
_ESCAPED = re.compile(r"""[&<>"']""")  # by `html.escape`
_MOST_FORMS = 16  # of each page, some 10 kB each
_INDENT = re.compile(r"\n\s+")


class Html(str):
    """A field's value that is HTML, made by a template: it is not escaped once more."""

    __slots__ = ()


class TemplateError(ValueError):
    """A template that cannot be used; the message says why."""


class Page:
    """One template, ready to be filled in: `source` is its text with all files included.

    `fields` are the names it may use; `policy` is its Content-Security-Policy, without `form-action`. Raises
    `TemplateError` for an unknown field, unbalanced conditions, or a field inside a style sheet or a script, where no
    escaping would make it safe.
    """

    def __init__(self, source: str, fields: Collection[str], *, built_in: bool) -> None:
        self._pieces: list[_Piece] = []
        self.policy = _policy(source, built_in=built_in)
        conditions: list[tuple[str, bool]] = []
        start = 0
        for mark in _MARK.finditer(source):
            self._add(source[start : mark.start()], conditions, fields)
            start = mark.end()
            if mark["field"]:
                conditions.append((mark["field"], not mark["negated"]))
            elif conditions:
                conditions.pop()
            else:
                raise TemplateError("there is an <!--end--> without its <!--if …-->")
        if conditions:
            raise TemplateError(f"<!--if {conditions[-1][0]}--> has no <!--end-->")
        self._add(source[start:], conditions, fields)
        self._settle()

    def _add(self, text: str, conditions: list[tuple[str, bool]], fields: Collection[str]) -> None:
        piece = Template(text)
        if not piece.is_valid():
            raise TemplateError("a $ stands without a field name; a dollar sign itself is $$")
        for name in [*piece.get_identifiers(), *(name for name, _ in conditions)]:
            if name not in fields:
                raise TemplateError(f"${name} is not a field; expected one of {', '.join(sorted(fields))}")
        self._pieces.append(_Piece(tuple(conditions), *_split(text)))

    def filled(self, fields: Mapping[str, str]) -> "Page":
        """The page with the values of these fields put in once and for all, escaped; the others stay open."""
        page = copy(self)
        page._pieces = _joined(piece.filled(fields) for piece in self._pieces if piece.is_wanted(fields))
        page._settle()
        return page

    def _settle(self) -> None:
        """Find out which fields are asked for; nothing is prepared yet."""
        asked = {name for piece in self._pieces for name, _ in piece.conditions}
        self._asked = tuple(sorted(asked))
        #: The fields that are still open.
        self.open = frozenset(asked.union(*(piece.names for piece in self._pieces)))
        self._forms: dict[tuple[bool, ...], tuple[list[bytes], tuple[str, ...]]] = {}

    def render(self, fields: Mapping[str, str]) -> bytes:
        """The page in UTF-8, with each field's value escaped and put in; `fields` are all that are still open."""
        filled = tuple(map(bool, map(fields.__getitem__, self._asked)))
        parts, names = self._forms.get(filled) or self._form(filled)
        values = list(map(fields.__getitem__, names))
        if _ESCAPED.search("\n".join(values)):
            values = [escape(value) for value in values]
        parts = parts.copy()
        parts[1::2] = [value.encode("utf-8", "replace") for value in values]
        return b"".join(parts)

    def _form(self, filled: tuple[bool, ...]) -> tuple[list[bytes], tuple[str, ...]]:
        """The page where just these of the asked fields are filled: its parts, every second one left for a field."""
        is_filled = dict(zip(self._asked, filled, strict=True))
        literals: list[str] = [""]
        names: list[str] = []
        for piece in self._pieces:
            if all(is_filled[name] is wanted for name, wanted in piece.conditions):
                literals[-1] += piece.literals[0]
                literals += piece.literals[1:]
                names += piece.names
        parts = [b""] * (2 * len(literals) - 1)
        parts[::2] = [literal.encode("utf-8", "replace") for literal in literals]
        if len(self._forms) >= _MOST_FORMS:
            self._forms.clear()
        found = self._forms[filled] = parts, tuple(names)
        return found


class _Piece(NamedTuple):
    """A part of a template: literal texts, the names of the fields between them, and when it is there at all."""

    conditions: tuple[tuple[str, bool], ...]
    literals: tuple[str, ...]
    names: tuple[str, ...]

    def is_wanted(self, fields: Mapping[str, str]) -> bool:
        """Whether no condition speaks against it; one about a field that is not given does not."""
        return all(name not in fields or bool(fields[name]) is wanted for name, wanted in self.conditions)

    def filled(self, fields: Mapping[str, str]) -> "_Piece":
        """The piece with those fields put in that are given."""
        literals, names = [self.literals[0]], []
        for name, literal in zip(self.names, self.literals[1:], strict=True):
            if name in fields:
                value = fields[name]
                literals[-1] += (value if isinstance(value, Html) else escape(value)) + literal
            else:
                names.append(name)
                literals.append(literal)
        conditions = tuple(condition for condition in self.conditions if condition[0] not in fields)
        return _Piece(conditions, tuple(literals), tuple(names))


def _joined(pieces: Iterable[_Piece]) -> list[_Piece]:
    """The pieces, those beside each other that depend on the same made into one."""
    found: list[_Piece] = []
    for piece in pieces:
        if found and found[-1].conditions == piece.conditions:
            before = found.pop()
            literals = (*before.literals[:-1], before.literals[-1] + piece.literals[0], *piece.literals[1:])
            found.append(_Piece(piece.conditions, literals, before.names + piece.names))
        else:
            found.append(piece)
    return found


def _split(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The literal texts of a valid template, and the names of the fields between them."""
    literals, names, start = [""], [], 0
    for found in Template.pattern.finditer(text):
        literals[-1] += text[start : found.start()]
        start = found.end()
        name = found["named"] or found["braced"]
        if name:
            names.append(name)
            literals.append("")
        else:
            literals[-1] += "$"
    literals[-1] += text[start:]
    return tuple(literals), tuple(names)


def _policy(source: str, *, built_in: bool) -> str:
    """What a page may load: the styles and scripts in it; in a user's template also files of the same host."""
    found: dict[str, list[str]] = {"style": [], "script": []}
    for block in _CODE.finditer(source):
        code = Template(block[2])
        if code.get_identifiers() or _MARK.search(block[2]):
            raise TemplateError(f"a <{block[1]}> has a field or a condition in it, which is not safe")
        digest = sha256(code.safe_substitute().encode()).digest()
        found[block[1].lower()].append(f"'sha256-{b64encode(digest).decode()}'")
    own = [] if built_in else ["'self'"]
    directives = [
        ["default-src", *(own or ["'none'"])],
        ["style-src", *own, *found["style"]],
        ["script-src", *own, *found["script"]],
        ["img-src", *own, "data:"],
        ["base-uri", "'none'"],
        ["frame-ancestors", "'none'"],
    ]
    return "; ".join(" ".join(directive) for directive in directives)


def _read(path: Traversable) -> str:
    try:
        # Editors on Windows begin a file with a mark of its encoding.
        return path.read_text(encoding="utf-8-sig").replace("\r\n", "\n")
    except (OSError, UnicodeError) as fault:
        raise TemplateError(f"{path.name} cannot be read: {fault}") from fault


def load(name: str, fields: Collection[str], folder: Path | None = None) -> Page:
    """The template of that name, built-in or from a folder of the user's, whose files may include the built-in ones.

    Raises `TemplateError`.
    """

    def included(found: re.Match[str]) -> str:
        own = None if folder is None else folder / found[1]
        return _read(own if own is not None and own.is_file() else BUILT_IN / found[1]).rstrip("\n")

    source = _read((folder or BUILT_IN) / name)
    source = _INCLUDE.sub(included, _INCLUDE.sub(included, source))
    if folder is None:
        return Page(_INDENT.sub("\n", source), fields, built_in=True)
    return Page(source, fields, built_in=False)
