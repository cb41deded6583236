"""Which zygotes are kept, and for how long; and the threads of the warm host."""

import os
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import psutil
import pytest

from flyte_nb.api.errors import BundleError
from flyte_nb.pipe.sockets import _arrived, receive, send
from flyte_nb.runtime.warm.crew import Crew
from flyte_nb.runtime.warm.host import WarmHost
from flyte_nb.runtime.warm.link import is_possible
from flyte_nb.runtime.warm.loaded import LoadedFiles
from flyte_nb.runtime.warm.zygote_process import Key, Unfit
from flyte_nb.runtime.warm.zygotes import Zygotes, _Place

HEAD = "from flyte_nb import task\n"


@pytest.fixture(autouse=True)
def _possible():
    if not is_possible():
        pytest.skip("forks cannot be trusted here")


@pytest.fixture
def key(cold):
    """The key of a task that returns the number."""

    def make(number, body="return {}", roots=()):
        cold.cells.run(HEAD + f"@task\ndef f{number}() -> int:\n    {body.format(number)}\n")
        staged = cold.stage(f"f{number}", local_roots=roots)
        return Key(staged.index_uri, staged.task_name, tuple(os.environ.items()))

    return make


@pytest.fixture
def keep(cold):
    """Makes `Zygotes`, which are closed at the end."""
    made = []

    def make(**options):
        made.append(Zygotes(cold.store, **options))
        return made[-1]

    yield make
    for zygotes in made:
        zygotes.close()


def children():
    """The zygotes of this process; other children may end at any time."""
    found = set()
    for child in psutil.Process().children():
        with suppress(psutil.Error):
            if any(word.endswith("zygote.py") for word in child.cmdline()):
                found.add(child.pid)
    return found


def used(zygotes, key):
    zygote = zygotes.take(key)
    zygotes.give_back(zygote)
    return zygote


def test_a_zygote_is_kept_and_only_so_many_are(keep, key):
    zygotes = keep(kept=2)
    one, two, three = key(1), key(2), key(3)
    first = used(zygotes, one)
    assert used(zygotes, one) is first
    second = used(zygotes, two)
    assert used(zygotes, one) is first  # now the second is the least used
    used(zygotes, three)
    assert used(zygotes, one) is first
    assert used(zygotes, two) is not second


def test_one_that_is_at_work_is_not_ended(keep, key):
    zygotes = keep(kept=1)
    busy = zygotes.take(key(1))
    used(zygotes, key(2))
    zygotes.expire()
    assert zygotes.take(key(1)) is busy
    zygotes.give_back(busy)
    zygotes.give_back(busy)


def test_memory_is_a_limit_too(keep, key):
    zygotes = keep(max_bytes=1)
    first = used(zygotes, key(1))
    assert first.resident_bytes > 1 << 20
    assert used(zygotes, key(1)) is first  # the one that is used is kept, however large
    before = children()
    used(zygotes, key(2))
    assert len(children()) == len(before)  # the other came, and the first went


def test_one_that_nobody_asks_for_is_ended(keep, key):
    now = [1000.0]
    zygotes = keep(idle_s=10, clock=lambda: now[0])
    before = children()
    first = used(zygotes, key(1))
    now[0] += 9
    zygotes.expire()
    assert used(zygotes, key(1)) is first
    now[0] += 11
    zygotes.expire()
    assert children() == before
    assert used(zygotes, key(1)) is not first


def test_attempts_that_come_together_start_one(keep, key):
    zygotes = keep()
    one = key(1)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: zygotes.take(one), range(4)))
    assert len(set(map(id, found))) == 1
    for zygote in found:
        zygotes.give_back(zygote)


def test_a_broken_one_is_replaced_when_its_last_attempt_has_ended(keep, key):
    zygotes = keep()
    one = key(1)
    broken = zygotes.take(one)
    zygotes.take(one)
    zygotes.give_back(broken, broken=True)
    following = used(zygotes, one)
    assert following is not broken
    before = children()
    zygotes.give_back(broken)
    assert len(children()) == len(before) - 1


def test_what_cannot_be_loaded_is_not_tried_again(keep, key, cold, monkeypatch, tmp_path):
    (tmp_path / "only_here.py").write_text("def up(): return 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    cold.cells.run("from only_here import up")
    one = key(1, "return up()")
    zygotes = keep()
    before = children()
    for _ in range(2):
        with pytest.raises(Unfit, match="only_here"):
            zygotes.take(one)
    assert children() == before


def test_a_task_that_does_not_end_loading_is_left_to_a_cold_attempt(
    keep, key, cold, monkeypatch, tmp_path
):
    (tmp_path / "slow.py").write_text(
        "import sys, threading\n"
        "if sys.argv == ['flyte-nb-worker']:\n    threading.Event().wait()\n"
        "def up(): return 1\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    cold.cells.run("from slow import up")
    one = key(1, "return up()", roots=[tmp_path])
    zygotes = keep(load_s=0.2)
    before = children()
    for _ in range(2):
        with pytest.raises(Unfit, match=r"was not loaded after 0\.2 s"):
            zygotes.take(one)
    assert children() == before
    monkeypatch.delitem(sys.modules, "slow", raising=False)


def test_descriptors_that_arrive_are_never_inherited():
    here, there = socket.socketpair()
    with here, there, open(os.devnull) as file:
        send(here, {}, [file.fileno()])
        header, [arrived] = _arrived(there)
        try:
            assert len(header) == 8
            assert not os.get_inheritable(arrived)  # at once: another thread may start a program
        finally:
            os.close(arrived)


def test_who_ends_with_frames_unread_has_ended_like_anybody():
    here, there = socket.socketpair()
    with there:
        send(there, {"kind": "unread"})
        here.close()
        assert receive(there) is None


def test_a_bundle_that_cannot_be_fetched_leaves_nothing(keep, key):
    one = key(1)
    zygotes = keep()
    os.unlink(one.index_uri.removeprefix("file://"))
    before = children()
    with pytest.raises(BundleError):
        zygotes.take(one)
    assert children() == before


def test_a_place_that_somebody_is_about_to_take_is_kept(keep, key):
    zygotes = keep(kept=1)
    mine = key(1)

    class Late:
        """Others come and go between the moment a place is found and the moment it is entered."""

        def __enter__(self):
            for number in range(20):
                zygotes._places[Key(f"other-{number}", "f", ())] = _Place()
            zygotes._shrink()

        def __exit__(self, *_):
            return

    place = zygotes._places[mine] = _Place()
    place.starting = Late()
    first = used(zygotes, mine)
    assert used(zygotes, mine) is first


def test_a_crew_does_as_much_at_once_as_it_is_given():
    before = set(threading.enumerate())
    crew = Crew()
    together = threading.Barrier(4, timeout=120)
    seen = []

    def act() -> None:
        together.wait()
        seen.append(threading.get_ident())

    for _ in range(3):
        for _ in range(3):
            crew.do(act)
        together.wait()
    crew.close()
    assert len(seen) == 9
    assert not [thread for thread in threading.enumerate() if thread not in before]


def test_a_host_answers_also_after_what_nobody_foresaw():
    backend, own = socket.socketpair()
    host = WarmHost(own)
    thread = threading.Thread(target=host.run)
    thread.start()
    with open(os.devnull, "wb") as log:
        send(backend, {"kind": "attempt", "id": "odd"}, (log.fileno(), log.fileno()))
    backend.settimeout(120)
    answer, _ = receive(backend)
    backend.close()
    thread.join()
    host.close()
    own.close()
    assert (answer["id"], answer["kind"]) == ("odd", "cold")
    assert "KeyError" in answer["why"]


@pytest.fixture
def painted(cold, tmp_path, monkeypatch):
    """Writes an installed package; and the key of a task whose notebook imports it."""
    folder = tmp_path / "libs"
    about = folder / "colours-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "RECORD").write_text("colours.py,,\n")
    monkeypatch.syspath_prepend(str(folder))

    def paint(colour):
        (folder / "colours.py").write_text(f"COLOUR = {colour!r}\n")

    paint("red")
    source = "import colours\n@task\ndef f() -> str:\n    return colours.COLOUR\n"
    cold.cells.run(HEAD + source)
    staged = cold.stage("f")
    sys.modules.pop("colours")
    environ = {**os.environ, "FLYTE_NB_WORKER_FOLDERS": str(folder)}
    return paint, Key(staged.index_uri, staged.task_name, tuple(environ.items()))


def test_a_zygote_ends_when_a_file_that_it_imported_has_changed(keep, painted):
    paint, key = painted
    now = [0.0]
    zygotes = keep(clock=lambda: now[0])
    first = used(zygotes, key)
    now[0] += 1
    assert used(zygotes, key) is first
    paint("vermilion")
    now[0] += 1
    assert used(zygotes, key) is not first
    assert first._pid == 0


def test_a_zygote_that_is_at_work_ends_after_that_when_a_file_has_changed(keep, painted):
    paint, key = painted
    now = [0.0]
    zygotes = keep(clock=lambda: now[0])
    busy = zygotes.take(key)
    paint("vermilion")
    now[0] += 1
    assert used(zygotes, key) is not busy
    assert psutil.pid_exists(busy._pid)
    zygotes.give_back(busy)
    assert busy._pid == 0


def test_files_are_looked_at_again_only_after_a_while(tmp_path):
    file = tmp_path / "module.py"
    file.write_text("A = 1")
    now = [0.0]
    loaded = LoadedFiles([str(file), str(tmp_path / "gone.py")], clock=lambda: now[0])
    file.write_text("A = 22")
    assert not loaded.have_changed()
    now[0] = 1.0
    assert loaded.have_changed()
    file.unlink()
    assert loaded.have_changed()
    assert loaded.paths == {str(file)}
