"""Collect the details of a node that a person selects, as plain values. Pure.

They are read from the compiled closure, which also has the nodes inside sub-workflows. For a workflow that
does not compile they are read from a closure made of what was written (`as_written`). The notebook adds the
places where things are called and defined.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from flyteidl.admin.task_pb2 import TaskSpec
from flyteidl.admin.workflow_pb2 import WorkflowSpec
from flyteidl.core import compiler_pb2, literals_pb2, tasks_pb2, workflow_pb2

from flyte_nb.api import specs
from flyte_nb.api.errors import FlyteNbError
from flyte_nb.api.nodes import START_NODE
from flyte_nb.api.specs import Location
from flyte_nb.graph.compiled import cases_of
from flyte_nb.graph.conditions import duration_text, scalar_text
from flyte_nb.graph.elements import INPUTS, OUTPUTS, Graph, GraphNode
from flyte_nb.graph.growing import grown
from flyte_nb.graph.type_words import Interfaces, Words, key_of
from flyte_nb.wire.specs import workflow_spec_to_idl

Row = tuple[str, str]
"""Name and text."""
Variable = tuple[str, str, str]
"""Name, type, and where the value comes from."""

_UNVERSIONED = "unregistered"
"""The version in a closure that was compiled without registering; it says nothing, so it is not shown."""
_ONLY = "o0"
"""The name of a function's only output, when its author gave it none; it says nothing either."""
_KINDS = {
    "task": "task",
    "workflow": "sub-workflow",
    "launch_plan": "launch plan",
    "array": "map of",
    "branch": "branch",
    "gate": "gate",
    "group": "group",
    "inputs": "the workflow's inputs",
    "outputs": "the workflow's outputs",
}
_MAX_TEXT = 160  # characters of a value
_MAX_MEMBERS = 12  # names of a group's members
_MAX_PARTS = 6  # items of a list or map that is bound item by item
_MAX_DEPTH = 4  # levels of such lists and maps

_Node = workflow_pb2.Node


class Facts(NamedTuple):
    """One node's details, in the order in which they are shown."""

    title: str
    what: str
    """Kind and full name, e.g. `task churn.fit`."""
    rows: "tuple[Row, ...]" = ()
    inputs: "tuple[Variable, ...]" = ()
    outputs: "tuple[Variable, ...]" = ()


class Places(NamedTuple):
    """Where things are in the notebook."""

    calls: "Mapping[tuple[str, str], Location]"
    """Where each node is called, by its workflow's full name and its id."""
    definitions: "Mapping[str, Location]"
    """Where tasks and workflows are defined, by full name."""
    spoken: "Callable[[Location | None], str]"
    """Returns a location in words, e.g. `cell [7], line 3`; empty for `None`."""


class Details:
    """The details of one workflow's nodes, at every level. They are read when first asked for."""

    def __init__(
        self,
        graph: Graph,
        closure: "compiler_pb2.CompiledWorkflowClosure | None",
        places: Places,
        *,
        compiles: bool = True,
        inner: "Mapping[str, Details]" = MappingProxyType({}),
    ) -> None:
        """Remember where to read; nothing is read yet.

        Args:
            graph: The workflow's graph, with nothing open.
            closure: The compiled closure, or one `as_written`; `None` when there is neither.
            places: Where things are in the notebook.
            compiles: Whether the workflow compiles.
            inner: The details of the workflows that dynamic nodes made, by the node's path.
        """
        self._inner = dict(inner)
        self._graph = graph
        self._places = places
        self.compiles = compiles and closure is not None
        self.closure = closure or compiler_pb2.CompiledWorkflowClosure()
        self._interfaces = Interfaces(self.closure)
        self._tasks = {key_of(task.template.id): task.template for task in self.closure.tasks}
        self._subs = {key_of(sub.template.id): sub.template for sub in self.closure.sub_workflows}
        self._levels: dict[str, _Level] = {}  # by the path of the node that opens to it
        self._known: dict[GraphNode, Facts] = {}

    def of(self, node: GraphNode) -> Facts:
        """Return the details of a node at any level; its id is its path."""
        facts = self._known.get(node)
        if facts is None:
            facts = self._known[node] = self._gathered(node)
        return facts

    def _gathered(self, node: GraphNode) -> Facts:
        outer = self._made_around(node.id)
        if outer:
            here = len(outer) + 1
            members = tuple(member[here:] for member in node.members)
            return self._inner[outer].of(node._replace(id=node.id[here:], members=members))
        parent, _, inner = node.id.rpartition("/")
        level = self._level(parent)
        what = " ".join(filter(None, (_KINDS.get(node.kind, node.kind), node.name)))
        if node.kind in (INPUTS, OUTPUTS):
            words = level.inputs if node.kind == INPUTS else level.outputs
            return Facts(node.title, what, outputs=_plain(words))
        if node.members:
            names = [level.titles.get(m.rpartition("/")[2], m) for m in node.members]
            rest = f" and {len(names) - _MAX_MEMBERS} more" if len(names) > _MAX_MEMBERS else ""
            listed = ", ".join(names[:_MAX_MEMBERS]) + rest
            return Facts(node.title, what, (("nodes", f"{len(names)}: {listed}"),))
        message = level.nodes.get(inner)
        place = self._places.spoken(self._places.calls.get((level.name, inner)))
        # A node that was removed since the registered version is drawn, but is not in this closure.
        if message is None:
            return Facts(node.title, what, self._placed(node, place))
        takes, gives = self._interfaces.of(message)
        return Facts(
            title=node.title,
            what=what,
            rows=(*self._placed(node, place), *self._options(message), ("node", node.id)),
            inputs=tuple(
                _given(message, takes, level.titles, "not given" if self.compiles else "")
            ),
            outputs=_plain(gives),
        )

    def grown(
        self, graph: Graph, path: str, closure: compiler_pb2.CompiledWorkflowClosure, inner: Graph
    ) -> "Details":
        """Return the details that also have the nodes inside a dynamic node.

        Args:
            graph: The whole graph, grown too.
            path: The dynamic node's.
            closure: What it made.
            inner: The graph of that.
        """
        # A workflow that is inside another one that came into being belongs to that one's closure.
        outer = self._made_around(path)
        known = dict(self._inner)
        if outer:
            rest = path.removeprefix(f"{outer}/")
            around = known[outer]
            known[outer] = around.grown(grown(around._graph, rest, inner), rest, closure, inner)
        else:
            known[path] = Details(inner, closure, self._places)
        return Details(graph, self.closure, self._places, compiles=self.compiles, inner=known)

    def _made_around(self, path: str) -> str:
        """Return the path of the outermost dynamic node around the node at `path`; empty if there is none."""
        steps = path.split("/")
        prefixes = ("/".join(steps[:count]) for count in range(1, len(steps)))
        return next((prefix for prefix in prefixes if prefix in self._inner), "")

    def words(self, node: GraphNode) -> str:
        """Return the words by which a search finds the node, in lower case: names, types, kind."""
        facts = self.of(node)
        types = [f"{name} {word}" for name, word, _ in (*facts.inputs, *facts.outputs)]
        return " ".join([facts.title, facts.what, node.subtitle, node.id, *types]).lower()

    def _placed(self, node: GraphNode, place: str) -> "tuple[Row, ...]":
        defined = self._places.spoken(self._places.definitions.get(node.name))
        rows = (("called in", place), ("defined in", defined))
        return tuple((name, text) for name, text in rows if text)

    def _options(self, node: _Node) -> "Iterator[Row]":
        """Return what its author asked for, by the node's kind: retries, cache, conditions and so on."""
        which = node.WhichOneof("target")
        if which == "branch_node":
            yield from _cases(node.branch_node.if_else)
        elif which == "gate_node":
            yield from _gate(node.gate_node)
        elif which == "array_node":
            yield from self._options(node.array_node.node)
        elif which == "workflow_node":
            reference = node.workflow_node.WhichOneof("reference")
            if reference:
                yield from _version(getattr(node.workflow_node, reference).version)
        elif which == "task_node":
            yield from _version(node.task_node.reference_id.version)
            task = self._tasks.get(key_of(node.task_node.reference_id), tasks_pb2.TaskTemplate())
            yield from _task_options(node, task)

    def _level(self, path: str) -> "_Level":
        """Return the level that the node at `path` opens to; the workflow itself for an empty path."""
        found = self._levels.get(path)
        if found is None:
            found = self._levels[path] = self._read(path)
        return found

    def _read(self, path: str) -> "_Level":
        if not path:
            return self._workflow(self._graph, self.closure.primary.template)
        parent, _, inner = path.rpartition("/")
        above = self._level(parent)
        opener = above.graph.node(inner)
        graph = self._graph.within.get(opener.opens if opener else "", Graph("", (), ()))
        message = above.nodes.get(inner, _Node())
        # A map opens to the one node that it runs for each item.
        if message.WhichOneof("target") == "array_node":
            item = message.array_node.node
            takes, gives = self._interfaces.of(item)
            return _Level(graph, graph.name, {item.id: item}, takes, gives)
        reference = message.workflow_node.sub_workflow_ref
        template = self._subs.get(key_of(reference), workflow_pb2.WorkflowTemplate())
        return self._workflow(graph, template)

    def _workflow(self, graph: Graph, template: workflow_pb2.WorkflowTemplate) -> "_Level":
        nodes: dict[str, _Node] = {}
        waiting = [*template.nodes]
        if template.HasField("failure_node"):
            waiting.append(template.failure_node)
        while waiting:
            node = waiting.pop()
            nodes[node.id] = node
            # The graph draws the cases of a branch on the same level, so they belong to it here too.
            if node.WhichOneof("target") == "branch_node":
                waiting += [case for _, case in cases_of(node.branch_node.if_else)]
        interface = template.interface
        takes, gives = (self._interfaces.words(v) for v in (interface.inputs, interface.outputs))
        return _Level(graph, template.id.name or graph.name, nodes, takes, gives)


def as_written(
    template: specs.WorkflowTemplate, used: "Iterable[object]"
) -> "compiler_pb2.CompiledWorkflowClosure | None":
    """Return a closure of a workflow that does not compile, to read details from; it is never sent.

    Args:
        template: The workflow as it was written.
        used: The flyteidl specs of what it uses, as far as they could be made.

    Returns:
        The closure; `None` if the template cannot be written as a message at all.
    """
    closure = compiler_pb2.CompiledWorkflowClosure()
    try:
        closure.primary.template.CopyFrom(workflow_spec_to_idl(template).template)
    except FlyteNbError:
        return None
    for message in used:
        if isinstance(message, TaskSpec):
            closure.tasks.add().template.CopyFrom(message.template)
        elif isinstance(message, WorkflowSpec):
            closure.sub_workflows.add().template.CopyFrom(message.template)
    return closure


class _Level:
    """One workflow of the closure: its graph, its nodes as messages, and its inputs and outputs."""

    def __init__(
        self, graph: Graph, name: str, nodes: "dict[str, _Node]", inputs: Words, outputs: Words
    ) -> None:
        self.graph, self.name, self.nodes = graph, name, nodes
        self.inputs, self.outputs = inputs, outputs
        self.titles = {node.id: node.title for node in graph.nodes}


def _plain(words: Words) -> "tuple[Variable, ...]":
    return tuple((name, words[name], "") for name in sorted(words))


def _given(
    node: _Node, takes: Words, titles: "Mapping[str, str]", otherwise: str
) -> "Iterator[Variable]":
    """Return the inputs of a node with their types and sources; `otherwise` stands for a missing source."""
    given = {binding.var: _source(binding.binding, titles) for binding in node.inputs}
    for name in sorted({*takes, *given}):  # maps of protobuf have no order
        yield name, takes.get(name, ""), given.get(name, otherwise)


def _source(data: literals_pb2.BindingData, titles: "Mapping[str, str]", depth: int = 0) -> str:
    """Return where a value comes from: `← load.rows`, `= 3`, `[← a.o0, ← b.o0]`."""
    kind = data.WhichOneof("value")
    if kind == "promise":
        source = data.promise.node_id
        name = "the workflow's input" if source in ("", START_NODE) else titles.get(source, source)
        path = "".join(
            f".{part.string_value}"
            if part.WhichOneof("value") == "string_value"
            else f"[{part.int_value}]"
            for part in data.promise.attr_path
        )
        joint = " " if source in ("", START_NODE) else "."
        var = "" if data.promise.var == _ONLY and joint == "." else joint + data.promise.var
        return f"← {name}{var}{path}"
    if kind == "scalar":
        return _cut(f"= {scalar_text(data.scalar) or data.scalar.WhichOneof('value') or '?'}")
    if kind in ("collection", "map") and depth < _MAX_DEPTH:
        if kind == "collection":
            parts = [_source(item, titles, depth + 1) for item in data.collection.bindings]
        else:
            inner = data.map.bindings
            parts = [f"{key}: {_source(inner[key], titles, depth + 1)}" for key in sorted(inner)]
        more = f", and {len(parts) - _MAX_PARTS} more" if len(parts) > _MAX_PARTS else ""
        listed = ", ".join(part.removeprefix("= ") for part in parts[:_MAX_PARTS]) + more
        return _cut(f"[{listed}]" if kind == "collection" else f"{{{listed}}}")
    return "= …" if kind else ""


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_TEXT else text[: _MAX_TEXT - 1] + "…"


def _version(version: str) -> "Iterator[Row]":
    if version and version != _UNVERSIONED:
        yield "version", version


def _cases(block: workflow_pb2.IfElseBlock) -> "Iterator[Row]":
    for condition, node in cases_of(block):
        yield condition, f"→ {node.metadata.name or node.id}"
    if block.WhichOneof("default") == "error":
        yield "else", f"fails: {block.error.message}"


def _gate(gate: workflow_pb2.GateNode) -> "Iterator[Row]":
    which = gate.WhichOneof("condition")
    if which == "sleep":
        yield "sleeps", duration_text(gate.sleep.duration)
    elif which == "signal":
        yield "waits for", f"a value, signal {gate.signal.signal_id}"
    elif which == "approve":
        yield "waits for", f"approval, signal {gate.approve.signal_id}"


def _task_options(node: _Node, task: tasks_pb2.TaskTemplate) -> "Iterator[Row]":
    """Return what was asked for. A node's own option (`with_overrides`) wins over the task's, as in Flyte."""
    if task.type not in ("", "python-task"):
        yield "task type", task.type
    own, metadata = node.metadata, task.metadata
    retries = own.retries.retries or metadata.retries.retries
    if retries:
        yield "retries", str(retries)
    if own.cacheable or metadata.discoverable:
        version = own.cache_version or metadata.discovery_version
        yield "cache", f"version {version}" if version else "on"
    for timeout in (own.timeout, metadata.timeout):
        if timeout.seconds or timeout.nanos:
            yield "timeout", duration_text(timeout)
            break
    if own.interruptible or metadata.interruptible:
        yield "interruptible", "yes"
    resources = node.task_node.overrides.resources
    if not (resources.requests or resources.limits):
        resources = task.container.resources
    for title, entries in (("requests", resources.requests), ("limits", resources.limits)):
        if entries:
            yield title, ", ".join(f"{_resource(e.name)} {e.value}" for e in entries)
    if task.container.image not in ("", _UNVERSIONED):
        yield "image", task.container.image


def _resource(number: int) -> str:
    """Return the name of a resource, e.g. `cpu`; the number of one that this flyteidl does not know."""
    known = tasks_pb2.Resources.ResourceName.DESCRIPTOR.values_by_number.get(number)
    return known.name.lower() if known is not None else str(number)
