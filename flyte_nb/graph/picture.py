"""Show a graph in a notebook, return it in every format, and save it to a file."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

from flyte_nb.api.errors import UsageError
from flyte_nb.api.files import write_atomically
from flyte_nb.api.problems import Problem
from flyte_nb.graph.dot import dot_layout, require_dot
from flyte_nb.graph.elements import INPUTS, OUTPUTS, Graph
from flyte_nb.graph.html import figure
from flyte_nb.graph.layout import layered
from flyte_nb.graph.places import Layout, LayoutEngine
from flyte_nb.graph.png import png
from flyte_nb.graph.sources import dot_source, mermaid_source
from flyte_nb.graph.svg import svg
from flyte_nb.graph.svg_style import THEMES
from flyte_nb.graph.text import tree

ENGINES: "Mapping[str, LayoutEngine]" = {"layered": layered, "dot": dot_layout}


class PictureRequest(NamedTuple):
    """The call that made a picture, by which it can be made again."""

    entity: object
    options: "Mapping[str, Any]"
    """Keyword arguments of `Session.graph`."""


class GraphPicture:
    """A graph as a picture; it is laid out once, when that is first needed."""

    def __init__(
        self,
        graph: Graph,
        *,
        problems: "Sequence[Problem]" = (),
        phases: "Mapping[str, str] | None" = None,
        engine: str = "layered",
        theme: str = "auto",
    ) -> None:
        """Make a picture of a graph.

        Args:
            graph: with frames, where something is open.
            problems: drawn on their nodes and arrows.
            phases: by path, e.g. `{"n0": "SUCCEEDED", "n1/n0": "RUNNING"}`.
            engine: `layered`, or `dot` where Graphviz is installed.
            theme: as `svg.svg` takes it.

        Raises:
            UsageError: there is no such engine or theme, or Graphviz is asked for and not there.
        """
        if engine not in ENGINES:
            known = " or ".join(map(repr, ENGINES))
            raise UsageError(f"engine={engine!r} is not known: write {known}.")
        if theme not in THEMES:
            known = ", ".join(map(repr, THEMES))
            raise UsageError(f"theme={theme!r} is not known: write one of {known}.")
        if engine == "dot":
            require_dot()
        self.graph = graph
        self.problems = tuple(problems)
        self.phases = dict(phases or {})
        self._engine = ENGINES[engine]
        self._theme = theme
        self.asked: PictureRequest | None = None
        """The call that made it, to make it again when the entity has changed; `None` when unknown."""

    def __repr__(self) -> str:
        count = sum(1 for node in self.graph.nodes if node.kind not in (INPUTS, OUTPUTS))
        return f"<graph of {self.graph.title}: {count} node{'' if count == 1 else 's'}>"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> "dict[str, str]":
        """Return the picture for a notebook, and the tree for a terminal; IPython calls this."""
        # `include` and `exclude` may be ignored: IPython filters the result itself.
        try:
            return {"text/html": self.html, "text/plain": self.text}
        except UsageError as error:  # dot failed; a display never raises
            return {"text/plain": f"{self.text}\n\n{error}"}

    @cached_property
    def layout(self) -> Layout:
        """Return where everything stands.

        Raises:
            UsageError: when the engine is `dot` and Graphviz is not installed or fails.
        """
        return self._engine(self.graph)

    @property
    def svg(self) -> str:
        """Return the picture as an SVG document."""
        return self._svg(self._theme)

    @property
    def dot(self) -> str:
        """Return the graph in Graphviz's language."""
        return dot_source(self.graph)

    @property
    def mermaid(self) -> str:
        """Return the graph as a Mermaid flowchart, for Markdown."""
        return mermaid_source(self.graph)

    @property
    def text(self) -> str:
        """Return the graph as an indented tree."""
        return tree(self.graph, self.phases, self.problems)

    @property
    def html(self) -> str:
        """Return the picture and a table as HTML that survives an untrusted notebook."""
        return figure(self.layout, phases=self.phases, problems=self.problems, theme=self._theme)

    def png(self, scale: float = 2.0) -> bytes:
        """Return the picture as PNG, `scale` pixels for a px; light unless the theme is `dark`.

        Raises:
            UsageError: when `resvg-py` is not installed, or the picture would be too large.
        """
        dark = self._theme == "dark"
        layout = self.layout
        drawn = self._svg("dark" if dark else "light")
        return png(drawn, layout.width, layout.height, scale=scale, dark=dark)

    def save(self, path: "str | PathLike[str]") -> Path:
        """Write the picture to a file in the format of its suffix, and return the path.

        The file is written whole or not at all.

        Raises:
            UsageError: when the suffix is not known, the file cannot be written, or `png` raises
                it.
        """
        target = Path(path)
        make = _FORMS.get(target.suffix.lower())
        if make is None:
            known = ", ".join(_FORMS)
            raise UsageError(
                f"The suffix of {target.name!r} is not a known format: end the name with one of {known}."
            )
        content = make(self)
        write_atomically(target, content if isinstance(content, bytes) else content.encode("utf-8"))
        return target

    def _svg(self, theme: str) -> str:
        """Return the SVG in this theme."""
        return svg(self.layout, phases=self.phases, problems=self.problems, theme=theme)


def _page(picture: GraphPicture) -> str:
    """Return the picture as an HTML page of its own."""
    head = '<!doctype html><html lang="en"><meta charset="utf-8"/>'
    return f'{head}<body style="font-family:sans-serif">{picture.html}</body></html>\n'


_FORMS: "Mapping[str, Callable[[GraphPicture], str | bytes]]" = {
    ".svg": lambda picture: picture.svg,
    ".png": lambda picture: picture.png(),
    ".html": _page,
    ".dot": lambda picture: picture.dot,
    ".gv": lambda picture: picture.dot,
    ".mmd": lambda picture: picture.mermaid,
    ".txt": lambda picture: f"{picture.text}\n",
}
