"""What an author may write beside a type in `typing.Annotated`. Names as in flytekit."""

from collections.abc import Callable
from typing import Any

from flyte_nb.api.errors import UsageError


class HashMethod:
    """Says what counts as equal values for the cache: `Annotated[pd.DataFrame, HashMethod(digest)]`.

    Args:
        function: takes a value and returns its hash, a text.

    Raises:
        UsageError: when it is no function.
    """

    def __init__(self, function: "Callable[[Any], str]") -> None:
        if not callable(function):
            raise UsageError(f"HashMethod({function!r}): give a function of one value.")
        self._function = function

    def calculate(self, obj: Any) -> str:
        """Return the hash of `obj`."""
        return self._function(obj)


class FlyteAnnotation:
    """Free data that travels with a type: `Annotated[int, FlyteAnnotation({"unit": "m"})]`.

    Args:
        data: JSON data, kept in the type's annotation.

    Raises:
        UsageError: when it is no dict.
    """

    def __init__(self, data: "dict[str, Any]") -> None:
        if not isinstance(data, dict):
            raise UsageError(f"FlyteAnnotation({data!r}): write a dict, e.g. {{'unit': 'm'}}.")
        self.data = data


def kwtypes(**columns: Any) -> "dict[str, Any]":
    """Return a dict of column types, as it stands beside a table's type.

    E.g. `Annotated[pd.DataFrame, kwtypes(age=int)]`.
    """
    return columns
