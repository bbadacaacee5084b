"""`_meta`, where the SDK notes what it shortened or removed: kept in step with what was scrubbed.

Its tree mirrors the event's, with an entry under the empty name where there is something to say
(https://develop.sentry.dev/sdk/data-model/event-payloads/types/#_meta).
"""

from typing import Any

from asgi_rota_sentry.scrubbing.changes import Change


def of_cuts(changes: Any) -> Any:
    """What the SDK would say of the texts that were cut; None where none was.

    A part that stands in several places is told of in the first, or what is made of lists in lists would have no end.
    """
    return _of_cuts(changes, set())


def _of_cuts(changes: Any, told: set[int]) -> Any:
    if isinstance(changes, Change):
        return {"": {"len": changes.length, "rem": [["!limit", "x"]]}} if changes.length else None
    if not changes or id(changes) in told:
        return None
    told.add(id(changes))
    inner = {str(key): _of_cuts(inner, told) for key, inner in changes.items()}
    return {key: found for key, found in inner.items() if found is not None} or None


def without(meta: Any, changes: Any) -> Any:
    """The part of `_meta` that still holds: what it said of a text that was changed since is left out.

    Its positions and lengths would be wrong, and a name in it may be the secret. None where nothing is left.
    """
    if not isinstance(meta, dict) or isinstance(changes, Change):
        return None
    if not changes:
        return meta
    by_name = {str(key): inner for key, inner in changes.items()}
    kept = {key: without(inner, by_name[key]) if key in by_name else inner for key, inner in meta.items()}
    return {key: inner for key, inner in kept.items() if inner is not None} or None
