"""Staging and fetching against what the machine itself can do: hashing and writing the same bytes."""

import hashlib
import itertools
import os
import shutil
import timeit

import pytest

from flyte_nb.api.identifiers import Scope
from flyte_nb.bundle.fetch import fetch
from flyte_nb.bundle.members import Contents
from flyte_nb.bundle.pack import pack
from flyte_nb.bundle.stage import stage
from flyte_nb.storage import open_stores
from flyte_nb.storage.directory import DirectoryStaging
from flyte_nb.testing.cells import Cells

CELL = """
import numpy as np
from flyte_nb import task
rows = np.arange({count}, dtype=np.int64)
@task
def f() -> int:
    return len(rows){change}
"""


@pytest.fixture
def megabytes(compare):
    return 100 if compare.enabled else 1


@pytest.fixture
def packed(megabytes):
    def make(change=""):
        cells = Cells()
        cells.run(CELL.format(count=megabytes * 125_000, change=change))
        return [pack(cells["f"], scope=Scope(main_module="nb"))]

    return make


def plain_write(folder, number, data):
    """What any program has to do: a file of its own, written and renamed."""
    with open(folder / f"{number}.part", "wb", buffering=0) as file:
        file.write(data)
    os.replace(folder / f"{number}.part", folder / str(number))


def test_staging_a_big_member(compare, packed, megabytes, tmp_path):
    """Time ≤ 1.25 × the slower of sha256 and write, which is throughput ≥ 0.8 × the lesser."""
    tasks, store, numbers = packed(), open_stores(), itertools.count()
    data = max((member.data for member in Contents(tasks[0])), key=len)
    (tmp_path / "peer").mkdir()

    def ours():
        folder = tmp_path / f"ours{next(numbers)}"
        stage(tasks, DirectoryStaging(f"file://{folder}", store))
        shutil.rmtree(folder)

    def write():
        number = next(numbers)
        plain_write(tmp_path / "peer", number, data)
        (tmp_path / "peer" / str(number)).unlink()

    slower = max((write, lambda: hashlib.sha256(data).hexdigest()), key=_seconds)
    compare(f"stage {megabytes} MB", ours=ours, peer=slower, bar=1.25)


def _seconds(act):
    act()
    return min(timeit.repeat(act, number=1, repeat=5))


def test_staging_what_is_there(compare, packed, megabytes, tmp_path):
    tasks, store, seen = packed(), open_stores(), {}
    area = DirectoryStaging(f"file://{tmp_path}/area", store, seen=seen)
    stage(tasks, area)
    assert stage(tasks, area)[0].sent_bytes == 0
    compare.absolute(f"stage {megabytes} MB, unchanged", lambda: stage(tasks, area), bar_us=5_000)


def test_staging_one_changed_line_beside_it(compare, packed, megabytes, tmp_path):
    store, seen = open_stores(), {}
    area = DirectoryStaging(f"file://{tmp_path}/area", store, seen=seen)
    stage(packed(), area)
    changed = [packed(f" + {number}") for number in range(1, 13)]
    left = iter(changed)

    def change():
        [staged] = stage(next(left), area)
        assert 0 < staged.sent_bytes <= 10_000

    compare.absolute(f"stage one changed line beside {megabytes} MB", change, bar_us=10_000)


def test_fetching_a_big_member(compare, packed, megabytes, tmp_path):
    """Read, digested and written once: against the same with nothing around it."""
    tasks, store, numbers = packed(), open_stores(), itertools.count()
    [staged] = stage(tasks, DirectoryStaging(f"file://{tmp_path}/area", store))
    big = max((member for member in Contents(tasks[0])), key=lambda member: member.size)
    source = tmp_path / "area" / big.place

    def ours():
        folder = tmp_path / f"ours{next(numbers)}"
        folder.mkdir()
        fetch(staged.index_uri, "nb.f", store, str(folder))
        shutil.rmtree(folder)

    def peer():
        digest, target = hashlib.sha256(), tmp_path / "peer"
        with source.open("rb", buffering=0) as reader, target.open("wb", buffering=0) as writer:
            while chunk := reader.read(1 << 20):
                digest.update(chunk)
                writer.write(chunk)
        target.unlink()
        assert digest.hexdigest() == big.sha256

    compare(f"fetch {megabytes} MB", ours=ours, peer=peer, bar=1.3)
