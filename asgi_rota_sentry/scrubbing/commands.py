"""Passwords on command lines whose options say so to no one but their program."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from asgi_rota_sentry.scrubbing.spans import Span
from asgi_rota_sentry.scrubbing.values import is_trivial

# In a line for the shell, or as `subprocess` shows its list: `['mysqldump', '-p…']`.
_FORMS = {
    "curl": re.compile(
        r"""(?<![^\s"'])(?:-u|--user|-U|--proxy-user)(?:[ =]|["'],\s?)?["']?[^\s:"']{1,128}:([^\s"']{1,512})"""
    ),
    "sshpass": re.compile(r"""sshpass(?:\s{1,4}|["'],\s?["'])-p(?:["'],\s?|\s{0,4})["']?([^\s"']{1,512})"""),
    "mysql": re.compile(r"""(?<![^\s"'])-p([^\s"']{3,512})"""),
    "mariadb": re.compile(r"""(?<![^\s"'])-p([^\s"']{3,512})"""),
}
_FIRST_ARGUMENTS = 8


def is_password_option(argument: str, arguments: Sequence[Any]) -> bool:
    """Whether the argument is a password in a list such as `["mysqldump", "-u", "root", "-p…"]`."""
    return len(argument) > 4 and any(
        "mysql" in str(one) or "mariadb" in str(one) for one in arguments[:_FIRST_ARGUMENTS]
    )


def find(text: str, low: str) -> Iterator[Span]:
    """Each such password, `low` being the text in lower case."""
    for program, form in _FORMS.items():
        if program in low:
            for found in form.finditer(text):
                if not is_trivial(found[1]):
                    yield Span(found.start(1), found.end(1), f"an option of {program}")
