"""`_meta`, where the SDK notes what it shortened or removed: kept in step with what was scrubbed.

Its tree mirrors the event's, with an entry under the empty name where there is something to say
(https://develop.sentry.dev/sdk/data-model/event-payloads/types/#_meta).
"""

from collections.abc import Iterable, Mapping
from typing import Any

from asgi_rota_sentry.scrubbing.walk import Path, Removal


def updated(meta: Any, removals: Iterable[Removal]) -> dict[str, Any]:
    """A copy of `_meta` in which each removed value is marked so, and no entry speaks of a text as it was before."""
    result = _copied(meta) if isinstance(meta, Mapping) else {}
    for removal in removals:
        if removal.whole:
            _node(result, removal.path)
            _parent(result, removal.path)[str(removal.path[-1])] = {"": {"rem": [["!config", "s"]]}}
        else:
            _forget(result, removal.path)
    return result


def _copied(node: Mapping[str, Any]) -> dict[str, Any]:
    return {
        str(key): _copied(value) if key != "" and isinstance(value, Mapping) else value
        for key, value in node.items()
        if key == "" or isinstance(value, Mapping)
    }


def _node(tree: dict[str, Any], path: Path) -> dict[str, Any]:
    for part in path:
        tree = tree.setdefault(str(part), {})
    return tree


def _parent(tree: dict[str, Any], path: Path) -> dict[str, Any]:
    return _node(tree, path[:-1])


def _forget(tree: dict[str, Any], path: Path) -> None:
    for part in path[:-1]:
        if str(part) not in tree:
            return
        tree = tree[str(part)]
    tree.pop(str(path[-1]), None)
