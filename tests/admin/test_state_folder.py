"""The home folder: removed, moved, shared by machines, without locks; no home; a clock that was set."""

import errno
import fcntl
import json
import os
import pwd
import sys

import psutil
import pytest

from flyte_nb.admin import daemon, replacing
from flyte_nb.admin.home import Home, Serving
from flyte_nb.admin.locks import FileLock
from flyte_nb.api.errors import BackendError
from flyte_nb.api.version import __version__
from flyte_nb.commands import dispatch
from flyte_nb.propeller.executors.attempt_folder import ProcessId, is_same, lives
from flyte_nb.propeller.executors.processes import started_s
from flyte_nb.runtime.machine import HostMachine, this_machine
from flyte_nb.testing.waiting import wait_until


@pytest.fixture
def folder(tmp_path):
    yield tmp_path / "home"
    daemon.stop(tmp_path / "home")


def state(folder):
    return json.loads((folder / "backend.json").read_text())


def change_state(folder, **fields):
    (folder / "backend.json").write_text(json.dumps({**state(folder), **fields}))


# --- removed and moved --------------------------------------------------------------------------


def test_a_backend_whose_folder_was_moved_ends_and_the_next_one_keeps_its_own_file(
    folder, tmp_path
):
    first = daemon.ensure(folder)
    folder.rename(tmp_path / "elsewhere")
    before = (tmp_path / "elsewhere" / "backend.json").read_text()
    second = daemon.ensure(folder)
    assert second.pid != first.pid
    wait_until(lambda: not lives(first.pid), "the end of the backend whose folder was moved")
    assert state(folder)["pid"] == second.pid
    assert daemon.ensure(folder) == second
    assert (tmp_path / "elsewhere" / "backend.json").read_text() == before
    assert daemon.status(tmp_path / "elsewhere") is None


def test_a_backend_whose_folder_was_removed_ends_and_makes_no_new_one(folder):
    info = daemon.ensure(folder)
    trash = folder.with_name("trash")
    folder.rename(trash)  # as `rm -r` does, but at one moment
    for path in sorted(trash.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    trash.rmdir()
    wait_until(lambda: not lives(info.pid), "its end")
    assert not folder.exists()


def test_a_lock_whose_file_was_removed_is_lost_and_the_next_one_is_another_file(tmp_path):
    path = tmp_path / "lock"
    with FileLock(path) as first, FileLock(path) as second:
        assert first.try_acquire()
        assert not first.is_lost()
        path.unlink()
        assert first.is_lost()
        assert second.try_acquire()
        assert first.is_lost()
        assert not second.is_lost()


# --- several machines ---------------------------------------------------------------------------


HERE = HostMachine("here", "boot-1 net:[1] pid:[1]")


@pytest.mark.parametrize(
    ("other", "another"),
    [
        (HERE, False),
        (HERE._replace(host="renamed"), False),
        (HostMachine("here", "boot-2 net:[1] pid:[1]"), False),  # started again
        (HostMachine("there", "boot-2 net:[1] pid:[1]"), True),
        (
            HostMachine("here", "boot-1 net:[2] pid:[2]"),
            True,
        ),  # a container that is called the same
        (HostMachine("there", ""), True),
        (HostMachine("here", ""), False),
        (HostMachine(), False),  # an earlier release did not write it
    ],
)
def test_another_machine_is_distinguished_from_this_one_under_another_name(other, another):
    assert other.is_another(HERE) is another
    assert HERE.is_another(other) is another


@pytest.mark.parametrize("call", [daemon.ensure, daemon.status, daemon.stop])
def test_a_folder_that_another_machine_serves_is_refused_at_once_with_what_to_set(folder, call):
    Home(folder).prepare()
    lock = FileLock(Home(folder).serving_lock)
    assert lock.try_acquire()
    try:
        serving = Serving(4711, 1.0, 4712, __version__, "node7", "another-boot net:[1] pid:[1]")
        Home(folder).write_serving(serving)
        with pytest.raises(BackendError, match=r"on the machine node7, process 4711") as caught:
            call(folder)
        assert f"FLYTE_NB_HOME={folder}-{this_machine().host}" in caught.value.hint
    finally:
        lock.release()


def test_another_container_is_called_one(folder):
    Home(folder).prepare()
    boot = this_machine().boot.partition(" ")[0]
    if not boot:
        pytest.skip("this system does not name its boots")
    with FileLock(Home(folder).serving_lock) as lock:
        assert lock.try_acquire()
        serving = Serving(4711, 1.0, 4712, __version__, "f00d", f"{boot} net:[1] pid:[1]")
        Home(folder).write_serving(serving)
        with pytest.raises(BackendError, match=r"on another container \(f00d\)"):
            daemon.status(folder)


# --- file systems and folders -------------------------------------------------------------------


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_locks_is_reported_with_what_to_set(folder, monkeypatch, number):
    Home(folder).prepare()
    (folder / "serving.lock").touch()

    def flock(descriptor, kind):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", flock)
        for call in (daemon.status, daemon.ensure):
            with pytest.raises(BackendError, match="where files cannot be locked") as caught:
                call(folder)
            assert "FLYTE_NB_HOME to a folder on a disk of this machine" in caught.value.hint


def test_a_relative_home_is_refused_with_an_example(monkeypatch):
    monkeypatch.setenv("FLYTE_NB_HOME", "state")
    with pytest.raises(BackendError, match=r"'state' is a relative path") as caught:
        Home()
    assert "FLYTE_NB_HOME=/var/tmp/flyte_nb" in caught.value.hint


def test_a_home_that_begins_with_a_tilde_is_below_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("FLYTE_NB_HOME", "~/state")
    assert Home().folder == tmp_path / "state"


@pytest.fixture
def nobody(monkeypatch):
    """A user without HOME and without an entry in the password database."""

    def unknown(uid):
        raise KeyError(uid)

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.delenv("FLYTECTL_CONFIG", raising=False)
    monkeypatch.delenv("FLYTE_NB_HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)


@pytest.mark.parametrize("words", [["status"], ["up"], ["down"], ["executions"]])
def test_without_a_home_folder_every_command_says_what_to_set(nobody, capsys, words):
    assert dispatch.run(words) == 3
    said = capsys.readouterr().err
    assert "There is no home folder" in said
    assert "set FLYTE_NB_HOME" in said
    assert said.count("\n") == 1


def test_without_a_home_folder_a_named_one_is_enough(nobody, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("FLYTE_NB_HOME", str(tmp_path / "state"))
    assert dispatch.run(["status"]) == 3
    assert "No local backend runs" in capsys.readouterr().out


@pytest.fixture
def deleted(tmp_path, monkeypatch):
    """A working directory that is gone."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    monkeypatch.setenv("FLYTE_NB_HOME", str(tmp_path / "state"))


def test_in_a_deleted_folder_commands_that_need_none_work(deleted, capsys):
    assert dispatch.run(["status"]) == 3
    assert "No local backend runs" in capsys.readouterr().out
    assert dispatch.run(["version"]) == 0


@pytest.mark.parametrize(
    "words", [["register", "x.py"], ["compile", "x.py"], ["status", "--home", "here"]]
)
def test_in_a_deleted_folder_other_commands_fail_with_a_sentence(deleted, capsys, words):
    assert dispatch.run(words) != 0
    said = capsys.readouterr().err
    assert "was deleted. Change to a folder that exists" in said
    assert said.count("\n") == 1


# --- the clock ----------------------------------------------------------------------------------


def test_after_the_clock_was_stepped_the_backend_is_found_and_can_be_stopped(folder, monkeypatch):
    info = daemon.ensure(folder)
    unpatched = psutil.Process.create_time
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: unpatched(self) + 7200)
    assert daemon.status(folder) == info
    assert daemon.ensure(folder) == info
    assert daemon.stop(folder)
    assert daemon.status(folder) is None


def test_a_process_is_the_same_after_the_clock_was_stepped(monkeypatch):
    noted = ProcessId(os.getpid(), started_s(os.getpid()))
    unpatched = psutil.Process.create_time
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: unpatched(self) - 7200)
    assert is_same(noted)
    assert not is_same(noted._replace(started_s=noted.started_s - 100))


# --- releases -----------------------------------------------------------------------------------


def test_an_idle_backend_of_an_older_release_is_replaced(folder):
    first = daemon.ensure(folder)
    change_state(folder, version="0.0.1")
    second = daemon.ensure(folder)
    assert second.pid != first.pid
    assert second.notice == ""
    assert not lives(first.pid)


def test_a_backend_of_a_newer_release_stays_and_the_notice_names_it(folder):
    first = daemon.ensure(folder)
    change_state(folder, version="999.1")
    second = daemon.ensure(folder)
    assert second.pid == first.pid
    assert f"is of flyte_nb 999.1, and this is {__version__}" in second.notice


def test_a_backend_whose_python_is_gone_is_replaced(folder):
    first = daemon.ensure(folder)
    change_state(folder, python=str(folder / "venv" / "bin" / "python"))
    second = daemon.ensure(folder)
    assert second.pid != first.pid
    assert state(folder)["pid"] == second.pid


def test_a_busy_backend_of_an_older_release_stays_and_the_notice_counts_its_executions(
    registered, hand_backend, specs
):
    registered.CreateExecution(specs.execution_request("e1", n=1))
    serving = Serving(os.getpid(), 1.0, hand_backend.port, "0.0.1", python=sys.executable)
    assert not replacing.is_to_be_replaced(hand_backend.home, serving)
    said = replacing.notice(hand_backend.home, serving)
    assert "is of flyte_nb 0.0.1" in said
    assert "now 1 runs" in said
    assert "flyte-nb down" in said
