"""FlyteSchema, Flyte's older type of a table. New code writes `StructuredDataset`, or the table's own type.

It is a folder of parquet files. A task writes tables into one, or returns a table, and reads tables of it.
"""

import os
import typing
from collections.abc import Iterator
from importlib import import_module
from types import GenericAlias
from typing import TYPE_CHECKING, Any

from flyte_nb.api import literal_types, literals
from flyte_nb.api.errors import CodecError, UsageError
from flyte_nb.api.literal_types import LiteralType, StructuredDatasetType
from flyte_nb.api.literals import Literal
from flyte_nb.api.ports import DataAccess
from flyte_nb.types import ambient
from flyte_nb.types.codec import Annotation, Codec, Table, no_data
from flyte_nb.types.frame_columns import shape_of
from flyte_nb.types.frame_libraries import PARQUET, files_of
from flyte_nb.types.frames import TableCodec, known_library, opened, stored

if TYPE_CHECKING:
    from flyte_nb.types.lookup import CodecLookup


class SchemaColumns:
    """The columns in `FlyteSchema[kwtypes(age=int)]`, as a type's parameter."""

    def __init__(self, columns: "dict[str, Any]") -> None:
        self.columns = columns

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SchemaColumns) and other.columns == self.columns

    def __hash__(self) -> int:
        return hash(tuple(self.columns))

    def __repr__(self) -> str:
        return repr(self.columns)


class FlyteSchema:
    """A table as a folder of parquet files.

    Args:
        local_path: the folder; a new one when it is missing.
        remote_path: where it is stored, or shall be stored.
    """

    def __init__(self, local_path: "str | None" = None, remote_path: "str | None" = None) -> None:
        self._local_path = local_path
        self.remote_path = remote_path
        self._stored: Literal | None = None
        self._columns: list[str] = []
        self._data: DataAccess | None = None
        self._written = 0

    def __class_getitem__(cls, columns: Annotation) -> Annotation:
        if isinstance(columns, tuple) and len(columns) == 1:
            columns = columns[0]
        if isinstance(columns, dict):
            columns = SchemaColumns(columns)
        if not isinstance(columns, SchemaColumns):
            raise TypeError("FlyteSchema[…]: write the columns as kwtypes(name=type, …).")
        return GenericAlias(cls, (columns,))

    @property
    def local_path(self) -> str:
        """The folder on this machine; a stored one is downloaded at the first use.

        Raises:
            CodecError: when there is no store.
        """
        if self._local_path is None:
            if self._stored is not None:
                data = self._data or ambient.data_access()
                if data is None:
                    raise CodecError(f"{self.remote_path} can only be read where there is a store.")
                self._local_path = data.download(str(self.remote_path))
            else:
                folder = ambient.current_context().working_directory
                self._local_path = os.path.join(folder, os.urandom(8).hex())
                os.makedirs(self._local_path)
        return self._local_path

    def open(self, dataframe_fmt: Annotation = None, override_mode: object = None) -> "FlyteSchema":
        """Choose the table's class, by default pandas.DataFrame; then `all`, `iter` or `write`."""
        self._opened_as = dataframe_fmt or import_module("pandas").DataFrame
        known_library(self._opened_as)
        return self

    def all(self) -> Table:
        """Return the whole table.

        Raises:
            CodecError: when it is empty, or cannot be read.
        """
        path = self.local_path
        return opened(self._chosen(), path, PARQUET, self._columns, _Here())

    def iter(self) -> "Iterator[Table]":
        """Yield the table of each file."""
        for file in files_of(self.local_path):
            yield opened(self._chosen(), file, PARQUET, self._columns, _Here())

    def write(self, *tables: Table) -> None:
        """Write each table to a file of its own.

        Raises:
            UsageError: when the schema is stored already.
            CodecError: when a table cannot be written.
        """
        if self._stored is not None:
            raise UsageError("The schema is stored already; write into a new FlyteSchema().")
        for table in tables:
            path = os.path.join(self.local_path, f"{self._written:05}")
            known_library(type(table)).write(table, path, PARQUET)
            self._written += 1

    def _chosen(self) -> Annotation:
        return getattr(self, "_opened_as", None) or import_module("pandas").DataFrame

    def __repr__(self) -> str:
        return f"FlyteSchema({self.remote_path or self._local_path or ''!r})"

    def __getstate__(self) -> "dict[str, Any]":
        # Another process has neither the downloaded copy nor the connection to a store.
        kept = None if self._stored is not None else self._local_path
        return {**self.__dict__, "_data": None, "_local_path": kept}


class _Here:
    """Reads what is on this machine's disk already."""

    def download(self, uri: str) -> str:
        """Return the path, which is `uri` itself."""
        return uri


class SchemaCodec(Codec):
    """Codec of FlyteSchema."""

    transformer = "FlyteSchema Transformer"
    imports = ("pyarrow",)

    def __init__(
        self, python_type: Annotation, columns: "tuple[tuple[str, LiteralType], ...]"
    ) -> None:
        self._declared = StructuredDatasetType(columns)
        super().__init__(python_type, LiteralType(literal_types.SCHEMA, self._declared))

    def encode(self, value: object, data: "DataAccess | None") -> Literal:
        """Store the schema's folder, or a table of a known library.

        Raises:
            CodecError: when the value is neither, or cannot be stored.
            NeedsStore: when there is no store.
        """
        if isinstance(value, FlyteSchema):
            if value._stored is not None:
                return value._stored
            if data is None:
                raise no_data(self)
            wanted = value.remote_path
            uri = data.upload(
                value.local_path, name="schema", **({"uri": wanted} if wanted else {})
            )
        else:
            columns = self._declared.columns
            uri = stored(value, TableCodec(type(value), columns), data).value[0]
        return Literal(literals.SCHEMA, (uri, self._declared))

    def decode(self, literal: Literal, data: "DataAccess | None") -> object:
        """Return the schema; its files are downloaded when it is opened.

        Raises:
            CodecError: when the literal is neither a schema nor a structured dataset.
        """
        if literal.kind not in (literals.SCHEMA, literals.STRUCTURED_DATASET):
            return super().decode(literal, data)
        uri, dataset = literal.value
        made = FlyteSchema(remote_path=uri)
        made._stored = Literal(literals.SCHEMA, (uri, dataset._replace(format="")))
        made._columns = [name for name, _ in self._declared.columns or dataset.columns]
        made._data = data
        return made


def schema_codec(python_type: Annotation, registry: "CodecLookup") -> Codec:
    """Return the codec of `FlyteSchema` or `FlyteSchema[kwtypes(…)]`.

    Raises:
        CodecError: when a column has a type that schemas do not have.
    """
    arguments = typing.get_args(python_type)
    shape = shape_of([arguments[0].columns], registry) if arguments else None
    return SchemaCodec(python_type, shape.columns if shape is not None else ())
