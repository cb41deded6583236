"""The SVG is well formed for any name, can be recoloured, and is the same every time."""

import itertools
import os
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyte_nb.api.nodes import TASK_NODE
from flyte_nb.api.problems import Problem
from flyte_nb.graph.elements import GROUP, Graph, GraphEdge, GraphNode
from flyte_nb.graph.layout import SUBTITLE_SIZE, TITLE_SIZE, layered
from flyte_nb.graph.metrics import text_width
from flyte_nb.graph.palette import MARK_PATHS, PHASE_STYLES
from flyte_nb.graph.svg import group_phase, marks, svg
from flyte_nb.graph.svg_style import THEMES

GOLDENS = Path(__file__).parent / "goldens"
NS = "{http://www.w3.org/2000/svg}"
PHASES = {
    "n0": "SUCCEEDED",
    "n1": "CACHED",
    "n2": "RUNNING",
    "n3": "FAILED",
    "n4": "SUCCEEDED",
    "n5": "QUEUED",
}
PROBLEMS = (
    Problem("MismatchingTypes", "expects int", "n0", "depth"),
    Problem("ParameterNotBound", "is not given", "n1", "rows"),
    Problem("MismatchingTypes", "expects a model", "n1", "model"),
)


def groups(document: str) -> "dict[str, ET.Element]":
    root = ET.fromstring(document)
    return {group.get("id", ""): group for group in root.iter(f"{NS}g")}


def lines(group: ET.Element) -> "list[str]":
    return [element.text or "" for element in group.iter(f"{NS}text")]


@pytest.mark.parametrize("theme", THEMES)
def test_the_drawing_is_the_golden_one(
    theme: str, churn: Graph, wrong: Graph, kinds: Graph
) -> None:
    drawings = {
        "churn": svg(
            layered(churn), phases=PHASES, subtitles={"n2": "0:31 · 1.0 cpu"}, theme=theme
        ),
        "wrong": svg(layered(wrong), problems=PROBLEMS, theme=theme),
        "kinds": svg(layered(kinds), theme=theme, live=True),
    }
    for name, drawing in drawings.items():
        path = GOLDENS / f"{name}-{theme}.svg"
        if os.environ.get("WRITE_GOLDENS"):
            path.write_text(drawing + "\n", encoding="utf-8")
        assert drawing + "\n" == path.read_text(encoding="utf-8"), (
            f"{path.name} differs; look at it, then write it with WRITE_GOLDENS=1"
        )


def test_a_node_shows_its_phase_by_attribute_mark_and_word(churn: Graph) -> None:
    found = groups(svg(layered(churn), phases=PHASES))
    for node_id, phase in PHASES.items():
        group = found[f"node-{node_id}"]
        assert group.get("data-phase") == phase
        mark = group.find(f"{NS}path[@class='m']")
        assert mark is not None
        assert mark.get("d") == MARK_PATHS[PHASE_STYLES[phase].shape]
        assert lines(group)[1] == PHASE_STYLES[phase].word


def test_a_node_without_a_phase_has_no_mark(churn: Graph) -> None:
    group = groups(svg(layered(churn)))["node-n0"]
    assert group.get("data-phase") == ""
    assert group.find(f"{NS}path[@class='m']") is None


def test_a_live_graph_has_a_mark_and_a_second_line_everywhere_and_every_phase_in_its_style(
    kinds: Graph,
) -> None:
    drawing = svg(layered(kinds), live=True, theme="page")
    for node in kinds.nodes[1:-1]:
        group = groups(drawing)[f"node-{node.id}"]
        assert group.find(f"{NS}path[@class='m']") is not None
        assert len(lines(group)) == 2
    for phase in PHASE_STYLES:
        assert f"[data-phase={phase}]" in drawing
    assert set(marks()) == set(PHASE_STYLES)


def test_arrows_into_a_running_node_are_live(churn: Graph) -> None:
    drawing = svg(layered(churn), phases=PHASES)
    live = re.findall(r'class="e live" data-s="(\w+)" data-t="(\w+)"', drawing)
    assert live == [("n1", "n2")]


def test_a_problem_is_drawn_on_its_node_with_its_number_and_on_its_arrow(wrong: Graph) -> None:
    drawing = svg(layered(wrong), problems=PROBLEMS)
    found = groups(drawing)
    assert found["node-n0"].get("data-phase") == "PROBLEM"
    assert lines(found["node-n0"]) == ["train", "depth", "1"]
    assert lines(found["node-n1"]) == ["score", "rows, model", "2,3"]
    bad = re.findall(r'class="e bad" data-s="([\w-]+)" data-t="([\w-]+)"', drawing)
    assert bad == [("n0", "n1")]


def test_a_group_shows_what_needs_attention_first() -> None:
    group = GraphNode("n0", GROUP, "train × 3", members=("n0", "n1", "n2"))
    layout = layered(Graph("g", (group,), ()))
    phases = {"n0": "SUCCEEDED", "n1": "FAILED", "n2": "RUNNING"}
    shown = groups(svg(layout, phases={**phases, "n0": "SUCCEEDED"}))["node-n0"]
    assert shown.get("data-phase") == "FAILED"
    assert group_phase(["SUCCEEDED", "CACHED"]) == "SUCCEEDED"
    assert group_phase(["SUCCEEDED", ""]) == "RUNNING"
    assert group_phase(["", ""]) == "QUEUED"


def test_the_page_theme_follows_the_notebook_and_auto_the_system(churn: Graph) -> None:
    layout = layered(churn)
    pages = ':is([data-jp-theme-light="false"],.vscode-dark,[data-theme="dark"])'
    assert f"{pages} .fnb-graph" in svg(layout, theme="page")
    assert "prefers-color-scheme:dark" in svg(layout, theme="auto")
    assert "prefers-color-scheme" not in svg(layout, theme="dark")


def test_an_unknown_theme_is_refused(churn: Graph) -> None:
    with pytest.raises(ValueError, match="theme='sepia' is not known: write one of light"):
        svg(layered(churn), theme="sepia")


names = st.text(max_size=60)


@given(st.lists(st.tuples(names, names, names, names), max_size=4), names)
def test_any_name_gives_a_well_formed_document(
    rows: "list[tuple[str, str, str, str]]", title: str
) -> None:
    nodes = tuple(
        GraphNode(f"{i}{row[0]}", TASK_NODE, row[1], row[2], row[3]) for i, row in enumerate(rows)
    )
    pairs = itertools.pairwise(nodes)
    edges = tuple(GraphEdge(a.id, b.id, "case", b.title) for a, b in pairs)
    problems = [Problem("X", title, node.id, title) for node in nodes[:1]]
    root: Any = ET.fromstring(svg(layered(Graph(title, nodes, edges)), problems=problems))
    assert root.tag == f"{NS}svg"
    assert not list(root.iter(f"{NS}script"))


@given(st.lists(st.tuples(names, names), min_size=1, max_size=3), st.sampled_from(["", "RUNNING"]))
def test_no_title_leaves_its_node(rows: "list[tuple[str, str]]", phase: str) -> None:
    nodes = tuple(GraphNode(f"n{i}", TASK_NODE, title, sub) for i, (title, sub) in enumerate(rows))
    layout = layered(Graph("g", nodes, ()))
    phases = {node.id: phase for node in nodes} if phase else {}
    for placed, group in zip(
        layout.nodes, groups(svg(layout, phases=phases)).values(), strict=True
    ):
        for element, size in zip(
            group.iter(f"{NS}text"), (TITLE_SIZE, SUBTITLE_SIZE), strict=False
        ):
            end = float(element.get("x", "0")) + text_width(element.text or "", size)
            assert end <= placed.width + 1e-6


def test_a_node_takes_at_most_half_a_kilobyte() -> None:
    nodes = tuple(
        GraphNode(f"n{i}", TASK_NODE, f"task_{i}", "", f"my.module.task_{i}") for i in range(500)
    )
    edges = tuple(GraphEdge(f"n{i // 2}", f"n{i}") for i in range(1, 500))
    assert len(svg(layered(Graph("g", nodes, edges)))) / 500 <= 500


def test_hovering_over_a_live_arrow_shows_what_it_carries(wrong: Graph) -> None:
    assert "<title>o0 → model</title></path>" in svg(layered(wrong), live=True)
    assert "o0 → model" not in svg(layered(wrong))


def test_an_arrow_that_closes_a_cycle_is_drawn_as_wrong() -> None:
    nodes = (GraphNode("a", TASK_NODE, "a"), GraphNode("b", TASK_NODE, "b"))
    pairs = ("ab", "ba", "aa")
    drawing = svg(layered(Graph("g", nodes, tuple(GraphEdge(*pair) for pair in pairs))))
    assert drawing.count('class="e bad"') == 2
