"""Values and texts of the engine: bindings, conditions, ids, durations, templates, cache keys, records."""

import json
import re
from pathlib import Path

import msgpack
import pytest
from flyteidl.core.compiler_pb2 import CompiledWorkflowClosure
from flyteidl.core.condition_pb2 import (
    BooleanExpression,
    ComparisonExpression,
    ConjunctionExpression,
)
from flyteidl.core.literals_pb2 import BindingData, Literal, LiteralMap
from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct
from hypothesis import given
from hypothesis import strategies as st

from flyte_nb.api.errors import ErrorInfo, StorageError
from flyte_nb.api.identifiers import ExecutionId, Identifier
from flyte_nb.api.nodes import fixed_length_id, unique_node_id
from flyte_nb.propeller import records as r
from flyte_nb.propeller.cache import MemoryCatalog, StoreCatalog
from flyte_nb.propeller.cache import key as cache_key
from flyte_nb.propeller.conditions import choose, holds
from flyte_nb.propeller.durations import go_duration, rfc3339
from flyte_nb.propeller.literal_store import Values
from flyte_nb.propeller.machine import Machine
from flyte_nb.propeller.names import raw_folder
from flyte_nb.propeller.plan import BranchPlan, plan_of
from flyte_nb.propeller.resolve import Unresolved, at_path, inputs_of, literal_of
from flyte_nb.storage.memory import MemoryStore
from flyte_nb.testing.closures import closure, integers, literal, node, task, workflow
from flyte_nb.testing.propeller_conformance import CatalogConformance, some_records


class TestMemoryCatalogConforms(CatalogConformance):
    def make(self):
        return MemoryCatalog()


class TestStoreCatalogConforms(CatalogConformance):
    def make(self):
        return StoreCatalog(MemoryStore(), "memory://cache/")


# Records


def test_records_are_json_and_come_back_equal():
    for record in some_records():
        assert r.from_plain(json.loads(json.dumps(r.to_plain(record)))) == record


def test_a_record_of_an_older_release_gets_defaults():
    record = r.from_plain(["node", 1, "n0", "n0", "QUEUED"])
    assert record == r.NodeRecord(1, "n0", "n0", "QUEUED")


def test_what_is_no_record_is_refused():
    with pytest.raises(ValueError, match="no record of kind 'nonsense'"):
        r.from_plain(["nonsense", 1])


_texts = st.text(max_size=5)
_errors = st.none() | st.builds(ErrorInfo, _texts, _texts, _texts, st.booleans())


@given(
    st.builds(
        r.AttemptRecord,
        at_us=st.integers(0, 2**50),
        node_id=_texts,
        attempt=st.integers(0, 9),
        phase=_texts,
        task_id=st.builds(Identifier, _texts, _texts, _texts, _texts, _texts),
        error=_errors,
        logs=st.lists(st.tuples(_texts, _texts), max_size=2).map(tuple),
        cpu_s=st.none() | st.floats(0, 1e6),
        pid=st.none() | st.integers(1, 9),
    )
    | st.builds(
        r.NodeRecord,
        at_us=st.integers(0, 2**50),
        node_id=_texts,
        spec_node_id=_texts,
        phase=_texts,
        error=_errors,
        child_execution=st.none() | st.builds(ExecutionId, _texts, _texts, _texts),
    )
    | st.builds(r.WorkflowRecord, at_us=st.integers(0), phase=_texts, error=_errors)
)
def test_every_record_comes_back_from_json(record):
    assert r.from_plain(json.loads(json.dumps(r.to_plain(record)))) == record


# Names, durations


def test_ids_are_hashed_as_propeller_hashes_them():
    assert fixed_length_id("x-y-z", 4) == "fxzsoqrq"
    assert fixed_length_id("x-y-z", 5) == "x-y-z"


def test_nodes_below_a_parent_carry_its_id_and_attempt():
    assert unique_node_id("", 0, "n0") == "n0"
    assert unique_node_id("n0", 0, "dn0") == "n0-0-dn0"
    deep = unique_node_id("n0-0-n1-0-n2", 0, "end-node")
    assert len(deep) == 8
    assert deep.startswith("f")


def test_raw_data_is_spread_over_prefixes():
    place = raw_folder("s3://b/", ExecutionId("p", "development", "abc"), "n0", 0)
    assert re.fullmatch("s3://b/[0-9a-z]{2}/p/development/abc/n0/0", place)


@pytest.mark.parametrize(
    ("microseconds", "text"),
    [
        (0, "0s"),
        (5, "5µs"),
        (1500, "1.5ms"),
        (2_000_000, "2s"),
        (61_500_000, "1m1.5s"),
        (3_600_000_000, "1h0m0s"),
        (-2_000_000, "-2s"),
    ],
)
def test_durations_are_written_as_go_writes_them(microseconds, text):
    assert go_duration(microseconds) == text


def test_times_are_written_as_rfc_3339():
    assert rfc3339(0) == "1970-01-01T00:00:00Z"
    assert rfc3339(1_500_000) == "1970-01-01T00:00:01.5Z"


# Bindings


def outputs_of(**nodes):
    def outputs(node_id, var):
        return nodes[node_id][var]

    return outputs


def packed(value) -> Literal:
    made = Literal()
    made.scalar.binary.value = msgpack.packb(value)
    made.scalar.binary.tag = "msgpack"
    return made


def test_bindings_are_resolved_in_lists_maps_and_scalars():
    data = BindingData()
    data.map.bindings["a"].scalar.primitive.integer = 1
    items = data.map.bindings["b"].collection.bindings
    items.add().promise.node_id = "n0"
    items[0].promise.var = "o0"
    items.add().scalar.none_type.SetInParent()
    data.map.bindings["c"].map.SetInParent()
    found = literal_of(data, outputs_of(n0={"o0": literal(5)}))
    assert found.map.literals["a"] == literal(1)
    assert found.map.literals["b"].collection.literals[0] == literal(5)
    assert found.map.literals["b"].collection.literals[1].scalar.HasField("none_type")
    assert found.map.literals["c"].HasField("map")


def test_an_empty_binding_is_refused():
    with pytest.raises(Unresolved, match="empty"):
        literal_of(BindingData(), outputs_of())


def test_an_input_that_nobody_bound_and_that_may_be_none_is_none():
    t = task("t", ["x"])
    optional = t.interface.inputs.variables["maybe"].type.union_type
    optional.variants.add().simple = 1
    none = optional.variants.add()
    none.simple = 0
    none.structure.tag = "none"
    plan = plan_of(closure(workflow("w", [node("n0", t, {"x": 1})]), [t]))
    inputs = inputs_of(plan.workflows[""].nodes["n0"], outputs_of())
    union = inputs.literals["maybe"].scalar.union
    assert union.value.scalar.HasField("none_type")
    assert union.type.structure.tag == "none"


def test_places_in_lists_maps_and_structs_can_be_promised():
    listed = Literal()
    listed.collection.literals.extend([literal(1), literal(2)])
    assert at_path(listed, [1]) == literal(2)
    mapped = Literal()
    mapped.map.literals["a"].CopyFrom(listed)
    assert at_path(mapped, ["a", 0]) == literal(1)
    assert at_path(packed({"a": [{"b": 3}]}), ["a", 0, "b"]) == packed(3)
    struct = Struct()
    struct.update({"a": [1.5, {"b": "x"}, None, True], "c": {}})
    generic = Literal()
    generic.scalar.generic.CopyFrom(struct)
    assert at_path(generic, ["a", 0]).scalar.primitive.float_value == 1.5
    assert at_path(generic, ["a", 1, "b"]).scalar.primitive.string_value == "x"
    assert at_path(generic, ["a", 2]).scalar.HasField("none_type")
    assert at_path(generic, ["a", 3]).scalar.primitive.boolean is True
    assert len(at_path(generic, ["a"]).collection.literals) == 4
    assert at_path(generic, ["c"]).scalar.HasField("generic")


def test_a_place_in_an_optional_value_is_looked_for_in_the_value():
    union = Literal()
    union.scalar.union.value.CopyFrom(packed({"a": 1}))
    assert at_path(union, ["a"]) == packed(1)


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (literal(1), ["a"]),
        (packed({"a": 1}), ["b"]),
        (packed([1]), [1]),
        (packed(1), [0]),
        (packed([1]), ["a"]),
    ],
)
def test_a_place_that_does_not_exist_says_what_is_there(value, path):
    with pytest.raises(Unresolved, match="Failed to resolve") as caught:
        at_path(value, path)
    assert caught.value.info.code == "BindingResolutionFailure"


def test_a_literal_list_and_struct_without_the_place_say_what_is_there():
    listed = Literal()
    listed.collection.literals.append(literal(1))
    with pytest.raises(Unresolved, match="the list has 1 items"):
        at_path(listed, [1])
    mapped = Literal()
    mapped.map.literals["a"].CopyFrom(literal(1))
    with pytest.raises(Unresolved, match="the map has"):
        at_path(mapped, ["b"])
    generic = Literal()
    generic.scalar.generic.update({"a": [1]})
    for path in (["b"], ["a", 1], ["a", "b"]):
        with pytest.raises(Unresolved):
            at_path(generic, path)


def test_values_that_were_not_kept_are_read_again():
    store = MemoryStore()
    values = Values(store)
    large = LiteralMap()
    large.literals["o0"].scalar.primitive.string_value = "x" * 100_000
    values.put("memory://b/large", large)
    assert values.get("memory://b/large") == large
    store.write("memory://b/bad", b"\xff\xff")
    with pytest.raises(StorageError, match="not a LiteralMap"):
        values.get("memory://b/bad")
    with pytest.raises(StorageError):
        Values(None).get("memory://b/none")


# Branches

VECTORS = Path(__file__).resolve().parents[3] / "shared" / "vectors"


def vector(name: str) -> CompiledWorkflowClosure:
    path = VECTORS / name
    if not path.exists():
        pytest.skip(f"the compiler vectors are not at {VECTORS}")
    return json_format.Parse(path.read_text(), CompiledWorkflowClosure())


def nested_branch() -> BranchPlan:
    made = vector(
        "snacks-core/compiled/039_core.control_flow.conditions.nested_conditions_2_wf.json"
    )
    return plan_of(made).workflows[""].nodes["n0"].branch


def floats(**values) -> LiteralMap:
    made = LiteralMap()
    for name, value in values.items():
        made.literals["." + name].scalar.primitive.float_value = value
    return made


@pytest.mark.parametrize(("value", "arm"), [(0.3, 0), (0.6, 0), (5.0, 1), (20.0, 2)])
def test_the_first_arm_whose_condition_holds_is_taken(value, arm):
    assert choose(nested_branch(), floats(my_input=value)) == arm


def test_without_an_arm_the_authors_error_is_told():
    inner = nested_branch().arms[0][1].branch
    assert choose(inner, floats(my_input=0.3)) == 0
    assert choose(inner, floats(my_input=0.6)) == 1
    error = choose(inner, floats(my_input=0.9))
    assert (error.code, error.message) == (
        "UserProvidedError",
        "[UserProvidedError] Only <0.7 allowed",
    )
    bare = inner._replace(error="")
    assert (
        choose(bare, floats(my_input=0.9)).message
        == "[MalformedBranchUserError] No branch satisfied"
    )


def test_a_condition_over_wrong_values_is_malformed():
    branch = nested_branch()
    assert "Failed to find Value for Variable [.my_input]" in choose(branch, LiteralMap()).message
    text = LiteralMap()
    text.literals[".my_input"].scalar.primitive.string_value = "x"
    assert choose(branch, text).message == (
        "[MalformedBranchUserError] Comparison between different primitives types."
        " lVal[*core.Primitive_StringValue]:rVal[*core.Primitive_FloatValue]"
    )
    none = LiteralMap()
    none.literals[".my_input"].scalar.none_type.SetInParent()
    assert choose(branch, none).message == (
        "[MalformedBranchUserError] Only primitives can be compared. LHS Variable is non primitive."
    )
    # An optional value is wrapped in a union, which propeller does not open.
    optional = LiteralMap()
    optional.literals[".my_input"].scalar.union.value.scalar.primitive.float_value = 0.2
    assert choose(branch, optional).message == choose(branch, none).message
    flag = LiteralMap()
    flag.literals[".my_input"].scalar.primitive.boolean = True
    comparison = branch.arms[0][0].conjunction.left_expression.comparison
    comparison.right_value.primitive.boolean = True
    assert choose(branch, flag).message.endswith("[GT] not defined for boolean operands.")
    listed = LiteralMap()
    listed.literals[".my_input"].collection.SetInParent()
    assert "Only primitives" in choose(branch, listed).message


def test_both_sides_of_a_conjunction_are_evaluated():
    condition = BooleanExpression()
    condition.conjunction.operator = ConjunctionExpression.OR
    left = condition.conjunction.left_expression.comparison
    left.operator = ComparisonExpression.EQ
    left.left_value.var = "x"
    left.right_value.primitive.integer = 1
    right = condition.conjunction.right_expression.comparison
    right.operator = ComparisonExpression.EQ
    right.left_value.var = "y"
    right.right_value.scalar.none_type.SetInParent()
    inputs = integers(x=1, y=1)
    with pytest.raises(Unresolved, match=r"Failed to find Value for Variable \[\]"):
        holds(condition, inputs)
    right.right_value.var = "x"
    assert holds(condition, inputs)
    right.right_value.var = "z"
    with pytest.raises(Unresolved, match=r"Failed to find Value for Variable \[z\]"):
        holds(condition, inputs)
    with pytest.raises(Unresolved, match="No Comparison or Conjunction found"):
        holds(BooleanExpression(), inputs)


@pytest.mark.parametrize(
    ("operator", "true_for"),
    [
        ("EQ", (0,)),
        ("NEQ", (-1, 1)),
        ("GT", (1,)),
        ("GTE", (0, 1)),
        ("LT", (-1,)),
        ("LTE", (-1, 0)),
    ],
)
def test_all_comparisons_hold_as_in_propeller(operator, true_for):
    condition = BooleanExpression()
    condition.comparison.operator = ComparisonExpression.Operator.Value(operator)
    condition.comparison.left_value.var = "x"
    condition.comparison.right_value.primitive.integer = 0
    assert tuple(x for x in (-1, 0, 1) if holds(condition, integers(x=x))) == true_for


def test_every_vector_with_branches_can_be_planned():
    for path in sorted((VECTORS / "branch" / "compiled").glob("*.json")):
        made = json_format.Parse(path.read_text(), CompiledWorkflowClosure())
        assert Machine(plan_of(made)).begin(1)


# Cache keys


def test_cache_keys_are_those_of_the_catalog():
    t = task("fit", ["x"], cache_version="1.0")
    first = cache_key(t, "1.0", integers(x=1))
    project, domain, dataset, version, tag = first.split("/")
    assert (project, domain, dataset) == ("flytesnacks", "development", "flyte_task-fit")
    assert version.startswith("1.0-")
    assert [len(part) for part in version.split("-", 1)[1].rsplit("-", 1)] == [8, 8]
    assert tag.startswith("flyte_cached-")
    assert len(tag) == len("flyte_cached-") + 43
    assert first == cache_key(t, "1.0", integers(x=1))
    assert first != cache_key(t, "1.0", integers(x=2))
    assert first != cache_key(t, "2.0", integers(x=1))


def test_inputs_count_by_their_hash_and_ignored_ones_do_not_count():
    t = task("fit", ["x", "y"], cache_version="1")
    a, b = integers(x=1), integers(x=2)
    a.literals["x"].hash = b.literals["x"].hash = "same"
    assert cache_key(t, "1", a) == cache_key(t, "1", b)
    nested_a, nested_b = LiteralMap(), LiteralMap()
    for made, source in ((nested_a, a), (nested_b, b)):
        made.literals["x"].collection.literals.append(source.literals["x"])
        made.literals["y"].map.literals["k"].CopyFrom(source.literals["x"])
    assert cache_key(t, "1", nested_a) == cache_key(t, "1", nested_b)
    t.metadata.cache_ignore_input_vars.append("y")
    assert cache_key(t, "1", integers(x=1, y=1)) == cache_key(t, "1", integers(x=1, y=2))
