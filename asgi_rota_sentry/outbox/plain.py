"""Stored texts as a terminal may show them: they come from visitors, so they must not steer it."""

import shutil
import sys
import unicodedata
from collections.abc import Sequence
from datetime import datetime

_NARROWEST_TITLE = 20
_WIDEST_TITLE = 100


def printable(given: object, *, lines: bool = False) -> str:
    """The text with every character that is not visible written as an escape; `lines` keeps line breaks and tabs."""
    kept = "\n\t" if lines else ""
    return "".join(
        character if character in kept or _is_harmless(character) else _escaped(character) for character in str(given)
    )


_STEERING = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def _is_harmless(character: str) -> bool:
    # Cc: control, Cf: also turns the direction of writing, Cs: half characters, Zl and Zp: line breaks.
    return (character.isascii() and character.isprintable()) or unicodedata.category(character) not in _STEERING


def _escaped(character: str) -> str:
    short = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}
    return short.get(character) or character.encode("unicode_escape").decode("ascii")


def moment(seconds: float) -> str:
    """Seconds since 1970 as local date and time."""
    return datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M:%S")  # noqa: DTZ006 - for a person at this machine


def table(head: Sequence[str], rows: Sequence[Sequence[object]], *, flexible: int) -> str:
    """Columns under their heads; the `flexible` column is cut, in a terminal so that lines fit."""
    texts = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(line[column]) for line in [head, *texts]) for column in range(len(head))]
    widths[flexible] = min(widths[flexible], _WIDEST_TITLE)
    if sys.stdout.isatty():
        others = sum(widths) - widths[flexible] + 2 * (len(head) - 1)
        widths[flexible] = min(widths[flexible], max(_NARROWEST_TITLE, shutil.get_terminal_size().columns - others))
    lines = []
    for line in [head, *texts]:
        cells = [
            cell if len(cell) <= width else cell[: width - 1] + "…" for cell, width in zip(line, widths, strict=True)
        ]
        lines.append("  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip())
    return "\n".join(lines)


def size(number: float) -> str:
    """A number of bytes in words: `12 KiB`."""
    for unit in ("bytes", "KiB", "MiB"):
        if number < 1024 or unit == "MiB":
            break
        number /= 1024
    return f"{number:.0f} {unit}" if number >= 10 or unit == "bytes" else f"{number:.1f} {unit}"


def age(seconds: float) -> str:
    """A span of time in words: `3 hours`."""
    for unit, length in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            number = int(seconds // length)
            return f"{number} {unit}{'s' * (number != 1)}"
    return f"{max(0, int(seconds))} s"
