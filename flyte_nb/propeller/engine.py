"""The engine: executions in, records out. One driver thread moves all executions of a process."""

from collections.abc import Mapping
from typing import NamedTuple

from flyteidl.core.compiler_pb2 import CompiledWorkflowClosure
from flyteidl.core.literals_pb2 import LiteralMap

from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.api.ports import BlobStore
from flyte_nb.propeller.ports import Catalog, Clock, Executor, Recorder


class Launch(NamedTuple):
    """One execution to run. After a restart `Engine.resume` wants the same value again."""

    id: ExecutionId
    closure: CompiledWorkflowClosure
    inputs: LiteralMap
    """Every input of the workflow, defaults and fixed inputs merged in."""
    raw_output_prefix: str = ""
    """Where tasks put files; empty: `<data_root>/raw`."""
    envs: Mapping[str, str] = {}
    max_parallelism: int = 0
    """Task nodes that may run at a time in this execution; 0 means 25, as FlyteAdmin's default."""
    overwrite_cache: bool = False


class Engine:
    """Runs executions until they end; survives `kill -9` by its recorder's history.

    Every change is recorded before it is acted on. Records of one execution come in order and from
    one thread. The engine owns one thread, `flyte-nb-propeller`, from construction to `close`.
    """

    def __init__(
        self,
        recorder: Recorder,
        executor: Executor,
        store: BlobStore,
        data_root: str,
        *,
        catalog: "Catalog | None" = None,
        clock: "Clock | None" = None,
    ) -> None:
        """Start the driver thread.

        Args:
            recorder: Where changes are kept.
            executor: Who runs attempts; the engine closes it.
            store: Where inputs and outputs lie.
            data_root: URI below which `metadata/propeller/<project>-<domain>-<execution>/…` is written.
            catalog: Results of discoverable tasks; `None` means nothing is cached.
            clock: The time; `None` means the system's.
        """
        raise NotImplementedError

    def launch(self, launch: Launch) -> None:
        """Start a new execution; returns at once.

        Raises:
            CompileFailed: when the closure has something this engine cannot run; every reason is in it.
            UsageError: when an execution of this id is running here, or the engine is closed.
        """
        raise NotImplementedError

    def resume(self, launch: Launch) -> None:
        """Go on with an execution after a restart: replay its history, adopt what still runs.

        An execution without history starts anew; one that has ended is left alone. Raises as `launch`.
        """
        raise NotImplementedError

    def terminate(self, id: ExecutionId, cause: str) -> bool:
        """Abort an execution: ABORTING is recorded, running attempts are ended, then ABORTED.

        Returns at once: whether that execution runs here. ABORTING is recorded by the driver thread;
        a caller that must not lose the request keeps it itself and asks again after a restart.
        """
        raise NotImplementedError

    def running(self) -> frozenset[ExecutionId]:
        """The executions that have not ended."""
        raise NotImplementedError

    def wait(self, id: ExecutionId, timeout_s: "float | None" = None) -> bool:
        """Wait until that execution has ended and its last record is kept; `False` when time ran out."""
        raise NotImplementedError

    def close(self) -> None:
        """Stop the driver thread; running attempts go on and can be resumed. May be called twice."""
        raise NotImplementedError
