import pytest

from flyte_nb.api.errors import CompileFailed
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
