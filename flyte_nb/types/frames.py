"""Codecs of pandas DataFrames and pyarrow Tables, stored as parquet (flytekit's structured datasets).

Both libraries are optional: they are imported inside the methods, which only run where the user's code
uses them.
"""

# ruff: noqa: D102 - `Codec` documents these methods
import os
from importlib import import_module
from typing import Any

from flyte_nb.api import literal_types, literals
from flyte_nb.api.errors import CodecError
from flyte_nb.api.literal_types import LiteralType, StructuredDatasetType
from flyte_nb.api.literals import Literal
from flyte_nb.api.ports import DataAccess
from flyte_nb.types.codec import Annotation, Codec, mismatch, no_data, spell
from flyte_nb.types.content import content_hash
from flyte_nb.types.frame_checks import HINT, check, culprits

_PARQUET = "parquet"
_ARROWS = (ValueError, TypeError, ArithmeticError, NotImplementedError, KeyError)
"""The built-in classes that pyarrow's exceptions derive from; they can be named without importing it."""
_NAME = "frame"  # the last part of a dataset's URI, where the store takes the hint
_PART = "00000"  # A dataset is a folder with one file, which flytekit gives this name.


class FrameCodec(Codec):
    """Codec of a table. A subclass reads and writes the tables of one library."""

    transformer = "StructuredDataset Transformer"
    imports = ("pyarrow",)

    def __init__(
        self,
        python_type: Annotation,
        columns: "tuple[tuple[str, LiteralType], ...]" = (),
        arrow_schema: str = "",
    ) -> None:
        """Make the codec.

        Args:
            python_type: the table's class.
            columns: name and type of each column to read, in order; empty for all.
            arrow_schema: the declared Arrow schema as text; empty when none was declared.
        """
        outside = ("arrow", arrow_schema) if arrow_schema else ("", "")
        self._columns = [name for name, _ in columns]
        # Literals name the format. Types leave it empty, so that they fit datasets of other tasks.
        self._stored = StructuredDatasetType(columns, _PARQUET, *outside)
        declared = StructuredDatasetType(columns, "", *outside)
        super().__init__(python_type, LiteralType(literal_types.STRUCTURED_DATASET, declared))

    def write(self, value: Any, path: str) -> None:
        """Write the table to a new file at `path`."""
        raise NotImplementedError

    def read(self, path: str, columns: "list[str] | None") -> Any:
        """Return the table in the file, or in the files of the folder, at `path`.

        Args:
            path: a local path.
            columns: the columns to read; `None` for all.
        """
        raise NotImplementedError

    def names(self, value: Any) -> "list[Any]":
        """Return the names of the table's columns."""
        raise NotImplementedError

    def encode(self, value: object, data: "DataAccess | None") -> Literal:
        """Store the table as a folder with one parquet file; return its dataset.

        Raises:
            CodecError: when the value is no such table, lacks a declared column, or cannot be written as
                parquet without a change.
        """
        if not isinstance(value, self.python_type):
            raise mismatch(self, value)
        self._check_columns(self.names(value) if self._columns else [])
        if data is None:
            raise no_data(self)
        folder = data.scratch()
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, _PART)
        try:
            self.write(value, path)
        except ImportError as error:
            raise _no_parquet(self.python_type) from error
        except _ARROWS as error:
            said = culprits(value) or str(error).rstrip(".")
            raise CodecError(
                f"The {spell(self.python_type)} cannot be written as parquet: {said}.", hint=HINT
            ) from error
        # The name is constant, so that equal frames get equal URIs where the content decides them.
        uri = data.upload(folder, name=_NAME)
        return Literal(literals.STRUCTURED_DATASET, (uri, self._stored), content_hash(path, data))

    def decode(self, literal: Literal, data: "DataAccess | None") -> object:
        """Return the table in the literal's dataset, with the declared columns only.

        Raises:
            CodecError: when the literal is no dataset, is not parquet, or cannot be read.
        """
        if literal.kind != literals.STRUCTURED_DATASET:
            return super().decode(literal, data)
        if data is None:
            raise no_data(self)
        uri, dataset = literal.value
        if dataset.format not in ("", _PARQUET):
            raise CodecError(
                f"The dataset at {uri} is stored as {dataset.format}, and only parquet can be read here.",
                hint="Store it as parquet, or take it as a FlyteFile.",
            )
        path = data.download(uri)
        try:
            return self.read(path, self._columns or None)
        except ImportError as error:
            raise _no_parquet(self.python_type) from error
        except (*_ARROWS, OSError) as error:
            raise CodecError(f"The dataset at {uri} cannot be read as parquet: {error}.") from error

    def with_shape(
        self, columns: "tuple[tuple[str, LiteralType], ...]", arrow_schema: str = ""
    ) -> "FrameCodec":
        """Return a codec of the same type with declared columns or a declared Arrow schema."""
        return type(self)(self.python_type, columns, arrow_schema)

    def _check_columns(self, has: "list[Any]") -> None:
        missing = [name for name in self._columns if name not in has]
        if missing:
            raise CodecError(
                f"The {spell(self.python_type)} lacks the declared columns {', '.join(missing)};"
                f" it has: {', '.join(map(str, has)) or 'none'}.",
                hint="Add them, or take them out of the annotation.",
            )

    def accepts_exactly(self, value: object) -> bool:
        return isinstance(value, self.python_type)


class PandasCodec(FrameCodec):
    """Codec of pandas.DataFrame."""

    def write(self, value: Any, path: str) -> None:
        check(value)
        value.to_parquet(path)

    def names(self, value: Any) -> "list[Any]":
        return list(value.columns)

    def read(self, path: str, columns: "list[str] | None") -> Any:
        import pandas

        return pandas.read_parquet(path, columns=columns)


class ArrowCodec(FrameCodec):
    """Codec of pyarrow.Table."""

    def write(self, value: Any, path: str) -> None:
        parquet: Any = import_module("pyarrow.parquet")
        parquet.write_table(value, path)

    def names(self, value: Any) -> "list[Any]":
        return list(value.column_names)

    def read(self, path: str, columns: "list[str] | None") -> Any:
        parquet: Any = import_module("pyarrow.parquet")
        table = parquet.read_table(path, columns=columns)
        if columns is not None:  # pyarrow leaves out missing columns without an error
            self._check_columns(table.column_names)
        return table


def _no_parquet(python_type: object) -> CodecError:
    return CodecError(
        f"{spell(python_type)} travels as parquet, and no library here can write it.",
        hint="Install pyarrow.",
    )
