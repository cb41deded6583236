"""A location is listed and verified, and a cleanup removes nothing that a registered task needs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyte_nb.api import index as index_of
from flyte_nb.api.errors import BundleError
from flyte_nb.api.identifiers import Scope
from flyte_nb.bundle.inventory import collect, inventory, plan_cleanup, verify
from flyte_nb.bundle.pack import pack
from flyte_nb.bundle.stage import stage
from flyte_nb.storage.directory import DirectoryStaging
from flyte_nb.storage.memory import MemoryStore
from flyte_nb.testing.cells import Cells

ROOT = "memory://bundles"
LATER = 4e9  # seconds; every object is old by then


def later():
    return LATER


def packed(step, name="f"):
    cells = Cells()
    cells.run(
        "import numpy as np\nfrom flyte_nb import task\nrows = np.arange(50_000.0)\n"
        f"@task\ndef {name}() -> float:\n    return rows.sum() + {step}\n"
    )
    return pack(cells[name], scope=Scope(main_module="nb"))


@pytest.fixture(scope="module")
def tasks():
    return [packed(1), packed(2), packed(3, "g")]


@pytest.fixture
def store():
    return MemoryStore()


@pytest.fixture
def staged(store, tasks):
    """Return the digests of three tasks' indexes. The tasks share the ring and an array."""
    done = [stage([task], DirectoryStaging(ROOT, store))[0] for task in tasks]
    return [index_of.digest_in_name(item.index_uri) for item in done]


def test_all_our_objects_are_listed_and_no_others(store, staged):
    store.write(f"{ROOT}/notes.txt", b"mine")
    store.write(f"{ROOT}/ab/cdef", b"mine too")
    held = inventory(store, ROOT)
    assert {item.digest for item in held.indexes} == set(staged)
    assert sorted(item.tasks for item in held.indexes) == [("nb.f",), ("nb.f",), ("nb.g",)]
    assert len(held.members) == 5  # the ring, the array, three payloads
    assert held.stored_bytes == sum(
        store.size(uri)
        for uri in store.list(ROOT)
        if "mine" not in store.read(uri)[:4].decode("latin1")
    )


def test_whole_objects_are_counted_as_whole(store, staged):
    damages, whole = verify(store, inventory(store, ROOT).indexes)
    assert (damages, whole) == ([], 8)


@pytest.mark.parametrize("fault", ["flipped", "cut", "longer", "missing"])
def test_each_damaged_member_is_named_with_the_tasks_that_it_stops(store, staged, fault):
    held = inventory(store, ROOT)
    [array] = {
        (entry.uri, entry.sha256)
        for item in held.indexes
        for entry in item.contents.entries
        if entry.kind == "buffer"
    }
    data = store.read(array[0])
    if fault == "missing":
        store.delete(array[0])
    else:
        changed = {
            "flipped": data[:7] + bytes([data[7] ^ 1]) + data[8:],
            "cut": data[:-1],
            "longer": data + b"x",
        }[fault]
        store.write(array[0], changed)
    [damage], _ = verify(store, held.indexes)
    assert (damage.uri, damage.name) == (array[0], "buffer-0")
    assert damage.tasks == ("nb.f", "nb.g")
    if fault == "flipped":
        assert f"expected {array[1]}" in damage.what


def test_an_index_that_is_damaged_is_named(store, staged):
    uri = next(item.uri for item in inventory(store, ROOT).indexes)
    store.write(uri, store.read(uri)[:-1] + b" ")
    damages, _ = verify(store, inventory(store, ROOT).indexes)
    assert [damage.uri for damage in damages] == [uri]


def test_what_no_registered_task_needs_can_go_with_its_own_members_only(store, staged, tasks):
    planned = plan_cleanup(inventory(store, ROOT), staged[1:], now_s=LATER)
    assert sorted(item.what for item in planned.removals) == ["index", "member"]
    [member] = [item for item in planned.removals if item.what == "member"]
    assert member.name == tasks[0].payload_sha256
    collect(store, planned, ROOT, staged[1:], clock=later)
    assert verify(store, inventory(store, ROOT).indexes) == ([], 6)


def test_without_registered_tasks_all_our_objects_are_removed_and_others_stay(store, staged):
    store.write(f"{ROOT}/notes.txt", b"mine")
    planned = plan_cleanup(inventory(store, ROOT), [], now_s=LATER)
    collect(store, planned, ROOT, [], clock=later)
    assert store.list(ROOT) == [f"{ROOT}/notes.txt"]


def test_recent_objects_stay_because_a_registration_may_be_under_way(store, staged, tasks):
    stage([packed(9)], _WithoutIndex(DirectoryStaging(ROOT, store)))  # interrupted before its index
    now = store.stat(store.list(ROOT)[0]).modified_s + 60
    planned = plan_cleanup(inventory(store, ROOT), staged, now_s=now)
    assert planned.removals == ()
    assert planned.too_recent == 1
    assert len(plan_cleanup(inventory(store, ROOT), staged, now_s=now, min_age_s=0).removals) == 1


class _WithoutIndex:
    is_local = True

    def __init__(self, area):
        self._area = area

    def stage(self, name, data, *, sha256):
        if name.startswith("index-"):
            return f"{ROOT}/{name}", 0
        return self._area.stage(name, data, sha256=sha256)

    def settle(self):
        self._area.settle()


def test_a_member_that_a_new_index_names_meanwhile_stays(store, staged, tasks):
    planned = plan_cleanup(inventory(store, ROOT), staged[1:], now_s=LATER)
    # Between planning and removing, somebody registers the task again: its members are there.
    again = stage([tasks[0]._replace(name="nb.other")], DirectoryStaging(ROOT, store))
    collect(
        store,
        planned,
        ROOT,
        [*staged[1:], index_of.digest_in_name(again[0].index_uri)],
        clock=later,
    )
    assert verify(store, inventory(store, ROOT).indexes)[0] == []


def test_an_index_that_is_registered_meanwhile_stays(store, staged):
    planned = plan_cleanup(inventory(store, ROOT), [], now_s=LATER)
    collect(store, planned, ROOT, [staged[0]], clock=later)
    held = inventory(store, ROOT)
    assert [item.digest for item in held.indexes] == [staged[0]]
    assert verify(store, held.indexes)[0] == []


def test_nothing_is_removed_while_a_needed_index_cannot_be_read(store, staged):
    uri = next(item.uri for item in inventory(store, ROOT).indexes if item.digest == staged[0])
    store.write(uri, b"{}")
    with pytest.raises(BundleError, match="Nothing is removed"):
        plan_cleanup(inventory(store, ROOT), staged, now_s=LATER)


@given(needed=st.sets(st.integers(0, 2)), data=st.data())
def test_whatever_is_needed_can_be_fetched_after_any_cleaning(tasks, needed, data):
    store = MemoryStore()
    done = [stage([task], DirectoryStaging(ROOT, store))[0] for task in tasks]
    digests = [index_of.digest_in_name(item.index_uri) for item in done]
    keep = [digests[number] for number in needed]
    planned = plan_cleanup(inventory(store, ROOT), keep, now_s=LATER)
    late = [digests[number] for number in data.draw(st.sets(st.integers(0, 2)))]
    collect(store, planned, ROOT, [*keep, *late], clock=later)
    held = inventory(store, ROOT)
    assert {item.digest for item in held.indexes} == {*keep, *late}
    assert verify(store, held.indexes)[0] == []
