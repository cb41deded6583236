"""The graph's script in a page: the first view, keys, the place it takes, and what it leaves behind."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parent))  # for `page`

from page import chromium_or_skip, open_graph, traits

from flyte_nb.api.nodes import TASK_NODE
from flyte_nb.graph.elements import Graph, GraphEdge, GraphNode
from flyte_nb.graph.layout import layered
from flyte_nb.graph.svg import svg

AT_REST = '<div class="at" style="width:900px"><p>at rest</p></div>'


@pytest.fixture(scope="module")
def browser() -> "Iterator[Any]":
    yield from chromium_or_skip()


def fan(width: int) -> "dict[str, Any]":
    """Return the traits of a graph with one node and `width` nodes that follow it."""
    nodes = [GraphNode(f"n{i}", TASK_NODE, f"fit {i}") for i in range(width + 1)]
    edges = [GraphEdge("n0", node.id) for node in nodes[1:]]
    graph = Graph("wf", tuple(nodes), tuple(edges))
    facts = {
        node.id: {
            "title": node.title, "what": "task", "opens": "", "change": "", "outputs": [],
            "rows": [["called in", "cell [1]"]] * (6 if node.id == "n0" else 1), "inputs": [],
        }
        for node in nodes
    }  # fmt: skip
    drawn = svg(layered(graph), theme="page", opens=True)
    overview = ["5 nodes", "Click a node."]
    return {"svg": drawn, "facts": facts, "anchor": "at", "overview": overview}


def test_a_tall_graph_is_first_seen_at_a_size_that_can_be_read(browser: Any) -> None:
    page = open_graph(browser, traits(**fan(30), can={"stacked": True}), body=AT_REST)
    page.wait_for_function("""() => {
      const stage = document.querySelector('.fnb-stage');
      return Math.abs(stage.clientWidth / stage.querySelector('svg').viewBox.baseVal.width - 1) < 0.01;
    }""")
    page.keyboard.press("Tab")
    page.locator(".fnb-stage").press("0")
    whole = "() => document.querySelector('.fnb-stage svg').viewBox.baseVal.height > 1500"
    page.wait_for_function(whole)
    page.close()


def test_the_graph_gets_keys_before_the_notebook_does(browser: Any) -> None:
    page = open_graph(browser, traits(**fan(3), can={}), body=AT_REST)
    page.evaluate("""() => document.addEventListener('keydown', (event) => {
      event.preventDefault();
      event.stopPropagation();
    }, true)""")
    page.locator(".fnb-stage").press("End")
    assert page.locator(".fnb-selected").get_attribute("id") == "node-n3"
    page.evaluate("() => window.ends.forEach((end) => end && end())")
    page.keyboard.press("Home")
    assert page.evaluate("() => model.get('selected')") == "n3"
    page.close()


def test_selecting_another_node_does_not_move_what_is_below_the_graph(browser: Any) -> None:
    page = open_graph(browser, traits(**fan(3), can={"stacked": True}), body=AT_REST)
    height = "() => document.querySelector('.fnb-details').offsetHeight"
    quiet = page.evaluate(height)
    page.locator("[id='node-n0']").click()
    full = page.evaluate(height)
    page.locator("[id='node-n1']").click()
    assert page.evaluate(height) == full > quiet
    page.locator(".fnb-stage").press("Escape")
    assert page.evaluate(height) == quiet
    page.close()


def test_beside_a_narrow_stage_there_are_no_details(browser: Any) -> None:
    body = AT_REST.replace("900px", "600px")
    page = open_graph(browser, traits(**fan(3), can={}), body=body)
    boxes = [page.locator(name).bounding_box() for name in (".fnb-stage", ".fnb-details")]
    assert boxes[1]["y"] >= boxes[0]["y"] + boxes[0]["height"]
    page.close()


def test_a_graph_that_closes_leaves_the_picture_and_no_observer(browser: Any) -> None:
    page = open_graph(browser, traits(**fan(3), can={}), body=AT_REST)
    page.evaluate("""() => {
      window.drawing = document.querySelector('.fnb-stage svg');
      window.ends.forEach((end) => end && end());
      document.body.append(document.querySelector('.fnb-stage') || drawing.parentElement);
    }""")
    assert page.get_by_text("at rest").is_visible()
    before = page.evaluate("() => drawing.getAttribute('viewBox')")
    page.evaluate("""() => new Promise((done) => {
      drawing.parentElement.style.width = '300px';
      requestAnimationFrame(() => requestAnimationFrame(done));
    })""")
    assert page.evaluate("() => drawing.getAttribute('viewBox')") == before
    page.evaluate("() => model.set('svg', '<svg></svg>')")
    assert page.evaluate("() => drawing.isConnected")
    page.close()
