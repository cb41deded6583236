"""What the launching side lends to an execution: secrets, and how stores and indexes are reached.

It is kept in a file that only this person reads, for as long as the execution runs: attempts may be
retried, and the backend be started again, when the kernel that launched is long gone.
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
    """What one execution has."""

    variables: dict[str, str]
    secrets: dict[str, str]


class Lent:
    """The loans of all executions, in the files of one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, execution: ExecutionId, loan: Loan) -> None:
        """Keep the loan, in the place of an earlier one. Raises `OSError`."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        path = self._file(execution)
        partial = path.with_name(f"{path.name}.partial")
        partial.unlink(missing_ok=True)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(loan._asdict(), file)
        os.replace(partial, path)

    def of(self, execution: ExecutionId) -> "Loan | None":
        """Return what the execution has; `None` when nobody lent it anything. Raises `OSError`."""
        try:
            document = json.loads(self._file(execution).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return Loan(document["variables"], document["secrets"])

    def remove(self, execution: ExecutionId) -> None:
        """Forget the loan: the execution has ended."""
        with suppress(OSError):  # nothing waits for it, and the next start sweeps
            self._file(execution).unlink()

    def sweep(self, running: Iterable[ExecutionId]) -> None:
        """Forget all loans but those of `running`."""
        kept = {self._file(execution).name for execution in running}
        if self._folder.is_dir():
            for path in list(self._folder.iterdir()):
                if path.name not in kept:
                    path.unlink(missing_ok=True)

    def _file(self, execution: ExecutionId) -> Path:
        # A digest: parts of ids may have any letters, and none of them may meet another's.
        name = hashlib.sha256("\0".join(execution).encode()).hexdigest()
        return self._folder / f"{name}.json"
