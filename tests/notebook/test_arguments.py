"""Lines after `%flyte`."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyte_nb.api.errors import UsageError
from flyte_nb.notebook.arguments import parse


def test_inputs_flags_and_arguments_are_told_apart():
    got = parse("launch train url='https://a b' depth=3 --version v1 --execution-name=mine")
    assert got.command.name == "launch"
    assert got.positionals == ("train",)
    assert got.inputs == {"url": "https://a b", "depth": "3"}
    assert got.options == {"version": "v1", "execution-name": "mine"}


@pytest.mark.parametrize(
    ("line", "positionals"),
    [
        ("register;", ()),
        ("register train ;", ("train",)),
        ("register train  # and nothing else", ("train",)),
        ("register train #;", ("train",)),
        ("# nothing", ()),
        (r"register C:\data\x", (r"C:\data\x",)),
        ("register 'a b' \"c#d\" it's", ("a b", "c#d", "it's")),
    ],
)
def test_a_comment_and_a_semicolon_at_the_end_are_no_arguments(line, positionals):
    assert parse(line).positionals == positionals


def test_a_value_is_kept_as_it_is_written_up_to_the_next_space_outside_of_brackets():
    line = r"""launch x a=[1, "]"] b={'k': (1, 2)} c=<C.RED: 'a b'> d=it's e=f(1, "a") g=\d+\s h= i=[1"""
    assert dict(parse(line).written) == {
        "a": '[1, "]"]',
        "b": "{'k': (1, 2)}",
        "c": "<C.RED: 'a b'>",
        "d": "it's",
        "e": 'f(1, "a")',
        "g": r"\d+\s",
        "h": "",
        "i": "[1",
    }


def test_flags_take_a_value_in_quotes():
    got = parse("""terminate f3 --cause "it's late; stop # now" --yes""")
    assert got.options == {"cause": "it's late; stop # now", "yes": "yes"}


@pytest.mark.parametrize("asking", ["--help", "-h", "train ?", "--version v1 --help"])
def test_help_is_asked_for_at_any_command(asking):
    got = parse(f"launch {asking}")
    assert (got.command.name, got.positionals) == ("help", ("launch",))


def test_an_empty_line_asks_for_help():
    assert parse("").command.name == "help"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("launhc x", "Did you mean %flyte launch"),
        ("zzz", "%flyte help lists them"),
        ("register --dry", "has no flag --dry; it knows --dry-run"),
        ("watch a b", "'b' is one argument too many"),
        ("launch a b", "Inputs are written name=value"),
        ("connect --project", "--project needs a value"),
        ("watch --wait=3", "takes no value"),
        ("launch x y='3", "Is a quote left open"),
        ("launch x y=1 y=2", "The input y is given twice"),
        ("status now", "one argument too many"),
    ],
)
def test_a_wrong_line_says_what_would_be_right(line, said):
    with pytest.raises(UsageError, match=said):
        parse(line)


def test_a_number_has_to_be_one():
    with pytest.raises(UsageError, match="--limit needs a whole number, not 'many'"):
        parse("executions --limit many").number("limit")
    assert parse("executions --limit 5").number("limit") == 5
    assert parse("executions").number("limit", 20) == 20


@given(st.text())
def test_no_line_raises_anything_else_than_a_usage_error(line):
    with contextlib.suppress(UsageError):
        parse(line)
