"""`current_context().checkpoint`: what one attempt keeps for the next, as flytekit has it."""

import os
import shutil
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from flyte_nb.api.errors import UsageError

if TYPE_CHECKING:
    from flyte_nb.api.ports import AttemptFiles

_BYTES = "_dst_cp"
"""The file that `write` makes; flytekit's attempts read it too."""


class Checkpoint:
    """What one attempt keeps, so that the next can continue from there.

    Outside of a run, nothing was saved before, and nothing is kept.

    Args:
        files: stores checkpoints; `None` outside of a run.
        folder: a local folder of this attempt's own.
    """

    def __init__(self, files: "AttemptFiles | None", folder: str) -> None:
        self._files = files
        self._folder = folder
        self._restored: Path | None = None
        self._asked = False

    def prev_exists(self) -> bool:
        """Return whether the previous attempt saved something.

        Raises:
            StorageError: it cannot be fetched.
        """
        return self._fetch() is not None

    def restore(self, path: "str | Path | None" = None) -> "Path | None":
        """Return a folder with what the previous attempt saved, or `None` when it saved nothing.

        Args:
            path: an existing folder to copy it to.

        Raises:
            UsageError: `path` is no folder.
            StorageError: it cannot be fetched.
        """
        found = self._fetch()
        if path is None or found is None:
            return found
        if not os.path.isdir(path):
            raise UsageError(
                f"checkpoint.restore({str(path)!r}): a checkpoint is restored to a folder."
            )
        shutil.copytree(found, path, dirs_exist_ok=True)
        return Path(path)

    def read(self) -> "bytes | None":
        """Return what the previous attempt wrote, or `None` when it wrote nothing.

        Raises:
            UsageError: it saved several files; `restore` has them.
            StorageError: it cannot be fetched.
        """
        folder = self._fetch()
        found = sorted(folder.iterdir()) if folder is not None else []
        if not found:
            return None
        if len(found) > 1:
            names = ", ".join(path.name for path in found)
            raise UsageError(
                f"checkpoint.read() reads one file, and the previous attempt saved {names}."
                " Use checkpoint.restore()."
            )
        return found[0].read_bytes()

    def write(self, b: bytes) -> None:
        """Keep these bytes in place of what was written before.

        Raises:
            StorageError: they cannot be stored.
        """
        path = os.path.join(self._folder, _BYTES)
        with open(path, "wb") as file:
            file.write(b)
        self._keep(path, _BYTES)

    def save(self, cp: "str | Path | IO[bytes]") -> None:
        """Keep a file by its name, the content of a folder, or what an open file holds.

        Raises:
            UsageError: there is no such file, or `cp` is something else.
            StorageError: it cannot be stored.
        """
        if not isinstance(cp, (str, os.PathLike)):
            read: Any = getattr(cp, "read", None)
            content = read() if read is not None else None
            if not isinstance(content, bytes):
                raise UsageError(f"checkpoint.save({cp!r}): give a path, or a file open for bytes.")
            self.write(content)
            return
        path = os.fspath(cp)
        if not os.path.exists(path):
            raise UsageError(f"checkpoint.save({path!r}): there is no such file or folder.")
        self._keep(path, "" if os.path.isdir(path) else os.path.basename(path))

    def _keep(self, path: str, name: str) -> None:
        if self._files is not None:
            self._files.save_checkpoint(path, name)

    def _fetch(self) -> "Path | None":
        if not self._asked and self._files is not None:
            found = self._files.restore_checkpoint()
            self._restored = Path(found) if found else None
            self._asked = True
        return self._restored
