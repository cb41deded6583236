"""The line and body of a `%%task` cell."""

import traceback
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyte_nb.sdk.cell import CellOutput, define, function_source, parse
from flyte_nb.types.registry import default_registry

LINE = 'score(model: dict, rows: "list[int]", depth: int = 3) -> accuracy: float, confusion: dict[str, int]'


def namespace() -> "dict[str, Any]":
    return {"__name__": "__main__"}


def test_a_line_has_a_name_parameters_outputs_and_options():
    signature = parse(LINE + " with cache=True, retries=2")
    assert signature.name == "score"
    assert signature.parameters == 'model: dict, rows: "list[int]", depth: int = 3'
    assert [output[:2] for output in signature.outputs] == [
        ("accuracy", "float"),
        ("confusion", "dict[str, int]"),
    ]
    assert signature.output_names == ("accuracy", "confusion")
    assert signature.options == "cache=True, retries=2"


@pytest.mark.parametrize(
    ("line", "parameters", "outputs"),
    [
        ("f", "", ()),
        ("f()", "", ()),
        ("  f ( a : int )  ", "a : int", ()),
        ("f -> x: int", "", (CellOutput("x", "int", 5),)),
        ("f() -> None", "", ()),
        ("f(a: int) -> float", "a: int", (CellOutput("", "float", 13),)),
        (
            "f(a: str = ') -> x: int') -> y: int",
            "a: str = ') -> x: int'",
            (CellOutput("y", "int", 29),),
        ),
        ("f(a: dict = {'k': (1, 2)})", "a: dict = {'k': (1, 2)}", ()),
        ("f(a: str = '#') -> x: int  # why", "a: str = '#'", (CellOutput("x", "int", 19),)),
        ("f -> x: int;", "", (CellOutput("x", "int", 5),)),
    ],
)
def test_lines_are_read_with_their_brackets_and_texts(line, parameters, outputs):
    signature = parse(line)
    assert (signature.parameters, signature.outputs) == (parameters, outputs)


@pytest.mark.parametrize(
    ("line", "message", "column"),
    [
        ("", "Give the task a name", 1),
        ("1f()", "Give the task a name", 1),
        ("f(", "The ( is never closed", 2),
        ("f(a: int) x", "Expected -> and the outputs", 11),
        ("f() ->", "An output needs a type", 7),
        ("f() -> x: int, float", "Give every output a name, as in -> x: float", 16),
        ("f() -> x: int, x: str", "Two outputs are called x", 16),
        ("f() -> 1x: int", "is no name for an output", 8),
        ("f(a int)", "The inputs cannot be read", 3),
        ("f(a: int -> int", "The ( is never closed", 2),
        ("f() -> x: int +", "The type of x cannot be read", 11),
        ("f() with cache", "After with, write options by name", 10),
        ("f() with **more", "After with, write options by name", 10),
        ("f() with retries=", "The options cannot be read", 10),
        ("f() -> x: int -> y: int", "Unexpected ->", 15),
        ("f() with a=1 with b=2", "Unexpected with", 5),
    ],
)
def test_a_line_that_is_no_signature_is_refused_with_its_column(line, message, column):
    with pytest.raises(SyntaxError) as refused:
        parse(line, filename="cell-7")
    assert message in refused.value.msg
    assert (refused.value.filename, refused.value.lineno, refused.value.offset) == (
        "cell-7",
        1,
        column,
    )


@given(st.text(max_size=60))
def test_no_line_fails_with_anything_but_a_syntax_error(line):
    try:
        parse(line.replace("\n", " ").replace("\r", " "))
    except SyntaxError:
        pass


def test_the_body_sees_inputs_and_sets_outputs():
    made = define(parse(LINE), "accuracy = len(rows) / depth\nconfusion = model\n", namespace())
    assert made.function({"a": 1}, [1, 2, 3]) == (1.0, {"a": 1})
    signature = made.signature(default_registry())
    assert list(signature.interface.inputs) == ["model", "rows", "depth"]
    assert signature.output_names == ("accuracy", "confusion")
    assert made.module == "__main__"


def test_the_task_stands_in_the_namespace_with_its_options():
    names = namespace()
    made = define(parse("f(n: int) -> x: int with retries=2"), "x = n", names)
    assert names["f"] is made
    assert made.options.retries == 2


def test_a_body_may_return_when_the_output_has_no_name():
    made = define(parse("f(n: int) -> int"), "return n + 1", namespace())
    assert made.function(n=1) == 2
    assert made.signature(default_registry()).output_names == ("o0",)


def test_one_output_keeps_its_name():
    made = define(parse("f(n: int) -> x: int"), "x = n", namespace())
    signature = made.signature(default_registry())
    assert (signature.output_names, signature.output_kind) == (("x",), "single")


def test_texts_over_several_lines_stay_as_they_are():
    body = 'x = """a\n  b\n\nc"""\ny = f"""{x}\n d"""\n'
    made = define(parse("f() -> x: str, y: str"), body, namespace())
    assert made.function() == ("a\n  b\n\nc", "a\n  b\n\nc\n d")


def test_lines_of_the_function_are_lines_of_the_cell():
    body = '# line 2\ntext = """\nline 4\n"""\n\nraise ValueError("line 7")\n'
    made = define(parse("f()"), body, namespace(), filename="cell-7")
    with pytest.raises(ValueError, match="line 7") as raised:
        made.function()
    frame = traceback.extract_tb(raised.value.__traceback__)[-1]
    assert (frame.filename, frame.lineno) == ("cell-7", 7)


def test_an_empty_body_is_a_task_that_does_nothing():
    assert define(parse("f()"), "", namespace()).function() is None
    assert define(parse("f()"), "# only this\n", namespace()).function() is None


@pytest.mark.parametrize(
    ("line", "body", "message", "place"),
    [
        ("f() -> x: int", "y = 1", "The output x is never set in the cell", 1),
        ("f() -> x: int", "print(x)", "The output x is never set in the cell", 1),
        ("f() -> x: int", "x = 1\nif x:\n    return 3", "remove the return", 4),
        ("f()", "x = 1\n!ls", "A task runs without IPython", 3),
        ("f()", "%time x = 1", "A task runs without IPython", 2),
        ("f()", "x = 1\ny = = 2", "invalid syntax", 3),
        ("f() -> x: int", "import a\nx = 1 + await a.b()", "cannot await by itself", 3),
        ("f()", "if 1:\n  async with a: pass", "asyncio.run", 3),
        ("f()", "async for x in y:\n    pass", "asyncio.run", 2),
        ("f() -> x: list", "x = [i\n  async for i in y]", "asyncio.run", 3),
        ("f() -> x: int", "x = yield 3", "yields nothing", 2),
        ("f()", "from math import *", "Write import math", 2),
    ],
)
def test_a_body_that_cannot_be_a_task_is_refused_with_its_line(line, body, message, place):
    with pytest.raises(SyntaxError) as refused:
        function_source(parse(line), body, filename="cell-7")
    assert message in refused.value.msg
    assert refused.value.lineno == place


def test_functions_in_a_cell_may_await_and_yield():
    body = "async def g():\n    await h()\ndef k():\n    yield 1\nx = list(k())"
    assert define(parse("f() -> x: list[int]"), body, namespace()).function() == [1]


def test_outputs_may_be_inputs_imports_functions_and_loop_variables():
    body = "import math as m\nfor i in range(3):\n    pass\ndef g(): return 1\nk = (w := 2)\n"
    define(parse("f(n: int) -> n: int, m: int, i: int, g: int, w: int"), body, namespace())


def test_a_return_of_an_inner_function_is_its_own():
    made = define(parse("f() -> x: int"), "def g():\n    return 3\nx = g()", namespace())
    assert made.function() == 3


def test_a_cell_that_cannot_be_read_leaves_the_old_definition():
    names = namespace()
    before = define(parse("f() -> x: int"), "x = 1", names)
    with pytest.raises(SyntaxError):
        define(parse("f() -> x: int"), "x = = 2", names)
    with pytest.raises(NameError):
        define(parse("f() -> x: int with retries=missing"), "x = 2", names)
    assert names["f"] is before


@pytest.mark.parametrize("letter", ["\u2028", "\x0c", "\x1c", "\x85"])
def test_letters_that_end_a_line_elsewhere_stay_in_their_text(letter):
    made = define(
        parse("f -> x: str"), f'a = "b{letter}c"\nx = a + """{letter}\n  d"""', namespace()
    )
    assert made.function() == f"b{letter}c{letter}\n  d"
