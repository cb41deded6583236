"""Run one execution in this process: `wf(n=3)` in a notebook.

It is the same machine and driver as in a backend, with an executor that calls tasks and a recorder that
forgets. So caching, retries, conditions and errors mean the same in both.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from flyteidl.core.compiler_pb2 import CompiledWorkflowClosure
from flyteidl.core.literals_pb2 import LiteralMap

from flyte_nb.api import phases
from flyte_nb.api.errors import SYSTEM, ErrorInfo, ExecutionFailed
from flyte_nb.api.identifiers import ExecutionId, Identifier
from flyte_nb.api.ports import DataAccess
from flyte_nb.propeller.data_layout import DataLayout
from flyte_nb.propeller.driver import Driver
from flyte_nb.propeller.executors.inprocess import InProcess
from flyte_nb.propeller.launch import Launch
from flyte_nb.propeller.literal_store import Values
from flyte_nb.propeller.plan import ExecutionPlan, plan_of
from flyte_nb.propeller.ports import Catalog
from flyte_nb.propeller.records import Record
from flyte_nb.sdk.task import AnyTask
from flyte_nb.worker.failures import user_frames

if TYPE_CHECKING:
    from flyte_nb.types.registry import Registry


def run_local(
    closure: "CompiledWorkflowClosure | ExecutionPlan",
    inputs: LiteralMap,
    tasks: Mapping[Identifier, AnyTask],
    registry: "Registry",
    *,
    data: "DataAccess | None" = None,
    catalog: "Catalog | None" = None,
    on_records: "Callable[[Sequence[Record]], None] | None" = None,
) -> LiteralMap:
    """Run the workflow in this thread and return its outputs.

    Tasks run one after the other. Values stay in memory: only the tasks themselves write files.

    Args:
        closure: The compiled workflow, or its plan from an earlier run (`plan_of`).
        inputs: Every input, with defaults merged in.
        tasks: The SDK's tasks, by the identifiers that the closure's templates have.
        registry: Encodes and decodes their values.
        data: Moves values that are files; `None` when there are none.
        catalog: Keeps results of discoverable tasks; `None` means that nothing is cached.
        on_records: Is called with the records as they are made, for a live display.

    Raises:
        CompileFailed: when the closure has nodes that this engine cannot run.
        ExecutionFailed: when the execution did not succeed. Its message shows the user's own error,
            and its cause is the user's own exception.
        KeyboardInterrupt: when the person interrupted, or user code raised it. Nothing is left running.
    """
    plan = plan_of(closure) if isinstance(closure, CompiledWorkflowClosure) else closure
    name = plan.workflow_id.name
    launch = Launch(ExecutionId("", "", name), CompiledWorkflowClosure(), inputs)
    values = Values(None)
    executor = InProcess(tasks, registry, data)
    driver = Driver(
        launch,
        plan,
        DataLayout("memory:/", launch.id),
        values,
        recorder=_Onlooker(on_records),
        executor=executor,
        clock=_now_us,
        catalog=catalog,
    )
    try:
        while not driver.done:
            driver.step(1)
            for report in executor.poll():
                driver.report(report)
    except KeyboardInterrupt as error:
        driver.interrupt("Interrupted.")
        # The traceback shows the person's own code only. Ours says nothing about where it was.
        frames = user_frames(error.__traceback__)
        text = f"{name} was interrupted. It ran in this process, and nothing of it goes on."
        raise KeyboardInterrupt(str(error) or text).with_traceback(frames) from None
    finally:
        executor.close()
    if driver.machine.phase == phases.SUCCEEDED:
        return values.get(driver.machine.output_uri)
    raise _failure(driver, name) from _without_our_frames(driver.cause)


class _Onlooker:
    """A recorder that shows records and keeps none: an execution in this process ends with it."""

    def __init__(self, on_records: "Callable[[Sequence[Record]], None] | None") -> None:
        self._on_records = on_records

    def record(self, execution: ExecutionId, records: Sequence[Record]) -> None:
        """Show the records."""
        if self._on_records is not None:
            self._on_records(records)

    def history(self, execution: ExecutionId) -> Sequence[Record]:
        """Return no records."""
        return ()


def _failure(driver: Driver, name: str) -> ExecutionFailed:
    machine = driver.machine
    info = machine.error or ErrorInfo("SYSTEM:Unknown", "It failed without an error.", SYSTEM)
    # A sub-workflow fails because a node in it failed. The person wants to see that one.
    failed = [
        node
        for node in machine.nodes.values()
        if node.phase in (phases.FAILED, phases.TIMED_OUT) and node.child is None
    ]
    if not failed:
        return ExecutionFailed(f"{name} failed: {info.message}", info=info, name=name)
    node = failed[-1]
    text = f"{name} failed at {node.plan.name} ({node.node_id}): {info.message}"
    return ExecutionFailed(text, info=info, node_id=node.node_id, name=name)


def _without_our_frames(cause: "BaseException | None") -> "BaseException | None":
    return cause.with_traceback(user_frames(cause.__traceback__)) if cause else None


def _now_us() -> int:
    return time.time_ns() // 1000
