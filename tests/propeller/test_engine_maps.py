"""Maps over real processes: values, files, variables, failures, the cache, and restarts."""

import os
from pathlib import Path

import pytest
from flyteidl.core.literals_pb2 import Literal, LiteralMap

from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.propeller.cache import StoreCatalog
from flyte_nb.propeller.engine import Engine, Launch
from flyte_nb.propeller.executors.process import ProcessExecutor
from flyte_nb.propeller.machine import Machine
from flyte_nb.propeller.plan import plan_of
from flyte_nb.propeller.records import ElementRecord, NodeRecord
from flyte_nb.storage import open_stores
from flyte_nb.testing.closures import closure, integers, map_node, node, task, workflow
from flyte_nb.testing.recorders import MemoryRecorder
from flyte_nb.testing.waiting import wait_until

ID = ExecutionId("flytesnacks", "development", "e")
PATIENCE_S = 120.0

ELEMENT = "which = int(os.environ[os.environ['BATCH_JOB_ARRAY_INDEX_VAR_NAME']])\n"


class Backend:
    """An engine over processes and a folder."""

    def __init__(self, path: Path, *, slots: int = 4, recorder=None, id=ID) -> None:
        self.path, self.id = path, id
        self.store = open_stores()
        self.recorder = recorder or MemoryRecorder()
        self.executor = ProcessExecutor(path / "attempts", self.store, slots=slots, grace_s=0.2)
        self.engine = Engine(
            self.recorder,
            self.executor,
            self.store,
            path.as_uri(),
            catalog=StoreCatalog(self.store, f"{path.as_uri()}/cache"),
        )

    def run(self, made, **options):
        self.engine.launch(Launch(self.id, made, integers(), **options))
        assert self.engine.wait(self.id, PATIENCE_S)
        return self.recorder.history(self.id)

    def numbers(self, output="o0"):
        uri = self.recorder.history(self.id)[-1].output_uri
        literals = LiteralMap.FromString(self.store.read(uri)).literals
        return [
            item.scalar.primitive.integer if item.scalar.HasField("primitive") else None
            for item in literals[output].collection.literals
        ]


@pytest.fixture
def backend(tmp_path):
    backend = Backend(tmp_path)
    yield backend
    backend.engine.close()


@pytest.fixture
def returns(scripts):
    """A task that returns its number in the map, after running a body that sees it as `which`."""

    def make(body="", **options):
        code = (
            ELEMENT + body + "\n"
            "literal = bytes([10, 4, 10, 2, 8, which])\n"
            "leave('outputs.pb', (b'\\n' + bytes([len(literal) + 6]) + b'\\n\\x02o0\\x12'"
            " + bytes([len(literal)]) + literal).hex())\n"
        )
        return scripts.task("t", code, inputs=["x"], **options)

    return make


def over(template, values, **options):
    nodes = [map_node("n0", template, {"x": values}, **options)]
    return closure(workflow("w", nodes, {"o0": "n0"}), [template])


def elements(history):
    return [
        (number, record.attempt, record.phase)
        for record in history
        if isinstance(record, ElementRecord) and record.phase != "UNDEFINED"
        for number in range(record.first, record.first + record.number)
    ]


def test_outputs_are_in_the_order_of_the_elements_and_files_are_where_flyte_has_them(
    backend, returns
):
    history = backend.run(over(returns(), [5, 6, 7]))
    assert backend.numbers() == [0, 1, 2]
    root = backend.path / "metadata" / "flytesnacks" / "development" / "e" / "propeller"
    found = {str(path.relative_to(root)) for path in root.rglob("*.pb")}
    assert found == {
        "start-node/data/0/outputs.pb",
        "n0/data/inputs.pb",
        *(f"n0/data/0/{number}/0/outputs.pb" for number in range(3)),
        "n0/data/0/outputs.pb",
        "end-node/data/0/outputs.pb",
    }
    phases = [x.phase for x in history if isinstance(x, NodeRecord) and x.node_id == "n0"]
    assert phases == ["QUEUED", "RUNNING", "SUCCEEDED"]
    assert sorted(elements(history)) == [
        (number, 0, phase) for number in range(3) for phase in ("QUEUED", "RUNNING", "SUCCEEDED")
    ]


def test_a_map_over_nothing_returns_an_empty_list(backend, returns):
    backend.run(over(returns(), []))
    assert backend.numbers() == []


def test_a_command_gets_the_values_of_its_element_in_its_templates(backend, scripts):
    t = scripts.task(
        "t",
        "assert sys.argv[2:] == [['7', '1'], ['8', '1']][int(os.environ['FLYTE_K8S_ARRAY_INDEX'])]\n"
        + scripts.outputs,
        inputs=["x", "y"],
        args=["{{.inputs.x}}", "{{.inputs.y}}"],
    )
    nodes = [map_node("n0", t, {"x": [7, 8], "y": 1}, bound=["y"])]
    backend.run(closure(workflow("w", nodes, {"o0": "n0"}), [t]))
    assert backend.numbers() == [42, 42]


def test_lists_of_different_lengths_fail_the_node_before_anything_runs(backend, scripts):
    t = scripts.task("t", scripts.outputs, inputs=["x", "y"])
    nodes = [map_node("n0", t, {"x": [1, 2], "y": [1, 2, 3]})]
    history = backend.run(closure(workflow("w", nodes), [t]))
    assert history[-1].error.code == "InvalidArrayLength"
    assert (
        history[-1].error.message == "input arrays have different lengths: expecting '2' found '3'"
    )
    assert elements(history) == []


def test_elements_that_fail_leave_none_in_their_place_when_the_author_allows_it(backend, returns):
    made = over(returns("if which == 1: sys.exit(3)"), [1, 2, 3], min_success_ratio=0.6)
    history = backend.run(made)
    assert history[-1].phase == "SUCCEEDED"
    assert backend.numbers() == [0, None, 2]


def test_the_error_of_a_map_names_the_elements_that_failed(backend, scripts):
    t = scripts.task("t", scripts.error, inputs=["x"])
    history = backend.run(over(t, [1]))
    assert history[-1].phase == "FAILED"
    assert history[-1].error.message == "[0]: no\n"


def test_an_element_that_fails_recoverably_is_tried_again_in_a_folder_of_its_own(backend, returns):
    body = "if which == 1 and os.environ['FLYTE_ATTEMPT_NUMBER'] == '0': sys.exit(3)"
    history = backend.run(over(returns(body, retries=1), [1, 2]))
    assert backend.numbers() == [0, 1]
    ends = [each for each in elements(history) if each[0] == 1]
    assert ends == [
        (1, attempt, phase)
        for attempt, last in ((0, "FAILED"), (1, "SUCCEEDED"))
        for phase in ("QUEUED", "RUNNING", last)
    ]


def test_an_element_that_takes_too_long_is_ended_alone(backend, returns, scripts):
    t = returns("if which == 1:\n    while True: signal.pause()", timeout_s=0.5)
    history = backend.run(over(t, [1, 2], min_successes=1))
    assert backend.numbers() == [0, None]
    assert (1, 0, "ABORTED") in elements(history)


@pytest.mark.parametrize(("slots", "parallelism"), [(1, 0), (4, 1)])
def test_no_more_elements_live_than_allowed(tmp_path, returns, slots, parallelism):
    backend = Backend(tmp_path, slots=slots)
    history = backend.run(over(returns(), [1] * 4, parallelism=parallelism))
    backend.engine.close()
    live = most = 0
    for _, _, phase in elements(history):
        live += {"QUEUED": 1, "RUNNING": 0}.get(phase, -1)
        most = max(most, live)
    assert most == 1
    assert backend.numbers() == [0, 1, 2, 3]


def test_each_element_has_a_cached_result_of_its_own(tmp_path, returns):
    t = returns(cache_version="1")
    first = Backend(tmp_path)
    first.run(over(t, [10, 11]))
    first.engine.close()
    second = Backend(tmp_path, id=ID._replace(name="second"))
    history = second.run(over(t, [10, 12, 11]))
    second.engine.close()
    # The third element is the second one of the first execution: the input counts, not the place.
    assert second.numbers() == [0, 1, 1]
    hits = [x for x in history if isinstance(x, ElementRecord) and x.cache_status == "CACHE_HIT"]
    assert [(x.first, x.number, x.phase) for x in hits] == [
        (0, 1, "SUCCEEDED"),
        (2, 1, "SUCCEEDED"),
    ]
    assert {number for number, _, phase in elements(history) if phase == "RUNNING"} == {1}


def test_elements_with_equal_inputs_compute_once_when_the_author_asks_for_turns(backend, returns):
    t = returns(cache_version="1", cache_serialize=True)
    history = backend.run(over(t, [10, 10, 10]))
    assert backend.numbers() == [0, 0, 0]
    assert {number for number, _, phase in elements(history) if phase == "RUNNING"} == {0}


def test_an_abort_ends_the_elements_that_run(backend, scripts):
    t = scripts.task("t", scripts.hang, inputs=["x"])
    backend.engine.launch(Launch(ID, over(t, [1, 2]), integers()))
    running = {(0, 0, "RUNNING"), (1, 0, "RUNNING")}
    wait_until(lambda: running <= set(elements(backend.recorder.history(ID))), "both run")
    backend.engine.terminate(ID, "enough")
    assert backend.engine.wait(ID, PATIENCE_S)
    history = backend.recorder.history(ID)
    assert history[-1].phase == "ABORTED"
    assert {(0, 0, "ABORTED"), (1, 0, "ABORTED")} <= set(elements(history))


def test_a_restart_finds_the_elements_that_run_and_starts_none_twice(tmp_path, returns):
    for number in range(2):
        os.mkfifo(tmp_path / f"go-{number}")
    # Reading a FIFO waits until another process has opened it for writing.
    body = (
        f"open({str(tmp_path)!r} + f'/began-{{which}}', 'x').close()\n"
        f"if which < 2: open({str(tmp_path)!r} + f'/go-{{which}}').read()\n"
    )
    made = over(returns(body), [1, 2, 3])
    first = Backend(tmp_path, slots=2)
    first.engine.launch(Launch(ID, made, integers()))
    wait_until(
        lambda: (tmp_path / "began-0").exists() and (tmp_path / "began-1").exists(), "two run"
    )
    first.engine.close()
    second = Backend(tmp_path, slots=2, recorder=first.recorder)
    second.engine.resume(Launch(ID, made, integers()))
    for number in range(2):
        (tmp_path / f"go-{number}").write_text("")
    assert second.engine.wait(ID, PATIENCE_S)
    second.engine.close()
    assert second.numbers() == [0, 1, 2]
    history = second.recorder.history(ID)
    assert [each for each in elements(history) if each[2] == "QUEUED"] == [
        (number, 0, "QUEUED") for number in range(3)
    ]
    machine = Machine(plan_of(made), second.engine._layout(Launch(ID, made, integers())).input_uri)
    for record in history:
        machine.apply(record)
    assert machine.is_terminal


def test_maps_run_inside_sub_workflows(backend, returns):
    t = returns()
    inner = workflow("inner", [map_node("n0", t, {"x": [1, 2]})], {"o0": "n0"})
    made = closure(workflow("w", [node("n1", inner)], {"o0": "n1"}), [t], [inner])
    history = backend.run(made)
    assert backend.numbers() == [0, 1]
    assert {x.node_id for x in history if isinstance(x, ElementRecord)} == {"n1-0-n0"}


def test_another_execution_gets_a_slot_while_a_large_map_runs(tmp_path, returns, scripts):
    backend = Backend(tmp_path, slots=1)
    other = ID._replace(name="other")
    ended = []
    backend.engine.launch(Launch(ID, over(returns(), [1] * 30), integers()))
    single = task("single", command=["true"], outputs=())
    backend.engine.launch(
        Launch(other, closure(workflow("o", [node("n0", single)]), [single]), integers())
    )
    assert backend.engine.wait(other, PATIENCE_S)
    ended = [each for each in elements(backend.recorder.history(ID)) if each[2] == "SUCCEEDED"]
    assert len(ended) < 30
    assert backend.engine.wait(ID, PATIENCE_S)
    backend.engine.close()


def test_a_list_that_is_stored_elsewhere_is_read_for_the_map(backend, scripts):
    t = scripts.task(
        "t",
        "assert sys.argv[2] == ['7', '8'][int(os.environ['FLYTE_K8S_ARRAY_INDEX'])]\n"
        + scripts.outputs,
        inputs=["x"],
        args=["{{.inputs.x}}"],
    )
    large = Literal()
    for number in (7, 8):
        large.collection.literals.add().scalar.primitive.integer = number
    uri = f"{backend.path.as_uri()}/large.pb"
    backend.store.write(uri, large.SerializeToString())
    inputs = LiteralMap()
    inputs.literals["xs"].offloaded_metadata.uri = uri
    made = closure(
        workflow("w", [map_node("n0", t, {"x": ".xs"})], {"o0": "n0"}, inputs=["xs"]), [t]
    )
    backend.engine.launch(Launch(ID, made, inputs))
    assert backend.engine.wait(ID, PATIENCE_S)
    assert backend.numbers() == [42, 42]
