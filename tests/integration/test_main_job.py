"""The main job through a session on a real backend: from cells to outputs that one watched."""

import asyncio
import itertools
import linecache
import os
import signal
import threading
from pathlib import Path

import pytest
from flyteidl.admin.execution_pb2 import WorkflowExecutionGetRequest
from flyteidl.core.literals_pb2 import LiteralMap

import flyte_nb
from flyte_nb.admin import daemon
from flyte_nb.api.errors import (
    CompileFailed,
    ExecutionFailed,
    RegistrationFailed,
    RemoteError,
    StorageError,
    UsageError,
)
from flyte_nb.registering.views import CHANGED, FAILED, NEW, UNCHANGED
from flyte_nb.testing.waiting import wait_until
from flyte_nb.wire.identifiers import execution_id_to_idl

_CELLS = itertools.count(1)

TRAIN = """
from flyte_nb import task, workflow
import pandas as pd

FACTOR = 3

def helper(n):
    return n * FACTOR

@task
def frame(n: int) -> pd.DataFrame:
    print("making", n, "rows")
    return pd.DataFrame({"a": range(helper(n))})

@task
def total(rows: pd.DataFrame, k: int = 2) -> float:
    return float(rows["a"].sum() * k)

@workflow
def train(n: int = 4) -> float:
    return total(rows=frame(n=n))
"""

SLOW = """
from flyte_nb import task, workflow

@task
def nap(bell: str) -> str:
    print("asleep", flush=True)
    open(bell).close()
    return "rested"

@workflow
def rest(bell: str) -> str:
    return nap(bell=bell)
"""


def run_cell(source, namespace):
    """As a kernel does it: in `__main__`, with a line cache for tracebacks."""
    filename = f"<cell {next(_CELLS)}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    exec(compile(source, filename, "exec"), namespace)


def cells(*sources):
    namespace = {"__name__": "__main__"}
    for source in sources:
        run_cell(source, namespace)
    return namespace


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home") / "flyte_nb"
    yield folder
    daemon.stop(folder)


@pytest.fixture
def session(home, request):
    made = flyte_nb.connect(home=home, name=f"nb-{next(_CELLS)}")
    yield made
    made.close()


def states(registration):
    return {
        (item.id.resource_type, item.id.name.rpartition(".")[2]): item.state
        for item in registration.entities
    }


def reasons(registration):
    return {item.id.name.rpartition(".")[2]: item.why for item in registration.entities}


def test_from_cells_to_outputs(session):
    notebook = cells(TRAIN)
    compiled = session.compile(notebook["train"])
    assert compiled.problems == ()
    assert compiled.closure is not None

    first = session.register(notebook["train"])
    assert set(states(first).values()) == {NEW}
    assert [item.id.resource_type for item in first.entities][-1] == "launch_plan"

    execution = session.launch(notebook["train"], {"n": 2})
    views = list(execution.watch())
    assert views[-1].phase == "SUCCEEDED"
    assert [view.serial for view in views] == sorted({view.serial for view in views})
    assert [(node.name, node.phase) for node in views[-1].nodes] == [
        ("frame", "SUCCEEDED"),
        ("total", "SUCCEEDED"),
    ]
    assert execution.outputs() == {"o0": 30.0}
    assert execution.inputs() == {"n": 2}
    inputs, outputs = execution.node_data("n0")
    assert inputs == {"n": 2}
    assert list(outputs["o0"]["a"]) == [0, 1, 2, 3, 4, 5]
    assert "making 2 rows" in execution.logs("n0")
    attempt = views[-1].nodes[0].attempts[0]
    assert attempt.max_rss_bytes > 1 << 20
    assert attempt.started_at < attempt.ended_at
    assert execution.name in [view.id.name for view in session.executions()]


def test_the_same_cells_register_nothing_and_upload_nothing(session):
    session.register(cells(TRAIN)["train"])
    again = session.register(cells(TRAIN)["train"])
    assert set(states(again).values()) == {UNCHANGED}
    # Three lists, and a call of the local backend's own: whose Python runs it.
    assert (again.uploaded_bytes, again.rpcs) == (0, 4)
    assert reasons(again)["frame"] == "same fingerprint as what is registered"


def test_what_is_refused_takes_along_only_what_uses_it(session):
    notebook = cells(
        """
from flyte_nb import Resources, task, workflow

@task(requests=Resources(cpu="2"), limits=Resources(cpu="1"))
def greedy(n: int) -> int:
    return n

@task
def modest(n: int) -> int:
    return n

@workflow
def both(n: int) -> int:
    return modest(n=greedy(n=n))
"""
    )
    told = []
    with pytest.raises(RegistrationFailed, match="greater than the limit") as refusal:
        session.register(notebook["both"], on_progress=told.append)
    assert [problem.entity.rpartition(".")[2] for problem in refusal.value.problems] == ["greedy"]
    fates = {(item.id.resource_type, item.id.name.rpartition(".")[2]): item for item in told}
    assert {key: item.state for key, item in fates.items()} == {
        ("task", "greedy"): FAILED,
        ("task", "modest"): NEW,
        ("workflow", "both"): FAILED,
        ("launch_plan", "both"): FAILED,
    }
    assert fates["workflow", "both"].why == "what it uses could not be registered"


def test_a_changed_helper_is_named_and_only_what_depends_on_it_is_registered(session):
    notebook = cells(TRAIN)
    session.register(notebook["train"])
    run_cell("def helper(n):\n    return n + FACTOR\n", notebook)
    changed = session.register(notebook["train"])
    assert states(changed) == {
        ("task", "frame"): CHANGED,
        ("task", "total"): UNCHANGED,
        ("workflow", "train"): CHANGED,
        ("launch_plan", "train"): CHANGED,
    }
    assert "helper" in reasons(changed)["frame"]
    assert changed.uploaded_bytes < 10_000
    workflow = next(item for item in changed.entities if item.id.resource_type == "workflow")
    assert workflow.why == "frame changed"


def test_a_dry_run_says_the_same_and_sends_nothing(session):
    notebook = cells(TRAIN)
    said = session.register(notebook["train"], dry_run=True)
    assert set(states(said).values()) == {NEW}
    assert said.uploaded_bytes == 0
    assert states(session.register(notebook["train"])) == states(said)


def test_what_is_wrong_is_told_at_once_and_nothing_is_sent(session):
    notebook = cells(
        TRAIN,
        "@task\ndef untyped(a, b: int) -> int:\n    return b\n",
        "import threading\nLOCK = threading.Lock()\n"
        "@task\ndef locked() -> int:\n    return 1 if LOCK else 0\n",
        "@workflow\ndef wrong() -> float:\n    return total(rows=3, depth=1)\n",
    )
    wanted = [notebook[name] for name in ("train", "untyped", "locked", "wrong")]
    before = session.client.rpcs
    with pytest.raises(RegistrationFailed) as caught:
        session.register(*wanted)
    assert session.client.rpcs == before
    told = " ".join(f"{item.entity} {item.message}" for item in caught.value.problems)
    for name in ("untyped", "LOCK", "rows", "depth"):
        assert name in told
    with pytest.raises(RemoteError, match="no task"):
        session.fetch_task("frame")
    looked = session.register(*wanted, dry_run=True)
    assert not looked.ok
    assert set(states(looked).values()) == {FAILED}


def test_an_interrupted_registration_is_completed_by_the_next(session):
    notebook = cells(TRAIN)

    def interrupt(entity):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        session.register(notebook["train"], on_progress=interrupt)
    completed = session.register(notebook["train"])
    assert completed.ok
    assert set(states(completed).values()) <= {NEW, UNCHANGED}
    assert set(states(session.register(notebook["train"])).values()) == {UNCHANGED}


def test_wrong_inputs_are_told_at_once_before_anything_is_registered(session):
    notebook = cells(TRAIN)
    before = session.client.rpcs
    with pytest.raises(CompileFailed) as caught:
        session.launch(notebook["train"], {"n": "two", "m": 1})
    assert {problem.variable for problem in caught.value.problems} == {"n", "m"}
    assert session.client.rpcs == before


def test_a_failed_task_shows_its_own_error_and_lines(session):
    notebook = cells(
        "from flyte_nb import task, workflow\n"
        "@task\ndef divide(n: int) -> float:\n    return 1 / n\n"
        "@workflow\ndef ratio(n: int) -> float:\n    return divide(n=n)\n"
    )
    execution = session.launch(notebook["ratio"], {"n": 0})
    with pytest.raises(ExecutionFailed, match="division by zero") as caught:
        execution.wait(timeout=240)
    assert (caught.value.node_id, caught.value.info.code) == ("n0", "USER:ZeroDivisionError")
    assert "return 1 / n" in str(caught.value)
    with pytest.raises(ExecutionFailed):
        execution.outputs()


def test_a_task_can_be_launched_by_itself_and_awaited(session):
    notebook = cells(TRAIN)

    async def wait():
        execution = session.launch(
            notebook["total"], {"rows": notebook["pd"].DataFrame({"a": [4]})}
        )
        view = await execution
        return view.phase, execution.outputs()

    assert asyncio.run(wait()) == ("SUCCEEDED", {"o0": 8.0})


def test_a_registered_name_can_be_launched_without_its_code(session, home):
    notebook = cells(TRAIN)
    session.register(notebook["train"])
    other = flyte_nb.connect(home=home, name=session.scope.main_module)
    interface, defaults = other.interface("train")
    assert (list(interface.inputs), defaults) == (["n"], {"n": 4})
    execution = other.launch("train", {"n": 1})
    execution.wait(timeout=240)
    assert execution.outputs() == {"o0": 6.0}
    other.close()


def test_an_execution_can_be_terminated_twice_without_harm(session, gate):
    notebook = cells(SLOW)
    execution = session.launch(notebook["rest"], {"bell": str(gate)})
    for view in execution.watch():
        if any(node.phase == "RUNNING" for node in view.nodes):
            execution.terminate("enough")
    final = execution.view()
    assert (final.phase, final.abort_cause) == ("ABORTED", "enough")
    execution.terminate("again")
    with pytest.raises(ExecutionFailed, match="was aborted"):
        execution.wait()


def test_a_killed_backend_is_started_again_and_the_run_goes_on(session, home, gate):
    notebook = cells(SLOW)
    execution = session.launch(notebook["rest"], {"bell": str(gate)})
    killed = 0

    def ring_when_it_is_back():
        def is_back():
            found = daemon.status(home)
            return found is not None and found.pid != killed

        wait_until(is_back, "the backend's next start")
        gate.open()

    ringing = threading.Thread(target=ring_when_it_is_back)
    for view in execution.watch():
        running = [node for node in view.nodes if node.phase == "RUNNING"]
        if running and running[0].attempts and not killed:
            killed = daemon.status(home).pid
            os.kill(killed, signal.SIGKILL)
            ringing.start()
    ringing.join()
    assert view.phase == "SUCCEEDED"
    assert [len(node.attempts) for node in view.nodes] == [1]
    assert execution.outputs() == {"o0": "rested"}


def test_a_wait_that_is_too_short_says_so_and_leaves_the_run(session, gate):
    notebook = cells(SLOW)
    execution = session.launch(notebook["rest"], {"bell": str(gate)})
    with pytest.raises(TimeoutError, match="It goes on"):
        execution.wait(timeout=0.2)
    gate.open()
    assert execution.wait(timeout=240).phase == "SUCCEEDED"


def test_through_the_backends_own_configuration_as_on_a_cluster(session, home):
    """ExternalCommand for the token, signed uploads for the bundle and for files, plain polling RPCs."""
    notebook = cells(TRAIN)
    remote = flyte_nb.connect(daemon.status(home).config_file, name="as-remote")
    assert not remote.is_local
    execution = remote.launch(notebook["total"], {"rows": notebook["pd"].DataFrame({"a": [1, 2]})})
    execution.wait(timeout=240)
    assert execution.outputs() == {"o0": 6.0}
    again = remote.register(notebook["total"])
    assert (again.uploaded_bytes, set(states(again).values())) == (0, {UNCHANGED})
    remote.close()


def test_flytekits_own_client_reads_what_was_registered_and_run(session, home):
    pytest.importorskip("flytekit", reason="the second client is not installed here")
    from flytekit.configuration import Config
    from flytekit.remote import FlyteRemote

    notebook = cells(TRAIN)
    execution = session.launch(notebook["train"], {"n": 1})
    execution.wait(timeout=240)
    config = Config.auto(str(daemon.status(home).config_file))
    remote = FlyteRemote(config, default_project="flytesnacks", default_domain="development")
    assert "flytesnacks" in [project.id for project in remote.client.list_projects_paginated()[0]]
    fetched = remote.sync(remote.fetch_execution(name=execution.name), sync_nodes=True)
    assert fetched.is_done
    assert fetched.outputs["o0"] == 6.0
    flyte_workflow = remote.fetch_workflow(name=f"{session.scope.main_module}.train")
    assert [node.id for node in flyte_workflow.flyte_nodes] == ["n0", "n1"]


def test_names_that_are_not_there_are_told(session):
    with pytest.raises(RemoteError, match="no launch plan") as caught:
        session.launch("nothing_like_it")
    assert caught.value.code == "NOT_FOUND"
    with pytest.raises(RemoteError) as caught:
        session.execution("f00000000000000000000").view()
    assert caught.value.code == "NOT_FOUND"
    with pytest.raises(UsageError, match="no task, workflow"):
        session.register(lambda: 1)


NOTHING = """
from flyte_nb import task, workflow

@task
def quiet(n: int) -> None:
    print(n)

@workflow
def silence(n: int = 1) -> None:
    quiet(n=n)
"""


@pytest.mark.parametrize("damage", ["gone", "empty", "of another interface", "no message"])
def test_values_that_were_lost_are_told_by_their_place(session, damage):
    execution = session.launch(cells(TRAIN)["train"], {"n": 1})
    execution.wait(timeout=240)
    root = execution_root(session, execution)
    spoiled = [root / "end-node/data/0/outputs.pb", root / "n0/data/0/outputs.pb"]
    [inputs] = [
        path
        for path in root.parents[2].rglob("inputs*")
        if execution.name in path.parts and "propeller" not in path.parts
    ]
    spoiled.append(inputs)
    for path in spoiled:
        if damage == "gone":
            path.unlink()
        elif damage == "no message":
            path.write_bytes(b"\xff\xff")
        else:
            other = LiteralMap()
            if damage != "empty":
                other.literals["other"].scalar.primitive.integer = 1
            path.write_bytes(other.SerializeToString())
    for read, path in zip(
        (execution.outputs, lambda: execution.node_data("n0"), execution.inputs),
        spoiled,
        strict=True,
    ):
        if read == execution.inputs:
            path = ""  # FlyteAdmin does not say where inputs are stored
        elif read != execution.outputs and damage == "of another interface":
            continue  # who looks at a node gets what is there, without a call that asks for more
        with pytest.raises(StorageError) as caught:
            read()
        assert str(path) in str(caught.value)
        assert "Launch again" in str(caught.value)


def test_what_returns_nothing_lacks_nothing(session):
    execution = session.launch(cells(NOTHING)["silence"])
    execution.wait(timeout=240)
    for path in execution_root(session, execution).rglob("outputs.pb"):
        if "n0" in path.parts or "end-node" in path.parts:
            path.unlink()
    assert execution.outputs() == {}
    assert execution.node_data("n0") == ({"n": 1}, {})


def execution_root(session, execution):
    """Where the local backend keeps the execution's values."""
    uri = session.client.call(
        "GetExecution", WorkflowExecutionGetRequest(id=execution_id_to_idl(execution.id))
    ).closure.outputs.uri
    return Path(uri).parents[3]


FRAMES = """
import numpy as np
import pandas as pd
from flyte_nb import task, workflow

FRAME = pd.DataFrame({"a": [1, 2]})

@task
def made(n: int) -> pd.DataFrame:
    return pd.DataFrame({"a": [7, 8]})

@task(cache=True)
def total(rows: pd.DataFrame) -> int:
    return int(rows["a"].sum())

@task(cache=True)
def mean(numbers: np.ndarray) -> float:
    return float(numbers.mean())

@workflow
def with_default(rows: pd.DataFrame = FRAME) -> int:
    return total(rows=rows)

@workflow
def with_constant(n: int) -> int:
    return total(rows=FRAME)

@workflow
def through(n: int, numbers: np.ndarray) -> tuple[int, float]:
    return total(rows=made(n=n)), mean(numbers=numbers)
"""


def _cached(execution):
    last = execution.wait(timeout=240)
    return {node.name: node.cache_status == "CACHE_HIT" for node in last.nodes}


def test_equal_frames_change_no_version_and_hit_the_cache(session):
    notebook = cells(FRAMES)
    workflows = [notebook[name] for name in ("with_default", "with_constant", "through")]
    session.register(*workflows)
    again = session.register(*workflows)
    assert set(states(again).values()) == {UNCHANGED}

    frame = {"rows": notebook["pd"].DataFrame({"a": [5, 5]})}
    first = session.launch(notebook["with_default"], frame)
    assert (_cached(first), first.outputs()) == ({"total": False}, {"o0": 10})
    second = session.launch(notebook["with_default"], {"rows": frame["rows"].copy()})
    assert (_cached(second), second.outputs()) == ({"total": True}, {"o0": 10})

    numbers = notebook["np"].arange(4.0)
    first = session.launch(notebook["through"], {"n": 1, "numbers": numbers})
    assert _cached(first) == {"made": False, "total": False, "mean": False}
    second = session.launch(notebook["through"], {"n": 2, "numbers": numbers.copy()})
    assert _cached(second) == {"made": False, "total": True, "mean": True}

    session.launch(notebook["with_constant"], {"n": 1}).wait(timeout=240)
    assert _cached(session.launch(notebook["with_constant"], {"n": 2})) == {"total": True}


GROWING = """
from flyte_nb import LaunchPlan, dynamic, map_task, task, workflow

@task
def square(n: int) -> int:
    return n * n

@task
def add(a: int, b: int) -> int:
    return a + b

@workflow
def twice(n: int = 2) -> int:
    return square(n=square(n=n))

started = LaunchPlan(twice, name="started")

@dynamic
def mapped(n: int) -> list[int]:
    return map_task(square)(n=list(range(n)))

@dynamic
def grown(n: int) -> list[list[int]]:
    return [mapped(n=n), map_task(add)(a=[started(n=n), twice()], b=[1, 1])]

@workflow
def whole(n: int = 3) -> list[list[int]]:
    return grown(n=n)
"""


def test_a_dynamic_task_runs_everything_inside_and_a_view_names_it(session):
    notebook = cells(GROWING)
    session.register(notebook["whole"])
    execution = session.launch(notebook["whole"], {"n": 3})
    views = list(execution.watch())
    assert execution.outputs() == {"o0": [[0, 1, 4], [82, 17]]}
    named = {node.node_id: (node.name, node.kind, node.parent_id) for node in views[-1].nodes}
    assert named == {
        "n0": ("grown", "task", ""),
        "n0-0-dn0": ("mapped", "task", "n0"),
        "n0-0-dn0-0-dn0": ("map_square", "array", "n0-0-dn0"),
        "n0-0-dn1": ("started", "launch_plan", "n0"),
        "n0-0-dn2": ("twice", "workflow", "n0"),
        "n0-0-dn2-0-n0": ("square", "task", "n0-0-dn2"),
        "n0-0-dn2-0-n1": ("square", "task", "n0-0-dn2"),
        "n0-0-dn3": ("map_add", "array", "n0"),
    }
    assert "DYNAMIC_RUNNING" in {node.phase for view in views for node in view.nodes}
    [outer] = [node for node in views[-1].nodes if node.node_id == "n0"]
    compiled = execution.dynamic_workflow(outer)
    assert compiled.primary.template.id.name == "dynamic_n0"
    polled = session.execution(execution.name).view().nodes
    assert sorted(polled) == sorted(views[-1].nodes)
