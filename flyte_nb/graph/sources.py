"""Write the graph in other languages: DOT for Graphviz, Mermaid for GitHub, GitLab and JupyterLab.

Nodes are written by number, so that no id can break a language; titles are quoted.
"""

from flyte_nb.api.nodes import (
    ARRAY_NODE,
    BRANCH_NODE,
    END_NODE,
    GATE_NODE,
    LAUNCH_PLAN_NODE,
    START_NODE,
    WORKFLOW_NODE,
)
from flyte_nb.graph.elements import (
    CASE,
    FAILURE,
    GROUP,
    INPUTS,
    ORDER,
    OUTPUTS,
    Graph,
    GraphEdge,
    GraphFrame,
    GraphNode,
)
from flyte_nb.graph.places import FRAME_PAD
from flyte_nb.graph.xml import possible

_DOT_SHAPES = {
    WORKFLOW_NODE: "shape=box,peripheries=2",
    ARRAY_NODE: "shape=box3d",
    GROUP: "shape=box3d",
    LAUNCH_PLAN_NODE: "shape=cds",
    BRANCH_NODE: "shape=diamond",
    GATE_NODE: "shape=octagon",
    INPUTS: "shape=box,style=rounded",
    OUTPUTS: "shape=box,style=rounded",
}
_DOT_EDGES = {ORDER: "style=dotted", FAILURE: "style=dashed"}
_MERMAID_SHAPES = {
    WORKFLOW_NODE: '[["{}"]]',
    ARRAY_NODE: '[/"{}"\\]',
    GROUP: '[["{}"]]',
    LAUNCH_PLAN_NODE: '>"{}"]',
    BRANCH_NODE: '{{"{}"}}',
    GATE_NODE: '{{{{"{}"}}}}',
    INPUTS: '(["{}"])',
    OUTPUTS: '(["{}"])',
}
_MERMAID_ARROWS = {ORDER: "-.->", FAILURE: "-.->"}
_PORT = "●"


def dot_source(graph: Graph) -> str:
    """Return the graph in DOT, with titles and shapes; open nodes are clusters."""
    return _Dot(graph).text()


def mermaid_source(graph: Graph) -> str:
    """Return the graph as a Mermaid flowchart; open nodes are subgraphs.

    In Markdown, put it into a fenced code block with the language `mermaid`.
    """
    return _Mermaid(graph).text()


class _Writer:
    """The common part of both languages: ids as numbers, and frames inside frames."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        things = [*graph.nodes, *(frame.node for frame in graph.frames)]
        self._number = {thing.id: number for number, thing in enumerate(things)}
        self._nodes = {node.id: node for node in graph.nodes}
        self._frames = {frame.node.id: frame for frame in graph.frames}
        self._lines: list[str] = []

    def _contents(self) -> None:
        """Write all nodes and frames, each frame around its contents, then all edges."""
        inside = {member for frame in self._graph.frames for member in frame.members}
        waiting: list[tuple[str | None, int]] = [
            (thing, 1) for thing in reversed([*self._nodes, *self._frames]) if thing not in inside
        ]
        while waiting:
            thing, depth = waiting.pop()
            indent = "  " * depth
            # `None` stands for the end of a frame.
            if thing is None:
                self._lines.append(f"{indent}{self._closing}")
            elif thing in self._frames:
                self._lines.append(indent + self._opening(self._frames[thing]))
                waiting.append((None, depth))
                waiting += [(m, depth + 1) for m in reversed(self._frames[thing].members)]
            elif thing in self._nodes:
                self._lines.append(indent + self._node(self._nodes[thing]))
        for edge in self._graph.edges:
            if edge.source in self._number and edge.target in self._number:
                self._lines.append(f"  {self._edge(edge)}")

    _closing = ""

    def _opening(self, frame: GraphFrame) -> str:
        """Return the line that begins a frame."""
        raise NotImplementedError

    def _node(self, node: GraphNode) -> str:
        """Return the line of a node."""
        raise NotImplementedError

    def _edge(self, edge: GraphEdge) -> str:
        """Return the line of an edge."""
        raise NotImplementedError


class _Dot(_Writer):
    """Write DOT."""

    _closing = "}"

    def text(self) -> str:
        """Return the whole graph."""
        self._lines = [
            f"digraph {_dot(self._graph.title)} {{",
            "  rankdir=LR; compound=true; fontname=Helvetica;",
            "  node [shape=box, fontname=Helvetica, fontsize=11];",
            "  edge [fontname=Helvetica, fontsize=9];",
        ]
        self._contents()
        return "\n".join([*self._lines, "}", ""])

    def _opening(self, frame: GraphFrame) -> str:
        """Return the line that begins a cluster."""
        number = self._number[frame.node.id]
        label = _dot(*_title_lines(frame.node))
        margin = f"margin={FRAME_PAD}; style=rounded;"
        # In DOT an arrow can only lead to a node. One to the frame leads to a node inside and is clipped
        # at the frame's edge; a frame without nodes gets an invisible one.
        anchor = "" if self._anchor(frame) else f" a{number} [shape=point, style=invis];"
        return f"subgraph cluster_{number} {{ label={label}; {margin}{anchor}"

    def _anchor(self, frame: "GraphFrame | None") -> "str | None":
        """Return a node inside the frame, at any depth, or `None`."""
        seen: set[str] = set()
        while frame is not None and frame.node.id not in seen:
            seen.add(frame.node.id)
            inner = next((m for m in frame.members if m in self._nodes), None)
            if inner is not None:
                return f"n{self._number[inner]}"
            deeper = next((m for m in frame.members if m in self._frames), "")
            frame = self._frames.get(deeper)
        return None

    def _node(self, node: GraphNode) -> str:
        """Return the line of a node, with its shape."""
        number = self._number[node.id]
        if node.is_port:
            return f"n{number} [shape=point, width=0.06];"
        shape = _DOT_SHAPES.get(node.kind, "")
        mark = f", xlabel={_dot(node.mark)}" if node.mark else ""
        return (
            f"n{number} [label={_dot(*_title_lines(node))}{', ' + shape if shape else ''}{mark}];"
        )

    def _edge(self, edge: GraphEdge) -> str:
        """Return the line of an edge, with its style and label."""
        options = [_DOT_EDGES[edge.kind]] if edge.kind in _DOT_EDGES else []
        if edge.label or edge.mark:
            options.append(f"label={_dot(edge.label, edge.mark)}")
        ends = []
        for end, clip in ((edge.source, "ltail"), (edge.target, "lhead")):
            number = self._number[end]
            frame = self._frames.get(end)
            if frame is None:
                ends.append(f"n{number}")
                continue
            # With ports inside the frame the arrow ends at the port; it needs no clipping then.
            port = f"{end}/{END_NODE if clip == 'ltail' else START_NODE}"
            if port in self._nodes:
                ends.append(f"n{self._number[port]}")
            else:
                ends.append(self._anchor(frame) or f"a{number}")
                options.append(f"{clip}=cluster_{number}")
        return f"{' -> '.join(ends)}{' [' + ', '.join(options) + ']' if options else ''};"


class _Mermaid(_Writer):
    """Write Mermaid."""

    _closing = "end"

    def text(self) -> str:
        """Return the whole graph."""
        self._lines = ["flowchart LR"]
        self._contents()
        return "\n".join([*self._lines, ""])

    def _opening(self, frame: GraphFrame) -> str:
        """Return the line that begins a subgraph."""
        return f'subgraph n{self._number[frame.node.id]}["{_mermaid(*_title_lines(frame.node))}"]'

    def _node(self, node: GraphNode) -> str:
        """Return the line of a node, with its shape."""
        number = self._number[node.id]
        if node.is_port:
            return f'n{number}(("{_PORT}"))'
        shape = _MERMAID_SHAPES.get(node.kind, '["{}"]')
        return f"n{number}{shape.format(_mermaid(*_title_lines(node), node.mark))}"

    def _edge(self, edge: GraphEdge) -> str:
        """Return the line of an edge, with its label."""
        ends = []
        for end, port in ((edge.source, END_NODE), (edge.target, START_NODE)):
            inner = f"{end}/{port}"
            thing = inner if end in self._frames and inner in self._nodes else end
            ends.append(f"n{self._number[thing]}")
        arrow = _MERMAID_ARROWS.get(edge.kind, "==>" if edge.kind == CASE else "-->")
        label = _mermaid(edge.label, edge.mark)
        return f"{ends[0]} {arrow}{f'|{chr(34)}{label}{chr(34)}|' if label else ''} {ends[1]}"


def _title_lines(node: GraphNode) -> "tuple[str, str]":
    """Return the title and the second line."""
    return node.title, node.subtitle


def _dot(*lines: str) -> str:
    """Return the lines as a quoted text of DOT."""
    joined = "\n".join(possible(line) for line in lines if line)
    return '"' + joined.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _mermaid(*lines: str) -> str:
    """Return the lines as a text that can stand between quotes."""
    return "<br/>".join(_mermaid_line(line) for line in lines if line)


def _mermaid_line(line: str) -> str:
    """Return the line with everything that could mean something to Mermaid, Markdown or HTML as an entity."""
    return "".join(
        c if c.isalnum() or c in _MERMAID_PLAIN or ord(c) > 0x9F else f"#{ord(c)};"
        for c in " ".join(possible(line).split())
    )


_MERMAID_PLAIN = frozenset(" _-.,:+/·×…")
