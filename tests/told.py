"""What an event tells, without the source lines of the tests themselves."""

from typing import Any

_SOURCE = frozenset({"pre_context", "context_line", "post_context"})


def told(node: Any) -> str:
    """All keys and values of an event, one after the other."""
    if isinstance(node, dict):
        return "\n".join(f"{key}: {told(value)}" for key, value in node.items() if key not in _SOURCE)
    if isinstance(node, list):
        return "\n".join(map(told, node))
    return str(node)
