"""Passwords on command lines whose options say so to no one but their program."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from asgi_rota_sentry.scrubbing.keys import bare
from asgi_rota_sentry.scrubbing.spans import Span
from asgi_rota_sentry.scrubbing.values import is_trivial

# Between two arguments, of which there may be some more, and before the last one.
_NEXT = r"""(?:["']?,?\s{1,4}["']?)"""
_MORE = rf"""(?:{_NEXT}[^\s"'|;&]{{1,128}}+){{0,12}}?{_NEXT}"""
_LAST = rf"""{_NEXT}([^\s"'-][^\s"']{{0,511}})"""
# In a line for the shell, or as `subprocess` shows its list: `['mysqldump', '-p…']`.
_FORMS = {
    "curl": re.compile(
        r"""(?<![^\s"'])(?:-u|--user|-U|--proxy-user)(?:[ =]|["'],\s?)?["']?[^\s:"']{1,128}:([^\s"']{1,512})"""
    ),
    "sshpass": re.compile(r"""sshpass(?:\s{1,4}|["'],\s?["'])-p(?:["'],\s?|\s{0,4})["']?([^\s"']{1,512})"""),
    "mysql": re.compile(r"""(?<![^\s"'])-p([^\s"']{3,512})"""),
    "mariadb": re.compile(r"""(?<![^\s"'])-p([^\s"']{3,512})"""),
    "redis-cli": re.compile(f"redis-cli{_MORE}-a{_LAST}"),
    "login": re.compile(rf"(?:docker|podman|nerdctl|az|oc|cf){_NEXT}login{_MORE}-p{_LAST}"),
    "mongo": re.compile(rf"mongo(?:sh|dump|restore|export|import)?{_MORE}-p{_LAST}"),
    "ldap": re.compile(rf"ldap[a-z]{{3,10}}{_MORE}-w{_LAST}"),
    "7z": re.compile(rf"""7z{_MORE}-p([^\s"']{{1,512}})"""),
    "zip": re.compile(rf"zip{_MORE}-P{_LAST}"),
    "smbclient": re.compile(rf"""smbclient{_MORE}-U{_NEXT}[^\s"'%]{{1,128}}%([^\s"']{{1,512}})"""),
}
_BY_NEXT = ("sshpass", "redis-cli", "login", "mongo", "ldap", "zip")
_FIRST_ARGUMENTS, _MOST_ARGUMENTS, _LONGEST_ARGUMENT = 8, 32, 128


def is_password_option(argument: str, arguments: Sequence[Any]) -> bool:
    """Whether the argument is a password in a list such as `["mysqldump", "-u", "root", "-p…"]`."""
    return len(argument) > 4 and any(
        "mysql" in str(one) or "mariadb" in str(one) for one in arguments[:_FIRST_ARGUMENTS]
    )


def asks_for_password(index: int, arguments: Sequence[Any]) -> bool:
    """Whether a password follows the argument at `index` in a list such as `["redis-cli", "-a", "…"]`."""
    if index > _MOST_ARGUMENTS or bare(arguments[index]) not in ("-p", "-a", "-w", "-P"):
        return False
    line = " ".join([bare(str(one)[:_LONGEST_ARGUMENT]) for one in arguments[: index + 1]] + ["x"])
    return any(
        found.end(1) == len(line) for program in _BY_NEXT if program in line for found in _FORMS[program].finditer(line)
    )


def find(text: str, low: str) -> Iterator[Span]:
    """Each such password, `low` being the text in lower case."""
    for program, form in _FORMS.items():
        if program in low:
            for found in form.finditer(text):
                if not is_trivial(found[1]):
                    yield Span(found.start(1), found.end(1), f"an option of {program}")
