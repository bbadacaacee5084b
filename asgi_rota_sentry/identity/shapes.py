"""Reading objects of unknown make by their shape, without ever causing a query.

What an ORM has not loaded stays unloaded: Django's deferred fields and relations (their class attributes know whether
the instance has a value cached), SQLAlchemy's instrumented attributes (absent from the instance's own dictionary).
"""

from collections.abc import Hashable, Iterable, Mapping
from enum import Enum
from functools import lru_cache, partial
from typing import Any

LONGEST = 200
MOST = 20
_SIMPLE = frozenset({type(None), str, int, float, bool, bytes})
_NOTHING: Mapping[str, Any] = {}
# How a value is read where reading it cannot load anything. (The members of an enumeration take ten times as long.)
_KEY, _ATTRIBUTE = object(), object()
# By their own text, as are those made from them (Beanie's `PydanticObjectId`); a `tzinfo` is a time zone.
_PRINTED_TYPES = frozenset({"UUID", "ObjectId", "ULID", "Decimal", "tzinfo"})


def unwrapped(user: Any) -> Any:
    """The object itself behind a lazy stand-in (Django's SimpleLazyObject, Channels' own); None if not loaded.

    Looks at the instance's dictionary only: any other access, `isinstance` included, would load it.
    """
    if type(user) in _SIMPLE or "_wrapped" not in getattr(user, "__dict__", _NOTHING):
        return user
    wrapped = user.__dict__["_wrapped"]
    return None if wrapped is None or type(wrapped) is object else wrapped


def get(source: Any, name: str) -> Any:
    """One attribute or key; None where it is missing, fails, or would have to be loaded first."""
    how = _access(type(source), name)  # type: ignore[arg-type]  # mypy takes a class for unhashable
    try:
        if how is _KEY:
            return source.get(name)
        if how is not _ATTRIBUTE and not how(source):
            return None
        return unwrapped(getattr(source, name, None))
    except Exception:
        return None


def worth_asking(source: Any, names: tuple[str, ...]) -> Iterable[str]:
    """Those of the names that an object can have at all: in its class, or in its own dictionary."""
    in_class = _in_class(type(source), names)  # type: ignore[arg-type]  # as below
    if in_class is None:
        return names
    own = getattr(source, "__dict__", None)
    if not own or own.keys().isdisjoint(names):
        return in_class
    return [name for name in names if name in own or name in in_class]


def are_plain(kind: Hashable, names: tuple[str, ...]) -> bool:
    """Whether these names are attributes of this class's instances that `getattr` may simply ask for."""
    return _plainly_in_class(kind, names) is not None


@lru_cache(maxsize=1024)
def _plainly_in_class(kind: Hashable, names: tuple[str, ...]) -> tuple[str, ...] | None:
    """The names that instances have by their class; None where that does not tell, or `getattr` may not ask."""
    return _in_class(kind, names) if all(_access(kind, name) is _ATTRIBUTE for name in names) else None


@lru_cache(maxsize=1024)
def _in_class(kind: Hashable, names: tuple[str, ...]) -> tuple[str, ...] | None:
    """The names that instances have by their class; None where that does not tell (a mapping, a `__getattr__`)."""
    known = {name for base in getattr(kind, "__mro__", ())[:-1] for name in base.__dict__}
    if _access(kind, "") is _KEY or known & {"__getattr__", "__getattribute__"}:
        return None
    return tuple(name for name in names if name in known)


@lru_cache(maxsize=2048)
def _access(kind: Hashable, name: str) -> Any:
    """How to read this name of an instance of this class; else a function that tells whether it is loaded.

    The attribute is looked up in the classes' own dictionaries, so that no descriptor runs.
    """
    mro: tuple[type, ...] = getattr(kind, "__mro__", ())
    if Mapping in mro or dict in mro or (isinstance(kind, type) and issubclass(kind, Mapping)):
        return _KEY
    descriptor = next((base.__dict__[name] for base in mro if name in base.__dict__), None)
    if type(descriptor).__module__.startswith("sqlalchemy."):
        return partial(_has_own, name)
    if callable(is_cached := getattr(descriptor, "is_cached", None)):  # a relation of a Django model
        return is_cached
    column = getattr(getattr(descriptor, "field", None), "attname", None)
    if isinstance(column, str) and hasattr(kind, "get_deferred_fields"):
        return partial(_has_own, column)
    return _ATTRIBUTE


def _has_own(name: str, source: Any) -> bool:
    return name in getattr(source, "__dict__", _NOTHING)


def text(value: Any) -> str | None:
    """A short text of a plain value, an enum or an object with a name; None for anything else."""
    if type(value) is str:
        return value.strip()[:LONGEST] or None
    if isinstance(value, Enum):
        value = value.value if isinstance(value.value, str) else value.name
    if isinstance(value, str):
        return value.strip()[:LONGEST] or None
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, int) or _is_printed(type(value)):  # type: ignore[arg-type]  # as above
        return str(value)[:LONGEST]
    name = get(value, "name")
    return name[:LONGEST] if isinstance(name, str) and name else None


@lru_cache(maxsize=1024)
def _is_printed(kind: Hashable) -> bool:
    """Whether the text of such a value is what it stands for."""
    return any(base.__name__ in _PRINTED_TYPES for base in getattr(kind, "__mro__", ()))


def first(source: Any, *names: str) -> str | None:
    """The first of these attributes that has a text."""
    kind: Any = type(source)
    in_class = _plainly_in_class(kind, names)
    if in_class is not None:
        return _first_plain(source, names if getattr(source, "__dict__", None) else in_class)
    for name in worth_asking(source, names):
        found = text(get(source, name))
        if found:
            return found
    return None


def _first_plain(source: Any, names: tuple[str, ...]) -> str | None:
    """As `first`, of attributes that may simply be asked for."""
    for name in names:
        try:
            value = getattr(source, name, None)
        except Exception:  # noqa: S112 - a property that fails
            continue
        if type(value) is str:
            found: str | None = value.strip()[:LONGEST]  # as `text`
        else:
            found = None if value is None else text(unwrapped(value))
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
    if isinstance(values, list | tuple):
        return [found for value in values[:MOST] if (found := text(value))]
    # By what they are called: an object's own `__str__` may do anything.
    return sorted(found for value in values if (found := text(value)))[:MOST]


def _prefetched(source: Any, name: str) -> Any:
    """What Django's `prefetch_related` has loaded of a many-to-many relation; None when it has not."""
    if isinstance(source, Mapping):
        return None
    cached = getattr(source, "__dict__", {}).get("_prefetched_objects_cache")
    found = cached.get(name) if isinstance(cached, Mapping) else None
    return getattr(found, "_result_cache", None)
