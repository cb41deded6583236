"""Attempts as forks of a process that has loaded their task: conformance, freshness, ends, crashes."""

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from flyte_nb.api.identifiers import Scope
from flyte_nb.bundle.command import task_args
from flyte_nb.bundle.pack import pack
from flyte_nb.bundle.stage import stage
from flyte_nb.propeller.executors.attempt_folder import AttemptFolder
from flyte_nb.propeller.executors.process import ProcessExecutor
from flyte_nb.propeller.executors.warm import WarmExecutor
from flyte_nb.propeller.plan import identifier
from flyte_nb.propeller.ports import Attempt
from flyte_nb.runtime.warm.link import is_possible
from flyte_nb.storage import open_stores
from flyte_nb.storage.directory import DirectoryStaging
from flyte_nb.testing.cells import Cells
from flyte_nb.testing.closures import integer, integers, task
from flyte_nb.testing.propeller_conformance import (
    ERROR,
    HANG,
    OK,
    ExecutorConformance,
    key,
    wait_until,
)
from flyte_nb.wire.literals import literal_map_from_idl

pytestmark = pytest.mark.skipif(not is_possible(), reason="forks cannot be trusted here")

HEAD = "from flyte_nb import task\n"
BEHAVIOURS = {
    OK: HEAD + "@task\ndef f() -> int:\n    return 42\n",
    ERROR: HEAD + "@task\ndef f() -> int:\n    raise ValueError('no')\n",
    HANG: HEAD + "import time\n@task\ndef f() -> int:\n    print('hanging', flush=True)\n"
    "    while True:\n        time.sleep(60)\n",
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
            identifier(template.id),
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
        return WarmExecutor(home, open_stores(), grace_s=0.2, cold_first=0)

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
        path / "attempts", open_stores(), **{"grace_s": 0.3, "cold_first": 0, **options}
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
