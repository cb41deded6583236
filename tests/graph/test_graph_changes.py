"""Two closures are compared by what their nodes are, not by ids, which move."""

import copy
import re

from flyteidl.core import compiler_pb2

from flyte_nb.graph.changes import counts, diff
from flyte_nb.graph.elements import CHANGED, NEW, REMOVED, Graph
from flyte_nb.graph.layout import layered
from flyte_nb.graph.opening import openable, opened
from flyte_nb.graph.svg import svg

Closure = compiler_pb2.CompiledWorkflowClosure


def pipeline(*steps: "tuple[str, dict[str, object]]", version: str = "v1") -> Closure:
    """Return a workflow of tasks. An int is a constant, a text like `n0.o0` a promise."""
    closure = Closure()
    template = closure.primary.template
    template.id.name = "m.pipeline"
    for index, (name, given) in enumerate(steps):
        node = template.nodes.add(id=f"n{index}")
        node.task_node.reference_id.name = f"m.{name}"
        node.task_node.reference_id.version = version
        for var, value in given.items():
            binding = node.inputs.add(var=var).binding
            if isinstance(value, int):
                binding.scalar.primitive.integer = value
            else:
                binding.promise.node_id, _, binding.promise.var = str(value).partition(".")
                node.upstream_node_ids.append(binding.promise.node_id)
    return closure


OLD = pipeline(
    ("load", {}), ("train", {"rows": "n0.o0", "depth": 3}), ("score", {"model": "n1.o0"})
)


def marks(graph: Graph) -> "dict[str, tuple[str, str]]":
    return {node.id: (node.mark, node.why) for node in graph.nodes if node.mark}


def edge_marks(graph: Graph) -> "dict[str, str]":
    return {f"{edge.source} {edge.target}": edge.mark for edge in graph.edges if edge.mark}


def test_equal_closures_have_no_marks() -> None:
    graph = diff(OLD, OLD)
    assert marks(graph) == {}
    assert edge_marks(graph) == {}


def test_everything_is_new_when_nothing_is_registered() -> None:
    graph = diff(None, OLD)
    assert counts(graph) == {NEW: 3, CHANGED: 0, REMOVED: 0}
    assert set(edge_marks(graph).values()) == {NEW}


def test_an_inserted_node_is_the_only_new_one() -> None:
    new = pipeline(
        ("load", {}),
        ("clean", {"rows": "n0.o0"}),
        ("train", {"rows": "n1.o0", "depth": 3}),
        ("score", {"model": "n2.o0"}),
    )
    graph = diff(OLD, new)
    assert marks(graph) == {"n1": (NEW, ""), "n2": (CHANGED, "input rows")}
    assert edge_marks(graph) == {"n0 n1": NEW, "n1 n2": NEW, "n0 n2": REMOVED}


def test_an_earlier_call_of_the_same_task_moves_ids_and_changes_nothing_else() -> None:
    old = pipeline(("train", {"depth": 3}), ("train", {"depth": 5}))
    new = pipeline(("train", {"depth": 1}), ("train", {"depth": 3}), ("train", {"depth": 5}))
    assert marks(diff(old, new)) == {"n0": (NEW, "")}
    assert marks(diff(new, old)) == {"n0~": (REMOVED, "")}


def test_a_changed_input_is_named() -> None:
    new = copy.deepcopy(OLD)
    new.primary.template.nodes[1].inputs[1].binding.scalar.primitive.integer = 4
    assert marks(diff(OLD, new)) == {"n1": (CHANGED, "input depth")}


def test_another_version_of_a_task_is_a_change_unless_it_has_none_yet() -> None:
    new = copy.deepcopy(OLD)
    new.primary.template.nodes[0].task_node.reference_id.version = "v2"
    assert marks(diff(OLD, new)) == {"n0": (CHANGED, "another version")}
    assert marks(diff(OLD, new, unversioned="v2")) == {}


def test_options_and_order_are_changes() -> None:
    new = copy.deepcopy(OLD)
    new.primary.template.nodes[0].metadata.retries.retries = 3
    new.primary.template.nodes[2].upstream_node_ids.append("n0")
    found = marks(diff(OLD, new))
    assert found == {"n0": (CHANGED, "options"), "n2": (CHANGED, "upstream nodes")}


def test_a_removed_node_is_drawn_as_a_ghost_with_its_arrows() -> None:
    new = pipeline(("load", {}), ("score", {"model": "n0.o0"}))
    graph = diff(OLD, new)
    assert marks(graph) == {"n1": (CHANGED, "input model"), "n1~": (REMOVED, "")}
    assert edge_marks(graph) == {"n0 n1": NEW, "n0 n1~": REMOVED, "n1~ n1": REMOVED}


def nested(depth: int, version: str = "v1") -> Closure:
    closure = Closure()
    closure.primary.template.id.name = "m.outer"
    runs = closure.primary.template.nodes.add(id="n0").workflow_node.sub_workflow_ref
    runs.name, runs.version = "m.inner", version
    sub = closure.sub_workflows.add().template
    sub.CopyFrom(pipeline(("train", {"depth": depth})).primary.template)
    sub.id.CopyFrom(runs)
    return closure


def test_a_change_inside_a_sub_workflow_is_seen_closed_and_open() -> None:
    graph = diff(nested(3), nested(4, "v2"))
    assert marks(graph) == {"n0": (CHANGED, "another version, contents")}
    drawn = opened(graph, openable(graph))
    assert marks(drawn) == {"n0/n0": (CHANGED, "input depth")}
    assert drawn.frames[0].node.mark == CHANGED


def test_workflows_that_run_themselves_can_be_compared() -> None:
    old = nested(3)
    again = old.sub_workflows[0].template.nodes.add(id="n1")
    again.workflow_node.sub_workflow_ref.CopyFrom(old.sub_workflows[0].template.id)
    new = copy.deepcopy(old)
    new.sub_workflows[0].template.nodes[0].metadata.name = "other"
    assert marks(diff(old, new))["n0"] == (CHANGED, "contents")
    assert marks(diff(old, old)) == {}


def test_marks_are_drawn_with_words_and_signs_beside_the_colour() -> None:
    new = pipeline(("load", {}), ("clean", {"rows": "n0.o0"}), ("score", {"model": "n1.o0"}))
    drawing = svg(layered(diff(OLD, new)), theme="light")
    assert re.findall(r'<text class="c c-(\w+)"[^>]*>([^<]+)<', drawing) == [
        ("new", "+ new"),
        ("changed", "~ changed"),
        ("removed", "− removed"),
    ]
    assert drawing.count('class="g c-new"') == 2
    assert drawing.count('class="g c-removed"') == 2
    assert ">changed: input model</title>" in drawing.replace("score · m.score · ", "")
