"""The host's answers while user code runs, against a scripted worker."""

import json
import sys

import pytest

from flyte_nb.api import index as index_of
from flyte_nb.api.errors import StorageError
from flyte_nb.api.index import Index, IndexEntry, TaskEntry
from flyte_nb.api.version import PROTOCOL
from flyte_nb.runtime.attempt import HostedAttempt
from flyte_nb.runtime.options import Options
from flyte_nb.storage.memory import MemoryStore
from flyte_nb.wire.literal_bytes import literal_map_from_bytes, literal_map_to_bytes

HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"


class ScriptedWorker:
    """Says what it was told to say, and keeps what it heard."""

    def __init__(self, *messages) -> None:
        self.heard = []
        self._messages = list(messages)

    def send(self, message) -> None:
        self.heard.append(message)

    def receive(self):
        return self._messages.pop(0)


@pytest.fixture
def store():
    found = MemoryStore()
    for name in ("ring", "task"):
        found.write(f"memory://s/{name}", name.encode())
    entries = tuple(
        IndexEntry(name, f"memory://s/{name}", 4, index_of.digest(name.encode()), name)
        for name in ("ring", "task")
    )
    data = index_of.dumps(Index("0", PROTOCOL, HERE, entries, {"t": TaskEntry("task")}))
    found.write(f"memory://s/{index_of.index_name(data)}", data)
    found.write("memory://in/inputs.pb", literal_map_to_bytes({}))
    return found


def _run(store, worker, tmp_path, sleep=lambda _: None):
    [index] = [uri for uri in store.list("memory://s") if "index-" in uri]
    options = Options("t", "memory://in/inputs.pb", "memory://out/", index, "memory://raw/")
    return HostedAttempt(options, store, worker, str(tmp_path), sleep).run()


OUTPUTS = {"kind": "outputs", "outputs": {"o0": ["integer", 3]}}


def test_outputs_are_written(store, tmp_path):
    assert _run(store, ScriptedWorker(OUTPUTS), tmp_path) is None
    assert literal_map_from_bytes(store.read("memory://out/outputs.pb"))["o0"].value == 3


def test_the_ring_goes_first_and_the_call_last(store, tmp_path):
    worker = ScriptedWorker(OUTPUTS)
    _run(store, worker, tmp_path)
    assert [message["kind"] for message in worker.heard] == ["ring", "load", "call"]
    assert worker.heard[1]["python"] == HERE


def test_a_deck_is_written_beside_the_outputs(store, tmp_path):
    _run(store, ScriptedWorker({**OUTPUTS, "deck": "<h1>é</h1>"}), tmp_path)
    assert store.read("memory://out/deck.html").decode() == "<h1>é</h1>"


def test_files_come_and_go(store, tmp_path):
    store.write("memory://data/rows.csv", b"1,2")
    (tmp_path / "made.bin").write_bytes(b"made")
    upload = {"kind": "upload", "path": str(tmp_path / "made.bin"), "name": ""}
    worker = ScriptedWorker(
        {"kind": "download", "uri": "memory://data/rows.csv"}, upload, upload, OUTPUTS
    )
    assert _run(store, worker, tmp_path) is None
    path = worker.heard[3]["path"]
    assert path.startswith(str(tmp_path))
    assert path.endswith("/rows.csv")
    with open(path, "rb") as file:
        assert file.read() == b"1,2"
    first, second = worker.heard[4]["uri"], worker.heard[5]["uri"]
    assert first != second
    assert first.startswith("memory://raw/")
    assert store.read(first) == store.read(second) == b"made"


def test_a_name_that_climbs_out_stays_below_the_prefix(store, tmp_path):
    (tmp_path / "x").write_bytes(b"1")
    worker = ScriptedWorker(
        {"kind": "upload", "path": str(tmp_path / "x"), "name": "../../../etc/.."}, OUTPUTS
    )
    _run(store, worker, tmp_path)
    uri = worker.heard[3]["uri"]
    assert uri.startswith("memory://raw/")
    assert ".." not in uri


def test_a_missing_object_is_told_to_the_worker(store, tmp_path):
    worker = ScriptedWorker({"kind": "download", "uri": "memory://data/none"}, OUTPUTS)
    assert _run(store, worker, tmp_path) is None
    assert "no such object" in worker.heard[3]["error"]
    assert worker.heard[3]["transient"] is False


@pytest.mark.parametrize(
    "message",
    [
        {"kind": "surprise"},
        {"kind": "outputs"},
        {"kind": "outputs", "outputs": [1]},
        {"kind": "outputs", "outputs": {"o0": 3}},
        {"kind": "outputs", "outputs": {"o0": ["union", 3]}},
        {"kind": "outputs", "outputs": {"o0": ["nosuchkind", 3]}},
        {"kind": "outputs", "outputs": {"o0": ["integer", "three"]}},
        {"kind": "failed"},
        {"kind": "failed", "error": 3},
        {"kind": "download"},
    ],
)
def test_a_message_that_makes_no_sense_is_no_answer(store, tmp_path, message):
    info = _run(store, ScriptedWorker(message), tmp_path)
    assert info is not None
    assert info.code in ("SYSTEM:WorkerProtocol", "SYSTEM:LiteralError")
    assert store.size("memory://out/outputs.pb") is None


class Failing(MemoryStore):
    def __init__(self, objects, *, left, transient) -> None:
        super().__init__()
        for uri in objects.list("memory://"):
            super().write(uri, objects.read(uri))
        self.left, self.transient = left, transient

    def write(self, uri, data) -> None:
        if self.left:
            self.left -= 1
            raise StorageError("busy", uri=uri, transient=self.transient)
        super().write(uri, data)


def _failing(store, **options):
    found = Failing(MemoryStore(), **{**options, "left": 0})
    for prefix in ("memory://s", "memory://in"):
        for uri in store.list(prefix):
            found.write(uri, store.read(uri))
    found.left = options["left"]
    return found


def test_outputs_are_tried_again_when_the_store_is_busy(store, tmp_path):
    pauses = []
    failing = _failing(store, left=2, transient=True)
    assert _run(failing, ScriptedWorker(OUTPUTS), tmp_path, pauses.append) is None
    assert pauses == [0.2, 0.4]


def test_outputs_that_cannot_be_written_are_a_storage_error(store, tmp_path):
    info = _run(_failing(store, left=99, transient=True), ScriptedWorker(OUTPUTS), tmp_path)
    assert (info.code, info.recoverable) == ("SYSTEM:StorageError", True)


@pytest.mark.parametrize(
    ("names", "listed"), [(["a", "inner/b"], ["a", "inner/b"]), (["00000"], None), ([], [])]
)
def test_a_folder_that_is_stored_has_a_list_of_its_files_beside_it(store, tmp_path, names, listed):
    (tmp_path / "d").mkdir()
    for name in names:
        (tmp_path / "d" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "d" / name).write_text("1")
    worker = ScriptedWorker({"kind": "upload", "path": str(tmp_path / "d"), "name": "d"}, OUTPUTS)
    assert _run(store, worker, tmp_path) is None
    uri = worker.heard[-1]["uri"]
    found = {item.removeprefix(uri) for item in store.list("memory://raw")}
    assert ".flyte_nb-files.json" in found or listed is None
    if listed is not None:
        there = store.read(f"{uri}.flyte_nb-files.json")
        assert json.loads(there) == {"files": listed}
    assert {f"/{name}" for name in names} == {name for name in found if name.startswith("/")}
