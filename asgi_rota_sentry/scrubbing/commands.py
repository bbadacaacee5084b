"""Passwords on command lines whose options say so to no one but their program."""

import re
from collections.abc import Iterator

from asgi_rota_sentry.scrubbing.spans import Span
from asgi_rota_sentry.scrubbing.values import is_trivial

_FORMS = {
    "curl": re.compile(r"""(?<!\S)(?:-u|--user|-U|--proxy-user)[ =]?["']?[^\s:"']{1,128}:([^\s"']{1,512})"""),
    "sshpass": re.compile(r"""sshpass\s{1,4}-p\s{0,4}["']?([^\s"']{1,512})"""),
    "mysql": re.compile(r"""(?<!\S)-p([^\s"']{3,512})"""),
}


def find(text: str, low: str) -> Iterator[Span]:
    """Each such password, `low` being the text in lower case."""
    for program, form in _FORMS.items():
        if program in low:
            for found in form.finditer(text):
                if not is_trivial(found[1]):
                    yield Span(found.start(1), found.end(1), f"an option of {program}")
