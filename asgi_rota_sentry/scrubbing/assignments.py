"""Names and values inside a text: `password=…`, `"password": "…"`, headers, query strings, reprs, options, XML, forms.

The text is searched for the stems of telling names; what stands around a stem is read with bounded look-back and each
value is read once, so the time is linear in the text.
"""

import re
from collections.abc import Iterator

from asgi_rota_sentry.scrubbing import values
from asgi_rota_sentry.scrubbing.cookies import cookie_spans
from asgi_rota_sentry.scrubbing.keys import Names, Verdict
from asgi_rota_sentry.scrubbing.randomness import looks_random
from asgi_rota_sentry.scrubbing.spans import Span
from asgi_rota_sentry.scrubbing.vocabulary import SECRET_PAIRS

_STEMS = re.compile(
    "pass|pwd|psw|secret|token|key|auth|cred|sess|csrf|xsrf|cookie|jwt|pin|otp|cvv|cvc|cvn|csc|ssn|nino|iban|card|"
    "acc|sid|sig|code|number|bearer|insurance|national|identity|tax|routing|aba|sort|bic|bsb|pan|"
    "licen|nonce|salt|ticket|challenge|verifier|mnemonic|phrase|seed|remember|pw|psk|kennwort|contrasena|hmac|aadha|"
    "cpf|bsn|nric|curp|personnummer|fiscale|magic|assertion|social|swift|connect|bank|cc|link|cert|blob"
)
_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.$")
_REST_OF_NAME = re.compile(r"[\w\-.$]*+")
_LOOK_BACK = 64
_BEFORE = 24
# What may stand between a name and its value: a closing quote or bracket (also escaped for a URL), then the sign.
_SIGN = re.compile(
    r"""(?P<closed>\\{0,8}["'`]|%22|%27|&quot;|&\#3[49];)?(?:\]|%5[Dd]){0,2}(?:\\{0,8}["'])?\s{0,8}
        (?P<sign>=>|:=|==?=?|!=|:(?!/)|%3[AaDd]|%25?3[AaDd])\s{0,8}""",
    re.VERBOSE,
)
_TUPLE = re.compile(r"""(?P<quote>\\{0,8}["']),\s{0,2}(?=[bBuU]?\\{0,8}["'])""")
_XML = re.compile(r"(?:\s[^<>]{0,128})?>\s{0,8}(?=[^<\s])")
_MULTIPART = re.compile(
    r"""["'](?:;[^\r\n\\]{0,128})?(?:\r?\n|\\r\\n)(?:[^\r\n\\]{1,128}(?:\r?\n|\\r\\n)){0,3}(?:\r?\n|\\r\\n)"""
)
_MULTIPART_END = re.compile(r"(?:\r?\n|\\r\\n)--|$")
_OPTION = re.compile(r"""["']?,?\s{1,4}["']?(?=[^\s\-"'])""")
_SAID = re.compile(r"""(?:\s(?:is|was|to|of|value|for|set)){0,2}\s["'`(]?(?=[^\s])""", re.IGNORECASE)
_LAST_WORD = re.compile(r"[a-z]{1,20}(?=$)")
_NUMERIC = re.compile(r"pin|otp|cvv|cvc|ssn|code|number|\bno$", re.IGNORECASE)
_QUOTED = re.compile(r"""\s{1,2}(["'])([^"'\n]{1,256})\1""")
_DIGITS = re.compile(r"[0-9][0-9 -]{1,10}[0-9](?![\w:.])")
_WORD = re.compile(r"""[^\s"'`<>,;)\]}]+""")


def _continues(low: str, start: int, end: int) -> bool:
    """Whether the word at `start` and the one before it name a secret together: `api key`, `one-time code`."""
    if start < 3 or low[start - 1] != " ":
        return False
    before = _LAST_WORD.search(low, max(0, start - 24), start - 1)
    return before is not None and (before[0], low[start:end]) in SECRET_PAIRS


class Assignments:
    """Finds the values that stand beside telling names in a text, with the user's names."""

    def __init__(self, names: Names, extra_stems: tuple[str, ...] = ()) -> None:
        self._names = names
        stems = "|".join(re.escape(stem) for stem in extra_stems if stem)
        self._stems = re.compile(f"{_STEMS.pattern}|{stems}") if stems else _STEMS

    def find(self, text: str, low: str, *, source: bool = False) -> Iterator[Span]:
        """Each such value, `low` being the text in lower case; of `source` code only what is quoted."""
        position = 0
        while found := self._stems.search(low, position):
            start = found.start()
            while start > position and found.start() - start < _LOOK_BACK and text[start - 1] in _NAME_CHARACTERS:
                start -= 1
            rest = _REST_OF_NAME.match(text, found.end())
            end = rest.end() if rest else found.end()
            position = max(end, found.end())
            stop = end
            while stop > start and text[stop - 1] in ".-":
                stop -= 1
            verdict = self._names.verdict(text[start:stop].lstrip("-.$"))
            if verdict is not Verdict.SECRET and _continues(low, start, stop):
                verdict = Verdict.SECRET
            if verdict is Verdict.PLAIN:
                continue
            reason = f"beside {text[start:stop].strip('-.$')!r}"
            value = _beside(text, start, stop, verdict, source=source)
            if value is not None:
                yield from self._judged(text, value, verdict, reason)
                if verdict is not Verdict.MAYBE:
                    position = max(position, value.end)  # each value is read once
            elif not source and verdict is Verdict.SECRET:
                for span in _said(text, start, stop, reason):
                    yield span
                    position = max(position, span.end)

    def _judged(self, text: str, found: values.Value, verdict: Verdict, reason: str) -> Iterator[Span]:
        value = text[found.start : found.end]
        if values.is_trivial(value) or values.is_count(reason[:-1], value):
            return
        if verdict is Verdict.COOKIES:
            yield from cookie_spans(text, found.start, found.end, self._names)
        elif verdict is Verdict.SECRET or looks_random(value, hexadecimal="sig" in reason.lower()):
            yield Span(found.start, found.end, reason)


def _beside(text: str, start: int, end: int, verdict: Verdict, *, source: bool) -> values.Value | None:
    """The value beside the name at `start` to `end`, when there is one."""
    sign = _SIGN.match(text, end)
    if sign and sign["sign"] != "!=":
        source = source and not (start and text[start - 1] in "?&")  # code, but for a URL in it
        if verdict is Verdict.MAYBE:
            return values.read_random(text, sign.end(), source=source)
        if verdict is Verdict.COOKIES and not sign["closed"] and not source:
            return values.read_line(text, sign.end())
        return values.read(text, sign.end(), sign=sign["sign"], closed=bool(sign["closed"]), source=source)
    if sign or source or verdict is Verdict.MAYBE:
        return None
    return _in_a_pair(text, start, end) or _in_markup(text, start, end) or _in_a_form(text, start, end)


def _in_a_pair(text: str, start: int, end: int) -> values.Value | None:
    """`('password', 'x')` and `--password x`."""
    pair = _TUPLE.match(text, end)
    if pair and _opens_a_pair(text, start):
        return values.read(text, pair.end(), sign=",", closed=True, source=False)
    option = (
        _OPTION.match(text, end) if text.startswith("--", max(0, start - 2)) or text.startswith("--", start) else None
    )
    return values.read_word(text, option.end()) if option else None


def _opens_a_pair(text: str, start: int) -> bool:
    """Whether the quoted name at `start` is the first thing in brackets."""
    position = start - 1
    while position > 0 and text[position] in "\\\"'bBuU" and start - position < _BEFORE:
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


def _said(text: str, start: int, end: int, reason: str) -> Iterator[Span]:
    """`the password is hunter2`, `PASSWORD 'hunter2'`: a word soon after that no person would write as prose."""
    quoted = _QUOTED.match(text, end)
    if quoted:
        if not values.is_trivial(quoted[2]) and (text[start:end].isupper() or values.is_cryptic(quoted[2])):
            yield Span(quoted.start(2), quoted.end(2), reason)
        return
    said = _SAID.match(text, end)
    word = _WORD.match(text, said.end()) if said else None
    if said is None or word is None or values.is_trivial(word[0]):
        return
    plain = word[0].rstrip(".:!?")
    claimed = any(verb in said[0].lower() for verb in (" is", " was"))
    digits = _DIGITS.match(text, said.end())
    if digits and (claimed or _NUMERIC.search(text[start:end])):
        yield Span(digits.start(), digits.end(), reason)
    elif claimed and "=" not in plain and values.is_cryptic(plain):
        yield Span(word.start(), word.start() + len(plain), reason)
