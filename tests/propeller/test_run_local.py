"""Runs in place: the real SDK, types and wire below the same machine."""

from pathlib import Path

import pytest
from flyteidl.core.compiler_pb2 import CompiledWorkflowClosure
from flyteidl.core.literals_pb2 import LiteralMap
from google.protobuf import json_format

from flyte_nb import task, workflow  # noqa: F401 - `workflow` by the name authors know
from flyte_nb.api import phases
from flyte_nb.api.errors import ExecutionFailed, RecoverableError
from flyte_nb.propeller.cache import MemoryCatalog
from flyte_nb.propeller.executors.inprocess import InProcess
from flyte_nb.propeller.ports import Attempt
from flyte_nb.propeller.records import AttemptRecord, NodeRecord, WorkflowRecord
from flyte_nb.propeller.run import run_local
from flyte_nb.testing import closures
from flyte_nb.testing.closures import chain, closure, integer, integers, node
from flyte_nb.testing.propeller_conformance import ERROR, ExecutorConformance, key
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


def run(made, inputs=None, tasks=TASKS, **options):
    return run_local(made, inputs or integers(), tasks, default_registry(), **options)


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


def test_the_users_own_exception_is_the_cause_and_in_the_message():
    made = closure(closures.workflow("w", [node("n0", FAIL, {"x": 7})]), [FAIL])
    with pytest.raises(ExecutionFailed) as caught:
        run(made)
    error = caught.value
    assert "seven is odd" in str(error)
    assert error.node_id == "n0"
    assert error.name == "w"
    assert error.info.code == "USER:ValueError"
    assert isinstance(error.__cause__, ValueError)
    assert error.__cause__.__traceback__.tb_frame.f_code.co_name == "fail"
    assert error.__cause__.__traceback__.tb_next is None


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
    with pytest.raises(
        ExecutionFailed, match=r"\[1/1\] currentAttempt done. Last Error: USER::"
    ) as caught:
        run(made, tasks={identifier_from_idl(FAIL.id): flaky})
    assert caught.value.info.code == "RetriesExhausted|USER:Recoverable"
    assert isinstance(caught.value.__cause__, RecoverableError)


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
