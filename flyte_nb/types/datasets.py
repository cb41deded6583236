"""StructuredDataset: a table whose library, and whether it is read at all, the task decides when it runs."""

# ruff: noqa: D102 - `Codec` documents these methods
import os
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from flyte_nb.api import literals
from flyte_nb.api.errors import CodecError, FlyteNbError, UsageError
from flyte_nb.api.literal_types import StructuredDatasetType
from flyte_nb.api.literals import Literal
from flyte_nb.api.ports import DataAccess
from flyte_nb.types.ambient import data_access
from flyte_nb.types.codec import Annotation, JsonSchema, Table, mismatch, no_data, spell
from flyte_nb.types.frame_libraries import PARQUET
from flyte_nb.types.frames import TableCodec, known_library, opened, stored


class StructuredDataset:
    """A table: of a library where a task made it, or stored somewhere.

    A task returns `StructuredDataset(dataframe=frame)`, and may say where and how it is stored. A task that
    takes one reads it as the library's table that it wants, and only when it wants it:
    `dataset.open(pandas.DataFrame).all()`, or `.iter()` in parts.

    Args:
        dataframe: a table of pandas, pyarrow or polars.
        uri: where it is stored, or where it shall be stored.
        metadata: unused; flytekit's programs pass it.
        file_format: `parquet` or `csv`; what the annotation says comes before.
    """

    def __init__(
        self,
        dataframe: object = None,
        uri: "str | None" = None,
        metadata: object = None,
        file_format: str = "",
    ) -> None:
        self._dataframe = dataframe
        self.uri = uri
        self.file_format = file_format
        self._metadata = metadata
        self._stored: Literal | None = None
        """The dataset that this value came from, which is passed on as it is."""
        self._columns: list[str] = []
        self._data: DataAccess | None = None
        self._opened_as: Annotation = None

    @property
    def dataframe(self) -> Table:
        """The table that was given; `None` for a dataset that is stored."""
        return self._dataframe

    @property
    def metadata(self) -> object:
        """The type of the stored dataset, with its columns and format; `None` before it is stored."""
        return self._stored.value[1] if self._stored is not None else self._metadata

    @property
    def literal(self) -> "Literal | None":
        """The dataset as Flyte's value; `None` before it is stored."""
        return self._stored

    @property
    def column_names(self) -> "list[str]":
        """The columns that reading gives; empty when all are read."""
        return list(self._columns)

    def open(self, dataframe_type: Annotation) -> "StructuredDataset":
        """Choose the library's class in which `all` and `iter` give the table; nothing is read yet.

        Raises:
            CodecError: when it is no class of tables.
        """
        known_library(dataframe_type)
        self._opened_as = dataframe_type
        return self

    def all(self) -> Table:
        """Return the whole table.

        Raises:
            UsageError: when `open` did not choose a class before.
            CodecError: when the dataset cannot be read.
        """
        chosen = self._chosen()
        if self._dataframe is not None:
            return self._given(chosen)
        uri, format, data = self._place()
        return opened(chosen, uri, format, self._columns, data)

    def iter(self) -> "Iterator[Table]":
        """Yield the table in parts, so that the whole is never in memory.

        Raises:
            UsageError: when `open` did not choose a class before.
            CodecError: when the dataset cannot be read.
        """
        chosen = self._chosen()
        if self._dataframe is not None:
            yield self._given(chosen)
            return
        uri, format, data = self._place()
        # Only memory is saved: the whole dataset is on this machine's disk before the first part is read.
        parts = known_library(chosen).batches(data.download(uri), format, self._columns or None)
        try:
            yield from parts
        except FlyteNbError:
            raise
        except Exception as error:  # each library has its own errors
            raise CodecError(
                f"The dataset at {uri} cannot be read as {format}: {error}."
            ) from error

    def literal_by(self, codec: TableCodec, data: "DataAccess | None") -> Literal:
        """Return the dataset as Flyte's value, after storing its table where that was not done yet.

        Args:
            codec: has the declared columns, schema and format.
            data: stores files.

        Raises:
            CodecError: when it is empty, or cannot be stored.
            NeedsStore: when it has to be stored, and there is no store.
        """
        # Passing a dataset on must not copy it, and the literal keeps its columns and format.
        if self._stored is not None:
            return self._stored
        if self._dataframe is not None:
            return stored(self._dataframe, codec, data, format=self.file_format, uri=self.uri or "")
        if not self.uri:
            raise CodecError("The dataset is empty.", hint="Give it a dataframe or a uri.")
        uri = self.uri
        if "://" not in uri:
            if not os.path.exists(uri):
                raise CodecError(f"There is no dataset at {uri!r}.", hint="Write a URI or a path.")
            if data is None:
                raise no_data(codec)
            # `normpath` drops a slash at the end, behind which `basename` would find no name.
            uri = data.upload(os.path.abspath(uri), name=os.path.basename(os.path.normpath(uri)))
        format = codec.declared.format or self.file_format
        return Literal(literals.STRUCTURED_DATASET, (uri, codec.declared._replace(format=format)))

    def _chosen(self) -> Annotation:
        if self._opened_as is None:
            raise UsageError("Say first which table you want: .open(pandas.DataFrame).all()")
        return self._opened_as

    def _given(self, chosen: type) -> object:
        if isinstance(self._dataframe, chosen):
            return self._dataframe
        raise CodecError(
            f"The dataset holds a {spell(type(self._dataframe))} that is not stored yet.",
            hint=f"Open it as that, or pass it to a task, which can open it as {spell(chosen)}.",
        )

    def _place(self) -> "tuple[str, str, DataAccess]":
        if not self.uri:
            raise UsageError("The dataset is empty: give it a dataframe or a uri.")
        data = self._data or data_access()
        if data is None:
            raise CodecError(
                f"{self.uri} can only be read where there is a store.", hint="Read it in a task."
            )
        return self.uri, self.file_format or PARQUET, data

    def __repr__(self) -> str:
        held = "" if self._dataframe is None else f"dataframe=<{spell(type(self._dataframe))}>"
        parts = [
            held,
            f"uri={self.uri!r}" if self.uri else "",
            f"file_format={self.file_format!r}" if self.file_format else "",
        ]
        return f"StructuredDataset({', '.join(filter(None, parts))})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, StructuredDataset):
            return NotImplemented
        # Tables are compared by identity: their own `==` compares cell by cell.
        return self._dataframe is other._dataframe and (self.uri, self.file_format) == (
            other.uri,
            other.file_format,
        )

    def __hash__(self) -> int:
        # A pandas table has no hash, so its identity takes part, as in `__eq__`.
        return hash((id(self._dataframe), self.uri, self.file_format))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: object) -> Any:
        """Return how pydantic checks and writes a field of this type; see `file_fields.py`."""
        return import_module("flyte_nb.types.file_fields").field_schema(cls)

    def __getstate__(self) -> "dict[str, Any]":
        # Another process has no connection to the store.
        return {**self.__dict__, "_data": None}


class DatasetCodec(TableCodec):
    """Codec of StructuredDataset."""

    packs = True

    def encode(self, value: object, data: "DataAccess | None") -> Literal:
        """Store the dataset's table, unless it is stored already.

        Raises:
            CodecError: when the value is no StructuredDataset, or its table cannot be stored.
            NeedsStore: when it has to be stored, and there is no store.
        """
        if not isinstance(value, StructuredDataset):
            raise mismatch(self, value)
        return value.literal_by(self, data)

    def decode(self, literal: Literal, data: "DataAccess | None") -> object:
        """Return the dataset; its table is read when the task asks for it.

        Raises:
            CodecError: when the literal is no dataset.
        """
        if literal.kind != literals.STRUCTURED_DATASET:
            return super().decode(literal, data)
        uri, dataset = literal.value
        made = StructuredDataset(uri=uri, file_format=dataset.format)
        # The literal is kept, so that a task which only passes the dataset on never reads it.
        made._stored = literal
        made._columns = self.columns or [name for name, _ in dataset.columns]
        made._data = data
        return made

    def pack(self, value: object, data: "DataAccess | None") -> object:
        uri, dataset = self.encode(value, data).value
        return {"uri": uri, "file_format": dataset.format}

    def unpack(self, plain: object, data: "DataAccess | None") -> object:
        if not isinstance(plain, dict) or not isinstance(plain.get("uri"), str):
            raise mismatch(self, plain)
        kind = StructuredDatasetType(format=plain.get("file_format") or "")
        return self.decode(Literal(literals.STRUCTURED_DATASET, (plain["uri"], kind)), data)

    def schema(self) -> JsonSchema:
        text = [{"type": "string"}, {"type": "null"}]
        return {
            "type": "object",
            "title": "StructuredDataset",
            "properties": {
                "uri": {"anyOf": text, "default": None},
                "file_format": {"anyOf": text, "default": ""},
            },
            "additionalProperties": False,
        }
