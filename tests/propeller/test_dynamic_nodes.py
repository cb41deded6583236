"""Dynamic nodes: a task makes nodes where it runs, and the engine runs these in its place."""

import os
from pathlib import Path

import pytest
from flyteidl.core.compiler_pb2 import CompiledWorkflowClosure
from flyteidl.core.literals_pb2 import LiteralMap
from flyteidl.event.event_pb2 import NodeExecutionEvent

from flyte_nb.api import phases
from flyte_nb.api.errors import UNKNOWN, USER, ErrorInfo, UsageError
from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.propeller.cache import StoreCatalog
from flyte_nb.propeller.engine import Engine, Launch
from flyte_nb.propeller.events import events_of
from flyte_nb.propeller.executors.process import ProcessExecutor
from flyte_nb.propeller.growth import GrowthLimits, growth_limits
from flyte_nb.propeller.records import AttemptRecord, NodeRecord
from flyte_nb.propeller.services import Services
from flyte_nb.storage import open_stores
from flyte_nb.testing.closures import (
    closure,
    gate,
    integer,
    integers,
    job,
    map_node,
    node,
    workflow,
)
from flyte_nb.testing.recorders import MemoryRecorder
from flyte_nb.testing.waiting import wait_until

ID = ExecutionId("flytesnacks", "development", "e")
PATIENCE_S = 120.0


class Backend:
    """An engine over processes and a folder. `restart` is what a crash and a new start leave."""

    def __init__(self, path: Path, *, limits=None) -> None:
        self.path = path
        self.limits = limits
        self.recorder = MemoryRecorder()
        self.store = open_stores()
        self.begin()

    def begin(self) -> None:
        self.engine = Engine(
            self.recorder,
            ProcessExecutor(self.path / "attempts", open_stores(), slots=4, grace_s=0.2),
            self.store,
            self.path.as_uri(),
            catalog=StoreCatalog(self.store, f"{self.path.as_uri()}/cache"),
            services=Services(limits=self.limits),
        )

    def run(self, made, inputs=None, id=ID, **options):
        self.launch(made, inputs, id, **options)
        assert self.engine.wait(id, PATIENCE_S)
        return self.recorder.history(id)

    def launch(self, made, inputs=None, id=ID, **options):
        self.engine.launch(Launch(id, made, inputs or integers(), **options))

    def restart(self, made, id=ID) -> None:
        self.engine.close()
        self.begin()
        self.engine.resume(Launch(id, made, integers()))

    def wait_for(self, attempt: tuple[str, int, str]) -> None:
        wait_until(lambda: attempt in attempts(self.recorder.history(ID)), f"{attempt}")

    def outputs(self, id=ID) -> LiteralMap:
        return LiteralMap.FromString(self.store.read(self.recorder.history(id)[-1].output_uri))


@pytest.fixture
def backend(tmp_path):
    backend = Backend(tmp_path)
    yield backend
    backend.engine.close()


def nodes_of(history) -> list[str]:
    return [f"{x.node_id} {x.phase}" for x in history if isinstance(x, NodeRecord)]


def attempts(history) -> list[tuple[str, int, str]]:
    return [(x.node_id, x.attempt, x.phase) for x in history if isinstance(x, AttemptRecord)]


def made_by(dynamic, inputs=None) -> CompiledWorkflowClosure:
    """A workflow of one node that runs the dynamic task."""
    return closure(workflow("w", [node("n0", dynamic, inputs or {})], {"o0": "n0"}), [dynamic])


@pytest.fixture
def two(scripts):
    """A dynamic task that makes two nodes, one after the other."""
    t = scripts.task("t", scripts.outputs, inputs=["x"])
    nodes = [node("dn0", t, {"x": 1}), node("dn1", t, {"x": "dn0"})]
    return scripts.task("two", scripts.futures(job(nodes, {"o0": "dn1"}, [t])))


def test_the_nodes_that_a_dynamic_task_made_run_in_its_place(backend, two):
    history = backend.run(made_by(two))
    assert nodes_of(history) == [
        "start-node SUCCEEDED",
        "n0 QUEUED",
        "n0 RUNNING",
        "n0 DYNAMIC_RUNNING",
        "n0-0-start-node SUCCEEDED",
        "n0-0-dn0 QUEUED",
        "n0-0-dn0 RUNNING",
        "n0-0-dn0 SUCCEEDED",
        "n0-0-dn1 QUEUED",
        "n0-0-dn1 RUNNING",
        "n0-0-dn1 SUCCEEDED",
        "n0-0-end-node QUEUED",
        "n0-0-end-node SUCCEEDED",
        "n0 SUCCEEDED",
        "end-node QUEUED",
        "end-node SUCCEEDED",
    ]
    assert integer(backend.outputs()) == 42


def test_its_values_are_where_propeller_puts_them(backend, two):
    backend.run(made_by(two))
    root = backend.path / "metadata" / "flytesnacks" / "development" / "e" / "propeller"
    found = {str(path.relative_to(root)) for path in root.rglob("*.pb")}
    assert found == {
        "start-node/data/0/outputs.pb",
        "n0/data/inputs.pb",
        "n0/data/0/futures.pb",
        "n0/data/0/dynamic_compiled.pb",
        "n0/data/0/outputs.pb",
        "n0/data/0/dn0/data/inputs.pb",
        "n0/data/0/dn0/data/0/outputs.pb",
        "n0/data/0/dn1/data/inputs.pb",
        "n0/data/0/dn1/data/0/outputs.pb",
        "n0/data/0/end-node/data/0/outputs.pb",
        "end-node/data/0/outputs.pb",
    }


def test_the_record_names_the_compiled_workflow_and_the_job(backend, two):
    history = backend.run(made_by(two))
    (record,) = (x for x in history if x.phase == phases.DYNAMIC_RUNNING)
    compiled = CompiledWorkflowClosure.FromString(backend.store.read(record.workflow_uri))
    id = compiled.primary.template.id
    assert (id.project, id.domain, id.name) == ("flytesnacks", "development", "dynamic_n0")
    assert len(id.version) == 10
    assert record.job_uri.endswith("n0/data/0/futures.pb")
    assert record.is_parent
    ends = [x for x in history if isinstance(x, NodeRecord) and x.phase == "SUCCEEDED"]
    (ended,) = (x for x in ends if x.node_id == "n0")
    assert ended.output_uri.endswith("n0/data/0/outputs.pb")


def test_the_nodes_of_a_second_attempt_have_its_number(backend, scripts, tmp_path):
    t = scripts.task("t", scripts.outputs)
    futures = scripts.futures(job([node("dn0", t)], {"o0": "dn0"}, [t]))
    body = f"if os.environ['FLYTE_ATTEMPT_NUMBER'] == '0':\n    {scripts.recoverable}else:\n    {futures}"
    history = backend.run(made_by(scripts.task("d", body, retries=1)))
    assert [x for x in attempts(history) if x[2] not in ("QUEUED", "RUNNING")] == [
        ("n0", 0, "FAILED"),
        ("n0", 1, "SUCCEEDED"),
        ("n0-1-dn0", 0, "SUCCEEDED"),
    ]
    (inner,) = {x.parent_attempt for x in history if getattr(x, "spec_node_id", "") == "dn0"}
    assert inner == 1
    assert (tmp_path / "metadata/flytesnacks/development/e/propeller/n0/data/1/dn0/data").is_dir()


def test_dynamic_tasks_may_be_inside_dynamic_tasks_and_sub_workflows(backend, scripts):
    t = scripts.task("t", scripts.outputs)
    inner = scripts.task("inner", scripts.futures(job([node("dn0", t)], {"o0": "dn0"}, [t])))
    sub = workflow("sub", [node("n0", inner)], {"o0": "n0"})
    nodes = [node("dn0", sub)]
    outer = scripts.task("outer", scripts.futures(job(nodes, {"o0": "dn0"}, [inner], [sub])))
    history = backend.run(made_by(outer))
    assert history[-1].phase == "SUCCEEDED", history[-1].error
    parents = {x.node_id: x.parent_id for x in history if isinstance(x, NodeRecord)}
    kinds = {x.node_id: x.spec_node_id for x in history if isinstance(x, NodeRecord)}
    (leaf,) = (x for x in kinds if kinds[x] == "dn0" and parents[x] not in ("", "n0"))
    assert parents[leaf] == "n0-0-dn0-0-n0"
    assert parents["n0-0-dn0-0-n0"] == "n0-0-dn0"
    assert integer(backend.outputs()) == 42


def test_a_job_without_nodes_does_not_compile_as_in_flyte(backend, scripts):
    history = backend.run(made_by(scripts.task("d", scripts.futures(job([], {"o0": 7})))))
    assert history[-1].error.code == "DynamicWorkflowBuildFailed"
    assert "NoNodesFound" in history[-1].error.message


def test_a_dynamic_task_that_wrote_outputs_is_an_ordinary_task(backend, scripts):
    history = backend.run(made_by(scripts.task("d", scripts.outputs)))
    assert "n0 DYNAMIC_RUNNING" not in nodes_of(history)
    assert integer(backend.outputs()) == 42


def test_the_failure_of_a_node_inside_is_the_failure_of_the_node_around_it(backend, scripts):
    bad = scripts.task("bad", scripts.error)
    hang = scripts.task("hang", scripts.hang)
    nodes = [node("dn0", hang), node("dn1", bad)]
    d = scripts.task("d", scripts.futures(job(nodes, {"o0": "dn1"}, [bad, hang])), retries=3)
    history = backend.run(made_by(d))
    assert nodes_of(history)[-4:] == [
        "n0-0-dn1 FAILED",
        "n0 FAILING",
        "n0-0-dn0 ABORTED",
        "n0 FAILED",
    ]
    assert history[-1].error[:2] == ("USER:ValueError", "no")
    assert [x for x in attempts(history) if x[0] == "n0" and x[2] == "SUCCEEDED"] == [
        ("n0", 0, "SUCCEEDED")
    ]


def test_a_job_that_does_not_compile_fails_with_propellers_code_and_text(backend, scripts):
    t = scripts.task("t", scripts.outputs, inputs=["x"])
    d = scripts.task("d", scripts.futures(job([node("dn0", t)], {"o0": "gone"}, [t])), retries=2)
    history = backend.run(made_by(d))
    error = history[-1].error
    assert (error.code, error.origin) == ("DynamicWorkflowBuildFailed", USER)
    assert error.message.startswith(
        "[User] malformed dynamic workflow, caused by: Collected Errors: "
    )
    assert "\tError 0: Code: " in error.message
    assert "gone" in error.message
    assert nodes_of(history)[-1] == "n0 FAILED"
    assert [x for x in attempts(history) if x[1]] == []


def test_a_launch_plan_that_is_not_registered_is_named(backend, scripts):
    made = node("dn0", scripts.task("t", scripts.outputs))
    reference = made.workflow_node.launchplan_ref
    reference.project, reference.domain, reference.name, reference.version = "p", "d", "lp", "v"
    d = scripts.task("d", scripts.futures(job([made], {"o0": "dn0"})))
    history = backend.run(made_by(d))
    assert history[-1].error.code == "DynamicWorkflowBuildFailed"
    assert "incorrectly specified launchplan p:d:lp:v" in history[-1].error.message


def test_a_node_whose_id_leads_out_of_its_folder_is_refused(backend, scripts):
    t = scripts.task("t", scripts.outputs)
    d = scripts.task("d", scripts.futures(job([node("../../dn0", t)], {"o0": 1}, [t])))
    history = backend.run(made_by(d))
    assert history[-1].error.code == "DynamicWorkflowBuildFailed"
    assert "../../dn0" in history[-1].error.message


def test_a_damaged_job_is_the_attempts_failure(backend, scripts):
    history = backend.run(made_by(scripts.task("d", "leave('futures.pb', 'ffff')")))
    assert "cannot be read" in history[-1].error.message


def test_a_dynamic_task_without_an_end_fails_with_one_sentence(tmp_path, scripts):
    t = scripts.task("t", scripts.outputs)
    for depth in range(4):
        made = job([node("dn0", t)], {"o0": "dn0"}, [t])
        t = scripts.task(f"d{depth}", scripts.futures(made))
    backend = Backend(tmp_path, limits=GrowthLimits(depth=3))
    history = backend.run(made_by(t))
    backend.engine.close()
    assert history[-1].error.code == "DynamicTooDeep"
    assert "d0 is inside of 3 other dynamic tasks, and at most 3 may" in history[-1].error.message
    assert "FLYTE_NB_MAX_DYNAMIC_DEPTH" in history[-1].error.message


def test_a_dynamic_task_that_makes_too_many_nodes_fails_before_any_of_them_begins(tmp_path, two):
    backend = Backend(tmp_path, limits=GrowthLimits(nodes=4))
    history = backend.run(made_by(two))
    backend.engine.close()
    assert history[-1].error.code == "DynamicTooLarge"
    assert (
        "two made 4 nodes, and the execution has 3 already: at most 4" in history[-1].error.message
    )
    assert "n0-0-dn0 QUEUED" not in nodes_of(history)


def test_limits_are_read_from_variables():
    assert growth_limits({}) == GrowthLimits()
    environ = {"FLYTE_NB_MAX_DYNAMIC_DEPTH": "7", "FLYTE_NB_MAX_NODES": " 900 "}
    assert growth_limits(environ) == GrowthLimits(7, 900)
    with pytest.raises(UsageError, match="FLYTE_NB_MAX_NODES is 'many'"):
        growth_limits({"FLYTE_NB_MAX_NODES": "many"})


def test_the_result_of_a_dynamic_task_is_cached_as_a_whole(backend, scripts):
    t = scripts.task("t", scripts.outputs)
    body = scripts.futures(job([node("dn0", t)], {"o0": "dn0"}, [t]))
    made = made_by(scripts.task("d", body, cache_version="1"))
    first = backend.run(made)
    statuses = [x.cache_status for x in first if isinstance(x, NodeRecord) and x.node_id == "n0"]
    assert statuses[0] == "CACHE_MISS"
    assert statuses[-1] == "CACHE_POPULATED"
    again = ID._replace(name="again")
    second = backend.run(made, id=again)
    assert nodes_of(second)[1] == "n0 SUCCEEDED"
    assert attempts(second) == []
    assert integer(backend.outputs(again)) == 42


def test_outputs_that_the_nodes_do_not_give_are_missed(backend, scripts):
    t = scripts.task("t", "leave('outputs.pb', '')", outputs=[])
    d = scripts.task("d", scripts.futures(job([node("dn0", t)], {}, [t])))
    history = backend.run(made_by(d))
    assert history[-1].error.code == "DynamicWorkflowBuildFailed"
    assert "o0" in history[-1].error.message


def test_another_attempt_follows_when_a_node_inside_was_out_of_time(backend, scripts):
    slow = scripts.task("slow", scripts.hang, timeout_s=0.3, retries=5)
    quick = scripts.task("quick", scripts.outputs)
    bodies = [scripts.futures(job([node("dn0", t)], {"o0": "dn0"}, [t])) for t in (slow, quick)]
    body = f"if os.environ['FLYTE_ATTEMPT_NUMBER'] == '0':\n    {bodies[0]}else:\n    {bodies[1]}"
    history = backend.run(made_by(scripts.task("d", body, retries=1)))
    assert history[-1].phase == "SUCCEEDED", history[-1].error
    assert [x for x in nodes_of(history) if x.startswith("n0 ")] == [
        "n0 QUEUED",
        "n0 RUNNING",
        "n0 DYNAMIC_RUNNING",
        "n0 FAILING",
        "n0 RUNNING",
        "n0 DYNAMIC_RUNNING",
        "n0 SUCCEEDED",
    ]
    (failing,) = (x for x in history if x.phase == "FAILING")
    assert failing.error == ErrorInfo(
        "DynamicNodeFailing", "Dynamic workflow failed", UNKNOWN, True
    )
    assert "n0-1-dn0 SUCCEEDED" in nodes_of(history)


def test_without_retries_a_node_out_of_time_fails_the_dynamic_one_as_in_propeller(backend, scripts):
    slow = scripts.task("slow", scripts.hang, timeout_s=0.2, retries=5)
    d = scripts.task("d", scripts.futures(job([node("dn0", slow)], {"o0": "dn0"}, [slow])))
    history = backend.run(made_by(d))
    error = history[-1].error
    assert error.code == "RetriesExhausted|DynamicNodeFailing"
    assert (
        error.message == "[1/1] currentAttempt done. Last Error: UNKNOWN::Dynamic workflow failed"
    )


def test_the_timeout_of_a_dynamic_task_counts_for_its_nodes_too(backend, scripts):
    t = scripts.task("t", scripts.hang)
    body = scripts.futures(job([node("dn0", t)], {"o0": "dn0"}, [t]))
    history = backend.run(made_by(scripts.task("d", body, timeout_s=1)))
    assert history[-1].error.code == "RetriesExhausted|TimeoutExpired"
    assert "n0-0-dn0 ABORTED" in nodes_of(history)


def test_an_abort_ends_the_nodes_inside_before_the_node_around_them(backend, scripts):
    t = scripts.task("t", scripts.hang)
    made = made_by(scripts.task("d", scripts.futures(job([node("dn0", t)], {"o0": "dn0"}, [t]))))
    backend.launch(made)
    backend.wait_for(("n0-0-dn0", 0, "RUNNING"))
    backend.engine.terminate(ID, "enough")
    assert backend.engine.wait(ID, PATIENCE_S)
    history = backend.recorder.history(ID)
    assert nodes_of(history)[-2:] == ["n0-0-dn0 ABORTED", "n0 ABORTED"]
    assert history[-1].phase == "ABORTED"


def test_one_parallel_task_is_enough_for_the_nodes_of_a_dynamic_task(backend, two):
    history = backend.run(made_by(two), max_parallelism=1)
    assert history[-1].phase == "SUCCEEDED"


def test_a_restart_finds_the_workflow_that_runs_again(backend, scripts, tmp_path):
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    body = f"open({str(gate)!r}).read()\n{scripts.outputs}"
    t = scripts.task("t", body)
    made = made_by(scripts.task("d", scripts.futures(job([node("dn0", t)], {"o0": "dn0"}, [t]))))
    backend.launch(made)
    backend.wait_for(("n0-0-dn0", 0, "RUNNING"))
    backend.restart(made)
    gate.write_text("")
    assert backend.engine.wait(ID, PATIENCE_S)
    history = backend.recorder.history(ID)
    assert history[-1].phase == "SUCCEEDED", history[-1].error
    assert [x for x in attempts(history) if x[2] == "RUNNING"] == [
        ("n0", 0, "RUNNING"),
        ("n0-0-dn0", 0, "RUNNING"),
    ]
    assert nodes_of(history).count("n0 DYNAMIC_RUNNING") == 1


@pytest.mark.parametrize("damage", ["gone", "damaged"])
def test_a_compiled_workflow_that_is_lost_is_compiled_again(backend, scripts, tmp_path, damage):
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    t = scripts.task("t", f"open({str(gate)!r}).read()\n{scripts.outputs}")
    made = made_by(scripts.task("d", scripts.futures(job([node("dn0", t)], {"o0": "dn0"}, [t]))))
    backend.launch(made)
    backend.wait_for(("n0-0-dn0", 0, "RUNNING"))
    backend.engine.close()
    (record,) = (x for x in backend.recorder.history(ID) if x.phase == "DYNAMIC_RUNNING")
    if damage == "gone":
        backend.store.delete(record.workflow_uri)
    else:
        backend.store.write(record.workflow_uri, b"\xff")
    backend.begin()
    backend.engine.resume(Launch(ID, made, integers()))
    gate.write_text("")
    assert backend.engine.wait(ID, PATIENCE_S)
    assert backend.recorder.history(ID)[-1].phase == "SUCCEEDED"


def test_after_any_record_a_restart_goes_on_to_the_same_end(backend, two, tmp_path):
    made = made_by(two)
    history = list(backend.run(made))
    backend.engine.close()
    for cut in range(1, len(history)):
        backend.recorder = MemoryRecorder()
        backend.recorder.record(ID, history[:cut])
        backend.begin()
        backend.engine.resume(Launch(ID, made, integers()))
        assert backend.engine.wait(ID, PATIENCE_S)
        again = backend.recorder.history(ID)
        assert again[-1].phase == "SUCCEEDED", (cut, again[-1].error)
        assert nodes_of(again) == nodes_of(history), cut
        backend.engine.close()


def test_an_element_of_a_map_that_makes_nodes_fails_with_a_sentence(backend, scripts):
    t = scripts.task("t", scripts.outputs)
    d = scripts.task("d", scripts.futures(job([node("dn0", t)], {"o0": "dn0"}, [t])), inputs=["x"])
    made = closure(workflow("w", [map_node("n0", d, {"x": [1, 2]})], {}), [d])
    history = backend.run(made)
    assert "a map cannot run a dynamic task" in history[-1].error.message


def test_a_gate_may_be_among_the_nodes_that_a_dynamic_task_made(backend, scripts):
    t = scripts.task("t", scripts.outputs, inputs=["x"])
    nodes = [
        gate("dn0", sleep_s=0.01),
        node("dn1", t, {"x": 3}, after=["dn0"]),
    ]
    d = scripts.task("d", scripts.futures(job(nodes, {"o0": "dn1"}, [t])))
    history = backend.run(made_by(d))
    assert history[-1].phase == "SUCCEEDED", history[-1].error
    ended = [x for x in nodes_of(history) if x.endswith("SUCCEEDED")]
    assert {"n0-0-dn0 SUCCEEDED", "n0-0-dn1 SUCCEEDED"} <= set(ended)


def test_events_say_what_is_dynamic_and_what_is_inside_of_that(backend, scripts):
    t = scripts.task("t", scripts.outputs)
    sub = workflow("sub", [node("n0", t)], {"o0": "n0"})
    d = scripts.task("d", scripts.futures(job([node("dn0", sub)], {"o0": "dn0"}, [t], [sub])))
    events = events_of(ID, backend.run(made_by(d)), backend.store.read)
    found = [x for x in events if isinstance(x, NodeExecutionEvent)]
    chained = {x.id.node_id for x in found if x.is_in_dynamic_chain}
    assert {"n0-0-dn0", "n0-0-dn0-0-n0"} <= chained
    assert not {"n0", "start-node", "end-node"} & chained
    own = [x for x in found if x.id.node_id == "n0"]
    # Before the task has made anything, nobody knows that it will.
    assert [x.is_dynamic for x in own] == [False, False, True, True]
    assert [x.is_parent for x in own] == [False, False, True, False]
    made = own[2].task_node_metadata.dynamic_workflow
    assert made.id.name == "dynamic_n0"
    assert made.dynamic_job_spec_uri.endswith("n0/data/0/futures.pb")
    assert [x.id for x in made.compiled_workflow.primary.template.nodes][-1] == "dn0"
