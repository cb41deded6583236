"""Graphs of compiled closures.

Takes values, gives values; knows nothing of layout and colours. Source: flyteidl/core/workflow.proto,
compiler.proto at v1.16.8.
"""

from collections.abc import Iterator

from flyteidl.core import compiler_pb2, literals_pb2, workflow_pb2

from flyte_nb.graph.building import Drawing, map_subtitle, short_name
from flyte_nb.graph.conditions import condition_text, duration_text, scalar_text
from flyte_nb.graph.elements import (
    ARRAY,
    BRANCH,
    CASE,
    DATA,
    END,
    FAILURE,
    GATE,
    LAUNCH_PLAN,
    ORDER,
    START,
    TASK,
    WORKFLOW,
    Graph,
    GraphNode,
)
from flyte_nb.graph.interfaces import Interfaces, Words, key_of

_MAX_NESTING = 50  # of branches in branches; flytekit writes one level a `conditional`

_Node = workflow_pb2.Node


def graph_of(
    closure: "compiler_pb2.CompiledWorkflowClosure | compiler_pb2.CompiledWorkflow",
) -> Graph:
    """The primary workflow of a closure, one node a node; branches with their cases.

    The workflow's inputs and outputs are nodes of their own where it has any. Edges that the
    compiler adds only to connect orphans to start and end are left out. What sub-workflows and maps
    run is in `Graph.within`, each once however often it is used; a sub-workflow that the closure does
    not have cannot be opened.
    """
    if isinstance(closure, compiler_pb2.CompiledWorkflow):
        return _Closure(compiler_pb2.CompiledWorkflowClosure()).read(closure.template)
    return _Closure(closure).read(closure.primary.template)


class _Closure:
    """One closure while it is read."""

    def __init__(self, closure: compiler_pb2.CompiledWorkflowClosure) -> None:
        self.subs = {key_of(sub.template.id): sub.template for sub in closure.sub_workflows}
        self.interfaces = Interfaces(closure)
        self._maps: dict[str, _Node] = {}

    def read(self, template: workflow_pb2.WorkflowTemplate) -> Graph:
        """The template's graph, with everything that can be opened in it."""
        top = _Level(self, "").workflow(template)
        within: dict[str, Graph] = {}
        waiting = [node.opens for node in top.nodes if node.opens]
        while waiting:
            key = waiting.pop()
            if key in within:
                continue
            if key in self._maps:
                within[key] = _Level(self, key).mapped(self._maps.pop(key))
            else:
                within[key] = _Level(self, key).workflow(self.subs[key])
            waiting += [node.opens for node in within[key].nodes if node.opens]
        return top._replace(within=within)

    def opens_map(self, key: str, node: _Node) -> str:
        """Note what a map runs, to be read when everything else was."""
        self._maps[key] = node
        return key


class _Level:
    """One workflow while it is read."""

    def __init__(self, closure: _Closure, key: str) -> None:
        self._closure = closure
        self._key = key
        self._drawing = Drawing("")
        self._nodes: dict[str, _Node] = {}
        self._inputs: Words = {}

    def workflow(self, template: workflow_pb2.WorkflowTemplate) -> Graph:
        drawing = self._drawing
        drawing.title, drawing.name = short_name(template.id.name), template.id.name
        self._inputs = self._closure.interfaces.words(template.interface.inputs)
        nodes = [node for node in template.nodes if node.id not in (START, END)]
        for node in nodes:
            self._add(node)
        for node in nodes:
            self._edges(node)
            for source in node.upstream_node_ids:
                if source != START:
                    drawing.edge(source, node.id, kind=ORDER)
        if template.HasField("failure_node"):
            self._failure(template.failure_node)
        for binding in template.outputs:
            self._bind(binding, END)
        interface = template.interface
        drawing.interface(sorted(interface.inputs.variables), sorted(interface.outputs.variables))
        return drawing.graph()

    def mapped(self, node: _Node) -> Graph:
        """What one item of a map runs, between the map's inputs and outputs."""
        drawing = self._drawing
        inner = node.array_node.node
        self._add(inner)
        drawing.title = drawing.nodes[0].title
        inputs, outputs = self._closure.interfaces.of(inner)
        for binding in node.inputs:
            drawing.edge(
                START,
                inner.id,
                var=binding.var,
                to=binding.var,
                type=inputs.get(binding.var, ""),
            )
        for var, word in outputs.items():
            drawing.edge(inner.id, END, var=var, to=var, type=word)
        drawing.interface([binding.var for binding in node.inputs], list(outputs))
        return drawing.graph()

    def _add(self, node: _Node, depth: int = 0) -> "list[str]":
        """Add the node and, of a branch, its cases; return the ids where its outputs come out."""
        kind, name, subtitle = _target(node)
        title = short_name(node.metadata.name or name) or node.id
        if kind == BRANCH and depth < _MAX_NESTING:
            return self._branch(node, title, depth)
        drawing = self._drawing
        self._nodes[node.id] = node
        drawing.nodes.append(GraphNode(node.id, kind, title, subtitle, name, (), self._opens(node)))
        drawing.literals[node.id] = {
            binding.var: text for binding in node.inputs if (text := _scalar_of(binding.binding))
        }
        return [node.id]

    def _opens(self, node: _Node) -> str:
        which = node.WhichOneof("target")
        if which == "workflow_node" and node.workflow_node.HasField("sub_workflow_ref"):
            key = key_of(node.workflow_node.sub_workflow_ref)
            return key if key in self._closure.subs else ""
        if which == "array_node" and node.array_node.node.id:
            return self._closure.opens_map(f"{self._key}/{node.id}", node)
        return ""

    def _branch(self, node: _Node, title: str, depth: int) -> "list[str]":
        drawing = self._drawing
        block = node.branch_node.if_else
        fails = block.WhichOneof("default") == "error"
        subtitle = "else fails" if fails else "branch"
        drawing.nodes.append(GraphNode(node.id, BRANCH, title, subtitle))
        ends: list[str] = []
        for label, case in cases_of(block):
            ends += self._add(case, depth + 1)
            drawing.edge(node.id, case.id, kind=CASE, label=label)
            # What a case reads is drawn into the branch: the arrow that decides leads on from there.
            for binding in case.inputs:
                for source, var, _ in _promises(binding.binding):
                    if source and source != START:
                        drawing.edge(source, node.id, var=var, to=binding.var)
        drawing.ends[node.id] = ends
        return ends

    def _edges(self, node: _Node, kind: str = DATA) -> None:
        for binding in node.inputs:
            self._bind(binding, node.id, kind)

    def _bind(self, binding: literals_pb2.Binding, target: str, kind: str = DATA) -> None:
        for source, var, whole in _promises(binding.binding):
            word = self._gives(source, var) if whole else self._takes(target, binding.var)
            self._drawing.edge(
                source or START, target, kind=kind, var=var, to=binding.var, type=word
            )

    def _gives(self, source: str, var: str) -> str:
        """The type of a node's output, or of an input of the workflow."""
        if source in ("", START):
            return self._inputs.get(var, "")
        ends = self._drawing.ends.get(source)
        node = self._nodes.get(ends[0] if ends else source)
        return "" if node is None else self._closure.interfaces.of(node)[1].get(var, "")

    def _takes(self, target: str, var: str) -> str:
        """The type of a node's input, for what is only a part of an output."""
        node = self._nodes.get(target)
        return "" if node is None else self._closure.interfaces.of(node)[0].get(var, "")

    def _failure(self, node: _Node) -> None:
        self._add(node)
        drawing = self._drawing
        drawing.nodes[-1] = drawing.nodes[-1]._replace(subtitle="runs on failure")
        self._edges(node, FAILURE)


def _target(node: _Node) -> "tuple[str, str, str]":
    """(kind, full name, subtitle) of what a node runs."""
    which = node.WhichOneof("target")
    if which == "task_node":
        return TASK, node.task_node.reference_id.name, ""
    if which == "workflow_node":
        if node.workflow_node.WhichOneof("reference") == "launchplan_ref":
            return LAUNCH_PLAN, node.workflow_node.launchplan_ref.name, "launch plan"
        return WORKFLOW, node.workflow_node.sub_workflow_ref.name, "sub-workflow"
    if which == "branch_node":
        return BRANCH, "", "branch"
    if which == "gate_node":
        return GATE, "", _gate_subtitle(node.gate_node)
    if which == "array_node":
        inner = node
        for _ in range(_MAX_NESTING):  # of maps in maps
            if inner.WhichOneof("target") != "array_node":
                break
            inner = inner.array_node.node
        name = _target(inner)[1] if inner.WhichOneof("target") != "array_node" else ""
        return ARRAY, name, _map_says(node)
    return TASK, "", ""


def _gate_subtitle(gate: workflow_pb2.GateNode) -> str:
    which = gate.WhichOneof("condition")
    if which == "sleep":
        return f"sleeps {duration_text(gate.sleep.duration)}"
    if which == "signal":
        return f"waits for {gate.signal.output_variable_name or 'input'}"
    return "waits for approval"


def _map_says(node: _Node) -> str:
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
    """(condition, node) of every case of a branch, `else` last."""
    yield condition_text(block.case.condition), block.case.then_node
    for other in block.other:
        yield condition_text(other.condition), other.then_node
    if block.WhichOneof("default") == "else_node":
        yield "else", block.else_node


def _promises(data: literals_pb2.BindingData) -> "Iterator[tuple[str, str, bool]]":
    """(node id, variable, whether the whole of it) of everything the binding waits for."""
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
    return scalar_text(data.scalar) if data.WhichOneof("value") == "scalar" else ""
