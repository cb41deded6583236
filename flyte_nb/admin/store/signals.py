"""The values that clients give to gates that wait: one row a signal of an execution."""

import sqlite3
from collections.abc import Callable

from flyteidl.admin import signal_pb2
from flyteidl.core.identifier_pb2 import SignalIdentifier
from flyteidl.core.literals_pb2 import Literal
from flyteidl.core.types_pb2 import LiteralType

from flyte_nb.admin import moments
from flyte_nb.admin.store.database import Database
from flyte_nb.admin.store.schema import OF_EXECUTION
from flyte_nb.api.errors import StorageError
from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.propeller.ports import SignalTypeDiffers
from flyte_nb.wire.identifiers import execution_id_to_idl

_OF_SIGNAL = f"{OF_EXECUTION} AND signal_id = ?"


class Signals:
    """The rows of all signals. It is also propeller's port `Signals`. Thread-safe."""

    def __init__(self, database: Database, clock: "Callable[[], int]") -> None:
        """Set up the store.

        Args:
            database: The metastore.
            clock: The time in microseconds since 1970.
        """
        self._database = database
        self._clock = clock
        self._wake: Callable[[ExecutionId, str], None] = lambda execution, signal_id: None

    def listen(self, wake: "Callable[[ExecutionId, str], None]") -> None:
        """Call `wake` from now on with every signal whose new value is durable."""
        self._wake = wake

    def get_or_create(
        self, execution: ExecutionId, signal_id: str, type: LiteralType
    ) -> "Literal | None":
        """Return the signal's value, or `None` when it has none yet; the signal exists afterwards.

        Raises:
            SignalTypeDiffers: when there is a signal of this id with another type.
            StorageError: when the database cannot be written now. It is transient.
        """
        try:
            signal = self.created(execution, signal_id, type)
        except sqlite3.OperationalError as error:
            raise StorageError(
                f"The signal {signal_id!r} of execution {execution} cannot be stored: {error}.",
                transient=True,
                hint="Free some space on the disk if it is full; then the execution continues.",
            ) from error
        return signal.value if signal.value.WhichOneof("value") is not None else None

    def created(
        self, execution: ExecutionId, signal_id: str, type: LiteralType
    ) -> signal_pb2.Signal:
        """Return the signal; one that does not exist yet is made, without a value.

        Raises:
            SignalTypeDiffers: when there is a signal of this id with another type.
        """
        # Looked up without a transaction first, because reading does not wait for the writer.
        signal = self.get(execution, signal_id)
        if signal is None:
            signal = self._add(execution, signal_id, type)
        if signal.type != type:
            raise SignalTypeDiffers.of(signal_id)
        return signal

    def get(self, execution: ExecutionId, signal_id: str) -> "signal_pb2.Signal | None":
        """Return the signal, or `None`."""
        row = self._database.one(
            f"SELECT message FROM signals WHERE {_OF_SIGNAL}", (*execution, signal_id)
        )
        return signal_pb2.Signal.FromString(row[0]) if row is not None else None

    def set(self, execution: ExecutionId, signal_id: str, value: Literal) -> bool:
        """Give a signal a value, in place of an earlier one; return whether there is such a signal."""
        with self._database.write() as transaction:
            row = transaction.one(
                f"SELECT id, message FROM signals WHERE {_OF_SIGNAL}", (*execution, signal_id)
            )
            if row is None:
                return False
            signal = signal_pb2.Signal.FromString(row[1])
            signal.value.CopyFrom(value)
            columns = {
                "updated_at": moments.text(self._clock()),
                "value": value.SerializeToString(deterministic=True),
                "message": signal.SerializeToString(),
            }
            transaction.update("signals", row[0], columns)
            # The value is durable before the engine hears of it. After a kill the engine asks for it again.
            transaction.after_commit(lambda: self._wake(execution, signal_id))
        return True

    def _add(self, execution: ExecutionId, signal_id: str, type: LiteralType) -> signal_pb2.Signal:
        signal = signal_pb2.Signal(
            id=SignalIdentifier(execution_id=execution_id_to_idl(execution), signal_id=signal_id),
            type=type,
        )
        now = moments.text(self._clock())
        with self._database.write() as transaction:
            # A client and the engine may make it at the same moment: the first one stays.
            row = transaction.one(
                f"SELECT message FROM signals WHERE {_OF_SIGNAL}", (*execution, signal_id)
            )
            if row is not None:
                return signal_pb2.Signal.FromString(row[0])
            project, domain, name = execution
            transaction.insert(
                "signals",
                {
                    "created_at": now,
                    "updated_at": now,
                    "execution_project": project,
                    "execution_domain": domain,
                    "execution_name": name,
                    "signal_id": signal_id,
                    "type": type.SerializeToString(deterministic=True),
                    "message": signal.SerializeToString(),
                },
            )
        return signal
