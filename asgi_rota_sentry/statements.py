"""SQL statements without their values, so that the same query is known as the same, and no value is told."""

import re

_LONGEST = 2_000
_SPACE = re.compile(r"\s+")
# A text that is cut off has no end; a number is none inside of a name or of a placeholder (`$1`, `:p1`).
_LITERAL = re.compile(r"'(?:[^'\\]|''|\\.)*+(?:'|\\?$)|(?<![\w$:.@])-?\d+(?:\.\d+)?(?:e-?\d+)?(?!\w)", re.IGNORECASE)
_MARK = r"(?:\?|%s|%\(\w+\)s|\$\d+|:\w+)"
_LIST = re.compile(rf"\({_MARK}(?:, ?{_MARK})+\)")
_NO_QUERY = ("connect", "begin", "commit", "rollback", "savepoint", "release", "start transaction")


def is_query(statement: str) -> bool:
    """Whether this asks the database for something: not a connection, nor the bounds of a transaction."""
    return not statement[:20].lstrip().lower().startswith(_NO_QUERY)


def parametrised(statement: str) -> str:
    """The statement with `?` for each literal and `(...)` for a list of placeholders; at most 2,000 characters."""
    text = _LITERAL.sub("?", _SPACE.sub(" ", statement[:_LONGEST]).strip())
    return _LIST.sub("(...)", text)
