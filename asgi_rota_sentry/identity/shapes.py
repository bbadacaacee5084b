"""Reading objects of unknown make by their shape, without ever causing a query.

What an ORM has not loaded stays unloaded: Django's deferred fields and relations (their class attributes know whether
the instance has a value cached), SQLAlchemy's instrumented attributes (absent from the instance's own dictionary).
"""

from collections.abc import Iterable, Mapping
from enum import Enum
from inspect import getattr_static
from typing import Any

LONGEST = 200
MOST = 20
_PRINTED_TYPES = frozenset({"UUID", "ObjectId", "ULID", "Decimal"})


def unwrapped(user: Any) -> Any:
    """The object itself behind a lazy stand-in (Django's SimpleLazyObject, Channels' own); None if not loaded.

    Looks at the instance's dictionary only: any other access, `isinstance` included, would load it.
    """
    if user is None or "_wrapped" not in getattr(user, "__dict__", {}):
        return user
    wrapped = user.__dict__["_wrapped"]
    return None if wrapped is None or type(wrapped) is object else wrapped


def get(source: Any, name: str) -> Any:
    """One attribute or key; None where it is missing, fails, or would have to be loaded first."""
    if source is None:
        return None
    if isinstance(source, Mapping):
        return source.get(name)
    if not _is_loaded(source, name):
        return None
    try:
        return unwrapped(getattr(source, name, None))
    except Exception:
        return None


def _is_loaded(source: Any, name: str) -> bool:
    descriptor = getattr_static(type(source), name, None)
    if descriptor is None:
        return True
    if type(descriptor).__module__.startswith("sqlalchemy."):
        return name in getattr(source, "__dict__", {})
    is_cached = getattr(descriptor, "is_cached", None)
    if is_cached is not None:  # a relation of a Django model
        return bool(is_cached(source))
    field = getattr(descriptor, "field", None)
    column = getattr(field, "attname", None)
    return column is None or column in getattr(source, "__dict__", {}) or not hasattr(source, "get_deferred_fields")


def text(value: Any) -> str | None:
    """A short text of a plain value, an enum or an object with a name; None for anything else."""
    if isinstance(value, Enum):
        value = value.value if isinstance(value.value, str) else value.name
    if isinstance(value, str):
        return value.strip()[:LONGEST] or None
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, int) or type(value).__name__ in _PRINTED_TYPES:
        return str(value)[:LONGEST]
    name = get(value, "name")
    return name[:LONGEST] if isinstance(name, str) and name else None


def first(source: Any, *names: str) -> str | None:
    """The first of these attributes that has a text."""
    for name in names:
        found = text(get(source, name))
        if found:
            return found
    return None


def texts(source: Any, name: str) -> list[str]:
    """The texts of a list under this name, at most twenty of its members.

    A manager or query set is not iterated, since that would make a query; what was prefetched is read.
    """
    values = _prefetched(source, name)
    if values is None:
        values = get(source, name)
    if isinstance(values, str):
        values = values.replace(",", " ").split()  # as OAuth 2.0 writes scopes (RFC 6749, section 3.3)
    if not isinstance(values, list | tuple | set | frozenset):
        return []
    ordered: Iterable[Any] = values if isinstance(values, list | tuple) else sorted(values, key=str)
    return [found for found in (text(value) for value in list(ordered)[:MOST]) if found]


def _prefetched(source: Any, name: str) -> Any:
    """What Django's `prefetch_related` has loaded of a many-to-many relation; None when it has not."""
    if isinstance(source, Mapping):
        return None
    cached = getattr(source, "__dict__", {}).get("_prefetched_objects_cache")
    found = cached.get(name) if isinstance(cached, Mapping) else None
    return getattr(found, "_result_cache", None)
