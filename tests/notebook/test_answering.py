"""`%flyte signals`, `signal`, `approve` and `reject` over scripted executions."""

import pytest

from flyte_nb.api.errors import UsageError
from flyte_nb.executions.signals import APPROVAL, VALUE, SignalView
from flyte_nb.types.registry import default_registry

PIPELINE = """
from flyte_nb import task, workflow

@task
def load(n: int) -> int:
    return n

@workflow
def pipeline(n: int) -> int:
    return load(n=n)
"""
INT = default_registry().codec(int).literal_type
BOOL = default_registry().codec(bool).literal_type


@pytest.fixture
def gated(notebook):
    """A notebook whose last run waits at two gates."""
    made = notebook(speed=0)
    made.run(PIPELINE, cell_id="pipeline")
    made.execution = made.run("run = %flyte launch pipeline n=3\nrun")
    made.execution.gates = {
        "depth": SignalView("depth", VALUE, INT),
        "review": SignalView("review", APPROVAL, BOOL),
    }
    made.execution.waiting = {"n0": "a slot"}
    return made


def test_the_gates_and_what_nodes_wait_for_are_listed(gated):
    gated.run("%flyte signals")
    shown = gated.shown()
    assert "waits for a value" in shown
    assert "waits for approval" in shown
    assert "n0 waits for a slot" in shown


def test_gates_are_answered_by_name(gated):
    gated.run("most = 7\n%flyte signal depth={most}")
    gated.run("%flyte approve review")
    states = {each.name: each.value for each in gated.execution.signals()}
    assert states == {"depth": 7, "review": True}
    gated.run("%flyte signals")
    assert "= 7" in gated.shown()
    assert "approved" in gated.shown()


def test_a_gate_of_another_execution_is_named_after_it(gated):
    name = gated.execution.id.name
    gated.run("%flyte launch pipeline n=4")
    gated.run(f"%flyte reject {name} review")
    assert gated.execution.gates["review"].value is False
    assert "rejected" in gated.shown()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("%flyte signal", "Name the gate and its value"),
        ("%flyte approve", "Name the gate: %flyte approve review."),
        ("%flyte signal depth=deep", "depth"),
    ],
)
def test_what_is_missing_or_wrong_is_told(gated, line, said):
    error = gated.fails(line)
    assert isinstance(error, UsageError)
    assert said in str(error)
    assert not any(each.is_set for each in gated.execution.signals())
