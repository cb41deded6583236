"""The variables of an attempt: base, whose Python, what was asked for, secrets; and a Python that is gone."""

import json
import os
import stat
import subprocess
import sys

import pytest
from flyteidl.core.security_pb2 import Secret

from flyte_nb.api.errors import TaskFailed
from flyte_nb.propeller.executors.attempt_environment import AttemptEnvironment
from flyte_nb.propeller.executors.attempt_folder import AttemptFolder
from flyte_nb.propeller.executors.process import ProcessExecutor
from flyte_nb.propeller.ports import Attempt, Surroundings
from flyte_nb.runtime.installations import VENV, Installation
from flyte_nb.runtime.spawn import FOLDERS_VARIABLE, PYTHON_VARIABLE
from flyte_nb.storage import open_stores
from flyte_nb.testing.closures import integers, task
from flyte_nb.testing.propeller_conformance import key
from flyte_nb.testing.waiting import wait_until
from flyte_nb.wire.identifiers import identifier_from_idl

RED = Installation(
    "/red/bin/python",
    "3.11",
    "/red",
    VENV,
    variables=(("HOME", "/home/red"), ("PATH", "/usr/bin:/red/bin")),
)
BACKEND = {
    "HOME": "/home/backend",
    "PATH": "/opt/first:/usr/bin",
    "AWS_PROFILE": "backend",
    "FLYTE_INTERNAL_IMAGE": "image",
    "MPLBACKEND": "inline",
    "PYTHONPATH": "/mine",
}


@pytest.fixture
def variables(tmp_path):
    """The variables of an attempt at a task, by what surrounds it."""

    def variables(*, asked=(), envs=None, env=None, runs_worker=True, **surroundings):
        template = task("t", args=["x"], env=env or {})
        for group, name, mount in asked:
            template.security_context.secrets.add(group=group, key=name, mount_requirement=mount)
        attempt = Attempt(
            key("e", 0),
            identifier_from_idl(template.id),
            template,
            integers(),
            "",
            "",
            envs=envs or {},
        )
        folder = AttemptFolder(tmp_path, attempt.key)
        folder.create()
        found = AttemptEnvironment(BACKEND).of(
            attempt, Surroundings(**surroundings), folder, runs_worker
        )
        return {**found.common, **found.own}

    return variables


def test_without_a_python_that_registered_it_the_backends_own_base_counts(variables):
    found = variables()
    assert found["HOME"] == "/home/backend"
    assert found["PATH"].split(":") == [os.path.dirname(sys.executable), "/opt/first", "/usr/bin"]
    assert found["AWS_PROFILE"] == "backend"
    assert found["FLYTE_INTERNAL_IMAGE"] == "image"
    assert not {"MPLBACKEND", "PYTHONPATH", PYTHON_VARIABLE, "VIRTUAL_ENV"} & set(found)


def test_the_python_that_registered_it_brings_its_base_its_commands_and_its_environment(variables):
    found = variables(installation=RED, variables={"AWS_PROFILE": "red"})
    assert found["HOME"] == "/home/red"
    assert found["PATH"] == "/red/bin:/usr/bin"
    assert found[PYTHON_VARIABLE] == "/red/bin/python"
    assert found["VIRTUAL_ENV"] == "/red"
    assert found["AWS_PROFILE"] == "red"
    assert PYTHON_VARIABLE not in variables(installation=RED, runs_worker=False)


def test_a_task_that_names_its_interpreter_has_that_one_and_its_own_packages(variables):
    more = RED._replace(folders=("/red/lib", "/red/more"))
    assert variables(installation=more)[FOLDERS_VARIABLE] == "/red/lib:/red/more"
    found = variables(installation=more, env={PYTHON_VARIABLE: "/other/python"})
    assert found[PYTHON_VARIABLE] == "/other/python"
    assert FOLDERS_VARIABLE not in found


def test_who_lent_nothing_of_a_store_has_not_the_backends_own_credentials(variables):
    assert "AWS_PROFILE" not in variables(installation=RED, variables={})


def test_the_task_wins_over_the_launch_and_both_over_the_base(variables):
    found = variables(
        installation=RED, env={"A": "task", "HOME": "/task"}, envs={"A": "launch", "B": "launch"}
    )
    assert (found["A"], found["B"], found["HOME"]) == ("task", "launch", "/task")


def test_secrets_come_as_variables_and_files_as_the_task_asks(variables):
    values = {"G_A": "one", "G_B": "two", "G_C": "three", "OTHER": "no"}
    asked = [("g", "a", Secret.ENV_VAR), ("g", "b", Secret.FILE), ("g", "c", Secret.ANY)]
    found = variables(asked=[*asked, ("g", "gone", Secret.ANY)], secrets=values)
    assert (found["_FSEC_G_A"], found["_FSEC_G_C"]) == ("one", "three")
    assert not {"_FSEC_G_B", "_FSEC_G_GONE", "_FSEC_OTHER"} & set(found)
    folder = found["FLYTE_SECRETS_DEFAULT_DIR"]
    assert sorted(os.listdir(f"{folder}/g")) == ["b", "c"]
    assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
    assert stat.S_IMODE(os.stat(f"{folder}/g/b").st_mode) == 0o600


def test_a_secret_whose_name_leads_elsewhere_is_written_nowhere(variables, tmp_path):
    asked = [("../../..", "out", Secret.FILE)]
    variables(asked=asked, secrets={"../../.._OUT": "escaped"})
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.fixture
def run(tmp_path):
    """Runs an attempt with these surroundings; its folder."""

    def run(template, surroundings):
        attempt = Attempt(
            *(key("e", 0), identifier_from_idl(template.id), template, integers()),
            *((tmp_path / "inputs.pb").as_uri(), (tmp_path / "data").as_uri()),
        )
        executor = ProcessExecutor(
            tmp_path / "attempts", open_stores(), surroundings=lambda attempt: surroundings
        )
        try:
            executor.start(attempt)
            wait_until(executor.poll, "its end")
        finally:
            executor.close()
        return AttemptFolder(tmp_path / "attempts", attempt.key)

    return run


def test_the_files_of_secrets_end_with_the_attempt(run, scripts):
    body = "import json; print(open(os.environ['FLYTE_SECRETS_DEFAULT_DIR'] + '/g/k').read())\n"
    template = scripts.task("t", body + scripts.outputs)
    template.security_context.secrets.add(group="g", key="k")
    folder = run(template, Surroundings(secrets={"G_K": "sesame"}))
    assert folder.log.read_text() == "sesame\n"
    assert not folder.secrets.exists()


def test_a_task_whose_python_is_gone_is_not_started(run, tmp_path):
    template = task("t", args=["flyte-nb", "execute", "--task", "t"])
    with pytest.raises(TaskFailed) as caught:
        run(template, Surroundings(RED))
    assert caught.value.info.code == "USER:PythonGone"
    assert not (tmp_path / "attempts").exists()


def test_a_command_that_is_no_python_of_ours_runs_whatever_became_of_that(run, scripts):
    body = "import json; print(json.dumps(dict(os.environ)))\n"
    folder = run(scripts.task("t", body + scripts.outputs), Surroundings(RED))
    assert json.loads(folder.log.read_text())["PATH"].startswith("/red/bin:")


def test_signals_that_somebody_ignored_or_blocked_are_as_after_a_login():
    program = (
        "import signal\n"
        "from flyte_nb.runtime import signals\n"
        "signals.reset()\n"
        "ignored = [n for n in signal.valid_signals() if signal.getsignal(n) == signal.SIG_IGN]\n"
        "print(sorted(map(int, ignored)) == sorted([signal.SIGPIPE, signal.SIGXFSZ]),\n"
        "      signal.getsignal(signal.SIGINT) is signal.default_int_handler,\n"
        "      signal.pthread_sigmask(signal.SIG_BLOCK, ()))\n"
    )
    command = ["sh", "-c", "trap '' HUP INT TERM USR1; exec \"$@\"", "sh"]
    done = subprocess.run(
        [*command, sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "True True set()\n"
