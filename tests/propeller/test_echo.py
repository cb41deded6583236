"""Echo tasks: an executor around another one runs them without a process."""

import pytest

from flyte_nb.api.errors import TaskFailed
from flyte_nb.api.identifiers import ExecutionId, Identifier
from flyte_nb.propeller.executors.echo import WithEchoes
from flyte_nb.propeller.ports import Attempt, AttemptKey, Started
from flyte_nb.storage.memory import MemoryStore
from flyte_nb.testing.closures import integer, integers, task

KEY = AttemptKey(ExecutionId("p", "d", "e"), "n0", 0)


class Others:
    """The executor for all other tasks: it notes what it gets."""

    slots = 3
    in_memory = False

    def __init__(self):
        self.calls = []

    def listen(self, wake):
        self.wake = wake

    def start(self, attempt):
        self.calls.append(("start", attempt.task.type))
        return Started()

    def adopt(self, attempt):
        self.calls.append(("adopt", attempt.task.type))

    def poll(self):
        return []

    def kill(self, key):
        self.calls.append(("kill", key))

    def close(self):
        self.calls.append(("close",))


@pytest.fixture
def executor():
    made = WithEchoes(Others(), MemoryStore())
    made.woken = []
    made.listen(lambda: made.woken.append(1))
    return made


def attempt(inputs=("a",), outputs=("o0",), kind="echo"):
    template = task("t", inputs, outputs=outputs)
    template.type = kind
    return Attempt(
        KEY,
        Identifier("task", "p", "d", "t", "v"),
        template,
        integers(),
        "memory://in",
        "memory://out",
    )


def test_an_echo_returns_its_input_and_ends_at_once(executor):
    executor._store.write("memory://in", integers(a=7).SerializeToString())
    assert executor.start(attempt()) == Started()
    (report,) = executor.poll()
    assert integer(report.outputs) == 7
    assert executor._store.read("memory://out/outputs.pb") == report.outputs.SerializeToString()
    assert executor.woken
    assert executor.poll() == []


def test_an_echo_without_inputs_has_no_outputs(executor):
    executor.start(attempt((), ()))
    assert executor.poll()[0].outputs == integers()


def test_an_echo_that_a_crash_left_is_made_again(executor):
    executor._store.write("memory://in", integers(a=7).SerializeToString())
    assert executor.adopt(attempt()) == Started()
    assert integer(executor.poll()[0].outputs) == 7


def test_an_echo_whose_input_is_gone_fails_by_the_systems_fault(executor):
    with pytest.raises(TaskFailed) as caught:
        executor.start(attempt())
    assert caught.value.info.recoverable
    assert executor.adopt(attempt()) == Started()
    assert executor.poll()[0].error.code == "SYSTEM:StorageError"


def test_what_propeller_cannot_echo_is_refused_in_its_words(executor):
    for inputs, outputs, said in (
        (("a", "b"), ("o0", "o1"), "does not currently support more than one input variable"),
        (("a",), (), "the number of input [1] and output [0] variables does not match"),
    ):
        with pytest.raises(TaskFailed) as caught:
            executor.start(attempt(inputs, outputs))
        assert said in caught.value.info.message


def test_all_other_tasks_go_to_the_other_executor(executor):
    executor.start(attempt(kind="python-task"))
    executor.adopt(attempt(kind="python-task"))
    executor.kill(KEY)
    executor.close()
    assert executor._executor.calls == [
        ("start", "python-task"),
        ("adopt", "python-task"),
        ("kill", KEY),
        ("close",),
    ]
    assert executor.slots == 3
