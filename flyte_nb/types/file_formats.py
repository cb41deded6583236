"""The format in `FlyteFile["csv"]`, and names for the usual ones."""

from collections.abc import Callable
from types import GenericAlias
from typing import Any, TypeVar


class FileFormat:
    """The format in `FlyteFile["csv"]`.

    It is an object, because `typing.get_type_hints` takes text in that place for a forward reference.
    """

    __slots__ = ("name",)

    # The version of a task that names a format contains this class's module and name.
    __module__ = "flyte_nb.types.files"

    def __init__(self, name: str) -> None:
        self.name = name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FileFormat) and other.name == self.name

    def __hash__(self) -> int:
        return hash((FileFormat, self.name))

    def __repr__(self) -> str:
        return repr(self.name)

    def __reduce__(self) -> Any:
        return FileFormat, (self.name,)


class Formatted(GenericAlias):
    """`FlyteFile["csv"]`, which answers `extension()` as flytekit's does."""

    def __getattribute__(self, name: str) -> Any:
        # An alias passes every other name on to its class, which knows no format.
        if name == "extension":
            format = super().__getattribute__("__args__")[0].name
            return lambda: format
        return super().__getattribute__(name)

    def __reduce__(self) -> Any:
        # Pickled as the plain alias, so that fingerprints of code that names a format stay what they were.
        return GenericAlias, (self.__origin__, self.__args__)


class Extension:
    """The method `extension()` of a class of files and of its objects: the format, or an empty text."""

    def __get__(self, value: object, owner: type) -> "Callable[[], str]":
        # An object that was made by FlyteFile["csv"] knows it.
        arguments = getattr(getattr(value, "__orig_class__", None), "__args__", ())
        format = str(arguments[0].name) if arguments else ""
        return lambda: format


class FileExt:
    """A format that a type checker accepts: `FlyteFile[Annotated[str, FileExt("tar.gz")]]`.

    Args:
        ext: the format.
    """

    def __init__(self, ext: str) -> None:
        self._ext = ext

    def __str__(self) -> str:
        return self._ext

    def __repr__(self) -> str:
        return self._ext


def named_format(format: Any) -> str:
    """Return the format that an author wrote in brackets; empty for any format.

    Raises:
        TypeError: when it is no text.
    """
    beside = getattr(format, "__metadata__", ())
    format = str(beside[0]) if beside else format
    if isinstance(format, TypeVar):  # TypeVar("csv"), as older programs write it
        format = format.__name__
    if not isinstance(format, str):
        raise TypeError(f"[{format!r}]: write the format as text, e.g. 'csv'.")
    return format.strip().lstrip("~").lstrip(".")
