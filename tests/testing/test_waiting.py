"""Waiting for a condition, and tasks that wait at a gate."""

import subprocess
import sys

import pytest

from flyte_nb.testing.waiting import Gate, wait_until

WAITS = "import sys; print('here', flush=True); open(sys.argv[1]).close()"


def waiting(gate):
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", WAITS, str(gate)], stdout=subprocess.PIPE
    )
    with process.stdout:
        assert process.stdout.readline() == b"here\n"
    return process


def test_what_the_condition_found_is_returned():
    answers = iter([0, None, "", "found"])
    assert wait_until(lambda: next(answers), "an answer") == "found"


def test_a_condition_that_stays_false_fails_the_test_and_is_named():
    with pytest.raises(pytest.fail.Exception, match=r"waited 0.01 s for: the moon"):
        wait_until(lambda: False, "the moon", seconds=0.01)


def test_processes_wait_at_a_gate_until_it_is_opened_and_none_waits_later(gate):
    early = [waiting(gate) for _ in range(2)]
    with pytest.raises(subprocess.TimeoutExpired):
        early[0].wait(0.1)
    gate.open()
    gate.open()
    assert [each.wait(60) for each in [*early, waiting(gate)]] == [0, 0, 0]


def test_no_process_is_left_behind_at_a_gate_that_nobody_opened(tmp_path):
    with Gate(tmp_path / "gate") as gate:
        late = waiting(gate)
    assert late.wait(60) == 0
