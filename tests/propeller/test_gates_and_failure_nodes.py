"""Gates and failure nodes: what the machine records, and what the driver does with time and signals."""

from flyteidl.core.literals_pb2 import Literal, LiteralMap

from flyte_nb.api.errors import SYSTEM, UNKNOWN, USER, ErrorInfo, StorageError
from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.propeller.cache import MemoryCatalog
from flyte_nb.propeller.data_layout import DataLayout
from flyte_nb.propeller.driver import Driver
from flyte_nb.propeller.launch import Launch
from flyte_nb.propeller.literal_store import Values
from flyte_nb.propeller.plan import plan_of
from flyte_nb.propeller.ports import AttemptReport, Started
from flyte_nb.propeller.records import NodeRecord, WorkflowRecord
from flyte_nb.propeller.services import Services
from flyte_nb.propeller.signals import MemorySignals
from flyte_nb.storage.memory import MemoryStore
from flyte_nb.testing.closures import (
    closure,
    gate,
    integer,
    integers,
    literal,
    node,
    task,
    workflow,
)
from flyte_nb.testing.recorders import MemoryRecorder

ID = ExecutionId("flytesnacks", "development", "e")
SECOND = 1_000_000
ONE = task("one", ["x"])
PLAIN = task("plain", [])
CLEAN_UP = task("clean_up", ["err"], outputs=())
ERROR = ErrorInfo("USER:ValueError", "no", USER)


class Answers:
    """An executor whose attempts end when the test says so; `answers` has results by task name."""

    slots = 10
    in_memory = False

    def __init__(self, **answers) -> None:
        self.answers = answers
        self.running = {}
        self.inputs = {}
        self.killed = []
        self.reports = []

    def listen(self, wake):
        pass

    def start(self, attempt):
        self.inputs[attempt.key.node_id] = attempt.inputs
        answer = self.answers.get(attempt.task_id.name)
        if answer is None:
            self.running[attempt.key.node_id] = attempt
        elif isinstance(answer, ErrorInfo):
            self.reports.append(AttemptReport(attempt.key, error=answer))
        else:
            self.reports.append(AttemptReport(attempt.key, outputs=answer))
        return Started()

    def adopt(self, attempt):
        self.running[attempt.key.node_id] = attempt
        return Started()

    def poll(self):
        reports, self.reports = self.reports, []
        return reports

    def kill(self, key):
        self.killed.append(key.node_id)
        self.running.pop(key.node_id)
        self.reports.append(AttemptReport(key, error=ErrorInfo("Killed", "killed", SYSTEM)))

    def close(self):
        pass


class Stage:
    """One execution with a clock of its own. `restart` loses everything that is not durable."""

    def __init__(
        self, made, executor=None, *, slots=10, max_parallelism=0, catalog=None, **inputs
    ) -> None:
        self.now_us = 0
        self.slots = slots
        self.catalog = catalog
        self.launch = Launch(ID, made, integers(**inputs), max_parallelism=max_parallelism)
        self.recorder = MemoryRecorder()
        self.signals = MemorySignals()
        self.store = MemoryStore()
        self.executor = executor or Answers(one=integers(o0=7), plain=integers(o0=7))
        self.driver = self._driver()
        self.go()

    def _driver(self):
        driver = Driver(
            self.launch,
            plan_of(self.launch.closure),
            DataLayout("memory://b", ID),
            Values(self.store),
            recorder=self.recorder,
            executor=self.executor,
            clock=lambda: self.now_us,
            services=Services(signals=self.signals),
            catalog=self.catalog,
        )
        self.signals.listen(lambda execution, signal_id: driver.gates.signalled(signal_id))
        return driver

    def go(self):
        while True:
            self.driver.step(self.slots - self.driver.attempts)
            reports = self.executor.poll()
            for report in reports:
                self.driver.report(report)
            if not reports:
                return

    def restart(self):
        self.driver = self._driver()
        self.driver.replay(self.recorder.history(ID))
        self.driver.adopt()
        self.go()

    def wait(self, seconds):
        self.now_us += int(seconds * SECOND)
        self.go()

    def answer(self, signal_id, value):
        self.signals.set(ID, signal_id, value)
        self.go()

    def phases(self):
        return [
            f"{record.node_id} {record.phase}" if isinstance(record, NodeRecord) else record.phase
            for record in self.recorder.history(ID)
            if isinstance(record, (NodeRecord, WorkflowRecord))
            and not getattr(record, "node_id", "").endswith(("start-node", "end-node"))
        ]

    @property
    def machine(self):
        return self.driver.machine

    def outputs(self):
        return LiteralMap.FromString(self.store.read(self.machine.output_uri))


def truth(value: bool) -> Literal:
    made = Literal()
    made.scalar.primitive.boolean = value
    return made


def alone(gate_node, outputs=None):
    return closure(workflow("w", [gate_node], outputs))


# Gates


def test_a_sleep_ends_after_its_time_and_has_no_outputs():
    stage = Stage(alone(gate("s", sleep_s=5)))
    assert stage.driver.deadline_us() == 5 * SECOND
    stage.wait(4.9)
    assert stage.phases() == ["RUNNING", "s QUEUED", "s RUNNING"]
    stage.wait(0.1)
    assert stage.phases()[3:] == ["s SUCCEEDED", "SUCCEEDING", "SUCCEEDED"]
    assert stage.machine.nodes["s"].output_uri == ""


def test_a_sleep_goes_on_over_a_restart_from_when_it_began():
    stage = Stage(alone(gate("s", sleep_s=5)))
    stage.now_us += 3 * SECOND
    stage.restart()
    assert stage.driver.deadline_us() == 5 * SECOND
    assert stage.machine.phase == "RUNNING"
    stage.now_us += 2 * SECOND
    stage.restart()
    assert stage.machine.phase == "SUCCEEDED"


def test_a_signal_gives_its_value_to_the_next_node():
    made = closure(
        workflow("w", [gate("g", "level"), node("n", ONE, {"x": "g"})], {"o0": "g"}), [ONE]
    )
    stage = Stage(made)
    stage.wait(1000)
    assert stage.phases() == ["RUNNING", "g QUEUED", "g RUNNING"]
    stage.answer("level", literal(3))
    assert stage.machine.phase == "SUCCEEDED"
    assert integer(stage.executor.inputs["n"], "x") == 3
    assert integer(stage.outputs()) == 3


def test_an_approval_hands_on_what_was_approved():
    nodes = [node("n", PLAIN), gate("g", "ok", approves="n"), node("m", ONE, {"x": "g"})]
    stage = Stage(closure(workflow("w", nodes, {"o0": "g"}), [ONE, PLAIN]))
    stage.answer("ok", truth(True))
    assert stage.machine.phase == "SUCCEEDED"
    assert integer(stage.outputs()) == 7
    assert integer(stage.executor.inputs["m"], "x") == 7


def test_a_rejection_fails_as_in_propeller():
    nodes = [node("n", PLAIN), gate("g", "ok", approves="n")]
    stage = Stage(closure(workflow("w", nodes), [PLAIN]))
    stage.answer("ok", truth(False))
    assert stage.phases()[-3:] == ["g FAILED", "FAILING", "FAILED"]
    assert stage.machine.error == ErrorInfo(
        "ReceivedRejectSignal", "received a reject signal to disapprove the node input values", USER
    )


def test_an_approval_that_is_no_boolean_fails_as_in_propeller():
    nodes = [node("n", PLAIN), gate("g", "ok", approves="n")]
    stage = Stage(closure(workflow("w", nodes), [PLAIN]))
    stage.answer("ok", literal(1))
    assert stage.machine.error == ErrorInfo(
        "RuntimeExecutionError",
        "received a non-boolean approve signal value [scalar:{primitive:{integer:1}}]",
        UNKNOWN,
    )


def test_a_value_that_is_there_already_opens_a_gate_without_waiting():
    nodes = [gate("g", "level"), gate("h", "level", after=["g"])]
    stage = Stage(closure(workflow("w", nodes)))
    stage.answer("level", literal(3))
    assert [x for x in stage.phases() if x.startswith("h")] == ["h QUEUED", "h SUCCEEDED"]


def test_a_value_that_was_set_while_nobody_listened_opens_the_gate_after_the_restart():
    stage = Stage(alone(gate("g", "level"), {"o0": "g"}))
    stage.signals.listen(lambda execution, signal_id: None)
    stage.answer("level", literal(3))
    assert stage.machine.phase == "RUNNING"
    stage.restart()
    assert integer(stage.outputs()) == 3


def test_two_gates_of_one_signal_and_different_types_fail_with_a_remedy():
    nodes = [gate("g", "x"), node("n", PLAIN), gate("h", "x", approves="n", after=["g"])]
    stage = Stage(closure(workflow("w", nodes), [PLAIN]))
    stage.answer("x", literal(3))
    assert stage.machine.error.code == "RuntimeExecutionError"
    assert "Give the two gates different names." in stage.machine.error.message


def test_a_gate_that_waits_too_long_fails_as_an_attempt_that_ran_out_of_time():
    stage = Stage(alone(gate("g", "level", timeout_s=3600)))
    stage.wait(3599)
    assert stage.machine.phase == "RUNNING"
    stage.wait(1)
    assert stage.phases()[-3:] == ["g FAILED", "FAILING", "FAILED"]
    assert stage.machine.error == ErrorInfo(
        "RetriesExhausted|TimeoutExpired",
        "[1/1] currentAttempt done. Last Error: USER::task execution timeout [1h0m0s] expired",
        USER,
    )


def test_a_gate_with_retries_ends_when_all_its_attempts_are_out_of_time():
    stage = Stage(alone(gate("g", "level", timeout_s=10, retries=3)))
    stage.wait(19)
    assert stage.machine.phase == "RUNNING"
    stage.wait(1)
    assert stage.phases()[-3:] == ["g TIMED_OUT", "FAILING", "FAILED"]
    assert stage.machine.nodes["g"].error.message == "task active timeout [20s] expired"
    assert stage.machine.error == ErrorInfo("Timeout", "Timeout in node", USER)


def test_a_sleep_that_is_longer_than_its_timeout_fails():
    stage = Stage(alone(gate("s", sleep_s=20, timeout_s=10)))
    stage.wait(10)
    assert stage.machine.error.code == "RetriesExhausted|TimeoutExpired"


def test_an_abort_ends_a_gate_with_the_cause_of_the_person():
    stage = Stage(alone(gate("g", "level")))
    stage.driver.terminate("not today")
    stage.go()
    assert stage.phases()[-3:] == ["ABORTING", "g ABORTED", "ABORTED"]
    assert stage.machine.error.message == "not today"


def test_a_failure_elsewhere_ends_a_gate_at_once_or_lets_it_go_on():
    nodes = [gate("g", "level"), node("n", PLAIN)]
    stage = Stage(closure(workflow("w", nodes), [PLAIN]), Answers(plain=ERROR))
    assert stage.phases()[-3:] == ["FAILING", "g ABORTED", "FAILED"]
    stage = Stage(closure(workflow("w", nodes, fail_after=True), [PLAIN]), Answers(plain=ERROR))
    assert stage.machine.phase == "RUNNING"
    stage.answer("level", literal(3))
    assert stage.phases()[-3:] == ["g SUCCEEDED", "FAILING", "FAILED"]


def test_a_store_that_is_away_for_a_moment_keeps_the_gate_waiting():
    stage = Stage(alone(gate("g", "level"), {"o0": "g"}))
    working, stage.store.write = stage.store.write, _away
    stage.answer("level", literal(3))
    assert stage.machine.phase == "RUNNING"
    stage.store.write = working
    stage.wait(1)
    assert integer(stage.outputs()) == 3


def _away(uri, data):
    raise StorageError("The store is away.", transient=True)


# Failure nodes


def failing(handler=None, *, fail_after=False, also=()):
    nodes = [node("n", ONE, {"x": ".x"}), *also]
    handler = handler or node("fn0", PLAIN)
    made = workflow("w", nodes, inputs=["x"], fail_after=fail_after, on_failure=handler)
    return closure(made, [ONE, PLAIN, CLEAN_UP])


def test_a_failure_node_runs_between_failing_and_failed():
    stage = Stage(failing(), Answers(one=ERROR, plain=integers(o0=1)), x=1)
    assert stage.phases() == [
        "RUNNING",
        "n QUEUED",
        "n RUNNING",
        "n FAILED",
        "FAILING",
        "fn0 QUEUED",
        "fn0 RUNNING",
        "fn0 SUCCEEDED",
        "FAILED",
    ]
    assert stage.machine.error == ERROR


def test_a_failure_node_gets_the_workflows_inputs_and_the_error():
    handler = node("fn0", CLEAN_UP, {"x": ".x", "err": 0})
    stage = Stage(failing(handler), Answers(one=ERROR, clean_up=integers()), x=5)
    inputs = stage.executor.inputs["fn0"]
    assert integer(inputs, "x") == 5
    union = inputs.literals["err"].scalar.union
    assert union.type.structure.tag == "FlyteError"
    assert union.value.scalar.error.message == "no"
    # propeller names the failure node itself
    assert union.value.scalar.error.failed_node_id == "fn0"


def test_a_failure_node_waits_until_everything_else_has_ended():
    also = [node("m", task("slow", []))]
    made = failing(also=also)
    made.tasks.add(template=task("slow", []))
    stage = Stage(made, Answers(one=ERROR, plain=integers(o0=1)), x=1)
    assert stage.executor.killed == ["m"]
    phases = stage.phases()
    assert phases.index("m ABORTED") < phases.index("fn0 QUEUED")
    made = failing(also=also, fail_after=True)
    made.tasks.add(template=task("slow", []))
    stage = Stage(made, Answers(one=ERROR, plain=integers(o0=1)), x=1)
    assert "FAILING" not in stage.phases()
    attempt = stage.executor.running.pop("m")
    stage.executor.reports.append(AttemptReport(attempt.key, outputs=integers(o0=1)))
    stage.go()
    assert stage.phases()[-5:] == [
        "FAILING",
        "fn0 QUEUED",
        "fn0 RUNNING",
        "fn0 SUCCEEDED",
        "FAILED",
    ]


def test_the_error_of_a_failure_node_hides_the_error_that_it_handles():
    other = ErrorInfo("USER:KeyError", "the handler failed", USER)
    stage = Stage(failing(), Answers(one=ERROR, plain=other), x=1)
    assert stage.phases()[-2:] == ["fn0 FAILED", "FAILED"]
    assert stage.machine.error == other


def test_a_failure_node_that_is_out_of_time_has_a_code_of_its_own():
    stage = Stage(failing(gate("fn0", "level", timeout_s=10, retries=1)), Answers(one=ERROR), x=1)
    stage.wait(20)
    assert stage.phases()[-2:] == ["fn0 TIMED_OUT", "FAILED"]
    assert stage.machine.error == ErrorInfo("TimedOut", "FailureNode Timed-out", USER)


def test_an_abort_ends_a_failure_node_and_does_not_run_one():
    stage = Stage(failing(), Answers(one=ERROR), x=1)
    stage.driver.terminate("enough")
    stage.go()
    assert stage.phases()[-4:] == ["fn0 RUNNING", "ABORTING", "fn0 ABORTED", "ABORTED"]
    stage = Stage(failing(), Answers(plain=integers(o0=1)), x=1)
    stage.driver.terminate("enough")
    stage.go()
    assert stage.phases()[-3:] == ["ABORTING", "n ABORTED", "ABORTED"]


def test_a_failure_node_is_found_again_after_a_restart():
    stage = Stage(failing(), Answers(one=ERROR), x=1)
    stage.restart()
    attempt = stage.executor.running.pop("fn0")
    stage.executor.reports.append(AttemptReport(attempt.key, outputs=integers(o0=1)))
    stage.go()
    assert stage.phases()[-2:] == ["fn0 SUCCEEDED", "FAILED"]


def test_a_sub_workflow_has_a_failure_node_of_its_own():
    inner = workflow(
        "inner", [node("n0", ONE, {"x": ".x"})], inputs=["x"], on_failure=node("fn0", PLAIN)
    )
    made = workflow(
        "w", [node("n0", inner, {"x": ".x"})], inputs=["x"], on_failure=node("fn0", PLAIN)
    )
    stage = Stage(
        closure(made, [ONE, PLAIN], [inner]), Answers(one=ERROR, plain=integers(o0=1)), x=1
    )
    assert stage.phases() == [
        "RUNNING",
        "n0 QUEUED",
        "n0 RUNNING",
        "n0-0-n0 QUEUED",
        "n0-0-n0 RUNNING",
        "n0-0-n0 FAILED",
        "n0 FAILING",
        "n0-0-fn0 QUEUED",
        "n0-0-fn0 RUNNING",
        "n0-0-fn0 SUCCEEDED",
        "n0 FAILED",
        "FAILING",
        "fn0 QUEUED",
        "fn0 RUNNING",
        "fn0 SUCCEEDED",
        "FAILED",
    ]
    assert stage.machine.error == ERROR


def test_a_workflow_may_handle_the_failure():
    inner = workflow("inner", [node("n0", ONE, {"x": ".x"})], inputs=["x"])
    made = failing(node("fn0", inner, {"x": ".x"}))
    made.sub_workflows.append(inner)
    stage = Stage(made, Answers(one=ERROR), x=1)
    assert stage.phases()[-4:] == ["fn0-0-n0 FAILED", "fn0 FAILING", "fn0 FAILED", "FAILED"]
    assert stage.machine.error == ERROR


def test_a_rejection_runs_the_failure_node():
    nodes = [node("n", PLAIN), gate("g", "ok", approves="n")]
    made = workflow("w", nodes, on_failure=node("fn0", CLEAN_UP, {"err": 0}))
    stage = Stage(
        closure(made, [PLAIN, CLEAN_UP]), Answers(plain=integers(o0=1), clean_up=integers())
    )
    stage.answer("ok", truth(False))
    message = stage.executor.inputs["fn0"].literals["err"].scalar.union.value.scalar.error.message
    assert message == "received a reject signal to disapprove the node input values"
    assert stage.machine.error.code == "ReceivedRejectSignal"


# What nodes wait for


def waits(stage):
    return {node_id: tuple(wait) for node_id, wait in stage.driver.waits().items()}


def test_gates_say_what_they_wait_for():
    nodes = [
        node("n", PLAIN),
        gate("a", "ok", approves="n"),
        gate("b", "level"),
        gate("c", sleep_s=90),
    ]
    stage = Stage(closure(workflow("w", nodes), [PLAIN]))
    assert waits(stage) == {
        "a": ("signal", "an approval (signal ok)"),
        "b": ("signal", "a value (signal level)"),
        "c": ("time", "the end of its sleep at 1970-01-01T00:01:30Z"),
    }


def test_tasks_say_that_they_wait_for_a_slot_or_for_others_of_their_execution():
    nodes = [node(f"n{number}", PLAIN) for number in range(3)]
    made = closure(workflow("w", nodes), [PLAIN])
    stage = Stage(made, Answers(), slots=1)
    slot = ("slot", "a free slot: 10 attempts run at a time on this machine")
    assert waits(stage) == {"n1": slot, "n2": slot}
    stage = Stage(made, Answers(), max_parallelism=2)
    assert waits(stage) == {
        "n2": (
            "parallelism",
            "one of the 2 tasks that this execution runs at a time to end (max_parallelism)",
        )
    }


def test_equal_calls_say_who_computes_their_result():
    same = task("same", [], cache_version="1", cache_serialize=True)
    made = closure(workflow("w", [node("n0", same), node("n1", same)]), [same])
    stage = Stage(made, Answers(), catalog=MemoryCatalog())
    assert waits(stage) == {
        "n1": (
            "reservation",
            "the result of an equal call, which node n0 of e computes (cache_serialize)",
        )
    }


def test_a_store_that_is_away_is_named_as_the_reason():
    made = closure(workflow("w", [gate("g", "level"), node("n", ONE, {"x": "g"})]), [ONE])
    stage = Stage(made)
    writes = []

    def only_the_first(uri, data):
        writes.append(uri)
        if len(writes) > 1:
            _away(uri, data)
        MemoryStore.write(stage.store, uri, data)

    stage.store.write = only_the_first
    stage.answer("level", literal(3))
    assert waits(stage) == {
        "n": ("store", "the store, which cannot be reached now; it is tried again every second")
    }
