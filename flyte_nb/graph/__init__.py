"""Draw workflows: a compiled closure or a template in, a picture out (SVG, PNG, HTML, DOT, Mermaid, text).

The room is pure but for two edges: `dot.py` runs Graphviz when it is asked for, and `picture.py`
writes files. It imports `api` and `wire`, knows nothing of notebooks or executions, and gives the
same output for the same input, byte for byte.

Start reading at `elements.py` (what a graph is), then `compiled.py` (how it is read), `layout.py`
(how it is placed) and `svg.py` (how it is written). The theory of operation is in `docs/graph.md`.
"""
