"""Warm attempts: against a bare fork, many at a time, through the engine, and their memory."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest

from flyte_nb.api import phases
from flyte_nb.api.identifiers import ExecutionId, Scope
from flyte_nb.api.literals import Literal
from flyte_nb.bundle.command import task_args
from flyte_nb.bundle.pack import pack
from flyte_nb.bundle.stage import stage
from flyte_nb.pipe.pipe import Pipe
from flyte_nb.propeller.engine import Engine, Launch
from flyte_nb.propeller.executors.warm import WarmExecutor
from flyte_nb.runtime.attempt import load_message
from flyte_nb.runtime.process import Worker
from flyte_nb.runtime.warm.link import WarmAttempt, WarmLink, is_possible
from flyte_nb.runtime.warm.zygote_process import Key, ZygoteProcess
from flyte_nb.storage import open_stores
from flyte_nb.storage.directory import DirectoryStaging
from flyte_nb.testing.cells import Cells
from flyte_nb.testing.closures import chain, integers, task
from flyte_nb.testing.recorders import JournalRecorder
from flyte_nb.wire.literal_bytes import literal_map_to_bytes

pytestmark = pytest.mark.skipif(not is_possible(), reason="forks cannot be trusted here")

PLAIN = "from flyte_nb import task\n@task\ndef f(x: int) -> int:\n    return x + 1\n"
LARGE = PLAIN.replace("return x + 1", "return x + block[x]")
IN_FLIGHT = 4
MAX_RSS = 25 << 20

FORKS = """
import json, os, random, socket, sys, threading, time
block = bytearray(int(sys.argv[1]))
for line in sys.stdin:
    started = time.perf_counter()
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    print(time.perf_counter() - started, flush=True)
"""


class Bare:
    """Forks of a process with the same modules that does nothing in them."""

    def __init__(self, resident: int) -> None:
        command = [sys.executable, "-I", "-c", FORKS, str(resident)]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)

    def __call__(self) -> float:
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def close(self) -> None:
        with self.process:
            self.process.stdin.close()


def staged(root: Path, source: str, megabytes: int = 0) -> list[str]:
    """The container's arguments of `f`."""
    cells = Cells()
    if megabytes:
        import numpy as np

        cells.namespace["block"] = np.zeros(megabytes << 20, dtype="uint8")
    cells.run(source)
    packed = pack(cells["f"], scope=Scope(main_module="nb"))
    [found] = stage([packed], DirectoryStaging(f"{root.as_uri()}/staging", open_stores()))
    return list(task_args(packed.name, found.index_uri))


@pytest.mark.parametrize("megabytes", [0, 100])
def test_an_attempt_against_a_bare_fork(compare, tmp_path, megabytes):
    """From the request to the reaped end: load, call, outputs, exit handlers; no files."""
    args = staged(tmp_path, LARGE if megabytes else PLAIN, megabytes)
    key = Key(args[-1], args[3], tuple(os.environ.items()))
    zygote = ZygoteProcess(key, open_stores())
    bare = Bare(megabytes << 20)
    null = os.open(os.devnull, os.O_WRONLY)
    calls = {"kind": "call", "inputs": {"x": ["integer", 1]}, "execution": {}}

    def attempt() -> float:
        started = time.perf_counter()
        child_read, write_fd = os.pipe()
        read_fd, child_write = os.pipe()
        message = {"folder": str(tmp_path), "cwd": str(tmp_path), "environ": {}}
        child = zygote.fork(message, (child_read, child_write, null, null), lambda child: None)
        os.close(child_read)
        os.close(child_write)
        worker = Worker(Pipe(read_fd, write_fd, str(tmp_path)), child)
        worker.send(load_message(zygote.fetched))
        worker.send(calls)
        assert worker.receive()["outputs"]["o0"][1] in (1, 2)
        worker.finish()
        worker.close()
        return time.perf_counter() - started

    try:
        what = f"a warm attempt, {megabytes} MB of data, over a bare fork"
        compare.difference(what, ours=attempt, peer=bare, bar_us=2500, rounds=200)
    finally:
        os.close(null)
        bare.close()
        zygote.close()


@pytest.fixture
def link():
    found = WarmLink()
    yield found
    found.close()
    found.receive()
    found.release()


@pytest.fixture
def folder(tmp_path):
    """In memory where that can be: ext4 passes over every inode that was deleted lately to find a free one.

    After a large clean-up, as of the tests before this one, that costs more than an attempt.
    """
    if not os.access("/dev/shm", os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir="/dev/shm") as found:
        yield Path(found)


@pytest.fixture
def begin(folder, link):
    """Begins the next attempt at a task, with files as the backend gives them."""
    inputs = folder / "inputs.pb"
    inputs.write_bytes(literal_map_to_bytes({"x": Literal("integer", 1)}))
    args = staged(folder, PLAIN)
    count = iter(range(1_000_000))
    environ = dict(os.environ)

    def begin() -> None:
        name = f"a{next(count)}"
        filled = {
            "{{.input}}": inputs.as_uri(),
            "{{.outputPrefix}}": (folder / name).as_uri(),
            "{{.rawOutputDataPrefix}}": (folder / "raw").as_uri(),
        }
        arguments = [filled.get(part, part) for part in args[2:]]
        note = str(folder / f"{name}.json")
        attempt = WarmAttempt(name, arguments, environ, {}, str(folder), note)
        with (folder / f"{name}.log").open("wb") as log:
            link.start(attempt, log.fileno(), log.fileno(), None)

    return begin


def test_many_attempts_at_a_time(compare, link, begin):
    """300 a second, with inputs read from files and outputs written to files."""
    many = 300 if compare.enabled else 8

    def batch() -> None:
        for _ in range(IN_FLIGHT):
            begin()
        for left in range(many, 0, -1):
            answer = link.receive()
            assert (answer.cold, answer.exit_code) == (False, 0), answer.why
            if left > IN_FLIGHT:
                begin()

    what = f"a warm attempt, {IN_FLIGHT} in flight"
    compare.absolute(what, batch, bar_us=1e6 / 300, per=many, rounds=3)


def test_no_process_needs_more_than_25_mb(link, begin):
    begin()
    assert link.receive().exit_code == 0
    host = psutil.Process(link.pid)
    [zygote] = host.children()
    assert host.memory_info().rss < MAX_RSS
    assert zygote.memory_info().rss < MAX_RSS


def test_from_ready_to_the_recorded_end_through_the_engine(compare, folder):
    """A chain, so that every task is ready when the one before is recorded.

    In memory: the backend's own recorder does not wait for the disk (SQLite's WAL); the journal here does.
    """
    length = 50 if compare.enabled else 2
    template = task("f", ["x"], args=staged(folder, PLAIN))
    executor = WarmExecutor(folder / "attempts", open_stores(), cold_first=0)
    recorder = JournalRecorder(folder / "journal")
    engine = Engine(recorder, executor, open_stores(), folder.as_uri())
    names = iter(range(1000))

    def run() -> None:
        id = ExecutionId("flytesnacks", "development", f"e{next(names)}")
        engine.launch(Launch(id, chain(length, template), integers(x=0)))
        assert engine.wait(id, 120)
        assert recorder.history(id)[-1].phase == phases.SUCCEEDED

    try:
        compare.absolute("a task of a chain, warm", run, bar_us=7_000, per=length, rounds=3)
    finally:
        engine.close()
        executor.close()
        recorder.close()
