import pytest

from flyte_nb.api import literal_types as types
from flyte_nb.api.errors import CompileFailed
from flyte_nb.api.literal_types import LiteralType, simple
from flyte_nb.api.literals import Literal
from flyte_nb.api.specs import Variable
from flyte_nb.executions.inputs import to_literals
from flyte_nb.types.registry import default_registry

INPUTS = {"n": int, "rate": float, "name": str}


def convert(given, **options):
    registry = default_registry()
    codecs = {name: registry.codec(kind) for name, kind in INPUTS.items()}
    inputs = {name: Variable(codec.literal_type) for name, codec in codecs.items()}
    return to_literals(given, entity="train", inputs=inputs, codecs=codecs, **options)


def test_values_become_literals_by_the_interface():
    literals = convert({"n": 1, "rate": 0.5, "name": "x"})
    assert {name: literal.value for name, literal in literals.items()} == {
        "n": 1,
        "rate": 0.5,
        "name": "x",
    }


def test_every_wrong_input_is_reported_at_once():
    with pytest.raises(CompileFailed) as caught:
        convert({"n": "three", "depth": 1}, optional=frozenset({"name"}))
    found = {(problem.code, problem.variable) for problem in caught.value.problems}
    assert found == {
        ("UnknownInput", "depth"),
        ("ValueDoesNotFit", "n"),
        ("MissingInput", "rate"),
    }


def test_an_input_that_the_launch_plan_fixes_cannot_be_given():
    with pytest.raises(CompileFailed, match="fixed"):
        convert({"n": 1, "rate": 1.0, "name": "x"}, fixed=frozenset({"n"}))


MSGPACK = LiteralType(
    types.SIMPLE,
    types.STRUCT,
    annotation={"cache-key-metadata": {"serialization-format": "msgpack"}},
)
OF_JAVA = simple(types.STRUCT)


def for_type(type, value):
    codec = default_registry().codec(default_registry().guess(type))
    given = {"x": value}
    return to_literals(given, entity="j", inputs={"x": Variable(type)}, codecs={"x": codec})["x"]


def test_a_struct_is_msgpack_only_where_the_type_says_so():
    assert for_type(MSGPACK, {"a": 1}) == Literal("struct", {"a": 1})
    assert for_type(OF_JAVA, {"a": 1}) == Literal("generic", {"a": 1})
    assert for_type(OF_JAVA, {"a": {1: [True, None]}, 2: 1.5}) == Literal(
        "generic", {"a": {"1": [True, None]}, "2": 1.5}
    )


def test_structs_deep_in_a_type_are_of_its_form_too():
    listed = LiteralType(types.COLLECTION, OF_JAVA)
    assert for_type(listed, [{"a": 1}]).value == [Literal("generic", {"a": 1})]
    mapped = LiteralType(types.MAP, listed)
    assert for_type(mapped, {"k": [{}]}).value["k"].value == [Literal("generic", {})]
    none = simple(types.NONE)._replace(tag="none")
    union = LiteralType(types.UNION, (OF_JAVA._replace(tag="Typed Dict"), none))
    assert for_type(union, {"a": 1}).value == (
        Literal("generic", {"a": 1}),
        OF_JAVA._replace(tag="Typed Dict"),
    )
    assert for_type(union, None).value[1] == none


@pytest.mark.parametrize(
    ("value", "text"),
    [({"a": [b"1"]}, "bytes"), ({"a": 2**53 + 1}, "loses digits"), ({b"k": 1}, "key")],
)
def test_what_a_struct_without_msgpack_would_change_is_refused(value, text):
    with pytest.raises(CompileFailed, match=text):
        for_type(OF_JAVA, value)
