"""One execution here and now: `wf(n=3)` in a notebook, by the same machine as everywhere."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flyteidl.core.compiler_pb2 import CompiledWorkflowClosure
from flyteidl.core.literals_pb2 import LiteralMap

from flyte_nb.api.identifiers import Identifier
from flyte_nb.api.ports import DataAccess
from flyte_nb.propeller.ports import Catalog
from flyte_nb.propeller.records import Record


def run_local(
    closure: CompiledWorkflowClosure,
    inputs: LiteralMap,
    tasks: Mapping[Identifier, Any],
    registry: Any,
    *,
    data: "DataAccess | None" = None,
    catalog: "Catalog | None" = None,
    on_records: "Callable[[Sequence[Record]], None] | None" = None,
) -> LiteralMap:
    """Run the workflow in this thread and return its outputs.

    Tasks run one after the other, in memory; nothing is written but what tasks write themselves.

    Args:
        closure: The compiled workflow.
        inputs: Every input, defaults merged in.
        tasks: The `sdk` tasks by the identifier the closure's templates have.
        registry: The `types` registry that encodes and decodes their values.
        data: How values that are files are moved; `None` when there are none.
        catalog: Results of discoverable tasks; `None` means nothing is cached.
        on_records: Sees the records as they happen, for a live display.

    Raises:
        CompileFailed: when the closure has something this engine cannot run.
        ExecutionFailed: when the run did not succeed; its message shows the user's own error, and it
            is raised from the user's own exception.
        KeyboardInterrupt: when user code or the person interrupted; nothing is left running.
    """
    raise NotImplementedError
