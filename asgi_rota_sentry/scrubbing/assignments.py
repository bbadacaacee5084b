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
            for span in self._beside(text, start, stop, verdict, source=source):
                yield span
                position = max(position, span.end)

    def _beside(self, text: str, start: int, end: int, verdict: Verdict, *, source: bool) -> Iterator[Span]:
        """The value beside the name at `start` to `end`, when there is one."""
        reason = f"beside {text[start:end].strip('-.$')!r}"
        sign = _SIGN.match(text, end)
        if sign:
            if sign["sign"] == "!=":
                return
            source = source and not (start and text[start - 1] in "?&")  # code, but for a URL in it
            if verdict is Verdict.COOKIES and not sign["closed"] and not source:
                found: values.Value | None = values.read_line(text, sign.end())
            else:
                found = values.read(text, sign.end(), sign=sign["sign"], closed=bool(sign["closed"]), source=source)
            yield from self._judged(text, found, verdict, reason)
            return
        if source:
            return
        for form, begins in ((_TUPLE, "([b"), (_OPTION, "-")):
            other = form.match(text, end)
            if other and self._opens(text, start, begins):
                found = (
                    values.read_word(text, other.end())
                    if form is _OPTION
                    else values.read(text, other.end(), sign=",", closed=True, source=False)
                )
                yield from self._judged(text, found, verdict, reason)
                return
        xml = _XML.match(text, end) if start and text[start - 1] in "<:" else None
        if xml:
            stop = text.find("<", xml.end())
            yield from self._judged(text, values.Value(xml.end(), stop if stop >= 0 else len(text)), verdict, reason)
            return
        multipart = _MULTIPART.match(text, end) if text[max(0, start - 6) : start - 1].lower() == "name=" else None
        if multipart:
            closing = _MULTIPART_END.search(text, multipart.end())
            stop = closing.start() if closing else len(text)
            yield from self._judged(text, values.Value(multipart.end(), stop), verdict, reason)
            return
        yield from self._said(text, start, end, verdict, reason)

    @staticmethod
    def _opens(text: str, start: int, begins: str) -> bool:
        """Whether the name at `start` begins an option (`--password x`) or a pair (`('password', …`)."""
        if begins == "-":
            return text.startswith("--", max(0, start - 2)) or text.startswith("--", start)
        position = start - 1
        while position > 0 and text[position] in "\\\"'bBuU":
            position -= 1
        return position < start - 1 and text[max(position, 0)] in "(["

    def _judged(self, text: str, found: values.Value | None, verdict: Verdict, reason: str) -> Iterator[Span]:
        if found is None:
            return
        value = text[found.start : found.end]
        if values.is_trivial(value) or values.is_count(reason[:-1], value):
            return
        if verdict is Verdict.COOKIES:
            yield from cookie_spans(text, found.start, found.end, self._names)
        elif verdict is Verdict.SECRET or looks_random(
            text[found.start : found.end], hexadecimal="sig" in reason.lower()
        ):
            yield Span(found.start, found.end, reason)

    @staticmethod
    def _said(text: str, start: int, end: int, verdict: Verdict, reason: str) -> Iterator[Span]:
        """`the password is hunter2`, `PASSWORD 'hunter2'`: a word soon after that no person would write as prose."""
        strong = verdict is Verdict.SECRET
        quoted = _QUOTED.match(text, end) if strong else None
        if quoted:
            if not values.is_trivial(quoted[2]) and (text[start:end].isupper() or values.is_cryptic(quoted[2])):
                yield Span(quoted.start(2), quoted.end(2), reason)
            return
        said = _SAID.match(text, end)
        word = _WORD.match(text, said.end()) if said else None
        if said is None or word is None or not strong or values.is_trivial(word[0]):
            return
        plain = word[0].rstrip(".:!?")
        claimed = any(verb in said[0].lower() for verb in (" is", " was"))
        digits = _DIGITS.match(text, said.end())
        if digits and (claimed or _NUMERIC.search(text[start:end])):
            yield Span(digits.start(), digits.end(), reason)
        elif claimed and "=" not in plain and values.is_cryptic(plain):
            yield Span(word.start(), word.start() + len(plain), reason)
