"""Values that were lost: told by name, never taken for no values; and what survives a power cut."""

import os
from pathlib import Path

import pytest
from flyteidl.core.literals_pb2 import Literal, LiteralMap

from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.propeller.cache import StoreCatalog, uris_in
from flyte_nb.propeller.engine import Engine
from flyte_nb.propeller.executors.process import ProcessExecutor
from flyte_nb.propeller.launch import Launch
from flyte_nb.propeller.records import AttemptRecord, NodeRecord
from flyte_nb.storage import durable, open_stores
from flyte_nb.storage.file import FileStore
from flyte_nb.testing.closures import closure, integers, node, workflow
from flyte_nb.testing.propeller_conformance import PATIENCE_S
from flyte_nb.testing.recorders import MemoryRecorder


class Cached:
    """Launches of one cached task, one after the other, on one catalog."""

    def __init__(self, path, scripts, body=None, **options):
        self.path, self.store = path, open_stores()
        self.recorder = MemoryRecorder()
        self.catalog = StoreCatalog(self.store, f"{path}/cache")
        self.executor = ProcessExecutor(path / "attempts", self.store, slots=2, grace_s=0.2)
        self.engine = Engine(
            self.recorder, self.executor, self.store, path.as_uri(), catalog=self.catalog
        )
        t = scripts.task("t", body or scripts.outputs, cache_version="1", **options)
        self.closure = closure(workflow("w", [node("n0", t)], {"o0": "n0"}), [t])
        self.launches = 0

    def launch(self):
        self.launches += 1
        id = ExecutionId("p", "d", f"e{self.launches}")
        self.engine.launch(Launch(id, self.closure, integers()))
        assert self.engine.wait(id, PATIENCE_S)
        history = self.recorder.history(id)
        attempts = len({x.attempt for x in history if isinstance(x, AttemptRecord)})
        statuses = [
            x.cache_status for x in history if isinstance(x, NodeRecord) and x.node_id == "n0"
        ]
        return history[-1].phase, attempts, [status for status in statuses if status][-1]

    def entry(self):
        [found] = (self.path / "cache").rglob("*.pb")
        return found


@pytest.fixture
def make(tmp_path, scripts):
    made = []

    def make(body=None, **options):
        made.append(Cached(tmp_path, scripts, body, **options))
        return made[-1]

    yield make
    for each in made:
        each.engine.close()


@pytest.mark.parametrize(
    "damage",
    [b"", integers(other=1).SerializeToString(), b"\xff\xff", None],
    ids=["empty", "of another interface", "no message", "gone"],
)
def test_a_catalog_entry_that_was_lost_is_a_miss_and_is_made_again(make, damage):
    cached = make()
    assert cached.launch() == ("SUCCEEDED", 1, "CACHE_POPULATED")
    assert cached.launch() == ("SUCCEEDED", 0, "CACHE_HIT")
    if damage is None:
        cached.entry().unlink()
    else:
        cached.entry().write_bytes(damage)
    phase, attempts, _ = cached.launch()
    assert (phase, attempts) == ("SUCCEEDED", 1)
    assert cached.launch() == ("SUCCEEDED", 0, "CACHE_HIT")


def test_remembered_outputs_whose_file_is_gone_are_a_miss(make, tmp_path):
    kept = tmp_path / "kept"
    outputs = LiteralMap()
    outputs.literals["o0"].scalar.blob.uri = str(kept)
    data = outputs.SerializeToString().hex()
    body = f"open({str(kept)!r}, 'w').write('rows')\nleave('outputs.pb', '{data}')\n"
    cached = make(body)
    assert cached.launch()[1] == 1
    assert cached.launch()[1] == 0
    kept.unlink()
    assert cached.launch() == ("SUCCEEDED", 1, "CACHE_POPULATED")
    assert kept.exists()


@pytest.mark.parametrize("left", [b"", integers(other=1).SerializeToString()])
def test_outputs_that_lack_what_the_task_promises_fail_the_attempt_and_are_named(make, left):
    cached = make(f"leave('outputs.pb', '{left.hex()}')\n")
    assert cached.launch()[0] == "FAILED"
    error = cached.recorder.history(ExecutionId("p", "d", "e1"))[-1].error
    assert "OutputsNotFound" in error.code
    assert "has no value for o0" in error.message
    assert "/n0/data/0/outputs.pb" in error.message
    assert not (cached.path / "cache").exists()


# Power cuts


class Disk:
    """Notes what is synced and renamed, in order."""

    def __init__(self, monkeypatch):
        self.events = []
        fsync, replace = os.fsync, os.replace

        def name(descriptor):
            return os.readlink(f"/proc/self/fd/{descriptor}")

        def noted_fsync(descriptor):
            self.events.append(("sync", name(descriptor)))
            fsync(descriptor)

        def noted_replace(source, target):
            self.events.append(("rename", str(target)))
            replace(source, target)

        monkeypatch.setattr(os, "fsync", noted_fsync)
        monkeypatch.setattr(os, "replace", noted_replace)


@pytest.fixture
def disk(monkeypatch):
    return Disk(monkeypatch)


def test_a_durable_write_syncs_the_bytes_then_the_name_then_the_folder(disk, tmp_path):
    FileStore().write_durably(f"file://{tmp_path}/a/b", b"1")
    (first, part), (second, target), (third, folder) = disk.events
    assert (first, second, third) == ("sync", "rename", "sync")
    assert part.startswith(f"{tmp_path}/a/.b.")
    assert target == f"{tmp_path}/a/b"
    assert folder == f"{tmp_path}/a"
    assert (tmp_path / "a" / "b").read_bytes() == b"1"


def test_what_a_catalog_entry_refers_to_is_on_the_disk_before_it(disk, tmp_path):
    (tmp_path / "raw" / "d" / "inner").mkdir(parents=True)
    (tmp_path / "raw" / "f").write_text("1")
    (tmp_path / "raw" / "d" / "inner" / "x").write_text("1")
    outputs = LiteralMap()
    outputs.literals["f"].scalar.blob.uri = f"{tmp_path}/raw/f"
    outputs.literals[
        "d"
    ].collection.literals.add().scalar.structured_dataset.uri = f"file://{tmp_path}/raw/d"
    StoreCatalog(open_stores(), str(tmp_path / "cache")).put("k", outputs.SerializeToString())
    names = [name for _, name in disk.events]
    [renamed] = [number for number, (what, _) in enumerate(disk.events) if what == "rename"]
    for path in ("raw/f", "raw/d/inner/x", "raw/d/inner", "raw/d", "raw"):
        assert names.index(str(tmp_path / path)) < renamed
    assert disk.events[renamed + 1][0] == "sync"
    assert Path(names[renamed]).parent == Path(names[renamed + 1])


def test_many_files_are_waited_for_at_once(disk, tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "sync", lambda: synced.append(1))
    (tmp_path / "d").mkdir()
    for number in range(durable._ONE_BY_ONE + 1):
        (tmp_path / "d" / str(number)).touch()
    durable.make_durable(f"{tmp_path}/d")
    assert synced == [1]
    assert not [name for _, name in disk.events if name.startswith(f"{tmp_path}/d/")]


@pytest.mark.parametrize("uri", ["s3://bucket/x", "/nowhere/at/all", "file:///nowhere/at/all"])
def test_what_is_elsewhere_or_gone_is_not_waited_for(disk, uri):
    durable.make_durable(uri)
    assert disk.events == []


def test_every_kind_of_literal_tells_its_uris():
    def blob(uri):
        made = Literal()
        made.scalar.blob.uri = uri
        return made

    union, schema, offloaded = Literal(), Literal(), Literal()
    union.scalar.union.value.CopyFrom(blob("u"))
    schema.scalar.schema.uri = "s"
    offloaded.offloaded_metadata.uri = "o"
    listed, mapped = Literal(), Literal()
    listed.collection.literals.extend([blob("a"), blob("b")])
    mapped.map.literals["x"].CopyFrom(listed)
    plain = Literal()
    plain.scalar.primitive.integer = 1
    assert sorted(uris_in([union, schema, offloaded, mapped, plain])) == ["a", "b", "o", "s", "u"]
