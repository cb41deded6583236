"""The built-in stores pass the conformance suite."""

import errno
import os

import pytest

from flyte_nb.api.errors import StorageError
from flyte_nb.storage import open_stores
from flyte_nb.storage.directory import DirectoryStaging
from flyte_nb.storage.file import FileStore, explain, local_path
from flyte_nb.storage.memory import MemoryStore
from flyte_nb.storage.remote import FsspecStore
from flyte_nb.testing.storage_conformance import BlobStoreConformance, StagingAreaConformance


class TestFiles(BlobStoreConformance):
    @pytest.fixture
    def store(self):
        return open_stores()

    @pytest.fixture
    def root(self, tmp_path):
        return f"file://{tmp_path}/store"


class TestPlainPaths(BlobStoreConformance):
    @pytest.fixture
    def store(self):
        return FileStore()

    @pytest.fixture
    def root(self, tmp_path):
        return str(tmp_path / "store")


class TestMemory(BlobStoreConformance):
    @pytest.fixture
    def store(self):
        return open_stores()

    @pytest.fixture
    def root(self):
        return "memory://store"


class TestFsspec(BlobStoreConformance):
    @pytest.fixture
    def store(self):
        import fsspec

        store = FsspecStore("memory")
        yield store
        fsspec.filesystem("memory").store.clear()

    @pytest.fixture
    def root(self):
        return "memory:///store"


class TestDirectoryStaging(StagingAreaConformance):
    @pytest.fixture
    def reader(self):
        return open_stores()

    @pytest.fixture
    def area(self, reader, tmp_path):
        return DirectoryStaging(f"file://{tmp_path}/staging/", reader)


class TestMemoryStaging(StagingAreaConformance):
    @pytest.fixture
    def reader(self):
        return open_stores()

    @pytest.fixture
    def area(self, reader):
        return DirectoryStaging("memory://staging", reader)


def test_a_damaged_local_object_is_staged_again(tmp_path):
    store = open_stores()
    area = DirectoryStaging(f"file://{tmp_path}", store)
    digest = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"  # sha256 of hello
    uri, _ = area.stage("2c/x", b"hello", sha256=digest)
    store.write(uri, b"hellp")
    assert area.stage("2c/x", b"hello", sha256=digest) == (uri, 5)
    assert store.read(uri) == b"hello"


def test_two_memory_stores_share_nothing():
    MemoryStore().write("memory://a", b"1")
    assert MemoryStore().size("memory://a") is None


def test_files_need_no_fsspec(subprocess_modules):
    code = """
from flyte_nb.storage import open_stores
open_stores().write("file://{path}", b"1")
assert open_stores().read("file://{path}") == b"1"
"""
    loaded = subprocess_modules(code)
    assert not loaded & {"fsspec", "threading", "subprocess", "importlib.metadata"}


@pytest.mark.parametrize(
    ("number", "hint", "transient"),
    [
        (errno.ENOSPC, "full", False),
        (errno.EDQUOT, "full", False),
        (errno.EACCES, "permissions", False),
        (errno.EROFS, "permissions", False),
        (errno.ENOENT, "There is no such file", False),
        (errno.EMFILE, "ulimit", False),
        (errno.EIO, "", True),
        (errno.ESTALE, "", True),
    ],
)
def test_an_error_of_the_system_says_what_to_do(number, hint, transient):
    error = explain(OSError(number, os.strerror(number)), "write", "file:///x")
    assert hint in str(error)
    assert os.strerror(number) in str(error)
    assert error.transient is transient
    assert error.uri == "file:///x"


def test_a_full_disk_leaves_the_old_object_and_no_part(tmp_path, full_disk):
    path = full_disk / "object"
    with pytest.raises(StorageError, match="full"):
        FileStore().write(str(path), b"x" * (4 << 20))
    assert not path.exists()
    assert list(full_disk.iterdir()) == []


def test_a_folder_that_may_not_be_written_is_named(tmp_path):
    target = tmp_path / "file"
    target.write_text("in the way")
    with pytest.raises(StorageError, match="Cannot write"):
        FileStore().write(str(target / "below"), b"1")


def test_an_unknown_scheme_is_named():
    with pytest.raises(StorageError, match="Check the spelling"):
        open_stores().read("nosuchscheme://bucket/x")


def test_a_missing_plugin_names_the_extra(monkeypatch):
    import fsspec

    def missing(*_, **__):
        raise ImportError("No module named 's3fs'")

    monkeypatch.setattr(fsspec, "filesystem", missing)
    with pytest.raises(StorageError, match=r"flyte-nb\[s3\]"):
        open_stores().read("s3://bucket/x")


@pytest.mark.parametrize("uri", ["file://host/path", "file://relative"])
def test_a_file_uri_of_another_machine_is_refused(uri):
    with pytest.raises(StorageError, match="names no local file"):
        local_path(uri)


def test_localhost_is_this_machine():
    assert local_path("file://localhost/tmp/x") == "/tmp/x"


def test_a_cloud_fault_is_transient_by_its_name():
    store = FsspecStore("memory")

    class SlowDownError(Exception):
        pass

    def slow(_):
        raise SlowDownError("please reduce your request rate")

    store._fs.cat_file = slow
    with pytest.raises(StorageError) as caught:
        store.read("memory:///x")
    assert caught.value.transient
