"""One attempt from the index to the outputs: fetch, verify, load and call in the worker, serve it.

The order is the security of it: nothing is sent to the worker to be unpickled before its digest was verified.
"""

import os
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from flyte_nb.api.errors import (
    SYSTEM,
    USER,
    BundleError,
    CodecError,
    ErrorInfo,
    StorageError,
    TaskFailed,
)
from flyte_nb.api.identifiers import Identifier
from flyte_nb.api.index import TaskEntry
from flyte_nb.api.literals import Literal, from_plain, to_plain
from flyte_nb.api.ports import BlobStore
from flyte_nb.bundle.fetch import Fetched, fetch
from flyte_nb.bundle.retrying import Retrying, Sleep
from flyte_nb.pipe.pipe import MOST_BYTES, PipeGarbage
from flyte_nb.runtime.options import DURABLE_VARIABLE, Options
from flyte_nb.runtime.process import Worker, failure_in
from flyte_nb.runtime.results import write_deck, write_futures, write_outputs
from flyte_nb.runtime.services import Services
from flyte_nb.runtime.variables import MIN_OFFLOADED
from flyte_nb.wire.encoding import Unsendable
from flyte_nb.wire.literal_bytes import literal_map_from_bytes

if TYPE_CHECKING:
    from flyte_nb.runtime.environments import Interpreter


class HostedAttempt:
    """The host's side of one attempt.

    Args:
        options: Where the attempt's files are.
        store: Reads and writes them.
        worker: The process that holds the user's code.
        folder: A local folder for this attempt only.
        sleep: Waits between tries when the store fails for a moment.
        environ: The attempt's variables; `None` means `os.environ`.
        say: Writes to the attempt's log; `None` means standard error.
    """

    def __init__(
        self,
        options: Options,
        store: BlobStore,
        worker: Worker,
        folder: str,
        sleep: Sleep,
        environ: "Mapping[str, str] | None" = None,
        say: "Callable[[str], object] | None" = None,
    ) -> None:
        self._options = options
        self._store = store
        self._worker = worker
        self._folder = folder
        self._sleep = sleep
        self._environ = os.environ if environ is None else environ
        self._say = sys.stderr.write if say is None else say
        self._retry = Retrying(sleep)
        durable = self._environ.get(DURABLE_VARIABLE) == "1"
        self._services = Services(options, store, folder, self._retry, durable=durable)
        # Kept for the whole attempt: the environment is not removed while this value lives.
        self._interpreter: Interpreter | None = None
        self._tasks: dict[str, TaskEntry] = {}
        self._launch_plans: tuple[Identifier, ...] = ()

    def run(self) -> "ErrorInfo | None":
        """Run the attempt and write its outputs; return the failure, or `None`.

        Every failure that can be foreseen has a code of its own. Whether another attempt makes sense
        follows from it: a store may come back, but a wrong digest stays wrong.
        """
        try:
            self._load()
            self._call()
            return self._serve()
        except TaskFailed as error:
            return error.info
        except PipeGarbage as error:
            return ErrorInfo(error.code, str(error), SYSTEM, recoverable=True)
        except BundleError as error:
            origin = USER if error.code.startswith("USER:") else SYSTEM
            return ErrorInfo(error.code, str(error), origin)
        except StorageError as error:
            return ErrorInfo("SYSTEM:StorageError", str(error), SYSTEM, recoverable=True)
        except CodecError as error:
            return ErrorInfo("SYSTEM:LiteralError", str(error), SYSTEM)

    def _load(self) -> None:
        fetched = self._fetch()
        self._tasks, self._launch_plans = fetched.tasks, fetched.launch_plans
        self._worker.send(load_message(fetched))

    def _fetch(self) -> Fetched:
        fetched = fetch(
            self._options.index_file_location,
            self._options.task,
            self._store,
            self._folder,
            # The worker imports the ring while the rest of the bundle is still being fetched.
            on_ring=lambda path: self._worker.send({"kind": "ring", "path": path}),
            sleep=self._sleep,
        )
        if fetched.lock:
            self._move(fetched)
        if fetched.modules:
            # Start-up: most bundles have no modules to unpack.
            from flyte_nb.bundle.unpack import unpacked

            fetched = unpacked(fetched, self._folder)
        return fetched

    def _move(self, fetched: Fetched) -> None:
        """Replace the worker by one of the environment that the task's locked requirements need.

        The worker was started before anybody knew of the lock, so it is of the usual interpreter.
        """
        # Start-up: few tasks have locked requirements.
        from flyte_nb.runtime.environments import InstallationWatch, interpreter_for

        watch = InstallationWatch(self._say, lambda: self._worker.interrupted)
        self._interpreter = interpreter_for(fetched.lock, fetched.python, self._environ, watch)
        self._worker.move(self._interpreter.path)
        # The first worker was told of the ring, and it has been ended.
        self._worker.send({"kind": "ring", "path": fetched.ring})

    def _call(self) -> None:
        inputs = self._element() if self._options.mapped else self._inputs()
        plain = {name: to_plain(literal) for name, literal in inputs.items()}
        execution = {
            "task": self._options.task,
            "raw_output_prefix": self._options.raw_output_data_prefix,
            "checkpoint_path": self._options.checkpoint_path,
            "prev_checkpoint": self._options.prev_checkpoint,
        }
        try:
            self._worker.send({"kind": "call", "inputs": plain, "execution": execution})
        except OSError as error:
            # Large inputs go by file, and the disk is full. Start-up: only a failing attempt needs the
            # import.
            from flyte_nb.worker.failures import no_room

            raise TaskFailed(no_room("inputs", error)) from error

    def _inputs(self) -> "dict[str, Literal]":
        return literal_map_from_bytes(self._retry(self._read_inputs), self._store.read)

    def _element(self) -> "dict[str, Literal]":
        """Return the inputs of the element of a map that this attempt is at."""
        # Start-up: few attempts are elements of a map.
        from flyte_nb.runtime.mapped import element_bytes, element_of

        mapped = tuple(self._options.mapped.split(","))
        uri = self._options.inputs
        data = element_bytes(uri, lambda: self._retry(self._read_inputs), mapped, self._environ)
        if data is None:
            return element_of(self._inputs(), mapped, self._environ)
        return literal_map_from_bytes(data, self._store.read)

    def _read_inputs(self) -> bytes:
        uri = self._options.inputs
        size = self._store.size(uri)
        if size is not None and size > MOST_BYTES:
            # Refused before it is read: reading it could use up the memory of this process.
            message = (
                f"The inputs at {uri} are {size / 1e6:.0f} MB, and at most {MOST_BYTES / 1e6:.0f} MB"
                " can be passed between tasks as values. Pass files, frames or arrays: those are"
                " passed as files."
            )
            raise TaskFailed(ErrorInfo("USER:ValuesTooLarge", message, USER))
        return self._store.read(uri)

    def _serve(self) -> "ErrorInfo | None":
        """Answer the worker's requests until it sends its result."""
        while True:
            message = self._worker.receive()
            reply = self._services.answer(message)
            if reply is None:
                return self._end(message)
            self._worker.send(reply)

    def _end(self, message: "dict[str, Any]") -> "ErrorInfo | None":
        """Write the result in the worker's last message; return the failure, if it is one."""
        kind, prefix = message["kind"], self._options.output_prefix
        deck = message.get("deck")
        if deck:
            self._show(str(deck))
        if kind == "failed":
            return failure_in(message)
        if kind == "outputs":
            outputs = _literals(message.get("outputs"))
            write = self._write_offloaded if MIN_OFFLOADED in self._environ else write_outputs
            try:
                self._retry(lambda: write(self._store, prefix, outputs))
            except Unsendable as error:
                # A value has something in it, deep inside, that no message can hold: the task's fault.
                # Other codec errors are ours, and `run` reports them so.
                return ErrorInfo(
                    "USER:OutputTypeMismatch", f"The outputs cannot be sent: {error}", USER
                )
        elif kind == "dynamic":
            spec = self._futures(message)
            self._retry(lambda: write_futures(self._store, prefix, spec))
        elif kind != "ignored":
            raise PipeGarbage(
                f"The worker sent a {kind!r} message, which this release does not know.",
                code="SYSTEM:WorkerProtocol",
            )
        return None

    def _write_offloaded(
        self, store: BlobStore, prefix: str, outputs: "Mapping[str, Literal]"
    ) -> None:
        # Start-up: only attempts of backends that offload large values need it.
        from flyte_nb.runtime.offloading import write_offloaded

        write_offloaded(store, prefix, outputs, self._environ)

    def _show(self, deck: str) -> None:
        """Write the deck. A deck that cannot be written must not make the attempt lose its outputs."""
        try:
            self._retry(lambda: write_deck(self._store, self._options.output_prefix, deck))
        except StorageError as error:
            self._say(f"The deck could not be written: {error}\n")

    def _futures(self, message: "dict[str, Any]") -> bytes:
        # Start-up: the compiler and protobuf take 100 ms, and only dynamic tasks need them.
        from flyte_nb.runtime.dynamic import futures

        index_uri = self._options.index_file_location
        return futures(message, self._tasks, self._launch_plans, index_uri, self._environ)


def load_message(fetched: Fetched) -> "dict[str, Any]":
    """Return the message by which a worker, or a zygote, loads the fetched task."""
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
