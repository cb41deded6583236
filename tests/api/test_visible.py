"""Text of others that is shown: it cannot steer a terminal."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyte_nb.api.errors import ErrorInfo, ExecutionFailed, RemoteError, TaskFailed
from flyte_nb.api.problems import Problem
from flyte_nb.api.visible import log, plain
from flyte_nb.commands import terminal

HOSTILE = "a\x1b]0;title\x07b\x1b[2Jc\x1b]52;c;aGk=\x1b\\\\d\x9b31me\x1b[31mred\x1b[0m\rf\x08"
STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def test_colours_go_and_every_other_control_character_is_spelled():
    assert plain("\x1b[31;1mred\x1b[0m \tx\r\ny\n") == "red \tx\ny\n"
    assert plain("a\x1b[2Jb\x07\x9b") == r"a\x1b[2Jb\x07\x9b"
    assert plain("größe → ✓") == "größe → ✓"


def test_a_log_keeps_its_colours_and_progress_bars_and_nothing_else():
    assert log("\x1b[31mred\n10%\r20%\n") == "\x1b[31mred\n10%\r20%\n\x1b[0m"
    assert log("a\x1b[2Jb\x1b]0;t\x07") == r"a\x1b[2Jb\x1b]0;t\x07"
    assert log("plain\n") == "plain\n"


@given(st.text())
def test_nothing_that_steers_a_terminal_is_left(text):
    assert STEERING.search(plain(text)) is None
    assert STEERING.search(re.sub(r"\x1b\[[0-9;:]*m|\r", "", log(text))) is None


@pytest.mark.parametrize(
    "error",
    [
        ExecutionFailed(HOSTILE, info=ErrorInfo("USER:X", HOSTILE)),
        TaskFailed(ErrorInfo("USER:X", HOSTILE)),
        RemoteError(HOSTILE, code="INTERNAL"),
    ],
)
def test_an_error_that_python_prints_is_plain_and_keeps_what_was_said(error):
    assert STEERING.search(str(error)) is None
    assert "red" in str(error)
    if not isinstance(error, RemoteError):
        assert error.info.message == HOSTILE


def test_a_command_prints_nothing_that_steers_the_terminal(capsys):
    terminal.out(HOSTILE)
    terminal.complain(HOSTILE)
    printed = capsys.readouterr()
    assert STEERING.search(printed.out) is None
    assert STEERING.search(printed.err) is None


def test_problems_are_hashable_whatever_they_say():
    assert {Problem("X", HOSTILE)}
