"""Attempts on a real Dask cluster: processes on loopback, of which some are killed."""

import os
import signal

import pytest

distributed = pytest.importorskip("distributed", reason="Dask is not installed here")

from flyte_nb.api.errors import SYSTEM, BackendError  # noqa: E402
from flyte_nb.api.identifiers import ExecutionId  # noqa: E402
from flyte_nb.propeller.engine import Engine, Launch  # noqa: E402
from flyte_nb.propeller.executors.attempt_folder import lives  # noqa: E402
from flyte_nb.propeller.executors.dask_cluster import DaskExecutor  # noqa: E402
from flyte_nb.propeller.ports import Attempt  # noqa: E402
from flyte_nb.storage import open_stores  # noqa: E402
from flyte_nb.testing.closures import closure, integer, integers, node, task, workflow  # noqa: E402
from flyte_nb.testing.propeller_conformance import (  # noqa: E402
    ERROR,
    HANG,
    OK,
    ExecutorConformance,
    key,
)
from flyte_nb.testing.recorders import MemoryRecorder  # noqa: E402
from flyte_nb.testing.waiting import PATIENCE_S, wait_until  # noqa: E402
from flyte_nb.wire.identifiers import identifier_from_idl  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # what Dask and its friends warn of is not ours


@pytest.fixture(scope="module")
def cluster():
    with distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=2,
        processes=True,
        host="127.0.0.1",
        dashboard_address=None,
        silence_logs=50,
    ) as cluster:
        yield cluster


def an_attempt(path, template, number=0, *, inputs=None):
    store = open_stores()
    input_uri = (path / "data" / "n0" / "inputs.pb").as_uri()
    store.write(input_uri, (inputs or integers()).SerializeToString())
    return Attempt(
        key("e", number),
        identifier_from_idl(template.id),
        template,
        integers(),
        input_uri,
        (path / "data" / "n0" / str(number)).as_uri(),
        envs={"FLYTE_ATTEMPT_NUMBER": str(number)},
    )


class TestDaskExecutorConforms(ExecutorConformance):
    keeps_limits = False  # the workers have limits of their own
    has_gpus = False

    @pytest.fixture(autouse=True)
    def _places(self, tmp_path, scripts, cluster):
        self.path, self.scripts, self.cluster = tmp_path, scripts, cluster

    def make(self):
        return DaskExecutor(self.cluster.scheduler_address, open_stores(), grace_s=0.2)

    def attempt(self, behaviour, number=0):
        body = {OK: self.scripts.outputs, ERROR: self.scripts.error, HANG: self.scripts.hang}
        return an_attempt(self.path, self.scripts.task("t", body[behaviour]), number)


@pytest.fixture
def executor(cluster):
    executor = DaskExecutor(cluster.scheduler_address, open_stores(), grace_s=0.2)
    yield executor
    executor.close()


def report_of(executor):
    [report] = reports_of(executor, 1)
    return report


def reports_of(executor, count):
    """Return so many reports. Several may come at once, and each is given once."""
    found = []

    def came():
        found.extend(executor.poll())
        return len(found) >= count

    wait_until(came, f"{count} reports")
    return found


def pid_in(path):
    """Return the number that a task wrote into that file, once it is there."""
    wait_until(lambda: path.exists() and path.read_text().strip(), f"{path}")
    return int(path.read_text())


def worker_of(pid):
    import psutil

    return psutil.Process(pid).ppid()


def test_the_attempt_runs_in_a_process_of_a_worker_with_its_variables(executor, scripts, tmp_path):
    found = tmp_path / "found"
    body = (
        f"open({str(found)!r}, 'w').write(os.environ['FLYTE_ATTEMPT_NUMBER'] + os.environ['A'])\n"
    )
    attempt = an_attempt(tmp_path, scripts.task("t", body + scripts.outputs, env={"A": "a"}), 3)
    started = executor.start(attempt)
    report = report_of(executor)
    assert integer(report.outputs) == 42
    assert report.max_rss_bytes > 0
    assert found.read_text() == "3a"
    ((name, uri),) = started.logs
    assert name == "log"
    assert open_stores().size(uri) is not None


def test_an_attempt_that_waits_for_a_worker_can_be_ended(executor, scripts, tmp_path):
    """All threads are taken; the one that waits never begins."""
    # Before the tests that kill workers: on a busy machine a killed one takes long to come back.
    wait_until(lambda: executor.slots == 4, "both workers")
    taken = []
    for number in range(executor.slots):
        taken.append(an_attempt(tmp_path, scripts.task("t", scripts.hang), number))
        executor.start(taken[-1])
    ran = tmp_path / "ran"
    body = f"open({str(ran)!r}, 'w').close()\n" + scripts.outputs
    waiting = an_attempt(tmp_path, scripts.task("t", body), 99)
    executor.start(waiting)
    executor.kill(waiting.key)
    assert report_of(executor).error.code == "SYSTEM:AttemptLost"
    for attempt in taken:
        executor.kill(attempt.key)
    assert all(report.error is not None for report in reports_of(executor, len(taken)))
    assert not ran.exists()


def test_a_lost_worker_is_the_systems_fault_and_its_attempt_ends_with_it(
    executor, scripts, tmp_path
):
    found = tmp_path / "pid"
    body = f"open({str(found)!r}, 'w').write(str(os.getpid()))\n" + scripts.hang
    executor.start(an_attempt(tmp_path, scripts.task("t", body)))
    pid = pid_in(found)
    os.kill(worker_of(pid), signal.SIGKILL)
    error = report_of(executor).error
    assert (error.code, error.origin, error.recoverable) == ("SYSTEM:AttemptLost", SYSTEM, True)
    wait_until(lambda: not lives(pid), "the end of the process")
    assert pid_in(found) == pid, "it began a second time"


def test_a_lost_worker_is_a_retry_of_the_workflow(cluster, scripts, tmp_path):
    found = tmp_path / "pid"
    once = (
        f"first = not os.path.exists({str(found)!r})\n"
        f"open({str(found)!r}, 'w').write(str(os.getpid()))\n"
        "while first: signal.pause()\n"
    )
    template = scripts.task("t", once + scripts.outputs)
    store, recorder = open_stores(), MemoryRecorder()
    executor = DaskExecutor(cluster.scheduler_address, store, grace_s=0.2)
    engine = Engine(recorder, executor, store, (tmp_path / "data").as_uri())
    id = ExecutionId("p", "d", "e")
    engine.launch(
        Launch(id, closure(workflow("w", [node("n0", template)]), [template]), integers())
    )
    os.kill(worker_of(pid_in(found)), signal.SIGKILL)
    assert engine.wait(id, PATIENCE_S)
    engine.close()
    assert recorder.history(id)[-1].phase == "SUCCEEDED"
    attempts = [record for record in recorder.history(id) if hasattr(record, "task_id")]
    assert [record.phase for record in attempts if record.phase not in ("QUEUED", "RUNNING")] == [
        "FAILED",
        "SUCCEEDED",
    ]


def test_objects_that_workers_do_not_see_are_named_with_the_remedy(executor, scripts, tmp_path):
    attempt = an_attempt(tmp_path, scripts.task("t", scripts.outputs))
    executor.start(attempt._replace(input_uri=(tmp_path / "elsewhere.pb").as_uri()))
    error = report_of(executor).error
    assert error.code == "DaskStoreNotShared"
    assert "elsewhere.pb" in error.message
    assert "FLYTE_NB_HOME" in error.message


def test_a_command_that_a_worker_does_not_have_is_named(executor, tmp_path):
    executor.start(an_attempt(tmp_path, task("t", command=["Rscript"])))
    assert "Install R" in report_of(executor).error.message


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nonsense", "tcp://127.0.0.1"])
def test_a_wrong_address_is_one_sentence_with_a_remedy(address):
    with pytest.raises(BackendError) as caught:
        DaskExecutor(address, open_stores(), timeout_s=0.5)
    assert str(caught.value).startswith(f"No Dask scheduler answers at {address}")
    assert "FLYTE_NB_DASK" in caught.value.hint


def test_what_was_ended_before_it_began_takes_no_thread_later(executor, scripts, tmp_path):
    for number in range(6):
        attempt = an_attempt(tmp_path, scripts.task("t", scripts.hang), number)
        executor.start(attempt)
        executor.kill(attempt.key)
        assert report_of(executor).error is not None
    for number in range(6, 10):
        executor.start(an_attempt(tmp_path, scripts.task("t", scripts.outputs), number))
    assert [report.error for report in reports_of(executor, 4)] == [None] * 4
