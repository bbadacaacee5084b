"""Whether a word was drawn at random: a key or token, not a name, a path, a version or an identifier."""

import re
from math import log2

_UUID = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}", re.IGNORECASE)
_PIECES = re.compile(r"[^A-Za-z0-9]+")
_HEX = re.compile(r"[0-9a-f]+|[0-9A-F]+")
_RUNS = re.compile(r"[a-z]+|[A-Z]+|[0-9]+")
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_DIGITS = re.compile(r"[0-9]+")
_SHORTEST = 16
_ENOUGH_BITS = 3.0
_LONGEST_JUDGED = 512


def is_uuid(word: str) -> bool:
    """Whether the word has the form of a UUID, with or without its dashes."""
    return _UUID.fullmatch(word) is not None


def entropy(word: str) -> float:
    """Shannon's entropy of the word's characters, in bits for each character."""
    size = len(word)
    return -sum(count / size * log2(count / size) for count in map(word.count, set(word)))


def looks_random(word: str, *, hexadecimal: bool = False) -> bool:
    """Whether the word looks drawn at random and is long enough to be a secret (16 characters).

    Hexadecimal digits alone count only where asked for: they may be a commit, a hash or an ID. UUIDs never count.
    """
    word = word[:_LONGEST_JUDGED]
    if len(word) < _SHORTEST or is_uuid(word):
        return False
    piece = max(_PIECES.split(word), key=len)
    if len(piece) < _SHORTEST:
        return len(word) >= 20 and _mixed_pieces(word)
    if _HEX.fullmatch(piece):
        return hexadecimal and not piece.isdigit() and not piece.isalpha() and len(piece) >= 24
    return _irregular(piece) and entropy(piece) >= _ENOUGH_BITS


def _irregular(piece: str) -> bool:
    """Whether letters and digits, or the cases, alternate as they do in no word that a person writes."""
    if _is_name(piece):
        return False
    runs = _RUNS.findall(piece)
    digits = sum(character.isdigit() for character in piece)
    if not digits:
        single = sum(len(run) == 1 for run in runs)
        return len(runs) >= len(piece) / 2.6 and single >= 4
    return len(runs) >= max(4, len(piece) // 6) and digits < len(piece) - 2


def _is_name(piece: str) -> bool:
    """Whether it is a name of words of four letters or more on average: `FileNotFoundError`, `OAuth2PasswordBearer`."""
    numbers, names = _DIGITS.findall(piece), _WORDS.findall(piece)
    return len(numbers) < 2 and len("".join(numbers)) < 5 and len("".join(names)) >= 4 * len(names)


def _mixed_pieces(word: str) -> bool:
    """Whether the pieces between dashes, dots and the like are mostly random themselves."""
    pieces = [piece for piece in _PIECES.split(word) if piece]
    random = sum(len(piece) for piece in pieces if len(piece) >= 5 and len(_RUNS.findall(piece)) >= 4)
    return random >= max(10, 0.6 * sum(map(len, pieces)))
