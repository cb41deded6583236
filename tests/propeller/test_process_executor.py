"""Attempts as processes: conformance, files, environment, ends of every kind, adoption."""

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from flyteidl.core.tasks_pb2 import Resources

from flyte_nb.api.errors import SYSTEM, USER, TaskFailed
from flyte_nb.propeller.executors.attempt_folder import TAG, AttemptFolder, lives
from flyte_nb.propeller.executors.limiter import Limiter
from flyte_nb.propeller.executors.process import ProcessExecutor, own_words
from flyte_nb.propeller.executors.reaper import Exit, wait_for
from flyte_nb.propeller.foreign.containers import program_of
from flyte_nb.propeller.ports import Attempt, AttemptKey
from flyte_nb.storage import open_stores
from flyte_nb.testing.closures import integers, task
from flyte_nb.testing.propeller_conformance import (
    ERROR,
    GPUS,
    HANG,
    HUNGRY,
    OK,
    ExecutorConformance,
    key,
)
from flyte_nb.testing.waiting import wait_until
from flyte_nb.wire.identifiers import identifier_from_idl


class TestProcessExecutorConforms(ExecutorConformance):
    @pytest.fixture(autouse=True)
    def _places(self, tmp_path, scripts):
        self.path = tmp_path
        self.scripts = scripts

    def make(self):
        home = self.path / "attempts"
        return ProcessExecutor(home, open_stores(), slots=4, grace_s=0.2, gpus=lambda: list(GPUS))

    def attempt(self, behaviour, number=0):
        body = {
            OK: self.scripts.outputs,
            ERROR: self.scripts.error,
            HANG: self.scripts.hang,
            HUNGRY: "kept = bytearray(300 << 20)\n" + self.scripts.hang,
        }
        return an_attempt(self.path, self.scripts.task("t", body[behaviour]), number)


def an_attempt(path: Path, template, number: int = 0, **options) -> Attempt:
    folder = (path / "data" / "n0" / str(number)).as_uri()
    return Attempt(
        key("e", number),
        identifier_from_idl(template.id),
        template,
        options.pop("inputs", integers()),
        (path / "data" / "n0" / "inputs.pb").as_uri(),
        folder,
        **options,
    )


class Bench:
    """One executor and the ways to watch what it does."""

    def __init__(self, path: Path, executor: ProcessExecutor) -> None:
        self.path = path
        self.executor = executor

    def end(self, attempt: Attempt):
        found = []

        def came() -> bool:
            found.extend(self.executor.poll())
            return bool(found)

        wait_until(came, "a report")
        return found[0]

    def run(self, template, **options):
        attempt = an_attempt(self.path, template, **options)
        self.executor.start(attempt)
        return self.end(attempt)

    def folder(self, attempt: Attempt) -> AttemptFolder:
        return AttemptFolder(self.path / "attempts", attempt.key)

    def log(self, attempt: Attempt) -> str:
        return self.folder(attempt).log.read_text()


@contextmanager
def opened(path: Path, **options):
    executor = ProcessExecutor(path / "attempts", open_stores(), grace_s=0.3, **options)
    try:
        yield Bench(path, executor)
    finally:
        executor.close()


@pytest.fixture
def bench(tmp_path):
    with opened(tmp_path) as bench:
        yield bench


def test_templates_environment_and_log_are_as_flyte_has_them(bench, scripts, tmp_path):
    body = (
        "import json; print(json.dumps({'argv': sys.argv[1:], 'env': dict(os.environ),"
        " 'cwd': os.getcwd(), 'session': os.getsid(0) == os.getpid()}))\n"
    )
    template = scripts.task(
        "t",
        body + scripts.outputs,
        args=[
            "{{.input}}",
            "{{ $RawOutputDataPrefix }}",
            "{{.prevCheckpointPrefix}}",
            "{{.inputs.x}}",
        ],
        env={"MINE": "1", "OVER": "task"},
    )
    attempt = an_attempt(
        tmp_path,
        template,
        inputs=integers(x=7),
        raw_output_prefix="s3://raw",
        envs={"FLYTE_ATTEMPT_NUMBER": "0", "OVER": "launch"},
    )
    started = bench.executor.start(attempt)
    report = bench.end(attempt)
    assert report.error is None
    seen = json.loads(bench.log(attempt))
    assert seen["argv"] == [attempt.output_prefix, attempt.input_uri, "s3://raw", '""', "7"]
    assert seen["env"]["MINE"] == "1"
    assert seen["env"]["OVER"] == "task"
    assert seen["env"]["FLYTE_ATTEMPT_NUMBER"] == "0"
    assert seen["env"][TAG] == str(bench.folder(attempt).path)
    assert seen["cwd"] == str(bench.folder(attempt).work)
    assert seen["session"] is True
    assert started.logs == (("log", bench.folder(attempt).log.as_uri()),)
    assert started.pid is not None


def test_variables_of_an_attempt_around_us_do_not_reach_ours(tmp_path, scripts):
    environ = {
        "FLYTE_INTERNAL_TASK_NAME": "outer",
        "_F_WN": "1",
        "FLYTE_INTERNAL_IMAGE": "x",
        "PATH": os.defpath,
    }
    with opened(tmp_path, environ=environ) as bench:
        template = scripts.task("t", "print(sorted(os.environ))\n" + scripts.outputs)
        bench.run(template)
        log = bench.log(an_attempt(tmp_path, template))
    assert "FLYTE_INTERNAL_IMAGE" in log
    assert "FLYTE_INTERNAL_TASK_NAME" not in log
    assert "_F_WN" not in log


def test_time_and_memory_are_those_of_the_process(bench, scripts):
    body = "block = b'x' * 60_000_000\nsum(range(2_000_000))\n"
    report = bench.run(scripts.task("t", body + scripts.outputs))
    assert 0.005 < report.cpu_s < 20
    assert 60_000_000 < report.max_rss_bytes < 1_000_000_000


def test_an_error_file_wins_even_when_the_exit_code_is_zero(bench, scripts):
    report = bench.run(scripts.task("t", scripts.outputs + scripts.error))
    assert report.outputs is None
    assert (report.error.code, report.error.message) == ("USER:ValueError", "no")
    assert report.error.recoverable is False
    report = bench.run(scripts.task("t", scripts.recoverable), number=1)
    assert report.error.recoverable is True


def test_neither_file_and_a_clean_exit_is_outputs_not_found(bench, scripts):
    error = bench.run(scripts.task("t", "pass")).error
    assert (error.code, error.message) == (
        "OutputsNotFound",
        "Outputs not generated by task execution",
    )
    assert error.recoverable is True


def test_the_working_folder_is_kept_only_when_an_attempt_failed(bench, scripts, tmp_path):
    good = scripts.task("t", "open('mine', 'w').close()\n" + scripts.outputs)
    bad = scripts.task("t", "open('mine', 'w').close()\n" + scripts.error)
    bench.run(good)
    bench.run(bad, number=1)
    assert not bench.folder(an_attempt(tmp_path, good)).work.exists()
    assert (bench.folder(an_attempt(tmp_path, bad, 1)).work / "mine").exists()


def test_of_a_child_that_somebody_else_waited_for_nothing_is_known():
    child = subprocess.Popen([sys.executable, "-I", "-S", "-c", "raise SystemExit(3)"])
    assert child.wait() == 3
    assert wait_for(child.pid) == Exit()


def test_a_task_without_outputs_may_leave_no_file(bench, scripts):
    report = bench.run(scripts.task("t", "pass", outputs=()))
    assert report.error is None
    assert dict(report.outputs.literals) == {}


def test_an_exit_code_without_files_is_told_with_the_end_of_the_log(bench, scripts):
    error = bench.run(scripts.task("t", "print('the reason'); sys.exit(3)")).error
    assert error.code == "NonZeroExitCode"
    assert "exit code 3" in error.message
    assert "the reason" in error.message
    assert (error.origin, error.recoverable) == (USER, True)


def test_results_that_a_full_disk_did_not_take_are_told_as_that(bench, scripts, monkeypatch):
    full = os.statvfs_result((4096, 4096, 1000, 0, 0, 1000, 9, 9, 0, 255))
    monkeypatch.setattr(os, "statvfs", lambda folder: full)
    error = bench.run(scripts.task("t", "sys.exit(1)")).error
    assert error.code == "SYSTEM:DiskFull"
    assert "Make room there" in error.message
    assert (error.origin, error.recoverable) == (SYSTEM, True)


def test_a_process_killed_from_outside_is_told_by_its_signal(bench, scripts):
    error = bench.run(scripts.task("t", "os.kill(os.getpid(), signal.SIGKILL)")).error
    assert error.code == "KilledBySignal"
    assert "SIGKILL" in error.message
    assert "out of memory" in error.message
    assert error.recoverable is True


def test_outputs_above_the_limit_are_refused(bench, scripts):
    body = "leave('outputs.pb', '00' * (10 * 1024 * 1024 + 1))"
    error = bench.run(scripts.task("t", body)).error
    assert error.code == "OutputSizeExceeded"


def test_damaged_outputs_are_an_error_and_not_an_exception(bench, scripts):
    error = bench.run(scripts.task("t", "leave('outputs.pb', 'ffff')")).error
    assert error.code == "SYSTEM:ResultsNotReadable"
    assert error.recoverable is True


def test_a_damaged_error_file_is_still_an_error(bench, scripts):
    error = bench.run(scripts.task("t", scripts.outputs + "leave('error.pb', 'ffff')")).error
    assert error.code == "SYSTEM:ErrorNotReadable"


def test_the_nodes_that_a_dynamic_task_made_are_reported(bench, scripts):
    report = bench.run(scripts.task("t", "leave('futures.pb', '')"))
    assert report.job is not None
    assert (report.outputs, report.error) == (None, None)


def test_a_command_that_is_not_there_cannot_be_started(bench, tmp_path):
    with pytest.raises(TaskFailed) as caught:
        bench.executor.start(an_attempt(tmp_path, task("t", command=["no-such-command"])))
    assert caught.value.info.code == "CommandNotFound"
    assert "no-such-command" in caught.value.info.message
    assert bench.executor.poll() == []


def test_a_task_without_a_command_or_container_cannot_be_started(bench, tmp_path):
    with pytest.raises(TaskFailed, match="has no command"):
        bench.executor.start(an_attempt(tmp_path, task("t")))
    bare = task("t")
    bare.ClearField("container")
    with pytest.raises(TaskFailed, match="no container"):
        bench.executor.start(an_attempt(tmp_path, bare))


def test_our_own_command_is_run_by_this_interpreter(bench, tmp_path):
    attempt = an_attempt(tmp_path, task("t", command=["/usr/bin/flyte-nb"], args=["--version"]))
    words = own_words(program_of(attempt.task), attempt)
    assert words == [sys.executable, "-m", "flyte_nb", "--version"]


def test_what_a_task_leaves_running_ends_with_it(bench, scripts, tmp_path):
    child = "import subprocess\np = subprocess.Popen(['sleep', '1000'])\nprint(p.pid, flush=True)\n"
    template = scripts.task("t", child + scripts.outputs)
    report = bench.run(template)
    assert report.error is None
    pid = int(bench.log(an_attempt(tmp_path, template)))
    wait_until(lambda: not lives(pid), "the child's end")


def test_ending_an_attempt_ends_all_its_processes_also_those_that_refuse(bench, scripts, tmp_path):
    body = (
        "import subprocess\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "inner = subprocess.Popen(['sleep', '1000'])\n"
        "away = subprocess.Popen(['sleep', '1000'], start_new_session=True)\n"
        "print(inner.pid, away.pid, flush=True)\n" + scripts.hang
    )
    attempt = an_attempt(tmp_path, scripts.task("t", body))
    bench.executor.start(attempt)
    wait_until(lambda: "hanging" in bench.log(attempt), "the task to hang")
    bench.executor.kill(attempt.key)
    report = bench.end(attempt)
    assert report.error.code == "KilledBySignal"
    for pid in map(int, bench.log(attempt).split()[:2]):
        wait_until(lambda pid=pid: not lives(pid), "the child's end")


_STARTER = """
import sys, pickle, os, signal
from pathlib import Path
from flyte_nb.propeller.executors.process import ProcessExecutor, own_words
from flyte_nb.storage import open_stores
from flyte_nb.propeller.ports import Attempt, AttemptKey
from flyte_nb.api.identifiers import ExecutionId, Identifier
from flyteidl.core.tasks_pb2 import TaskTemplate
from flyteidl.core.literals_pb2 import LiteralMap
path, number = Path(sys.argv[1]), int(sys.argv[2])
template = TaskTemplate.FromString((path / "task").read_bytes())
executor = ProcessExecutor(path / "attempts", open_stores())
key = AttemptKey(ExecutionId("flytesnacks", "development", "e"), "n0", number)
folder = (path / "data" / "n0" / str(number)).as_uri()
task_id = Identifier("task", "flytesnacks", "development", "t", "v1")
executor.start(Attempt(key, task_id, template, LiteralMap(), "", folder))
os.kill(os.getpid(), signal.SIGKILL)
"""


def start_and_die(path: Path, template, number: int = 0) -> None:
    """Start the attempt from a process that is killed right after."""
    (path / "task").write_bytes(template.SerializeToString())
    command = [sys.executable, "-c", _STARTER, str(path), str(number)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr


def test_an_attempt_outlives_whoever_started_it_and_is_adopted(tmp_path, scripts, gate):
    wait = f"open({str(gate)!r}).close()\n"
    template = scripts.task("t", wait + scripts.outputs)
    start_and_die(tmp_path, template)
    attempt = an_attempt(tmp_path, template)
    with opened(tmp_path) as bench:
        found = bench.executor.adopt(attempt)
        assert found is not None
        assert found.pid == bench.folder(attempt).process().pid
        assert bench.executor.poll() == []
        gate.open()
        report = bench.end(attempt)
    assert report.error is None
    assert report.outputs is not None


def test_an_adopted_attempt_that_left_nothing_was_lost_and_may_be_tried_again(tmp_path, scripts):
    template = scripts.task("t", "sys.exit(1)")
    start_and_die(tmp_path, template)
    with opened(tmp_path) as bench:
        attempt = an_attempt(tmp_path, template)
        assert bench.executor.adopt(attempt) is not None
        error = bench.end(attempt).error
    assert (error.code, error.recoverable) == ("SYSTEM:AttemptLost", True)


def test_an_adopted_attempt_without_a_note_of_its_process_can_be_ended(tmp_path, scripts):
    template = scripts.task("t", scripts.hang)
    start_and_die(tmp_path, template)
    attempt = an_attempt(tmp_path, template)
    with opened(tmp_path) as bench:
        pid = bench.folder(attempt).process().pid
        (bench.folder(attempt).path / "process.json").unlink()
        assert bench.executor.adopt(attempt) is not None
        bench.executor.kill(attempt.key)
        assert bench.end(attempt).error is not None
        assert not lives(pid)


def test_starting_an_attempt_that_lives_starts_no_second_one(tmp_path, scripts):
    template = scripts.task("t", "print('begun', flush=True)\n" + scripts.hang)
    start_and_die(tmp_path, template)
    attempt = an_attempt(tmp_path, template)
    with opened(tmp_path) as bench:
        wait_until(lambda: "hanging" in bench.log(attempt), "the task to hang")
        bench.executor.start(attempt)
        bench.executor.kill(attempt.key)
        bench.end(attempt)
        assert bench.log(attempt).count("begun") == 1


def test_a_folder_of_a_start_that_was_cut_short_can_be_started(tmp_path, scripts):
    attempt = an_attempt(tmp_path, scripts.task("t", scripts.outputs))
    with opened(tmp_path) as bench:
        bench.folder(attempt).create()
        os.close(bench.folder(attempt).take_lock())
        assert bench.executor.adopt(attempt) is None
        bench.executor.start(attempt)
        assert bench.end(attempt).error is None


def test_a_process_left_by_a_dead_attempt_ends_before_the_attempt_counts_as_ended(
    tmp_path, scripts
):
    body = (
        "import subprocess\n"
        "p = subprocess.Popen(['sleep', '1000'], start_new_session=True)\n"
        "print(p.pid, flush=True)\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )
    template = scripts.task("t", body)
    attempt = an_attempt(tmp_path, template)
    start_and_die(tmp_path, template)
    with opened(tmp_path) as bench:
        wait_until(lambda: bench.log(attempt).strip() != "", "the task's word")
        wait_until(lambda: not bench.folder(attempt).is_locked(), "the task's end")
        bench.executor.adopt(attempt)
        bench.end(attempt)
        assert not lives(int(bench.log(attempt)))


def test_keys_of_other_executions_have_other_folders(tmp_path):
    one = AttemptFolder(tmp_path, key("a"))
    assert one.path != AttemptFolder(tmp_path, key("b")).path
    assert one.path != AttemptFolder(tmp_path, key("a", 1)).path
    assert isinstance(key("a"), AttemptKey)


def test_an_attempt_sees_the_gpus_that_it_asked_for_and_no_others(tmp_path, scripts):
    body = "print(os.environ.get('CUDA_VISIBLE_DEVICES'))\n" + scripts.outputs
    asks = scripts.task("t", body)
    asks.container.resources.requests.add(name=Resources.GPU, value="1")
    chooses = scripts.task("t", body, env={"CUDA_VISIBLE_DEVICES": "mine"})
    with opened(tmp_path, gpus=lambda: list(GPUS)) as bench:
        seen = []
        for number, template in enumerate((asks, scripts.task("t", body), chooses)):
            attempt = an_attempt(tmp_path, template, number)
            bench.executor.start(attempt)
            assert bench.end(attempt).error is None
            seen.append(bench.log(attempt).strip())
    assert seen == [GPUS[0], "", "mine"]


def test_on_a_machine_without_gpus_nothing_is_hidden(tmp_path, scripts):
    body = "print(os.environ.get('CUDA_VISIBLE_DEVICES'))\n" + scripts.outputs
    with opened(tmp_path, gpus=list) as bench:
        attempt = an_attempt(tmp_path, scripts.task("t", body))
        bench.executor.start(attempt)
        bench.end(attempt)
        assert bench.log(attempt).strip() == "None"


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="only Linux binds processes")
def test_an_attempt_runs_on_as_many_processors_as_its_limit_says(tmp_path, scripts):
    template = scripts.task("t", "print(len(os.sched_getaffinity(0)))\n" + scripts.outputs)
    template.container.resources.limits.add(name=Resources.CPU, value="500m")
    limiter = Limiter(lambda: "there are none here")
    with opened(tmp_path, limiter=limiter) as bench:
        attempt = an_attempt(tmp_path, template)
        bench.executor.start(attempt)
        assert bench.end(attempt).error is None
        assert bench.log(attempt).strip() == "1"
