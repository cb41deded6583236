"""Conditions, gates and failure handlers of flytekit, registered and answered by flytekit itself."""

import os
import subprocess
import sys
import warnings
from datetime import timedelta
from pathlib import Path

import pytest

from flyte_nb.admin import daemon
from flyte_nb.testing.waiting import wait_until

pytest.importorskip("flytekit", reason="flytekit is not installed here")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # what flytekit and its friends warn of is not ours
]

POLL = timedelta(milliseconds=200)
HOUR = 3600

MODULE = """
import typing
from datetime import timedelta
from flytekit import approve, conditional, sleep, task, wait_for_input, workflow
from flytekit.core.task import Echo
from flytekit.types.error import FlyteError

echo = Echo(name="theirs.echo", inputs={"a": int})

@task
def double(n: int) -> int:
    if n > 100:
        raise ValueError("too large")
    return n * 2

@task
def clean(n: int, err: typing.Optional[FlyteError] = None):
    print("cleaning", n, err.failed_node_id, err.message)

@workflow
def gated(n: int) -> int:
    a = echo(a=n)
    s = sleep(timedelta(milliseconds=10))
    level = wait_for_input("level", timeout=timedelta(hours=1), expected_type=int)
    a >> s
    s >> level
    chosen = (
        conditional("sized")
        .if_(level > 10)
        .then(double(n=level))
        .elif_(level == 10)
        .then(echo(a=a))
        .else_()
        .fail("too small")
    )
    # flytekit cannot approve what a conditional returns
    return approve(echo(a=chosen), "review", timeout=timedelta(hours=1))

@workflow(on_failure=clean)
def failing(n: int) -> int:
    return double(n=n)
"""
REGISTER = """
import sys
from flytekit.configuration import Config, ImageConfig, SerializationSettings
from flytekit.remote import FlyteRemote
import theirs

remote = FlyteRemote(
    Config.auto(config_file=sys.argv[1]),
    default_project="flytesnacks",
    default_domain="development",
)
settings = SerializationSettings(ImageConfig.auto_default_image())
for flow in (theirs.gated, theirs.failing):
    remote.fast_register_workflow(flow, serialization_settings=settings, version="v1")
"""


@pytest.fixture(scope="module")
def remote(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gates")
    (folder / "theirs.py").write_text(MODULE)
    (folder / "register.py").write_text(REGISTER)
    with pytest.MonkeyPatch.context() as patch:
        # flytekit's tasks run `pyflyte-execute`, which lies beside this Python.
        patch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
        info = daemon.ensure(folder / "home")
    done = subprocess.run(
        [sys.executable, "register.py", str(info.config_file)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from flytekit.configuration import Config
        from flytekit.remote import FlyteRemote

        yield FlyteRemote(
            Config.auto(config_file=str(info.config_file)),
            default_project="flytesnacks",
            default_domain="development",
        )
    daemon.stop(folder / "home")


def launched(remote, name, **inputs):
    return remote.execute(remote.fetch_launch_plan(name=f"theirs.{name}"), inputs=inputs)


def answered(remote, name, signal, value):
    wait_until(
        lambda: signal in [each.id.signal_id for each in remote.list_signals(name)],
        f"the run reaches {signal}",
    )
    remote.set_input(signal, name, value)


def test_flytekit_answers_gates_by_value_and_approves(remote):
    execution = launched(remote, "gated", n=3)
    name = execution.id.name
    answered(remote, name, "level", 20)
    wait_until(lambda: len(remote.list_signals(name)) == 2, "the run reaches the approval")
    remote.approve("review", name)
    execution = remote.wait(execution, poll_interval=POLL)
    assert execution.outputs["o0"] == 40
    values = [each.value.scalar.primitive for each in remote.list_signals(name)]
    assert (values[0].integer, values[1].boolean) == (20, True)


def test_an_echo_runs_without_a_process_and_a_rejection_fails(remote):
    execution = launched(remote, "gated", n=7)
    name = execution.id.name
    answered(remote, name, "level", 10)
    wait_until(lambda: len(remote.list_signals(name)) == 2, "the run reaches the approval")
    remote.reject("review", name)
    execution = remote.wait(execution, poll_interval=POLL)
    assert execution.error.code == "ReceivedRejectSignal"
    synced = remote.sync_execution(execution, sync_nodes=True)
    assert synced.node_executions["n0"].outputs["o0"] == 7
    (echoed,) = synced.node_executions["n0"].task_executions
    assert not echoed.closure.logs


def test_a_condition_that_nothing_satisfies_fails_with_the_authors_words(remote):
    execution = launched(remote, "gated", n=7)
    answered(remote, execution.id.name, "level", 1)
    execution = remote.wait(execution, poll_interval=POLL)
    assert execution.error.code == "UserProvidedError"
    assert execution.error.message == "[UserProvidedError] too small"


def test_a_signal_of_the_wrong_type_is_refused(remote):
    from flytekit.exceptions.user import FlyteInvalidInputException

    execution = launched(remote, "gated", n=7)
    with pytest.raises(FlyteInvalidInputException, match="is not castable"):
        answered(remote, execution.id.name, "level", "three")
    with pytest.raises(FlyteInvalidInputException, match="signal does not exist"):
        remote.approve("nothing", execution.id.name)
    remote.terminate(execution, "enough")


def test_a_failure_handler_of_flytekit_gets_inputs_and_error(remote):
    execution = remote.wait(launched(remote, "failing", n=200), poll_interval=POLL)
    assert execution.error.code == "USER:RuntimeError"
    synced = remote.sync_execution(execution, sync_nodes=True)
    handler = synced.node_executions["fn0"]
    (attempt,) = handler.task_executions
    assert attempt.closure.phase == 3
    with open(attempt.closure.logs[0].uri.removeprefix("file://")) as log:
        printed = log.read()
    assert "cleaning 200 fn0" in printed
    assert "too large" in printed
