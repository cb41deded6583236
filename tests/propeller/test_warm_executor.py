"""Attempts as forks of a process that has loaded their task: conformance, freshness, ends, crashes."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from flyte_nb.api.identifiers import Scope
from flyte_nb.bundle.command import task_args
from flyte_nb.bundle.pack import pack
from flyte_nb.bundle.stage import stage
from flyte_nb.propeller.executors.attempt_folder import AttemptFolder, is_same, lives
from flyte_nb.propeller.executors.process import ProcessExecutor
from flyte_nb.propeller.executors.warm import LOG, WarmExecutor
from flyte_nb.propeller.ports import Attempt
from flyte_nb.runtime.warm.link import is_possible
from flyte_nb.storage import open_stores
from flyte_nb.storage.directory import DirectoryStaging
from flyte_nb.testing.cells import Cells
from flyte_nb.testing.closures import integer, integers, task
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
from flyte_nb.wire.literals import literal_map_from_idl

pytestmark = pytest.mark.skipif(not is_possible(), reason="forks cannot be trusted here")

HEAD = "from flyte_nb import task\n"
BEHAVIOURS = {
    OK: HEAD + "@task\ndef f() -> int:\n    return 42\n",
    ERROR: HEAD + "@task\ndef f() -> int:\n    raise ValueError('no')\n",
    HANG: HEAD + "import signal\n@task\ndef f() -> int:\n    print('hanging', flush=True)\n"
    "    while True:\n        signal.pause()\n",
    HUNGRY: HEAD + "import signal\n@task\ndef f() -> int:\n    kept = bytearray(300 << 20)\n"
    "    while kept:\n        signal.pause()\n",
}  # fmt: skip


class Shop:
    """Stages tasks from cells, and makes attempts at them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "inputs.pb").write_bytes(b"")
        self._staged: dict[str, list[str]] = {}

    def template(self, source, *, roots=(), **options):
        if source not in self._staged:
            cells = Cells()
            cells.run(source)
            packed = pack(cells["f"], scope=Scope(main_module="nb"), local_roots=roots)
            area = DirectoryStaging((self.path / "staging").as_uri(), open_stores())
            [staged] = stage([packed], area)
            self._staged[source] = list(task_args(packed.name, staged.index_uri))
        return task("f", args=self._staged[source], **options)

    def attempt(self, source, number=0, *, envs=None, **options):
        template = self.template(source, **options)
        return Attempt(
            key("e", number),
            identifier_from_idl(template.id),
            template,
            integers(),
            (self.path / "inputs.pb").as_uri(),
            (self.path / "data" / str(number)).as_uri(),
            (self.path / "raw").as_uri(),
            envs=envs or {},
        )


class TestWarmExecutorConforms(ExecutorConformance):
    @pytest.fixture(autouse=True)
    def _places(self, tmp_path):
        self.shop = Shop(tmp_path)

    def make(self):
        home = self.shop.path / "attempts"
        return WarmExecutor(
            home, open_stores(), slots=4, grace_s=0.2, cold_first=0, gpus=lambda: list(GPUS)
        )

    def attempt(self, behaviour, number=0):
        return self.shop.attempt(BEHAVIOURS[behaviour], number)


class Bench:
    """One executor, and attempts one after the other."""

    def __init__(self, path: Path, executor: ProcessExecutor) -> None:
        self.path = path
        self.executor = executor
        self.shop = Shop(path)
        self._count = 0

    def attempt(self, source, **options):
        self._count += 1
        return self.shop.attempt(HEAD + source, self._count, **options)

    def start(self, source, **options):
        attempt = self.attempt(source, **options)
        self.executor.start(attempt)
        return attempt

    def end(self, attempt):
        found = []

        def came() -> bool:
            found.extend(self.executor.poll())
            return bool(found)

        wait_until(came, f"the report of {attempt.key}")
        assert [report.key for report in found] == [attempt.key]
        return found[0]

    def run(self, source, **options):
        return self.end(self.start(source, **options))

    def value(self, source, **options):
        report = self.run(source, **options)
        assert report.error is None, report.error
        return literal_map_from_idl(report.outputs)["o0"].value

    def texts(self, source, **options):
        return self.value(source, **options)[1]

    def folder(self, attempt):
        return AttemptFolder(self.path / "attempts", attempt.key)

    def log(self, attempt):
        return self.folder(attempt).log.read_text()

    def wait_for(self, attempt, word):
        path = self.folder(attempt).log
        wait_until(lambda: path.exists() and word in path.read_text(), f"{word!r} in the log")


@contextmanager
def opened(path: Path, **options):
    executor = WarmExecutor(
        path / "attempts", open_stores(), **{"grace_s": 120.0, "cold_first": 0, **options}
    )
    try:
        yield Bench(path, executor)
    finally:
        executor.close()


@pytest.fixture
def bench(tmp_path):
    with opened(tmp_path) as bench:
        yield bench


PARENT = "import os\n@task\ndef f() -> list[int]:\n    return [os.getppid(), os.getpid()]\n"


def test_attempts_at_a_task_are_forks_of_one_process(bench):
    (one, first), (other, second) = bench.texts(PARENT), bench.texts(PARENT)
    assert one == other != os.getpid()
    assert first != second


def test_the_first_attempt_at_a_task_is_cold(tmp_path):
    with opened(tmp_path, cold_first=1) as bench:
        parents = [bench.texts(PARENT)[0] for _ in range(3)]
    assert parents[0] != parents[1] == parents[2]


@pytest.mark.parametrize("where", ["backend", "execution", "task"])
def test_a_variable_has_it_run_cold(tmp_path, where):
    off = {"FLYTE_NB_WARM": "0"}
    environ = {**os.environ, **(off if where == "backend" else {})}
    options = {"execution": {"envs": off}, "task": {"env": off}}.get(where, {})
    with opened(tmp_path, environ=environ) as bench:
        assert bench.texts(PARENT, **options)[0] != bench.texts(PARENT, **options)[0]


def test_other_commands_are_run_as_by_the_process_executor(tmp_path, scripts):
    with opened(tmp_path) as bench:
        template = scripts.task("t", scripts.outputs)
        attempt = bench.attempt(PARENT)._replace(task=template)
        bench.executor.start(attempt)
        assert integer(bench.end(attempt).outputs) == 42


def test_a_fork_has_what_a_fresh_process_has(bench):
    source = (
        "import os, sys, json, signal, tempfile\n"
        "@task\ndef f() -> str:\n"
        "    own = {name: os.environ.get(name) for name in ('MINE', 'COMMON', 'FLYTE_NB_ATTEMPT')}\n"
        "    print('out'); print('err', file=sys.stderr); os.system('echo $MINE')\n"
        "    return json.dumps([own, os.getcwd(), sys.stdin.read(), os.getpgid(0) == os.getpid(),\n"
        "        signal.getsignal(signal.SIGCHLD) is signal.SIG_DFL, sys.argv, tempfile.gettempdir(),\n"
        "        sorted(os.listdir('/proc/self/fd'))])\n"
    )
    seen = []
    for number in (1, 2):
        options = {"env": {"COMMON": "all"}, "envs": {"MINE": str(number)}}
        attempt = bench.start(source, **options)
        report = bench.end(attempt)
        found = json.loads(literal_map_from_idl(report.outputs)["o0"].value)
        folder = bench.folder(attempt)
        own = {"MINE": str(number), "COMMON": "all", "FLYTE_NB_ATTEMPT": str(folder.path)}
        assert found[:6] == [own, str(folder.work), "", True, True, ["flyte-nb-worker"]]
        assert bench.log(attempt) == f"out\nerr\n{number}\n"
        seen.append(found[6:])
    assert seen[0] == seen[1]  # as many descriptors the second time


def test_what_one_attempt_changes_the_next_does_not_see(bench):
    source = (
        "import os\nrows = []\n"
        "@task\ndef f() -> list[str]:\n"
        "    rows.append(1); os.environ['LEFT'] = '1'\n"
        "    return [str(len(rows)), str(os.environ.pop('SEEN', None))]\n"
    )
    assert bench.texts(source, envs={"SEEN": "1"}) == ["1", "1"]
    assert bench.texts(source) == ["1", "None"]


RANDOM = (
    "import chance\n@task\ndef f() -> list[str]:\n"
    "    return [str(chance.random.random()), str(chance.numpy.random.random())]\n"
)


def _chance(tmp_path, monkeypatch, seeds):
    book = tmp_path / "book"
    book.mkdir()
    (book / "chance.py").write_text(f"import random, numpy, numpy.random\n{seeds}")
    monkeypatch.syspath_prepend(str(book))
    monkeypatch.delitem(sys.modules, "chance", raising=False)
    return [book]


def test_random_numbers_differ_from_attempt_to_attempt(bench, tmp_path, monkeypatch):
    roots = _chance(tmp_path, monkeypatch, "")
    one, other = bench.texts(RANDOM, roots=roots), bench.texts(RANDOM, roots=roots)
    assert one[0] != other[0]
    assert one[1] != other[1]


def test_random_numbers_that_a_module_seeds_are_those_of_a_cold_attempt(tmp_path, monkeypatch):
    roots = _chance(tmp_path, monkeypatch, "random.seed(7)\nnumpy.random.seed(7)\n")
    with opened(tmp_path, cold_first=1) as bench:
        cold, *warm = [bench.texts(RANDOM, roots=roots) for _ in range(3)]
    assert warm == [cold, cold]


def test_what_a_module_prints_when_it_is_loaded_is_in_every_log(tmp_path, monkeypatch):
    book = tmp_path / "book"
    book.mkdir()
    (book / "noisy.py").write_text("import sys\nprint('loaded')\nprint('oh', file=sys.stderr)\n")
    monkeypatch.syspath_prepend(str(book))
    source = "import noisy\n@task\ndef f() -> bool:\n    print('called'); return bool(noisy)\n"
    with opened(tmp_path, cold_first=1) as bench:
        logs = []
        for _ in range(3):
            attempt = bench.start(source, roots=[book])
            assert bench.end(attempt).error is None
            logs.append(sorted(bench.log(attempt).split()))
    assert logs == [["called", "loaded", "oh"]] * 3
    monkeypatch.delitem(sys.modules, "noisy", raising=False)


def test_a_module_that_starts_threads_has_its_tasks_run_cold(bench, tmp_path, monkeypatch):
    book = tmp_path / "book"
    book.mkdir()
    (book / "threaded.py").write_text(
        "import threading\n"
        "stop = threading.Event()\n"
        "if __import__('sys').argv == ['flyte-nb-worker']:\n"
        "    threading.Thread(target=stop.wait, daemon=True).start()\n"
    )
    monkeypatch.syspath_prepend(str(book))
    source = (
        "import threaded, os, threading\n"
        "@task\ndef f() -> list[int]:\n"
        "    return [os.getppid(), threading.active_count() if threaded else 0]\n"
    )
    one, other = bench.texts(source, roots=[book]), bench.texts(source, roots=[book])
    assert one[0] != other[0]
    assert one[1] == other[1] == 2
    monkeypatch.delitem(sys.modules, "threaded", raising=False)


def test_numeric_libraries_run_warm(bench):
    source = (
        "import os\nimport numpy as np\nimport pandas as pd\nrows = np.ones((300, 300))\n"
        "@task\ndef f() -> list[float]:\n"
        "    frame = pd.DataFrame({'a': [1, 2]})\n"
        "    return [float(os.getppid()), float((rows @ rows).sum() + frame.a.sum())]\n"
    )
    one, other = bench.texts(source), bench.texts(source)
    assert one == other
    assert one[1] == 300.0**3 + 3


def test_a_task_that_cannot_be_loaded_fails_as_it_does_cold(bench, tmp_path, monkeypatch):
    (tmp_path / "only_here.py").write_text("def up(n): return n\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    source = "from only_here import up\n@task\ndef f() -> int:\n    return up(1)\n"
    assert bench.run(source).error.code == "USER:ModuleNotFound"
    monkeypatch.delitem(sys.modules, "only_here", raising=False)


def test_time_and_memory_are_those_of_the_attempt(bench):
    source = (
        "@task\ndef f() -> int:\n    block = b'x' * 60_000_000\n"
        "    return sum(range(2_000_000)) + len(block)\n"
    )
    report = bench.run(source)
    assert 0.005 < report.cpu_s < 20
    assert 60_000_000 < report.max_rss_bytes < 1_000_000_000


STUBBORN = (
    "import signal, subprocess\n"
    "@task\ndef f() -> int:\n"
    "    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "    inner = subprocess.Popen(['sleep', '1000'])\n"
    "    away = subprocess.Popen(['sleep', '1000'], start_new_session=True)\n"
    "    print(inner.pid, away.pid, flush=True)\n    print('hanging', flush=True)\n"
    "    while True: signal.pause()\n"
)


def test_ending_an_attempt_ends_all_its_processes_also_those_that_refuse(tmp_path):
    with opened(tmp_path, grace_s=1.0) as bench:
        attempt = bench.start(STUBBORN)
        bench.wait_for(attempt, "hanging")
        bench.executor.kill(attempt.key)
        error = bench.end(attempt).error
        assert (error.code, error.recoverable) == ("SYSTEM:Interrupted", True)
        for pid in map(int, bench.log(attempt).split()[:2]):
            wait_until(lambda pid=pid: not lives(pid), "the child's end")


def test_an_attempt_that_is_ended_may_save_its_state(bench):
    source = (
        "import signal, threading\n"
        "@task\ndef f() -> str:\n"
        "    told = threading.Event()\n"
        "    signal.signal(signal.SIGTERM, lambda *_: told.set())\n"
        "    print('hanging', flush=True)\n    told.wait(240)\n    return 'saved'\n"
    )
    attempt = bench.start(source)
    bench.wait_for(attempt, "hanging")
    bench.executor.kill(attempt.key)
    assert literal_map_from_idl(bench.end(attempt).outputs)["o0"].value == "saved"


def test_an_attempt_that_is_ended_before_it_began_is_told_as_ended(bench):
    attempt = bench.start(HANGING)
    bench.executor.kill(attempt.key)
    error = bench.end(attempt).error
    assert (error.code, error.recoverable) == ("SYSTEM:Interrupted", True)


def test_what_a_task_leaves_running_ends_with_it(bench):
    source = "import subprocess\n@task\ndef f() -> int:\n    return subprocess.Popen(['sleep', '9']).pid\n"
    pid = bench.value(source)
    wait_until(lambda: not lives(pid), "the child's end")


HANGING = (
    "import signal\n@task\ndef f() -> int:\n    print('hanging', flush=True)\n"
    "    while True: signal.pause()\n"
)


def processes_of(attempt_pid: int) -> tuple[psutil.Process, psutil.Process]:
    """The zygote and the warm host above a forked attempt."""
    zygote = psutil.Process(attempt_pid).parent()
    return zygote, zygote.parent()


def test_a_zygote_that_is_killed_takes_its_attempt_along_and_is_replaced(bench):
    attempt = bench.start(HANGING)
    bench.wait_for(attempt, "hanging")
    pid = bench.folder(attempt).process().pid
    zygote, _ = processes_of(pid)
    zygote.kill()
    error = bench.end(attempt).error
    assert (error.code, error.recoverable) == ("KilledBySignal", True)
    assert not bench.folder(attempt).is_locked()
    wait_until(lambda: not lives(pid), "its end")
    following = bench.start(HANGING)
    bench.wait_for(following, "hanging")
    assert lives(bench.folder(following).process().pid)
    bench.executor.kill(following.key)
    bench.end(following)


def test_a_warm_host_that_is_killed_takes_its_attempts_along_and_is_replaced(tmp_path):
    tmp = tmp_path / "tmp"
    tmp.mkdir()
    with opened(tmp_path, environ={**os.environ, "TMPDIR": str(tmp)}) as bench:
        attempt = bench.start(HANGING)
        bench.wait_for(attempt, "hanging")
        pid = bench.folder(attempt).process().pid
        zygote, host = processes_of(pid)
        host.kill()
        error = bench.end(attempt).error
        assert (error.code, error.recoverable) == ("KilledBySignal", True)
        wait_until(lambda: not lives(pid) and not lives(zygote.pid), "their end")
        assert os.listdir(tmp) == []
        one, other = bench.texts(PARENT), bench.texts(PARENT)
        assert one[0] == other[0] != zygote.pid


def test_attempts_that_a_killed_host_had_not_begun_are_run_cold(bench):
    bench.value("@task\ndef f() -> int:\n    return 1\n")  # the host is there
    link = bench.executor._linked()
    os.kill(link.pid, signal.SIGSTOP)
    attempt = bench.start("@task\ndef f() -> int:\n    return 2\n")
    os.kill(link.pid, signal.SIGKILL)
    report = bench.end(attempt)
    assert report.error is None
    assert literal_map_from_idl(report.outputs)["o0"].value == 2


_STARTER = """
import sys, pickle, os, signal
from pathlib import Path
from flyte_nb.propeller.executors.warm import LOG, WarmExecutor
from flyte_nb.storage import open_stores
path = Path(sys.argv[1])
attempt = pickle.loads((path / "attempt").read_bytes())
executor = WarmExecutor(path / "attempts", open_stores(), cold_first=0)
executor.start(attempt)
sys.stdin.read()
os.kill(os.getpid(), signal.SIGKILL)
"""


@contextmanager
def started_elsewhere(bench, attempt):
    """An attempt of another backend; that one is killed at the end."""
    import pickle

    (bench.path / "attempt").write_bytes(pickle.dumps(attempt))
    command = [sys.executable, "-c", _STARTER, str(bench.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        yield
        process.stdin.close()
        assert process.wait(120) == -signal.SIGKILL


def test_an_attempt_outlives_whoever_started_it_and_is_adopted(bench, gate):
    source = (
        "@task\ndef f() -> int:\n    print('hanging', flush=True)\n"
        f"    open({str(gate)!r}).close()\n    return 42\n"
    )
    attempt = bench.attempt(source)
    with started_elsewhere(bench, attempt):
        bench.wait_for(attempt, "hanging")
    found = bench.executor.adopt(attempt)
    assert found is not None
    _, host = processes_of(found.pid)
    assert bench.executor.poll() == []
    gate.open()
    assert integer(bench.end(attempt).outputs) == 42
    wait_until(lambda: not lives(host.pid), "the end of a host that nobody needs")


def test_an_adopted_attempt_can_be_ended(tmp_path):
    with opened(tmp_path, grace_s=0.3) as bench:
        attempt = bench.attempt(STUBBORN)
        with started_elsewhere(bench, attempt):
            bench.wait_for(attempt, "hanging")
        pid = bench.folder(attempt).process().pid
        assert bench.executor.adopt(attempt) is not None
        bench.executor.kill(attempt.key)
        assert bench.end(attempt).error is not None
        for number in (pid, *map(int, bench.log(attempt).split()[:2])):
            wait_until(lambda number=number: not lives(number), "its end")


def test_the_process_of_an_attempt_is_known_however_long_its_fork_has_waited(bench):
    first = bench.start(HANGING)
    bench.wait_for(first, "hanging")
    pid = bench.folder(first).process().pid
    zygote, _ = processes_of(pid)
    wait_until(lambda: len(zygote.children()) > 1, "the next forks")
    spares = {child.pid for child in zygote.children()} - {pid}
    started_s = max(psutil.Process(spare).create_time() for spare in spares)
    wait_until(lambda: time.time() - started_s > 3, "a fork that has waited")
    second = bench.start(HANGING)
    bench.wait_for(second, "hanging")
    for attempt in (first, second):
        assert is_same(bench.folder(attempt).process())
        bench.executor.kill(attempt.key)
        bench.end(attempt)
    assert bench.folder(second).process().pid in spares


def test_an_attempt_whose_process_cannot_be_noted_runs_cold_and_leaves_no_fork(bench):
    parent = bench.texts(PARENT)[0]
    attempt = bench.attempt(PARENT)
    bench.folder(attempt).note.mkdir(parents=True)
    bench.executor.start(attempt)
    report = bench.end(attempt)
    assert literal_map_from_idl(report.outputs)["o0"].value[1][0] != parent
    zygote = psutil.Process(parent)
    wait_until(lambda: len(zygote.children()) == 1, "the end of all forks but the next one")


def test_starting_an_attempt_that_lives_starts_no_second_one(bench):
    attempt = bench.attempt(HANGING)
    with started_elsewhere(bench, attempt):
        bench.wait_for(attempt, "hanging")
    bench.executor.start(attempt)
    bench.executor.kill(attempt.key)
    bench.end(attempt)
    assert bench.log(attempt).count("hanging") == 1


def test_nothing_is_left_when_it_is_closed(tmp_path):
    with opened(tmp_path) as bench:
        parent, pid = bench.texts(PARENT)
        host = psutil.Process(parent).parent().pid
    for number in (parent, pid, host):
        wait_until(lambda number=number: not lives(number), "its end")


def test_a_task_has_the_time_to_end_that_its_own_variables_give(tmp_path):
    source = (
        "import signal\n@task\ndef f() -> int:\n"
        "    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "    print('hanging', flush=True)\n    while True: signal.pause()\n"
    )
    environ = {**os.environ, "FLYTE_NB_TERMINATION_GRACE_S": "100000"}
    with opened(tmp_path, environ=environ) as bench:
        attempt = bench.start(source, envs={"FLYTE_NB_TERMINATION_GRACE_S": "0.1"})
        bench.wait_for(attempt, "hanging")
        bench.executor.kill(attempt.key)
        error = bench.end(attempt).error
    assert error.code == "SYSTEM:Interrupted"
    assert "did not end in time" in error.message


PRINTING = """
print("said by the plugin", flush=True)
from flyte_nb.storage.file import FileStore

class Store(FileStore):
    def size(self, uri):
        return super().size(uri.replace("loud://", "file://"))

    def read(self, uri):
        return super().read(uri.replace("loud://", "file://"))
"""


def test_what_a_storage_plugin_prints_is_in_the_hosts_log(tmp_path):
    folder = tmp_path / "plugins" / "loud"
    folder.mkdir(parents=True)
    (folder / "store.py").write_text(PRINTING)
    (folder / "plugin.json").write_text(json.dumps({"schemes": {"loud": "store:Store"}}))
    environ = {**os.environ, "FLYTE_NB_PLUGIN_DIR": str(folder.parent)}
    with opened(tmp_path, environ=environ) as bench:
        attempt = bench.attempt("@task\ndef f() -> int:\n    return 1\n")
        attempt = attempt._replace(input_uri=attempt.input_uri.replace("file://", "loud://"))
        bench.executor.start(attempt)
        assert bench.end(attempt).error is None
        assert (tmp_path / "attempts" / LOG).read_text() == "said by the plugin\n"


def test_what_hosts_that_were_killed_have_left_is_removed_by_the_next(tmp_path):
    left = tmp_path / "tmp" / "flyte-nb-work-1-0a1b2c3d4e5f"
    left.mkdir(parents=True)
    (left / "member").write_text("of a bundle")
    os.utime(left, (0, 0))
    with opened(tmp_path, environ={**os.environ, "TMPDIR": str(left.parent)}) as bench:
        bench.value("@task\ndef f() -> int:\n    return 1\n")
        assert not left.exists()
