"""Public classes that an author writes beside a type in `typing.Annotated`. Names are flytekit's."""

from collections.abc import Callable
from typing import Any

from flyte_nb.api.errors import UsageError


class HashMethod:
    """Computes the hash that stands for a value in cache keys.

    Two values with equal hashes count as the same input: `Annotated[pd.DataFrame, HashMethod(digest)]`.

    Args:
        function: takes a value and returns its hash as text.

    Raises:
        UsageError: when `function` is not callable.
    """

    def __init__(self, function: "Callable[[Any], str]") -> None:
        if not callable(function):
            raise UsageError(f"HashMethod({function!r}) needs a function from the value to text.")
        self._function = function

    def calculate(self, obj: object) -> str:
        """Return the hash of `obj`."""
        return self._function(obj)


class FlyteAnnotation:
    """Adds free data to a type: `Annotated[int, FlyteAnnotation({"unit": "m"})]`.

    Args:
        data: JSON data; it becomes `LiteralType.annotation`.

    Raises:
        UsageError: when `data` is not a dict.
    """

    def __init__(self, data: "dict[str, Any]") -> None:
        if not isinstance(data, dict):
            raise UsageError(f"FlyteAnnotation({data!r}) needs a dict, e.g. {{'unit': 'm'}}.")
        self.data = data


def kwtypes(**columns: Any) -> "dict[str, Any]":
    """Return the types of a table's columns by name, to stand beside the table's type.

    Write `Annotated[pd.DataFrame, kwtypes(age=int)]`.
    """
    return columns


class BatchSize:
    """How many files of a folder flytekit copies at a time: `Annotated[FlyteDirectory, BatchSize(10)]`.

    It has no effect here, because files are copied one by one and none is in memory.

    Args:
        val: the number of files.
    """

    def __init__(self, val: int) -> None:
        self.val = val
