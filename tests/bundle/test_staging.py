"""Members are staged once and indexes last, and both are verified when they are fetched."""

import hashlib
import json

import pytest

from flyte_nb.api import index as index_of
from flyte_nb.api.errors import ChecksumMismatch, StorageError
from flyte_nb.api.identifiers import Scope
from flyte_nb.bundle.command import task_args
from flyte_nb.bundle.fetch import fetch
from flyte_nb.bundle.pack import pack
from flyte_nb.bundle.stage import stage
from flyte_nb.storage.directory import DirectoryStaging
from flyte_nb.storage.memory import MemoryStore
from flyte_nb.testing.cells import Cells
from flyte_nb.worker.load import load

CELL = """
from flyte_nb import task
import numpy as np
rows = np.ones(50_000)
@task
def f() -> float:
    return float(rows.sum())
@task
def g() -> int:
    return len(rows)
"""


class Recording:
    """A staging area that records its calls, and fails where a test asks for it."""

    def __init__(self, store) -> None:
        self._area = DirectoryStaging("memory://staging", store)
        self.calls = []
        self.failing = lambda name, count: None

    def stage(self, name, data, *, sha256):
        assert hashlib.sha256(data).hexdigest() == sha256
        self.calls.append(name)
        error = self.failing(name, len(self.calls))
        if error is not None:
            raise error
        return self._area.stage(name, data, sha256=sha256)

    is_local = False

    def settle(self):
        self._area.settle()


@pytest.fixture
def store():
    return MemoryStore()


@pytest.fixture
def area(store):
    return Recording(store)


@pytest.fixture
def packed():
    cells = Cells()
    cells.run(CELL)
    return [pack(cells[name], scope=Scope(main_module="nb")) for name in ("f", "g")]


def _no_sleep(_):
    pass


def test_shared_members_are_sent_once_and_every_task_has_an_index(packed, area, store):
    staged = stage(packed, area)
    assert [item.task_name for item in staged] == ["nb.f", "nb.g"]
    members = [name for name in area.calls if not name.startswith("index-")]
    assert len(members) == len(set(members)) == 4  # ring, array, two payloads
    assert sum(item.sent_bytes for item in staged) == sum(
        store.size(uri) for uri in store.list("memory://staging")
    )


def test_indexes_come_after_all_members(packed, area):
    stage(packed, area)
    assert [name.startswith("index-") for name in area.calls] == [False] * 4 + [True] * 2


def test_the_second_time_nothing_is_sent_and_the_places_are_equal(packed, area):
    first, second = stage(packed, area), stage(packed, area)
    assert [item.index_uri for item in first] == [item.index_uri for item in second]
    assert [item.sent_bytes for item in second] == [0, 0]


def test_one_changed_line_beside_a_large_array_sends_little(packed, area):
    stage(packed, area)
    cells = Cells()
    cells.run(CELL.replace("rows.sum()", "rows.sum() + 1"))
    [changed] = stage([pack(cells["f"], scope=Scope(main_module="nb"))], area)
    assert 0 < changed.sent_bytes < 10_000


def test_progress_counts_bytes_and_reaches_the_end(packed, area):
    told = []
    staged = stage(packed, area, on_progress=told.append)
    assert told[0].done_bytes == 0
    assert told[0].total_bytes > 400_000  # known before anything is sent
    assert [now.done_bytes for now in told] == sorted(now.done_bytes for now in told)
    assert told[-1].done_bytes == told[-1].total_bytes
    assert told[-1].sent_bytes == sum(item.sent_bytes for item in staged)
    again = []
    stage(packed, area, on_progress=again.append)
    assert again[-1] == told[-1]._replace(sent_bytes=0)


def test_a_transient_fault_is_tried_again(packed, area):
    failed = set()

    def every_name_once(name, _):
        if name in failed:
            return None
        failed.add(name)
        return StorageError("slow down", transient=True)

    area.failing = every_name_once
    pauses = []
    assert len(stage(packed, area, sleep=pauses.append)) == 2
    assert len(pauses) == 6


def test_a_lasting_fault_leaves_no_index(packed, area, store):
    area.failing = lambda name, count: StorageError("no access") if count == 2 else None
    with pytest.raises(StorageError, match="no access"):
        stage(packed, area, sleep=_no_sleep)
    assert not [uri for uri in store.list("memory://staging") if "index-" in uri]
    area.failing = lambda name, count: None
    assert len(stage(packed, area)) == 2


def test_what_was_staged_is_fetched_loaded_and_called(packed, area, store, tmp_path):
    [staged, _] = stage(packed, area)
    early = []
    fetched = fetch(staged.index_uri, "nb.f", store, str(tmp_path), on_ring=early.append)
    assert early == [fetched.ring]
    task = load(fetched.payload, fetched.buffers, fetched.modules, python=fetched.python)
    assert task.function() == 50_000.0


def test_the_index_pins_its_members_and_its_name_pins_the_index(packed, area, store):
    [staged, _] = stage(packed, area)
    data = store.read(staged.index_uri)
    assert index_of.digest(data) == index_of.digest_in_name(staged.index_uri)
    index = index_of.loads(data)
    for entry in index.entries:
        assert entry.uri == f"memory://staging/{entry.sha256[:2]}/{entry.sha256}"
        assert index_of.digest(store.read(entry.uri)) == entry.sha256
    assert index_of.dumps(index) == data
    assert list(index.tasks) == ["nb.f"]


class Flaky(MemoryStore):
    """A store that gives wrong bytes the first times that a member is read."""

    def __init__(self, wrong, times) -> None:
        super().__init__()
        self.wrong, self.times = wrong, times

    def read_part(self, uri, offset, length):
        data = super().read_part(uri, offset, length)
        if self.wrong in uri and self.times:
            self.times -= 1
            return data[:-1] + bytes([data[-1] ^ 1])
        return data


@pytest.mark.parametrize(("times", "ok"), [(1, True), (2, False)])
def test_a_member_is_refetched_once(packed, tmp_path, times, ok):
    store = Flaky(packed[0].payload_sha256, times)
    [staged] = stage(packed[:1], DirectoryStaging("memory://staging", store))
    if ok:
        fetch(staged.index_uri, "nb.f", store, str(tmp_path))
        return
    with pytest.raises(ChecksumMismatch) as caught:
        fetch(staged.index_uri, "nb.f", store, str(tmp_path))
    assert caught.value.member == "nb.f.pkl"
    assert caught.value.expected == packed[0].payload_sha256
    assert caught.value.actual != caught.value.expected


def test_an_index_is_refetched_once(packed, tmp_path):
    store = Flaky("index-", 1)
    [staged] = stage(packed[:1], DirectoryStaging("memory://staging", store))
    fetch(staged.index_uri, "nb.f", store, str(tmp_path))


def test_a_store_that_fails_for_a_while_is_tried_again(packed, tmp_path):
    class Failing(MemoryStore):
        left = 3

        def read_part(self, uri, offset, length):
            if self.left:
                self.left -= 1
                raise StorageError("busy", transient=True)
            return super().read_part(uri, offset, length)

    store = Failing()
    store.left = 0
    [staged] = stage(packed[:1], DirectoryStaging("memory://staging", store))
    store.left = 3
    pauses = []
    fetch(staged.index_uri, "nb.f", store, str(tmp_path), sleep=pauses.append)
    assert pauses == [0.2, 0.4, 0.8]


def test_members_that_are_swapped_are_refused(packed, area, store, tmp_path):
    [staged, _] = stage(packed, area)
    index = index_of.loads(store.read(staged.index_uri))
    [task] = [entry for entry in index.entries if entry.kind == index_of.TASK]
    [buffer] = [entry for entry in index.entries if entry.kind == index_of.BUFFER]
    store.write(task.uri, store.read(buffer.uri))
    with pytest.raises(ChecksumMismatch):
        fetch(staged.index_uri, "nb.f", store, str(tmp_path), sleep=_no_sleep)


def test_a_name_that_climbs_out_becomes_no_path(packed, area, store, tmp_path):
    [staged, _] = stage(packed, area)
    document = json.loads(store.read(staged.index_uri))
    climbing = "../../../escaped"
    for entry in document["entries"]:
        if entry["kind"] == "task":
            entry["name"] = climbing
    document["tasks"]["nb.f"]["payload"] = climbing
    data = json.dumps(document).encode()
    uri = f"memory://staging/{index_of.index_name(data)}"
    store.write(uri, data)
    inner = tmp_path / "a" / "b" / "c"
    inner.mkdir(parents=True)
    fetched = fetch(uri, "nb.f", store, str(inner))
    assert fetched.payload.startswith(str(inner))
    assert not (tmp_path / "escaped").exists()


def test_the_command_is_as_the_architecture_has_it():
    assert " ".join(task_args("nb.f", "s3://b/index-x.json")) == (
        "flyte-nb execute --task nb.f --inputs {{.input}} --output-prefix {{.outputPrefix}}"
        " --raw-output-data-prefix {{.rawOutputDataPrefix}}"
        " --checkpoint-path {{.checkpointOutputPrefix}}"
        " --prev-checkpoint {{.prevCheckpointPrefix}} --index-file-location s3://b/index-x.json"
    )
