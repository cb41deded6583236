"""Run tasks by calling them: in this process, in the caller's thread, one after the other."""

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from flyteidl.core.literals_pb2 import LiteralMap

from flyte_nb.api import literals
from flyte_nb.api.errors import SYSTEM, CodecError, ErrorInfo, TaskFailed
from flyte_nb.api.identifiers import Identifier
from flyte_nb.api.literals import Literal
from flyte_nb.api.ports import DataAccess
from flyte_nb.propeller.ports import Attempt, AttemptKey, AttemptReport, Started
from flyte_nb.sdk.execution_context import ExecutionContext, context_from
from flyte_nb.sdk.task import AnyTask
from flyte_nb.wire.literals import literal_map_from_idl, literal_map_to_idl
from flyte_nb.worker.call import call
from flyte_nb.worker.inner import InnerRunner
from flyte_nb.worker.kept_files import KeptFiles

if TYPE_CHECKING:
    from flyte_nb.types.registry import Registry


class InProcess:
    """The executor of `wf(n=3)` in a notebook. Its `start` returns when the task has ended.

    A `KeyboardInterrupt` in a task leaves `start`, and no report follows. Timeouts and `kill` have no
    effect, because a call in this thread cannot be ended from outside.
    """

    slots = 1
    in_memory = True

    def __init__(
        self,
        tasks: Mapping[Identifier, AnyTask],
        registry: "Registry",
        data: "DataAccess | None" = None,
    ) -> None:
        """Make an executor.

        Args:
            tasks: The SDK's tasks by the identifiers of their templates.
            registry: Encodes and decodes their values.
            data: Moves values that are files; `None` when there are none.
        """
        self._tasks = tasks
        self._registry = registry
        self._data = data
        self._reports: list[AttemptReport] = []
        self._files: dict[str, KeptFiles] = {}  # by node

    def listen(self, wake: Callable[[], None]) -> None:
        """Do nothing: nothing happens between `start` and `poll`, so nobody has to be woken."""

    def start(self, attempt: Attempt) -> Started:
        """Call the task; its report is ready when this returns.

        Raises:
            TaskFailed: when this process does not have the task.
        """
        key = attempt.key
        task = self._tasks.get(attempt.task_id)
        if task is None:
            text = f"The task {attempt.task_id.name} is not defined here. Run the cell that defines it."
            raise TaskFailed(ErrorInfo("SYSTEM:TaskNotDefined", text, SYSTEM))
        try:
            runner = InnerRunner(self._registry, self._data, lambda: self._context(key))
            inputs = _from_idl(attempt.inputs)
            outputs = _to_idl(call(task, inputs, self._registry, self._data, runner=runner))
        except TaskFailed as failure:
            report = AttemptReport(key, error=failure.info, cause=failure.__cause__)
        except CodecError as error:
            info = ErrorInfo("SYSTEM:LiteralNotReadable", str(error), SYSTEM)
            report = AttemptReport(key, error=info, cause=error)
        else:
            report = AttemptReport(key, outputs)
        self._reports.append(report)
        return Started()

    def adopt(self, attempt: Attempt) -> "Started | None":
        """Return `None`: nothing outlives this process, so nothing can be taken over."""
        return None

    def poll(self) -> list[AttemptReport]:
        """Return the reports since the last call."""
        reports, self._reports = self._reports, []
        return reports

    def kill(self, key: AttemptKey) -> None:
        """Do nothing: a call in this thread cannot be ended."""

    def close(self) -> None:
        """Remove the checkpoints that attempts saved for later ones."""
        for files in self._files.values():
            files.close()
        self._files.clear()

    def _context(self, key: AttemptKey) -> ExecutionContext:
        """Return what `current_context()` gives in an attempt. It is made only for tasks that ask for it."""
        files = self._files.setdefault(key.node_id, KeptFiles())
        return files.begin(key.attempt, context_from(os.environ))


def _from_idl(inputs: LiteralMap) -> dict[str, Literal]:
    """Do what `literal_map_from_idl` does, ten times faster when there are only plain scalars."""
    found = {}
    for name, literal in inputs.literals.items():
        primitive = literal.scalar.primitive
        kind = primitive.WhichOneof("value")
        if kind not in _PLAIN or literal.hash:
            return literal_map_from_idl(inputs)
        found[name] = Literal(kind, getattr(primitive, kind))
    return found


def _to_idl(outputs: dict[str, Literal]) -> LiteralMap:
    """Do what `literal_map_to_idl` does, ten times faster when there are only plain scalars."""
    made = LiteralMap()
    try:
        for name, (kind, value, digest) in outputs.items():
            if kind not in _PLAIN or digest:
                return literal_map_to_idl(outputs)
            setattr(made.literals[name].scalar.primitive, kind, value)
    except (TypeError, ValueError):
        return literal_map_to_idl(outputs)  # its error says what is wrong, and where
    return made


_PLAIN = frozenset({literals.INTEGER, literals.FLOAT, literals.STRING, literals.BOOLEAN})
