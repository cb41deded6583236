"""The table of commands, as both front ends read it."""

import shlex
import subprocess
import sys

import pytest

from flyte_nb.api.errors import UsageError
from flyte_nb.commands.parsing import parser
from flyte_nb.notebook.arguments import parse
from flyte_nb.surface.command import NOTEBOOK, TERMINAL
from flyte_nb.surface.lookup import command, commands, overview
from flyte_nb.surface.table import FOR_EVERY_COMMAND, ROWS

EVERYTHING = [each for front_end in (NOTEBOOK, TERMINAL) for each in commands(front_end)]


def label(each):
    return f"{each.front_end} {each.name}"


def test_every_command_has_one_row_and_at_least_one_front_end():
    names = [row.name for row in ROWS]
    assert len(names) == len(set(names))
    assert [row.name for row in ROWS if row.notebook is None and row.terminal is None] == []


@pytest.mark.parametrize("each", EVERYTHING, ids=label)
def test_every_command_leads_to_a_function_of_its_front_end(each):
    pytest.importorskip("IPython", reason="the notebook's commands need it")
    assert callable(each.function())
    home = "flyte_nb.notebook." if each.front_end == NOTEBOOK else "flyte_nb."
    assert each.side.function.startswith(home)


@pytest.mark.parametrize("each", EVERYTHING, ids=label)
def test_every_command_and_every_option_has_a_help_text(each):
    assert each.help.endswith(".")
    assert each.help[0].isupper()
    assert [option.flag for option in each.options if not option.help] == []


@pytest.mark.parametrize("each", EVERYTHING, ids=label)
def test_no_front_end_has_an_option_twice(each):
    shared = FOR_EVERY_COMMAND if each.front_end == TERMINAL else ()
    spellings = [
        spelling
        for option in (*each.options, *shared)
        for spelling in (option.flag, option.short)
        if spelling
    ]
    assert len(spellings) == len(set(spellings))


@pytest.mark.parametrize("each", commands(NOTEBOOK), ids=label)
def test_a_usage_line_in_a_notebook_names_everything(each):
    for option in each.options:
        assert option.flag in each.usage
    for positional in each.positionals:
        assert positional.takes in each.usage
    assert each.usage in overview(NOTEBOOK)


@pytest.mark.parametrize(
    ("each", "example"),
    [(each, example) for each in EVERYTHING for example in each.side.examples],
    ids=str,
)
def test_every_example_is_a_line_that_its_front_end_accepts(each, example):
    line = example.removeprefix(f"{each.front_end} ")
    assert line != example
    if each.front_end == NOTEBOOK:
        assert parse(line).command.name == each.name
    else:
        assert parser().parse_args(shlex.split(line)).command.name == each.name


def test_a_name_that_no_command_has_leads_to_the_nearest():
    with pytest.raises(UsageError, match="Did you mean %flyte launch"):
        command("launhc", NOTEBOOK)
    with pytest.raises(UsageError, match="%flyte has no command 'up'"):
        command("up", NOTEBOOK)


def test_the_command_line_reads_values_as_the_table_says():
    options = parser().parse_args(["executions", "--limit", "5", "-p", "shop"])
    assert (options.limit, options.project, options.output) == (5, "shop", "text")
    options = parser().parse_args(["bundle", "gc", "--older-than", "1.5"])
    assert (options.action, options.location, options.older_than) == ("gc", None, 1.5)
    assert list(parser().parse_args(["register"]).targets) == []


@pytest.mark.parametrize("wrong", [["logs"], ["bundle", "burn"], ["serialize", "x.py"]])
def test_a_wrong_line_raises_and_says_how_to_get_help(wrong):
    with pytest.raises(UsageError, match=f"`flyte-nb {wrong[0]} --help` shows what it takes"):
        parser().parse_args(wrong)


def test_reading_a_line_loads_no_room_but_the_table_and_api():
    code = (
        "import sys\n"
        "from flyte_nb.commands.parsing import parser\n"
        "parser().parse_args(['register', 'pipeline.py'])\n"
        "rooms = {name.split('.')[1] for name in sys.modules if name.startswith('flyte_nb.')}\n"
        "assert rooms == {'api', 'commands', 'surface'}, rooms\n"
    )
    subprocess.run([sys.executable, "-I", "-c", code], check=True)
