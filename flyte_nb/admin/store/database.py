"""SQLite with one writer: transactions, snapshots, and what happens after a commit.

A write is one `BEGIN IMMEDIATE` transaction under one lock, so commits have an order. What was to be
done after a commit, e.g. waking the watchers, is done in that order, before the next commit.
WAL with `synchronous=NORMAL`: a commit survives the death of the process at any moment. A power cut
may lose the last commits, and never leaves half of one.
"""

import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flyte_nb.admin.store.schema import MIGRATIONS
from flyte_nb.api.errors import BackendError

Row = Sequence[Any]
Values = Sequence[Any] | Mapping[str, Any]
"""For the marks of a statement: by position (`?`) or by name (`:name`)."""

_MAX_FOUND = 5


class Transaction:
    """One transaction that writes. `Database.write` makes it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._after: list[Callable[[], None]] = []

    def execute(self, sql: str, values: Values = ()) -> sqlite3.Cursor:
        """Run one statement."""
        return self._connection.execute(sql, values)

    def execute_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run one statement once for each row of values."""
        self._connection.executemany(sql, rows)

    def one(self, sql: str, values: Values = ()) -> "Row | None":
        """Return the first row, or `None`."""
        row: Row | None = self._connection.execute(sql, values).fetchone()
        return row

    def insert(self, table: str, columns: "dict[str, Any]") -> int:
        """Add a row; return its id."""
        names = ", ".join(columns)
        marks = ", ".join("?" * len(columns))
        cursor = self._connection.execute(
            f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(columns.values())
        )
        return int(cursor.lastrowid or 0)

    def update(self, table: str, row_id: int, columns: "dict[str, Any]") -> None:
        """Replace those columns of the row."""
        sets = ", ".join(f"{name} = ?" for name in columns)
        self._connection.execute(
            f"UPDATE {table} SET {sets} WHERE id = ?", (*columns.values(), row_id)
        )

    def after_commit(self, act: Callable[[], None]) -> None:
        """Call `act` once this transaction is durable, and before any later one commits."""
        self._after.append(act)

    def committed(self) -> None:
        """Call what `after_commit` was given, in that order. Called by `Database.write` alone."""
        for act in self._after:
            act()


class Database:
    """The metastore at `path`. Opening it brings it to the schema of this release.

    Raises:
        BackendError: when the file is of a newer release, damaged, or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._readers: deque[sqlite3.Connection] = deque()
        self._closed = False
        # SQLite removes this file when the last connection is closed. If it is here, the last
        # process was killed, or the machine lost power, which is when files get damaged.
        ended_uncleanly = path.with_name(f"{path.name}-wal").exists()
        try:
            self._writer = self._connect()
            if ended_uncleanly:
                self._check()
            self._migrate()
        except sqlite3.Error as error:
            raise BackendError(
                f"The local backend's database {path} cannot be opened: {error}.",
                hint=_advice(error, path),
            ) from error

    def _connect(self) -> sqlite3.Connection:
        # `isolation_level=None`: Python opens no transactions by itself. A connection passes from
        # thread to thread, but only one uses it at a time.
        connection = sqlite3.connect(
            self._path, isolation_level=None, check_same_thread=False, timeout=30
        )
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        # FlyteAdmin uses PostgreSQL, whose LIKE distinguishes upper and lower case.
        connection.execute("PRAGMA case_sensitive_like = ON")
        return connection

    def _check(self) -> None:
        """Read the whole database once, its indexes too.

        Raises:
            BackendError: when it is damaged. Reads of a damaged database may return wrong rows silently.
        """
        found = [row[0] for row in self._writer.execute(f"PRAGMA integrity_check({_MAX_FOUND})")]
        if found != ["ok"]:
            raise BackendError(
                f"The local backend's database {self._path} is damaged. The backend or the machine"
                f" was not shut down cleanly: {'; '.join(found)}.",
                hint=_advice(sqlite3.DatabaseError("malformed"), self._path),
            )

    def _migrate(self) -> None:
        (schema,) = self._writer.execute("PRAGMA user_version").fetchone()
        if schema > len(MIGRATIONS):
            raise BackendError(
                f"The local backend's database {self._path} has schema {schema}; this release of"
                f" flyte-nb knows up to {len(MIGRATIONS)}.",
                hint="Upgrade flyte-nb, or set FLYTE_NB_HOME to another folder.",
            )
        for number in range(schema, len(MIGRATIONS)):
            # Each migration with its number in one transaction: a kill leaves all of it or nothing.
            with self.write() as transaction:
                for statement in MIGRATIONS[number]:
                    transaction.execute(statement)
                transaction.execute(f"PRAGMA user_version = {number + 1}")

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """Open a transaction: it commits when the block ends, and rolls back when the block raises."""
        with self._lock:
            self._writer.execute("BEGIN IMMEDIATE")
            transaction = Transaction(self._writer)
            # The lock is held until after `committed`: so watchers get changes in commit order.
            try:
                yield transaction
                self._writer.execute("COMMIT")
            except BaseException:
                # SQLite itself rolls back on some errors, e.g. on a full disk.
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise
            transaction.committed()

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """Open a connection on which every read sees the same moment."""
        with self._reader() as connection:
            # A transaction that only reads: in WAL mode it sees one moment and blocks no writer.
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                connection.execute("ROLLBACK")

    @contextmanager
    def _reader(self) -> Iterator[sqlite3.Connection]:
        # A pool without a limit: as many connections as calls ever read at the same time.
        try:
            connection = self._readers.pop()
        except IndexError:
            connection = self._connect()
        try:
            yield connection
        finally:
            # A read that was under way when the database was closed must not leave a connection open.
            if self._closed:
                connection.close()
            else:
                self._readers.append(connection)

    def one(self, sql: str, values: Values = ()) -> "Row | None":
        """Return the first row, or `None`."""
        with self._reader() as connection:
            row: Row | None = connection.execute(sql, values).fetchone()
            return row

    def all(self, sql: str, values: Sequence[Any] = ()) -> "list[Row]":
        """Return every row."""
        with self._reader() as connection:
            return connection.execute(sql, values).fetchall()

    def close(self) -> None:
        """Close every connection. No read or write may be under way."""
        with self._lock:
            self._closed = True
            while self._readers:
                self._readers.pop().close()
            self._writer.close()


def _advice(error: sqlite3.Error, path: Path) -> str:
    text = str(error)
    if "full" in text:
        return f"Free some space on the disk that holds {path.parent}, then try again."
    if "malformed" in text or "not a database" in text:
        return (
            f"Move {path}, with its -wal and -shm, to another place to begin with an empty database,"
            f" or restore a copy. `sqlite3 {path.name} .recover` may save what can still be read."
            " Stored objects are not affected, and notebooks register again what they define."
        )
    return f"Check that you may write to {path.parent}, or set FLYTE_NB_HOME to another folder."
