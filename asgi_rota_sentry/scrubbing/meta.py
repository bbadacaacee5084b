"""`_meta`, where the SDK notes what it shortened or removed: kept in step with what was scrubbed.

Its tree mirrors the event's, with an entry under the empty name where there is something to say
(https://develop.sentry.dev/sdk/data-model/event-payloads/types/#_meta).
"""

from typing import Any

from asgi_rota_sentry.scrubbing.changes import Change

_REMOVED = {"": {"rem": [["!config", "s"]]}}


def updated(meta: Any, changes: Any, made: dict[int, Any] | None = None) -> Any:
    """A copy of `_meta` in which each removed value is marked so, and no entry speaks of a text as it was before.

    Returns None where there is nothing to say. Equal parts of an event share one tree of changes and one entry; `made`
    has those so far.
    """
    made = {} if made is None else made
    if isinstance(changes, Change):
        return _REMOVED if changes.whole else None
    if not isinstance(meta, dict):
        meta = {}
    if not changes:
        return meta or None
    if not meta and id(changes) in made:
        return made[id(changes)]
    result = {key: inner for key, inner in meta.items() if key == ""}
    for key, inner in meta.items():
        if key and (key not in changes and not (key.isdigit() and int(key) in changes)):
            result[key] = inner
    for key, inner in changes.items():
        entry = updated(meta.get(str(key)), inner, made)
        if entry is not None:
            result[str(key)] = entry
    if not meta:
        made[id(changes)] = result or None
    return result or None
