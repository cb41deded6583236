"""Literals and types as JSON for the pipe: what comes back is what went in."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyte_nb.api import literal_types as lt
from flyte_nb.api import literals, specs
from flyte_nb.api.identifiers import ExecutionId, Identifier, Scope
from flyte_nb.api.literal_types import (
    BlobType,
    LiteralType,
    StructuredDatasetType,
    describe,
    simple,
)
from flyte_nb.api.literals import Literal, from_plain, to_plain, type_from_plain, type_to_plain
from flyte_nb.api.plain_specs import spec_from_plain, spec_to_plain


def made(kind: Any, *parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """`st.builds` would make up the fields of a NamedTuple that have defaults."""
    return st.tuples(*parts).map(lambda values: kind(*values))


TEXTS = st.text(max_size=8)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
JSON = st.none() | st.dictionaries(TEXTS, PLAIN, max_size=2)
BLOBS = made(BlobType, TEXTS, st.sampled_from([lt.SINGLE, lt.MULTIPART]))
SIMPLE_NAMES = st.sampled_from(
    [lt.NONE, lt.INTEGER, lt.FLOAT, lt.STRING, lt.BOOLEAN, lt.DATETIME, lt.DURATION, lt.STRUCT]
)


def _extended(inner: st.SearchStrategy[LiteralType]) -> st.SearchStrategy[LiteralType]:
    columns = st.lists(st.tuples(TEXTS, inner), max_size=2).map(tuple)
    datasets = made(StructuredDatasetType, columns, TEXTS)
    return (
        made(LiteralType, st.sampled_from([lt.COLLECTION, lt.MAP]), inner, JSON, JSON, TEXTS)
        | made(LiteralType, st.just(lt.UNION), st.lists(inner, max_size=3).map(tuple))
        | made(LiteralType, st.just(lt.STRUCTURED_DATASET), datasets)
        | made(
            LiteralType,
            st.just(lt.SIMPLE),
            st.just(lt.STRUCT),
            JSON,
            JSON,
            TEXTS,
            st.none() | st.dictionaries(TEXTS, inner, max_size=2),
        )
    )


TYPES = st.recursive(
    made(LiteralType, st.just(lt.SIMPLE), SIMPLE_NAMES, JSON, JSON, TEXTS)
    | made(LiteralType, st.just(lt.BLOB), BLOBS)
    | made(LiteralType, st.just(lt.ENUM), st.lists(TEXTS, max_size=3).map(tuple)),
    _extended,
    max_leaves=5,
)
SCALARS = (
    made(Literal, st.just(literals.INTEGER), st.integers(), TEXTS)
    | made(Literal, st.just(literals.STRING), TEXTS)
    | made(Literal, st.just(literals.FLOAT), st.floats(allow_nan=False))
    | made(Literal, st.just(literals.NONE), st.none())
    | made(Literal, st.just(literals.STRUCT), PLAIN)
    | made(Literal, st.just(literals.BINARY), st.tuples(st.binary(max_size=9), TEXTS))
    | made(Literal, st.just(literals.BLOB), st.tuples(TEXTS, BLOBS))
    | made(Literal, st.just(literals.ERROR), st.tuples(TEXTS, TEXTS))
    | made(
        Literal,
        st.just(literals.STRUCTURED_DATASET),
        st.tuples(TEXTS, made(StructuredDatasetType, st.just(()), TEXTS)),
    )
    | made(
        Literal,
        st.just(literals.COLUMN),
        st.tuples(st.just(literals.INTEGER), st.lists(st.integers(), max_size=4)),
    )
)
LITERALS = st.recursive(
    SCALARS,
    lambda inner: (
        made(Literal, st.just(literals.COLLECTION), st.lists(inner, max_size=3), TEXTS)
        | made(Literal, st.just(literals.MAP), st.dictionaries(TEXTS, inner, max_size=3))
        | made(Literal, st.just(literals.UNION), st.tuples(inner, TYPES))
    ),
    max_leaves=6,
)


@given(LITERALS)
def test_a_literal_comes_back_from_json(literal):
    back = from_plain(json.loads(json.dumps(to_plain(literal))))
    assert back == literal
    assert back.hash == literal.hash


@given(TYPES)
def test_a_type_comes_back_from_json(type):
    assert type_from_plain(json.loads(json.dumps(type_to_plain(type)))) == type


@given(TYPES)
def test_every_type_has_a_description(type):
    assert isinstance(describe(type), str)


def test_types_are_said_as_one_writes_them():
    integer = simple(lt.INTEGER)
    assert (
        describe(LiteralType(lt.COLLECTION, LiteralType(lt.MAP, integer))) == "list[dict[str, int]]"
    )
    assert describe(LiteralType(lt.UNION, (integer, simple(lt.NONE)))) == "int | None"
    assert describe(LiteralType(lt.ENUM, ("a", "b"))) == "one of 'a', 'b'"
    assert describe(LiteralType(lt.BLOB, BlobType("csv", lt.MULTIPART))) == "directory[csv]"


def test_main_is_called_by_the_notebooks_name():
    assert Scope("p", "d", "book").full_name("__main__", "f") == "book.f"
    assert Scope("p", "d", "book").full_name("mod", "f") == "mod.f"
    assert str(Identifier("task", "p", "d", "n", "v")) == "task:p:d:n:v"
    assert str(ExecutionId("p", "d", "n")) == "p:d:n"


IDENTIFIERS = made(Identifier, st.sampled_from(["task", "workflow"]), TEXTS, TEXTS, TEXTS, TEXTS)
BINDING_DATA = st.recursive(
    LITERALS
    | made(specs.OutputReference, TEXTS, TEXTS, st.lists(TEXTS | st.integers()).map(tuple)),
    lambda inner: (
        made(specs.BindingCollection, st.lists(inner, max_size=3).map(tuple))
        | made(specs.BindingMap, st.dictionaries(TEXTS, inner, max_size=3))
    ),
    max_leaves=4,
)
METADATA = made(specs.NodeMetadata, TEXTS, st.none() | st.floats(0, 9), st.none() | st.integers())
TARGETS = (
    made(specs.TaskNode, IDENTIFIERS)
    | made(specs.WorkflowNode, IDENTIFIERS)
    | made(specs.ArrayNode, IDENTIFIERS, METADATA)
)
NODES = made(
    specs.Node,
    TEXTS,
    TARGETS,
    st.lists(made(specs.Binding, TEXTS, BINDING_DATA), max_size=2).map(tuple),
    st.lists(TEXTS, max_size=2).map(tuple),
    METADATA,
    st.none() | made(specs.Location, TEXTS, st.integers()),
)
INTERFACES = made(
    specs.TypedInterface,
    st.dictionaries(TEXTS, made(specs.Variable, TYPES, TEXTS), max_size=2),
    st.just({}),
)
TASKS = made(
    specs.TaskTemplate,
    IDENTIFIERS,
    TEXTS,
    INTERFACES,
    made(specs.TaskMetadata, st.integers()),
    st.none() | made(specs.Container, TEXTS, st.lists(TEXTS, max_size=2).map(tuple)),
    st.dictionaries(TEXTS, PLAIN, max_size=2),
)
JOBS = made(
    specs.DynamicJob,
    st.lists(NODES, max_size=2).map(tuple),
    st.just(()),
    st.lists(TASKS, max_size=2).map(tuple),
    st.just(()),
    st.dictionaries(TEXTS, st.just(("nb.f", ("n",))), max_size=1),
)


@given(JOBS)
def test_a_job_comes_back_from_json(job):
    assert spec_from_plain(json.loads(json.dumps(spec_to_plain(job)))) == job


def test_nodes_of_every_kind_come_back_from_json():
    # A dynamic task may make any of them. A kind that comes later is found by its class.
    one = specs.Node("n1", specs.TaskNode(Identifier("task", "p", "d", "nb.f", "v")))
    arm = specs.Conjunction(
        "AND",
        specs.Comparison("EQ", "n", Literal(literals.INTEGER, 3)),
        specs.Comparison("LT", "m", "n"),
    )
    targets = [
        specs.BranchNode(((arm, one),), one, "", "size"),
        specs.ApproveNode("ok"),
        specs.SleepNode(1.5),
    ]
    nodes = tuple(specs.Node(f"n{number}", target) for number, target in enumerate(targets))
    assert spec_from_plain(json.loads(json.dumps(spec_to_plain(nodes)))) == nodes


def test_a_value_that_is_not_a_spec_is_refused():
    with pytest.raises(TypeError, match="Scope is not a spec"):
        spec_to_plain((Scope(),))
    for nonsense in ({"Path": ["/"]}, {"Node": []}, {"a": 1, "b": 2}):
        with pytest.raises((KeyError, TypeError, ValueError)):
            spec_from_plain(nonsense)
