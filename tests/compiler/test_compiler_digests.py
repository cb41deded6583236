"""Digests equal Flyte's own vectors, and the walk over the message agrees with its JSON."""

import base64
import json
import math

import pytest
from flyteidl.admin import launch_plan_pb2
from flyteidl.core import interface_pb2, literals_pb2, tasks_pb2, types_pb2, workflow_pb2
from google.protobuf import any_pb2, json_format, struct_pb2, timestamp_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from flyte_nb.api.errors import CodecError
from flyte_nb.compiler.digests import _normalized, digest, digest_of_json

INTEGER = interface_pb2.Variable(type=types_pb2.LiteralType(simple=types_pb2.INTEGER))


def literal_map(**values):
    message = literals_pb2.LiteralMap()
    for name, value in values.items():
        field = "integer" if isinstance(value, int) else "string_value"
        setattr(message.literals[name].scalar.primitive, field, value)
    return message


# The four of the reference; flyteplugins/go/tasks/pluginmachinery/catalog and datacatalog tests.
@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (literals_pb2.LiteralMap(), "GKw-c0PwFokMUQ6T-TUmEWnZ4_VlQ2Qpgw-vCTT0-OQ"),
        (interface_pb2.VariableMap(variables={"1": INTEGER, "2": INTEGER}), "UxVtPm0k"),
        (literal_map(**{"1": 1, "2": 2}), "GQid5LjHbakcW68DS3P2jp80QLbiF0olFHF2hTh5bg8"),
        (literal_map(out1="output1-stringval"), "BE6CZsMk6N3ExR_4X9EuwBgj2Jh2UwasXK3a_pM9xlY"),
    ],
)
def test_flytes_vectors(message, expected):
    text = base64.urlsafe_b64encode(digest(message)).decode()
    assert text[: len(expected)] == expected


def test_pbhashs_own_vector():
    """pbhash_test.go: every kind of field, as its JSON."""
    value = {
        "integer": "18",
        "floatValue": 1.3,
        "stringValue": "lets test this",
        "boolean": True,
        "datetime": "2019-03-29T12:00:00Z",
        "duration": "0.001s",
        "mapValue": {"z": "last", "a": "first"},
        "collections": ["1", "2", "3"],
    }
    assert digest_of_json(value).hex() == (
        "6295b22c23f5356d03564dc78fae2d2bbd07ffdb7ee5f4258fbcb20cada54844"
    )
    partial = {name: value[name] for name in ("integer", "floatValue", "stringValue", "boolean")}
    assert digest_of_json(partial).hex() == (
        "1a13cc4cabc97d43c72bc537bc49a88bfc1d541c7b21048fab28c65c0673aae2"
    )


def by_json(message):
    return digest_of_json(json.loads(json_format.MessageToJson(message)))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(st.text(max_size=4), JSON, max_size=4),
    st.integers(-(2**63), 2**63 - 1),
    st.text(),
)
def test_the_walk_agrees_with_the_json(data, number, text):
    template = tasks_pb2.TaskTemplate(type=text)
    json_format.ParseDict(data, template.custom)
    template.metadata.timeout.FromNanoseconds(number % 10**15)
    template.metadata.generates_deck.SetInParent()
    template.metadata.interruptible = False
    template.container.env.add(key=text, value=text)
    template.container.resources.SetInParent()
    template.interface.inputs.variables[text].type.simple = types_pb2.NONE
    assert digest(template) == by_json(template)
    literal = literals_pb2.Literal()
    literal.scalar.primitive.integer = number
    assert digest(literal) == by_json(literal)


def test_every_kind_of_field_agrees_with_the_json():
    node = workflow_pb2.Node()
    node.array_node.min_success_ratio = 0.7
    node.array_node.parallelism = 0
    node.array_node.execution_mode = 1
    node.array_node.data_mode = 1
    assert digest(node) == by_json(node)
    literal = literals_pb2.Literal()
    literal.scalar.binary.value = b"\x00\xff"
    assert digest(literal) == by_json(literal)
    literal.scalar.primitive.datetime.FromJsonString("2020-01-01T00:00:00.5Z")
    assert digest(literal) == by_json(literal)
    literal.scalar.primitive.float_value = float("inf")
    assert digest(literal) == by_json(literal)
    value = struct_pb2.Value(list_value=struct_pb2.ListValue(values=[struct_pb2.Value()]))
    assert digest(value) == digest_of_json([None])
    unknown = types_pb2.LiteralType(simple=77)
    assert digest(unknown) == by_json(unknown)


def test_equal_maps_of_another_order_have_equal_digests():
    one = literal_map(a=1, b=2)
    other = literal_map(b=2, a=1)
    assert digest(one) == digest(other)
    assert digest(one) != digest(literal_map(a=2, b=1))


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_normalized_floats_are_exact(number):
    text = _normalized(number)
    sign, exponent, bits = text[0], *text[1:].split(":")
    value = sum(int(bit) * 2.0**-place for place, bit in enumerate(bits)) if bits else 0.0
    scaled = math.ldexp(value, int(exponent))
    assert (scaled if sign == "+" else -scaled) == number


def test_a_value_without_a_json_form_is_a_codec_error():
    with pytest.raises(CodecError):
        digest(timestamp_pb2.Timestamp(seconds=10**15))
    plan = launch_plan_pb2.LaunchPlan()
    plan.spec.entity_metadata.launch_conditions.CopyFrom(any_pb2.Any(type_url="x/unknown"))
    with pytest.raises(CodecError):
        digest(plan)
    with pytest.raises(CodecError):
        digest_of_json(object())
