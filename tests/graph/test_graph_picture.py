"""A picture is given in every format, and a file is written whole or not at all."""

import importlib.util
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyte_nb.api.errors import UsageError
from flyte_nb.api.nodes import END_NODE, START_NODE, TASK_NODE, WORKFLOW_NODE
from flyte_nb.api.problems import Problem
from flyte_nb.graph.elements import CASE, Graph, GraphEdge, GraphFrame, GraphNode
from flyte_nb.graph.picture import GraphPicture
from flyte_nb.graph.pins import pinned
from flyte_nb.graph.sources import dot_source, mermaid_source
from flyte_nb.graph.typed import typed

GOLDENS = Path(__file__).parent / "goldens"


@pytest.fixture
def framed() -> Graph:
    """A sub-workflow that is open, with a task before and behind."""
    inner = (
        GraphNode(f"n1/{START_NODE}", "inputs", "inputs", "x"),
        GraphNode("n1/n0", TASK_NODE, 'say "hi" & <bye>'),
        GraphNode(f"n1/{END_NODE}", "outputs", "outputs", "o0"),
    )
    nodes = (GraphNode("n0", TASK_NODE, "load"), *inner, GraphNode("n2", TASK_NODE, "save"))
    edges = (
        GraphEdge("n0", "n1", variables=(("o0", "x"),), types=("list[int]",)),
        GraphEdge(f"n1/{START_NODE}", "n1/n0"),
        GraphEdge("n1/n0", f"n1/{END_NODE}"),
        GraphEdge("n1", "n2", CASE, "x > 3"),
    )
    frame = GraphFrame(
        GraphNode("n1", WORKFLOW_NODE, "clean", "sub-workflow", "m.clean"),
        tuple(n.id for n in inner),
    )
    return Graph("pipeline", nodes, edges, "m.pipeline", (frame,))


@pytest.mark.parametrize(("language", "write"), [("gv", dot_source), ("mmd", mermaid_source)])
@pytest.mark.parametrize("name", ["kinds", "framed"])
def test_sources_are_the_golden_ones(
    name: str, language: str, write: "Callable[[Graph], str]", request: pytest.FixtureRequest
) -> None:
    path = GOLDENS / f"{name}.{language}"
    assert write(request.getfixturevalue(name)) == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("suffix", [".svg", ".html", ".dot", ".gv", ".mmd", ".txt", ".SVG"])
def test_a_file_has_the_format_of_its_suffix(suffix: str, churn: Graph, tmp_path: Path) -> None:
    picture = GraphPicture(churn)
    path = picture.save(tmp_path / "new" / f"graph{suffix}")
    text = path.read_text(encoding="utf-8")
    begins = {
        ".svg": "<svg",
        ".html": "<!doctype html>",
        ".dot": 'digraph "pipeline"',
        ".gv": 'digraph "pipeline"',
        ".mmd": "flowchart LR",
        ".txt": "pipeline\n",
    }
    assert text.startswith(begins[suffix.lower()])
    assert [item.name for item in path.parent.iterdir()] == [path.name]


def test_a_file_name_without_a_known_suffix_is_refused_with_the_known_ones(
    churn: Graph, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"'graph\.pdf' is not a known format.*\.svg, \.png"):
        GraphPicture(churn).save(tmp_path / "graph.pdf")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written_is_a_clear_error(churn: Graph, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        GraphPicture(churn).save(tmp_path / "file" / "graph.svg")


def test_graphviz_that_is_not_there_is_missed_where_it_is_asked_for(
    churn: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UsageError, match="The dot engine needs Graphviz"):
        GraphPicture(churn, engine="dot")


@pytest.mark.parametrize("script", ["exit 1", "echo 'no json'"])
def test_a_dot_that_fails_is_told_below_the_tree_and_raises_nothing(
    churn: Graph, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str
) -> None:
    dot = tmp_path / "dot"
    dot.write_text(f"#!/bin/sh\n{script}\n")
    dot.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    shown = GraphPicture(churn, engine="dot")._repr_mimebundle_()
    assert "dot could not lay the graph out" in shown["text/plain"]
    assert shown["text/plain"].startswith(GraphPicture(churn).text)


def test_an_unknown_engine_or_theme_is_refused(churn: Graph) -> None:
    with pytest.raises(UsageError, match="engine='neato' is not known: write 'layered' or 'dot'"):
        GraphPicture(churn, engine="neato")
    with pytest.raises(UsageError, match="theme='sepia'"):
        GraphPicture(churn, theme="sepia")


@pytest.mark.skipif(importlib.util.find_spec("resvg_py") is None, reason="resvg is not installed")
def test_a_png_has_its_scale_and_a_limit(churn: Graph) -> None:
    picture = GraphPicture(churn, theme="dark")
    drawn = picture.png(scale=1.5)
    assert drawn.startswith(b"\x89PNG")
    assert int.from_bytes(drawn[16:20], "big") == round(picture.layout.width * 1.5)
    with pytest.raises(UsageError, match="Use another scale"):
        picture.png(scale=1e6)
    with pytest.raises(UsageError, match="Use another scale"):
        picture.png(scale=0)


def test_a_notebook_gets_an_image_and_a_tree(churn: Graph) -> None:
    picture = GraphPicture(churn, phases={"n0": "SUCCEEDED"})
    bundle = picture._repr_mimebundle_()
    assert set(bundle) == {"text/html", "text/plain"}
    assert 'src="data:image/svg+xml;base64,' in bundle["text/html"]
    assert "✓ load" in bundle["text/plain"]
    assert repr(picture) == "<graph of pipeline: 6 nodes>"


@pytest.mark.skipif(shutil.which("dot") is None, reason="dot is not installed")
@given(st.text(max_size=30), st.text(max_size=30))
def test_dot_reads_any_name(title: str, label: str) -> None:
    nodes = (GraphNode(title, TASK_NODE, title), GraphNode(f"{title}+", TASK_NODE, label))
    source = dot_source(Graph(title, nodes, (GraphEdge(title, f"{title}+", CASE, label),)))
    done = subprocess.run(["dot", "-Tplain"], input=source.encode(), capture_output=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(b"\nnode ") == 2


@given(st.text(max_size=40), st.text(max_size=40))
def test_no_name_leaves_its_quotes_in_mermaid(title: str, label: str) -> None:
    nodes = (GraphNode("a", TASK_NODE, title), GraphNode("b", WORKFLOW_NODE, label))
    graph = Graph(title, nodes, (GraphEdge("a", "b", CASE, label),))
    lines = mermaid_source(graph).splitlines()
    assert len(lines) == 4
    assert re.fullmatch(r'  n0\["[^"]*"\]', lines[1])
    assert re.fullmatch(r'  n1\[\["[^"]*"\]\]', lines[2])
    assert re.fullmatch(r'  n0 ==>(\|"[^"]+"\|)? n1', lines[3])
    assert not set("<>`\\") & set(mermaid_source(graph).replace("==>", "").replace("<br/>", ""))


def test_types_stand_once_in_front_of_each_node() -> None:
    nodes = tuple(GraphNode(name, TASK_NODE, name) for name in "abc")
    edges = (
        GraphEdge("a", "c", variables=(("o0", "rows"),), types=("dataset",)),
        GraphEdge("b", "c", variables=(("o0", "depth"), ("o1", "x")), types=("int", "")),
        GraphEdge("a", "b", variables=(("o0", "x"),), types=("list[int]",)),
    )
    graph = typed(Graph("g", nodes, edges))
    assert [edge.label for edge in graph.edges] == ["rows: dataset, depth: int", "", "list[int]"]


def test_a_problem_is_shown_on_its_node_or_on_the_closed_node_around_it(framed: Graph) -> None:
    problems = (
        Problem("X", "of the workflow", "n2", "x", entity="m.pipeline"),
        Problem("X", "of the sub-workflow", "n0", "y", entity="m.clean"),
        Problem("X", "of nobody here", "n0", entity="m.other"),
    )
    assert pinned(framed, problems).numbers == {"n2": [1], "n1/n0": [2]}
    inner = Graph("clean", (GraphNode("n0", TASK_NODE, "t", "", "m.deep"),), (), "m.clean")
    closed = Graph(
        "pipeline",
        (
            GraphNode("n1", WORKFLOW_NODE, "clean", "", "m.clean", (), "k"),
            GraphNode("n2", TASK_NODE, "save"),
        ),
        (),
        "m.pipeline",
        (),
        {"k": inner},
    )
    deep = Problem("X", "of a task inside", entity="m.deep")
    assert pinned(closed, (*problems, deep)).numbers == {"n1": [2, 4], "n2": [1]}
