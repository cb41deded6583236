from datetime import datetime, timedelta, timezone

import pytest

from flyte_nb.api import literal_types as types
from flyte_nb.api.errors import CompileFailed
from flyte_nb.api.literal_types import LiteralType, simple
from flyte_nb.api.specs import Variable
from flyte_nb.executions.inputs import from_text, to_literals
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


def test_every_wrong_input_is_told_at_once():
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


OPTIONAL_INT = LiteralType(
    types.UNION, (simple(types.STRING), simple(types.INTEGER), simple(types.NONE))
)


@pytest.mark.parametrize(
    ("text", "type", "value"),
    [
        ("3", simple(types.INTEGER), 3),
        ("three", simple(types.INTEGER), "three"),
        ("3", simple(types.FLOAT), 3.0),
        ("3", simple(types.STRING), "3"),
        ("True", simple(types.BOOLEAN), True),
        ("2024-05-01", simple(types.DATETIME), datetime(2024, 5, 1, tzinfo=timezone.utc)),
        ("90s", simple(types.DURATION), timedelta(seconds=90)),
        ("[1, 2]", LiteralType(types.COLLECTION, simple(types.INTEGER)), [1, 2]),
        ("{'a': 1}", simple(types.STRUCT), {"a": 1}),
        ("None", OPTIONAL_INT, None),
        ("7", OPTIONAL_INT, 7),
        ("seven", OPTIONAL_INT, "seven"),
        ("/data/x.csv", LiteralType(types.BLOB, None), "/data/x.csv"),
    ],
)
def test_text_from_a_terminal_is_read_by_the_type(text, type, value):
    assert from_text(text, type) == value
