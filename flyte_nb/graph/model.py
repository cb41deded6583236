"""Workflows as graphs: read from a compiled closure, or from a template that may not compile.

Takes values, gives values; knows nothing of layout and colours. Source: flyteidl/core/workflow.proto,
compiler.proto at v1.16.8.
"""

from collections.abc import Iterator, Mapping

from flyteidl.core import compiler_pb2, literals_pb2, workflow_pb2

from flyte_nb.api import literals as lit
from flyte_nb.api import specs
from flyte_nb.graph.building import Drawing, short_name
from flyte_nb.graph.conditions import condition_text, scalar_text
from flyte_nb.graph.values import (
    ARRAY,
    BRANCH,
    CASE,
    END,
    FAILURE,
    GATE,
    LAUNCH_PLAN,
    ORDER,
    START,
    TASK,
    WORKFLOW,
    Graph,
    GraphEdge,
    GraphNode,
)

__all__ = ["Graph", "GraphEdge", "GraphNode", "graph_of", "graph_of_template"]

_SUBTITLES = {TASK: "", WORKFLOW: "sub-workflow", LAUNCH_PLAN: "launch plan", ARRAY: "map"}
_MAX_NESTING = 50  # of branches in branches; flytekit writes one level a `conditional`

_Node = workflow_pb2.Node


# --- from a compiled closure -----------------------------------------------------------------------


def graph_of(
    closure: "compiler_pb2.CompiledWorkflowClosure | compiler_pb2.CompiledWorkflow",
) -> Graph:
    """The primary workflow of a closure, one node a node; branches with their cases.

    The workflow's inputs and outputs are nodes of their own where it has any. Edges that the
    compiler adds only to connect orphans to start and end are left out.
    """
    compiled = (
        closure.primary if isinstance(closure, compiler_pb2.CompiledWorkflowClosure) else closure
    )
    template = compiled.template
    drawing = Drawing(short_name(template.id.name))
    nodes = [node for node in template.nodes if node.id not in (START, END)]
    for node in nodes:
        _add_node(drawing, node)
    for node in nodes:
        _add_edges(drawing, node)
    if template.HasField("failure_node"):
        _add_failure_node(drawing, template.failure_node)
    for binding in template.outputs:
        for source, var in _promises(binding.binding):
            drawing.edge(source or START, END, var=var, to=binding.var)
    interface = template.interface
    drawing.interface(sorted(interface.inputs.variables), sorted(interface.outputs.variables))
    return drawing.graph()


def _add_node(drawing: Drawing, node: _Node, depth: int = 0) -> "list[str]":
    """Add the node and, of a branch, its cases; return the ids where its outputs come out."""
    kind, name, subtitle = _target(node)
    title = short_name(node.metadata.name or name) or node.id
    if kind == BRANCH and depth < _MAX_NESTING:
        return _add_branch(drawing, node, title, depth)
    drawing.nodes.append(GraphNode(node.id, kind, title, subtitle, name))
    drawing.literals[node.id] = {
        binding.var: text for binding in node.inputs if (text := _scalar_of(binding.binding))
    }
    return [node.id]


def _target(node: _Node) -> "tuple[str, str, str]":
    """(kind, full name, subtitle) of what a node runs."""
    which = node.WhichOneof("target")
    if which == "task_node":
        return TASK, node.task_node.reference_id.name, ""
    if which == "workflow_node":
        if node.workflow_node.WhichOneof("reference") == "launchplan_ref":
            return LAUNCH_PLAN, node.workflow_node.launchplan_ref.name, _SUBTITLES[LAUNCH_PLAN]
        return WORKFLOW, node.workflow_node.sub_workflow_ref.name, _SUBTITLES[WORKFLOW]
    if which == "branch_node":
        return BRANCH, "", "branch"
    if which == "gate_node":
        return GATE, "", _gate_subtitle(node.gate_node)
    if which == "array_node":
        _, name, _ = _target(node.array_node.node)
        return ARRAY, name, _array_subtitle(node.array_node)
    return TASK, "", ""


def _gate_subtitle(gate: workflow_pb2.GateNode) -> str:
    which = gate.WhichOneof("condition")
    if which == "sleep":
        return f"sleeps {gate.sleep.duration.seconds} s"
    if which == "signal":
        return f"waits for {gate.signal.output_variable_name or 'input'}"
    return "waits for approval"


def _array_subtitle(array: workflow_pb2.ArrayNode) -> str:
    parts = [_SUBTITLES[ARRAY]]
    if array.parallelism:
        parts.append(f"{array.parallelism} at a time")
    if array.WhichOneof("success_criteria") == "min_success_ratio" and array.min_success_ratio < 1:
        parts.append(f"≥ {array.min_success_ratio:.0%} must succeed")
    return " · ".join(parts)


def _add_branch(drawing: Drawing, node: _Node, title: str, depth: int) -> "list[str]":
    block = node.branch_node.if_else
    fails = block.WhichOneof("default") == "error"
    subtitle = "else fails" if fails else "branch"
    drawing.nodes.append(GraphNode(node.id, BRANCH, title, subtitle))
    ends: list[str] = []
    for label, case in _cases(block):
        ends += _add_node(drawing, case, depth + 1)
        drawing.edge(node.id, case.id, kind=CASE, label=label)
        # What a case reads is drawn into the branch: the arrow that decides leads on from there.
        for binding in case.inputs:
            for source, var in _promises(binding.binding):
                if source and source != START:
                    drawing.edge(source, node.id, var=var, to=binding.var)
    drawing.ends[node.id] = ends
    return ends


def _cases(block: workflow_pb2.IfElseBlock) -> "Iterator[tuple[str, _Node]]":
    yield condition_text(block.case.condition), block.case.then_node
    for other in block.other:
        yield condition_text(other.condition), other.then_node
    if block.WhichOneof("default") == "else_node":
        yield "else", block.else_node


def _add_edges(drawing: Drawing, node: _Node) -> None:
    for binding in node.inputs:
        for source, var in _promises(binding.binding):
            drawing.edge(source or START, node.id, var=var, to=binding.var)
    for source in node.upstream_node_ids:
        if source != START:
            drawing.edge(source, node.id, kind=ORDER)


def _add_failure_node(drawing: Drawing, node: _Node) -> None:
    _add_node(drawing, node)
    drawn = drawing.nodes[-1]
    drawing.nodes[-1] = drawn._replace(subtitle="runs on failure")
    for binding in node.inputs:
        for source, var in _promises(binding.binding):
            drawing.edge(source or START, node.id, kind=FAILURE, var=var, to=binding.var)


def _promises(data: literals_pb2.BindingData) -> "Iterator[tuple[str, str]]":
    """(node id, variable) of everything the binding waits for."""
    waiting = [data]
    while waiting:
        item = waiting.pop()
        kind = item.WhichOneof("value")
        if kind == "promise":
            yield item.promise.node_id, item.promise.var
        elif kind == "collection":
            waiting.extend(reversed(item.collection.bindings))
        elif kind == "map":
            waiting.extend(item.map.bindings[key] for key in sorted(item.map.bindings))


def _scalar_of(data: literals_pb2.BindingData) -> str:
    return scalar_text(data.scalar) if data.WhichOneof("value") == "scalar" else ""


# --- from what an author wrote ---------------------------------------------------------------------


def graph_of_template(
    template: specs.WorkflowTemplate, names: "Mapping[str, str] | None" = None
) -> Graph:
    """A workflow as it was written, right or wrong.

    Args:
        template: may have cycles, missing nodes and bindings of the wrong type.
        names: titles by node id, where they should not be the last part of the target's name.
    """
    names = names or {}
    drawing = Drawing(short_name(template.id.name))
    for node in template.nodes:
        _add_written(drawing, node, names)
    if template.failure_node is not None:
        _add_written(drawing, template.failure_node, names, failure=True)
    for binding in template.outputs:
        for source, var in _references(binding.data):
            drawing.edge(source or START, END, var=var, to=binding.var)
    drawing.interface(list(template.interface.inputs), list(template.interface.outputs))
    return drawing.graph()


def _add_written(
    drawing: Drawing, node: specs.Node, names: "Mapping[str, str]", *, failure: bool = False
) -> None:
    if isinstance(node.target, specs.WorkflowNode):
        kind = WORKFLOW
    elif isinstance(node.target, specs.LaunchPlanNode):
        kind = LAUNCH_PLAN
    elif isinstance(node.target, specs.ArrayNode):
        kind = ARRAY
    else:
        kind = TASK
    name = node.target.reference.name
    title = names.get(node.id) or short_name(node.metadata.name or name) or node.id
    subtitle = "runs on failure" if failure else _SUBTITLES[kind]
    drawing.nodes.append(GraphNode(node.id, kind, title, subtitle, name))
    given = drawing.literals[node.id] = {}
    for binding in node.bindings:
        if isinstance(binding.data, lit.Literal):
            if text := _written_scalar(binding.data):
                given[binding.var] = text
            continue
        for source, var in _references(binding.data):
            kind = FAILURE if failure else "data"
            drawing.edge(source or START, node.id, kind=kind, var=var, to=binding.var)
    for source in node.upstream_node_ids:
        drawing.edge(source, node.id, kind=ORDER)


def _references(data: specs.BindingData) -> "Iterator[tuple[str, str]]":
    waiting: list[specs.BindingData] = [data]
    while waiting:
        item = waiting.pop()
        if isinstance(item, specs.OutputReference):
            yield item.node_id, item.var
        elif isinstance(item, specs.BindingCollection):
            waiting.extend(reversed(item.items))
        elif isinstance(item, specs.BindingMap):
            waiting.extend(item.items.values())


def _written_scalar(literal: lit.Literal) -> str:
    if literal.kind == lit.UNION:
        return _written_scalar(literal.value[0])
    if literal.kind == lit.FLOAT:
        return f"{literal.value:g}"
    if literal.kind in (lit.INTEGER, lit.BOOLEAN, lit.STRING, lit.NONE):
        return str(literal.value)
    return ""
