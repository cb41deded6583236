"""Cache keys and node ids equal Flyte's own vectors, and digests ignore what they must ignore.

Vectors: datacatalog_test.go, transformer_test.go and encoder_test.go at v1.16.8.
"""

import pytest
from flyteidl.core import identifier_pb2, interface_pb2, literals_pb2, tasks_pb2, types_pb2
from hypothesis import given
from hypothesis import strategies as st

from flyte_nb.api.nodes import fixed_length_id
from flyte_nb.compiler.digests import digest
from flyte_nb.propeller.cache import key as cache_key

TASK = tasks_pb2.TaskTemplate(
    id=identifier_pb2.Identifier(
        resource_type=identifier_pb2.TASK,
        project="project",
        domain="domain",
        name="name",
        version="version",
    )
)
TYPED = tasks_pb2.TaskTemplate(id=TASK.id)
for _variables in (TYPED.interface.inputs, TYPED.interface.outputs):
    _variables.variables["test"].type.simple = types_pb2.STRING
OUT1 = literals_pb2.LiteralMap()
OUT1.literals["out1"].scalar.primitive.string_value = "output1-stringval"
TWO = literals_pb2.LiteralMap()
for _number in (1, 2):
    TWO.literals[str(_number)].scalar.primitive.integer = _number
NOTHING = literals_pb2.LiteralMap()


@pytest.mark.parametrize(
    ("task", "inputs", "version", "tag"),
    [
        (TYPED, OUT1, "1.0.0-ue5g6uuI-ue5g6uuI", "BE6CZsMk6N3ExR_4X9EuwBgj2Jh2UwasXK3a_pM9xlY"),
        (TASK, NOTHING, "1.0.0-GKw-c0Pw-GKw-c0Pw", "GKw-c0PwFokMUQ6T-TUmEWnZ4_VlQ2Qpgw-vCTT0-OQ"),
        (TASK, TWO, "1.0.0-GKw-c0Pw-GKw-c0Pw", "GQid5LjHbakcW68DS3P2jp80QLbiF0olFHF2hTh5bg8"),
    ],
)
def test_a_cache_key_equals_the_key_of_flytes_catalog(task, inputs, version, tag):
    expected = f"project/domain/flyte_task-name/{version}/flyte_cached-{tag}"
    assert cache_key(task, "1.0.0", inputs) == expected


@pytest.mark.parametrize(
    ("text", "length", "id"),
    [
        ("x", 5, "x"),
        ("xx", 1, "flfryc2i"),
        ("xxxxxx", 5, "fufiti6i"),
        ("xxxxx", 10, "xxxxx"),
        ("x" * 24, 20, "fuaa3aji"),
        ("x-y-z", 10, "x-y-z"),
        ("x-y", 1, "fz2jizji"),
        ("x-y-z", 4, "fxzsoqrq"),
        ("x-y-z-m-n-y-z-m-n-y-z-m-n", 15, "fe63sz6y"),
    ],
)
def test_an_id_is_encoded_as_in_flyte(text, length, id):
    assert fixed_length_id(text, length) == id


@given(
    st.dictionaries(st.text(max_size=5), st.integers(-(2**63), 2**63 - 1), max_size=6), st.data()
)
def test_the_order_of_a_map_does_not_change_the_digest(values, data):
    one, other = literals_pb2.LiteralMap(), literals_pb2.LiteralMap()
    for name, value in values.items():
        one.literals[name].scalar.primitive.integer = value
    for name in data.draw(st.permutations(sorted(values))):
        other.literals[name].scalar.primitive.integer = values[name]
    assert digest(one) == digest(other)


@given(st.text(max_size=8), st.text(max_size=8))
def test_texts_have_equal_digests_only_when_they_are_equal(one, other):
    def literal(text):
        message = literals_pb2.Literal()
        message.scalar.primitive.string_value = text
        return message

    assert (digest(literal(one)) == digest(literal(other))) is (one == other)


def test_an_unset_field_digests_like_its_default_but_not_like_an_empty_message_or_a_set_oneof():
    unset, default = interface_pb2.Variable(), interface_pb2.Variable(description="")
    assert digest(unset) == digest(default)
    there = interface_pb2.Variable()
    there.type.SetInParent()
    assert digest(there) != digest(unset)
    # In a oneof a default is a choice: the integer 0 is not nothing, and not the float 0.
    zero, real = literals_pb2.Primitive(integer=0), literals_pb2.Primitive(float_value=0.0)
    assert len({digest(each) for each in (literals_pb2.Primitive(), zero, real)}) == 3


def test_an_integer_of_64_bits_is_text_and_a_float_a_number():
    large = literals_pb2.Primitive(integer=2**53 + 1)
    assert digest(large) != digest(literals_pb2.Primitive(integer=2**53))
    assert digest(literals_pb2.Primitive(float_value=1.0)) != digest(
        literals_pb2.Primitive(integer=1)
    )
    assert digest(literals_pb2.Primitive(float_value=-0.0)) == digest(
        literals_pb2.Primitive(float_value=0.0)
    )
