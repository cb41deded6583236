"""Launch plan nodes: their records, their executions over crashes, their timeouts and places."""

import pytest
from flyteidl.core.literals_pb2 import LiteralMap
from flyteidl.core.workflow_pb2 import Node

from flyte_nb.api.errors import USER, ErrorInfo, StorageError, TaskFailed
from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.api.nodes import child_execution_name
from flyte_nb.propeller.data_layout import DataLayout
from flyte_nb.propeller.driver import Driver
from flyte_nb.propeller.launch import Launch
from flyte_nb.propeller.literal_store import Values
from flyte_nb.propeller.plan import plan_of
from flyte_nb.propeller.ports import ChildState
from flyte_nb.propeller.records import ElementRecord, NodeRecord, WorkflowRecord
from flyte_nb.propeller.services import Services
from flyte_nb.storage.memory import MemoryStore
from flyte_nb.testing.closures import closure, integers, map_node, node, workflow
from flyte_nb.testing.recorders import MemoryRecorder

ID = ExecutionId("p", "d", "parent")
SECOND = 1_000_000


class Executions:
    """Keeps to the port `Children`: executions that stand as the test says."""

    def __init__(self):
        self.started = {}
        self.asked = 0
        self.states = {}
        self.ended = []
        self.refuses = None
        self.store = MemoryStore()

    def launch(self, child):
        if self.refuses is not None:
            raise self.refuses
        if child.id.name not in self.started:
            self.started[child.id.name] = child
            self.states[child.id.name] = ChildState("RUNNING")

    def state(self, id):
        self.asked += 1
        return self.states.get(id.name)

    def terminate(self, id, cause):
        if id.name in self.states:
            self.ended.append((id.name, cause))
            self.states[id.name] = ChildState("ABORTED")


class NoTasks:
    """An executor for workflows without tasks."""

    in_memory, slots = False, 1

    def kill(self, key):
        raise AssertionError("no attempt runs")


class Failing(MemoryRecorder):
    """A recorder that takes so many calls and no more, as a process that is killed after them."""

    def __init__(self, calls):
        super().__init__()
        self.calls = calls

    def record(self, execution, records):
        self.calls -= 1
        if self.calls < 0:
            raise StorageError("killed")
        super().record(execution, records)


class Play:
    def __init__(self, made, *, executions=None, recorder=None, parallelism=0):
        self.executions = executions or Executions()
        self.recorder = recorder or MemoryRecorder()
        self.now = SECOND
        self.driver = Driver(
            Launch(ID, made, integers(), max_parallelism=parallelism),
            plan_of(made),
            DataLayout("memory:/", ID),
            Values(self.executions.store),
            recorder=self.recorder,
            executor=NoTasks(),
            clock=lambda: self.now,
            services=Services(children=self.executions),
        )

    def step(self):
        self.driver.expire()
        self.driver.step(1)
        return self

    def end(self, name, phase, **how):
        self.executions.states[name] = ChildState(phase, **how)
        self.driver.children.ended(ExecutionId(ID.project, ID.domain, name))
        return self.step()

    def phases(self):
        return [
            f"{x.node_id} {x.phase}" if isinstance(x, NodeRecord) else x.phase
            for x in self.recorder.history(ID)
            if isinstance(x, WorkflowRecord)
            or (isinstance(x, NodeRecord) and x.spec_node_id not in ("start-node", "end-node"))
        ]


def launching(*ids, retries=0, timeout_s=0):
    """A workflow whose nodes start the launch plan `lp`, side by side."""
    nodes = [node(id, "lp", {"x": 1}) for id in ids]
    for each in nodes:
        each.metadata.retries.retries = retries
        each.metadata.timeout.FromSeconds(timeout_s)
    return closure(workflow("w", nodes, {"o0": ids[0]}))


def name(node_id, attempt=0):
    return child_execution_name(ID.name, node_id, attempt)


def test_the_records_are_propellers():
    play = Play(launching("a")).step()
    assert play.phases() == ["RUNNING", "a QUEUED", "a RUNNING"]
    play.end(name("a"), "SUCCEEDED", outputs=integers(o0=5))
    assert play.phases()[3:] == ["a SUCCEEDED", "SUCCEEDING", "SUCCEEDED"]
    children = {
        x.child_execution for x in play.recorder.history(ID) if getattr(x, "node_id", "") == "a"
    }
    assert children == {None, ExecutionId("p", "d", name("a"))}


def test_a_name_that_is_too_long_is_hashed_as_propeller_does_it():
    assert child_execution_name("a", "n0", 0) == "a-n0-0"
    # `encoding.FixedLengthUniqueIDForParts` with fnv64a, worked out by hand.
    assert child_execution_name("abcdefghijklmnopqrst", "n0", 0) == "fcowultc6k2jaw"


@pytest.mark.parametrize("calls", range(4))
def test_a_crash_at_any_record_starts_no_second_execution(calls):
    executions = Executions()
    before = Play(launching("a"), executions=executions, recorder=Failing(calls)).step()
    history = before.recorder.history(ID)
    after = Play(launching("a"), executions=executions)
    after.recorder.record(ID, history)
    after.driver.replay(history)
    after.driver.adopt()
    after.step()
    assert list(executions.started) == [name("a")]
    after.end(name("a"), "SUCCEEDED", outputs=integers(o0=5))
    assert after.phases()[-1] == "SUCCEEDED"


def test_an_execution_that_ended_while_nobody_watched_is_asked_about_after_a_restart():
    executions = Executions()
    before = Play(launching("a"), executions=executions).step()
    executions.states[name("a")] = ChildState("SUCCEEDED", integers(o0=5))
    after = Play(launching("a"), executions=executions)
    after.driver.replay(before.recorder.history(ID))
    after.driver.adopt()
    after.step()
    assert after.driver.done


def test_waiting_asks_nobody():
    play = Play(launching(*(f"n{i}" for i in range(20)))).step()
    asked = play.executions.asked
    for _ in range(10):
        play.step()
    assert play.executions.asked == asked == 20


def test_a_node_says_for_which_execution_it_waits():
    play = Play(launching("a")).step()
    assert play.driver.waits()["a"] == ("execution", f"the execution {name('a')}, which it started")


def test_launch_plan_nodes_count_for_the_parallelism_of_their_execution():
    play = Play(launching("a", "b", "c"), parallelism=2).step()
    assert list(play.executions.started) == [name("a"), name("b")]
    play.end(name("a"), "SUCCEEDED", outputs=integers(o0=5))
    assert list(play.executions.started) == [name("a"), name("b"), name("c")]


def test_an_execution_that_takes_too_long_is_ended_and_started_again_while_there_are_retries():
    play = Play(launching("a", retries=1, timeout_s=10)).step()
    play.now += 10 * SECOND
    play.step()
    text = "task execution timeout [10s] expired"
    assert play.executions.ended == [(name("a"), text)]
    assert list(play.executions.started) == [name("a", 0), name("a", 1)]
    play.end(name("a", 1), "SUCCEEDED", outputs=integers(o0=5))
    assert play.phases()[-1] == "SUCCEEDED"


def test_without_retries_an_execution_that_takes_too_long_fails_its_node():
    play = Play(launching("a", timeout_s=10)).step()
    play.now += 10 * SECOND
    play.step()
    error = play.driver.machine.nodes["a"].error
    assert error.code == "RetriesExhausted|TimeoutExpired"
    assert error.message == (
        "[1/1] currentAttempt done. Last Error: USER::task execution timeout [10s] expired"
    )
    assert [ended for ended, _ in play.executions.ended] == [name("a")]
    assert play.phases()[-1] == "FAILED"


def test_a_failure_ends_the_executions_of_the_other_nodes_and_then_those_nodes():
    play = Play(launching("a", "b")).step()
    play.end(name("a"), "FAILED", error=ErrorInfo("USER:X", "no", USER))
    reason = "Some node execution failed, auto-abort."
    cause = f"cascading abort as parent execution id [parent] aborted, reason [{reason}]"
    assert play.executions.ended == [(name("b"), cause)]
    assert play.phases()[-4:] == ["a FAILED", "FAILING", "b ABORTED", "FAILED"]


def test_an_abort_between_start_and_record_ends_the_execution_that_was_started():
    executions = Executions()
    before = Play(launching("a"), executions=executions, recorder=Failing(1)).step()
    after = Play(launching("a"), executions=executions)
    after.driver.replay(before.recorder.history(ID))
    after.driver.terminate("stop")
    after.step()
    assert [ended for ended, _ in executions.ended] == [name("a")]
    assert after.driver.machine.phase == "ABORTED"


def test_a_refused_launch_fails_the_node_without_its_having_run():
    executions = Executions()
    executions.refuses = TaskFailed(ErrorInfo("RuntimeExecutionError", "no", USER))
    play = Play(launching("a"), executions=executions).step()
    assert play.phases() == ["RUNNING", "a QUEUED", "a FAILED", "FAILING", "FAILED"]


def test_a_store_that_is_away_is_asked_again_and_then_fails_the_node():
    executions = Executions()
    executions.refuses = StorageError("away", transient=True)
    play = Play(launching("a"), executions=executions).step()
    assert play.phases() == ["RUNNING", "a QUEUED"]
    executions.refuses = None
    play.step()
    assert play.phases()[-1] == "a RUNNING"


def test_failed_without_an_error_and_a_child_that_is_gone_have_propellers_texts():
    play = Play(launching("a")).step()
    play.end(name("a"), "FAILED")
    assert play.driver.machine.error == ErrorInfo(
        "LaunchPlanExecutionFailed", "Unknown Error", USER
    )
    play = Play(launching("a")).step()
    del play.executions.states[name("a")]
    play.driver.children.ended(ExecutionId(ID.project, ID.domain, name("a")))
    play.step()
    assert play.driver.machine.error.message == (
        "failed at Node[a]. : launch-plan not found, caused by: [NotFound] execID"
        f" [{name('a')}] not found on remote"
    )


# Maps over launch plans


def mapping(size, *, retries=0, timeout_s=0, **options):
    """A workflow with one map that starts the launch plan `lp` for each of so many elements."""
    made = map_node("a", "lp", {"x": list(range(size))}, **options)
    made.array_node.node.metadata.retries.retries = retries
    made.array_node.node.metadata.timeout.FromSeconds(timeout_s)
    return closure(workflow("w", [made], {"o0": "a"}))


def element(index, attempt=0):
    return name(f"a-0-n{index}", attempt)


def elements(play):
    return [
        (number, record.attempt, record.phase)
        for record in play.recorder.history(ID)
        if isinstance(record, ElementRecord) and record.phase != "UNDEFINED"
        for number in range(record.first, record.first + record.number)
    ]


def numbers(play):
    found = LiteralMap.FromString(
        play.executions.store.read(play.recorder.history(ID)[-1].output_uri)
    )
    return [
        item.scalar.primitive.integer if item.scalar.HasField("primitive") else None
        for item in found.literals["o0"].collection.literals
    ]


def test_a_map_over_a_launch_plan_starts_an_execution_for_each_element():
    play = Play(mapping(2)).step()
    started = play.executions.started
    assert sorted(started) == sorted([element(0), element(1)])
    child = started[element(1)]
    assert (child.inputs.literals["x"].scalar.primitive.integer, child.node_id) == (1, "a")
    play.end(element(1), "SUCCEEDED", outputs=integers(o0=11))
    play.end(element(0), "SUCCEEDED", outputs=integers(o0=10))
    assert numbers(play) == [10, 11]
    assert sorted(elements(play)) == [
        (number, 0, phase) for number in range(2) for phase in ("QUEUED", "RUNNING", "SUCCEEDED")
    ]


def test_no_more_executions_run_than_the_author_allows():
    play = Play(mapping(3, parallelism=1)).step()
    assert list(play.executions.started) == [element(0)]
    play.end(element(0), "SUCCEEDED", outputs=integers(o0=1))
    assert list(play.executions.started) == [element(0), element(1)]


def test_an_execution_of_an_element_that_fails_fails_the_map_and_ends_the_others():
    play = Play(mapping(2)).step()
    play.end(element(0), "FAILED", error=ErrorInfo("USER:ValueError", "no", USER))
    assert [ended for ended, _ in play.executions.ended] == [element(1)]
    assert play.phases()[-2:] == ["FAILING", "FAILED"] or play.phases()[-1] == "FAILED"
    assert play.recorder.history(ID)[-1].error.message == "[0]: no\n"


def test_an_element_may_fail_as_far_as_the_author_allows():
    play = Play(mapping(2, min_successes=1)).step()
    play.end(element(0), "FAILED", error=ErrorInfo("USER:ValueError", "no", USER))
    play.end(element(1), "SUCCEEDED", outputs=integers(o0=5))
    assert numbers(play) == [None, 5]


def test_an_execution_of_an_element_that_takes_too_long_is_followed_by_another():
    play = Play(mapping(1, retries=1, timeout_s=10)).step()
    play.now += 11 * SECOND
    play.step()
    assert list(play.executions.started) == [element(0), element(0, 1)]
    assert [ended for ended, _ in play.executions.ended] == [element(0)]
    play.end(element(0, 1), "SUCCEEDED", outputs=integers(o0=5))
    assert numbers(play) == [5]


@pytest.mark.parametrize("calls", range(5))
def test_a_crash_starts_no_second_execution_of_an_element(calls):
    executions = Executions()
    failing = Failing(calls)
    Play(mapping(2), executions=executions, recorder=failing).step()
    again = MemoryRecorder()
    again.record(ID, failing.history(ID))
    play = Play(mapping(2), executions=executions, recorder=again)
    play.driver.replay(again.history(ID))
    play.driver.adopt()
    play.step()
    assert sorted(executions.started) == sorted([element(0), element(1)])
    for index in range(2):
        play.end(element(index), "SUCCEEDED", outputs=integers(o0=index))
    assert numbers(play) == [0, 1]


def test_a_launch_plan_in_a_sub_workflow_and_in_an_arm_has_a_name_of_its_place():
    inner = workflow("inner", [node("n0", "lp", {"x": ".x"})], {"o0": "n0"}, inputs=["x"])
    choice = node("b", "lp", {"x": 1})
    arm = Node(id="arm")
    arm.CopyFrom(choice)
    choice.ClearField("target")
    block = choice.branch_node.if_else
    block.case.condition.comparison.left_value.var = "x"
    block.case.condition.comparison.right_value.primitive.integer = 1
    arm.id = "b-n0"
    block.case.then_node.CopyFrom(arm)
    nodes = [node("s", inner, {"x": 1}), choice]
    made = closure(workflow("w", nodes, {"o0": "s"}), [], [inner])
    play = Play(made).step()
    names = [child_execution_name(ID.name, place, 0) for place in ("s-0-n0", "b-0-b-n0")]
    assert sorted(play.executions.started) == sorted(names)
    for each in names:
        play.end(each, "SUCCEEDED", outputs=integers(o0=5))
    assert play.phases()[-1] == "SUCCEEDED"
