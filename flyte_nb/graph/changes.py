"""What is new, changed and removed between two closures of a workflow, drawn on the graph of the new one.

    graph = diff(registered, compiled)   the new graph, marked, with ghosts of what is gone
    counts(graph)                        {"new": 1, "changed": 2, "removed": 0}

Nodes and edges carry their `mark`, and nodes say `why`; the graph opens, collapses and is laid out like any
other. What is gone stands there as a ghost whose id ends in `~`, e.g. `n1~`.

Nodes of both are matched by what they are (what they run and what they are given, where that comes from
other nodes by what those are), then by id, then by order among those that run the same thing: so a node
put in between does not make everything behind it changed, though all ids move.
"""

from collections.abc import Callable, Mapping

from flyteidl.core import compiler_pb2, literals_pb2, workflow_pb2
from google.protobuf.message import Message

from flyte_nb.graph.compiled import cases_of, graph_of
from flyte_nb.graph.elements import (
    CHANGED,
    END,
    NEW,
    REMOVED,
    START,
    Graph,
    GraphEdge,
    GraphNode,
)
from flyte_nb.graph.interfaces import key_of, reference_of

GHOST = "~"
"""How the id of a node ends that is gone."""
_MAX_NESTING = 50  # of branches and maps

_Closure = compiler_pb2.CompiledWorkflowClosure
_Node = workflow_pb2.Node
_Template = workflow_pb2.WorkflowTemplate


def diff(old: "_Closure | None", new: _Closure, *, unversioned: str = "") -> Graph:
    """The graph of `new`, marked with what differs from `old`.

    Args:
        old: what is registered; `None` when nothing is, then all is new.
        new: what would be.
        unversioned: the version in references to what has none yet; those count as unchanged as long
            as their interface is the same. Otherwise a reference has changed when its version has.
    """
    graph = graph_of(new)
    if old is None:
        within = {key: _all_marked(inner, NEW) for key, inner in graph.within.items()}
        return _all_marked(graph, NEW)._replace(within=within)
    return _Comparison(old, new, unversioned).graph(graph, graph_of(old))


def counts(graph: Graph) -> "dict[str, int]":
    """How many nodes of the top level are new, changed and removed."""
    found = {NEW: 0, CHANGED: 0, REMOVED: 0}
    for node in graph.nodes:
        if node.mark and node.id not in (START, END):
            found[node.mark] += 1
    return found


class _Comparison:
    """Two closures side by side; a pair of levels is compared once, however often it is used."""

    def __init__(self, old: _Closure, new: _Closure, unversioned: str) -> None:
        self._olds, self._news = _templates(old), _templates(new)
        self._old_interfaces, self._new_interfaces = _interfaces(old), _interfaces(new)
        self._primaries = old.primary.template, new.primary.template
        self._unversioned = unversioned
        self._old_within: Mapping[str, Graph] = {}
        self._within: dict[str, Graph] = {}

    def graph(self, new: Graph, old: Graph) -> Graph:
        """The marked graph, with its levels."""
        self._within, self._old_within = dict(new.within), old.within
        old_template, new_template = self._primaries
        return self._level(new, old, new_template, old_template, 0)._replace(within=self._within)

    def _level(
        self, new: Graph, old: Graph, new_template: _Template, old_template: _Template, depth: int
    ) -> Graph:
        news, olds = _flat(new_template), _flat(old_template)
        match = {START: START, END: END, **_matched(news, olds)}
        nodes = []
        for node in new.nodes:
            if node.id in (START, END):
                same = _ends(new_template, node.id) == _ends(old_template, node.id)
                nodes.append(node if same else node._replace(mark=CHANGED))
            elif node.id not in match or node.id not in news:
                nodes.append(node._replace(mark=NEW))
            else:
                was, now = olds[match[node.id]], news[node.id]
                node, inside = self._inside(node, was, depth)
                why = [*self._target(now, was), *_differences(now, was, match), *inside]
                nodes.append(node._replace(mark=CHANGED, why=", ".join(why)) if why else node)
        back = {was: now for now, was in match.items()}
        ghosts = {
            node.id: node._replace(id=node.id + GHOST, mark=REMOVED, opens="")
            for node in old.nodes
            if node.id not in back
        }
        names = {**{was: ghost.id for was, ghost in ghosts.items()}, **back}
        edges = _edges(new, old, match, names)
        return new._replace(nodes=(*nodes, *ghosts.values()), edges=edges)

    def _inside(self, node: GraphNode, was: _Node, depth: int) -> "tuple[GraphNode, list[str]]":
        """The node with what it opens to compared, and whether there is a difference in there."""
        template = self._news.get(node.opens)
        old_key = key_of(was.workflow_node.sub_workflow_ref)
        old_template = self._olds.get(old_key)
        if template is None or old_template is None or depth >= _MAX_NESTING:
            return node, []
        key = f"{node.opens} | {old_key}"
        if key not in self._within:
            plain = self._within[node.opens]
            self._within[key] = plain  # what it is while it is compared: it may run itself
            old = self._old_within.get(old_key, plain)
            self._within[key] = self._level(plain, old, template, old_template, depth + 1)
        inner = self._within[key]
        differs = any(node.mark for node in inner.nodes) or any(edge.mark for edge in inner.edges)
        return node._replace(opens=key), ["what is in it"] if differs else []

    def _target(self, now: _Node, was: _Node) -> "list[str]":
        """Whether what the node runs is another version."""
        new, old = reference_of(now), reference_of(was)
        if new is None or old is None:
            return []
        if new.version != self._unversioned:
            return ["another version"] if new.version != old.version else []
        interfaces = self._new_interfaces.get(key_of(new)), self._old_interfaces.get(key_of(old))
        return ["inputs or outputs"] if interfaces[0] != interfaces[1] else []


def _templates(closure: _Closure) -> "dict[str, _Template]":
    return {key_of(sub.template.id): sub.template for sub in closure.sub_workflows}


def _interfaces(closure: _Closure) -> "dict[str, bytes]":
    return {
        key_of(item.template.id): _bytes(item.template.interface)
        for items in (closure.tasks, closure.sub_workflows, closure.launch_plans)
        for item in items
    }


def _flat(template: _Template) -> "dict[str, _Node]":
    """The nodes of a level, those inside of branches too."""
    found: dict[str, _Node] = {}
    nodes = [template.failure_node] if template.HasField("failure_node") else []
    waiting = [(node, 0) for node in (*nodes, *reversed(template.nodes))]
    while waiting:
        node, depth = waiting.pop()
        if node.id in (START, END):
            continue
        found[node.id] = node
        if node.WhichOneof("target") == "branch_node" and depth < _MAX_NESTING:
            cases = [case for _, case in cases_of(node.branch_node.if_else)]
            waiting += [(case, depth + 1) for case in reversed(cases)]
    return found


def _matched(news: "Mapping[str, _Node]", olds: "Mapping[str, _Node]") -> "dict[str, str]":
    """The old id of each new node that was there before."""
    match: dict[str, str] = {}
    new_what = {id: _what(node) for id, node in news.items()}
    old_what = {id: _what(node) for id, node in olds.items()}
    new_full = {id: (new_what[id], _given(node, new_what)) for id, node in news.items()}
    old_full = {id: (old_what[id], _given(node, old_what)) for id, node in olds.items()}
    for new_keys, old_keys in ((new_full, old_full), (new_what, old_what)):
        taken = set(match.values())
        left: dict[object, list[str]] = {}
        for id, key in old_keys.items():
            if id in taken:
                continue
            if id not in match and new_keys.get(id) == key:
                match[id] = id
            else:
                left.setdefault(key, []).append(id)
        for id, key in new_keys.items():
            if id not in match and left.get(key):
                match[id] = left[key].pop(0)
    return match


def _what(node: _Node) -> "tuple[str, str, str]":
    """What a node is, whatever it is given: kind, name of what it runs, its own name."""
    target = reference_of(node)
    name = target.name if target is not None else ""
    return node.WhichOneof("target") or "", name, node.metadata.name


def _given(node: _Node, what: "Mapping[str, object]") -> object:
    return tuple(
        sorted(
            (binding.var, _value(binding.binding, lambda other: repr(what.get(other, other))))
            for binding in node.inputs
        )
    )


def _differences(now: _Node, was: _Node, match: "Mapping[str, str]") -> "list[str]":
    """In words, in what the node itself differs."""
    new = {
        b.var: _value(b.binding, lambda other: match.get(other, f"{other}+")) for b in now.inputs
    }
    old = {b.var: _value(b.binding, str) for b in was.inputs}
    why = [f"input {var}" for var in sorted({*new, *old}) if new.get(var) != old.get(var)]
    if _bytes(now.metadata) != _bytes(was.metadata) or _options(now) != _options(was):
        why.append("options")
    if {match.get(id, id) for id in now.upstream_node_ids} != set(was.upstream_node_ids):
        # Every promise is upstream as well once it is compiled; a changed input says it already.
        why += ["what it waits for"] if not why else []
    return why


def _options(node: _Node) -> "list[str]":
    """What a node has beside its inputs and what it runs."""
    which = node.WhichOneof("target")
    if which == "task_node":
        return [_bytes(node.task_node.overrides).hex()]
    if which == "branch_node":
        block = node.branch_node.if_else
        return [text for text, _ in cases_of(block)] + [block.WhichOneof("default") or ""]
    if which == "gate_node":
        return [_bytes(node.gate_node).hex()]
    if which == "array_node":
        array = node.array_node
        criteria = array.WhichOneof("success_criteria") or ""
        ratio = getattr(array, criteria) if criteria else 1
        bound = sorted(array.bound_inputs)
        return [str(array.parallelism), criteria, str(ratio), *bound, *_options(array.node)]
    return []


def _value(data: literals_pb2.BindingData, named: "Callable[[str], str]", depth: int = 0) -> str:
    """A binding as text, with other names for the nodes it waits for."""
    kind = data.WhichOneof("value")
    if kind == "promise":
        path = "".join(f".{_bytes(step).hex()}" for step in data.promise.attr_path)
        source = data.promise.node_id
        return f"{'' if source in ('', START) else named(source)}.{data.promise.var}{path}"
    if kind == "collection" and depth < _MAX_NESTING:
        items = [_value(item, named, depth + 1) for item in data.collection.bindings]
        return f"[{', '.join(items)}]"
    if kind == "map" and depth < _MAX_NESTING:
        bindings = data.map.bindings
        items = [f"{key!r}: {_value(bindings[key], named, depth + 1)}" for key in sorted(bindings)]
        return f"{{{', '.join(items)}}}"
    return _bytes(data).hex()


def _edges(
    new: Graph, old: Graph, match: "Mapping[str, str]", names: "Mapping[str, str]"
) -> "tuple[GraphEdge, ...]":
    before = {(edge.source, edge.target): edge for edge in old.edges}
    edges = []
    for edge in new.edges:
        ends = match.get(edge.source, ""), match.get(edge.target, "")
        was = before.pop(ends, None)
        if was is None:
            edge = edge._replace(mark=NEW)
        elif (was.kind, was.label, set(was.variables)) != (
            edge.kind,
            edge.label,
            set(edge.variables),
        ):
            edge = edge._replace(mark=CHANGED)
        edges.append(edge)
    drawn = {node.id for node in new.nodes}
    for edge in before.values():
        source, target = names.get(edge.source, ""), names.get(edge.target, "")
        if all(end in drawn or end.endswith(GHOST) for end in (source, target)):
            edges.append(edge._replace(source=source, target=target, mark=REMOVED))
    return tuple(edges)


def _ends(template: _Template, end: str) -> bytes:
    interface = template.interface
    return _bytes(interface.inputs if end == START else interface.outputs)


def _all_marked(graph: Graph, mark: str) -> Graph:
    nodes = tuple(node._replace(mark=mark) for node in graph.nodes)
    return graph._replace(nodes=nodes, edges=tuple(e._replace(mark=mark) for e in graph.edges))


def _bytes(message: Message) -> bytes:
    return message.SerializeToString(deterministic=True)
