"""Where a value inside a text begins and ends, and whether it is worth hiding at all."""

import re
from typing import NamedTuple

from asgi_rota_sentry.scrubbing.spans import FILTERED
from asgi_rota_sentry.scrubbing.vocabulary import word_set


class Value(NamedTuple):
    """The part `start` to `end` of a text."""

    start: int
    end: int


_QUOTE = re.compile(
    r"""(?:(?:\w{1,32}\.)?Secret\w{0,32}\(\s?)?(?:[bBuUrRfF]{0,2}|[ENX]|_[a-z0-9]{2,8}\s?)(\\{0,8}["'`]|%22|%27|&quot;|&\#(?:3[49]|x2[27]);|\\{1,4}u002[27])"""
)
_YAML_BLOCK = re.compile(r"[|>][+-]?[ \t]{0,4}\r?\n\s{1,32}(?=\S)")
_PLAIN_REST = {
    '"': re.compile(r'(?:[^"\\\n]++|\\.)*+', re.DOTALL),
    "'": re.compile(r"(?:[^'\\\n]++|\\.)*+", re.DOTALL),
    "`": re.compile(r"[^`\n]*+"),
}
# Up to what ends a value without quotes; a comma or a closing bracket only does where something else begins after it.
_UNQUOTED = re.compile(
    r"""(?:[^\s&;"'`<>\\,)\]}%?]++|\\(?![nrt"'])|%(?!26|22|27)|,(?!\s|$|[\w.\-]{1,64}[=:]|["'])|[)\]}](?!$|[\s,.;:)\]}]))*+"""
)
_RANDOM = re.compile(r"[A-Za-z0-9_\-.~+/%]*+={0,2}")
_TO_LINE_END = re.compile(r"""(?:[^\r\n"'\\]++|\\(?![nr"']))*+""")
_SCHEME = re.compile(
    r"(?:basic|bearer|token|digest|negotiate|ntlm|apikey|api-key|hmac|aws4-hmac-sha256|hawk|signature)\s{1,4}",
    re.IGNORECASE,
)
# What follows a scheme with parameters: `Digest username="ada", response="…"` (RFC 9110, section 11.4).
_PARAMETERS = re.compile(
    r"""[\w-]{1,32}=\\{0,8}"[^"\r\n]{0,1024}"
        (?:[ \t]?,[ \t]{0,4}[\w-]{1,32}=(?:\\{0,8}"[^"\r\n]{0,1024}"|[^\s,"'\\]{1,256}))*+""",
    re.VERBOSE,
)
_HARMLESS = re.compile(
    r"""(?:none|null|nil|undefined|true|false|nan|\.{2,}|…|[*•●x]{3,}|[?]|%\(?\w{0,64}\)?s|\$\d{1,3}|:\w{1,64}|\$?\{{1,2}\s?[\w.\-]{0,64}\s?\}{1,2}|\$\([\w\s.\-]{0,64}\)
        |(?!(?:bytearray|deque|frozenset|set|dict_values)\(\W{0,2}b?(?:["'][^"']|[0-9]))  # these show what is in them
            (?-i:[a-z_])[\w.]{0,64}\([^()=]{0,64}\)
        |[A-Z][\w.]{0,64}\((?:['"]?[*]{3,}['"]?)?\)
        |\[(?:filtered|redacted|removed|masked|hidden|secret)[^\[\]]{0,32}\]
        |<(?:[\w .|/\-]{0,64}|[\w.]{1,64}:\s(?:[0-9]{1,9}|[\w.]{1,64}\sobject\s\([0-9]{1,9}\))
            |[\w.]{1,64}\s?(?:\[\]|\{\}|\(\)))>
        |\(?(?:redacted|filtered|hidden|masked|removed)\)?
        |@?p\d{1,2}|\*{1,}|-{1,}|_{1,}|''|"")?""",
    re.IGNORECASE | re.VERBOSE,
)
# `HTTPBasicCredentials(username='ada', password='…')`: an object in the place of a value.
_CALLED = re.compile(r"[A-Za-z_][\w.]{0,64}(?=\()")
_AFTER_CALL = re.compile(r"""[\s,;:.)\]}>&"']|$""")
_LONGEST_CALL = 160
_PLACEHOLDER = re.compile(r"\$?\{{1,2}\s?[\w.\-]{1,64}\s?\}{1,2}|%\(\w{1,64}\)s|\$\([\w\s.\-]{0,64}\)")
_SENTENCE = r"[A-Z][a-z']{0,20}(?: [\w'\u2019-]{1,24},?){1,30}[.!]"
_SENTENCES = re.compile(
    rf"""\[?(?:(?:ErrorDetail\(string=)?["']?{_SENTENCE}["']?(?:, code=["']\w{{1,40}}["']\))?(?:, ?)?){{1,8}}\]?"""
)
# `token = Token.objects.get(…)`: code that came into a message.
_CODE = re.compile(
    r"(?:await )?[A-Za-z_]\w{0,64}(?:\.[A-Za-z_]\w{0,64}){0,8}[(\[]"
    r"|[A-Za-z_]{1,64}(?:\.[A-Za-z_]{1,64}){1,8}(?![^\s,;)])"
)
_TYPE = re.compile(
    r"(?:\w+\.)?(?:Secret|Any|Str|Optional|Union|List|Dict)\w*(?:\[.*)?|\w+(?:Field|Str|Bytes|Column)(?:\(.*)?"
)
_OBJECT = re.compile(
    r"<[\w. ]{1,128} (?:object )?at 0x[0-9a-fA-F]{4,20}>"
    r"|<(?:class|function|module|bound method|property|built-in)\b[^<>]{0,200}>?"
)
_PROSE = word_set(
    """required missing invalid expired incorrect wrong blank empty unknown revoked valid ok failed fail not must is are
    was the this that too cannot should has have been can't please enter no yes a an of for and or to in on at by from
    str int bool float bytes optional any string number dict list object text varchar char integer char(128) unset
    field fields error errors denied forbidden rejected reset changed updated created found mismatch does do did you
    your only may will would could set cleared short long common numeric weak similar provide provided enabled
    disabled hidden redacted masked omitted default unchanged present absent unauthorized malformed bad unsupported
    accepted ensure make use using used when if it its self typing callable type none. successfully success expires
    rotated issued verified unverified pending locked sent generated deleted removed confirmed loaded validated"""
)
_FOLDER = re.compile(r"(?:[/~]|[A-Za-z]:[/\\])[^;]*")
_MOST_PROSE = 24
_LONGEST_HEADER = 2048


def is_trivial(value: str) -> bool:
    """Whether there is nothing to hide: nothing, None, True, a placeholder, or what was hidden before."""
    value = value.strip()
    if len(value) > 256:
        return False
    while len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        value = value[1:-1]
    if value[:2] in ("b'", 'b"') and value[-1:] in "'\"" and len(value) > 2:
        value = value[2:-1]
    return _HARMLESS.fullmatch(value) is not None or (value[:1] == "<" and _OBJECT.fullmatch(value) is not None)


def is_said(value: str) -> bool:
    """Whether the value is a sentence about what the name names: `"password": ["This field is required."]`."""
    return len(value) < 400 and _SENTENCES.fullmatch(value) is not None


def is_count(name: str, value: str) -> bool:
    """Whether the value only counts what the name names: `tokens: 512`."""
    return name.lower().endswith("tokens") and len(value) < 8 and value.isdigit()


def is_folder(name: str, value: str) -> bool:
    """Whether the value is the folder that a shell is in, and not ODBC's `PWD`: `PWD=/srv/rota`."""
    return name == "PWD" and _FOLDER.fullmatch(value) is not None


def is_cryptic(word: str) -> bool:
    """Whether a word of prose is one that only a password is: six characters, letters with digits or signs between."""
    letters = any(character.isalpha() for character in word)
    signs = any(character.isdigit() or character in "!$%^&*#@+=~|" for character in word)
    return len(word) >= 6 and letters and signs


def is_mixed(word: str) -> bool:
    """Whether a word of eight or more characters has small and capital letters and digits, as passwords have."""
    kinds = any(map(str.islower, word)), any(map(str.isupper, word)), any(map(str.isdigit, word))
    return len(word) >= 8 and all(kinds)


def read(text: str, start: int, *, sign: str, closed: bool, source: bool) -> Value | None:
    """The value that begins at `start`, after a `sign` such as `=` or `:`.

    `closed` says that the name stood in quotes, as in JSON; in `source` code only a quoted value counts.
    """
    if text.startswith(FILTERED, start):
        return None
    quote = _QUOTE.match(text, start)
    if quote:
        return Value(quote.end(), closing(text, quote.end(), quote[1]))
    if (
        source
        or _PLACEHOLDER.match(text, start)
        or (sign == "=" and text[start - 1] == " " and _CODE.match(text, start))
    ):
        return None
    if block := _YAML_BLOCK.match(text, start):
        return _unquoted(text, block.end())
    if text[start : start + 1] in ("[", "(", "{"):
        return _bracketed(text, start)
    if called := _called(text, start):
        return called
    if text.startswith("<", start):
        end = text.find(">", start, start + 512)
        return Value(start, end + 1 if end >= 0 else len(text))
    if sign in (":", "%3A", "%3a") and not closed:
        return _header_or_prose(text, start)
    return _unquoted(text, start)


def read_random(text: str, start: int, *, source: bool) -> Value | None:
    """The word at `start`, in quotes or (but for `source` code) without, as far as it may be a random one."""
    quote = _QUOTE.match(text, start)
    if quote is None and source:
        return None
    begin = quote.end() if quote else start
    found = _RANDOM.match(text, begin)
    return Value(begin, found.end()) if found and found.end() > begin else None


def read_line(text: str, start: int) -> Value:
    """The rest of the line at `start`, up to a quote."""
    found = _TO_LINE_END.match(text, start)
    return Value(start, found.end() if found else len(text))


def read_word(text: str, start: int) -> Value | None:
    """The word at `start`, or what stands in quotes there."""
    if text.startswith(FILTERED, start):
        return None
    quote = _QUOTE.match(text, start)
    if quote:
        return Value(quote.end(), closing(text, quote.end(), quote[1]))
    before = text[start - 1 : start]
    return Value(start, closing(text, start, before)) if before in "\"'" and before else _unquoted(text, start)


def closing(text: str, start: int, quote: str) -> int:
    """Where the quoted value that begins at `start` ends; a truncated one ends with the text."""
    rest = _PLAIN_REST.get(quote)
    if rest is not None:
        if text.startswith(quote * 2, start):
            end = text.find(quote * 3, start + 2)
            return end if end >= 0 else len(text)
        found = rest.match(text, start)
        return found.end() if found else len(text)
    end = text.find(quote, start)
    while end > start and quote[0] == "\\" and text[end - 1] == "\\":
        end = text.find(quote, end + 1)
    return end if end >= 0 else len(text)


_BRACKETS = re.compile(r"""[\[({]|[\])}]|[bBuU]?(\\{0,8}["'])""")


def _bracketed(text: str, start: int) -> Value:
    """The bracketed group at `start`."""
    depth, position = 0, start
    while found := _BRACKETS.search(text, position):
        position = found.end()
        if found[1]:
            position = closing(text, position, found[1]) + len(found[1])
        elif found[0] in "[({":
            depth += 1
        else:
            depth -= 1
            if not depth:
                return Value(start, found.end())
    return Value(start, len(text))


def _called(text: str, start: int) -> Value | None:
    """The name at `start` with the brackets behind it, where they are closed and nothing is stuck to them."""
    name = _CALLED.match(text, start)
    if name is None:
        return None
    near = text[start : start + _LONGEST_CALL]
    length = _bracketed(near, name.end() - start).end
    is_whole = near[length - 1] == ")" and _AFTER_CALL.match(text, start + length)
    return Value(start, start + length) if is_whole else None


def _unquoted(text: str, start: int) -> Value | None:
    scheme = _SCHEME.match(text, start)
    begin = scheme.end() if scheme else start
    found = _UNQUOTED.match(text, begin)
    end = found.end() if found else begin
    while end > begin and text[end - 1] in ".,":
        end -= 1
    return Value(start, end) if end > begin else None


def _header_or_prose(text: str, start: int) -> Value | None:
    """After `name:` without quotes: a header's value, a line of YAML, or a sentence, which is left alone."""
    scheme = _SCHEME.match(text, start)
    if scheme and (parameters := _PARAMETERS.match(text, scheme.end())):
        return Value(start, parameters.end())
    if scheme:
        line = _TO_LINE_END.match(text, scheme.end(), scheme.end() + _LONGEST_HEADER)
        stop = line.end() if line else len(text)
        first = _unquoted(text, scheme.end())
        digest = "=" in text[scheme.end() : min(stop, scheme.end() + 200)] and "," in text[scheme.end() : stop]
        return Value(start, stop) if digest else first and Value(start, first.end)
    found = _unquoted(text, start)
    if found is None:
        return None
    word = text[found.start : found.end]
    if len(word) <= _MOST_PROSE and (word.lower().strip("().,!?[]").split("[")[0] in _PROSE or _TYPE.fullmatch(word)):
        return None
    after = text[found.end : found.end + 2]
    if word.isalpha() and after[:1] == " " and after[1:].islower() and (word.istitle() or word.islower()):
        return None
    return found
