"""Pictures of entities: phases by path, tasks between inputs and outputs, clear refusals."""

from pathlib import Path
from typing import Any

import pytest

from flyte_nb import LaunchPlan, task, workflow
from flyte_nb.api.errors import RemoteError, UsageError
from flyte_nb.api.identifiers import Scope
from flyte_nb.discovery.specs.registrar import read_specs
from flyte_nb.drafting.compiling import Compiled, compile_entity
from flyte_nb.executions.paths import phases_of
from flyte_nb.executions.views import NodeView
from flyte_nb.graph.elements import NEW
from flyte_nb.session.pictures import picture
from flyte_nb.types.registry import default_registry


@task
def load(url: str) -> int:
    return len(url)


@workflow
def inner(url: str) -> int:
    return load(url=url)


@workflow
def outer(url: str) -> int:
    return inner(url=url)


SPECS = """
kind: Task
id: {name: files.count}
type: raw-container
interface:
  inputs: {variables: {n: {type: {simple: INTEGER}}}}
  outputs: {variables: {o0: {type: {simple: INTEGER}}}}
container: {image: x, command: [count]}
---
kind: Workflow
id: {name: files.flow}
nodes: [{id: n0, task_node: {reference_id: {name: files.gone}}}]
---
kind: LaunchPlan
id: {name: files.plan}
workflow_id: {name: files.gone}
"""


class Here:
    """A session with nothing registered."""

    def compile(self, entity: Any) -> Compiled:
        return compile_entity(entity, Scope("p", "d", __name__), default_registry())

    def fetch_workflow(self, name: str, version: "str | None" = None) -> Any:
        raise RemoteError(f"There is no workflow {name}.", code="NOT_FOUND")

    def versioned(self, entity: Any) -> "list[Any]":
        return []


def test_phases_are_known_by_path_and_a_branch_is_no_step() -> None:
    nodes = [
        NodeView("n0", "n0", "sub", "RUNNING", "workflow"),
        NodeView("n0-0-n1", "n1", "choose", "RUNNING", "branch", parent_id="n0"),
        NodeView("n0-0-n2", "n2", "case", "SUCCEEDED", "task", parent_id="n0-0-n1"),
    ]
    assert phases_of(nodes) == {"n0": "RUNNING", "n0/n1": "RUNNING", "n0/n2": "SUCCEEDED"}
    ring = [NodeView(a, a, a, "QUEUED", "task", parent_id=b) for a, b in ("ab", "ba")]
    assert set(phases_of(ring)) == {"b/a", "a/b"}


def test_what_is_to_be_open_is_named_by_function_id_or_depth() -> None:
    for options in ({"open": "inner"}, {"open": ["n0"]}, {"depth": 1}, {"open": "all"}):
        drawn = picture(Here(), outer, **options).graph
        assert [frame.node.id for frame in drawn.frames] == ["n0"]
    with pytest.raises(UsageError, match=r"called 'nope'\. Nodes that can be opened: inner"):
        picture(Here(), outer, open="nope")


def test_a_task_stands_between_its_inputs_and_outputs_with_their_types() -> None:
    drawn = picture(Here(), load, types=True).graph
    assert [node.title for node in drawn.nodes] == ["inputs", "load", "outputs"]
    assert [edge.label for edge in drawn.edges] == ["str", "int"]


def test_a_list_gathered_from_many_nodes_says_its_type_once() -> None:
    @task
    def one(n: int) -> float:
        return n / 2

    @task
    def best(scores: list[float]) -> float:
        return max(scores)

    @workflow
    def gathered(n: int) -> float:
        return best(scores=[one(n=n), one(n=n), one(n=n)])

    labels = [edge.label for edge in picture(Here(), gathered, types=True).graph.edges]
    assert labels.count("float") == 2  # in front of best, and of the outputs
    assert set(labels) == {"", "int", "float"}


def test_compared_with_nothing_all_is_new_and_a_task_cannot_be_compared() -> None:
    drawn = picture(Here(), outer, diff=True).graph
    assert {node.mark for node in drawn.nodes} == {NEW}
    with pytest.raises(UsageError, match="cannot be compared"):
        picture(Here(), load, diff=True)


@pytest.mark.parametrize("value", [3, LaunchPlan, Here()])
def test_what_is_no_entity_is_refused(value: Any) -> None:
    with pytest.raises(UsageError, match="is no task, workflow or launch plan"):
        picture(Here(), value)


def test_a_spec_from_a_file_has_a_graph(tmp_path: Path) -> None:
    path = tmp_path / "specs.yaml"
    path.write_text(SPECS)
    counted, flow, plan = read_specs([str(path)]).specs
    titles = [node.title for node in picture(Here(), counted).graph.nodes]
    assert titles == ["inputs", "count", "outputs"]
    assert picture(Here(), flow).problems[0].code == "TaskReferenceNotFound"
    assert picture(Here(), plan).problems[0].code == "WorkflowReferenceNotFound"
