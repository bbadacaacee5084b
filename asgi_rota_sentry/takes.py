"""What the fields of `Settings` may be given as, where that is more than what they are afterwards: for type checkers.

They take a field for a descriptor, whose `__set__` says what the constructor takes and whose `__get__` says what is
read (https://typing.python.org/en/latest/spec/dataclasses.html#descriptor-typed-field-support). When the program runs,
there is none: an annotation is then just the type that is read.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from asgi_rota_sentry.values import Network

if TYPE_CHECKING:
    _Given_contra = TypeVar("_Given_contra", contravariant=True)
    _Read_co = TypeVar("_Read_co", covariant=True)

    class _Field(Generic[_Given_contra, _Read_co]):
        def __set__(self, instance: object, value: _Given_contra) -> None: ...

        def __get__(self, instance: object | None, owner: type) -> _Read_co: ...

else:

    class _Field:
        def __class_getitem__(cls, types: tuple[Any, Any]) -> Any:
            return types[1]


Names = _Field[str | Iterable[str], tuple[str, ...]]
Networks = _Field[str | Iterable[str | Network], tuple[Network, ...]]
Limits = _Field[str | Mapping[str, float] | Iterable[str | tuple[str, float]], tuple[tuple[str, float], ...]]
File = _Field[str | Path, str]
Folder = _Field[str | Path | None, str | None]
