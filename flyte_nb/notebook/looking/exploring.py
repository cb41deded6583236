"""Compute what an interactive graph shows, from the workflow and from what a person opened. Pure.

A *subject* is the workflow; a *view state* is what is open and switched on; a *picture* is what the page
shows for both. A message of the page asks for a *change*: another view state, and what keeps its place
meanwhile. So the whole state of a view is one small value, and every picture can be made again from it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from flyteidl.core.compiler_pb2 import CompiledWorkflowClosure

from flyte_nb.api.problems import Problem
from flyte_nb.api.specs import WorkflowTemplate
from flyte_nb.graph.elements import INPUTS, OUTPUTS, Graph, GraphNode
from flyte_nb.graph.growing import grown
from flyte_nb.graph.layout import Layout, LayoutEngine, layered
from flyte_nb.graph.model import graph_of, graph_of_template
from flyte_nb.graph.opening import below, openable, opened
from flyte_nb.graph.palette import CHANGE_STYLES
from flyte_nb.graph.typed import typed
from flyte_nb.notebook.cards import pieces, units
from flyte_nb.notebook.kernel.ports import CompiledPort
from flyte_nb.notebook.looking.details import Details

MAX_INDEXED = 5_000
"""Nodes that a search finds at most. A sub-workflow that is used twice counts twice."""
_MAX_STEPS = 60
"""Levels that are opened at most until a node can be seen: a workflow may run itself."""
_WIDE = 640
"""Px. Beside a wider graph there is no room for the details, so they are shown below it."""


class ViewState(NamedTuple):
    """What a person opened and switched on in one view."""

    opened: "frozenset[str]" = frozenset()
    """Paths of open nodes, and ids of open groups, as `graph.opening.opened` takes them."""
    types: bool = False
    """Whether arrows are labelled with types."""
    diff: bool = False
    """Whether differences from what is registered are marked."""

    def in_order(self) -> "tuple[tuple[str, ...], bool, bool]":
        """Return the same as sorted values, so that it can be hashed to the same digest every time."""
        return tuple(sorted(self.opened)), self.types, self.diff


class Picture(NamedTuple):
    """One drawing and what stands beside it, as plain data for the page."""

    graph: Graph
    layout: Layout
    facts: "dict[str, dict[str, Any]]"
    """The details of every node that is drawn, by id."""
    words: "list[tuple[str, str, str]]"
    """For every node: its path, the words by which it is found, the drawn node that it is or is inside of."""
    overview: "tuple[str, ...]"
    """Lines that are shown while no node is selected."""
    can: "dict[str, Any]"
    """What can be switched on in the page, and whether it is on."""
    marks: "dict[str, Any]" = {}  # noqa: RUF012 - never mutated
    """Keyword arguments for `svg` and `figure`: what is drawn besides the layout."""
    notice: str = ""
    """What could not be done, and why; empty if everything could."""


class ViewChange(NamedTuple):
    """Another view state that a person asked for, and how the page gets there."""

    seen: ViewState
    kept: str = ""
    """The node that keeps its place on the screen."""
    selected: "str | None" = None
    """The node to select; `None` keeps the selection."""


class Subject:
    """One workflow that a person looks at."""

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
        """Read the names of all nodes; nothing is laid out yet.

        Args:
            name: The workflow's full name.
            graph: Its graph with nothing open.
            details: The details of its nodes.
            problems: Everything that is wrong with it.
            humanize: Replaces the file names of cells.
            engine: Lays the graph out.
            compared: The outcome of comparing it with what is registered, as a sentence; empty if it was
                not compared.
        """
        self.name, self.graph, self.details = name, graph, details
        self.problems = placed(problems, name, graph)
        self.humanize = humanize
        self.compared = compared
        self.engine = engine
        self._all = list(walk(graph))
        self.titles = {node.id: node.title for node in self._all}
        """Titles of nodes by their paths."""
        inner = {key: units.steps(within) for key, within in graph.within.items()}
        self.sizes = {node.id: inner[node.opens] for node in self._all if node.opens in inner}
        """How many nodes each node that can be opened has inside, by path."""
        self._words: dict[str, str] = {}

    def grown(self, made: "Mapping[str, CompiledWorkflowClosure]") -> "Subject":
        """Return the subject in which nodes open to what they turned out to run.

        Args:
            made: What dynamic nodes made while the execution ran, by their paths, outer ones first.
        """
        graph, details = self.graph, self.details
        for path, closure in made.items():
            inner = graph_of(closure)
            graph = grown(graph, path, inner)
            details = details.grown(graph, path, closure, inner)
        return Subject(
            self.name,
            graph,
            details,
            self.problems,
            humanize=self.humanize,
            engine=self.engine,
            compared=self.compared,
        )

    def drawn(self, seen: ViewState) -> Graph:
        """Return the graph with nodes opened, and types on its arrows if they are switched on."""
        graph = opened(self.graph, seen.opened)
        return typed(graph) if seen.types else graph

    def picture(self, seen: ViewState) -> Picture:
        """Lay the graph out and return everything that the page shows."""
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
            # Only a closure can be compared. The page hides a switch that it does not find here.
            **({"diff": seen.diff} if self.details.compiles else {}),
            "opens": bool(closed or frames),
            "stacked": layout.width > _WIDE and not self.problems,
        }
        return Picture(
            graph=graph,
            layout=layout,
            facts=facts,
            words=self._index(graph),
            overview=self._overview(closed),
            can=can,
            marks={"problems": self.problems},
            notice=self._missing(seen, frames),
        )

    def listed(self) -> "list[dict[str, Any]]":
        """Return the problems as plain data, as the page lists them."""
        titles = self.titles
        listed = []
        for number, problem in enumerate(self.problems, start=1):
            subject = titles.get(problem.node_id, problem.node_id)
            subject = subject or problem.entity.rpartition(".")[2] or problem.code
            place = problem.location
            listed.append(
                {
                    "number": number,
                    "node": problem.node_id if problem.node_id in titles else "",
                    "head": ".".join(filter(None, (subject, problem.variable))),
                    "where": self.humanize(f"{place.filename}:{place.line}") if place else "",
                    "text": self.humanize(pieces.short_message(problem)).replace("`", ""),
                    "hint": self.humanize(problem.hint).replace("`", ""),
                }
            )
        return listed

    def requested(
        self, seen: ViewState, message: "Mapping[str, object]", selected: str = ""
    ) -> "ViewChange | None":
        """Return the change that a message of the page asks for; `None` if it asks for none.

        Args:
            seen: The present view state.
            message: One of those that `page/graph.js` sends.
            selected: The selected node, which keeps its place when types are switched.
        """
        if "toggle" in message:
            node = str(message["toggle"])
            return ViewChange(self.toggled(seen, node), node)
        if "find" in message:
            node = str(message["find"])
            return ViewChange(self.showing(seen, node), node, node)
        if "all" in message:
            closed = seen._replace(opened=frozenset())
            return ViewChange(self.to_depth(closed) if message["all"] else closed)
        if message.get("switch") == "types":
            return ViewChange(seen._replace(types=not seen.types), selected)
        return None

    def toggled(self, seen: ViewState, node_id: str) -> ViewState:
        """Return the state with a closed node open or an open one closed, with everything inside of it."""
        if node_id in seen.opened:
            gone = below(node_id, seen.opened) | {node_id}
            return seen._replace(opened=seen.opened - gone)
        return seen._replace(opened=seen.opened | {node_id})

    def showing(self, seen: ViewState, node_id: str) -> ViewState:
        """Return the state in which everything around the node is open, so that it is drawn."""
        # From the outside in, because what is inside is known only when the outer node is open: collapsing
        # may put it into a group.
        for _ in range(_MAX_STEPS):
            place = _shown(node_id, *_visible(self.drawn(seen)))
            # Open and still not drawn: opening has reached its limit of nodes.
            if place in ("", node_id) or place in seen.opened:
                break
            seen = seen._replace(opened=seen.opened | {place})
        return seen

    def to_depth(self, seen: ViewState, depth: "int | None" = None) -> ViewState:
        """Return the state in which everything down to `depth` levels is open.

        `None` opens everything, also the groups into which a large graph is collapsed.
        """
        ids = openable(self.graph, depth)
        if depth is None:
            drawn = opened(self.graph, ids)
            ids |= {node.id for node in drawn.nodes if node.members}
        return seen._replace(opened=seen.opened | ids)

    def _index(self, graph: Graph) -> "list[tuple[str, str, str]]":
        """Return what a search needs of every node; see `Picture.words`."""
        # The words are the same for every picture; only the drawn node differs.
        if not self._words:
            wrong: dict[str, str] = {}
            for problem in self.problems:
                words = f" problem {problem.code} {problem.message} {problem.variable}"
                wrong[problem.node_id] = wrong.get(problem.node_id, "") + words.lower()
            for node in self._all:
                # Inputs and outputs of inner workflows repeat the ports of their frames.
                if node.kind not in (INPUTS, OUTPUTS) or "/" not in node.id:
                    self._words[node.id] = self.details.words(node) + wrong.get(node.id, "")
        visible = _visible(graph)
        return [(id, words, _shown(id, *visible)) for id, words in self._words.items()]

    def _overview(self, closed: int) -> "tuple[str, ...]":
        """Return the lines for the panel while no node is selected; `closed` nodes can be opened."""
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

    def _missing(self, seen: ViewState, frames: "set[str]") -> str:
        """Return why something that should be open is not; empty if all of it is."""
        # Only top-level nodes: what is inside a node that is not drawn cannot be open.
        whole = {id for id in seen.opened if "/" not in id and not id.endswith("+")}
        if whole - frames:
            return "Not everything could be opened: the drawing would have too many nodes."
        return ""


def _change(node: GraphNode) -> str:
    """Return how the node differs from what is registered, in words; empty if it does not."""
    if not node.mark:
        return ""
    style = CHANGE_STYLES[node.mark]
    return f"{style.mark} {style.word}" + (f": {node.why}" if node.why else "")


def walk(graph: Graph) -> "Iterator[GraphNode]":
    """Return the nodes of every level, outer ones first, with paths for ids; at most `MAX_INDEXED`."""
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
    """Return the ids that are drawn, and the closed group that each of its members is in."""
    ids = {node.id for node in graph.nodes} | {frame.node.id for frame in graph.frames}
    groups = {member: node.id for node in graph.nodes for member in node.members}
    return ids, groups


def _shown(node_id: str, ids: "set[str]", groups: "Mapping[str, str]") -> str:
    """Return the drawn node that a node is or is inside of; empty if nothing of it is drawn."""
    while node_id:
        if node_id in ids:
            return node_id
        if node_id in groups:
            return groups[node_id]
        node_id = node_id.rpartition("/")[0]
    return ""


def placed(problems: "Iterable[Problem]", name: str, graph: Graph) -> "tuple[Problem, ...]":
    """Return the problems placed on this workflow's nodes: one of a task or sub-workflow on what runs it."""
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
    """Return the graph of the closure; of the template if the workflow does not compile."""
    if compiled.closure is not None and not compiled.problems:
        return graph_of(compiled.closure)
    if isinstance(compiled.template, WorkflowTemplate):
        specs = [draft.spec for draft in compiled.drafts]
        inner = {spec.id.name: spec for spec in specs if isinstance(spec, WorkflowTemplate)}
        return graph_of_template(compiled.template, sub_workflows=inner)
    return Graph(compiled.name, (), ())
