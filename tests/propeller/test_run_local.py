"""Runs in place: the real SDK, types and wire below the same machine."""

import contextvars
import threading
from pathlib import Path

import pytest
from flyteidl.core.compiler_pb2 import CompiledWorkflowClosure
from flyteidl.core.literals_pb2 import LiteralMap
from google.protobuf import json_format

from flyte_nb import current_context, task, workflow  # noqa: F401 - `workflow` by the name authors know
from flyte_nb.api import phases
from flyte_nb.api.errors import ExecutionFailed, RecoverableError
from flyte_nb.propeller.cache import MemoryCatalog
from flyte_nb.propeller.executors.inprocess import InProcess
from flyte_nb.propeller.ports import Attempt
from flyte_nb.propeller.records import AttemptRecord, NodeRecord, WorkflowRecord
from flyte_nb.propeller.run import LocalSettings, run_local
from flyte_nb.testing import closures
from flyte_nb.testing.closures import chain, closure, integer, integers, node
from flyte_nb.testing.propeller_conformance import ERROR, ExecutorConformance, key
from flyte_nb.testing.waiting import PATIENCE_S
from flyte_nb.types.registry import default_registry
from flyte_nb.wire.identifiers import identifier_from_idl


@task
def add(x: int, y: int = 10) -> int:
    return x + y


@task
def fail(x: int) -> int:
    raise ValueError("seven is odd")


@task
def forty_two() -> int:
    return 42


ADD = closures.task("add", ["x"])
FAIL = closures.task("fail", ["x"], retries=3)
TASKS = {identifier_from_idl(ADD.id): add, identifier_from_idl(FAIL.id): fail}


class TestInProcessConforms(ExecutorConformance):
    can_hang = False
    survives = False
    measures = False
    keeps_limits = False
    has_gpus = False

    def make(self):
        tasks = {identifier_from_idl(ADD.id): forty_two, identifier_from_idl(FAIL.id): fail}
        return InProcess(tasks, default_registry())

    def attempt(self, behaviour, number=0):
        failing = behaviour == ERROR
        template = FAIL if failing else ADD
        inputs = integers(x=7) if failing else integers()
        return Attempt(
            key("e", number), identifier_from_idl(template.id), template, inputs, "", "memory:/"
        )


def run(made, inputs=None, tasks=TASKS, *, on_records=None, catalog=None, **settings):
    return run_local(
        made,
        inputs or integers(),
        tasks,
        default_registry(),
        on_records=on_records,
        catalog=catalog,
        settings=LocalSettings(**settings),
    )


def test_a_chain_runs_in_place():
    assert integer(run(chain(5, ADD), integers(x=1))) == 51


def test_what_happens_can_be_watched():
    seen = []
    run(chain(1, ADD), integers(x=1), on_records=seen.extend)
    assert [x.phase for x in seen if isinstance(x, WorkflowRecord)] == [
        "RUNNING",
        "SUCCEEDING",
        "SUCCEEDED",
    ]
    assert [x.phase for x in seen if isinstance(x, AttemptRecord)] == [
        "RUNNING",
        "SUCCEEDED",
    ]


def test_an_exception_of_a_task_leaves_the_run_as_itself_with_a_note_of_its_place():
    made = closure(closures.workflow("w", [node("n0", FAIL, {"x": 7})]), [FAIL])
    with pytest.raises(ValueError, match="seven is odd") as caught:
        run(made)
    assert caught.value.__notes__ == ["Raised by the task fail at node n0 of w."]
    assert caught.value.__cause__ is None
    last = caught.traceback[-1]
    assert last.name == "fail"
    with pytest.raises(ValueError, match="seven is odd"):
        run(made)


def test_what_would_end_the_kernel_becomes_the_cause_of_a_failure():
    @task
    def leave(x: int) -> int:
        raise SystemExit(3)

    made = closure(closures.workflow("w", [node("n0", FAIL, {"x": 7})]), [FAIL])
    with pytest.raises(ExecutionFailed) as caught:
        run(made, tasks={identifier_from_idl(FAIL.id): leave})
    assert (caught.value.node_id, caught.value.name) == ("n0", "w")
    assert caught.value.info.code == "USER:SystemExit"
    assert isinstance(caught.value.__cause__, SystemExit)


def test_a_recoverable_error_is_retried_and_told_when_it_was_the_last():
    tries = []

    @task
    def flaky(x: int) -> int:
        tries.append(x)
        if len(tries) < 3:
            raise RecoverableError("not yet")
        return x

    made = closure(closures.workflow("w", [node("n0", FAIL, {"x": 7})], {"o0": "n0"}), [FAIL])
    assert integer(run(made, tasks={identifier_from_idl(FAIL.id): flaky})) == 7
    assert len(tries) == 3
    tries.clear()
    once = closures.task("fail", ["x"])
    made = closure(closures.workflow("w", [node("n0", once, {"x": 7})]), [once])
    seen = []
    with pytest.raises(RecoverableError, match="not yet"):
        run(made, tasks={identifier_from_idl(FAIL.id): flaky}, on_records=seen.extend)
    assert seen[-1].error.message.startswith("[1/1] currentAttempt done. Last Error: USER::")
    assert seen[-1].error.code == "RetriesExhausted|USER:Recoverable"


def test_an_interrupt_in_user_code_ends_the_run_and_is_recorded():
    @task
    def interrupted(x: int) -> int:
        raise KeyboardInterrupt

    seen = []
    with pytest.raises(KeyboardInterrupt):
        run(
            chain(2, ADD),
            integers(x=1),
            {identifier_from_idl(ADD.id): interrupted},
            on_records=seen.extend,
        )
    assert seen[-1].phase == "ABORTED"
    assert {x.node_id: x.phase for x in seen if isinstance(x, NodeRecord)}["n0"] == "ABORTED"


def test_a_task_that_is_not_defined_here_says_what_to_do():
    with pytest.raises(ExecutionFailed, match="Run the cell that defines it"):
        run(chain(1, ADD), integers(x=1), {})


def test_a_sub_workflow_runs_in_place():
    inner = closures.workflow("inner", [node("n0", ADD, {"x": ".x"})], {"o0": "n0"}, inputs=["x"])
    nodes = [node("n0", inner, {"x": 1}), node("n1", ADD, {"x": "n0"})]
    made = closure(closures.workflow("w", nodes, {"o0": "n1"}), [ADD], [inner])
    assert integer(run(made)) == 21


def test_branches_run_in_place_one_inside_the_other():
    name = "039_core.control_flow.conditions.nested_conditions_2_wf.json"
    path = Path(__file__).resolve().parents[3] / "shared/vectors/snacks-core/compiled" / name
    if not path.exists():
        pytest.skip("the compiler vectors are not here")
    made = json_format.Parse(path.read_text(), CompiledWorkflowClosure())

    @task
    def double(n: float) -> float:
        return 2 * n

    @task
    def square(n: float) -> float:
        return n * n

    functions = {"double": double, "square": square}
    ids = [identifier_from_idl(compiled.template.id) for compiled in made.tasks]
    tasks = {id: functions[id.name.rpartition(".")[2]] for id in ids}

    def result(value):
        inputs = LiteralMap()
        inputs.literals["my_input"].scalar.primitive.float_value = value
        outputs = run(made, inputs, tasks)
        return outputs.literals["o0"].scalar.primitive.float_value

    seen = []
    assert [result(value) for value in (0.25, 0.625, 5.0, 20.0)] == [0.5, 0.390625, 25.0, 40.0]
    with pytest.raises(ExecutionFailed, match=r"Only <0\.7 allowed"):
        result(0.75)
    inputs = LiteralMap()
    inputs.literals["my_input"].scalar.primitive.float_value = 0.25
    run(made, inputs, tasks, on_records=seen.extend)
    nodes = {x.node_id: x for x in seen if isinstance(x, NodeRecord)}
    inner = nodes["n0-0-n0-n0"]
    assert (inner.spec_node_id, inner.parent_id, inner.kind) == ("n0-n0", "n0", "branch")
    assert nodes["n0"].is_parent
    assert {x.phase for x in nodes.values()} == {"SUCCEEDED"}
    assert sum(x.kind == "task" for x in nodes.values()) == 1


def test_a_discoverable_task_runs_once_for_equal_inputs():
    calls = []

    @task
    def counted(x: int) -> int:
        calls.append(x)
        return x + 1

    cached = closures.task("add", ["x"], cache_version="1")
    tasks = {identifier_from_idl(cached.id): counted}
    catalog = MemoryCatalog()
    seen = []
    for x in (1, 1, 2):
        run(chain(1, cached), integers(x=x), tasks, catalog=catalog, on_records=seen.extend)
    assert calls == [1, 2]
    ends = [
        x
        for x in seen
        if isinstance(x, NodeRecord) and x.node_id == "n0" and x.phase == phases.SUCCEEDED
    ]
    assert [x.cache_status for x in ends] == ["CACHE_POPULATED", "CACHE_HIT", "CACHE_POPULATED"]
    again = closures.task("add", ["x"], cache_version="2")
    run(chain(1, again), integers(x=1), tasks, catalog=catalog)
    assert calls == [1, 2, 1]


def fan(width, template):
    """Return a workflow of so many independent nodes; its output is that of the first."""
    nodes = [node(f"n{number}", template, {"x": number}) for number in range(width)]
    return closure(closures.workflow("fan", nodes, {"o0": "n0"}), [template])


def test_independent_tasks_run_side_by_side():
    together = threading.Barrier(3)

    @task
    def meet(x: int) -> int:
        together.wait(PATIENCE_S)
        return x

    seen = run(fan(3, ADD), tasks={identifier_from_idl(ADD.id): meet}, slots=3)
    assert integer(seen) == 0


def test_with_one_slot_all_tasks_run_in_the_callers_thread_in_order():
    seen = []

    @task
    def note(x: int) -> int:
        seen.append((x, threading.current_thread()))
        return x

    run(fan(3, ADD), tasks={identifier_from_idl(ADD.id): note}, slots=1)
    assert seen == [(number, threading.current_thread()) for number in range(3)]


def test_a_lone_task_runs_in_the_callers_thread_whatever_the_slots():
    seen = []

    @task
    def note(x: int) -> int:
        seen.append(threading.current_thread())
        return x

    run(chain(3, ADD), integers(x=1), {identifier_from_idl(ADD.id): note}, slots=8)
    assert seen == [threading.current_thread()] * 3


def test_max_parallelism_limits_what_runs_side_by_side():
    lock, running, most = threading.Lock(), set(), []

    @task
    def count(x: int) -> int:
        with lock:
            running.add(x)
            most.append(len(running))
        with lock:
            running.discard(x)
        return x

    tasks = {identifier_from_idl(ADD.id): count}
    run(fan(8, ADD), tasks=tasks, slots=8, max_parallelism=2)
    assert max(most) <= 2


def test_a_task_in_a_thread_sees_the_callers_context_variables():
    variable = contextvars.ContextVar("variable", default="")
    variable.set("callers")
    seen = []

    @task
    def note(x: int) -> int:
        seen.append(variable.get())
        return x

    run(fan(2, ADD), tasks={identifier_from_idl(ADD.id): note}, slots=2)
    assert seen == ["callers"] * 2


def test_a_task_that_takes_too_long_is_interrupted_and_tried_again():
    template = closures.task("add", ["x"], retries=1, timeout_s=0.05)
    ends = []

    @task
    def forever(x: int) -> int:
        try:
            while True:
                threading.Event().wait(0.001)
        finally:
            ends.append(x)

    tasks = {identifier_from_idl(template.id): forever}
    with pytest.raises(ExecutionFailed, match=r"task execution timeout \[50ms\] expired") as caught:
        run(fan(1, template), tasks=tasks)
    assert caught.value.info.code == "RetriesExhausted|TimeoutExpired"
    assert ends == [0, 0]


def test_a_task_that_cannot_be_interrupted_is_given_up_and_its_result_is_not_used(caplog):
    template = closures.task("add", ["x"], timeout_s=0.01)
    gate = threading.Lock()
    gate.acquire()

    @task
    def stuck(x: int) -> int:
        gate.acquire()
        return x

    executor = InProcess(
        {identifier_from_idl(template.id): stuck}, default_registry(), grace_s=0.01
    )
    attempt = Attempt(
        key("e"), identifier_from_idl(template.id), template, integers(x=1), "", "", timeout_us=1
    )
    executor.start(attempt)
    assert executor.poll() == []
    executor.kill(attempt.key)
    executor.wait()
    (report,) = executor.poll()
    assert report.error.code == "SYSTEM:Interrupted"
    assert "does not react" in caplog.text
    gate.release()
    executor.wait()
    assert executor.poll() == []
    executor.close()


def test_when_a_task_fails_those_beside_it_are_interrupted():
    started, seen = threading.Event(), []

    @task
    def forever(x: int) -> int:
        started.set()
        while True:
            threading.Event().wait(0.001)

    @task
    def fails(x: int) -> int:
        assert started.wait(PATIENCE_S)
        raise ValueError("no")

    nodes = [node("n0", ADD, {"x": 1}), node("n1", FAIL, {"x": 1})]
    made = closure(closures.workflow("w", nodes, {"o0": "n0"}), [ADD, FAIL])
    tasks = {identifier_from_idl(ADD.id): forever, identifier_from_idl(FAIL.id): fails}
    with pytest.raises(ValueError, match="no"):
        run(made, tasks=tasks, slots=2, on_records=seen.extend)
    ends = {x.node_id: x.phase for x in seen if isinstance(x, NodeRecord)}
    assert (ends["n0"], ends["n1"]) == ("ABORTED", "FAILED")


def test_an_interrupt_of_a_task_in_a_thread_ends_the_run():
    started = threading.Event()

    @task
    def forever(x: int) -> int:
        started.set()
        while True:
            threading.Event().wait(0.001)

    @task
    def interrupts(x: int) -> int:
        assert started.wait(PATIENCE_S)
        raise KeyboardInterrupt

    nodes = [node("n0", ADD, {"x": 1}), node("n1", FAIL, {"x": 1})]
    made = closure(closures.workflow("w", nodes, {"o0": "n0"}), [ADD, FAIL])
    tasks = {identifier_from_idl(ADD.id): forever, identifier_from_idl(FAIL.id): interrupts}
    seen = []
    with pytest.raises(KeyboardInterrupt, match="nothing of it goes on"):
        run(made, tasks=tasks, slots=2, on_records=seen.extend)
    assert seen[-1].phase == "ABORTED"


def test_the_context_says_which_attempt_runs_and_keeps_checkpoints_between_attempts():
    seen = []

    @task
    def flaky(x: int) -> int:
        context = current_context()
        seen.append((context.attempt, context.checkpoint.read()))
        context.checkpoint.write(b"%d" % context.attempt)
        assert context.execution_id.name == "local"
        assert context.task_id == identifier_from_idl(FAIL.id)
        assert context.workflow_id.name == "w"
        if context.attempt < 2:
            raise RecoverableError("not yet")
        return x

    made = closure(closures.workflow("w", [node("n0", FAIL, {"x": 7})], {"o0": "n0"}), [FAIL])
    assert integer(run(made, tasks={identifier_from_idl(FAIL.id): flaky})) == 7
    assert seen == [(0, None), (1, b"0"), (2, b"1")]


def test_a_lone_task_keeps_no_gate_from_its_time():
    passed = threading.Event()

    @task
    def waits(x: int) -> int:
        assert passed.wait(PATIENCE_S)
        return x

    @task
    def passes(x: int) -> int:
        passed.set()
        return x

    nodes = [
        node("n0", ADD, {"x": 1}),
        closures.gate("n1", sleep_s=0.01),
        node("n2", FAIL, {"x": 1}, after=["n1"]),
    ]
    made = closure(closures.workflow("w", nodes, {"o0": "n0"}), [ADD, FAIL])
    tasks = {identifier_from_idl(ADD.id): waits, identifier_from_idl(FAIL.id): passes}
    assert integer(run(made, tasks=tasks, slots=2)) == 1
