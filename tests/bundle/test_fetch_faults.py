"""Whatever a store does, fetching hands on verified files only: a retry succeeds, or an error says why."""

import hashlib
import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flyte_nb.api import index as index_of
from flyte_nb.api.errors import BundleError, ChecksumMismatch, StorageError
from flyte_nb.api.index import Index, IndexEntry, TaskEntry
from flyte_nb.api.version import PROTOCOL, __version__
from flyte_nb.bundle.fetch import fetch, read_index
from flyte_nb.bundle.retrying import Retrying
from flyte_nb.storage import open_stores
from flyte_nb.storage.memory import MemoryStore
from flyte_nb.testing.faults import FaultyStore

MEMBERS = {
    index_of.RING: b"the ring",
    index_of.TASK: b"a pickled task",
    index_of.BUFFER: b"a buffer",
    index_of.MODULE: b"modules",
}
LARGE = 4 << 20  # bytes that are asked for at once


class Bundle(NamedTuple):
    store: MemoryStore
    index_uri: str
    entries: "tuple[IndexEntry, ...]"

    def uri(self, kind):
        return next(entry.uri for entry in self.entries if entry.kind == kind)


def make(members=None, *, root="memory://staging"):
    store, entries = MemoryStore(), []
    for kind, data in {**MEMBERS, **(members or {})}.items():
        digest = hashlib.sha256(data).hexdigest()
        entries.append(IndexEntry(kind, f"{root}/{digest}", len(data), digest, kind))
        store.write(entries[-1].uri, data)
    task = TaskEntry(index_of.TASK, (index_of.BUFFER,), (index_of.MODULE,))
    data = index_of.dumps(Index(__version__, PROTOCOL, "3.11", tuple(entries), {"t": task}))
    uri = f"{root}/{index_of.index_name(data)}"
    store.write(uri, data)
    return Bundle(store, uri, tuple(entries))


@pytest.fixture
def bundle():
    return make()


@pytest.fixture
def get(tmp_path):
    """Return a function that fetches a bundle through a store and returns the files by kind."""

    def run(bundle, store=None, **named):
        named.setdefault("sleep", lambda seconds: None)
        found = fetch(bundle.index_uri, "t", store or bundle.store, str(tmp_path), **named)
        paths = (found.ring, found.payload, *found.buffers, *found.modules)
        return dict(zip(MEMBERS, (Path(path).read_bytes() for path in paths), strict=True))

    return run


def _flipped(data, at):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def test_what_is_whole_is_handed_on(bundle, get):
    assert get(bundle) == MEMBERS


@pytest.mark.parametrize("size", [0, 1, LARGE - 1, LARGE, LARGE + 1, 3 * LARGE])
def test_members_of_any_size_arrive_whole(get, size):
    data = os.urandom(size)
    assert get(make({index_of.BUFFER: data}))[index_of.BUFFER] == data


def test_every_flipped_byte_of_every_member_is_refused(bundle, get):
    for entry in bundle.entries:
        good = bundle.store.read(entry.uri)
        for at in range(len(good)):
            bundle.store.write(entry.uri, _flipped(good, at))
            with pytest.raises(ChecksumMismatch, match=entry.sha256) as caught:
                get(bundle)
            assert caught.value.member == entry.name
        bundle.store.write(entry.uri, good)
    assert get(bundle) == MEMBERS


def test_every_flipped_byte_of_the_index_is_refused(bundle):
    good = bundle.store.read(bundle.index_uri)
    for at in range(len(good)):
        bundle.store.write(bundle.index_uri, _flipped(good, at))
        with pytest.raises(ChecksumMismatch, match="'index'"):
            read_index(bundle.index_uri, bundle.store)


@pytest.mark.parametrize("kind", MEMBERS)
@pytest.mark.parametrize(
    "spoil",
    [lambda data: data[:-1], lambda data: b"", lambda data: data * 2, lambda data: data + b"x"],
)
def test_a_member_that_is_cut_or_doubled_is_refused(bundle, get, kind, spoil):
    bundle.store.write(bundle.uri(kind), spoil(MEMBERS[kind]))
    with pytest.raises(ChecksumMismatch, match=f"bytes in place of {len(MEMBERS[kind])}"):
        get(bundle)


@pytest.mark.parametrize("spoil", [lambda data: data[:-1], lambda data: b"", lambda data: data * 2])
def test_an_index_that_is_cut_or_doubled_is_refused(bundle, get, spoil):
    bundle.store.write(bundle.index_uri, spoil(bundle.store.read(bundle.index_uri)))
    with pytest.raises(ChecksumMismatch):
        get(bundle)


def test_members_that_were_swapped_are_refused(get):
    bundle = make({index_of.TASK: b"one", index_of.BUFFER: b"two"})
    bundle.store.write(bundle.uri(index_of.TASK), b"two")
    bundle.store.write(bundle.uri(index_of.BUFFER), b"one")
    with pytest.raises(ChecksumMismatch):
        get(bundle)


@pytest.mark.parametrize("kind", MEMBERS)
def test_a_missing_member_has_its_own_code(bundle, get, kind):
    bundle.store.delete(bundle.uri(kind))
    with pytest.raises(BundleError, match="Register again") as caught:
        get(bundle)
    assert caught.value.code == "SYSTEM:BundleMemberMissing"
    assert kind in str(caught.value)


def test_a_bomb_is_read_to_its_claimed_size_only(bundle, get, tmp_path):
    """A store that has ten gigabytes in place of a small member and reports a false size."""
    asked = []

    class Bomb(MemoryStore):
        def read_part(self, uri, offset, length):
            if uri != bundle.uri(index_of.BUFFER):
                return bundle.store.read_part(uri, offset, length)
            asked.append(offset + length)
            return bytes(length) if offset < 10 << 30 else b""

        def read(self, uri):
            raise MemoryError("ten gigabytes")

        get = read

    with pytest.raises(ChecksumMismatch, match="more than 8 bytes in place of 8"):
        get(bundle, Bomb())
    assert max(asked) <= len(MEMBERS[index_of.BUFFER]) + 1
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 100


def test_an_endless_index_is_not_read_to_its_end(bundle):
    class Endless(MemoryStore):
        def read_part(self, uri, offset, length):
            assert length <= (16 << 20) + 1
            return bytes(length)

    with pytest.raises(BundleError, match="no index has"):
        read_index(bundle.index_uri, Endless())


def test_a_part_that_is_longer_than_asked_for_is_refused(bundle, get):
    store = FaultyStore(bundle.store, changes=lambda uri, data: data + bytes(1 << 20))
    with pytest.raises(ChecksumMismatch):
        get(bundle, store)


def test_a_store_that_fails_every_third_call_serves_in_the_end(get):
    bundle = make({index_of.BUFFER: os.urandom(3 * LARGE)})
    busy = StorageError("slow down", transient=True)
    store = FaultyStore(bundle.store, fails=lambda call: busy if call.number % 3 == 0 else None)
    assert get(bundle, store)[index_of.BUFFER] == bundle.store.read(bundle.uri(index_of.BUFFER))


def test_a_store_that_cannot_be_reached_says_so_after_some_tries(bundle, get):
    gone = StorageError("Cannot read x: no route to host.", uri="x", transient=True)
    pauses = []
    with pytest.raises(StorageError, match=r"tried 4 times.*Try again later") as caught:
        get(bundle, FaultyStore(bundle.store, fails=lambda call: gone), sleep=pauses.append)
    assert caught.value.transient
    assert pauses == [0.2, 0.4, 0.8]


def test_nothing_is_tried_again_when_time_is_up():
    now = [0.0]

    def stalls():
        now[0] += 500
        raise StorageError("stalled", transient=True)

    retrying = Retrying(lambda seconds: None, clock=lambda: now[0], deadline_s=900)
    with pytest.raises(StorageError, match="tried 2 times"):
        retrying(stalls)
    with pytest.raises(StorageError, match="the time for retries is over"):
        retrying(stalls)


def test_a_lasting_fault_is_not_tried_again(bundle, get):
    denied = StorageError("access denied")
    store = FaultyStore(
        bundle.store, fails=lambda call: denied if "index" not in call.uri else None
    )
    with pytest.raises(StorageError, match="access denied"):
        get(bundle, store, sleep=pytest.fail)


def test_bytes_that_change_on_the_way_are_fetched_once_more(bundle, get):
    spoiled = set()

    def once(uri, data):
        if uri in spoiled:
            return data
        spoiled.add(uri)
        return _flipped(data, 0)

    assert get(bundle, FaultyStore(bundle.store, changes=once)) == MEMBERS
    assert len(spoiled) == len(MEMBERS) + 1


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /dev/full")
def test_a_full_disk_has_its_own_code_and_says_what_to_do(bundle, get, tmp_path):
    entry = next(entry for entry in bundle.entries if entry.kind == index_of.BUFFER)
    (tmp_path / f"buffer-{entry.sha256[:32]}").symlink_to("/dev/full")
    with pytest.raises(BundleError, match="ephemeral storage") as caught:
        get(bundle)
    assert caught.value.code == "SYSTEM:DiskFull"


def test_a_folder_that_is_gone_is_no_traceback(bundle, get, tmp_path):
    tmp_path.rmdir()
    with pytest.raises(BundleError, match="cannot be written") as caught:
        get(bundle)
    assert caught.value.code == "SYSTEM:BundleNotWritten"


def test_the_ring_is_handed_on_before_the_rest_is_fetched(bundle, get, tmp_path):
    told = []
    get(bundle, on_ring=lambda path: told.append((path, len(list(tmp_path.iterdir())))))
    [(ring, files)] = told
    assert Path(ring).read_bytes() == MEMBERS[index_of.RING]
    assert files == 1


def staged_index(bundle, document):
    """Store an index with any content beside the bundle's members, and return its location."""
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    uri = f"memory://staging/{index_of.index_name(data)}"
    bundle.store.write(uri, data)
    return uri


def document_of(bundle):
    return json.loads(bundle.store.read(bundle.index_uri))


@pytest.mark.parametrize("kind", MEMBERS)
@pytest.mark.parametrize("size", [10**9, 10**18, 2**62 - 1])
def test_a_claimed_size_costs_neither_time_nor_memory(bundle, get, kind, size):
    document = document_of(bundle)
    [entry] = [entry for entry in document["entries"] if entry["kind"] == kind]
    entry["size"] = size
    with pytest.raises(ChecksumMismatch, match=f"bytes in place of {size}"):
        get(bundle._replace(index_uri=staged_index(bundle, document)))


def test_a_member_that_was_cut_short_once_does_not_disturb_the_others(get):
    large = os.urandom(3 * LARGE + 5)
    made = make({index_of.TASK: large, index_of.BUFFER: large[::-1]})
    calls = []

    class CutsOnce(FaultyStore):
        def read_part(self, uri, offset, length):
            data = super().read_part(uri, offset, length)
            if uri == made.uri(index_of.TASK) and offset == LARGE and not calls:
                calls.append(uri)
                return data[:10]
            return data

    found = get(made, CutsOnce(made.store))
    assert (found[index_of.TASK], found[index_of.BUFFER]) == (large, large[::-1])
    assert calls


def test_a_member_of_another_kind_is_refused(bundle, get):
    document = document_of(bundle)
    document["tasks"]["t"]["payload"] = index_of.BUFFER
    with pytest.raises(BundleError, match="no task member 'buffer'"):
        get(bundle._replace(index_uri=staged_index(bundle, document)))


HOSTILE = [
    b"[" * 100_000,
    b"{" * 3,
    b"null",
    b"\xff\xfe",
    b'{"format": 1}',
    b'{"format": 1e999}',
]


@pytest.mark.parametrize("data", HOSTILE)
def test_bytes_that_are_no_index_are_reported_as_a_damaged_index(bundle, data):
    with pytest.raises(BundleError):
        read_index(staged_index(bundle, data), bundle.store)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["", "a\0b", "\ud800", "ring", "task", "t", "memory://", "xyz://x", "http:"])
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=4,
)


def places_in(document, path=()):
    """Yield every place in a document, as the keys that lead there."""
    inside = document.items() if isinstance(document, dict) else enumerate(document)
    for key, value in inside:
        yield (*path, key)
        if isinstance(value, (dict, list)):
            yield from places_in(value, (*path, key))


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_content_of_an_index_gives_an_error_of_ours(tmp_path_factory, data):
    bundle = make()
    document = document_of(bundle)
    for path in data.draw(st.lists(st.sampled_from(list(places_in(document))), max_size=3)):
        at = document
        try:
            for key in path[:-1]:
                at = at[key]
            at[path[-1]] = data.draw(JSON)
        except (KeyError, TypeError, IndexError):  # what lay there was changed before
            continue
    uri = staged_index(bundle, document)
    folder = str(tmp_path_factory.mktemp("hostile"))
    with suppress(BundleError, StorageError):
        fetch(uri, "t", bundle.store, folder, sleep=lambda seconds: None)


PLACES = [
    *(
        "a\0b",
        "file:///a\0b",
        "s3\0://x",
        "xyz://x",
        "http:",
        "",
        "://",
        "/",
        "/dev/null",
        "file:///etc",
        "//",
        "../x",
        "x" * 5000,
    ),
    *("ftp://127.0.0.1:1/x", "reference://x", "zip://x", "file://host/x", "simplecache::http://x"),
]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # fsspec's own
@pytest.mark.parametrize("place", PLACES)
def test_any_location_of_members_in_an_index_gives_an_error_of_ours(bundle, tmp_path, place):
    document = document_of(bundle)
    for entry in document["entries"]:
        entry["uri"] = place
    data = json.dumps(document).encode()
    path = tmp_path / index_of.index_name(data)
    path.write_bytes(data)
    with pytest.raises((BundleError, StorageError)):
        fetch(path.as_uri(), "t", open_stores(), str(tmp_path), sleep=lambda seconds: None)
