"""A cleanup while tasks are registered: what a registration found stays until its index names it."""

import os

import pytest

from flyte_nb.api import index as index_of
from flyte_nb.api.errors import StorageError
from flyte_nb.api.identifiers import Scope
from flyte_nb.api.ports import GRACE_S
from flyte_nb.bundle.inventory import collect, inventory, plan_cleanup, verify
from flyte_nb.bundle.pack import pack
from flyte_nb.bundle.stage import stage
from flyte_nb.storage import open_stores
from flyte_nb.storage.directory import DirectoryStaging
from flyte_nb.storage.memory import MemoryStore
from flyte_nb.testing.cells import Cells
from flyte_nb.testing.faults import FaultyStore

ROOT = "memory://bundles"
CELL = (
    "import numpy as np\nfrom flyte_nb import task\nrows = np.arange(50_000.0)\n"
    "@task\ndef f() -> float:\n    return rows.sum() + {step}\n"
)


@pytest.fixture(scope="module")
def tasks():
    """Two versions of one task; they share the ring and an array."""
    found = []
    for step in (1, 2):
        cells = Cells()
        cells.run(CELL.format(step=step))
        found.append(pack(cells["f"], scope=Scope(main_module="nb")))
    return found


class World:
    """A store with a clock that tests set, and a registration and a cleanup that use it."""

    def __init__(self, touches=True):
        self.now = 1e9
        self.store = MemoryStore(self.clock)
        self.touches = touches

    def clock(self):
        return self.now

    def register(self, task, before=lambda call: None):
        """Stage a task and call `before` ahead of each store call; return the bytes sent and the calls."""
        store = FaultyStore(self.store, fails=before)
        if not self.touches:
            store.touch = lambda uri: False
        [staged] = stage([task], DirectoryStaging(ROOT, store, clock=self.clock))
        self.index_uri = staged.index_uri
        return staged.sent_bytes, [call.method for call in store.calls]

    def clean(self, needed=(), before=lambda call: None):
        """Remove what is not needed; call `before` ahead of each store call."""
        store = FaultyStore(self.store, fails=before)
        planned = plan_cleanup(inventory(store, ROOT), needed, now_s=self.now)
        collect(store, planned, ROOT, needed, clock=self.clock)
        return [call.method for call in store.calls]

    @property
    def is_whole(self):
        """Return whether the task that was registered last can be run."""
        held = [item for item in inventory(self.store, ROOT).indexes if item.uri == self.index_uri]
        return len(held) == 1 and verify(self.store, held)[0] == []


@pytest.fixture(params=[True, False], ids=["a store that touches", "a store that does not"])
def world(request):
    return World(request.param)


def members(world):
    return len(inventory(world.store, ROOT).members)


def test_what_was_not_used_for_a_day_is_removed(world, tasks):
    world.register(tasks[0])
    world.now += GRACE_S - 1
    world.clean()
    assert world.is_whole
    world.now += 2
    world.clean()
    assert world.store.list(ROOT) == []


def test_what_is_used_again_is_renewed_after_half_the_time(world, tasks):
    world.register(tasks[0])
    world.now += GRACE_S / 2 - 1
    sent, calls = world.register(tasks[1])
    assert "touch" not in calls
    assert sent < 10_000
    world.now += 2
    sent, _ = world.register(tasks[1]._replace(name="nb.again"))
    shared = sum(buffer.data.nbytes for buffer in tasks[1].buffers)
    assert (sent < 10_000) if world.touches else (sent > shared)
    world.now += GRACE_S - 3  # and so it stays, though what was registered first goes
    world.clean()
    assert world.is_whole
    assert members(world) == 3  # the ring, the array, a payload


def test_a_cleanup_at_any_moment_of_a_registration_leaves_it_whole(world, tasks):
    _, calls = World().register(tasks[0])
    for moment in range(1, 3 * len(calls)):
        world = World(world.touches)
        world.register(tasks[0])
        world.now += 2 * GRACE_S

        def clean(call, moment=moment, world=world):
            if call.number == moment:
                world.clean()

        world.register(tasks[1], clean)
        assert world.is_whole, f"cleaned before call {moment}"


def test_a_registration_at_any_moment_of_a_cleanup_is_whole(world, tasks):
    world.register(tasks[0])
    world.now += 2 * GRACE_S
    calls = world.clean()
    assert calls.count("delete") == 4
    for moment, method in enumerate(calls, 1):
        if method == "delete":
            continue  # the look at its age was just before: see the next test
        world = World(world.touches)
        world.register(tasks[0])
        world.now += 2 * GRACE_S

        def register(call, moment=moment, world=world):
            if call.number == moment:
                world.register(tasks[1])

        world.clean(before=register)
        assert world.is_whole, f"registered before call {moment}, {method}"


def test_an_object_whose_removal_was_decided_just_before_is_written_again_after_the_index(
    world, tasks
):
    world.register(tasks[0])
    world.now += 2 * GRACE_S
    old = {item.uri for item in inventory(world.store, ROOT).members}

    def remove(call):
        if call.method == "write" and index_of.digest_in_name(call.uri):
            for uri in old:
                world.store.delete(uri)

    world.register(tasks[1], remove)
    assert world.is_whole


def test_an_index_that_is_registered_again_meanwhile_stays(world, tasks):
    world.register(tasks[0])
    world.now += 2 * GRACE_S
    planned = plan_cleanup(inventory(world.store, ROOT), [], now_s=world.now)
    world.register(tasks[0])
    assert collect(world.store, planned, ROOT, [], clock=world.clock) == []
    assert world.is_whole


def test_an_old_file_that_is_used_again_is_touched(tmp_path, tasks):
    store, root = open_stores(), f"file://{tmp_path}"
    stage(tasks[:1], DirectoryStaging(root, store))
    for uri in store.list(root):
        os.utime(uri[len("file://") :], (1e9, 1e9))
    assert stage(tasks[:1], DirectoryStaging(root, store))[0].sent_bytes == 0
    assert all(store.stat(uri).modified_s > 1.5e9 for uri in store.list(root))


def test_an_old_object_of_another_user_is_used_as_it_is(tasks):
    world = World(touches=False)
    world.register(tasks[0])
    world.now += 2 * GRACE_S
    denied = StorageError("not yours")
    kept = {item.uri for item in inventory(world.store, ROOT).members}
    world.register(
        tasks[1], lambda call: denied if call.method == "write" and call.uri in kept else None
    )
    assert world.is_whole
