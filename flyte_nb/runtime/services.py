"""Serve a worker while user code runs: move files, keep checkpoints, write decks.

The worker has no credentials and no storage libraries of ours: it asks, and the host does it.
"""

import os
from collections.abc import Callable
from typing import Any

from flyte_nb.api.errors import StorageError
from flyte_nb.api.ports import BlobStore
from flyte_nb.bundle.retrying import Retrying
from flyte_nb.pipe.pipe import PipeGarbage
from flyte_nb.runtime.options import Options
from flyte_nb.runtime.results import write_deck


class Services:
    """Answers a worker's requests.

    Args:
        options: Where the attempt's files are.
        store: Reads and writes them.
        folder: A local folder for this attempt only.
        retry: Repeats an operation that failed for a moment.
        durable: Whether an upload must survive a power cut before the task goes on.
    """

    def __init__(
        self,
        options: Options,
        store: BlobStore,
        folder: str,
        retry: Retrying,
        *,
        durable: bool = False,
    ) -> None:
        self._options = options
        self._store = store
        self._folder = folder
        self._retry = retry
        self._durable = durable
        self._downloads = 0
        self._known: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "download": self._download,
            "upload": self._upload,
            "list": self._list_objects,
            "checkpoint": self._checkpoint,
            "restore": self._restore,
            "deck": self._deck,
        }

    def answer(self, message: "dict[str, Any]") -> "dict[str, Any] | None":
        """Return the reply to a request; `None` when the message is not a request.

        A store that fails is the worker's to handle: the reply has the error, and raises in the task's
        own code.

        Raises:
            PipeGarbage: when the request lacks a field.
        """
        act = self._known.get(message["kind"])
        if act is None:
            return None
        try:
            return {"kind": "reply", **self._retry(lambda: act(message))}
        except StorageError as error:
            return {
                "kind": "reply",
                "error": str(error),
                "uri": error.uri,
                "transient": error.transient,
            }

    def _download(self, message: "dict[str, Any]") -> "dict[str, Any]":
        uri = _text(message, "uri")
        # The file keeps its name, because readers choose a format by the suffix.
        path = os.path.join(self._fresh_folder(), _last_part(uri) or "object")
        self._store.get(uri, path)
        return {"path": path}

    def _upload(self, message: "dict[str, Any]") -> "dict[str, Any]":
        path = _text(message, "path")
        prefix = self._options.raw_output_data_prefix or self._options.output_prefix
        name = _last_part(str(message.get("name") or path)) or "object"
        # Every upload gets a folder of its own, so that two outputs with the same name do not overwrite
        # each other.
        uri = str(message.get("uri") or f"{prefix.rstrip('/')}/{os.urandom(8).hex()}/{name}")
        self._store.put(path, uri)
        if self._durable:
            # Start-up: only attempts whose results are cached need it.
            from flyte_nb.storage.durable import make_durable

            make_durable(uri)
        # A local folder can be listed without credentials anyway.
        if os.path.isdir(path) and not uri.startswith(("file://", "/")):
            self._list(path, uri)
        return {"uri": uri}

    def _list_objects(self, message: "dict[str, Any]") -> "dict[str, Any]":
        return {"uris": self._store.list(_text(message, "uri"))}

    def _list(self, path: str, uri: str) -> None:
        """Write the names of a folder's files, so that the outputs can be shown without credentials.

        The import is here because few attempts upload a folder to an object store.
        """
        from flyte_nb.storage.folder_lists import listing_of, listing_uri

        listing = listing_of(path)
        if listing is not None:
            self._store.write(listing_uri(uri), listing)

    def _checkpoint(self, message: "dict[str, Any]") -> "dict[str, Any]":
        """Store a checkpoint: a file by its name below the checkpoint's URI, a folder at it."""
        path, uri = _text(message, "path"), self._options.checkpoint_path.rstrip("/")
        if not uri:
            raise StorageError(
                "The platform gave this attempt no place for checkpoints (--checkpoint-path)."
            )
        # The name comes from user code. Its last part cannot lead out of the checkpoint's place.
        name = _last_part(str(message.get("name", "")))
        self._store.put(path, f"{uri}/{name}" if name else uri)
        return {"uri": uri}

    def _restore(self, message: "dict[str, Any]") -> "dict[str, Any]":
        """Fetch the previous attempt's checkpoint; the path is empty when it saved none.

        The platform names the URI for every retry, whether anything is stored there or not.
        """
        uri = self._options.prev_checkpoint
        if not uri or not self._store.list(uri):
            return {"path": ""}
        path = os.path.join(self._fresh_folder(), "checkpoint")
        self._store.get(uri, path)
        return {"path": path}

    def _deck(self, message: "dict[str, Any]") -> "dict[str, Any]":
        write_deck(self._store, self._options.output_prefix, _text(message, "html"))
        return {"uri": ""}

    def _fresh_folder(self) -> str:
        self._downloads += 1
        folder = os.path.join(self._folder, f"download-{self._downloads}")
        os.makedirs(folder, exist_ok=True)
        return folder


def _text(message: "dict[str, Any]", field: str) -> str:
    value = message.get(field)
    if isinstance(value, str):
        return value
    raise PipeGarbage(
        f"The worker's {message['kind']!r} message has no {field}.", code="SYSTEM:WorkerProtocol"
    )


def _last_part(uri: str) -> str:
    name = uri.rstrip("/").rpartition("/")[2]
    # Most file systems allow 255 bytes. The end is kept, because it has the suffix.
    return "" if name in ("", ".", "..") else name[-200:]
