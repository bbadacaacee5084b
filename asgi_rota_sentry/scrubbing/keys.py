"""What a name says about the value beside it: a secret for certain, perhaps one, cookies, or nothing.

A name is cut into words, so that `x-api-key`, `X_API_KEY`, `apiKey`, `HTTP_X_API_KEY` and `b'x-api-key'` are all one,
and `author` has nothing to do with `auth`. The words after the telling one decide too: `token_count` is a number.
"""

import re
from collections.abc import Iterable
from enum import IntEnum
from unicodedata import normalize

from asgi_rota_sentry.scrubbing import vocabulary as v


class Verdict(IntEnum):
    """What the value under a name is: `PLAIN`, `MAYBE` (by its looks), `COOKIES` (each by its name), `SECRET`."""

    PLAIN = 0
    MAYBE = 1
    COOKIES = 2
    SECRET = 3


_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^\W\d_A-Za-z]+")
_ACCENTS = re.compile("[\u0300-\u036f]")
_REPR = re.compile(r"""[bBuU]?(['"])(.*)\1""", re.DOTALL)
_LONGEST_NAME = 96
# Where the process is, not what it knows. `PWD` is also ODBC's password: see `values.is_folder`.
_ENVIRONMENT = frozenset({"OLDPWD", "SSH_AUTH_SOCK", "XAUTHORITY"})
_CACHE_SIZE = 4096


def bare(name: str) -> str:
    """The name without the quotes that `repr` put around it."""
    found = _REPR.fullmatch(name) if name[-1:] in "'\"" else None
    return found[2] if found else name


def words(name: str) -> list[str]:
    """The lower-case words of a name in any spelling."""
    if not name.isascii():
        # `contraseña` is `contrasena`; the stroke of `hasło` is no mark of its own. What is no accent is put together
        # again: the marks and letters of `パスワード` and `비밀번호` are parts of the writing.
        name = _ACCENTS.sub("", normalize("NFKD", name)).replace("ł", "l").replace("Ł", "L")
        name = normalize("NFC", name)
    return [word.lower() for word in _WORDS.findall(name)]


def squashed(name: str) -> str:
    """The name in one piece: lower case, letters and digits only."""
    return "".join(words(bare(name)))


def _telling(word: str) -> bool:
    """Whether this one word names a secret, alone or run together with others (`dbpassword`)."""
    if word in v.SECRET_WORDS:
        return True
    if len(word) < 6 or word.startswith(v.HARMLESS_STARTS) or word in v.HARMLESS_WORDS:
        return False
    return word.endswith(v.SECRET_ENDS) or any(part in word for part in v.SECRET_PARTS)


def _unit(parts: list[str]) -> tuple[int, int] | None:
    """Where in the words the last telling unit stands: one word or a pair such as (`api`, `key`)."""
    for index in range(len(parts) - 1, -1, -1):
        if index and (parts[index - 1], parts[index]) in v.SECRET_PAIRS:
            return index - 1, index + 1
        if _telling(parts[index]):
            return index, index + 1
    return None


def _judge(parts: list[str]) -> Verdict:
    unit = _unit(parts)
    if unit is None:
        if len(parts) > 1 and parts[-1] in ("key", "keys") and parts[-2] in v.PUBLIC_KEYS:
            return Verdict.PLAIN
        return Verdict.MAYBE if parts[-1] in v.MAYBE_WORDS or parts[-1] in v.MAYBE_LAST else Verdict.PLAIN
    before, core, after = parts[: unit[0]], parts[unit[0] : unit[1]], parts[unit[1] :]
    if after and after[-1].isdigit() and "last" not in after:
        after = after[:-1]
    if core[-1] == "tokens" and before and before[-1] in v.COUNTED:
        return Verdict.PLAIN
    if after:
        return _with_tail(core, after)
    harmless = before and (before[0] in v.HARMLESS_BEFORE or (before[-1], core[-1]) in v.HARMLESS_PAIRS)
    return Verdict.MAYBE if harmless else Verdict.SECRET


def _with_tail(core: list[str], after: list[str]) -> Verdict:
    """What a telling unit with words after it says."""
    if core[-1] in ("auth", "authorization", "authorisation"):
        return Verdict.SECRET if after[-1] in v.AUTH_HEADS else Verdict.PLAIN
    if core == ["pass"] or (core == ["pin"] and after[0] in v.PIN_ELSEWHERE):
        return Verdict.PLAIN
    if core[0] == "card" and after[-1] in ("date", "month", "year"):
        return Verdict.SECRET
    if after[-1] in v.HARMLESS_AFTER or after[0] in v.HARMLESS_NEXT:
        return Verdict.MAYBE
    return Verdict.SECRET


class Names:
    """Judges names, with the user's own added and exempted; remembers its verdicts, at most 4,096 of them.

    `added` and `exempt` may be in any spelling. An added name also counts as a part of a longer one, word by word.
    """

    def __init__(self, added: Iterable[str] = (), exempt: Iterable[str] = ()) -> None:
        self._added = [found for found in (words(bare(name)) for name in added) if found]
        self._added_squashed = {"".join(name) for name in self._added}
        self._exempt = {squashed(name) for name in exempt if "." not in name}
        self._known: dict[str, Verdict] = {}

    def verdict(self, name: str) -> Verdict:
        """What the value under this name is."""
        if len(name) > _LONGEST_NAME:
            return Verdict.PLAIN
        known = self._known.get(name)
        if known is None:
            if len(self._known) >= _CACHE_SIZE:
                self._known.clear()
            known = self._known[name] = self._decide(name)
        return known

    def is_exempt(self, name: str) -> bool:
        """Whether the user exempted this very name."""
        return bool(self._exempt) and squashed(name) in self._exempt

    def _decide(self, name: str) -> Verdict:
        parts = words(bare(name))
        if not parts:
            return Verdict.PLAIN
        if name in _ENVIRONMENT:
            return Verdict.PLAIN
        one = "".join(parts)
        if one in self._exempt:
            return Verdict.PLAIN
        if one in self._added_squashed or any(_contains(parts, added) for added in self._added):
            return Verdict.SECRET
        if parts[-1] in ("cookie", "cookies") and (
            len(parts) == 1 or parts[-2] in ("http", "set", "request", "header")
        ):
            return Verdict.COOKIES
        verdict = _judge(parts)
        if (
            verdict is Verdict.PLAIN
            and len(parts) > 2
            and name.isalpha()
            and any(part in one for part in v.SECRET_PARTS)
        ):
            return Verdict.SECRET  # `PaSsWoRd`: cut into words that are none
        return verdict


def _contains(parts: list[str], wanted: list[str]) -> bool:
    size = len(wanted)
    return any(parts[start : start + size] == wanted for start in range(len(parts) - size + 1))
