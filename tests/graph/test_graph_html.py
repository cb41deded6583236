"""The static figure survives a sanitizer, and its table says what the picture shows."""

import base64
import re
from collections.abc import Callable

import pytest

from flyte_nb.api.problems import Problem
from flyte_nb.graph.elements import Graph, GraphEdge, GraphNode
from flyte_nb.graph.html import describe, figure
from flyte_nb.graph.layout import layered


def picture(html: str) -> str:
    found = re.search(r'src="data:image/svg\+xml;base64,([^"]+)"', html)
    assert found
    return base64.b64decode(found[1]).decode("utf-8")


def test_the_figure_is_an_image_with_a_description_and_a_table(churn: Graph) -> None:
    html = figure(churn, phases={"n0": "SUCCEEDED"}, subtitles={"n0": "1.2 s"})
    assert '<img alt="pipeline: 6 nodes: load succeeded, split, train · 3' in html
    assert picture(html).startswith("<svg")
    assert "<td" in html
    assert "✓ succeeded" in html
    assert "train · 3, train · 5, baseline" in html  # what select comes after
    for stripped in ("<style", "<script", "<svg", "role=", "aria-", "var("):
        assert stripped not in html


def test_the_figure_without_details_is_the_image_alone(churn: Graph) -> None:
    assert "<details" not in figure(churn, details=False)


def test_a_layout_is_drawn_as_it_is(churn: Graph) -> None:
    assert picture(figure(layered(churn))) == picture(figure(churn))


def test_a_problem_is_in_the_description(wrong: Graph) -> None:
    said = describe(wrong, problems=[Problem("X", "y", "n0")])
    assert said == "pipeline: 2 nodes: train has a problem, score"


def test_names_are_escaped() -> None:
    node = GraphNode("n0", "task", '"><script>alert(1)</script>')
    html = figure(Graph("<b>", (node,), ()))
    assert "<script>" not in html
    assert "<script>" not in picture(html)


def test_a_large_graph_is_collapsed_but_its_table_has_its_nodes(
    dag: "Callable[..., Graph]",
) -> None:
    html = figure(dag("chain", 400))
    assert picture(html).count('id="node-') == 1
    assert html.count("<tr>") == 301
    assert "and 100 more" in html


@pytest.mark.parametrize("count", [0, 1])
def test_the_smallest_graphs_have_a_figure(count: int, dag: "Callable[..., Graph]") -> None:
    assert picture(figure(dag("chain", count))).endswith("</svg>")


def test_only_a_very_tall_picture_scrolls() -> None:
    def fan(width: int) -> str:
        nodes = [GraphNode(f"n{i}", "task", f"fit {i}", name=f"m.f{i}") for i in range(width + 1)]
        edges = [GraphEdge("n0", node.id) for node in nodes[1:]]
        return figure(Graph("wf", tuple(nodes), tuple(edges)))

    assert fan(100).startswith('<div style="overflow:auto;max-height:900px">')
    assert "max-height" not in fan(5).partition("<img")[0]
