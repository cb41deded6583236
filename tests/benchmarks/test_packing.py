"""Packing and staging code and data against flytekit's fast registration and interactive mode.

flytekit's side is what it does itself before and while it uploads: `fast_package` and the digest of the
archive for folders; for a notebook's function pickling it with its digest, then pickling, compressing and
digesting it again. Bars that are milliseconds in DESIGN.md (on a machine where flytekit takes 195 ms for
1000 files and 2.6 s beside 100 MB) are held as ratios here.
"""

import importlib
import itertools
import os
import random
import shutil
import sys
import time
from types import SimpleNamespace

import pytest

from flyte_nb.api.identifiers import Scope
from flyte_nb.bundle import trees, units
from flyte_nb.bundle.pack import Packer
from flyte_nb.bundle.stage import stage
from flyte_nb.storage import open_stores
from flyte_nb.storage.directory import DirectoryStaging
from flyte_nb.testing.cells import Cells
from flyte_nb.testing.waiting import wait_until

pytest.importorskip("flytekit", reason="the peer is not installed here")

TASK = "from flyte_nb import task\n@task\ndef f(n: int) -> int:\n    return n + {use}\n"


def python_file(number):
    random_ = random.Random(number)
    return "".join(
        f"def f_{number}_{line}(a, b):\n"
        f"    return a * {random_.randrange(10**9)} + b - {random_.randrange(10**9)}\n"
        for line in range(30)
    )


def settle(folder, compare):
    """Wait until every file is older than the clock's tick, as files are that nobody writes now."""
    newest = trees.walk("book", str(folder)).newest_ns
    if compare.enabled:
        wait_until(lambda: time.time_ns() - newest >= trees.SETTLED_NS, "the clock's next tick")


class Ours:
    """One notebook in `folder` with one task; each call packs and stages it as registering does."""

    def __init__(self, folder, use, setup=""):
        self.folder = folder
        self.cells = Cells()
        self.cells.run(setup)
        self.use(use)
        self._areas = itertools.count()
        self._seen = {}
        self.area = self.new_area()

    def use(self, expression):
        self.cells.run(TASK.format(use=expression))

    def new_area(self):
        self._seen = {}
        root = f"file://{self.folder.parent}/staged-{next(self._areas)}"
        return DirectoryStaging(root, open_stores(), seen=self._seen)

    def first(self):
        """Nothing was read or stored yet."""
        units._kept.cache_clear()
        self.area = self.new_area()
        return self.again()

    def again(self):
        """Bytes that were sent."""
        packer = Packer(scope=Scope(), local_roots=[self.folder])
        [staged] = stage([packer.pack(self.cells["f"])], self.area)
        return staged.sent_bytes


@pytest.fixture
def book(tmp_path, monkeypatch):
    folder = tmp_path / "book"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    before = set(sys.modules)
    yield folder
    for name in set(sys.modules) - before:
        if name.startswith("bench_"):
            del sys.modules[name]


@pytest.fixture
def theirs(tmp_path):
    """flytekit's archive of a folder and its digest; the archive's size."""
    from flytekit.constants import CopyFileDetection
    from flytekit.tools.fast_registration import FastPackageOptions, fast_package
    from flytekit.tools.script_mode import hash_file

    def archive(folder):
        target = tmp_path / "theirs"
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        options = FastPackageOptions([], copy_style=CopyFileDetection.ALL)
        made = fast_package(str(folder), str(target), False, options)
        getattr(hash_file, "__wrapped__", hash_file)(made)
        return os.path.getsize(made)

    return archive


@pytest.fixture
def tree(book, compare):
    """A package of 1000 files."""
    count = 1000 if compare.enabled else 30
    for number in range(count):
        package = book / "bench_tree" / f"part{number % 20}"
        package.mkdir(parents=True, exist_ok=True)
        (package / f"m{number}.py").write_text(python_file(number))
    for package in [book / "bench_tree", *(book / "bench_tree").iterdir()]:
        (package / "__init__.py").write_text("K = 1\n")
    settle(book, compare)
    return Ours(book, "bench_tree.K", "import bench_tree\n")


def test_a_thousand_files_for_the_first_time(compare, tree, theirs):
    compare(
        "1000 files, first", ours=tree.first, peer=lambda: theirs(tree.folder), bar=0.25, rounds=5
    )


def test_a_thousand_files_of_which_nothing_changed(compare, tree, theirs):
    assert tree.again() > 0
    assert tree.again() == 0
    compare(
        "1000 files, nothing changed",
        ours=tree.again,
        peer=lambda: theirs(tree.folder),
        bar=5 / 195,
        rounds=5,
    )


def test_one_line_of_a_thousand_files_changed(compare, tree, theirs):
    """It sends the part of the package that has the file, a sixteenth, and the index (7 kB)."""
    first, salt, sent = tree.again(), itertools.count(), []

    def edited():
        (tree.folder / "bench_tree" / "part3" / "m3.py").write_text(f"# {next(salt)}\n")
        sent.append(tree.again())

    compare(
        "one line of 1000 files changed",
        ours=edited,
        peer=lambda: theirs(tree.folder),
        bar=0.25,
        rounds=5,
    )
    assert 0 < max(sent) <= (first / 12 if compare.enabled else first)


def test_one_line_changed_beside_a_hundred_megabytes(compare, book, theirs):
    megabytes = 100 if compare.enabled else 2
    (book / "data.bin").write_bytes(random.Random(1).randbytes(megabytes << 20))
    for number in range(10):
        (book / f"bench_m{number}.py").write_text(python_file(number))
    settle(book, compare)
    ours = Ours(book, "bench_m3.f_3_0(1, 2)", "import bench_m3\n")
    ours.again()
    salt = itertools.count()
    sent = []

    def edited():
        (book / "bench_m3.py").write_text(f"{python_file(3)}# {next(salt)}\n")
        sent.append(ours.again())

    def edited_cell():
        ours.use(f"bench_m3.f_3_0(1, {next(salt)})")
        sent.append(ours.again())

    for what, change in (("module", edited), ("cell", edited_cell)):
        compare(
            f"one line of a {what} changed beside {megabytes} MB",
            ours=change,
            peer=lambda: theirs(book),
            bar=10 / 2567 if compare.enabled else 1,
            rounds=3,
        )
    assert 0 < max(sent) <= 10_000


@pytest.fixture
def array(book, compare):
    """A task over an array of 100 MB; and the same in flytekit, pickled as its notebooks do."""
    import numpy as np

    rows = np.random.default_rng(0).random(12_500_000 if compare.enabled else 125_000)
    ours = Ours(book, "float(rows[n])")
    ours.cells.namespace["rows"] = rows
    ours.use("float(rows[n])")
    (book / "bench_peer.py").write_text(
        "from flytekit import task\nrows = None\n"
        "@task\ndef f(n: int) -> float:\n    return float(rows[n])\n"
    )
    peer = importlib.import_module("bench_peer")
    peer.rows = rows
    return SimpleNamespace(ours=ours, peer=peer, rows=rows)


def _interactive(array, folder):
    """flytekit's `FlyteRemote(interactive_mode_enabled=True)`, but for the network."""
    import cloudpickle
    from flytekit.remote import remote
    from flytekit.tools.script_mode import hash_file

    class Uploads:
        def upload_file(self, path, *args, **options):
            md5, _, _ = getattr(hash_file, "__wrapped__", hash_file)(path)
            shutil.copy(path, folder / "uploaded")
            return md5, f"file://{folder}/uploaded"

    cloudpickle.register_pickle_by_value(array.peer)
    try:
        getattr(remote._get_pickled_target_dict, "cache_clear", lambda: None)()
        _, pickled = remote._get_pickled_target_dict(array.peer.f)
        remote.FlyteRemote._pickle_and_upload_entity(Uploads(), array.peer.f, pickled)
    finally:
        cloudpickle.unregister_pickle_by_value(array.peer)


def test_a_function_over_a_hundred_megabytes_for_the_first_time(compare, array, tmp_path):
    compare(
        "a function over 100 MB, first",
        ours=array.ours.first,
        peer=lambda: _interactive(array, tmp_path),
        bar=0.12,
        rounds=3,
    )


def test_the_same_array_again_sends_no_data(compare, array, tmp_path):
    assert array.ours.again() > array.rows.nbytes
    salt = itertools.count()

    def changed():
        array.ours.use(f"float(rows[n]) * {next(salt)}")
        assert array.ours.again() < 10_000

    compare(
        "a changed function over the same 100 MB",
        ours=changed,
        peer=lambda: _interactive(array, tmp_path),
        bar=0.05,
        rounds=3,
    )


def test_packing_a_hundred_tasks(compare):
    """Against cloudpickle alone, which makes neither a fingerprint nor equal bytes."""
    import cloudpickle

    cells = Cells()
    count = 100 if compare.enabled else 3
    cells.run(
        "from flyte_nb import task\n"
        + "".join(f"@task\ndef t{n}(a: int) -> int:\n    return a + {n}\n" for n in range(count))
    )
    tasks = [cells[f"t{n}"] for n in range(count)]

    def ours():
        packer = Packer(scope=Scope())
        for task in tasks:
            packer.pack(task)

    def peer():
        for task in tasks:
            cloudpickle.dumps(task.function)

    compare("packing 100 tasks", ours=ours, peer=peer, bar=7, per=count, unit="task")
