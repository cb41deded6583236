"""Which type fits which: the table of flytepropeller/pkg/compiler/validators/typing_test.go at v1.16.8."""

import pytest
import workflow_making as w
from flyteidl.core import types_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from flyte_nb.compiler import check_inputs
from flyte_nb.compiler.casting import TypeTable
from flyte_nb.compiler.json_schemas import fits

COLUMN = types_pb2.SchemaType.SchemaColumn


def metadata(type, **fields):
    copy = types_pb2.LiteralType()
    copy.CopyFrom(type)
    copy.metadata.update(fields)
    return copy


S, N, F = w.STR, w.INT, w.FLOAT
S1, S2, S3, I1 = (
    w.tagged(S, "str1"),
    w.tagged(S, "str2"),
    w.tagged(S, "str3"),
    w.tagged(N, "int1"),
)

CASES = [
    ("int is int", N, N, True),
    ("int is no float", N, F, False),
    ("float is no int", F, N, False),
    ("None is no int", w.NONE, N, False),
    ("None is None", w.NONE, w.NONE, True),
    ("int is no None", N, w.NONE, False),
    ("metadata does not count", metadata(N, a=None), N, True),
    ("an enum is a str", w.enum("x", "y"), S, True),
    ("a str is an enum", S, w.enum("x", "y"), True),
    ("an enum is itself", w.enum("x", "y"), w.enum("x", "y"), True),
    ("an enum is no other", w.enum("x", "y"), w.enum("m", "n"), False),
    ("an enum is no int", w.enum("x"), N, False),
    ("str fits int | str", S, w.union(w.tagged(N, "int"), w.tagged(S, "str")), True),
    ("str is ambiguous in str1 | str2", S, w.union(S1, S2), False),
    ("a tagged str fits its variant", S1, w.union(S1, S2), True),
    ("a union fits a larger one", w.union(S1, S2), w.union(S1, I1, S2), True),
    ("other tags do not fit", w.union(S1, S2), w.union(w.tagged(N, "str2"), S3), False),
    ("same tag, other type", w.union(w.tagged(S, "t")), w.union(w.tagged(N, "t")), False),
    ("a union of one is that one", w.union(w.tagged(S, "string")), w.tagged(S, "string"), True),
    ("a union of two is no plain type", w.union(S1, S2), S, False),
    ("a tag upstream must be there downstream", S1, S2, False),
    ("a tag downstream may be new", S, S1, True),
    ("a list of int is one", w.listed(N), w.listed(N), True),
    ("an empty list fits any list", w.listed(w.NONE), w.listed(N), True),
    ("list[int] is no list[float]", w.listed(N), w.listed(F), False),
    ("list[int] is no int", w.listed(N), N, False),
    ("int is no list[int]", N, w.listed(N), False),
    ("list[int] is no list[list[int]]", w.listed(N), w.listed(w.listed(N)), False),
    ("dict[str, int] is one", w.mapped(N), w.mapped(N), True),
    ("an empty dict fits any dict", w.mapped(w.NONE), w.mapped(N), True),
    ("dict of int is no dict of float", w.mapped(N), w.mapped(F), False),
    ("a dict is no list", w.mapped(N), w.listed(N), False),
    ("a dict of dicts is no dict", w.mapped(w.mapped(N)), w.mapped(N), False),
    ("a list of a narrower union", w.listed(w.union(S1)), w.listed(w.union(S1, I1)), True),
    ("a blob is a blob", w.blob(), w.blob(), True),
    ("csv is any blob", w.blob("csv"), w.blob(), True),
    ("any blob is csv", w.blob(), w.blob("csv"), True),
    ("csv is no pdf", w.blob("csv"), w.blob("pdf"), False),
    ("a folder is a file", w.blob("csv", 1), w.blob("csv", 0), True),
    ("None is no blob", w.NONE, w.blob(), False),
    ("int is no blob", N, w.blob(), False),
    ("any dataset is any dataset", w.dataset(), w.dataset(), True),
    ("any dataset has columns", w.dataset(), w.dataset(("a", N)), True),
    ("more columns are fine", w.dataset(("a", N), ("b", w.listed(N))), w.dataset(("a", N)), True),
    ("less columns are not", w.dataset(("a", N)), w.dataset(("a", N), ("b", N)), False),
    ("other columns are not", w.dataset(("a", N)), w.dataset(("a", F)), False),
    ("formats, in any case", w.dataset(format="Parquet"), w.dataset(format="parquet"), True),
    ("no format fits any", w.dataset(format="parquet"), w.dataset(), True),
    ("csv is no parquet", w.dataset(format="csv"), w.dataset(format="parquet"), False),
    ("None is a dataset", w.NONE, w.dataset(), True),
    ("None is no schema", w.NONE, w.schema(), False),
    ("int is no dataset", N, w.dataset(), False),
    ("a schema is a dataset", w.schema(("a", COLUMN.INTEGER)), w.dataset(("a", N)), True),
    ("with equal columns", w.schema(("a", COLUMN.INTEGER)), w.dataset(("a", F)), False),
    ("a schema is parquet", w.schema(), w.dataset(format="csv"), False),
    ("a dataset is a schema", w.dataset(("a", N), ("b", F)), w.schema(("a", COLUMN.INTEGER)), True),
    ("but not as csv", w.dataset(format="csv"), w.schema(), False),
    (
        "with a list it is none",
        w.dataset(("a", w.listed(N))),
        w.schema(("a", COLUMN.INTEGER)),
        False,
    ),
    ("schema to schema", w.schema(("a", COLUMN.INTEGER)), w.schema(), True),
    (
        "schema lacks a column",
        w.schema(("a", COLUMN.INTEGER)),
        w.schema(("b", COLUMN.FLOAT)),
        False,
    ),
    ("schema, other type", w.schema(("a", COLUMN.INTEGER)), w.schema(("a", COLUMN.FLOAT)), False),
    ("any dict is a dataclass", w.STRUCT, w.dataclass(a=N), True),
    ("a dataclass is any dict", w.dataclass(a=N), w.STRUCT, True),
    ("a larger dataclass is a smaller", w.dataclass(a=N, b=N), w.dataclass(a=N), True),
    ("a smaller one is no larger", w.dataclass(a=N), w.dataclass(a=N, b=N), False),
    ("what is not set fits itself", types_pb2.LiteralType(), types_pb2.LiteralType(), True),
    ("what is not set is no int", types_pb2.LiteralType(), N, False),
    (
        "an unknown number is itself",
        types_pb2.LiteralType(simple=77),
        types_pb2.LiteralType(simple=77),
        True,
    ),
]


@pytest.mark.parametrize(
    ("upstream", "downstream", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_a_type_fits_another_as_in_flytes_table(upstream, downstream, expected):
    table = TypeTable()
    assert table.castable(table.of(upstream), table.of(downstream)) is expected


OBJECT = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
CLOSED = {**OBJECT, "additionalProperties": False}
"""A dataclass's schema as Flyte's SDKs write it."""
SCHEMAS = [
    ("equal", OBJECT, OBJECT, True),
    ("unknown draft", {**OBJECT, "$schema": "https://x/2020-12"}, OBJECT, False),
    ("known draft", {**OBJECT, "$schema": "http://json-schema.org/draft-07/schema#"}, OBJECT, True),
    ("not required upstream", {**OBJECT, "required": []}, OBJECT, False),
    ("not required downstream", OBJECT, {**OBJECT, "required": []}, True),
    ("additional properties do not count", {**OBJECT, "additionalProperties": False}, OBJECT, True),
    ("other type", {**OBJECT, "type": "array"}, OBJECT, False),
    ("no type is an object", OBJECT, {"properties": OBJECT["properties"]}, True),
    ("format", {"type": "string", "format": "date"}, {"type": "string"}, False),
    ("enum smaller", {"type": "string", "enum": ["a"]}, {"type": "string", "enum": ["a", "b"]}, True),
    ("enum larger", {"type": "string", "enum": ["a", "b"]}, {"type": "string", "enum": ["a"]}, False),
    ("pattern", {"type": "string", "pattern": "a"}, {"type": "string", "pattern": "b"}, False),
    ("max length", {"type": "string", "maxLength": 3}, {"type": "string", "maxLength": 2}, False),
    ("min length", {"type": "string", "minLength": 3}, {"type": "string", "minLength": 2}, True),
    ("max missing", {"type": "string"}, {"type": "string", "maxLength": 2}, False),
    ("number", {"type": "number", "maximum": 1, "minimum": 0}, {"type": "number", "maximum": 2}, True),
    ("minimum", {"type": "number"}, {"type": "number", "minimum": 2}, False),
    ("multiple", {"type": "number", "multipleOf": 4}, {"type": "number", "multipleOf": 2}, True),
    ("no multiple", {"type": "number", "multipleOf": 3}, {"type": "number", "multipleOf": 2}, False),
    ("multiple missing", {"type": "number"}, {"type": "number", "multipleOf": 2}, False),
    ("items", {"type": "array", "items": {"type": "integer"}}, {"type": "array", "items": {"type": "string"}}, False),  # noqa: E501  # noqa: E501
    ("items missing", {"type": "array"}, {"type": "array", "items": {"type": "string"}}, False),
    ("any items", {"type": "array", "items": {"type": "integer"}}, {"type": "array"}, True),
    ("tuples", {"type": "array", "items": [OBJECT, OBJECT]}, {"type": "array", "items": [OBJECT]}, False),
    ("equal tuples", {"type": "array", "items": [OBJECT], "a": 1}, {"type": "array", "items": [OBJECT]}, True),  # noqa: E501  # noqa: E501
    ("tuple and list", {"type": "array", "items": [OBJECT]}, {"type": "array", "items": OBJECT}, False),
    ("unique", {"type": "array"}, {"type": "array", "uniqueItems": True}, False),
    ("min items", {"type": "array", "minItems": 1}, {"type": "array", "minItems": 2}, False),
    ("max items", {"type": "array", "maxItems": 1}, {"type": "array", "maxItems": 2}, True),
    ("min properties", OBJECT, {**OBJECT, "minProperties": 2}, False),
    ("any of", {"anyOf": [OBJECT]}, {"anyOf": [OBJECT, {"type": "null"}]}, True),
    ("any of, other", {"anyOf": [{"type": "string"}]}, {"anyOf": [{"type": "null"}]}, False),
    ("any of missing", {}, {"anyOf": [{"type": "null"}]}, False),
    ("const", {"const": 1}, {"const": 2}, False),
    ("equal const", {"const": 1, "a": 1}, {"const": 1}, True),
    ("if", {"if": OBJECT, "then": OBJECT}, {"title": "a"}, False),
    ("if alone says nothing", {"if": OBJECT}, {"title": "a"}, True),
    ("equal if", {"if": OBJECT, "else": OBJECT, "x": 1}, {"if": OBJECT, "else": OBJECT}, True),
    ("other then", {"if": OBJECT, "then": OBJECT}, {"if": OBJECT, "then": {"type": "string"}}, False),
    ("then without if says nothing", {"then": OBJECT}, {"then": {"type": "string"}}, True),
    ("more is said in any of", {"anyOf": [CLOSED], "title": "a"}, {"anyOf": [CLOSED]}, False),
    ("in a field of one of them", {"anyOf": [{"type": "object", "properties": {"a": CLOSED}}], "title": "a"}, {"anyOf": [{"type": "object", "properties": {"a": CLOSED}}]}, False),  # noqa: E501
    ("and in if", {"if": CLOSED, "then": OBJECT, "title": "a"}, {"if": CLOSED, "then": OBJECT}, False),
    ("more is said that is nothing", {"anyOf": [{**OBJECT, "additionalProperties": True}], "title": "a"}, {"anyOf": [OBJECT]}, True),  # noqa: E501
    ("a limit that is not compared", {"anyOf": [{"type": "number", "exclusiveMinimum": 1}], "title": "a"}, {"anyOf": [{"type": "number", "exclusiveMinimum": 1}]}, False),  # noqa: E501
    ("a tuple in any of", {"anyOf": [{"type": "array", "items": [OBJECT]}], "title": "a"}, {"anyOf": [{"type": "array", "items": [OBJECT]}]}, False),  # noqa: E501
    ("true is no object in any of", {"anyOf": [True]}, {"anyOf": [{}]}, False),
    ("true is true in any of", {"anyOf": [True], "title": "a"}, {"anyOf": [True]}, True),
    ("references", {"$ref": "#/$defs/a", "$defs": {"a": OBJECT}}, OBJECT, True),
    ("reference to nowhere", {"$ref": "#/$defs/b", "$defs": {"a": OBJECT}}, OBJECT, False),
    ("foreign reference", {"$ref": "http://x"}, OBJECT, False),
    ("reference in a ring", {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}, OBJECT, False),
    ("boolean schemas", {"type": "object", "properties": {"a": True}}, {"type": "object", "properties": {"a": {}}}, True),  # noqa: E501  # noqa: E501
    ("odd words say nothing", {"type": 5, "properties": 3, "required": "a"}, {"type": None, "anyOf": {}}, True),  # noqa: E501
]  # fmt: skip


@pytest.mark.parametrize(
    ("upstream", "downstream", "expected"), [c[1:] for c in SCHEMAS], ids=[c[0] for c in SCHEMAS]
)
def test_a_json_schema_fits_another_as_in_flyte(upstream, downstream, expected):
    assert fits(upstream, downstream) is expected


def test_comparing_recursive_schemas_ends():
    tree = {"type": "object", "properties": {"left": {"$ref": "#"}}}
    assert fits(tree, {**tree, "title": "Tree"})


TYPES = st.recursive(
    st.sampled_from(
        [
            N,
            F,
            S,
            w.NONE,
            w.STRUCT,
            w.enum("a"),
            w.enum("a", "b"),
            w.blob("csv"),
            w.dataset(("a", N)),
        ]
    ),
    lambda inner: st.one_of(
        st.builds(w.listed, inner),
        st.builds(w.mapped, inner),
        st.lists(inner, max_size=3).map(lambda variants: w.union(*variants)),
        st.builds(w.tagged, inner, st.sampled_from(["a", "b"])),
    ),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(TYPES, TYPES)
def test_every_type_fits_itself_and_any_two_are_decided(one, other):
    table = TypeTable()
    first, second = table.of(one), table.of(other)
    assert table.castable(first, first)
    assert table.castable(first, second) is table.castable(first, second)
    assert table.castable(second, first) in (True, False)


def test_deeply_nested_unions_are_decided_at_once():
    one = other = w.union(w.INT, w.STR)
    for _ in range(20):
        one = w.union(one)
        other = w.union(other, w.tagged(w.INT, "x"))
    table = TypeTable()
    assert table.castable(table.of(one), table.of(other)) in (True, False)


def test_a_value_without_a_type_fits_nothing():
    for kind, type in (
        ("structured_dataset", w.dataset()),
        ("schema", w.schema()),
        ("blob", w.blob()),
    ):
        scalar = w.literals_pb2.Scalar()
        getattr(scalar, kind).uri = "s3://b/x"
        if kind == "blob":
            scalar.blob.metadata.SetInParent()
        taker = w.task("take", {"x": type}, {})
        assert w.codes(w.workflow([w.node("n0", taker, x=scalar)]), [taker]) == ["MismatchingTypes"]
        literal = w.literals_pb2.Literal(scalar=scalar)
        inputs = w.literals_pb2.LiteralMap(literals={"x": literal})
        found = check_inputs(w.interface({"x": type}), inputs)
        assert [problem.code for problem in found] == ["MismatchingTypes"]
