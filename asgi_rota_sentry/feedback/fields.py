"""The fields of feedback: what a client sent in, each checked and made harmless, with what is wrong by name."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from asgi_rota_sentry import values

MOST_CHARACTERS = {"message": 4000, "name": 100, "email": 254, "url": 2000}
"""The longest that each field may be."""
_WRONG = {"message": "fault_again", "name": "fault_name", "email": "fault_email", "url": "fault_again"}
TRAP = "website"
"""A field that no person sees: whoever fills it in is a robot."""

_ID = re.compile(r"[0-9a-f]{32}")
# What must never be shown: controls but line break and tab, half characters, what turns the direction of writing
# (Unicode's UAX #9, "Bidi Control"), byte order marks and characters that are none.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u061c\u202a-\u202e\u2060-\u206f\ufeff\ufff0-\ufffb\ufffe\uffff]"
)
# Wider than what browsers let pass, for addresses that are not all ASCII (RFC 6531), but one plain address only.
_EMAIL = re.compile(r"""[^\s@<>()\[\],;:\\"]+@[\w-]+(\.[\w-]+)*""")
_LINE_BREAKS = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one field, or with the whole when `field` is empty.

    `words` is the key of the text that a visitor reads, `detail` a sentence for a program's developer.
    """

    words: str
    detail: str
    field: str = ""


@dataclass(slots=True)
class Draft:
    """The fields as far as they could be read; `faults` says what is wrong with them, `trapped` that a robot wrote."""

    message: str = ""
    name: str = ""
    email: str = ""
    url: str = ""
    event_id: str | None = None
    trapped: bool = False
    faults: list[Fault] = field(default_factory=list)


def readable(text: str) -> str:
    """The text with plain line breaks and nothing that steers where it is shown; half characters become U+FFFD."""
    return _HIDDEN.sub(lambda found: "\ufffd" if found[0] >= "\ud800" else "", _LINE_BREAKS.sub("\n", text)).strip()


def one_line(text: str) -> str:
    """The same as one line."""
    return " ".join(readable(text).split())


def without_encoded_words(text: str) -> str:
    """The text with nothing in it that a mail library would decode, line breaks included (RFC 2047, section 2)."""
    return text.replace("=?", "= ?")


def event_id_of(text: str) -> str | None:
    """The event ID in the form that Sentry uses, 32 hexadecimal digits; None for what is none."""
    bare = text.strip().replace("-", "").lower()
    return bare if _ID.fullmatch(bare) else None


def read(given: Mapping[str, Any], *, strict: bool) -> Draft:
    """The draft that these fields make.

    `strict` is for programs: fields that a visitor can neither see nor mend (`event_id`, `url`) are then named when
    they are wrong, and otherwise left out.
    """
    draft = Draft(trapped=bool(given.get(TRAP)))
    draft.message = _text(draft, given, "message", "comments")
    draft.name = without_encoded_words(_text(draft, given, "name"))
    draft.email = _text(draft, given, "email")
    draft.url = _text(draft, given, "url")
    if not draft.message and not any(fault.field in ("message", "comments") for fault in draft.faults):
        draft.faults.append(Fault("fault_empty", "Expected a text that is not empty.", "message"))
    if draft.email and not _is_email(draft.email):
        draft.faults.append(Fault("fault_email", "Expected an e-mail address.", "email"))
    if draft.url and not _is_link(draft.url):
        draft.faults.append(Fault("fault_again", "Expected an http(s) URL or a path that begins with /.", "url"))
    event = given.get("event_id")
    if isinstance(event, str):
        draft.event_id = event_id_of(event)
    if event not in (None, "") and draft.event_id is None:
        draft.faults.append(Fault("fault_again", "Expected 32 hexadecimal digits, or nothing.", "event_id"))
    if not strict:
        _leave_out_hidden(draft)
    return draft


def _text(draft: Draft, given: Mapping[str, Any], *names: str) -> str:
    """The first of these fields that says something, cleaned."""
    name = next((name for name in names if given.get(name) not in (None, "")), names[0])
    value = given.get(name)
    if value is None:
        return ""
    kind = names[0]
    if not isinstance(value, str):
        draft.faults.append(Fault(_WRONG[kind], "Expected a text.", name))
        return ""
    text = readable(value) if kind == "message" else one_line(value)
    most = MOST_CHARACTERS[kind]
    if len(text) > most:
        words = "fault_long" if kind == "message" else _WRONG[kind]
        draft.faults.append(Fault(words, f"Expected at most {most} characters; there are {len(text)}.", name))
    return text


def _is_email(text: str) -> bool:
    return "=?" not in text and _EMAIL.fullmatch(text) is not None


def _is_link(text: str) -> bool:
    try:
        return bool(values.link(text))
    except ValueError:
        return False


def _leave_out_hidden(draft: Draft) -> None:
    wrong = {fault.field for fault in draft.faults}
    draft.url = "" if "url" in wrong else draft.url
    draft.faults = [fault for fault in draft.faults if fault.field not in ("url", "event_id")]
