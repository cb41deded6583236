"""`docs/propeller.md` shows the engine as it is. Run this file to write its diagrams anew from the tables."""

import re
from pathlib import Path

import pytest

from flyte_nb.propeller.tables import ATTEMPT_MOVES, NODE_MOVES, WORKFLOW_MOVES, mermaid

PAGE = Path(__file__).resolve().parents[2] / "docs" / "propeller.md"
TABLES = {"execution": WORKFLOW_MOVES, "attempts": ATTEMPT_MOVES, **NODE_MOVES}
BLOCK = re.compile(r"<!-- moves: ([\w, ]+) -->\n```mermaid\n.*?\n```", re.DOTALL)


def kinds_of(block: "re.Match[str]") -> list[str]:
    return block.group(1).split(", ")


def diagram(block: "re.Match[str]") -> str:
    text = mermaid(TABLES[kinds_of(block)[0]])
    return f"<!-- moves: {block.group(1)} -->\n```mermaid\n{text}\n```"


BLOCKS = list(BLOCK.finditer(PAGE.read_text()))


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.group(1))
def test_the_page_has_the_diagram_of_each_table(block):
    assert block.group() == diagram(block), f"Write it anew: python {Path(__file__).name}"
    tables = [TABLES[kind] for kind in kinds_of(block)]
    assert all(table == tables[0] for table in tables), "one diagram stands for equal tables"


def test_every_kind_of_node_has_its_diagram():
    shown = [kind for block in BLOCKS for kind in kinds_of(block)]
    # A start node has one move, and an end node is said in a sentence.
    assert sorted(shown) == sorted({*TABLES} - {"start", "end"})


if __name__ == "__main__":
    PAGE.write_text(BLOCK.sub(diagram, PAGE.read_text()))
