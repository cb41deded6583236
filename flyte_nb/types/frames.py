"""Codec of tables of pandas, pyarrow and polars, stored as datasets (flytekit's structured datasets)."""

# ruff: noqa: D102 - `Codec` documents these methods
import os
from typing import Any, Protocol, cast

from flyte_nb.api import literal_types, literals
from flyte_nb.api.errors import CodecError, FlyteNbError
from flyte_nb.api.literal_types import LiteralType, StructuredDatasetType
from flyte_nb.api.literals import Literal
from flyte_nb.api.ports import DataAccess
from flyte_nb.types.codec import Annotation, Codec, mismatch, no_data, spell
from flyte_nb.types.content import content_hash
from flyte_nb.types.frame_checks import HINT, culprits
from flyte_nb.types.frame_libraries import FILE_NAMES, PARQUET, FrameLibrary, library_of

_NAME = "frame"  # the last part of a dataset's URI, where the store takes the hint


class Downloads(Protocol):
    """The part of a `DataAccess` that reading needs."""

    def download(self, uri: str) -> str:
        """Return a local path with the content of `uri`."""
        ...


class TableCodec(Codec):
    """Codec of a dataset: what the codec of a table and that of `StructuredDataset` share."""

    transformer = "StructuredDataset Transformer"

    def __init__(
        self,
        python_type: Annotation,
        columns: "tuple[tuple[str, LiteralType], ...]" = (),
        arrow_schema: str = "",
        format: str = "",
    ) -> None:
        """Make the codec.

        Args:
            python_type: the table's class.
            columns: name and type of each column to read, in order; empty for all.
            arrow_schema: the declared Arrow schema as text; empty when none was declared.
            format: how the table is stored; empty when the author left it open.
        """
        outside = ("arrow", arrow_schema) if arrow_schema else ("", "")
        self.columns = [name for name, _ in columns]
        """The columns to read; empty for all."""
        # Literals name the format. Types leave it empty, so that they fit datasets of other tasks.
        self.declared = StructuredDatasetType(columns, format, *outside)
        super().__init__(python_type, LiteralType(literal_types.STRUCTURED_DATASET, self.declared))

    def with_shape(
        self,
        columns: "tuple[tuple[str, LiteralType], ...]",
        arrow_schema: str = "",
        format: str = "",
    ) -> "TableCodec":
        """Return a codec of the same type with declared columns, a declared Arrow schema or a format."""
        return type(self)(self.python_type, columns, arrow_schema, format)


class FrameCodec(TableCodec):
    """Codec of one library's tables."""

    def __init__(
        self,
        python_type: Annotation,
        columns: "tuple[tuple[str, LiteralType], ...]" = (),
        arrow_schema: str = "",
        format: str = "",
    ) -> None:
        """Make the codec; see `TableCodec`.

        Raises:
            CodecError: when tables cannot be stored in the declared format.
        """
        if format and format not in FILE_NAMES:
            raise CodecError(
                f"Tables are stored as {' or '.join(FILE_NAMES)}, not as {format}.",
                hint="Write one of these, or leave the format out.",
            )
        super().__init__(python_type, columns, arrow_schema, format)
        self._library = known_library(python_type)
        self.imports = self._library.imports

    def encode(self, value: object, data: "DataAccess | None") -> Literal:
        """Store the table as a folder with one file; return its dataset.

        Raises:
            CodecError: when the value is no such table, lacks a declared column, or cannot be written
                without a change.
        """
        literal_by: Any = getattr(value, "literal_by", None)
        if literal_by is not None:  # a StructuredDataset, which knows frames; frames do not know it
            return cast(Literal, literal_by(self, data))
        if not isinstance(value, self.python_type):
            raise mismatch(self, value)
        return stored(value, self, data)

    def decode(self, literal: Literal, data: "DataAccess | None") -> object:
        """Return the table in the literal's dataset, with the declared columns only.

        Raises:
            CodecError: when the literal is no dataset, has another format, or cannot be read.
        """
        if literal.kind != literals.STRUCTURED_DATASET:
            return super().decode(literal, data)
        if data is None:
            raise no_data(self)
        uri, dataset = literal.value
        # The columns of this task's annotation come first; without any, those that the writer declared count.
        columns = self.columns or [name for name, _ in dataset.columns]
        return opened(self.python_type, uri, dataset.format, columns, data)

    def accepts_exactly(self, value: object) -> bool:
        return isinstance(value, self.python_type)


def stored(
    table: object, codec: TableCodec, data: "DataAccess | None", *, format: str = "", uri: str = ""
) -> Literal:
    """Store a table of any known library; return its dataset.

    Args:
        table: the table; it is not changed.
        codec: has the declared columns, schema and format.
        data: stores the file.
        format: what the author of the value wants where nothing is declared.
        uri: where to store it; the store chooses a place when it is empty.

    Raises:
        CodecError: when the table lacks a declared column, or cannot be written without a change.
        NeedsStore: when there is no store.
    """
    library = known_library(type(table))
    # Checked before the table is written, because writing a large one takes long.
    _check_columns(table, library, codec.columns)
    if data is None:
        raise no_data(codec)
    # The annotation comes before the value, as a reader of the type relies on what it says.
    kind = codec.declared._replace(format=codec.declared.format or format or PARQUET)
    if kind.format not in FILE_NAMES:
        raise _unknown_format(kind.format, uri)
    # As in flytekit, a dataset is a folder, even when it has one file only.
    folder = data.scratch()
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, FILE_NAMES[kind.format])
    try:
        library.write(table, path, kind.format)
    except FlyteNbError:
        raise
    except ImportError as error:
        raise _no_library(type(table), kind.format) from error
    except OSError as error:
        if error.errno is not None:  # the disk is at fault, not the table
            raise
        raise _unwritable(table, kind.format, error) from error
    except Exception as error:  # each library has its own errors
        raise _unwritable(table, kind.format, error) from error
    # The name is constant, so that equal frames get equal URIs where the content decides them.
    place = data.upload(folder, name=_NAME, uri=uri) if uri else data.upload(folder, name=_NAME)
    return Literal(literals.STRUCTURED_DATASET, (place, kind), content_hash(path, data))


def opened(
    table_type: type, uri: str, format: str, columns: "list[str]", data: Downloads
) -> object:
    """Return the dataset at `uri` as a table.

    Args:
        table_type: a class of tables of a known library.
        uri: the dataset's place.
        format: how it is stored; empty means parquet.
        columns: the columns to read, in order; empty for all.
        data: downloads the dataset.

    Raises:
        CodecError: when the format is unknown, or the dataset cannot be read or lacks a column.
    """
    library = known_library(table_type)
    format = format or PARQUET
    if format not in FILE_NAMES:
        raise _unknown_format(format, uri)
    path = data.download(uri)
    try:
        table: object = library.read(path, format, columns or None)
        # pyarrow leaves out missing columns without an error.
        _check_columns(table, library, columns)
    except FlyteNbError:
        raise
    except ImportError as error:
        raise _no_library(table_type, format) from error
    except Exception as error:  # each library has its own errors
        raise _unreadable(uri, format, error) from error
    return table


def known_library(table_type: Annotation) -> FrameLibrary:
    """Return the library of a class of tables.

    Raises:
        CodecError: when it is of no known library.
    """
    library = library_of(table_type)
    if library is None:
        raise CodecError(
            f"{spell(table_type)} is no table.",
            hint="Write pandas.DataFrame, pyarrow.Table, polars.DataFrame or polars.LazyFrame.",
        )
    return library


def _check_columns(table: object, library: FrameLibrary, wanted: "list[str]") -> None:
    if not wanted:
        return
    has = library.names(table)
    # `a.b` is the field b of the column a.
    missing = [name for name in wanted if name not in has and name.partition(".")[0] not in has]
    if missing:
        raise CodecError(
            f"The {spell(type(table))} lacks the declared columns {', '.join(missing)};"
            f" it has: {', '.join(map(str, has)) or 'none'}.",
            hint="Add them, or take them out of the annotation.",
        )


def _unwritable(table: object, format: str, error: Exception) -> CodecError:
    held = culprits(table) if format == PARQUET else ""
    return CodecError(
        f"The {spell(type(table))} cannot be written as {format}: {held or str(error).rstrip('.')}.",
        hint=HINT,
    )


def _unreadable(uri: str, format: str, error: Exception) -> CodecError:
    return CodecError(f"The dataset at {uri} cannot be read as {format}: {error}.")


def _unknown_format(format: str, uri: str) -> CodecError:
    place = f" at {uri}" if uri else ""
    return CodecError(
        f"The dataset{place} has the format {format}; {' and '.join(FILE_NAMES)} can be read"
        " and written here.",
        hint="Store it in one of these formats, or take it as a FlyteFile.",
    )


def _no_library(python_type: object, format: str) -> CodecError:
    return CodecError(
        f"{spell(python_type)} travels as {format}, and no library here can read and write it.",
        hint="Install pyarrow.",
    )
