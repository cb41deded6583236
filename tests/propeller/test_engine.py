"""The engine over real processes: parallel nodes, retries, timeouts, abort, and `kill -9`."""

import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from flyteidl.core.compiler_pb2 import CompiledWorkflowClosure
from flyteidl.core.tasks_pb2 import Resources

from flyte_nb.api import phases
from flyte_nb.api.errors import CompileFailed, StorageError, UsageError
from flyte_nb.api.identifiers import ExecutionId, Identifier
from flyte_nb.propeller.cache import StoreCatalog
from flyte_nb.propeller.data_layout import DataLayout
from flyte_nb.propeller.engine import Engine, Launch
from flyte_nb.propeller.executors.attempt_folder import AttemptFolder
from flyte_nb.propeller.executors.process import ProcessExecutor
from flyte_nb.propeller.machine import Machine
from flyte_nb.propeller.plan import plan_of
from flyte_nb.propeller.ports import Attempt, AttemptKey
from flyte_nb.propeller.records import AttemptRecord, ElementRecord, NodeRecord, WorkflowRecord
from flyte_nb.propeller.waits import RESOURCES, Wait
from flyte_nb.storage import open_stores
from flyte_nb.testing.closures import (
    closure,
    integer,
    integers,
    job,
    map_node,
    node,
    task,
    workflow,
)
from flyte_nb.testing.propeller_conformance import RecorderConformance
from flyte_nb.testing.recorders import JournalRecorder, MemoryRecorder
from flyte_nb.testing.waiting import Gate, wait_until

ID = ExecutionId("flytesnacks", "development", "e")
PATIENCE_S = 120.0


class TestMemoryRecorderConforms(RecorderConformance):
    @pytest.fixture(autouse=True)
    def _recorder(self):
        self.recorder = MemoryRecorder()

    def make(self):
        return self.recorder


class TestJournalRecorderConforms(RecorderConformance):
    @pytest.fixture(autouse=True)
    def _path(self, tmp_path):
        self.path = tmp_path / "journal"
        self.opened = []
        yield
        for recorder in self.opened:
            recorder.close()

    def make(self):
        self.opened.append(JournalRecorder(self.path))
        return self.opened[-1]


class Backend:
    """An engine over processes and a folder."""

    def __init__(
        self, path: Path, *, slots: int = 4, recorder=None, store=None, clock=None, **options
    ) -> None:
        self.path = path
        self.recorder = recorder or MemoryRecorder()
        self.store = store or open_stores()
        self.executor = ProcessExecutor(
            path / "attempts", open_stores(), slots=slots, grace_s=0.2, **options
        )
        self.engine = Engine(
            self.recorder,
            self.executor,
            self.store,
            path.as_uri(),
            catalog=StoreCatalog(self.store, f"{path.as_uri()}/cache"),
            clock=clock,
        )

    def run(self, made, inputs=None, **options):
        self.engine.launch(Launch(ID, made, inputs or integers(), **options))
        return self.end()

    def end(self):
        assert self.engine.wait(ID, PATIENCE_S)
        return self.recorder.history(ID)

    def last(self) -> WorkflowRecord:
        return self.recorder.history(ID)[-1]

    def outputs(self):
        from flyteidl.core.literals_pb2 import LiteralMap

        return LiteralMap.FromString(self.store.read(self.last().output_uri))


@pytest.fixture
def backend(tmp_path):
    backend = Backend(tmp_path)
    yield backend
    backend.engine.close()


def attempts(history) -> list[tuple[str, int, str]]:
    return [(x.node_id, x.attempt, x.phase) for x in history if isinstance(x, AttemptRecord)]


def test_a_workflow_runs_and_leaves_its_values_where_flyte_leaves_them(backend, scripts):
    t = scripts.task("t", scripts.outputs, inputs=["x"])
    inner = workflow("inner", [node("n0", t, {"x": ".x"})], {"o0": "n0"}, inputs=["x"])
    nodes = [node("n0", t, {"x": ".x"}), node("n1", inner, {"x": "n0"})]
    made = closure(workflow("w", nodes, {"o0": "n1"}, inputs=["x"]), [t], [inner])
    backend.run(made, integers(x=1))
    assert backend.last().phase == "SUCCEEDED"
    assert integer(backend.outputs()) == 42
    root = backend.path / "metadata" / "flytesnacks" / "development" / "e" / "propeller"
    found = {str(path.relative_to(root)) for path in root.rglob("*.pb")}
    assert found == {
        "start-node/data/0/outputs.pb",
        "n0/data/inputs.pb",
        "n0/data/0/outputs.pb",
        "n1/data/inputs.pb",
        "n1/data/0/n0/data/inputs.pb",
        "n1/data/0/n0/data/0/outputs.pb",
        "n1/data/0/end-node/data/0/outputs.pb",
        "end-node/data/0/outputs.pb",
    }


def test_attempts_carry_what_a_person_wants_to_know(backend, scripts):
    t = scripts.task("t", "print('hello')\n" + scripts.outputs)
    history = backend.run(closure(workflow("w", [node("n0", t)]), [t]))
    queued, running, ended = (x for x in history if isinstance(x, AttemptRecord))
    assert queued.output_uri.endswith("n0/data/0")
    assert queued.pid is None
    assert running.pid
    (name, uri), *_ = running.logs
    assert (name, Path(uri.removeprefix("file://")).read_text()) == ("log", "hello\n")
    assert ended.cpu_s > 0
    assert ended.max_rss_bytes > 1_000_000
    assert ended.output_uri.endswith("n0/data/0/outputs.pb")
    assert ended.task_id.name == "t"
    assert ended.task_type == "python-task"


def test_independent_nodes_run_at_the_same_time(backend, scripts, tmp_path):
    meet = (
        # Opening a FIFO waits until another process opens its other end.
        f"open({str(tmp_path / 'meeting')!r}, sys.argv[2]).close()\n"
    )
    os.mkfifo(tmp_path / "meeting")
    one = scripts.task("one", meet + scripts.outputs, args=["r"])
    two = scripts.task("two", meet + scripts.outputs, args=["w"])
    backend.run(closure(workflow("w", [node("a", one), node("b", two)]), [one, two]))
    assert backend.last().phase == "SUCCEEDED"


@pytest.mark.parametrize("limit", ["slots", "parallelism"])
def test_no_more_attempts_live_than_allowed(tmp_path, scripts, limit):
    backend = Backend(tmp_path, slots=1 if limit == "slots" else 4)
    t = scripts.task("t", scripts.outputs)
    made = closure(workflow("w", [node(f"n{k}", t) for k in range(4)]), [t])
    options = {"max_parallelism": 1} if limit == "parallelism" else {}
    history = backend.run(made, **options)
    backend.engine.close()
    live = most = 0
    for record in history:
        if isinstance(record, AttemptRecord):
            live += {phases.QUEUED: 1, phases.RUNNING: 0}.get(record.phase, -1)
            most = max(most, live)
    assert most == 1
    assert backend.last().phase == "SUCCEEDED"


def test_a_recoverable_error_is_tried_again_and_the_attempts_have_their_own_folders(
    backend, scripts
):
    body = "if os.environ['FLYTE_ATTEMPT_NUMBER'] == '0':\n    " + scripts.recoverable
    t = scripts.task("t", body + "else:\n    " + scripts.outputs, retries=1)
    history = backend.run(closure(workflow("w", [node("n0", t)], {"o0": "n0"}), [t]))
    assert attempts(history) == [
        ("n0", 0, "QUEUED"),
        ("n0", 0, "RUNNING"),
        ("n0", 0, "FAILED"),
        ("n0", 1, "QUEUED"),
        ("n0", 1, "RUNNING"),
        ("n0", 1, "SUCCEEDED"),
    ]
    assert integer(backend.outputs()) == 42


def test_an_error_ends_the_execution_and_what_else_runs(backend, scripts):
    bad = scripts.task("bad", scripts.error)
    hang = scripts.task("hang", scripts.hang)
    made = closure(workflow("w", [node("a", hang), node("b", bad)]), [bad, hang])
    history = backend.run(made)
    assert backend.last().phase == "FAILED"
    assert backend.last().error.code == "USER:ValueError"
    assert ("a", 0, "ABORTED") in attempts(history)


def test_an_attempt_that_takes_too_long_is_ended_and_tried_again(tmp_path, scripts):
    now = [1_000_000]
    backend = Backend(tmp_path, clock=lambda: now[0])
    body = "if os.environ['FLYTE_ATTEMPT_NUMBER'] == '0':\n    signal.pause()\n"
    t = scripts.task("t", body + scripts.outputs, timeout_s=0.05, retries=1)
    backend.engine.launch(Launch(ID, closure(workflow("w", [node("n0", t)]), [t]), integers()))
    running = ("n0", 0, "RUNNING")
    wait_until(lambda: running in attempts(backend.recorder.history(ID)), "the attempt")
    now[0] += 60_000
    history = backend.end()
    backend.engine.close()
    failed = next(x for x in history if isinstance(x, AttemptRecord) and x.phase == "ABORTED")
    assert failed.error.code == "TimeoutExpired"
    assert failed.error.message == "task execution timeout [50ms] expired"
    assert backend.last().phase == "SUCCEEDED"


def test_a_terminated_execution_ends_as_aborted_with_the_cause(backend, scripts):
    t = scripts.task("t", scripts.hang)
    backend.engine.launch(Launch(ID, closure(workflow("w", [node("n0", t)]), [t]), integers()))
    running = ("n0", 0, "RUNNING")
    wait_until(lambda: running in attempts(backend.recorder.history(ID)), "the attempt")
    assert backend.engine.running() == {ID}
    assert backend.engine.terminate(ID, "enough")
    history = backend.end()
    assert [x.phase for x in history if isinstance(x, WorkflowRecord)] == [
        "RUNNING",
        "ABORTING",
        "ABORTED",
    ]
    assert history[-1].error.message == "enough"
    assert attempts(history)[-1] == ("n0", 0, "ABORTED")
    assert backend.engine.terminate(ID, "again") is False


def test_a_command_that_is_not_there_fails_its_node(backend):
    t = task("t", command=["no-such-command"])
    backend.run(closure(workflow("w", [node("n0", t)]), [t]))
    assert backend.last().error.code == "CommandNotFound"


def test_an_output_that_does_not_exist_fails_the_node_that_wants_it(backend, scripts):
    t = scripts.task("t", scripts.outputs, inputs=["x"])
    made = closure(workflow("w", [node("a", t), node("b", t, {"x": "a.nope"})]), [t])
    backend.run(made)
    assert backend.last().error.code == "BindingResolutionFailure"
    assert backend.last().error.message == (
        "failed at Node[b]. BindingResolutionError: Error binding Var [wf].[x], caused by:"
        " failed at Node[a]. OutputsNotFoundError: Failed to find [a].[nope]"
    )


class FullDisk(MemoryRecorder):
    """Takes nothing before it has room."""

    tries = 0
    has_room = False

    def record(self, execution, records):
        self.tries += 1
        if not self.has_room:
            raise OSError(28, "No space left on device")
        super().record(execution, records)


def test_nothing_is_started_before_it_is_recorded(tmp_path, scripts):
    recorder = FullDisk()
    backend = Backend(tmp_path, recorder=recorder)
    seen = tmp_path / "seen"
    t = scripts.task("t", f"open('{seen}', 'w').close()\n" + scripts.outputs)
    engine = backend.engine
    engine.launch(Launch(ID, closure(workflow("w", [node("n0", t)]), [t]), integers()))
    wait_until(lambda: recorder.tries, "the first try")
    assert not seen.exists()
    assert recorder.history(ID) == ()
    recorder.has_room = True
    backend.end()
    engine.close()
    assert backend.last().phase == "SUCCEEDED"


class Refusing:
    """A recorder that knows no execution."""

    def record(self, execution, records):
        raise UsageError("There is no such execution.")

    def history(self, execution):
        return ()


def test_an_execution_that_the_recorder_does_not_know_stops_no_other(tmp_path, scripts, caplog):
    now = iter(range(0, 10**12, 1_000_000))
    executor = ProcessExecutor(tmp_path / "attempts", open_stores())
    engine = Engine(Refusing(), executor, open_stores(), tmp_path.as_uri(), clock=lambda: next(now))
    t = scripts.task("t", scripts.outputs)
    engine.launch(Launch(ID, closure(workflow("w", [node("n0", t)]), [t]), integers()))
    assert engine.wait(ID, PATIENCE_S)
    engine.close()
    assert "until the next restart" in caplog.text
    assert not (tmp_path / "attempts").exists()


class BrokenStore:
    """A store whose disk is full."""

    def __getattr__(self, name):
        def broken(*arguments):
            raise StorageError("No space left on device.", transient=False)

        return broken


def test_a_store_that_cannot_be_written_fails_the_execution_with_the_reason(tmp_path, scripts):
    backend = Backend(tmp_path, store=BrokenStore())
    t = scripts.task("t", scripts.outputs)
    backend.run(closure(workflow("w", [node("n0", t)]), [t]))
    backend.engine.close()
    assert backend.last().phase == "FAILED"
    assert "No space left" in backend.last().error.message


def test_a_launch_that_cannot_run_is_refused(backend, scripts):
    t = scripts.task("t", scripts.hang)
    made = closure(workflow("w", [node("n0", t)]), [t])
    with pytest.raises(CompileFailed):
        backend.engine.launch(Launch(ID, closure(made.primary, []), integers()))
    backend.engine.launch(Launch(ID, made, integers()))
    with pytest.raises(UsageError, match="running here already"):
        backend.engine.launch(Launch(ID, made, integers()))
    backend.engine.terminate(ID, "enough")
    backend.end()
    backend.engine.close()
    with pytest.raises(UsageError, match="closed"):
        backend.engine.launch(Launch(ID, made, integers()))


def test_many_executions_share_the_slots(tmp_path, scripts):
    backend = Backend(tmp_path, slots=2)
    t = scripts.task("t", scripts.outputs)
    made = closure(workflow("w", [node("n0", t), node("n1", t)]), [t])
    ids = [ExecutionId("p", "d", f"e{k}") for k in range(5)]
    for id in ids:
        backend.engine.launch(Launch(id, made, integers()))
    for id in ids:
        assert backend.engine.wait(id, PATIENCE_S)
        assert backend.recorder.history(id)[-1].phase == "SUCCEEDED"
    backend.engine.close()


def test_an_eager_task_leaves_its_slot_to_what_it_waits_for(tmp_path, scripts):
    backend = Backend(tmp_path, slots=1)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    eager = scripts.task("eager", f"open({str(pipe)!r}).close()\n" + scripts.outputs)
    eager.metadata.is_eager = True
    other = scripts.task("other", f"open({str(pipe)!r}, 'w').close()\n" + scripts.outputs)
    ids = [ExecutionId("p", "d", name) for name in ("eager", "other")]
    for id, t in zip(ids, (eager, other), strict=True):
        made = closure(workflow("w", [node("n0", t)]), [t])
        backend.engine.launch(Launch(id, made, integers()))
        # The first one waits for the second one, and has begun.
        wait_until(lambda of=id: len(backend.recorder.history(of)) >= 5, "the attempt")
    for id in ids:
        assert backend.engine.wait(id, PATIENCE_S)
        assert backend.recorder.history(id)[-1].phase == "SUCCEEDED"
    backend.engine.close()


def test_a_closed_engine_leaves_no_thread_behind(tmp_path):
    before = {thread.name for thread in threading.enumerate()}
    backend = Backend(tmp_path)
    assert {thread.name for thread in threading.enumerate()} - before == {
        "flyte-nb-propeller",
        "flyte-nb-reaper",
    }
    backend.engine.close()
    backend.engine.close()
    assert {thread.name for thread in threading.enumerate()} <= before


# kill -9

_BACKEND = """
import sys
from pathlib import Path
from flyteidl.core.compiler_pb2 import CompiledWorkflowClosure
from flyteidl.core.literals_pb2 import LiteralMap
from flyte_nb.api.identifiers import ExecutionId, Identifier
from flyte_nb.propeller.engine import Engine, Launch
from flyte_nb.propeller.executors.attempt_folder import AttemptFolder
from flyte_nb.propeller.executors.process import ProcessExecutor
from flyte_nb.storage import open_stores
from flyte_nb.testing.recorders import JournalRecorder

path = Path(sys.argv[1])
closure = CompiledWorkflowClosure.FromString((path / "closure").read_bytes())
store = open_stores()
engine = Engine(
    JournalRecorder(path / "journal"),
    ProcessExecutor(path / "attempts", store, slots=3, grace_s=0.2),
    store,
    path.as_uri(),
)
id = ExecutionId("flytesnacks", "development", "e")
print("up", flush=True)
engine.resume(Launch(id, closure, LiteralMap()))
engine.wait(id)
engine.close()
print("done", flush=True)
"""

# Each attempt says that it lives and that it has ended; two live ones of a node would show. The
# mark of life is the process itself: one that was killed is told apart from one that goes on.
_WITNESS = """
import fcntl
node = os.path.dirname(folder).replace('/', '-')[-120:]
guard = os.open(os.path.join(%r, 'alive-' + node), os.O_RDWR | os.O_CREAT)
try:
    fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    open(os.path.join(%r, 'TWO-LIVE-' + node), 'w').close()
with open(os.path.join(%r, 'begun'), 'a') as file:
    file.write(folder + chr(10))
import hashlib, time
while time.process_time() < 0.15:  # the work of a task: a kill has to meet some of it
    hashlib.sha256(bytes(100_000)).digest()
"""


def killed_again_and_again(path: Path, seed: int) -> int:
    """Run the backend, killing it at random moments, until it is done; how often it was killed."""
    rng = random.Random(seed)
    kills = 0
    while True:
        with (path / "stderr").open("a") as stderr:
            backend = subprocess.Popen(
                [sys.executable, "-c", _BACKEND, str(path)], stdout=subprocess.PIPE, stderr=stderr
            )
        with backend:
            assert backend.stdout.readline() == b"up\n", (path / "stderr").read_text()
            try:
                backend.wait(rng.uniform(0.0, 0.5) if kills < 8 else PATIENCE_S)
            except subprocess.TimeoutExpired:
                os.kill(backend.pid, signal.SIGKILL)
                kills += 1
                continue
            assert backend.stdout.readline() == b"done\n", (path / "stderr").read_text()
            return kills


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_backend_killed_at_any_moment_loses_nothing_and_never_runs_two_attempts_of_a_node(
    tmp_path, scripts, seed
):
    place = str(tmp_path)
    body = _WITNESS % (place, place, place)
    flaky = (
        "if os.environ['FLYTE_ATTEMPT_NUMBER'] == '0':\n    " + scripts.recoverable + "else:\n    "
    )
    good = scripts.task("good", body + scripts.outputs, inputs=["x"])
    bad = scripts.task("bad", body + flaky + scripts.outputs, inputs=["x"], retries=1)
    inner = workflow("inner", [node("m0", good, {"x": ".x"})], {"o0": "m0"}, inputs=["x"])
    grown = [node("dn0", good, {"x": 1}), node("dn1", good, {"x": "dn0"})]
    spread = scripts.task("spread", body + scripts.futures(job(grown, {"o0": "dn1"}, [good])))
    nodes = [
        node("n0", good, {"x": 1}),
        node("n1", bad, {"x": 1}),
        node("n2", good, {"x": "n0"}),
        node("n3", inner, {"x": "n1"}),
        node("n4", good, {"x": "n3"}),
        node("n5", spread),
        map_node("n6", bad, {"x": [1, 2, 3]}),
    ]
    made = closure(workflow("w", nodes, {"o0": "n4"}), [good, bad, spread], [inner])
    (tmp_path / "closure").write_bytes(made.SerializeToString())
    kills = killed_again_and_again(tmp_path, seed)
    recorder = JournalRecorder(tmp_path / "journal")
    history = recorder.history(ID)
    recorder.close()
    machine = Machine(plan_of(made))
    for record in history:
        if record.phase == phases.DYNAMIC_RUNNING:
            compiled = open_stores().read(record.workflow_uri)
            machine.made[record.workflow_uri] = plan_of(
                CompiledWorkflowClosure.FromString(compiled)
            )
        machine.apply(record)
    assert machine.phase == "SUCCEEDED"
    assert kills > 0
    assert machine.nodes["n5-0-dn1"].phase == "SUCCEEDED"
    assert not list(tmp_path.glob("TWO-LIVE-*"))
    begun = (tmp_path / "begun").read_text().split()
    recorded = {
        x.output_uri.removeprefix("file://")
        for x in history
        if isinstance(x, AttemptRecord) and x.phase == phases.QUEUED
    }
    root = tmp_path / "metadata" / "flytesnacks" / "development" / "e" / "propeller"
    recorded |= {
        str(root / "n6" / "data" / "0" / str(number) / str(x.attempt))
        for x in history
        if isinstance(x, ElementRecord) and x.phase == phases.QUEUED
        for number in range(x.first, x.first + x.number)
    }
    assert {"SUCCEEDED"} == {x.phase for x in history if isinstance(x, ElementRecord)} - {
        *("UNDEFINED", "QUEUED", "RUNNING", "FAILED")
    }
    assert set(begun) <= recorded, "an attempt ran that was never recorded"
    assert len(begun) == len(set(begun)), "an attempt was run twice"
    seen = [x.phase for x in history if isinstance(x, NodeRecord) and x.node_id == "n1"]
    assert seen == ["QUEUED", "RUNNING", "SUCCEEDED"]


def test_a_node_named_as_an_inner_one_will_be_named_runs_beside_it(backend, scripts):
    t = scripts.task("t", scripts.outputs, inputs=["x"])
    inner = workflow("inner", [node("n0", t, {"x": ".x"})], {"o0": "n0"}, inputs=["x"])
    nodes = [node("n0", inner, {"x": ".x"}), node("n0-0-n0", t, {"x": ".x"})]
    made = closure(workflow("w", nodes, {"o0": "n0-0-n0"}, inputs=["x"]), [t], [inner])
    history = backend.run(made, integers(x=1))
    assert backend.last().phase == "SUCCEEDED"
    ids = {node_id for node_id, _, phase in attempts(history) if phase == "SUCCEEDED"}
    assert len(ids) == 2
    assert "n0-0-n0" in ids


def test_a_timeout_longer_than_a_thread_can_wait_does_not_end_the_engine(backend, scripts):
    t = scripts.task("t", scripts.outputs, inputs=["x"])
    t.metadata.timeout.seconds = 2**62
    made = closure(workflow("w", [node("n0", t, {"x": ".x"})], {"o0": "n0"}, inputs=["x"]), [t])
    backend.run(made, integers(x=1))
    assert backend.last().phase == "SUCCEEDED"


def test_an_execution_of_a_release_with_other_folders_goes_on_where_its_values_are(
    tmp_path, scripts
):
    t = scripts.task("t", scripts.outputs, inputs=["x"])
    made = closure(workflow("w", [node("n0", t, {"x": ".x"})], {"o0": "n0"}, inputs=["x"]), [t])
    recorder = MemoryRecorder()
    recorder.record(ID, [WorkflowRecord(1, "RUNNING")])
    former = DataLayout(tmp_path.as_uri(), ID, former=True)
    open_stores().write(former.input_uri, integers(x=1).SerializeToString())
    backend = Backend(tmp_path, recorder=recorder)
    try:
        backend.engine.resume(Launch(ID, made, integers(x=1)))
        backend.end()
        assert backend.last().phase == "SUCCEEDED"
        assert former.root in backend.last().output_uri
    finally:
        backend.engine.close()


def test_an_attempt_that_a_release_with_other_folders_started_is_taken_over(tmp_path):
    attempt = Attempt(
        AttemptKey(ID, "n0", 0),
        Identifier("task", ID.project, ID.domain, "t", "v1"),
        task("t"),
        integers(),
        "/in/inputs.pb",
        str(tmp_path / "out"),
    )
    former = AttemptFolder(tmp_path, attempt.key, former=True)
    former.create()
    executor = ProcessExecutor(tmp_path, open_stores(), slots=1, grace_s=0.2)
    assert executor.adopt(attempt) is None  # nobody holds its lock
    lock = former.take_lock()
    try:
        assert executor.adopt(attempt) is not None
    finally:
        os.close(lock)
        executor.close()


COUNTED = (
    "note = open(sys.argv[2] + '/' + str(os.getpid()), 'w'); note.close()\n"
    "open(sys.argv[2] + '.gate').close()\n"
)


def _alone(template, nodes=1):
    """A workflow of nodes that run one task with equal inputs."""
    made = [node(f"n{index}", template) for index in range(nodes)]
    return closure(workflow("w", made, {"o0": "n0"}), [template])


def _two_executions(backend, made):
    """Launch one workflow twice; the first one has begun its task when the second is launched."""
    ids = [ID._replace(name=name) for name in ("one", "two")]
    backend.engine.launch(Launch(ids[0], made, integers()))
    yield ids
    backend.engine.launch(Launch(ids[1], made, integers()))
    yield ids


def _run_counted(backend, made, folder):
    launching = _two_executions(backend, made)
    ids = next(launching)
    wait_until(lambda: len(os.listdir(folder)) == 1, "the first attempt")
    next(launching)
    wait_until(lambda: _phases(backend, ids[1]), "the second one's node")
    return ids


def _phases(backend, id):
    records = backend.recorder.history(id)
    return [x.phase for x in records if isinstance(x, NodeRecord) and x.node_id == "n0"]


def _statuses(backend, id):
    records = backend.recorder.history(id)
    return [x.cache_status for x in records if isinstance(x, NodeRecord) and x.node_id == "n0"][-1]


@pytest.fixture
def counted(tmp_path):
    """A folder in which each attempt leaves a file before it waits at the gate."""
    folder = tmp_path / "counted"
    folder.mkdir()
    return folder


@pytest.fixture
def gate(counted):
    with Gate(f"{counted}.gate") as gate:
        yield gate


def test_a_serialized_task_is_computed_once_and_the_others_wait_for_the_result(
    backend, scripts, counted, gate
):
    template = scripts.task(
        "t", COUNTED + scripts.outputs, args=[str(counted)], cache_version="1", cache_serialize=True
    )
    ids = _run_counted(backend, _alone(template), counted)
    assert _phases(backend, ids[1]) == ["QUEUED"]
    gate.open()
    for id in ids:
        assert backend.engine.wait(id, PATIENCE_S)
    assert len(os.listdir(counted)) == 1
    assert [_statuses(backend, id) for id in ids] == ["CACHE_POPULATED", "CACHE_HIT"]


def test_when_the_one_that_computes_fails_the_next_one_computes(backend, scripts, counted, gate):
    body = COUNTED + (
        "if len(os.listdir(sys.argv[2])) > 1:\n    "
        + scripts.outputs
        + "else:\n    "
        + scripts.error
    )
    template = scripts.task("t", body, args=[str(counted)], cache_version="1", cache_serialize=True)
    ids = _run_counted(backend, _alone(template), counted)
    gate.open()
    for id in ids:
        assert backend.engine.wait(id, PATIENCE_S)
    assert [backend.recorder.history(id)[-1].phase for id in ids] == ["FAILED", "SUCCEEDED"]
    assert len(os.listdir(counted)) == 2


def test_an_execution_that_is_ended_leaves_its_reservation_to_the_next(
    backend, scripts, counted, gate
):
    template = scripts.task(
        "t", COUNTED + scripts.outputs, args=[str(counted)], cache_version="1", cache_serialize=True
    )
    ids = _run_counted(backend, _alone(template), counted)
    backend.engine.terminate(ids[0], "enough")
    wait_until(lambda: len(os.listdir(counted)) == 2, "the second attempt")
    gate.open()
    assert backend.engine.wait(ids[1], PATIENCE_S)
    assert _statuses(backend, ids[1]) == "CACHE_POPULATED"


def test_without_serialize_nobody_waits(backend, scripts, counted, gate):
    template = scripts.task("t", COUNTED + scripts.outputs, args=[str(counted)], cache_version="1")
    _run_counted(backend, _alone(template), counted)
    wait_until(lambda: len(os.listdir(counted)) == 2, "the second attempt")
    gate.open()


def test_two_equal_nodes_of_one_execution_compute_once_also_with_one_slot(
    tmp_path, scripts, counted, gate
):
    gate.open()
    template = scripts.task(
        "t", COUNTED + scripts.outputs, args=[str(counted)], cache_version="1", cache_serialize=True
    )
    backend = Backend(tmp_path, slots=1)
    try:
        backend.run(_alone(template, nodes=2))
        assert backend.last().phase == "SUCCEEDED"
        assert len(os.listdir(counted)) == 1
    finally:
        backend.engine.close()


def test_a_node_waits_for_a_gpu_that_another_has_says_so_and_keeps_nobody_from_the_slots(
    tmp_path, scripts, gate
):
    waits = f"open({str(gate.path)!r}).close()\n" + scripts.outputs
    asks, other = scripts.task("asks", waits), scripts.task("other", scripts.outputs)
    asks.container.resources.requests.add(name=Resources.GPU, value="1")
    nodes = [node("n0", asks), node("n1", asks), node("n2", other), node("n3", other)]
    backend = Backend(tmp_path, slots=2, gpus=lambda: ["gpu-0"])
    try:
        backend.engine.launch(Launch(ID, closure(workflow("w", nodes), [asks, other]), integers()))

        def ended():
            history = backend.recorder.history(ID)
            return {
                r.node_id for r in history if isinstance(r, NodeRecord) and r.phase == "SUCCEEDED"
            }

        wait_until(lambda: {"n2", "n3"} <= ended(), "the tasks that need no GPU")
        assert backend.engine.waits(ID)["n1"] == Wait(RESOURCES, "1 GPU; 0 of 1 are free")
        gate.open()
        assert backend.engine.wait(ID, PATIENCE_S)
        assert {"n0", "n1"} <= ended()
    finally:
        gate.open()
        backend.engine.close()
