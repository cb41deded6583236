"""Compare two closures of a workflow, and mark the differences on the graph of the new one.

    graph = diff(registered, compiled)   the new graph with marks, and ghosts of removed nodes
    counts(graph)                        {"new": 1, "changed": 2, "removed": 0}

Nodes and edges carry their `mark`, and a changed node says `why`. The graph opens, collapses and is
laid out like any other. A removed node is drawn as a ghost, whose id ends in `~`, e.g. `n1~`.

How nodes are matched: SDKs number nodes in the order of the calls, so one new call changes the ids
of all later nodes, and ids alone would make everything behind it "changed". Nodes are therefore
matched by what they run and what they are given, where a promise counts by what the promised node
runs. What is left is matched by what it runs alone. Among equal candidates the same id wins, then
the order.
"""

from collections.abc import Callable, Mapping

from flyteidl.core import compiler_pb2, literals_pb2, workflow_pb2
from google.protobuf.message import Message

from flyte_nb.api.nodes import END_NODE, START_NODE
from flyte_nb.graph.compiled import cases_of, graph_of
from flyte_nb.graph.elements import CHANGED, NEW, REMOVED, Graph, GraphEdge, GraphNode
from flyte_nb.graph.type_words import key_of, reference_of

GHOST = "~"
"""The end of a removed node's id."""
_MAX_NESTING = 50  # of branches and maps

_Closure = compiler_pb2.CompiledWorkflowClosure
_Node = workflow_pb2.Node
_Template = workflow_pb2.WorkflowTemplate


def diff(old: "_Closure | None", new: _Closure, *, unversioned: str = "") -> Graph:
    """Return the graph of `new`, marked with its differences from `old`.

    Args:
        old: the registered closure; `None` when nothing is registered, then everything is new.
        new: the closure that would be registered.
        unversioned: the version of references to entities that have no version yet. Such a
            reference is
            unchanged as long as its interface is; any other reference has changed when its version has.
    """
    graph = graph_of(new)
    if old is None:
        within = {key: _all_marked(inner, NEW) for key, inner in graph.within.items()}
        return _all_marked(graph, NEW)._replace(within=within)
    return _GraphComparison(old, new, unversioned).graph(graph, graph_of(old))


def counts(graph: Graph) -> "dict[str, int]":
    """Return how many nodes of the top level are new, changed and removed."""
    found = {NEW: 0, CHANGED: 0, REMOVED: 0}
    for node in graph.nodes:
        if node.mark and node.id not in (START_NODE, END_NODE):
            found[node.mark] += 1
    return found


class _GraphComparison:
    """Two closures side by side. Each pair of levels is compared once, however often it is used."""

    def __init__(self, old: _Closure, new: _Closure, unversioned: str) -> None:
        self._olds, self._news = _templates(old), _templates(new)
        self._old_interfaces, self._new_interfaces = _interfaces(old), _interfaces(new)
        self._primaries = old.primary.template, new.primary.template
        self._unversioned = unversioned
        self._old_within: Mapping[str, Graph] = {}
        self._within: dict[str, Graph] = {}

    def graph(self, new: Graph, old: Graph) -> Graph:
        """Return the marked graph, with the graphs that it opens to."""
        self._within, self._old_within = dict(new.within), old.within
        old_template, new_template = self._primaries
        return self._level(new, old, new_template, old_template, 0)._replace(within=self._within)

    def _level(
        self, new: Graph, old: Graph, new_template: _Template, old_template: _Template, depth: int
    ) -> Graph:
        """Return the marked graph of one level.

        Args:
            new: the graph of the new template.
            old: the graph of the old template.
            new_template: the new workflow, or sub-workflow.
            old_template: its old counterpart.
            depth: how many levels are around this one.
        """
        news, olds = _flat(new_template), _flat(old_template)
        match = {START_NODE: START_NODE, END_NODE: END_NODE, **_matched(news, olds)}
        nodes = []
        for node in new.nodes:
            if node.id in (START_NODE, END_NODE):
                same = _ends(new_template, node.id) == _ends(old_template, node.id)
                nodes.append(node if same else node._replace(mark=CHANGED))
            elif node.id not in match or node.id not in news:
                nodes.append(node._replace(mark=NEW))
            else:
                was, now = olds[match[node.id]], news[node.id]
                node, inside = self._inside(node, was, depth)
                why = [*self._target(now, was), *_differences(now, was, match), *inside]
                nodes.append(node._replace(mark=CHANGED, why=", ".join(why)) if why else node)
        # Edges of the old graph are drawn between the new nodes that their ends became, or between
        # ghosts.
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
        """Return the node with its contents compared, and `["contents"]` when they differ."""
        template = self._news.get(node.opens)
        old_key = key_of(was.workflow_node.sub_workflow_ref)
        old_template = self._olds.get(old_key)
        if template is None or old_template is None or depth >= _MAX_NESTING:
            return node, []
        # A new key: the same sub-workflow may be compared with different old ones at different
        # nodes.
        key = f"{node.opens} | {old_key}"
        if key not in self._within:
            plain = self._within[node.opens]
            # A workflow may run itself. The unmarked graph stands in while the comparison runs, so that
            # the inner use of the same pair ends here.
            self._within[key] = plain
            old = self._old_within.get(old_key, plain)
            self._within[key] = self._level(plain, old, template, old_template, depth + 1)
        inner = self._within[key]
        differs = any(node.mark for node in inner.nodes) or any(edge.mark for edge in inner.edges)
        return node._replace(opens=key), ["contents"] if differs else []

    def _target(self, now: _Node, was: _Node) -> "list[str]":
        """Return a reason when what the node runs has another version, or another interface."""
        new, old = reference_of(now), reference_of(was)
        if new is None or old is None:
            return []
        if new.version != self._unversioned:
            return ["another version"] if new.version != old.version else []
        interfaces = self._new_interfaces.get(key_of(new)), self._old_interfaces.get(key_of(old))
        return ["inputs or outputs"] if interfaces[0] != interfaces[1] else []


def _templates(closure: _Closure) -> "dict[str, _Template]":
    """Return the sub-workflows of a closure by key."""
    return {key_of(sub.template.id): sub.template for sub in closure.sub_workflows}


def _interfaces(closure: _Closure) -> "dict[str, bytes]":
    """Return the interfaces of all tasks, sub-workflows and launch plans as bytes, by key."""
    return {
        key_of(item.template.id): _bytes(item.template.interface)
        for items in (closure.tasks, closure.sub_workflows, closure.launch_plans)
        for item in items
    }


def _flat(template: _Template) -> "dict[str, _Node]":
    """Return the nodes of a level by id, those inside branches and the failure node included."""
    found: dict[str, _Node] = {}
    nodes = [template.failure_node] if template.HasField("failure_node") else []
    waiting = [(node, 0) for node in (*nodes, *reversed(template.nodes))]
    while waiting:
        node, depth = waiting.pop()
        if node.id in (START_NODE, END_NODE):
            continue
        found[node.id] = node
        if node.WhichOneof("target") == "branch_node" and depth < _MAX_NESTING:
            # Reversed, because the stack returns the last one first: nodes keep their order in the
            # template.
            cases = [case for _, case in cases_of(node.branch_node.if_else)]
            waiting += [(case, depth + 1) for case in reversed(cases)]
    return found


def _matched(news: "Mapping[str, _Node]", olds: "Mapping[str, _Node]") -> "dict[str, str]":
    """Return the old node's id for each new node that existed before."""
    match: dict[str, str] = {}
    new_what = {id: _what(node) for id, node in news.items()}
    old_what = {id: _what(node) for id, node in olds.items()}
    new_full = {id: (new_what[id], _given(node, new_what)) for id, node in news.items()}
    old_full = {id: (old_what[id], _given(node, old_what)) for id, node in olds.items()}
    # Two passes: first by what a node runs and is given, then, for the rest, by what it runs.
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
    """Return what a node is, whatever it is given: its kind, the name of what it runs, its own name."""
    target = reference_of(node)
    name = target.name if target is not None else ""
    return node.WhichOneof("target") or "", name, node.metadata.name


def _given(node: _Node, what: "Mapping[str, object]") -> object:
    """Return what a node is given, with other nodes named by what they run rather than by id."""
    return tuple(
        sorted(
            (binding.var, _value(binding.binding, lambda other: repr(what.get(other, other))))
            for binding in node.inputs
        )
    )


def _differences(now: _Node, was: _Node, match: "Mapping[str, str]") -> "list[str]":
    """Return the reasons why a node differs from its counterpart, as short texts."""
    # Both sides in the old graph's ids. A node that is new gets a `+`, which no id has, so it never
    # matches.
    new = {
        b.var: _value(b.binding, lambda other: match.get(other, f"{other}+")) for b in now.inputs
    }
    old = {b.var: _value(b.binding, str) for b in was.inputs}
    why = [f"input {var}" for var in sorted({*new, *old}) if new.get(var) != old.get(var)]
    if _bytes(now.metadata) != _bytes(was.metadata) or _options(now) != _options(was):
        why.append("options")
    if {match.get(id, id) for id in now.upstream_node_ids} != set(was.upstream_node_ids):
        # The compiler adds the node of every promise to the upstream ids. So a changed input changes
        # these too, and is reason enough.
        why += ["upstream nodes"] if not why else []
    return why


def _options(node: _Node) -> "list[str]":
    """Return what a node has besides its inputs and what it runs, as texts to compare."""
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
        # The oneof's field is read by its name: a ratio or a number of successes.
        ratio = getattr(array, criteria) if criteria else 1
        bound = sorted(array.bound_inputs)
        return [str(array.parallelism), criteria, str(ratio), *bound, *_options(array.node)]
    return []


def _value(data: literals_pb2.BindingData, named: "Callable[[str], str]", depth: int = 0) -> str:
    """Return a binding as text, with the nodes it refers to renamed by `named`."""
    kind = data.WhichOneof("value")
    if kind == "promise":
        path = "".join(f".{_bytes(step).hex()}" for step in data.promise.attr_path)
        source = data.promise.node_id
        return f"{'' if source in ('', START_NODE) else named(source)}.{data.promise.var}{path}"
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
    """Return the edges of the new graph, marked, and those of the old graph that are gone."""
    # Old edges by their ends. Those that a new edge corresponds to are taken out, and the rest are
    # gone.
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
    # A removed edge is drawn only if both of its ends still are, as nodes or as ghosts.
    drawn = {node.id for node in new.nodes}
    for edge in before.values():
        source, target = names.get(edge.source, ""), names.get(edge.target, "")
        if all(end in drawn or end.endswith(GHOST) for end in (source, target)):
            edges.append(edge._replace(source=source, target=target, mark=REMOVED))
    return tuple(edges)


def _ends(template: _Template, end: str) -> bytes:
    """Return the workflow's inputs or outputs, for the node that stands for them, as bytes to compare."""
    interface = template.interface
    return _bytes(interface.inputs if end == START_NODE else interface.outputs)


def _all_marked(graph: Graph, mark: str) -> Graph:
    """Return the graph with every node and edge marked."""
    nodes = tuple(node._replace(mark=mark) for node in graph.nodes)
    return graph._replace(nodes=nodes, edges=tuple(e._replace(mark=mark) for e in graph.edges))


def _bytes(message: Message) -> bytes:
    """Return the message as bytes that are equal for equal messages."""
    return message.SerializeToString(deterministic=True)
