"""Choose a Python type for a Flyte type, for interfaces that were fetched and have no annotations.

Imports inside the functions are of optional libraries, or of codecs' modules that only one kind needs.
"""

import datetime
import sys
import typing
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from flyte_nb.api import literal_types
from flyte_nb.api.errors import CodecError
from flyte_nb.api.literal_types import MULTIPART, LiteralType, describe

_SIMPLE: "dict[str, Any]" = {
    literal_types.NONE: type(None),
    literal_types.INTEGER: int,
    literal_types.FLOAT: float,
    literal_types.STRING: str,
    literal_types.BOOLEAN: bool,
    literal_types.DATETIME: datetime.datetime,
    literal_types.DURATION: datetime.timedelta,
    literal_types.STRUCT: dict,
}


def guess(literal_type: LiteralType) -> Any:
    """Return the Python type whose values best stand for `literal_type`.

    Raises:
        CodecError: when there is none, e.g. for a table where neither pandas nor pyarrow is installed.
    """
    kind, value = literal_type.kind, literal_type.value
    if kind == literal_types.SIMPLE and value == literal_types.ERROR:
        from flyte_nb.types.flyte_error import FlyteError

        return FlyteError
    message = _loaded(str((literal_type.metadata or {}).get("pb_type", "")))
    if message is not None:
        return message
    if kind == literal_types.SIMPLE and value in _SIMPLE:
        choices = (literal_type.annotation or {}).get("literal_values")
        return typing.Literal[tuple(_whole(choices))] if choices else _SIMPLE[value]
    if kind == literal_types.COLLECTION:
        return list[guess(value)]  # type: ignore[misc]  # made at run time
    if kind == literal_types.MAP:
        return dict[str, guess(value)]  # type: ignore[misc]  # made at run time
    if kind == literal_types.UNION:
        return typing.Union[tuple(guess(variant) for variant in value)]  # noqa: UP007
    if kind == literal_types.ENUM:
        import enum

        return enum.Enum("Choice", {name: name for name in value})
    if kind == literal_types.BLOB:
        return _blob(literal_type)
    if kind in (literal_types.STRUCTURED_DATASET, literal_types.SCHEMA):
        return _table()
    raise CodecError(f"There is no Python type for Flyte's {describe(literal_type)}.")


def _blob(literal_type: LiteralType) -> Any:
    from flyte_nb.types.files import FlyteDirectory, FlyteFile

    format, dimensionality = literal_type.value
    if format == "PythonPickle":
        return Any
    if format == "NumpyArray" and find_spec("numpy"):
        import numpy

        return numpy.ndarray
    if (literal_type.metadata or {}).get("format") == "json iterator":
        from flyte_nb.types.iterators import JSON

        return Iterator[JSON]
    found = _loaded(_OBJECTS.get(format, ""))
    if found is not None:
        return found
    made: Any = FlyteDirectory if dimensionality == MULTIPART else FlyteFile
    return made[format] if format else made


_OBJECTS = {
    "PIL.Image": "PIL.Image.Image",
    "PyTorchModule": "torch.nn.modules.module.Module",
    "PyTorchTensor": "torch.Tensor",
    "SklearnEstimator": "sklearn.base.BaseEstimator",
}
"""The class of a library's objects, by the format of their blobs."""


def _loaded(path: str) -> Any:
    """Return the class `module.Name`, or `None` where that module was not imported yet.

    These libraries take long to import. Without them such a value is a file.
    """
    module, _, name = path.rpartition(".")
    return getattr(sys.modules.get(module), name, None)


def _table() -> Any:
    if find_spec("pandas"):
        import pandas

        return pandas.DataFrame
    if find_spec("pyarrow"):
        import pyarrow

        return pyarrow.Table  # type: ignore[attr-defined]  # defined in its compiled part
    raise CodecError("Tables need a library that is not installed.", hint="Install pandas.")


def _whole(choices: "list[Any]") -> "list[Any]":
    """Return whole floats as ints again: google.protobuf.Struct, where choices are kept, has floats only."""
    return [
        int(choice) if isinstance(choice, float) and choice.is_integer() else choice
        for choice in choices
    ]
