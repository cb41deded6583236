"""Checkpoints of attempts that follow each other in one process: what one saved, the next finds."""

import os
import shutil

from flyte_nb.sdk.checkpoint import Checkpoint
from flyte_nb.sdk.execution_context import ExecutionContext


class KeptFiles:
    """The `AttemptFiles` of all attempts at one node. `close()` removes what they saved.

    As on Flyte an attempt finds what the one right before it saved, and nothing older.
    """

    def __init__(self) -> None:
        self._root = ""
        self._attempt = 0

    def begin(self, attempt: int, context: ExecutionContext) -> ExecutionContext:
        """Return the context of the attempt with this number, which follows on those before."""
        self._attempt = attempt
        checkpoint = Checkpoint(self, context.working_directory)
        return context._replace(attempt=attempt, checkpoint=checkpoint, files=self)

    def save_checkpoint(self, path: str, name: str) -> None:
        """Keep the local file as `name`; without a name, the content of the local folder."""
        folder = self._folder(self._attempt)
        os.makedirs(folder, exist_ok=True)
        if os.path.isdir(path):
            shutil.copytree(path, os.path.join(folder, name), dirs_exist_ok=True)
        else:
            shutil.copyfile(path, os.path.join(folder, name))

    def restore_checkpoint(self) -> str:
        """Return the folder with what the attempt before saved; empty when there is nothing."""
        if not self._attempt or not self._root:
            return ""
        folder = self._folder(self._attempt - 1)
        return folder if os.path.isdir(folder) and os.listdir(folder) else ""

    def publish_deck(self, html: str) -> None:
        """Do nothing: nobody looks at a report while the task runs in this process."""

    def close(self) -> None:
        """Remove everything that was saved."""
        if self._root:
            shutil.rmtree(self._root, ignore_errors=True)

    def _folder(self, attempt: int) -> str:
        if not self._root:
            import tempfile  # which no task without a checkpoint needs

            self._root = tempfile.mkdtemp(prefix="flyte-nb-checkpoints-")
        return os.path.join(self._root, str(attempt))
