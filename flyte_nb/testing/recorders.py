"""Recorders for tests of the engine: in memory, and a journal that survives `kill -9`."""

import json
import os
import threading
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.propeller.records import Record, from_plain, to_plain


class MemoryRecorder:
    """A recorder that keeps records in lists."""

    def __init__(self) -> None:
        self._kept: dict[ExecutionId, list[Record]] = defaultdict(list)
        self._lock = threading.Lock()

    def record(self, execution: ExecutionId, records: Sequence[Record]) -> None:
        """Keep `records`."""
        with self._lock:
            self._kept[execution] += records

    def history(self, execution: ExecutionId) -> Sequence[Record]:
        """Return every record of that execution, in order."""
        with self._lock:
            return tuple(self._kept[execution])


class JournalRecorder:
    """A recorder with one file and one line for each transaction, written through to the disk.

    A line without its end was cut short by a kill: it counts as not written, and the next recorder on
    the file removes it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        whole = self._read()[1]
        os.ftruncate(self._file, whole)

    def record(self, execution: ExecutionId, records: Sequence[Record]) -> None:
        """Write `records`, all or none."""
        line = json.dumps([list(execution), [to_plain(record) for record in records]])
        os.write(self._file, line.encode() + b"\n")
        os.fsync(self._file)

    def history(self, execution: ExecutionId) -> Sequence[Record]:
        """Return every record of that execution, in order."""
        return tuple(record for id, record in self._read()[0] if id == execution)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _read(self) -> tuple[list[tuple[ExecutionId, Record]], int]:
        data = self._path.read_bytes()
        whole = data.rfind(b"\n") + 1
        found = []
        for line in data[:whole].splitlines():
            id, records = json.loads(line)
            found += [(ExecutionId(*id), from_plain(record)) for record in records]
        return found, whole
