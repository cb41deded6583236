"""Read the graph of a compiled closure.

Knows nothing of layout and colours. Source: flyteidl/core/workflow.proto and compiler.proto at
v1.16.8.
"""

from collections.abc import Iterator

from flyteidl.core import compiler_pb2, literals_pb2, workflow_pb2

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
from flyte_nb.graph.conditions import condition_text, duration_text, scalar_text
from flyte_nb.graph.elements import CASE, DATA, FAILURE, ORDER, Graph, GraphNode
from flyte_nb.graph.graph_builder import GraphBuilder, map_subtitle, short_name
from flyte_nb.graph.type_words import Interfaces, Words, key_of

_MAX_NESTING = 50  # branches inside branches; an SDK writes one level for each nested `conditional`

_Node = workflow_pb2.Node


def graph_of(
    closure: "compiler_pb2.CompiledWorkflowClosure | compiler_pb2.CompiledWorkflow",
) -> Graph:
    """Return the graph of a closure's primary workflow: one node for each node, branches with their cases.

    The workflow's inputs and outputs are nodes of their own, where it has any. Edges that the
    compiler only adds to connect orphans with the start and the end are left out. What
    sub-workflows and maps run is in `Graph.within`, each once, however often it is used. A
    sub-workflow that is not in the closure cannot be opened.
    """
    if isinstance(closure, compiler_pb2.CompiledWorkflow):
        # A workflow alone, without tasks and sub-workflows: nothing opens and no types are known.
        return _ClosureReader(compiler_pb2.CompiledWorkflowClosure()).read(closure.template)
    return _ClosureReader(closure).read(closure.primary.template)


class _ClosureReader:
    """Read a closure: its primary workflow, and every workflow and map that can be opened in it."""

    def __init__(self, closure: compiler_pb2.CompiledWorkflowClosure) -> None:
        self.subs = {key_of(sub.template.id): sub.template for sub in closure.sub_workflows}
        self.interfaces = Interfaces(closure)
        # Maps have no template of their own, so their nodes are kept here until they are read.
        self._maps: dict[str, _Node] = {}

    def read(self, template: workflow_pb2.WorkflowTemplate) -> Graph:
        """Return the template's graph, with the graphs of everything that can be opened in it."""
        top = _LevelReader(self, "").workflow(template)
        within: dict[str, Graph] = {}
        # A list of what is left to read, and not recursion: a closure from outside may contain
        # itself.
        waiting = [node.opens for node in top.nodes if node.opens]
        while waiting:
            key = waiting.pop()
            if key in within:
                continue
            if key in self._maps:
                within[key] = _LevelReader(self, key).mapped(self._maps.pop(key))
            else:
                within[key] = _LevelReader(self, key).workflow(self.subs[key])
            waiting += [node.opens for node in within[key].nodes if node.opens]
        return top._replace(within=within)

    def opens_map(self, key: str, node: _Node) -> str:
        """Remember what a map runs, to be read after the level it is in, and return its key."""
        self._maps[key] = node
        return key


class _LevelReader:
    """Read one level: a workflow, or what a map runs."""

    def __init__(self, closure: _ClosureReader, key: str) -> None:
        self._closure = closure
        self._key = key
        self._builder = GraphBuilder("")
        self._nodes: dict[str, _Node] = {}
        self._inputs: Words = {}

    def workflow(self, template: workflow_pb2.WorkflowTemplate) -> Graph:
        """Return the graph of a workflow, without what it opens to."""
        builder = self._builder
        builder.title, builder.name = short_name(template.id.name), template.id.name
        self._inputs = self._closure.interfaces.words(template.interface.inputs)
        nodes = [node for node in template.nodes if node.id not in (START_NODE, END_NODE)]
        for node in nodes:
            self._add(node)
        # After all nodes were added: a promise may refer to any of them.
        for node in nodes:
            self._edges(node)
            # Every promise is an upstream node too. `GraphBuilder.edge` merges the two, and data is the
            # stronger kind.
            for source in node.upstream_node_ids:
                if source != START_NODE:
                    builder.edge(source, node.id, kind=ORDER)
        if template.HasField("failure_node"):
            self._failure(template.failure_node)
        for binding in template.outputs:
            self._bind(binding, END_NODE)
        interface = template.interface
        builder.interface(sorted(interface.inputs.variables), sorted(interface.outputs.variables))
        return builder.graph()

    def mapped(self, node: _Node) -> Graph:
        """Return the graph of what one element of a map runs, between the map's inputs and outputs."""
        builder = self._builder
        inner = node.array_node.node
        self._add(inner)
        builder.title = builder.nodes[0].title
        inputs, outputs = self._closure.interfaces.of(inner)
        for binding in node.inputs:
            builder.edge(
                START_NODE,
                inner.id,
                var=binding.var,
                to=binding.var,
                type=inputs.get(binding.var, ""),
            )
        for var, word in outputs.items():
            builder.edge(inner.id, END_NODE, var=var, to=var, type=word)
        builder.interface([binding.var for binding in node.inputs], list(outputs))
        return builder.graph()

    def _add(self, node: _Node, depth: int = 0) -> "list[str]":
        """Add a node and, for a branch, its cases; return the ids of the nodes that make its outputs."""
        kind, name, subtitle = _target(node)
        title = short_name(node.metadata.name or name) or node.id
        if kind == BRANCH_NODE and depth < _MAX_NESTING:
            return self._branch(node, title, depth)
        builder = self._builder
        self._nodes[node.id] = node
        builder.nodes.append(GraphNode(node.id, kind, title, subtitle, name, (), self._opens(node)))
        builder.literals[node.id] = {
            binding.var: text for binding in node.inputs if (text := _scalar_of(binding.binding))
        }
        return [node.id]

    def _opens(self, node: _Node) -> str:
        """Return the key of what the node opens to, or an empty text."""
        which = node.WhichOneof("target")
        if which == "workflow_node" and node.workflow_node.HasField("sub_workflow_ref"):
            # A node of another client may refer to a sub-workflow that the closure lacks: it does
            # not open.
            key = key_of(node.workflow_node.sub_workflow_ref)
            return key if key in self._closure.subs else ""
        if which == "array_node" and node.array_node.node.id:
            return self._closure.opens_map(f"{self._key}/{node.id}", node)
        return ""

    def _branch(self, node: _Node, title: str, depth: int) -> "list[str]":
        """Add a branch and its cases; return the ids of the nodes that make its outputs."""
        builder = self._builder
        block = node.branch_node.if_else
        fails = block.WhichOneof("default") == "error"
        subtitle = "else fails" if fails else "branch"
        builder.nodes.append(GraphNode(node.id, BRANCH_NODE, title, subtitle))
        ends: list[str] = []
        for label, case in cases_of(block):
            ends += self._add(case, depth + 1)
            builder.edge(node.id, case.id, kind=CASE, label=label)
            # An arrow from the branch leads to every case. So the inputs of a case are drawn into the
            # branch itself, and the picture has one arrow where it would have one for each case.
            for binding in case.inputs:
                for source, var, _ in _promises(binding.binding):
                    if source and source != START_NODE:
                        builder.edge(source, node.id, var=var, to=binding.var)
        builder.ends[node.id] = ends
        return ends

    def _edges(self, node: _Node, kind: str = DATA) -> None:
        """Add the arrows of a node's bindings."""
        for binding in node.inputs:
            self._bind(binding, node.id, kind)

    def _bind(self, binding: literals_pb2.Binding, target: str, kind: str = DATA) -> None:
        """Add the arrows of one binding."""
        for source, var, whole in _promises(binding.binding):
            # The type of a whole output is the output's. Of a field or an item only the input's
            # type is known.
            word = self._gives(source, var) if whole else self._takes(target, binding.var)
            self._builder.edge(
                source or START_NODE, target, kind=kind, var=var, to=binding.var, type=word
            )

    def _gives(self, source: str, var: str) -> str:
        """Return the type of a node's output, or of the workflow's input, in words."""
        if source in ("", START_NODE):
            return self._inputs.get(var, "")
        # Every case of a branch makes the same types, so the first one speaks for all.
        ends = self._builder.ends.get(source)
        node = self._nodes.get(ends[0] if ends else source)
        return "" if node is None else self._closure.interfaces.of(node)[1].get(var, "")

    def _takes(self, target: str, var: str) -> str:
        """Return the type of a node's input, in words; for a promise of a part of an output."""
        node = self._nodes.get(target)
        return "" if node is None else self._closure.interfaces.of(node)[0].get(var, "")

    def _failure(self, node: _Node) -> None:
        """Add the failure node."""
        self._add(node)
        builder = self._builder
        builder.nodes[-1] = builder.nodes[-1]._replace(subtitle="runs on failure")
        self._edges(node, FAILURE)


def _target(node: _Node) -> "tuple[str, str, str]":
    """Return the kind, the full name and the second line of what a node runs."""
    which = node.WhichOneof("target")
    if which == "task_node":
        return TASK_NODE, node.task_node.reference_id.name, ""
    if which == "workflow_node":
        if node.workflow_node.WhichOneof("reference") == "launchplan_ref":
            return LAUNCH_PLAN_NODE, node.workflow_node.launchplan_ref.name, "launch plan"
        return WORKFLOW_NODE, node.workflow_node.sub_workflow_ref.name, "sub-workflow"
    if which == "branch_node":
        return BRANCH_NODE, "", "branch"
    if which == "gate_node":
        return GATE_NODE, "", _gate_subtitle(node.gate_node)
    if which == "array_node":
        inner = node
        for _ in range(_MAX_NESTING):  # of maps in maps
            if inner.WhichOneof("target") != "array_node":
                break
            inner = inner.array_node.node
        name = _target(inner)[1] if inner.WhichOneof("target") != "array_node" else ""
        return ARRAY_NODE, name, _array_subtitle(node)
    return TASK_NODE, "", ""


def _gate_subtitle(gate: workflow_pb2.GateNode) -> str:
    """Return what a gate waits for."""
    which = gate.WhichOneof("condition")
    if which == "sleep":
        return f"sleeps {duration_text(gate.sleep.duration)}"
    if which == "signal":
        return f"waits for {gate.signal.output_variable_name or 'input'}"
    return "waits for approval"


def _array_subtitle(node: _Node) -> str:
    """Return the second line of a map's node."""
    array = node.array_node
    lengths = {
        binding.var: len(binding.binding.collection.bindings)
        for binding in node.inputs
        if binding.binding.WhichOneof("value") == "collection"
    }
    by_ratio = array.WhichOneof("success_criteria") == "min_success_ratio"
    ratio = array.min_success_ratio if by_ratio else 1.0
    return map_subtitle(lengths, array.bound_inputs, array.parallelism, ratio)


def cases_of(block: workflow_pb2.IfElseBlock) -> "Iterator[tuple[str, _Node]]":
    """Yield the condition and the node of every case of a branch, `else` last."""
    yield condition_text(block.case.condition), block.case.then_node
    for other in block.other:
        yield condition_text(other.condition), other.then_node
    if block.WhichOneof("default") == "else_node":
        yield "else", block.else_node


def _promises(data: literals_pb2.BindingData) -> "Iterator[tuple[str, str, bool]]":
    """Yield the node id and the variable of every promise, and whether it takes the whole output."""
    waiting = [data]
    while waiting:
        item = waiting.pop()
        kind = item.WhichOneof("value")
        if kind == "promise":
            yield item.promise.node_id, item.promise.var, not item.promise.attr_path
        elif kind == "collection":
            waiting.extend(reversed(item.collection.bindings))
        elif kind == "map":
            waiting.extend(item.map.bindings[key] for key in sorted(item.map.bindings))


def _scalar_of(data: literals_pb2.BindingData) -> str:
    """Return a constant as text; empty for anything else."""
    return scalar_text(data.scalar) if data.WhichOneof("value") == "scalar" else ""
