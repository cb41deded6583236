"""The suites for stores and staging areas.

Derive a test class, give it the fixtures, and pytest collects the tests:

    class TestMyStore(BlobStoreConformance):
        @pytest.fixture
        def store(self): return MyStore()

        @pytest.fixture
        def root(self): return "mine://bucket/folder"
"""

import hashlib
import threading
import time
from pathlib import Path

import pytest

from flyte_nb.api.errors import StorageError
from flyte_nb.api.ports import BlobStore, StagingArea
from flyte_nb.testing.waiting import wait_until


class BlobStoreConformance:
    """The suite for `flyte_nb.api.ports.BlobStore`; needs the fixtures `store` and `root`."""

    def test_what_was_written_is_read(self, store: BlobStore, root: str) -> None:
        """Also empty objects, and every byte."""
        for number, data in enumerate((b"", b"x", bytes(range(256)) * 1000)):
            store.write(f"{root}/{number}", data)
            assert store.read(f"{root}/{number}") == data
            assert store.size(f"{root}/{number}") == len(data)

    def test_writing_again_replaces(self, store: BlobStore, root: str) -> None:
        """A shorter object leaves nothing of a longer one."""
        store.write(f"{root}/a", b"a long first content")
        store.write(f"{root}/a", b"short")
        assert store.read(f"{root}/a") == b"short"

    def test_folders_need_not_be_made(self, store: BlobStore, root: str) -> None:
        """A name may have any depth."""
        store.write(f"{root}/deep/er/still/x", b"1")
        assert store.read(f"{root}/deep/er/still/x") == b"1"

    def test_a_missing_object_has_no_size(self, store: BlobStore, root: str) -> None:
        """`size` returns `None` and raises nothing."""
        assert store.size(f"{root}/missing") is None

    def test_a_folder_has_no_size(self, store: BlobStore, root: str) -> None:
        """Only objects have one."""
        store.write(f"{root}/folder/x", b"1")
        assert store.size(f"{root}/folder") is None

    def test_reading_what_is_missing_names_it(self, store: BlobStore, root: str) -> None:
        """A `StorageError` that is not transient and names the object."""
        with pytest.raises(StorageError, match="missing") as caught:
            store.read(f"{root}/missing")
        assert not caught.value.transient
        assert caught.value.missing
        assert caught.value.uri.endswith("missing")

    def test_a_part_ends_where_the_object_ends(self, store: BlobStore, root: str) -> None:
        """Also one that begins there, and that of an empty object."""
        store.write(f"{root}/a", b"0123456789")
        store.write(f"{root}/empty", b"")
        assert store.read_part(f"{root}/a", 0, 4) == b"0123"
        assert store.read_part(f"{root}/a", 4, 3) == b"456"
        assert store.read_part(f"{root}/a", 8, 100) == b"89"
        assert store.read_part(f"{root}/a", 10, 5) == b""
        assert store.read_part(f"{root}/empty", 0, 5) == b""

    def test_a_part_of_what_is_missing_cannot_be_read(self, store: BlobStore, root: str) -> None:
        """It raises what reading the whole object raises."""
        with pytest.raises(StorageError, match="missing") as caught:
            store.read_part(f"{root}/missing", 0, 5)
        assert caught.value.missing
        assert not caught.value.transient

    def test_what_is_known_of_an_object_is_true(self, store: BlobStore, root: str) -> None:
        """Its size always; MD5 and stamp where the store has them."""
        store.write(f"{root}/a", b"0123456789")
        found = store.stat(f"{root}/a")
        assert found is not None
        assert found.size == 10
        assert found.md5 in ("", hashlib.md5(b"0123456789", usedforsecurity=False).hexdigest())
        assert store.stat(f"{root}/missing") is None
        store.write(f"{root}/a", b"something else")
        changed = store.stat(f"{root}/a")
        assert changed is not None
        assert changed.stamp != found.stamp or not found.stamp

    def test_getting_what_is_missing_names_it(
        self, store: BlobStore, root: str, tmp_path: Path
    ) -> None:
        """`get` raises what `read` raises."""
        with pytest.raises(StorageError, match="missing"):
            store.get(f"{root}/missing", str(tmp_path / "x"))

    def test_a_deleted_object_is_gone(self, store: BlobStore, root: str) -> None:
        """And deleting it again is no error."""
        store.write(f"{root}/a", b"1")
        store.delete(f"{root}/a")
        store.delete(f"{root}/a")
        assert store.size(f"{root}/a") is None

    def test_the_time_of_an_object_is_when_it_was_written(
        self, store: BlobStore, root: str
    ) -> None:
        """Unless the store has no times. Its clock may be a little off ours."""
        store.write(f"{root}/written", b"1")
        found = store.stat(f"{root}/written")
        assert found is not None
        assert found.modified_s is None or abs(time.time() - found.modified_s) < 300

    def test_a_touched_object_has_a_later_time_and_its_bytes(
        self, store: BlobStore, root: str
    ) -> None:
        """Unless `touch` returns `False`: the object is not there, or the store cannot do it."""
        store.write(f"{root}/touched", b"0123456789")
        before = store.stat(f"{root}/touched")
        assert before is not None
        written_s = before.modified_s

        def is_later() -> bool:
            if not store.touch(f"{root}/touched"):
                return True  # the store cannot do it
            after = store.stat(f"{root}/touched")
            assert after is not None
            return written_s is None or (after.modified_s or 0) > written_s

        wait_until(is_later, "a later time of the touched object", seconds=10)
        assert store.read(f"{root}/touched") == b"0123456789"
        assert store.touch(f"{root}/not-there") is False

    def test_a_list_has_every_object_below_sorted(self, store: BlobStore, root: str) -> None:
        """Names that only begin alike are not below."""
        for name in ("list/b", "list/a", "list/c/d", "listing"):
            store.write(f"{root}/{name}", b"1")
        assert store.list(f"{root}/list") == [
            f"{root}/list/a",
            f"{root}/list/b",
            f"{root}/list/c/d",
        ]

    def test_a_list_of_nothing_is_empty(self, store: BlobStore, root: str) -> None:
        """No error."""
        assert store.list(f"{root}/nothing") == []

    def test_a_file_goes_there_and_back(self, store: BlobStore, root: str, tmp_path: Path) -> None:
        """By `put` and `get`."""
        (tmp_path / "a.bin").write_bytes(b"\x00\xff" * 5000)
        store.put(str(tmp_path / "a.bin"), f"{root}/files/a.bin")
        store.get(f"{root}/files/a.bin", str(tmp_path / "back" / "b.bin"))
        assert (tmp_path / "back" / "b.bin").read_bytes() == b"\x00\xff" * 5000

    def test_a_folder_goes_there_and_back(
        self, store: BlobStore, root: str, tmp_path: Path
    ) -> None:
        """With its folders."""
        (tmp_path / "d" / "inner").mkdir(parents=True)
        (tmp_path / "d" / "x").write_text("1")
        (tmp_path / "d" / "inner" / "y").write_text("2")
        store.put(str(tmp_path / "d"), f"{root}/d")
        store.get(f"{root}/d", str(tmp_path / "back"))
        assert (tmp_path / "back" / "x").read_text() == "1"
        assert (tmp_path / "back" / "inner" / "y").read_text() == "2"

    def test_names_with_odd_letters_are_kept(self, store: BlobStore, root: str) -> None:
        """Spaces, plus and percent signs are not encoded or decoded."""
        store.write(f"{root}/a b+c%20d=é", b"1")
        assert store.read(f"{root}/a b+c%20d=é") == b"1"
        assert store.list(root) == [f"{root}/a b+c%20d=é"]

    def test_a_reader_sees_all_or_nothing(self, store: BlobStore, root: str) -> None:
        """While another thread writes, every read returns one of the whole contents."""
        contents = [bytes([number]) * 200_000 for number in range(4)]
        store.write(f"{root}/busy", contents[0])
        done = threading.Event()

        def write() -> None:
            for _ in range(5):
                for content in contents:
                    store.write(f"{root}/busy", content)
            done.set()

        writer = threading.Thread(target=write)
        writer.start()
        try:
            while not done.is_set():
                assert store.read(f"{root}/busy") in contents
        finally:
            writer.join()


class StagingAreaConformance:
    """The suite for `flyte_nb.api.ports.StagingArea`; needs the fixtures `area` and `reader`.

    `reader` is a `BlobStore` that reads what was staged.
    """

    def test_a_staged_object_can_be_read(self, area: StagingArea, reader: BlobStore) -> None:
        """`stage` returns the URI where the bytes are, and how many were sent."""
        uri, sent = _stage(area, b"some bytes")
        assert reader.read(uri) == b"some bytes"
        assert sent == len(b"some bytes")

    def test_the_same_object_is_sent_once(self, area: StagingArea) -> None:
        """The second time, 0 bytes are sent, and the URI is the same."""
        first, _ = _stage(area, b"once")
        assert _stage(area, b"once") == (first, 0)

    def test_different_objects_have_different_places(self, area: StagingArea) -> None:
        """Content-addressed."""
        assert _stage(area, b"one")[0] != _stage(area, b"two")[0]

    def test_settling_leaves_what_was_staged(self, area: StagingArea, reader: BlobStore) -> None:
        """`settle` is called when all indexes are staged, and may be called again."""
        uri, _ = _stage(area, b"settled")
        area.settle()
        area.settle()
        assert reader.read(uri) == b"settled"
        assert isinstance(area.is_local, bool)

    def test_an_index_keeps_its_name(self, area: StagingArea, reader: BlobStore) -> None:
        """Its name pins its digest, so the last part of the URI has to stay."""
        data = b"{}"
        digest = hashlib.sha256(data).hexdigest()
        uri, _ = area.stage(f"index-{digest}.json", data, sha256=digest)
        assert uri.endswith(f"/index-{digest}.json")
        assert reader.read(uri) == data

    def test_an_empty_object_is_staged(self, area: StagingArea, reader: BlobStore) -> None:
        """Zero bytes are an object too."""
        uri, _ = _stage(area, b"")
        assert reader.size(uri) == 0


def _stage(area: StagingArea, data: bytes) -> "tuple[str, int]":
    digest = hashlib.sha256(data).hexdigest()
    return area.stage(f"{digest[:2]}/{digest}", data, sha256=digest)
