"""The graph in other languages: DOT for Graphviz, Mermaid for GitHub, GitLab and JupyterLab's Markdown.

Nodes are written by number, so that no id can break a language; titles are quoted.
"""

from flyte_nb.graph.elements import (
    ARRAY,
    BRANCH,
    CASE,
    FAILURE,
    GATE,
    GROUP,
    INPUTS,
    LAUNCH_PLAN,
    ORDER,
    OUTPUTS,
    WORKFLOW,
    Frame,
    Graph,
    GraphEdge,
    GraphNode,
)
from flyte_nb.graph.places import FRAME_PAD
from flyte_nb.graph.xml import possible

_DOT_SHAPES = {
    WORKFLOW: "shape=box,peripheries=2",
    ARRAY: "shape=box3d",
    GROUP: "shape=box3d",
    LAUNCH_PLAN: "shape=cds",
    BRANCH: "shape=diamond",
    GATE: "shape=octagon",
    INPUTS: "shape=box,style=rounded",
    OUTPUTS: "shape=box,style=rounded",
}
_DOT_EDGES = {ORDER: "style=dotted", FAILURE: "style=dashed"}
_MERMAID_SHAPES = {
    WORKFLOW: '[["{}"]]',
    ARRAY: '[/"{}"\\]',
    GROUP: '[["{}"]]',
    LAUNCH_PLAN: '>"{}"]',
    BRANCH: '{{"{}"}}',
    GATE: '{{{{"{}"}}}}',
    INPUTS: '(["{}"])',
    OUTPUTS: '(["{}"])',
}
_MERMAID_ARROWS = {ORDER: "-.->", FAILURE: "-.->"}
_PORT = "●"


def dot_source(graph: Graph) -> str:
    """The graph in DOT, with titles and shapes; open nodes are clusters."""
    return _Dot(graph).text()


def mermaid_source(graph: Graph) -> str:
    """The graph as a Mermaid flowchart; open nodes are subgraphs.

    Put it between three backquotes and the word `mermaid` in Markdown.
    """
    return _Mermaid(graph).text()


class _Writer:
    """What both languages have in common: numbers for ids, and frames in frames."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        things = [*graph.nodes, *(frame.node for frame in graph.frames)]
        self._number = {thing.id: number for number, thing in enumerate(things)}
        self._nodes = {node.id: node for node in graph.nodes}
        self._frames = {frame.node.id: frame for frame in graph.frames}
        self._lines: list[str] = []

    def _contents(self) -> None:
        inside = {member for frame in self._graph.frames for member in frame.members}
        waiting: list[tuple[str | None, int]] = [
            (thing, 1) for thing in reversed([*self._nodes, *self._frames]) if thing not in inside
        ]
        while waiting:
            thing, depth = waiting.pop()
            indent = "  " * depth
            if thing is None:  # the end of a frame
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

    def _opening(self, frame: Frame) -> str:
        raise NotImplementedError

    def _node(self, node: GraphNode) -> str:
        raise NotImplementedError

    def _edge(self, edge: GraphEdge) -> str:
        raise NotImplementedError


class _Dot(_Writer):
    _closing = "}"

    def text(self) -> str:
        self._lines = [
            f"digraph {_dot(self._graph.title)} {{",
            "  rankdir=LR; compound=true; fontname=Helvetica;",
            "  node [shape=box, fontname=Helvetica, fontsize=11];",
            "  edge [fontname=Helvetica, fontsize=9];",
        ]
        self._contents()
        return "\n".join([*self._lines, "}", ""])

    def _opening(self, frame: Frame) -> str:
        number = self._number[frame.node.id]
        label = _dot(*_said(frame.node))
        margin = f"margin={FRAME_PAD}; style=rounded;"
        # An arrow can only lead to a node; one that leads to the frame ends at its edge.
        anchor = "" if self._anchor(frame) else f" a{number} [shape=point, style=invis];"
        return f"subgraph cluster_{number} {{ label={label}; {margin}{anchor}"

    def _anchor(self, frame: "Frame | None") -> "str | None":
        """A node that lies in the frame, at any depth."""
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
        number = self._number[node.id]
        if node.is_port:
            return f"n{number} [shape=point, width=0.06];"
        shape = _DOT_SHAPES.get(node.kind, "")
        mark = f", xlabel={_dot(node.mark)}" if node.mark else ""
        return f"n{number} [label={_dot(*_said(node))}{', ' + shape if shape else ''}{mark}];"

    def _edge(self, edge: GraphEdge) -> str:
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
            port = f"{end}/{'end-node' if clip == 'ltail' else 'start-node'}"
            if port in self._nodes:
                ends.append(f"n{self._number[port]}")
            else:
                ends.append(self._anchor(frame) or f"a{number}")
                options.append(f"{clip}=cluster_{number}")
        return f"{' -> '.join(ends)}{' [' + ', '.join(options) + ']' if options else ''};"


class _Mermaid(_Writer):
    _closing = "end"

    def text(self) -> str:
        self._lines = ["flowchart LR"]
        self._contents()
        return "\n".join([*self._lines, ""])

    def _opening(self, frame: Frame) -> str:
        return f'subgraph n{self._number[frame.node.id]}["{_mermaid(*_said(frame.node))}"]'

    def _node(self, node: GraphNode) -> str:
        number = self._number[node.id]
        if node.is_port:
            return f'n{number}(("{_PORT}"))'
        shape = _MERMAID_SHAPES.get(node.kind, '["{}"]')
        return f"n{number}{shape.format(_mermaid(*_said(node), node.mark))}"

    def _edge(self, edge: GraphEdge) -> str:
        ends = []
        for end, port in ((edge.source, "end-node"), (edge.target, "start-node")):
            inner = f"{end}/{port}"
            thing = inner if end in self._frames and inner in self._nodes else end
            ends.append(f"n{self._number[thing]}")
        arrow = _MERMAID_ARROWS.get(edge.kind, "==>" if edge.kind == CASE else "-->")
        label = _mermaid(edge.label, edge.mark)
        return f"{ends[0]} {arrow}{f'|{chr(34)}{label}{chr(34)}|' if label else ''} {ends[1]}"


def _said(node: GraphNode) -> "tuple[str, str]":
    return node.title, node.subtitle


def _dot(*lines: str) -> str:
    """Lines as a quoted string."""
    said = "\n".join(possible(line) for line in lines if line)
    return '"' + said.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _mermaid(*lines: str) -> str:
    """Lines as what stands between quotes."""
    return "<br/>".join(_mermaid_line(line) for line in lines if line)


def _mermaid_line(line: str) -> str:
    """Whatever could mean something to Mermaid, Markdown or HTML is written as an entity."""
    return "".join(
        c if c.isalnum() or c in _MERMAID_PLAIN or ord(c) > 0x9F else f"#{ord(c)};"
        for c in " ".join(possible(line).split())
    )


_MERMAID_PLAIN = frozenset(" _-.,:+/·×…")
