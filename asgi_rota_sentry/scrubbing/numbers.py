"""Numbers that are secrets by themselves: payment cards, social security and National Insurance numbers, IBANs."""

import re
from collections.abc import Iterator
from itertools import pairwise

from asgi_rota_sentry.scrubbing.checksums import iban_length, is_card, is_iban, is_nino, is_ssn
from asgi_rota_sentry.scrubbing.spans import Span

# A separator is one or two characters, or what a URL makes of a space. None of these patterns can match the same
# digits in two ways, so none of them backtracks.
_RUN = re.compile(r"(?<![0-9A-Za-z])[0-9](?:(?:%20|[ \-.+_/\u00a0\u2009\u202f\u2010-\u2013]{0,2})[0-9])*+(?![A-Za-z])")
_SSN = re.compile(r"(?<![\w\-.])(?<![0-9] )([0-9]{3})([- ])([0-9]{2})\2([0-9]{4})(?![\w\-]|[. ][0-9])")
_NINO = re.compile(
    r"(?<![A-Za-z0-9])(?:([A-Z]{2})[ -]?[0-9]{2}[ -]?[0-9]{2}[ -]?[0-9]{2}[ -]?[A-D]"
    r"|([a-z]{2}) [0-9]{2} [0-9]{2} [0-9]{2} [a-d])(?![A-Za-z0-9])"
)
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}[0-9]{2}(?=[ \-+\u00a0\u2009\u202f]?[A-Za-z0-9]{4})")
_IBAN_SEPARATORS = " -+\u00a0\u2009\u202f"  # the last ones are how a page keeps it on one line
_NINE_DIGITS = re.compile(r"[0-9](?:(?:%20|[^A-Za-z0-9:]{0,2})[0-9]){8}")
_LETTERS_AND_DIGITS = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}[ -]?[0-9]{2}[ +\u00a0\u2009\u202f-]?[0-9A-Za-z]{2}")
_GROUPINGS = frozenset(
    {(4, 4, 4, 4), (4, 6, 5), (4, 4, 4, 4, 3), (4, 6, 4), (4, 4, 4, 1), (6, 13), (4, 4, 4, 3), (4, 5, 6)}
)
_FIRST_GROUPS = frozenset(sizes[0] for sizes in _GROUPINGS)
_FEWEST, _MOST, _MOST_USUAL = 13, 19, 5
_GROUP = re.compile("[0-9]+")


def find(text: str) -> Iterator[Span]:
    """Each such number in the text."""
    if len(text) < 9:
        return
    if _NINE_DIGITS.search(text):
        yield from _cards(text)
        for found in _SSN.finditer(text):
            if is_ssn(found[1], found[3], found[4]):
                yield Span(found.start(), found.end(), "social security number")
    if _LETTERS_AND_DIGITS.search(text):
        for found in _NINO.finditer(text):
            if is_nino(found[1] or found[2]):
                yield Span(found.start(), found.end(), "National Insurance number")
        yield from _ibans(text)


def _cards(text: str) -> Iterator[Span]:
    for found in _RUN.finditer(text):
        if found.end() - found.start() < _FEWEST:
            continue
        yield from _cards_in_run(text, found.start(), found.end())


def _cards_in_run(text: str, start: int, end: int) -> Iterator[Span]:
    run = text[start:end].replace("%20", "   ")
    groups = [(start + found.start(), start + found.end()) for found in _GROUP.finditer(run)]
    whole = len(groups) <= _MOST and _plausible(text, groups)
    first = 0
    while first < len(groups):
        begin, stop = groups[first]
        may_begin = whole or stop - begin in _FIRST_GROUPS or stop - begin >= _FEWEST
        last = (
            _card_from(text, groups, first, whole=whole and not first) if may_begin and text[begin] in "23456" else None
        )
        if last is not None:
            yield Span(begin, groups[last][1], "card number")
        first = first + 1 if last is None else last + 1


def _card_from(text: str, groups: list[tuple[int, int]], first: int, *, whole: bool) -> int | None:
    """The last group of the longest card number that begins with group `first`, or None.

    The `whole` run may be grouped in any way, a part of it only as cards are.
    """
    sizes: tuple[int, ...] = ()
    total = 0
    best = None
    for index in range(first, min(len(groups), first + (_MOST if whole else _MOST_USUAL))):
        size = groups[index][1] - groups[index][0]
        total += size
        if total > _MOST:
            break
        sizes += (size,)
        if total < _FEWEST or not (index == first or sizes in _GROUPINGS or (whole and index == len(groups) - 1)):
            continue
        if index == first and _is_decimal(text, *groups[first]):
            continue
        if is_card("".join(text[begin:end] for begin, end in groups[first : index + 1])):
            best = index
    return best


def _is_decimal(text: str, start: int, end: int) -> bool:
    """Whether the digits are a part of a number such as `0.4111`."""
    return (text[start - 1 : start] == "." and text[start - 2 : start - 1].isdigit()) or (
        text[end : end + 1] == "." and text[end + 1 : end + 2].isdigit()
    )


def _plausible(text: str, groups: list[tuple[int, int]]) -> bool:
    """Whether these groups, the whole run, may be one number: not a decimal, a phone number or a path of numbers."""
    begin = groups[0][0]
    between = {text[left[1] : right[0]] for left, right in pairwise(groups)}
    if between & {".", "/"} and (len(groups) < 3 or len(between) > 1):
        return False
    return not (begin and text[begin - 1] == "+")


def _ibans(text: str) -> Iterator[Span]:
    for found in _IBAN.finditer(text):
        length = iban_length(text[found.start() : found.start() + 2])
        if not length:
            continue
        taken: list[str] = []
        position = found.start()
        while len(taken) < length and position < len(text):
            character = text[position]
            if character.isascii() and character.isalnum():
                taken.append(character)
            elif character not in _IBAN_SEPARATORS or text[position - 1] in _IBAN_SEPARATORS:
                break
            position += 1
        if text[position : position + 1].isalnum() and text[position : position + 1].isascii():
            continue
        if is_iban("".join(taken)):
            yield Span(found.start(), position, "IBAN")
