"""Loans: the secrets and store settings that a client lends to an execution it launches.

A loan is a file that only this user may read, and it is kept until the execution ends. Attempts may
be retried, and the backend restarted, long after the kernel that launched is gone.
"""

import hashlib
import json
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from flyte_nb.api.identifiers import ExecutionId


class Loan(NamedTuple):
    """What one execution was lent."""

    variables: dict[str, str]
    secrets: dict[str, str]


class Lent:
    """The loans of all executions, as files in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, execution: ExecutionId, loan: Loan) -> None:
        """Store the loan of an execution, in place of an earlier one.

        Raises:
            OSError: when it cannot be written.
        """
        self._folder.mkdir(mode=0o700, exist_ok=True)
        path = self._file(execution)
        # Complete or not there: a reader never sees half of a loan.
        partial = path.with_name(f"{path.name}.partial")
        partial.unlink(missing_ok=True)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(loan._asdict(), file)
        os.replace(partial, path)

    def of(self, execution: ExecutionId) -> "Loan | None":
        """Return the loan of an execution, or `None` when it has none.

        Raises:
            OSError: when it cannot be read.
        """
        try:
            document = json.loads(self._file(execution).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return Loan(document["variables"], document["secrets"])

    def remove(self, execution: ExecutionId) -> None:
        """Delete the loan of an execution that has ended."""
        # A file that stays is deleted by `sweep` at the next start.
        with suppress(OSError):
            self._file(execution).unlink()

    def sweep(self, running: Iterable[ExecutionId]) -> None:
        """Delete every loan but those of the `running` executions."""
        kept = {self._file(execution).name for execution in running}
        if self._folder.is_dir():
            for path in list(self._folder.iterdir()):
                if path.name not in kept:
                    path.unlink(missing_ok=True)

    def _file(self, execution: ExecutionId) -> Path:
        # A digest, because the parts of an id may have any characters, `/` too, and two ids must
        # never share a file.
        name = hashlib.sha256("\0".join(execution).encode()).hexdigest()
        return self._folder / f"{name}.json"
