"""Read the graph of a workflow template as its author wrote it, valid or not.

A workflow that does not compile has no closure; this is how its picture is drawn, with its problems
on it.
"""

from collections.abc import Iterator, Mapping

from flyte_nb.api import literals as lit
from flyte_nb.api import specs
from flyte_nb.api.nodes import (
    ARRAY_NODE,
    BRANCH_NODE,
    END_NODE,
    GATE_NODE,
    LAUNCH_PLAN_NODE,
    START_NODE,
    TASK_NODE,
    WORKFLOW_NODE,
)
from flyte_nb.graph.elements import DATA, FAILURE, ORDER, Graph, GraphNode
from flyte_nb.graph.graph_builder import GraphBuilder, map_subtitle, short_name

_KINDS: "dict[type, str]" = {
    specs.WorkflowNode: WORKFLOW_NODE,
    specs.LaunchPlanNode: LAUNCH_PLAN_NODE,
    specs.ArrayNode: ARRAY_NODE,
    specs.BranchNode: BRANCH_NODE,
    specs.ApproveNode: GATE_NODE,
    specs.SignalNode: GATE_NODE,
    specs.SleepNode: GATE_NODE,
}
_SUBTITLES = {
    TASK_NODE: "",
    WORKFLOW_NODE: "sub-workflow",
    LAUNCH_PLAN_NODE: "launch plan",
    BRANCH_NODE: "",
    GATE_NODE: "",
}
_GATES: "dict[type, str]" = {
    specs.ApproveNode: "waits for approval",
    specs.SignalNode: "waits for a value",
}


def graph_of_template(
    template: specs.WorkflowTemplate,
    names: "Mapping[str, str] | None" = None,
    *,
    sub_workflows: "Mapping[str, specs.WorkflowTemplate] | None" = None,
) -> Graph:
    """Return the graph of a template.

    Args:
        template: it may have cycles, missing nodes and bindings of wrong types.
        names: titles by node id, where they should differ from the last part of the target's name.
        sub_workflows: templates of what nodes run, at any depth, by full name. Those nodes can be
            opened.
    """
    subs = sub_workflows or {}
    top = _read(template, names or {}, subs)
    within: dict[str, Graph] = {}
    waiting = [node.opens for node in top.nodes if node.opens]
    while waiting:
        name = waiting.pop()
        if name not in within:
            within[name] = _read(subs[name], {}, subs)
            waiting += [node.opens for node in within[name].nodes if node.opens]
    return top._replace(within=within)


def _read(
    template: specs.WorkflowTemplate,
    names: "Mapping[str, str]",
    subs: "Mapping[str, specs.WorkflowTemplate]",
) -> Graph:
    """Return the graph of one template, without what it opens to."""
    builder = GraphBuilder(short_name(template.id.name), template.id.name)
    for node in template.nodes:
        _add(builder, node, names, subs)
    if template.failure_node is not None:
        _add(builder, template.failure_node, names, subs, failure=True)
    for binding in template.outputs:
        for source, var in _references(binding.data):
            builder.edge(source or START_NODE, END_NODE, var=var, to=binding.var)
    builder.interface(list(template.interface.inputs), list(template.interface.outputs))
    return builder.graph()


def _add(
    builder: GraphBuilder,
    node: specs.Node,
    names: "Mapping[str, str]",
    subs: "Mapping[str, specs.WorkflowTemplate]",
    *,
    failure: bool = False,
) -> None:
    """Add a node and the arrows of its bindings."""
    kind = _KINDS.get(type(node.target), TASK_NODE)
    reference = getattr(node.target, "reference", None)
    name = reference.name if reference is not None else ""
    title = names.get(node.id) or short_name(node.metadata.name or name) or node.id
    subtitle = "runs on failure" if failure else _subtitle(node, kind)
    opens = name if kind == WORKFLOW_NODE and name in subs else ""
    builder.nodes.append(GraphNode(node.id, kind, title, subtitle, name, (), opens))
    # Constants only help to tell equal titles apart; they are no arrows.
    given = builder.literals[node.id] = {}
    for binding in node.bindings:
        if isinstance(binding.data, lit.Literal):
            if text := _scalar(binding.data):
                given[binding.var] = text
            continue
        for source, var in _references(binding.data):
            arrow = FAILURE if failure else DATA
            builder.edge(source or START_NODE, node.id, kind=arrow, var=var, to=binding.var)
    for source in node.upstream_node_ids:
        builder.edge(source, node.id, kind=ORDER)


def _subtitle(node: specs.Node, kind: str) -> str:
    """Return the second line of a node."""
    target = node.target
    if isinstance(target, specs.SleepNode):
        return f"sleeps {target.duration_s:g} s"
    if not isinstance(target, specs.ArrayNode):
        return _GATES.get(type(target)) or _SUBTITLES[kind]
    lengths = {
        binding.var: length
        for binding in node.bindings
        if (length := _length(binding.data)) is not None
    }
    # A number of successes is not shown: without the length of the list it says little.
    ratio = 1.0 if target.min_successes is not None else target.min_success_ratio
    return map_subtitle(lengths, target.bound_inputs, target.parallelism or 0, ratio)


def _length(data: specs.BindingData) -> "int | None":
    """Return the length of a list that is written in the workflow; `None` for anything else."""
    if isinstance(data, specs.BindingCollection):
        return len(data.items)
    if isinstance(data, lit.Literal) and data.kind == lit.COLLECTION:
        return len(data.value)
    return None


def _references(data: specs.BindingData) -> "Iterator[tuple[str, str]]":
    """Yield the node id and the variable of every promise in a binding."""
    waiting: list[specs.BindingData] = [data]
    while waiting:
        item = waiting.pop()
        if isinstance(item, specs.OutputReference):
            yield item.node_id, item.var
        elif isinstance(item, specs.BindingCollection):
            waiting.extend(reversed(item.items))
        elif isinstance(item, specs.BindingMap):
            waiting.extend(item.items.values())


def _scalar(literal: lit.Literal) -> str:
    """Return a constant as text; empty for anything larger than a scalar."""
    if literal.kind == lit.UNION:
        return _scalar(literal.value[0])
    if literal.kind == lit.FLOAT:
        return f"{literal.value:g}"
    if literal.kind in (lit.INTEGER, lit.BOOLEAN, lit.STRING, lit.NONE):
        return str(literal.value)
    return ""
