"""`docs/propeller.md` shows the engine as it is."""

from pathlib import Path

import pytest

from flyte_nb.api.nodes import (
    BRANCH_NODE,
    GATE_NODE,
    LAUNCH_PLAN_NODE,
    TASK_NODE,
    WORKFLOW_NODE,
)
from flyte_nb.propeller.tables import ATTEMPT_MOVES, NODE_MOVES, WORKFLOW_MOVES, mermaid

PAGE = Path(__file__).resolve().parents[2] / "docs" / "propeller.md"


@pytest.mark.parametrize(
    "moves",
    [
        WORKFLOW_MOVES,
        NODE_MOVES[TASK_NODE],
        NODE_MOVES[WORKFLOW_NODE],
        NODE_MOVES[LAUNCH_PLAN_NODE],
        ATTEMPT_MOVES,
    ],
    ids=["execution", "task node", "workflow node", "launch plan node", "attempts"],
)
def test_the_page_has_the_diagram_of_each_table(moves):
    assert f"```mermaid\n{mermaid(moves)}\n```" in PAGE.read_text()


def test_one_diagram_stands_for_both_kinds_of_nodes_that_run_nodes():
    assert NODE_MOVES[BRANCH_NODE] == NODE_MOVES[WORKFLOW_NODE]


def test_one_diagram_stands_for_tasks_and_gates():
    assert NODE_MOVES[GATE_NODE] == NODE_MOVES[TASK_NODE]
