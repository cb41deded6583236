"""Large literals in files of their own: written where the backend asks for it, read wherever they are."""

import pytest
from flyteidl.core.literals_pb2 import BindingData, Literal, LiteralMap
from flyteidl.core.types_pb2 import INTEGER, STRING

from flyte_nb.api import literals as v
from flyte_nb.api.errors import StorageError, TaskFailed, UsageError
from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.propeller.engine import Engine, Launch
from flyte_nb.propeller.executors.attempt_environment import AttemptEnvironment
from flyte_nb.propeller.literal_store import Values
from flyte_nb.propeller.resolve import literal_of
from flyte_nb.propeller.services import Services
from flyte_nb.runtime.offloading import (
    Offloading,
    offloaded,
    offloading_of_attempt,
    offloading_of_backend,
    write_offloaded,
)
from flyte_nb.storage.memory import MemoryStore
from flyte_nb.testing.closures import closure, map_node, task, workflow
from flyte_nb.testing.recorders import MemoryRecorder
from flyte_nb.testing.scripted_executor import Outside, ScriptedExecutor
from flyte_nb.testing.waiting import PATIENCE_S
from flyte_nb.wire.literal_bytes import literal_map_from_bytes

MB = 1 << 20
FOLDER = "memory://b/n0/data/0"


def text(size) -> Literal:
    literal = Literal()
    literal.scalar.primitive.string_value = "x" * size
    return literal


def values(**sizes) -> LiteralMap:
    made = LiteralMap()
    for name, size in sizes.items():
        made.literals[name].CopyFrom(text(size))
    return made


def test_only_large_literals_are_offloaded_with_size_type_and_hash():
    store = MemoryStore()
    given = values(small=10, large=2 * MB)
    found = offloaded(given, FOLDER, store, Offloading(1)).literals
    assert found["small"] == given.literals["small"]
    reference = found["large"].offloaded_metadata
    assert reference.uri == f"{FOLDER}/large_offloaded_metadata.pb"
    assert reference.size_bytes == given.literals["large"].ByteSize()
    assert reference.inferred_type.simple == STRING
    assert Literal.FromString(store.read(reference.uri)) == given.literals["large"]
    again = offloaded(given, f"{FOLDER}/elsewhere", store, Offloading(1)).literals
    assert found["large"].hash == again["large"].hash != ""
    given.literals["large"].hash = "mine"
    assert offloaded(given, FOLDER, store, Offloading(1)).literals["large"].hash == "mine"


def test_small_maps_and_backends_that_ask_for_nothing_change_nothing():
    given = values(large=2 * MB)
    assert offloaded(given, FOLDER, MemoryStore(), None) is given
    assert offloaded(given, FOLDER, MemoryStore(), Offloading(3)) is given


def test_what_is_too_large_even_for_that_is_refused_in_propellers_words():
    with pytest.raises(
        TaskFailed, match=r"literal size \[2\] MB is larger than the max size \[2\] MB"
    ):
        offloaded(values(large=2 * MB), FOLDER, MemoryStore(), Offloading(1, 2))


def test_tasks_learn_the_limits_by_the_variables_that_flytekit_reads():
    limits = offloading_of_backend({"FLYTE_NB_OFFLOAD_MIN_MB": "10"})
    assert limits == Offloading(10, 1000)
    assert limits.variables() == {"_F_L_MIN_SIZE_MB": "10", "_F_L_MAX_SIZE_MB": "1000"}
    assert offloading_of_attempt(limits.variables()) == limits
    assert offloading_of_backend({}) is None
    assert "_F_L_MIN_SIZE_MB" in AttemptEnvironment({"FLYTE_NB_OFFLOAD_MIN_MB": "10"})._offloading
    with pytest.raises(UsageError, match="FLYTE_NB_OFFLOAD_MIN_MB is 'much'"):
        offloading_of_backend({"FLYTE_NB_OFFLOAD_MIN_MB": "much"})


def test_an_attempt_writes_references_that_the_next_one_reads():
    store = MemoryStore()
    outputs = {"a": v.Literal(v.STRING, "y" * 2 * MB), "b": v.Literal(v.INTEGER, 1)}
    write_offloaded(store, FOLDER, outputs, Offloading(1).variables())
    data = store.read(f"{FOLDER}/outputs.pb")
    assert len(data) < 1000
    read = literal_map_from_bytes(data, store.read)
    assert {name: (each.kind, each.value) for name, each in read.items()} == {
        name: (each.kind, each.value) for name, each in outputs.items()
    }


@pytest.fixture
def lists():
    """Values with a list that is stored elsewhere, and the reference to it."""
    store = MemoryStore()
    listed = Literal()
    for number in (5, 6):
        listed.collection.literals.add().scalar.primitive.integer = number
    store.write("memory://b/list.pb", listed.SerializeToString())
    reference = Literal()
    reference.offloaded_metadata.uri = "memory://b/list.pb"
    reference.offloaded_metadata.inferred_type.collection_type.simple = INTEGER
    return Values(store), reference


def test_a_part_of_an_offloaded_list_is_resolved_and_the_whole_stays_a_reference(lists):
    kept, reference = lists
    data = BindingData()
    data.promise.node_id, data.promise.var = "n0", "o0"
    assert literal_of(data, lambda node, var: reference, kept.whole) == reference
    data.promise.attr_path.add(int_value=1)
    part = literal_of(data, lambda node, var: reference, kept.whole)
    assert part.scalar.primitive.integer == 6


def test_a_reference_to_nothing_is_an_error_of_the_store(lists):
    kept, reference = lists
    reference.offloaded_metadata.uri = "memory://b/gone.pb"
    with pytest.raises(StorageError):
        kept.whole(reference)


def test_a_map_reads_an_offloaded_list_and_offloads_the_list_of_its_outputs(lists):
    kept, reference = lists
    one = task("one", ["x"])
    flow = workflow("w", [map_node("n0", one, {"x": ".xs"})], {"o0": "n0"}, inputs=["xs"])
    recorder, id = MemoryRecorder(), ExecutionId("p", "d", "e")
    outside = Outside(lambda attempt: values(o0=MB))
    services = Services(offloading=Offloading(1))
    executor = ScriptedExecutor(outside, at_once=True)
    engine = Engine(recorder, executor, kept.store, "memory://root", services=services)
    inputs = LiteralMap()
    inputs.literals["xs"].CopyFrom(reference)
    engine.launch(Launch(id, closure(flow, [one]), inputs))
    assert engine.wait(id, PATIENCE_S)
    engine.close()
    last = recorder.history(id)[-1]
    assert last.phase == "SUCCEEDED", last.error
    assert len(outside.started) == 2
    found = LiteralMap.FromString(kept.store.read(last.output_uri)).literals["o0"]
    assert found.offloaded_metadata.inferred_type.collection_type.simple == STRING
    assert len(kept.whole(found).collection.literals) == 2
