"""What an interactive graph shows, as a function of the workflow and of what a person opened."""

from typing import Any

import pytest
from flyteidl.core import compiler_pb2

from flyte_nb.api.problems import Problem
from flyte_nb.graph.model import graph_of
from flyte_nb.notebook.cards import pieces
from flyte_nb.notebook.commands.graphing import subject_of
from flyte_nb.notebook.looking.details import Details, Places
from flyte_nb.notebook.looking.exploring import Subject, ViewState

NESTED = """\
from flyte_nb import task, workflow

@task(retries=2)
def load(n: int) -> list[int]:
    return [n]

@task(cache=True)
def fit(rows: list[int], depth: int = 3) -> float:
    return 1.0

@task
def best(scores: list[float]) -> float:
    return max(scores)

@workflow
def search(rows: list[int]) -> float:
    return best(scores=[fit(rows=rows, depth=d) for d in (3, 5)])

@workflow
def train(n: int = 3) -> float:
    rows = load(n=n)
    return best(scores=[search(rows=rows), fit(rows=rows)])
"""
WRONG = """
@workflow
def wrong(n: int) -> float:
    return fit(rows=n, depth="deep")
"""


@pytest.fixture
def nested(notebook: Any) -> Any:
    """A notebook whose session compiles for real."""
    made = notebook(real_compiler=True)
    made.run(NESTED, cell_id="define")
    return made


@pytest.fixture
def train(nested: Any) -> Subject:
    return subject_of(nested.kernel, nested.shell.user_ns["train"])


def test_the_details_of_a_node_have_its_kind_its_places_and_its_inputs(train):
    facts = train.picture(ViewState()).facts["n0"]
    assert facts["what"] == "task churn.load"
    assert ("called in", "cell [1], line 21") in facts["rows"]
    assert ("defined in", "cell [1], line 3") in facts["rows"]
    assert ("retries", "2") in facts["rows"]
    assert facts["inputs"] == (("n", "int", "← the workflow's input n"),)
    assert facts["outputs"] == (("o0", "list[int]", ""),)


def test_inner_nodes_have_their_details_and_their_own_places(train):
    picture = train.picture(ViewState(frozenset({"n1"})))
    facts = picture.facts["n1/n1"]
    assert facts["title"] == "fit · 5"
    assert ("called in", "cell [1], line 17") in facts["rows"]
    assert facts["inputs"] == (
        ("depth", "int", "= 5"),
        ("rows", "list[int]", "← the workflow's input rows"),
    )
    assert picture.facts["n1/n2"]["inputs"][0][2] == "[← fit · 3, ← fit · 5]"
    assert (picture.facts["n1"]["opens"], picture.facts["n0"]["opens"]) == ("open", "")


def test_a_node_inside_a_closed_one_is_found_at_the_closed_one(train):
    words = {id: (text, shown) for id, text, shown in train.picture(ViewState()).words}
    text, shown = words["n1/n1"]
    assert "fit · 5" in text
    assert "depth int" in text
    assert shown == "n1"
    opened = train.showing(ViewState(), "n1/n1")
    assert opened == ViewState(frozenset({"n1"}))
    assert {id: shown for id, _, shown in train.picture(opened).words}["n1/n1"] == "n1/n1"


def test_closing_forgets_what_was_open_inside(train):
    both = ViewState(frozenset({"n1", "n1/n9"}))
    assert train.toggled(both, "n1") == ViewState()
    assert train.toggled(ViewState(), "n1") == ViewState(frozenset({"n1"}))


def test_things_are_opened_down_to_a_depth(train):
    assert train.to_depth(ViewState(), 1) == ViewState(frozenset({"n1"}))
    assert train.to_depth(ViewState(), 0) == ViewState()


def test_problems_are_listed_with_their_nodes_and_found_by_search(nested):
    nested.run(WRONG)
    wrong = subject_of(nested.kernel, nested.shell.user_ns["wrong"])
    listed = wrong.listed()
    assert [(p["number"], p["node"]) for p in listed] == [
        (number, "n0") for number in range(1, len(listed) + 1)
    ]
    assert any(p["head"] == "fit.depth" and p["where"].startswith("cell [2]") for p in listed)
    facts = wrong.picture(ViewState()).facts["n0"]
    assert ("cache", "on") in facts["rows"]
    assert facts["inputs"] == (
        ("depth", "int", ""),  # what was written does not fit: the problem says so
        ("rows", "list[int]", "← the workflow's input n"),
    )
    (text,) = [text for id, text, _ in wrong.picture(ViewState()).words if id == "n0"]
    assert "depth" in text


def test_a_wide_workflow_collapses_and_its_groups_open(nested):
    nested.run(
        "@workflow\n"
        "def wide(n: int) -> float:\n"
        "    rows = load(n=n)\n"
        "    return best(scores=[fit(rows=rows, depth=d) for d in range(400)])"
    )
    wide = subject_of(nested.kernel, nested.shell.user_ns["wide"])
    closed = wide.picture(ViewState())
    (group,) = [node for node in closed.graph.nodes if node.members]
    assert len(closed.facts) < 10
    assert closed.facts[group.id]["rows"][0][1].startswith("400: fit · 0, fit · 1")
    assert len(wide.picture(wide.toggled(ViewState(), group.id)).facts) > 400
    assert wide.showing(ViewState(), "n7").opened == {group.id}


def test_the_text_of_a_problem_does_not_repeat_its_head():
    said = Problem("MismatchingTypes", "fit.depth: Expected int, got str.", "n1", "depth")
    assert pieces.short_message(said) == "Expected int, got str."
    for message in ("depth: what", "The input depth of fit is missing.", "It is fit.depth: no"):
        assert pieces.short_message(said._replace(message=message)) == message


def test_the_overview_of_an_empty_workflow_does_not_ask_for_a_click(nested):
    nested.run("@workflow\ndef empty() -> None:\n    pass", cell_id="empty")
    subject = subject_of(nested.kernel, nested.shell.user_ns["empty"])
    assert subject.picture(ViewState()).overview == ()
    assert [problem["text"] for problem in subject.listed()] == ["The workflow calls nothing."]


def test_details_list_every_resource_also_an_unknown_one():
    closure = compiler_pb2.CompiledWorkflowClosure()
    nodes = closure.primary.template.nodes
    nap = nodes.add(id="n0")
    nap.gate_node.sleep.duration.seconds = 2**62
    late = nodes.add(id="n1")
    late.task_node.reference_id.name = "m.late"
    late.metadata.timeout.seconds = 5400
    late.task_node.overrides.resources.requests.add(name=77, value="1")
    graph = graph_of(closure)
    details = Details(graph, closure, Places({}, {}, lambda place: ""))
    rows = [dict(details.of(node).rows) for node in graph.nodes]
    assert rows[0]["sleeps"].endswith(" h")
    assert (rows[1]["timeout"], rows[1]["requests"]) == ("1 h 30 min", "77 1")
