"""A staging that is killed or interrupted at any moment leaves no index without its members."""

import os
import pickle
import signal
import subprocess
import sys
import threading

import pytest

from flyte_nb.api import index as index_of
from flyte_nb.api.identifiers import Scope
from flyte_nb.bundle.pack import pack
from flyte_nb.bundle.stage import stage
from flyte_nb.storage.directory import DirectoryStaging
from flyte_nb.storage.file import FileStore
from flyte_nb.storage.memory import MemoryStore
from flyte_nb.testing.cells import Cells

CELL = """
from flyte_nb import task
rows = bytes(range(256)) * 4000
@task
def f() -> int:
    return len(rows)
"""

KILLED_AT = """
import os, pickle, signal, sys
from flyte_nb.bundle.ring import ring
from flyte_nb.bundle.stage import stage
from flyte_nb.storage.directory import DirectoryStaging
from flyte_nb.storage.file import FileStore
packed = pickle.load(open(sys.argv[1], "rb"))
ring()
left = 0
def dying(call):
    def counted(*values):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*values)
    return counted
step, status = 0, -1
while status:
    step += 1
    child = os.fork()
    if not child:
        left = step
        for name in ("open", "write", "close", "replace"):
            setattr(os, name, dying(getattr(os, name)))
        stage(packed, DirectoryStaging(f"{sys.argv[2]}/{step}", FileStore()))
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert status in (0, signal.SIGKILL), status
print(step)
"""
"""Stages into a folder for each step: killed at its first system call, at its second, … at none."""


@pytest.fixture
def packed():
    cells = Cells()
    cells.run(CELL)
    return [pack(cells["f"], scope=Scope(main_module="nb"))]


def indexes(store, root):
    return [uri for uri in store.list(root) if "/index-" in uri]


def check_whole(store, root):
    """Assert that every stored index is whole, and that everything that it names is."""
    for uri in indexes(store, root):
        data = store.read(uri)
        assert index_of.digest(data) == index_of.digest_in_name(uri)
        for entry in index_of.loads(data).entries:
            assert index_of.digest(store.read(entry.uri)) == entry.sha256


def test_killed_at_any_step_it_leaves_no_index_without_its_members(packed, tmp_path):
    (tmp_path / "packed").write_bytes(pickle.dumps(_plain(packed)))
    root = f"file://{tmp_path}"
    command = [sys.executable, "-c", KILLED_AT, str(tmp_path / "packed"), root]
    steps = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert steps > 12  # four system calls for each of three members and the index
    store = FileStore()
    for step in range(1, steps + 1):
        folder = f"{root}/{step}"
        check_whole(store, folder)
        assert len(indexes(store, folder)) == (1 if step == steps else 0)
        before = sum(store.size(uri) for uri in store.list(folder))
        [staged] = stage(packed, DirectoryStaging(folder, store))
        whole = sum(store.size(uri) for uri in store.list(folder))
        assert staged.sent_bytes == whole - before  # what was there is not sent again
        check_whole(store, folder)


def _plain(packed):
    """Return the task with bytes in place of its buffers' views, so that it can be pickled."""
    return [
        task._replace(
            buffers=tuple(item._replace(data=bytes(item.data)) for item in task.buffers),
            captured=(),
        )
        for task in packed
    ]


class Stuck:
    """A remote area that stores the ring, then interrupts the caller and hangs until it is released."""

    def __init__(self):
        self.released = threading.Event()
        self.names = []

    def stage(self, name, data, *, sha256):
        self.names.append(name)
        if len(self.names) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        self.released.wait(240)
        return f"stuck://{name}", len(data)

    is_local = False

    def settle(self):
        """Do nothing: no cleanup runs here."""


def test_an_interrupt_waits_for_no_upload_and_leaves_no_index(packed):
    area = Stuck()
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)  # flytekit sets another
    try:
        with pytest.raises(KeyboardInterrupt):
            stage(packed, area)
    finally:
        signal.signal(signal.SIGINT, previous)
    area.released.set()  # who had waited for it would have waited for minutes
    for thread in threading.enumerate():
        if thread.name.startswith("flyte-nb-"):
            thread.join(120)
    assert not [name for name in area.names if name.startswith("index-")]


@pytest.mark.parametrize("fault", [KeyboardInterrupt, MemoryError])
def test_an_interrupt_leaves_no_part_of_a_file(tmp_path, monkeypatch, fault):
    def interrupted(*_):
        raise fault

    monkeypatch.setattr(os, "write", interrupted)
    with pytest.raises(fault):
        FileStore().write(f"{tmp_path}/x", b"some bytes")
    assert list(tmp_path.iterdir()) == []


def test_registrations_of_the_same_content_do_not_disturb_each_other(packed, tmp_path):
    store, root = FileStore(), f"file://{tmp_path}/staging"
    start, results = threading.Barrier(4), []

    def run():
        start.wait()
        results.append(stage(packed, DirectoryStaging(root, store))[0].index_uri)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    assert set(results) == set(indexes(store, root))
    check_whole(store, root)


@pytest.mark.parametrize(
    "spoil", [lambda data: data[:-1], lambda data: b"", lambda data: bytes(len(data))]
)
def test_any_damaged_object_in_the_area_is_written_again(packed, tmp_path, spoil):
    store, root = FileStore(), f"file://{tmp_path}"
    seen = {}
    [first] = stage(packed, DirectoryStaging(root, store, seen=seen))
    for uri in store.list(root):
        store.write(uri, spoil(store.read(uri)))
    [again] = stage(packed, DirectoryStaging(root, store, seen=seen))
    assert again == first
    check_whole(store, root)


class Etags(MemoryStore):
    """A remote store that knows the MD5 of an object, as S3 does, and another one for encrypted objects."""

    def __init__(self, *, encrypted=False):
        super().__init__()
        self.encrypted = encrypted
        self.read_bytes = 0

    def stat(self, uri):
        import hashlib

        found = super().stat(uri)
        if found is None:
            return None
        salt = b"encrypted" if self.encrypted else b""
        tag = hashlib.md5(super().read(uri) + salt).hexdigest()
        return found._replace(md5=tag, stamp=tag)

    def read_part(self, uri, offset, length):
        data = super().read_part(uri, offset, length)
        self.read_bytes += len(data)
        return data


def test_a_store_that_knows_an_md5_is_not_read_to_see_that_an_object_is_whole(packed):
    store = Etags()
    area = DirectoryStaging("s3://b", store)
    stage(packed, area)
    assert stage(packed, area)[0].sent_bytes == 0
    assert store.read_bytes == 0
    for uri in store.list("s3://b"):
        store.write(uri, bytes(store.size(uri)))
    assert stage(packed, area)[0].sent_bytes > 0
    check_whole(store, "s3://b")


def test_an_encrypted_object_is_read_once_and_not_sent_again(packed):
    store = Etags(encrypted=True)
    area = DirectoryStaging("s3://b", store)
    sent = stage(packed, area)[0].sent_bytes
    assert stage(packed, area)[0].sent_bytes == 0
    assert store.read_bytes == sent
    assert stage(packed, area)[0].sent_bytes == 0
    assert store.read_bytes == sent  # its stamp was remembered
