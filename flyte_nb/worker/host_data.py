"""Move files through the host over the pipe, while user code runs."""

import _thread
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from flyte_nb.api.errors import StorageError
from flyte_nb.pipe.pipe import Pipe
from flyte_nb.types.content import is_wanted
from flyte_nb.worker.interrupts import Interrupts
from flyte_nb.worker.load import let_children_import


class HostData:
    """`DataAccess`, `ModuleAccess` and `AttemptFiles` over the pipe. The user's threads may share it."""

    def __init__(self, pipe: Pipe, interrupts: Interrupts, modules: "Sequence[str]" = ()) -> None:
        """Make the data access of one attempt.

        Args:
            pipe: leads to the host.
            interrupts: kept back while a question and its answer are on the pipe.
            modules: the folders with the task's local modules.
        """
        self._pipe = pipe
        self._modules = [path for path in modules if os.path.isdir(path)]
        self._interrupts = interrupts
        # Not `threading`: it takes 2 ms to import.
        self._lock = _thread.allocate_lock()
        self._count = 0
        self._process = os.getpid()

    @property
    def hashes_content(self) -> bool:
        """Whether frames and arrays get a hash of their content; see `types/content.py`."""
        return is_wanted()

    def download(self, uri: str) -> str:
        """Return a local path with the content of `uri`.

        Raises:
            StorageError: when the host cannot get it; `transient` when trying again may help.
        """
        return str(self._ask({"kind": "download", "uri": uri}, "path"))

    def upload(self, path: str, *, name: str = "", uri: str = "") -> str:
        """Store the file or folder at `path`, by default below the raw output prefix, and return its URI.

        Raises:
            StorageError: when the host cannot store it.
        """
        # The host may have another working folder than the task.
        message = {"kind": "upload", "path": os.path.abspath(path), "name": name}
        stored = str(self._ask({**message, "uri": uri} if uri else message, "uri"))
        if uri and stored != uri:  # a host of an older release, which does not know the field
            raise StorageError(
                f"The platform's flyte-nb cannot store a file at a place of your choice ({uri}).",
                hint="Upgrade it, or leave the place to it.",
            )
        return stored

    def uris_below(self, uri: str) -> "list[str]":
        """Return the URIs of the objects below `uri`, sorted.

        Raises:
            StorageError: when the host cannot list them.
        """
        return [str(each) for each in self._ask({"kind": "list", "uri": uri}, "uris")]

    def save_checkpoint(self, path: str, name: str) -> None:
        """Keep the file at `path` as `name` for the next attempt; with an empty name, the folder's content.

        Raises:
            StorageError: when the host cannot store it.
        """
        self._ask({"kind": "checkpoint", "path": os.path.abspath(path), "name": name}, "uri")

    def restore_checkpoint(self) -> str:
        """Return a local folder with what the previous attempt saved; an empty text when it saved nothing.

        Raises:
            StorageError: when the host cannot get it.
        """
        return str(self._ask({"kind": "restore"}, "path"))

    def publish_deck(self, html: str) -> None:
        """Store the attempt's report as it is now, so that people can see it.

        Raises:
            StorageError: when the host cannot store it.
        """
        self._ask({"kind": "deck", "html": html}, "uri")

    def scratch(self, suffix: str = "") -> str:
        """Return a new path in the attempt's folder."""
        with self._lock:
            self._count += 1
            # Forks of the task share the folder, and each counts by itself.
            return os.path.join(self._pipe.folder, f"scratch-{os.getpid()}-{self._count}{suffix}")

    def own_modules(self, tops: "Iterable[str]") -> "dict[str, bytes]":
        """Return the files of the author's own modules among `tops`; see `api.ports.ModuleAccess`."""
        if not self._modules:
            return {}
        from flyte_nb.worker.own_modules import files_of  # only pickled values need it

        return files_of(tops, self._modules)

    def adopt_modules(self, folder: str) -> None:
        """Make the modules in the folder importable, here and in programs that the task starts."""
        # At the end, so that these modules replace nothing that the task has already.
        sys.path.append(folder)
        self._modules.append(folder)
        let_children_import(self._modules)

    def _ask(self, message: "dict[str, Any]", field: str) -> Any:
        """Send a message, wait for the reply, and return its `field`.

        Raises:
            StorageError: when the reply is an error, or this process is a fork of the attempt's.
        """
        # A fork has copies of the descriptors. Its messages would mix with those of its parent.
        if os.getpid() != self._process:
            raise StorageError(
                "A forked process cannot move files, because the pipe belongs to the task's own process.",
                hint="Return the path to the parent process, and store the file there.",
            )
        # A reply that nobody read would be taken for the answer to the next question.
        with self._interrupts, self._lock:
            self._pipe.send(message)
            reply = self._pipe.receive()
        # The store's failure is raised in the user's code, which may catch it and go on.
        if "error" in reply:
            raise StorageError(
                reply["error"], uri=reply.get("uri", ""), transient=bool(reply.get("transient"))
            )
        return reply[field]
