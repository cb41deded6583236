"""Answer the gates of an execution by its handle, and ask what its nodes wait for."""

import os

import pytest

import flyte_nb
from flyte_nb import __version__, approve, sleep, wait_for_input, workflow
from flyte_nb.admin.home import Serving
from flyte_nb.api.errors import ExecutionFailed, UsageError
from flyte_nb.executions.signals import APPROVAL, VALUE
from flyte_nb.testing.backend import running_backend
from flyte_nb.testing.waiting import wait_until


@workflow
def gated() -> int:
    level = wait_for_input("level", 3600, int)
    return approve(level, "review", 3600)


@workflow
def resting():
    sleep(3600)


@workflow
def listed() -> list[float]:
    return wait_for_input("numbers", 3600, list[float])


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """A session on a backend in this process: its workflows have no tasks, so nothing is started."""
    with running_backend(tmp_path_factory.mktemp("home")) as backend:
        serving = Serving(pid=os.getpid(), started_at=0.0, port=backend.port, version=__version__)
        backend.home.write_serving(serving)
        yield flyte_nb.connect(backend.home.config_file, name="gates")


@pytest.fixture
def running(session):
    execution = session.launch(gated, {})
    wait_until(lambda: execution.signals(), "the run reaches its first gate")
    yield execution
    execution.terminate("the test is over")


def test_gates_are_answered_by_name(running):
    (first,) = running.signals()
    assert (first.name, first.kind, first.is_set, first.value) == ("level", VALUE, False, None)
    running.set_signal("level", 3)
    wait_until(lambda: len(running.signals()) == 2, "the run reaches its second gate")
    level, review = running.signals()
    assert (level.is_set, level.value) == (True, 3)
    assert (review.name, review.kind, review.is_set) == ("review", APPROVAL, False)
    running.approve("review")
    running.wait(timeout=60)
    assert running.outputs() == {"o0": 3}


def test_a_rejection_fails_the_run(running):
    running.set_signal("level", 3)
    running.reject("review")
    with pytest.raises(ExecutionFailed, match="received a reject signal") as caught:
        running.wait(timeout=60)
    assert caught.value.info.code == "ReceivedRejectSignal"


def test_an_answer_may_come_before_the_run_reaches_its_gate(running):
    running.approve("review")
    running.set_signal("level", 4)
    running.wait(timeout=60)
    assert running.outputs() == {"o0": 4}
    phases = {node.node_id: node.started_at for node in running.view().nodes}
    assert phases["n1"] is None  # it did not wait


def test_a_wrong_answer_is_refused_before_it_is_sent(running):
    with pytest.raises(UsageError, match="The signal level takes int"):
        running.set_signal("level", "three")
    with pytest.raises(UsageError, match=r"has no signal .nothing.\. It has: level, review\."):
        running.set_signal("nothing", 1)


def test_values_of_any_type_are_encoded_as_the_gate_expects_them(session):
    execution = session.launch(listed, {})
    execution.set_signal("numbers", [1, 2.5])
    execution.wait(timeout=60)
    assert execution.outputs() == {"o0": [1.0, 2.5]}


def test_nodes_say_what_they_wait_for(session, running):
    assert running.waits() == {"n0": "a value (signal level)"}
    assert running.nodes["level"].waits_for == "a value (signal level)"
    assert running.logs("n0") == "It waits for a value (signal level).\n"
    execution = session.launch(resting, {})
    wait_until(lambda: execution.waits(), "the sleep begins")
    assert execution.waits()["n0"].startswith("the end of its sleep at ")
    execution.terminate("enough")
    with pytest.raises(ExecutionFailed):
        execution.wait(timeout=60)
    assert execution.waits() == {}
