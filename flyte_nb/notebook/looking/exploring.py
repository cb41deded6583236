"""What an interactive graph shows: a function of the workflow and of what somebody opened. Pure."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from flyte_nb.api.problems import Problem
from flyte_nb.api.specs import WorkflowTemplate
from flyte_nb.graph.elements import INPUTS, OUTPUTS, Graph, GraphNode
from flyte_nb.graph.layout import Layout, LayoutEngine, layered
from flyte_nb.graph.model import graph_of, graph_of_template
from flyte_nb.graph.opening import below, openable, opened
from flyte_nb.graph.palette import CHANGE_STYLES
from flyte_nb.graph.typed import typed
from flyte_nb.notebook.cards import pieces, units
from flyte_nb.notebook.kernel.ports import CompiledPort
from flyte_nb.notebook.looking.details import Details

MAX_INDEXED = 5_000
"""Nodes that a search knows; sub-workflows used many times count each time."""
_MAX_STEPS = 60  # things to open, one in the other, until a node is seen
_WIDE = 640  # px; beside a wider graph there is no room for the details


class Seen(NamedTuple):
    """What somebody opened and switched on."""

    opened: "frozenset[str]" = frozenset()
    """Ids, as `graph.opening.opened` takes them."""
    types: bool = False
    diff: bool = False

    def in_order(self) -> "tuple[tuple[str, ...], bool, bool]":
        """The same in an order of its own."""
        return tuple(sorted(self.opened)), self.types, self.diff


class Picture(NamedTuple):
    """One drawing, with what stands beside it; plain data for the page."""

    graph: Graph
    layout: Layout
    facts: "dict[str, dict[str, Any]]"
    """The details of every node that is drawn, by id."""
    words: "list[tuple[str, str, str]]"
    """Of every node: its id, the words it is found by, and the drawn node that it is or is in."""
    overview: "tuple[str, ...]"
    can: "dict[str, Any]"
    """What can be switched, and whether it is on."""
    marks: "dict[str, Any]" = {}  # noqa: RUF012 - never mutated
    """What else is drawn, as `svg` and `figure` take it."""
    said: str = ""
    """What did not happen, and why."""


class Wish(NamedTuple):
    """What somebody wants to see, and what is to stay where it is on the page meanwhile."""

    seen: Seen
    kept: str = ""
    selected: "str | None" = None


class Subject:
    """One workflow that is looked at."""

    def __init__(
        self,
        name: str,
        graph: Graph,
        details: Details,
        problems: "Sequence[Problem]" = (),
        *,
        humanize: "Callable[[str], str]" = str,
        engine: LayoutEngine = layered,
        compared: str = "",
    ) -> None:
        """Nothing is laid out yet.

        Args:
            name: The workflow's full name.
            graph: Of all of it, with nothing open.
            details: Of its nodes.
            problems: Everything that is wrong with it.
            humanize: Replaces the file names of cells.
            engine: Lays it out.
            compared: What came of comparing it with what is registered, in a sentence.
        """
        self.name, self.graph, self.details = name, graph, details
        self.problems = placed(problems, name, graph)
        self.humanize = humanize
        self.compared = compared
        self.engine = engine
        self._all = list(walk(graph))
        self.titles = {node.id: node.title for node in self._all}
        """What nodes are called, by their paths."""
        inner = {key: units.steps(within) for key, within in graph.within.items()}
        self.sizes = {node.id: inner[node.opens] for node in self._all if node.opens in inner}
        """How many nodes are in each that opens."""
        self._words: dict[str, str] = {}

    def drawn(self, seen: Seen) -> Graph:
        """The graph with what is open, and types on its arrows when they are asked for."""
        graph = opened(self.graph, seen.opened)
        return typed(graph) if seen.types else graph

    def picture(self, seen: Seen) -> Picture:
        """What the page shows."""
        graph = self.drawn(seen)
        layout = self.engine(graph)
        frames = {frame.node.id for frame in graph.frames}
        facts = {}
        for node in (*graph.nodes, *(frame.node for frame in graph.frames)):
            opens = "open" if node.id in frames else "closed" if node.can_open else ""
            facts[node.id] = {
                **self.details.of(node)._asdict(),
                "opens": opens,
                "change": _change(node),
            }
        closed = sum(1 for fact in facts.values() if fact["opens"] == "closed")
        can = {
            "types": seen.types,
            **({"diff": seen.diff} if self.details.compiles else {}),
            "opens": bool(closed or frames),
            "stacked": layout.width > _WIDE and not self.problems,
        }
        return Picture(
            graph,
            layout,
            facts,
            self._index(graph),
            self._overview(closed),
            can,
            {"problems": self.problems},
            self._missing(seen, frames),
        )

    def listed(self) -> "list[dict[str, Any]]":
        """The problems as the page lists them."""
        titles = self.titles
        said = []
        for number, problem in enumerate(self.problems, start=1):
            subject = titles.get(problem.node_id, problem.node_id)
            subject = subject or problem.entity.rpartition(".")[2] or problem.code
            place = problem.location
            said.append(
                {
                    "number": number,
                    "node": problem.node_id if problem.node_id in titles else "",
                    "head": ".".join(filter(None, (subject, problem.variable))),
                    "where": self.humanize(f"{place.filename}:{place.line}") if place else "",
                    "text": self.humanize(pieces.said_of(problem)).replace("`", ""),
                    "hint": self.humanize(problem.hint).replace("`", ""),
                }
            )
        return said

    def wished(self, seen: Seen, message: "Mapping[str, Any]", selected: str = "") -> "Wish | None":
        """What a message of the page asks for; `None` when it is not about what is seen."""
        if "toggle" in message:
            node = str(message["toggle"])
            return Wish(self.toggled(seen, node), node)
        if "find" in message:
            node = str(message["find"])
            return Wish(self.showing(seen, node), node, node)
        if "all" in message:
            closed = seen._replace(opened=frozenset())
            return Wish(self.to_depth(closed) if message["all"] else closed)
        if message.get("switch") == "types":
            return Wish(seen._replace(types=not seen.types), selected)
        return None

    def toggled(self, seen: Seen, node_id: str) -> Seen:
        """Open what is closed, close what is open; what was open in it is forgotten."""
        if node_id in seen.opened:
            gone = below(node_id, seen.opened) | {node_id}
            return seen._replace(opened=seen.opened - gone)
        return seen._replace(opened=seen.opened | {node_id})

    def showing(self, seen: Seen, node_id: str) -> Seen:
        """Open what the node is in, so that it is drawn."""
        for _ in range(_MAX_STEPS):
            place = _shown(node_id, *_visible(self.drawn(seen)))
            if place in ("", node_id) or place in seen.opened:
                break
            seen = seen._replace(opened=seen.opened | {place})
        return seen

    def to_depth(self, seen: Seen, depth: "int | None" = None) -> Seen:
        """Open everything down to that depth; `None` for all, groups of large graphs too."""
        ids = openable(self.graph, depth)
        if depth is None:
            drawn = opened(self.graph, ids)
            ids |= {node.id for node in drawn.nodes if node.members}
        return seen._replace(opened=seen.opened | ids)

    def _index(self, graph: Graph) -> "list[tuple[str, str, str]]":
        if not self._words:
            wrong: dict[str, str] = {}
            for problem in self.problems:
                said = f" problem {problem.code} {problem.message} {problem.variable}"
                wrong[problem.node_id] = wrong.get(problem.node_id, "") + said.lower()
            for node in self._all:
                if node.kind not in (INPUTS, OUTPUTS) or "/" not in node.id:
                    self._words[node.id] = self.details.words(node) + wrong.get(node.id, "")
        visible = _visible(graph)
        return [(id, words, _shown(id, *visible)) for id, words in self._words.items()]

    def _overview(self, closed: int) -> "tuple[str, ...]":
        count = sum(1 for node in self.graph.nodes if node.kind not in (INPUTS, OUTPUTS))
        lines = [self.compared] if self.compared else []
        if not count:
            return tuple(lines)
        lines.append(units.plural(count, "node"))
        if len(self._all) - len(self.graph.nodes):
            inner = sum(1 for node in self._all if node.kind not in (INPUTS, OUTPUTS)) - count
            lines[-1] += f", {inner:,} more inside"
        if closed:
            lines.append(f"{closed} closed: click +, or press Enter, to open one.")
        lines.append("Click a node to see what it is.")
        return tuple(lines)

    def _missing(self, seen: Seen, frames: "set[str]") -> str:
        """Why something that was to be opened is not."""
        whole = {id for id in seen.opened if "/" not in id and not id.endswith("+")}
        if whole - frames:
            return "Not everything could be opened: the drawing would have too many nodes."
        return ""


def _change(node: GraphNode) -> str:
    """What has become of the node, in words."""
    if not node.mark:
        return ""
    style = CHANGE_STYLES[node.mark]
    return f"{style.mark} {style.word}" + (f": {node.why}" if node.why else "")


def walk(graph: Graph) -> "Iterator[GraphNode]":
    """Every node at every level, with its path for an id; at most `MAX_INDEXED`."""
    waiting = [("", graph)]
    left = MAX_INDEXED
    while waiting:
        prefix, level = waiting.pop(0)
        for node in level.nodes:
            left -= 1
            if left < 0:
                return
            yield node._replace(id=prefix + node.id)
            inner = graph.within.get(node.opens)
            if inner is not None and prefix.count("/") < _MAX_STEPS:
                waiting.append((f"{prefix}{node.id}/", inner))


def _visible(graph: Graph) -> "tuple[set[str], Mapping[str, str]]":
    """(ids that are drawn, the group that each member of a closed group is in)."""
    ids = {node.id for node in graph.nodes} | {frame.node.id for frame in graph.frames}
    groups = {member: node.id for node in graph.nodes for member in node.members}
    return ids, groups


def _shown(node_id: str, ids: "set[str]", groups: "Mapping[str, str]") -> str:
    """The drawn node that it is, or is in; empty when nothing of it is drawn."""
    while node_id:
        if node_id in ids:
            return node_id
        if node_id in groups:
            return groups[node_id]
        node_id = node_id.rpartition("/")[0]
    return ""


def placed(problems: "Iterable[Problem]", name: str, graph: Graph) -> "tuple[Problem, ...]":
    """The problems at nodes of this workflow: one of a sub-workflow or a task at what runs that."""
    users: dict[str, str] = {}
    for node in graph.nodes:
        users.setdefault(node.name, node.id)
    return tuple(
        problem
        if problem.entity in ("", name)
        else problem._replace(node_id=users.get(problem.entity, ""))
        for problem in problems
    )


def graph_of_compiled(compiled: CompiledPort) -> Graph:
    """The graph of the closure; of what was written, when it does not compile."""
    if compiled.closure is not None and not compiled.problems:
        return graph_of(compiled.closure)
    if isinstance(compiled.template, WorkflowTemplate):
        specs = [draft.spec for draft in compiled.drafts]
        inner = {spec.id.name: spec for spec in specs if isinstance(spec, WorkflowTemplate)}
        return graph_of_template(compiled.template, sub_workflows=inner)
    return Graph(compiled.name, (), ())
