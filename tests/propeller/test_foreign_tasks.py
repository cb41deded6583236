"""Tasks of another SDK run unchanged: flytekit's own entrypoint in flytekit's own container spec."""

import pytest
from flyteidl.core.literals_pb2 import LiteralMap

from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.propeller.engine import Engine, Launch
from flyte_nb.propeller.executors.process import ProcessExecutor
from flyte_nb.propeller.foreign.runnable import why_not_here
from flyte_nb.storage import open_stores
from flyte_nb.testing.closures import closure, integer, integers, node, task, workflow
from flyte_nb.testing.recorders import MemoryRecorder

pytest.importorskip("flytekit", reason="the other SDK is not installed here")

_MODULE = """
from flytekit import task
from flytekit.exceptions.user import FlyteRecoverableException

@task
def triple(x: int) -> int:
    return 3 * x

@task
def broken(x: int) -> int:
    raise FlyteRecoverableException("please again")
"""


def flytekit_task(path, name: str, **options):
    """As flytekit 1.16.31 serializes a Python task."""
    args = ["pyflyte-execute", "--inputs", "{{.input}}", "--output-prefix", "{{.outputPrefix}}"]
    args += ["--raw-output-data-prefix", "{{.rawOutputDataPrefix}}"]
    args += ["--checkpoint-path", "{{.checkpointOutputPrefix}}"]
    args += ["--prev-checkpoint", "{{.prevCheckpointPrefix}}"]
    args += ["--resolver", "flytekit.core.python_auto_container.default_task_resolver"]
    args += ["--", "task-module", "theirs", "task-name", name]
    return task(name, ["x"], args=args, env={"PYTHONPATH": str(path)}, **options)


@pytest.mark.slow
def test_tasks_of_flytekit_run_and_fail_as_on_a_cluster(tmp_path):
    (tmp_path / "theirs.py").write_text(_MODULE)
    triple = flytekit_task(tmp_path, "triple")
    broken = flytekit_task(tmp_path, "broken", retries=1)
    store, recorder = open_stores(), MemoryRecorder()
    engine = Engine(
        recorder, ProcessExecutor(tmp_path / "attempts", store), store, (tmp_path / "data").as_uri()
    )
    good, bad = ExecutionId("p", "d", "good"), ExecutionId("p", "d", "bad")
    nodes = [node("n0", triple, {"x": ".x"}), node("n1", triple, {"x": "n0"})]
    made = closure(workflow("w", nodes, {"o0": "n1"}, inputs=["x"]), [triple])
    engine.launch(Launch(good, made, integers(x=2)))
    failing = closure(workflow("w", [node("n0", broken, {"x": 1})]), [broken])
    engine.launch(Launch(bad, failing, integers()))
    assert engine.wait(good, 240)
    assert engine.wait(bad, 240)
    engine.close()
    last = recorder.history(good)[-1]
    assert last.phase == "SUCCEEDED", last.error
    assert integer(LiteralMap.FromString(store.read(last.output_uri))) == 18
    error = recorder.history(bad)[-1].error
    assert error.code == "RetriesExhausted|USER:Recoverable"
    assert error.message.startswith("[2/2] currentAttempt done. Last Error: USER::")
    assert "please again" in error.message


def test_a_map_of_the_older_kind_is_refused_with_what_to_do():
    old = task("old", ["x"], command=["pyflyte-map-execute"])
    old.type = "container_array"
    assert "map_task of a newer flytekit" in why_not_here(old)
