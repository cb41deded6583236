"""Keep checkpoints for attempts that follow each other in one process."""

import os
import shutil

from flyte_nb.sdk.checkpoint import Checkpoint
from flyte_nb.sdk.execution_context import ExecutionContext


class KeptFiles:
    """The `AttemptFiles` of all attempts at one node. `close()` removes what they saved.

    As on Flyte, an attempt finds what the attempt right before it saved, and nothing older.
    """

    def __init__(self, former: "KeptFiles | None" = None) -> None:
        """Keep nothing yet.

        Args:
            former: What was kept for the node before, in a run that is recovered: the first attempt finds
                what the last one there saved.
        """
        self._root = ""
        self._attempt = 0
        self._former = former

    def begin(self, attempt: int, context: ExecutionContext) -> ExecutionContext:
        """Begin the attempt with this number, counted from 0, and return its context."""
        self._attempt = attempt
        checkpoint = Checkpoint(self, context.working_directory)
        return context._replace(attempt=attempt, checkpoint=checkpoint, files=self)

    def save_checkpoint(self, path: str, name: str) -> None:
        """Keep the local file as `name`; with an empty name, the content of the local folder."""
        folder = self._folder(self._attempt)
        os.makedirs(folder, exist_ok=True)
        if os.path.isdir(path):
            shutil.copytree(path, os.path.join(folder, name), dirs_exist_ok=True)
        else:
            shutil.copyfile(path, os.path.join(folder, name))

    def restore_checkpoint(self) -> str:
        """Return the folder with what the attempt before saved; an empty text when it saved nothing."""
        if not self._attempt and self._former is not None:
            return self._former.last()
        if not self._attempt or not self._root:
            return ""
        folder = self._folder(self._attempt - 1)
        return folder if os.path.isdir(folder) and os.listdir(folder) else ""

    def last(self) -> str:
        """Return the folder with what the last attempt saved; an empty text when it saved nothing.

        An attempt that did not get that far leaves what it would have found.
        """
        folder = self._folder(self._attempt) if self._root else ""
        if folder and os.path.isdir(folder) and os.listdir(folder):
            return folder
        return self.restore_checkpoint()

    def publish_deck(self, html: str) -> None:
        """Do nothing: a task that runs in this process has no place where a report is shown."""

    def close(self) -> None:
        """Remove everything that was saved."""
        if self._root:
            shutil.rmtree(self._root, ignore_errors=True)

    def _folder(self, attempt: int) -> str:
        if not self._root:
            import tempfile  # only tasks with checkpoints need it

            self._root = tempfile.mkdtemp(prefix="flyte-nb-checkpoints-")
        return os.path.join(self._root, str(attempt))
