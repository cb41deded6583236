"""Records that were made and are not durable yet, and the times that they get.

The rule of the engine is: record first, then act. The machine makes records in memory; this value hands
them to the recorder, in order. While the recorder fails, the same records are offered again and nothing
is done because of them.
"""

import logging

from flyte_nb.api.errors import StorageError
from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.propeller.ports import Clock, Recorder
from flyte_nb.propeller.records import Record

_log = logging.getLogger(__name__)

_RETRY_US = 1_000_000
_STORE_TRIES = 3


class Outbox:
    """The records of one execution on their way to the recorder. For one thread."""

    def __init__(self, execution: ExecutionId, recorder: Recorder, clock: Clock) -> None:
        self.retry_at_us = 0
        """When to step again because something outside failed; 0 means that nothing did."""
        self._id = execution
        self._recorder = recorder
        self._clock = clock
        self._now_us = 0
        self._pending: list[Record] = []
        self._store_failures = 0

    @property
    def is_empty(self) -> bool:
        """Return whether every record so far is durable."""
        return not self._pending

    def add(self, made: list[Record]) -> None:
        """Take records that the machine made."""
        self._pending += made

    def flush(self) -> bool:
        """Make every record so far durable; return whether that worked."""
        if not self._pending:
            return True
        try:
            # All in one call, so that the recorder can make them durable together or not at all.
            self._recorder.record(self._id, self._pending)
        except (StorageError, OSError) as error:
            # The records stay pending in their order, and the same ones are offered again.
            _log.warning("%s: cannot record, trying again: %s", self._id, error)
            self.retry_later()
            return False
        # A new list, because the recorder may still hold the one that it was given.
        self._pending = []
        return True

    def now_us(self) -> int:
        """Return the time, never earlier than that of a record.

        The system's clock can be set back. Records that went back in time would confuse every reader
        that sorts by it, and a duration would be negative.
        """
        now = self._clock()
        if now > self._now_us:
            self._now_us = now
        return self._now_us

    def has_seen(self, at_us: int) -> None:
        """Take note of the time of a record from before a restart."""
        # The system's clock may have been set back while nothing ran.
        self._now_us = at_us

    def retry_later(self) -> None:
        """Have the execution stepped again in a second."""
        self.retry_at_us = self.now_us() + _RETRY_US

    def gives_up_on(self, error: StorageError) -> bool:
        """Return whether a failure of the store is final; if it is not, the step is repeated later.

        A store that is away for a moment must not fail an execution, and one that never comes back must
        not keep it for ever.
        """
        self._store_failures += 1
        if error.transient and self._store_failures < _STORE_TRIES:
            self.retry_later()
            return False
        self._store_failures = 0
        return True
