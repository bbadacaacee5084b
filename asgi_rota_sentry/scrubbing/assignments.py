"""Names and values inside a text: `password=…`, `"password": "…"`, headers, query strings, reprs, options, XML, forms.

The text is searched for the stems of telling names; what stands around a stem is read with bounded look-back and each
value is read once, so the time is linear in the text.
"""

import re
from collections.abc import Iterable, Iterator
from urllib.parse import unquote

from asgi_rota_sentry.scrubbing import places, values
from asgi_rota_sentry.scrubbing.cookies import cookie_spans
from asgi_rota_sentry.scrubbing.keys import Names, Verdict
from asgi_rota_sentry.scrubbing.randomness import looks_random
from asgi_rota_sentry.scrubbing.spans import Span
from asgi_rota_sentry.scrubbing.vocabulary import SECRET_PAIRS, word_set

_STEMS = word_set(
    """
    pass pwd psw secret token key auth cred sess csrf xsrf cookie jwt pin otp cvv cvc cvn csc ssn nino iban card acc
    sid sig code number bearer insurance national identity tax routing aba sort bic bsb pan licen nonce salt ticket
    challenge verifier mnemonic phrase seed remember pw psk kennwort geheim zugangsdaten clave mdp sekret cyfrin
    contrase motdepasse senha wachtwoord heslo lozinka salasana losenord lösenord haslo hasla hasł jelsz parola
    adgangskode kodeord sifre şifre пароль 密码 密碼 パスワード 비밀번호 tin rsa hmac
    aadha cpf cnpj dni pesel tfn bsn nric curp
    personnummer fiscale magic assertion social swift connect bank cc link cert blob answer maiden holder captcha
    saml citizen gov nummer private medic nhs
    """
)
_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.$")
_REST_OF_NAME = re.compile(r"[\w\-.$]*+")
_LOOK_BACK = 64
_ESCAPES = frozenset("bfnrtv")
# The end of what a URL makes of a sign, its `%` aside: of `%3Fpin` the name is `pin`, and so of `%253Fpin`.
_ESCAPED_SIGN = re.compile(r"(?:25){0,4}[0-9A-Fa-f]{2}")
# A letter beyond ASCII in a URL or a form (RFC 3986), in the repr of bytes, and in JSON: `contrase%C3%B1a`,
# `contrase\xc3\xb1a`, `contrase\u00f1a`.
_BYTE = r"(?:%|\\{1,8}x)"
_LETTER = rf"(?:{_BYTE}[C-Fc-f][0-9A-Fa-f](?:{_BYTE}[89ABab][0-9A-Fa-f]){{1,3}}|\\{{1,8}}u(?!00[0-7])[0-9a-fA-F]{{4}})"
_ESCAPED_LETTER = re.compile(_LETTER)
_REST_OF_ESCAPED = re.compile(rf"(?:[\w\-.$]|{_LETTER})*+")
_IN_BYTES = re.compile(r"\\+x")
_IN_JSON = re.compile(r"\\+u([0-9a-fA-F]{4})")
# What may stand between a name and its value: a closing quote or bracket (also escaped for a URL, a page or JSON), then
# the sign.
_SIGN = re.compile(
    r"""(?P<closed>\\{0,8}["'`]|%22|%27|&quot;|&\#(?:3[49]|x2[27]);|\\{1,4}u002[27])?(?:\]|%5[Dd]){0,2}
        (?:(?:\[[0-9]{0,4}\]|%5[Bb][0-9]{0,4}%5[Dd])(?==\S|%3[Dd]))?(?:\\{0,8}["'])?(?:\s(?:is|was))?\s{0,8}
        (?P<sign>=>|:=|==?=?|!=|->|→
            |::(?=\s(?:[\w+/]{4})*+(?:[\w+/]{2}==|[\w+/]{3}=)?(?:[\s\\]|$))  # LDIF (RFC 2849): Base64 follows
            |:(?!/|:\s)|\uff1a|%3[AaDd]|%25?3[AaDd]|&\#61;|&equals;|&\#x3[DdAa];)(?:\s|%20){0,8}""",
    re.VERBOSE,
)
_SAID = re.compile(r"""(?:\s(?:is|was|to|of|value|for|set)){0,2}\s["'`(]?(?=[^\s])""", re.IGNORECASE)
_LAST_WORD = re.compile(r"[a-z]{1,20}(?=$)")
_NUMERIC = re.compile(r"pin|otp|cvv|cvc|ssn|nino|code|number|insurance|\bno$", re.IGNORECASE)
_LOGIN = re.compile(r"login\s{1,4}\S{1,64}\s{1,4}$")
_QUOTED = re.compile(r"""\s{1,2}(["'`])([^"'`\n]{1,256})\1""")
# `could not log in with password hunter2`, but not `the password sha256`.
_GIVEN = re.compile(r"\b(?:with|using|wrong|invalid|incorrect|temporary|temp|initial|default|new) $", re.IGNORECASE)
_PASSWORD = re.compile(r"password|passwd|passphrase|pwd|passwort|kennwort", re.IGNORECASE)
_ADDRESS_OR_ID = re.compile(r"[^@]+@[\w-]+\.[\w.-]+|.*[#:/=(].*")
_DIGITS = re.compile(r"[A-Za-z]{0,2}[0-9][0-9 -]{1,10}[0-9][A-Za-z]?(?![\w:.])")
_WORD = re.compile(r"""[^\s"'`<>,;)\]}]+""")


def _continues(low: str, start: int, end: int) -> bool:
    """Whether the word at `start` and the one before it name a secret together: `api key`, `one-time code`."""
    if start < 3 or low[start - 1] != " ":
        return False
    before = _LAST_WORD.search(low, max(0, start - 24), start - 1)
    if before is None:
        return False
    word, here = before[0], low[start:end]
    escaped = low[before.start() - 1 : before.start()] == "\\"
    return (word, here) in SECRET_PAIRS or (escaped and (word[1:], here) in SECRET_PAIRS)


def _behind_escape(text: str, start: int) -> int:
    """Where the name at `start` begins, if its first characters end an escape.

    In a repr a new line is `\\n`: of `\\npin` the name is `pin`.
    """
    before = text[start - 1] if start else ""
    if before == "\\" and text[start] in _ESCAPES:
        return start + 1
    escaped = _ESCAPED_SIGN.match(text, start) if before == "%" else None
    return escaped.end() if escaped else start


def _any_of(stems: Iterable[str]) -> re.Pattern[str]:
    """A pattern for any of these, with one branch for each first letter, which takes a fifth of the time."""
    rests: dict[str, list[str]] = {}
    for stem in sorted(filter(None, stems)):
        rests.setdefault(stem[0], []).append(re.escape(stem[1:]))
    return re.compile("|".join(f"{re.escape(first)}(?:{'|'.join(rest)})" for first, rest in rests.items()))


def _unescaped(name: str) -> str:
    """The name with its letters as they were before they were escaped."""
    return _IN_JSON.sub(lambda found: chr(int(found[1], 16)), unquote(_IN_BYTES.sub("%", name)))


class Assignments:
    """Finds the values that stand beside telling names in a text, with the user's names."""

    def __init__(self, names: Names, extra_stems: tuple[str, ...] = ()) -> None:
        self._names = names
        self._stems = _any_of(_STEMS.union(extra_stems))

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
            verdict = self._verdict(text, low, start, stop)
            if (begin := _behind_escape(text, start)) > start:
                behind = self._verdict(text, low, begin, stop)
                verdict, start = (behind, begin) if behind >= verdict else (verdict, start)
            if verdict is Verdict.PLAIN:
                continue
            name = text[start:stop].strip("-.$")
            value = _beside(text, start, stop, verdict, source=source)
            if value is not None:
                yield from self._judged(text, value, verdict, name)
                if verdict is not Verdict.MAYBE:
                    position = max(position, value.end)  # each value is read once
            elif not source and verdict is Verdict.SECRET:
                for span in _said(text, start, stop, f"beside {name!r}"):
                    yield span
                    position = max(position, span.end)

    def find_escaped(self, text: str) -> Iterator[Span]:
        """The same for names in which letters are escaped; of the text no part is read twice."""
        position = 0
        while found := _ESCAPED_LETTER.search(text, position):
            start = found.start()
            while start > position and found.start() - start < _LOOK_BACK and text[start - 1] in _NAME_CHARACTERS:
                start -= 1
            rest = _REST_OF_ESCAPED.match(text, found.end())
            position = end = rest.end() if rest else found.end()
            name = _unescaped(text[start:end].lstrip("-.$"))
            if self._names.verdict(name) is not Verdict.SECRET:
                continue
            value = _beside(text, start, end, Verdict.SECRET, source=False)
            if value is not None:
                yield from self._judged(text, value, Verdict.SECRET, name)
                position = max(position, value.end)

    def _verdict(self, text: str, low: str, start: int, stop: int) -> Verdict:
        verdict = self._names.verdict(text[start:stop].lstrip("-.$"))
        return Verdict.SECRET if verdict is not Verdict.SECRET and _continues(low, start, stop) else verdict

    def _judged(self, text: str, found: values.Value, verdict: Verdict, name: str) -> Iterator[Span]:
        value = text[found.start : found.end]
        if values.is_trivial(value) or values.is_said(value):
            return
        if values.is_count(name, value) or values.is_folder(name, value):
            return
        if verdict is Verdict.COOKIES:
            yield from cookie_spans(text, found.start, found.end, self._names)
        elif verdict is Verdict.SECRET or looks_random(value, hexadecimal="sig" in name.lower()):
            yield Span(found.start, found.end, f"beside {name!r}")


def _beside(text: str, start: int, end: int, verdict: Verdict, *, source: bool) -> values.Value | None:
    """The value beside the name at `start` to `end`, when there is one."""
    sign = _SIGN.match(text, end)
    if sign and sign["sign"] in (":", "::") and text[max(0, start - 1)] == ":":
        return None  # the parts of an ARN or a URN
    if sign and sign["sign"] != "!=":
        source = source and not (start and text[start - 1] in "?&")  # code, but for a URL in it
        if verdict is Verdict.MAYBE:
            return values.read_random(text, sign.end(), source=source)
        if verdict is Verdict.COOKIES and not sign["closed"] and not source:
            return values.read_line(text, sign.end())
        return values.read(text, sign.end(), sign=sign["sign"], closed=bool(sign["closed"]), source=source)
    if sign or source or verdict is Verdict.MAYBE:
        return None
    return places.find(text, start, end)


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
    elif (
        ("=" not in plain and (values.is_mixed(plain) or (claimed and values.is_cryptic(plain))))
        or (said[0] == " " and _is_given(text, start, end, plain))
        or _LOGIN.search(text, max(0, start - 80), start)  # a line of .netrc
    ):
        yield Span(word.start(), word.start() + len(plain), reason)


def _is_given(text: str, start: int, end: int, word: str) -> bool:
    """Whether the word after the name is a password that somebody gave: `with password …`, `wrong password …`."""
    if not values.is_cryptic(word) or _ADDRESS_OR_ID.fullmatch(word):
        return False
    return bool(_PASSWORD.fullmatch(text, start, end) and _GIVEN.search(text, max(0, start - 16), start))
