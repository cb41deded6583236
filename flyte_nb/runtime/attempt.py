"""One attempt, from the index to the outputs: fetch, verify, have it loaded, called, and served."""

import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from flyte_nb.api.errors import (
    SYSTEM,
    BundleError,
    CodecError,
    ErrorInfo,
    StorageError,
    TaskFailed,
)
from flyte_nb.api.index import TaskEntry
from flyte_nb.api.literals import Literal, from_plain, to_plain
from flyte_nb.api.ports import BlobStore
from flyte_nb.bundle.fetch import Fetched, fetch
from flyte_nb.bundle.retrying import Sleep
from flyte_nb.runtime.environments import interpreter_for
from flyte_nb.runtime.options import Options
from flyte_nb.runtime.process import Worker, failure_in
from flyte_nb.runtime.results import write_deck, write_futures, write_outputs
from flyte_nb.wire.literals import literal_map_from_bytes
from flyte_nb.worker.pipe import PipeGarbage

_ATTEMPTS = 4
_FIRST_PAUSE_S = 0.2

_T = TypeVar("_T")


class Attempt:
    """The host's side of one attempt.

    Args:
        options: where its files are.
        store: reads and writes them.
        worker: the process that holds the user's code.
        folder: the attempt's own local folder.
        sleep: waits between attempts at a transient fault.
        environ: the attempt's variables; `None` means this process's own.
    """

    def __init__(
        self,
        options: Options,
        store: BlobStore,
        worker: Worker,
        folder: str,
        sleep: Sleep,
        environ: "Mapping[str, str] | None" = None,
    ) -> None:
        self._options = options
        self._store = store
        self._worker = worker
        self._folder = folder
        self._sleep = sleep
        self._environ = os.environ if environ is None else environ
        self._downloads = 0
        self._tasks: dict[str, TaskEntry] = {}

    def run(self) -> "ErrorInfo | None":
        """Carry it out and write the outputs; the failure, or `None`."""
        try:
            self._load()
            self._call()
            return self._serve()
        except TaskFailed as error:
            return error.info
        except PipeGarbage as error:
            return ErrorInfo(error.code, str(error), SYSTEM, recoverable=True)
        except BundleError as error:
            return ErrorInfo(error.code, str(error), SYSTEM)
        except StorageError as error:
            return ErrorInfo("SYSTEM:StorageError", str(error), SYSTEM, recoverable=True)
        except CodecError as error:
            return ErrorInfo("SYSTEM:LiteralError", str(error), SYSTEM)

    def _load(self) -> None:
        fetched = self._fetch()
        self._tasks = fetched.tasks
        self._worker.send(load_message(fetched))

    def _fetch(self) -> Fetched:
        fetched = fetch(
            self._options.index_file_location,
            self._options.task,
            self._store,
            self._folder,
            on_ring=lambda path: self._worker.send({"kind": "ring", "path": path}),
            sleep=self._sleep,
        )
        python = interpreter_for(fetched.lock, fetched.python, self._environ)
        if python:  # the interpreter that was started early is not the task's
            self._worker.move(python)
            self._worker.send({"kind": "ring", "path": fetched.ring})
        return fetched

    def _call(self) -> None:
        data = self._retried(lambda: self._store.read(self._options.inputs))
        inputs = literal_map_from_bytes(data, self._store.read)
        if self._options.mapped:
            from flyte_nb.runtime.mapped import element_of

            inputs = element_of(inputs, tuple(self._options.mapped.split(",")), self._environ)
        plain = {name: to_plain(literal) for name, literal in inputs.items()}
        execution = {
            "task": self._options.task,
            "raw_output_prefix": self._options.raw_output_data_prefix,
            "checkpoint_path": self._options.checkpoint_path,
            "prev_checkpoint": self._options.prev_checkpoint,
        }
        self._worker.send({"kind": "call", "inputs": plain, "execution": execution})

    def _serve(self) -> "ErrorInfo | None":
        while True:
            message = self._worker.receive()
            kind = message["kind"]
            if kind == "download":
                self._worker.send(self._answer(partial(self._download, _text(message, "uri"))))
            elif kind == "upload":
                self._worker.send(self._answer(partial(self._upload, message)))
            elif kind == "failed":
                return failure_in(message)
            elif kind == "outputs":
                self._finish(message)
                return None
            elif kind == "dynamic":
                self._expand(message)
                return None
            else:
                raise PipeGarbage(
                    f"The worker sent a {kind!r} message, which this release does not know.",
                    code="SYSTEM:WorkerProtocol",
                )

    def _finish(self, message: "dict[str, Any]") -> None:
        outputs = _literals(message.get("outputs"))
        deck = message.get("deck")
        if deck:
            self._retried(lambda: write_deck(self._store, self._options.output_prefix, str(deck)))
        self._retried(lambda: write_outputs(self._store, self._options.output_prefix, outputs))

    def _expand(self, message: "dict[str, Any]") -> None:
        from flyte_nb.runtime.dynamic import futures

        spec = futures(message, self._tasks, self._options.index_file_location, os.environ)
        self._retried(lambda: write_futures(self._store, self._options.output_prefix, spec))

    def _answer(self, act: "Callable[[], dict[str, Any]]") -> "dict[str, Any]":
        try:
            return {"kind": "reply", **self._retried(act)}
        except StorageError as error:
            return {
                "kind": "reply",
                "error": str(error),
                "uri": error.uri,
                "transient": error.transient,
            }

    def _download(self, uri: str) -> "dict[str, Any]":
        self._downloads += 1
        name = _last_part(uri) or "object"
        folder = os.path.join(self._folder, f"download-{self._downloads}")
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, name)
        self._store.get(uri, path)
        return {"path": path}

    def _upload(self, message: "dict[str, Any]") -> "dict[str, Any]":
        path = _text(message, "path")
        prefix = self._options.raw_output_data_prefix or self._options.output_prefix
        name = _last_part(str(message.get("name") or path)) or "object"
        # A folder of its own for every upload: two outputs of one name do not meet.
        uri = f"{prefix.rstrip('/')}/{os.urandom(8).hex()}/{name}"
        self._store.put(path, uri)
        return {"uri": uri}

    def _retried(self, act: "Callable[[], _T]") -> _T:
        for attempt in range(_ATTEMPTS - 1):
            try:
                return act()
            except StorageError as error:
                if not error.transient:
                    raise
            self._sleep(_FIRST_PAUSE_S * 2**attempt)
        return act()


def load_message(fetched: Fetched) -> "dict[str, Any]":
    """What tells a worker to load the fetched task."""
    return {
        "kind": "load",
        "payload": fetched.payload,
        "buffers": fetched.buffers,
        "modules": fetched.modules,
        "python": fetched.python,
    }


def _literals(plain: Any) -> "dict[str, Literal]":
    try:
        return {str(name): from_plain(value) for name, value in plain.items()}
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise PipeGarbage(
            f"The worker's outputs cannot be read: {type(error).__name__}: {error}.",
            code="SYSTEM:WorkerProtocol",
        ) from error


def _text(message: "dict[str, Any]", field: str) -> str:
    value = message.get(field)
    if isinstance(value, str):
        return value
    raise PipeGarbage(
        f"The worker's {message['kind']!r} message has no {field}.", code="SYSTEM:WorkerProtocol"
    )


def _last_part(uri: str) -> str:
    name = uri.rstrip("/").rpartition("/")[2]
    return "" if name in ("", ".", "..") else name[-200:]
