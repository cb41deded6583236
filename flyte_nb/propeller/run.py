"""Run one execution in this process: `wf(n=3)` in a notebook.

It is the same machine and driver as in a backend, with an executor that calls tasks and a recorder that
forgets. So caching, retries, conditions and errors mean the same in both.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from flyteidl.core.compiler_pb2 import CompiledWorkflowClosure
from flyteidl.core.literals_pb2 import LiteralMap

from flyte_nb.api import phases
from flyte_nb.api.errors import SYSTEM, ErrorInfo, ExecutionFailed
from flyte_nb.api.identifiers import TASK, ExecutionId, Identifier
from flyte_nb.api.ports import DataAccess
from flyte_nb.propeller.driver import Driver
from flyte_nb.propeller.elements import ElementsRun
from flyte_nb.propeller.executors.inprocess import InProcess
from flyte_nb.propeller.launch import Launch
from flyte_nb.propeller.local_children import FormerRuns, LocalRuns
from flyte_nb.propeller.local_entities import LocalEntities
from flyte_nb.propeller.local_gates import Answerer, LocalGates
from flyte_nb.propeller.local_launch_plans import Find
from flyte_nb.propeller.plan import ExecutionPlan, plan_of
from flyte_nb.propeller.ports import Catalog, Clock
from flyte_nb.propeller.records import Record
from flyte_nb.propeller.reservations import Reservations
from flyte_nb.propeller.state import NodeState
from flyte_nb.sdk.task import AnyTask
from flyte_nb.worker.failures import user_frames

if TYPE_CHECKING:
    from flyte_nb.types.registry import Registry

LOCAL = "local"
"""The name of executions in this process, as `current_context()` shows it; flytekit's is the same."""

_ASK_AGAIN_S = 0.02
"""How soon to look again for a result that another run of this process computes."""


class LocalSettings(NamedTuple):
    """How a run in this process differs from the usual one."""

    slots: int = 1
    """How many tasks run side by side, in threads. With 1, all run in the calling thread."""
    max_parallelism: int = 0
    """How many task nodes may be active at a time; 0 means 25, FlyteAdmin's default."""
    overwrite_cache: bool = False
    """Whether tasks run although their results are known, and replace them."""
    name: str = LOCAL
    """The execution's name."""
    former: "FormerRuns | None" = None
    """What is recovered: nodes that succeeded there are taken over."""
    on_end: "Callable[[LocalRuns], None] | None" = None
    """Gets the runs when they have ended, also after a failure."""
    answerer: "Answerer | None" = None
    """Who answers gates; `None` lets them fail."""
    watch: "Callable[[ExecutionId, Sequence[Record]], None] | None" = None
    """Is called with the records of every execution as they are made."""
    clock: "Clock | None" = None
    """Tells the time in a test; `None` means the real time."""
    sleep: Callable[[float], None] = time.sleep
    """Passes the time while nothing runs."""


def run_local(
    closure: "CompiledWorkflowClosure | ExecutionPlan",
    inputs: LiteralMap,
    tasks: "LocalEntities | Mapping[Identifier, AnyTask]",
    registry: "Registry",
    *,
    data: "DataAccess | None" = None,
    catalog: "Catalog | None" = None,
    on_records: "Callable[[Sequence[Record]], None] | None" = None,
    reservations: "Reservations | None" = None,
    settings: "LocalSettings | None" = None,
    launch_plans: "Find | None" = None,
) -> LiteralMap:
    """Run the workflow in this process, with all values in memory, and return its outputs.

    Args:
        closure: The compiled workflow, or its plan from an earlier run (`plan_of`).
        inputs: Every input, with defaults merged in.
        tasks: The SDK's tasks, by the identifiers that the closure's templates have.
        registry: Encodes and decodes their values.
        data: Moves values that are files; `None` when there are none.
        catalog: Keeps results of discoverable tasks; `None` means that nothing is cached.
        on_records: Is called with the records as they are made, for a live display.
        reservations: Which results are being computed in this process; `None` means in this run only.
        settings: How to run it; `None` means the defaults of `LocalSettings`.
        launch_plans: Finds the launch plans that nodes start; `None` asks `tasks`, if these are entities.

    Raises:
        CompileFailed: when the closure has nodes that this engine cannot run.
        ExecutionFailed: when the execution did not succeed, and no task's function raised for it.
        Exception: the exception of the task that the execution failed at, with a note that names the node.
        KeyboardInterrupt: when the person interrupted, or user code raised it.
        UsageError: when a variable that limits what dynamic tasks make is no number.
    """
    __tracebackhide__ = True  # the exception of a task is read without our frames
    plan = plan_of(closure) if isinstance(closure, CompiledWorkflowClosure) else closure
    chosen = settings or LocalSettings()
    launch = _launch(plan.workflow_id, inputs, chosen)
    entities = tasks if isinstance(tasks, LocalEntities) else LocalEntities(tasks)
    executor = _executor(entities, registry, data, chosen, plan.workflow_id)
    gates = LocalGates(chosen.answerer or Answerer())
    runs = LocalRuns(
        launch_plans or entities.launch_plan,
        recorder=_Onlooker(on_records, chosen.watch),
        executor=executor,
        clock=chosen.clock or _now_us,
        catalog=catalog,
        reservations=reservations or Reservations(),
        interfaces=entities.interface,
        is_watched=on_records is not None or chosen.watch is not None,
        former=chosen.former,
        signals=gates.signals,
    )
    driver = runs.add(launch, plan)
    _run_to_end(driver, runs, executor, gates, chosen)
    ended = runs.state(launch.id)
    if ended is not None and ended.outputs is not None:
        return ended.outputs
    raise _failure(driver, runs)


def _executor(
    entities: LocalEntities,
    registry: "Registry",
    data: "DataAccess | None",
    chosen: LocalSettings,
    workflow_id: Identifier,
) -> InProcess:
    return InProcess(
        entities,
        registry,
        data,
        slots=chosen.slots,
        workflow_id=workflow_id,
        former=chosen.former.files if chosen.former is not None else None,
    )


def _launch(workflow: Identifier, inputs: LiteralMap, chosen: LocalSettings) -> Launch:
    return Launch(
        ExecutionId(workflow.project, workflow.domain, chosen.name),
        CompiledWorkflowClosure(),
        inputs,
        max_parallelism=chosen.max_parallelism,
        overwrite_cache=chosen.overwrite_cache,
    )


def _run_to_end(
    driver: Driver,
    runs: LocalRuns,
    executor: InProcess,
    gates: LocalGates,
    chosen: LocalSettings,
) -> None:
    """Step the execution until it has ended, or until the person interrupts it."""
    try:
        _drive(runs, executor, gates, chosen)
    except KeyboardInterrupt as error:
        _interrupted(driver, runs, executor, error)
    finally:
        for each in runs.open:
            each.turns.release_all()
        gates.close()
        if chosen.on_end is not None:
            runs.files = executor.release_files()
            chosen.on_end(runs)
        executor.close()


def _drive(runs: LocalRuns, executor: InProcess, gates: LocalGates, chosen: LocalSettings) -> None:
    """Step the execution, and those that its nodes started, until they have ended."""
    while True:
        runs.call_in_place()
        free, is_over = executor.slots, False
        for each in runs.open:
            free -= each.attempts
        for each in runs.open:
            free -= each.step(max(0, free))
            is_over = is_over or each.done
        if is_over and runs.settle():
            if not runs.open:
                return
            continue  # what waited for an execution can go on
        if gates.attend(runs.open):
            continue
        # With one slot the person wants everything in the calling thread.
        executor.may_not_block = executor.slots > 1 and any(
            each.machine.gates for each in runs.open
        )
        reports = executor.poll()
        if not reports:
            _pause(runs, executor, gates, chosen)
            for each in runs.open:
                each.expire()
            continue
        for report in reports:
            owner = runs.driver(report.key.execution)
            if owner is not None:
                owner.report(report)


def _pause(runs: LocalRuns, executor: InProcess, gates: LocalGates, chosen: LocalSettings) -> None:
    """Wait until a thread reports, a person answers, or something has to be done because of the time."""
    times = [
        limit
        for each in runs.open
        for limit in (each.deadline_us(), each.outbox.retry_at_us)
        if limit
    ]
    now = (chosen.clock or _now_us)()
    pause_s = max(0.0, (min(times) - now) / 1e6) if times else None
    if pause_s is not None and chosen.clock is not None and executor.is_busy:
        pause_s = min(_ASK_AGAIN_S, pause_s)  # that clock may be set forward meanwhile
    is_answerable = gates.is_asking and executor.is_busy
    if is_answerable or any(each.turns.is_waiting for each in runs.open):
        pause_s = min(_ASK_AGAIN_S, pause_s or _ASK_AGAIN_S)
    if executor.is_busy:
        executor.wait(pause_s)
    elif gates.is_asking:
        gates.wait(pause_s)
    elif pause_s is not None:
        chosen.sleep(pause_s)


def _interrupted(
    driver: Driver, runs: LocalRuns, executor: InProcess, error: KeyboardInterrupt
) -> NoReturn:
    """Record the end of an execution that the person interrupted, and raise what the person sees."""
    left = executor.interrupt()
    for each in runs.open:
        each.interrupt("Interrupted.")
    name = driver.machine.plan.workflow_id.name
    end = "It ran in this process, and nothing of it goes on."
    if left:
        end = f"Still in a thread, until what it waits for returns: {', '.join(left)}."
    # The traceback shows the person's own code only. Ours says nothing about where it was.
    frames = user_frames(error.__traceback__)
    text = str(error) or f"{name} was interrupted. {end}"
    raise KeyboardInterrupt(text).with_traceback(frames) from None


class _Onlooker:
    """A recorder that shows records and keeps none: an execution in this process ends with it."""

    def __init__(
        self,
        on_records: "Callable[[Sequence[Record]], None] | None",
        watch: "Callable[[ExecutionId, Sequence[Record]], None] | None",
    ) -> None:
        self._on_records, self._watch = on_records, watch

    def record(self, execution: ExecutionId, records: Sequence[Record]) -> None:
        """Show the records."""
        if self._on_records is not None:
            self._on_records(records)
        if self._watch is not None:
            self._watch(execution, records)

    def history(self, execution: ExecutionId) -> Sequence[Record]:
        """Return no records."""
        return ()


def _failure(driver: Driver, runs: LocalRuns) -> Exception:
    """Return the exception of the task that the execution failed at; without one, an `ExecutionFailed`."""
    workflow, error = driver.machine.plan.workflow_id, driver.machine.error
    info = error or ErrorInfo("SYSTEM:Unknown", "It failed without an error.", SYSTEM)
    node = _failed_node(driver, info)
    child = runs.driver(node.child_execution) if node is not None else None
    if child is not None and child.machine.phase == phases.FAILED:
        return _failure(child, runs)  # that is where it failed
    cause = driver.causes.get(_raiser(node)) if node is not None else None
    if node is not None and isinstance(cause, Exception):
        cause.__traceback__ = user_frames(cause.__traceback__)
        _add_note(cause, _place(node, workflow))
        return cause
    name, node_id, place = workflow.name, "", ""
    if node is not None:
        node_id = node.node_id
        place = "" if _is_alone(workflow) else f" at {node.plan.name} ({node_id})"
    text = f"{name} failed{place}: {info.message}"
    failed = ExecutionFailed(text, info=info, node_id=node_id, name=name)
    # What is no `Exception`, such as SystemExit, would end the kernel or the script.
    failed.__cause__ = cause
    return failed


def _failed_node(driver: Driver, info: ErrorInfo) -> "NodeState | None":
    """Return the node that the execution failed at: a sub-workflow fails because a node in it failed."""
    failed = [
        node
        for node in driver.machine.nodes.values()
        if node.phase in (phases.FAILED, phases.TIMED_OUT)
        and (node.child is None or node.plan.array is not None)
    ]
    for node in failed:
        if node.error == info:
            return node
    return failed[-1] if failed else None


def _raiser(node: NodeState) -> str:
    """Return the id of the node whose task raised: of a map, that of the element that failed last."""
    if isinstance(node.child, ElementsRun) and node.child.errors:
        return node.child.element(list(node.child.errors)[-1]).node_id
    return node.node_id


def _place(node: NodeState, workflow: Identifier) -> str:
    """Return the sentence that says where an exception was raised; empty when that is clear."""
    run = node.child
    if isinstance(run, ElementsRun) and run.errors:
        number = list(run.errors)[-1]
        times = f" in attempt {run.attempts[number] + 1}" if run.attempts[number] else ""
        place = f"Raised{times} by element {number} of {run.size} of {node.plan.name}"
        return (
            f"{place}."
            if _is_alone(workflow)
            else f"{place}, node {node.node_id} of {workflow.name}."
        )
    times = f" in attempt {node.attempts}" if node.attempts > 1 else ""
    if _is_alone(workflow) and node.run.parent is None:
        return f"Raised{times} at {workflow.name}." if times else ""
    task = node.plan.task_id.name if node.plan.task_id is not None else node.plan.name
    return f"Raised{times} by the task {task} at node {node.node_id} of {workflow.name}."


def _is_alone(workflow: Identifier) -> bool:
    """Return whether a task was called by itself."""
    return workflow.resource_type == TASK


def _add_note(error: BaseException, note: str) -> None:
    """Add the note to the exception, once: an author may raise one object in several runs."""
    notes = getattr(error, "__notes__", ())
    if not note or note in notes:
        return
    # `add_note` came with Python 3.11. Earlier, IPython and pytest show this attribute all the same.
    with suppress(AttributeError, TypeError):
        vars(error)["__notes__"] = [*notes, note]


def _now_us() -> int:
    return time.time_ns() // 1000
