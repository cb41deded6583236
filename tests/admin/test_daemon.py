"""The background process: one a folder, found again and restarted, whatever state its folder is in."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import psutil
import pytest
import yaml
from flyteidl.admin import common_pb2, project_pb2

from flyte_nb.admin import daemon
from flyte_nb.admin.home import Home
from flyte_nb.admin.locks import FileLock
from flyte_nb.admin.store.database import Database
from flyte_nb.api.errors import BackendError, RemoteError
from flyte_nb.propeller.executors.attempt_folder import lives
from flyte_nb.testing.backend import grpc_calls
from flyte_nb.testing.waiting import wait_until


@pytest.fixture
def folder(tmp_path):
    yield tmp_path / "home"
    daemon.stop(tmp_path / "home")


def test_the_first_use_starts_it_and_the_next_finds_it(folder):
    assert daemon.status(folder) is None
    started = daemon.ensure(folder)
    assert daemon.ensure(folder) == started
    assert daemon.status(folder) == started
    assert started.storage_root == f"{folder}/objects"  # a plain path: flytekit strips no scheme
    with grpc_calls(started.endpoint, started.token) as admin:
        projects = admin.ListProjects(project_pb2.ProjectListRequest()).projects
    assert [project.id for project in projects] == ["flytesnacks"]
    assert [d.id for d in projects[0].domains] == ["development", "staging", "production"]
    assert psutil.Process(started.pid).ppid() != os.getpid()


def test_two_that_start_at_once_get_one_backend(folder):
    program = (
        "import sys, pathlib; from flyte_nb.admin import daemon;"
        "print(daemon.ensure(pathlib.Path(sys.argv[1])).pid)"
    )
    starts = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(folder)], stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(daemon.ensure(folder).pid)) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found += [int(start.communicate(timeout=120)[0]) for start in starts]
    assert len(found) == 6
    assert len(set(found)) == 1


def resource_list():
    request = common_pb2.ResourceListRequest(limit=1)
    request.id.project, request.id.domain = "flytesnacks", "development"
    return request


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="asks Linux where a process writes to")
def test_a_backend_writes_what_is_printed_to_its_log_that_rotates(folder):
    """gRPC's own library prints a line for each connection that it cannot accept."""
    found = daemon.ensure(folder)
    standard = [os.readlink(f"/proc/{found.pid}/fd/{number}") for number in (1, 2)]
    assert all(target.startswith("pipe:") for target in standard)
    with open(f"/proc/{found.pid}/fd/2", "wb", buffering=0) as printed:
        printed.write(b"a line from a library\n")
    wait_until(lambda: "a line from a library" in (folder / "backend.log").read_text(), "the line")
    assert (folder / "start.log").read_bytes() == b""


def test_the_folder_is_private_and_so_is_all_in_it(folder):
    folder.mkdir()
    (folder / "objects").mkdir(mode=0o755)
    (folder / "backend.log").touch(mode=0o644)  # as an earlier release left them
    found = daemon.ensure(folder)
    with grpc_calls(found.endpoint, found.token) as admin:
        admin.ListTasks(resource_list())
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert {name for name, mode in modes.items() if mode & 0o077} == set()
    assert {"metastore.db", "metastore.db-wal", "config.yaml", "backend.json"} <= modes.keys()


def test_after_kill_9_the_next_start_keeps_the_port_the_token_and_the_data(folder):
    first = daemon.ensure(folder)
    with grpc_calls(first.endpoint, first.token) as admin:
        project = project_pb2.Project(id="mine", name="mine")
        admin.RegisterProject(project_pb2.ProjectRegisterRequest(project=project))
    os.kill(first.pid, signal.SIGKILL)
    wait_until(lambda: daemon.status(folder) is None, "its end")
    second = daemon.ensure(folder)
    assert second.pid != first.pid
    assert (second.endpoint, second.token) == (first.endpoint, first.token)
    with grpc_calls(second.endpoint, second.token) as admin:
        assert admin.GetProject(project_pb2.ProjectGetRequest(id="mine")).name == "mine"


def test_a_foreign_process_on_the_old_port_is_left_alone(folder):
    first = daemon.ensure(folder)
    daemon.stop(folder)
    port = int(first.endpoint.rpartition(":")[2])
    with socket.socket() as foreign:
        foreign.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        foreign.bind(("127.0.0.1", port))
        foreign.listen()
        assert daemon.status(folder) is None
        second = daemon.ensure(folder)
        assert second.endpoint != first.endpoint
        config = yaml.safe_load(second.config_file.read_text())
        assert config["admin"]["endpoint"] == f"dns:///{second.endpoint}"


def test_a_stale_state_file_that_names_another_process_is_ignored(folder):
    first = daemon.ensure(folder)
    daemon.stop(folder)
    sleeper = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        document = json.loads((folder / "backend.json").read_text())
        (folder / "backend.json").write_text(json.dumps({**document, "pid": sleeper.pid}))
        assert daemon.status(folder) is None
        assert daemon.stop(folder) is False
        assert daemon.ensure(folder).pid not in (sleeper.pid, first.pid)
        daemon.stop(folder)
        assert sleeper.poll() is None
        (folder / "backend.json").write_text("{ not json")
        assert daemon.ensure(folder).pid > 0
    finally:
        sleeper.communicate()


def test_stopping_ends_it_and_stopping_again_does_nothing(folder):
    info = daemon.ensure(folder)
    assert daemon.stop(folder) is True
    wait_until(lambda: not lives(info.pid), "its end")
    assert daemon.stop(folder) is False
    assert "stopping" in (folder / "backend.log").read_text()


def test_a_second_process_on_the_same_folder_names_the_one_that_serves_it(folder):
    info = daemon.ensure(folder)
    done = subprocess.run(
        [sys.executable, "-m", "flyte_nb.admin", "--home", str(folder)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert f"serves {folder} already (process {info.pid})" in done.stderr
    assert daemon.status(folder) == info


def test_a_database_of_a_newer_release_is_refused_with_what_to_do(folder):
    home = Home(folder)
    home.prepare()
    database = Database(home.database)
    with database.write() as transaction:
        transaction.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(BackendError, match=r"has schema 99.*Upgrade flyte-nb"):
        daemon.ensure(folder)
    assert daemon.status(folder) is None


def test_a_damaged_database_is_refused_with_what_to_do(folder):
    home = Home(folder)
    home.prepare()
    home.database.write_bytes(b"this is no database" * 1000)
    with pytest.raises(BackendError, match=r"cannot be opened.*Move .* to another place"):
        daemon.ensure(folder)


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can give away")
def test_a_folder_of_another_user_is_refused_with_what_to_do(folder):
    folder.mkdir()
    os.chown(folder, 12345, 12345)
    with pytest.raises(BackendError, match=r"belongs to user 12345.*Set FLYTE_NB_HOME"):
        daemon.ensure(folder)


def test_a_folder_that_cannot_be_made_is_refused_with_what_to_do(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BackendError, match=r"cannot be used.*Set FLYTE_NB_HOME"):
        daemon.ensure(tmp_path / "file" / "home")


def test_a_token_that_others_could_read_is_replaced(folder):
    home = Home(folder)
    home.prepare()
    first = home.token()
    home.token_file.chmod(0o644)
    home.prepare()
    assert home.token() != first
    assert stat.S_IMODE(home.token_file.stat().st_mode) == 0o600


def test_many_that_prepare_a_folder_at_once_find_one_token(folder):
    tokens = set()

    def prepare():
        home = Home(folder)
        home.prepare()
        tokens.add(home.token())

    for _ in range(20):
        with ThreadPoolExecutor(8) as pool:
            for done in [pool.submit(prepare) for _ in range(8)]:
                done.result()
        assert len(tokens) == 1
        tokens.clear()
        (folder / "token").unlink()


def test_a_backend_whose_token_was_deleted_is_reported_and_can_still_be_stopped(folder):
    info = daemon.ensure(folder)
    (folder / "token").unlink()
    with pytest.raises(BackendError, match="token of the running backend is gone") as caught:
        daemon.ensure(folder)
    assert "flyte-nb down" in caught.value.hint
    assert daemon.stop(folder)
    again = daemon.ensure(folder)
    assert again.token != info.token
    with grpc_calls(again.endpoint, again.token) as admin:
        assert admin.ListProjects(project_pb2.ProjectListRequest()).projects


def test_a_lock_that_something_else_holds_is_reported(folder, monkeypatch):
    home = Home(folder)
    home.prepare()
    monkeypatch.setattr(daemon, "_START_TIMEOUT_S", 0.2)
    with FileLock(home.serving_lock) as lock:
        assert lock.try_acquire()
        with pytest.raises(BackendError, match="it is not a backend that answers"):
            daemon.ensure(folder)


def test_a_released_lock_is_free_although_a_process_was_forked_meanwhile(folder):
    home = Home(folder)
    home.prepare()
    lock = FileLock(home.serving_lock)
    assert lock.try_acquire()
    command = [sys.executable, "-c", "input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=(lock._descriptor,)) as fork:
        assert lock.is_held_by_somebody()
        lock.release()
        assert not lock.is_held_by_somebody()
        fork.communicate(b"\n")


def test_looking_at_the_lock_does_not_keep_a_backend_from_starting(folder):
    home = Home(folder)
    home.prepare()
    stop = threading.Event()

    def look():
        while not stop.is_set():
            FileLock(home.serving_lock).is_held_by_somebody()

    looker = threading.Thread(target=look)
    looker.start()
    try:
        assert daemon.ensure(folder).pid > 0
    finally:
        stop.set()
        looker.join()


def test_the_command_of_config_yaml_prints_the_token(folder):
    info = daemon.ensure(folder)
    config = yaml.safe_load(info.config_file.read_text())["admin"]
    assert config["authType"] == "ExternalCommand"
    printed = subprocess.run(config["command"], capture_output=True, text=True, check=True)
    assert printed.stdout == info.token
    assert config["insecure"] is True


def test_an_idle_backend_uses_no_processor_time(folder):
    process = psutil.Process(daemon.ensure(folder).pid)
    wait_until(lambda: _used_in(process, 0.5) < 0.02, "half a second without work")


def _used_in(process, seconds):
    before = process.cpu_times()
    threading.Event().wait(seconds)
    after = process.cpu_times()
    return after.user + after.system - before.user - before.system


def test_the_error_of_a_failed_start_quotes_what_the_process_wrote(folder, monkeypatch):
    home = Home(folder)
    home.prepare()
    monkeypatch.setenv("PYTHONPATH", str(folder))
    (folder / "grpc.py").write_text("raise ImportError('no grpc for you')")
    with pytest.raises(BackendError, match="no grpc for you"):
        daemon.ensure(folder)
    (folder / "grpc.py").unlink()


def test_the_refusal_of_an_old_token_names_the_file_of_the_right_one(folder):
    info = daemon.ensure(folder)
    with (
        grpc_calls(info.endpoint, "old") as admin,
        pytest.raises(RemoteError, match="token is in") as caught,
    ):
        admin.ListProjects(project_pb2.ProjectListRequest())
    assert "flyte-nb down" in str(caught.value)
    assert isinstance(caught.value.__cause__, grpc.RpcError)
    assert Path(info.config_file).exists()
