"""A catalog in a folder of the user, for runs in kernels: results outlive a kernel, and kernels share them.

The results are rows of an SQLite database. Files that they refer to and that would be removed with the
kernel are copied beside it, and the kept result refers to the copies.
"""

import os
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from flyteidl.core.literals_pb2 import Literal, LiteralMap
from google.protobuf.message import DecodeError

from flyte_nb.api.errors import StorageError

FILES = "files"
"""The folder of the copies, in the catalog's."""
_DATABASE = "results.db"
_WAIT_S = 10.0
"""How long another process may keep the database before a call fails. Results are small rows."""

_SCHEMA = "CREATE TABLE IF NOT EXISTS results (key TEXT PRIMARY KEY, outputs BLOB) WITHOUT ROWID"
_NOTES = "CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, key TEXT UNIQUE, note TEXT)"
_MOST_NOTES = 20


class LocalCatalog:
    """A `ports.Catalog`. Thread-safe. The folder is made when the first result is kept."""

    def __init__(
        self, folder: Path, keep: "Callable[[str], str]", temporary: "Callable[[], str]" = str
    ) -> None:
        """Read and make nothing yet.

        Args:
            folder: The catalog's folder.
            keep: Copies what is at a URI, if that is removed with the kernel; returns the copy's URI, or
                the same one where nothing needs a copy.
            temporary: Returns the folder that is removed with the kernel; empty while there is none.
        """
        self._folder = folder
        self._keep = keep
        self._temporary = temporary
        self._lock = threading.Lock()
        self._database: sqlite3.Connection | None = None
        self._owner = 0

    def get(self, key: str) -> "bytes | None":
        """Return the `LiteralMap` that was put under this key, or `None`.

        Raises:
            StorageError: when the database cannot be read.
        """
        with self._lock:
            try:
                # Reading must not make the folder.
                if self._database is None and not (self._folder / _DATABASE).exists():
                    return None
                found = self._opened().execute("SELECT outputs FROM results WHERE key = ?", (key,))
                row = found.fetchone()
            except (sqlite3.Error, OSError) as error:
                raise self._unusable(error) from error
        return row[0] if row is not None else None

    def put(self, key: str, outputs: bytes) -> None:
        """Keep a `LiteralMap` under this key, in place of an earlier one.

        Raises:
            StorageError: when it cannot be kept, or when a struct in it names a file of the kernel: the
                file's name in there cannot be changed, and would lead nowhere in the next kernel.
        """
        # A struct may name files too, so the whole text is searched and not only the literals' URIs.
        temporary = self._temporary().encode()
        if temporary and temporary in outputs:
            outputs = self._with_copies(outputs)
            if temporary in outputs:
                raise StorageError(
                    f"A value that refers to a file in {temporary.decode()} from inside of a struct is not"
                    " cached: the file is removed when this kernel ends."
                )
        with self._lock:
            try:
                database = self._opened()
                database.execute("INSERT OR REPLACE INTO results VALUES (?, ?)", (key, outputs))
            except (sqlite3.Error, OSError) as error:
                raise self._unusable(error) from error

    def note(self, key: str, note: str) -> None:
        """Keep a text beside the result of that key, from which is said later why another call missed it.

        Raises:
            StorageError: when it cannot be kept.
        """
        with self._lock:
            try:
                self._opened().execute(
                    "INSERT OR REPLACE INTO notes (key, note) VALUES (?, ?)", (key, note)
                )
            except (sqlite3.Error, OSError) as error:
                raise self._unusable(error) from error

    def notes(self, dataset: str, *, before: str = "") -> "list[tuple[str, str]]":
        """Return keys below `dataset` with their notes, the newest first.

        Args:
            dataset: What the keys begin with; it ends with a `/`.
            before: Only notes that are older than that of this key, if it has one.

        Raises:
            StorageError: when the database cannot be read.
        """
        with self._lock:
            try:
                if not (self._folder / _DATABASE).exists():
                    return []
                # `0` comes after `/`, with which a dataset ends.
                return (
                    self._opened()
                    .execute(
                        "SELECT key, note FROM notes WHERE key >= ? AND key < ? AND id <"
                        " COALESCE((SELECT id FROM notes WHERE key = ?), 9e18)"
                        " ORDER BY id DESC LIMIT ?",
                        (dataset, f"{dataset[:-1]}0", before, _MOST_NOTES),
                    )
                    .fetchall()
                )
            except (sqlite3.Error, OSError) as error:
                raise self._unusable(error) from error

    def count(self) -> int:
        """Return how many results are kept.

        Raises:
            StorageError: when the database cannot be read.
        """
        with self._lock:
            try:
                if not (self._folder / _DATABASE).exists():
                    return 0
                row = self._opened().execute("SELECT count(*) FROM results").fetchone()
            except (sqlite3.Error, OSError) as error:
                raise self._unusable(error) from error
        return int(row[0])

    def clear(self) -> int:
        """Forget every result, remove the copies, and return how many results there were.

        Raises:
            StorageError: when the folder cannot be changed.
        """
        with self._lock:
            try:
                if not (self._folder / _DATABASE).exists():
                    return 0
                count = self._forget()
                shutil.rmtree(self._folder / FILES, ignore_errors=True)
            except OSError as error:
                raise self._unusable(error) from error
        return count

    def close(self) -> None:
        """Close the database. The next call opens it again."""
        with self._lock:
            # The connection of a parent process is only let go: see `_opened`.
            if self._database is not None and self._owner == os.getpid():
                self._database.close()
            self._database = None

    def _forget(self) -> int:
        try:
            self._opened().execute("DELETE FROM notes")
            return int(self._opened().execute("DELETE FROM results").rowcount)
        except sqlite3.Error:
            # It is damaged. Clearing is what a person is advised to do then.
            self._database = None
            for path in self._folder.glob(f"{_DATABASE}*"):
                path.unlink(missing_ok=True)
            return 0

    def _opened(self) -> sqlite3.Connection:
        # A process that was forked must not use the connection of its parent (sqlite.org/howtocorrupt.html).
        if self._database is None or self._owner != os.getpid():
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            database = sqlite3.connect(
                self._folder / _DATABASE,
                timeout=_WAIT_S,
                isolation_level=None,
                check_same_thread=False,
            )
            database.execute("PRAGMA journal_mode = WAL")
            # A power cut may lose the last results. Then they are computed again.
            database.execute("PRAGMA synchronous = NORMAL")
            database.execute(_SCHEMA)
            database.execute(_NOTES)
            self._database, self._owner = database, os.getpid()
        return self._database

    def _with_copies(self, outputs: bytes) -> bytes:
        try:
            values = LiteralMap.FromString(outputs)
        except DecodeError:
            return outputs  # it refers to no files; who reads it reports the fault
        self._copy(values.literals.values())
        return values.SerializeToString(deterministic=True)

    def _copy(self, literals: "Iterable[Literal]") -> None:
        """Copy the files that the literals refer to, and have the literals refer to the copies."""
        for literal in literals:
            kind = literal.WhichOneof("value")
            if kind == "collection":
                self._copy(literal.collection.literals)
            elif kind == "map":
                self._copy(literal.map.literals.values())
            elif kind == "offloaded_metadata":
                literal.offloaded_metadata.uri = self._keep(literal.offloaded_metadata.uri)
            elif kind == "scalar":
                value = literal.scalar.WhichOneof("value")
                if value == "union":
                    self._copy([literal.scalar.union.value])
                elif value in ("blob", "schema", "structured_dataset"):
                    reference = getattr(literal.scalar, value)
                    reference.uri = self._keep(reference.uri)

    def _unusable(self, error: Exception) -> StorageError:
        return StorageError(
            f"The cache of local runs in {self._folder} cannot be used: {error}.",
            hint="Clear it by `flyte-nb local-cache clear`, or set FLYTE_LOCAL_CACHE_ENABLED=0.",
        )
