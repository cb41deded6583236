"""How the tables of pandas, pyarrow and polars are written to files and read from them.

The libraries are optional. They are imported inside the methods, which only run where the user's code uses
them. A dataset is a folder with one file, which flytekit calls `00000` (parquet) or `.csv`; other writers
make several files, or one without a folder, and all are read.
"""

# ruff: noqa: D102 - `FrameLibrary` documents these methods
import os
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from types import ModuleType

from flyte_nb.api.errors import CodecError
from flyte_nb.types import frame_checks
from flyte_nb.types.codec import Table

PARQUET = "parquet"
CSV = "csv"
FILE_NAMES: "Mapping[str, str]" = {PARQUET: "00000", CSV: ".csv"}
"""The name of a dataset's only file, by format."""
ROWS = 1 << 16
"""Rows that `batches` reads at a time."""
LARGE = 64 << 20
"""Bytes of files from which on memory counts more than the speed of a frame."""


class FrameLibrary:
    """One library's tables. A subclass names its functions."""

    imports: "tuple[str, ...]" = ()
    """Modules that reading and writing import besides the table's own."""

    def names(self, table: Table) -> "list[object]":
        """Return the names of the table's columns."""
        raise NotImplementedError

    def write(self, table: Table, path: str, format: str) -> None:
        """Write the table to a new file at `path`."""
        raise NotImplementedError

    def read(self, path: str, format: str, columns: "list[str] | None") -> Table:
        """Return the table in the file, or in the files of the folder, at `path`.

        Args:
            path: a local path.
            format: `parquet` or `csv`.
            columns: the columns to read, in order; `None` for all.
        """
        raise NotImplementedError

    def batches(self, path: str, format: str, columns: "list[str] | None") -> "Iterator[Table]":
        """Yield the table in parts of at most `ROWS` rows, so that the whole is never in memory."""
        raise NotImplementedError


class Pandas(FrameLibrary):
    """pandas.DataFrame."""

    imports = ("pyarrow",)

    def names(self, table: Table) -> "list[object]":
        return list(table.columns)

    def write(self, table: Table, path: str, format: str) -> None:
        if format == PARQUET:
            frame_checks.check(table)
            table.to_parquet(path)
        else:
            frame_checks.check_for_csv(table)
            table.to_csv(path, index=False)

    def read(self, path: str, format: str, columns: "list[str] | None") -> Table:
        pandas = import_module("pandas")
        if format == PARQUET:
            return _read_parquet(pandas, path, columns)
        parts = [pandas.read_csv(file, usecols=columns) for file in files_of(path)]
        table = parts[0] if len(parts) == 1 else pandas.concat(parts, ignore_index=True)
        return table if columns is None else table[columns]

    def batches(self, path: str, format: str, columns: "list[str] | None") -> "Iterator[Table]":
        if format == PARQUET:
            for batch in Arrow().batches(path, format, columns):
                yield batch.to_pandas()
            return
        for file in files_of(path):
            with import_module("pandas").read_csv(file, usecols=columns, chunksize=ROWS) as parts:
                for part in parts:
                    yield part if columns is None else part[columns]


class Arrow(FrameLibrary):
    """pyarrow.Table."""

    def names(self, table: Table) -> "list[object]":
        return list(table.column_names)

    def write(self, table: Table, path: str, format: str) -> None:
        if format == PARQUET:
            import_module("pyarrow.parquet").write_table(table, path)
        else:
            import_module("pyarrow.csv").write_csv(table, path)

    def read(self, path: str, format: str, columns: "list[str] | None") -> Table:
        if format == PARQUET:
            # Buffering ahead is for stores, and holds the whole file in memory beside the table.
            return import_module("pyarrow.parquet").read_table(
                path, columns=columns, pre_buffer=False
            )
        csv = import_module("pyarrow.csv")
        parts = [csv.read_csv(file) for file in files_of(path)]
        table = parts[0] if len(parts) == 1 else import_module("pyarrow").concat_tables(parts)
        return table if columns is None else table.select(columns)

    def batches(self, path: str, format: str, columns: "list[str] | None") -> "Iterator[Table]":
        arrow = import_module("pyarrow")
        for file in files_of(path):
            if format == PARQUET:
                with import_module("pyarrow.parquet").ParquetFile(file) as opened:
                    for batch in opened.iter_batches(batch_size=ROWS, columns=columns):
                        yield arrow.Table.from_batches([batch])
            else:
                with import_module("pyarrow.csv").open_csv(file) as opened:
                    for batch in opened:
                        part = arrow.Table.from_batches([batch])
                        yield part if columns is None else part.select(columns)


class Polars(FrameLibrary):
    """polars.DataFrame."""

    def names(self, table: Table) -> "list[object]":
        return list(table.collect_schema())

    def write(self, table: Table, path: str, format: str) -> None:
        # Of a lazy frame, only the part that is being written is in memory.
        sink = table.lazy()
        if format == PARQUET:
            sink.sink_parquet(path)
        else:
            sink.sink_csv(path)

    def read(self, path: str, format: str, columns: "list[str] | None") -> Table:
        return self._scan(path, format, columns).collect()

    def batches(self, path: str, format: str, columns: "list[str] | None") -> "Iterator[Table]":
        scan = self._scan(path, format, columns)
        offset = 0
        while True:
            part = scan.slice(offset, ROWS).collect()
            if not part.height and offset:
                return
            yield part
            if part.height < ROWS:
                return
            offset += ROWS

    def _scan(self, path: str, format: str, columns: "list[str] | None") -> Table:
        polars = import_module("polars")
        scan = polars.scan_parquet if format == PARQUET else polars.scan_csv
        table = scan(files_of(path))
        return table if columns is None else table.select(columns)


class LazyPolars(Polars):
    """polars.LazyFrame, which reads a column or row only when it is needed."""

    def read(self, path: str, format: str, columns: "list[str] | None") -> Table:
        return self._scan(path, format, columns)

    def batches(self, path: str, format: str, columns: "list[str] | None") -> "Iterator[Table]":
        return (part.lazy() for part in super().batches(path, format, columns))


_LIBRARIES: "Mapping[tuple[str, str], Callable[[], FrameLibrary]]" = {
    ("pandas", "DataFrame"): Pandas,
    ("pyarrow", "Table"): Arrow,
    ("polars", "DataFrame"): Polars,
    ("polars", "LazyFrame"): LazyPolars,
}
"""By the class's top-level package and name."""


def library_of(table_type: type) -> "FrameLibrary | None":
    """Return the library of a class of tables or of one derived from it; `None` for any other class."""
    for base in getattr(table_type, "__mro__", ()):
        made = _LIBRARIES.get((base.__module__.partition(".")[0], base.__name__))
        if made is not None:
            return made()
    return None


def _read_parquet(pandas: ModuleType, path: str, columns: "list[str] | None") -> Table:
    """Return a frame; a large one is never in memory twice.

    By default pandas has the file, the Arrow table and the frame in memory at once. Here Arrow gives each
    column away while it becomes one of the frame's. That makes many blocks of columns, which only large
    frames are worth.
    """
    if sum(map(os.path.getsize, files_of(path))) < LARGE:
        return pandas.read_parquet(path, columns=columns)
    if int(pandas.__version__.partition(".")[0]) < 3:  # it cannot be told how to make the frame
        return pandas.read_parquet(path, columns=columns, pre_buffer=False)
    table = pandas.read_parquet(
        path,
        columns=columns,
        pre_buffer=False,
        to_pandas_kwargs={"self_destruct": True, "split_blocks": True},
    )
    for number in range(table.shape[1]):
        column = table.iloc[:, number]
        held = getattr(column, "_values", None)
        held = getattr(held, "_ndarray", held)  # of times and categories
        # A column in one piece is still Arrow's own memory, which is read-only.
        if not getattr(getattr(held, "flags", None), "writeable", True):
            table.isetitem(number, column.copy())
    return table


def files_of(path: str) -> "list[str]":
    """Return the data files at `path`: itself, or those in the folder, sorted.

    Raises:
        CodecError: when the folder has none.
    """
    if not os.path.isdir(path):
        return [path]
    found = []
    for folder, inner, names in os.walk(path):
        inner.sort()
        # Other writers leave marks like `_SUCCESS` and `.crc` files; a csv's own name begins with a dot.
        kept = [name for name in names if not name.startswith("_") and not name.endswith(".crc")]
        found += [os.path.join(folder, name) for name in sorted(kept)]
    if not found:
        raise CodecError("The dataset has no files.")
    return found
