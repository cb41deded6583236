"""A graph that has been asked for: shown by notebooks, given in every form, saved to a file."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

from flyte_nb.api.errors import UsageError
from flyte_nb.api.files import write_atomically
from flyte_nb.api.problems import Problem
from flyte_nb.graph.dot import dot_layout
from flyte_nb.graph.elements import INPUTS, OUTPUTS, Graph
from flyte_nb.graph.html import figure
from flyte_nb.graph.layout import layered
from flyte_nb.graph.places import Engine, Layout
from flyte_nb.graph.png import png
from flyte_nb.graph.sources import dot_source, mermaid_source
from flyte_nb.graph.svg import svg
from flyte_nb.graph.svg_style import THEMES
from flyte_nb.graph.text import tree

ENGINES: "Mapping[str, Engine]" = {"layered": layered, "dot": dot_layout}


class Asked(NamedTuple):
    """What a picture was asked for."""

    entity: Any
    options: "Mapping[str, Any]"


class GraphPicture:
    """A drawn graph. Laid out when it is first needed, and only once."""

    def __init__(
        self,
        graph: Graph,
        *,
        problems: "Sequence[Problem]" = (),
        phases: "Mapping[str, str] | None" = None,
        engine: str = "layered",
        theme: str = "auto",
    ) -> None:
        """What is drawn.

        Args:
            graph: with frames, where something is open.
            problems: drawn on their nodes and arrows.
            phases: by path, e.g. `{"n0": "SUCCEEDED", "n1/n0": "RUNNING"}`.
            engine: `layered`, or `dot` where Graphviz is installed.
            theme: `light`, `dark`, or `auto`, which follows the system.

        Raises:
            UsageError: there is no such engine or theme.
        """
        if engine not in ENGINES:
            raise UsageError(f"engine={engine!r}: write {' or '.join(map(repr, ENGINES))}.")
        if theme not in THEMES:
            raise UsageError(f"theme={theme!r}: write {', '.join(map(repr, THEMES))}.")
        self.graph = graph
        self.problems = tuple(problems)
        self.phases = dict(phases or {})
        self._engine = ENGINES[engine]
        self._theme = theme
        self.asked: Asked | None = None
        """By which it can be made again when the entity has changed."""

    def __repr__(self) -> str:
        count = sum(1 for node in self.graph.nodes if node.kind not in (INPUTS, OUTPUTS))
        return f"<graph of {self.graph.title}: {count} node{'' if count == 1 else 's'}>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> "dict[str, str]":
        return {"text/html": self.html, "text/plain": self.text}

    @cached_property
    def layout(self) -> Layout:
        """Where everything stands. Raises `UsageError` when Graphviz is asked for and not there."""
        return self._engine(self.graph)

    @property
    def svg(self) -> str:
        """The SVG document."""
        return self._svg(self._theme)

    @property
    def dot(self) -> str:
        """The graph in Graphviz's language."""
        return dot_source(self.graph)

    @property
    def mermaid(self) -> str:
        """The graph as a Mermaid flowchart, for Markdown."""
        return mermaid_source(self.graph)

    @property
    def text(self) -> str:
        """The graph as an indented tree."""
        return tree(self.graph, self.phases, self.problems)

    @property
    def html(self) -> str:
        """The picture and a table; survives a notebook that is not trusted."""
        return figure(self.layout, phases=self.phases, problems=self.problems, theme=self._theme)

    def png(self, scale: float = 2.0) -> bytes:
        """The picture as PNG, `scale` pixels for a px, light unless the theme is `dark`.

        Raises:
            UsageError: `resvg-py` is not installed, or the picture would be too large.
        """
        dark = self._theme == "dark"
        layout = self.layout
        drawn = self._svg("dark" if dark else "light")
        return png(drawn, layout.width, layout.height, scale=scale, dark=dark)

    def save(self, path: "str | PathLike[str]") -> Path:
        """Write the file in the form that its suffix says; whole, or not at all.

        Raises:
            UsageError: the suffix is none of those, the file cannot be written, or see `png`.
        """
        target = Path(path)
        make = _FORMS.get(target.suffix.lower())
        if make is None:
            known = ", ".join(_FORMS)
            raise UsageError(f"{target.name!r} says no form: end the name with one of {known}.")
        content = make(self)
        write_atomically(target, content if isinstance(content, bytes) else content.encode("utf-8"))
        return target

    def _svg(self, theme: str) -> str:
        return svg(self.layout, phases=self.phases, problems=self.problems, theme=theme)


def _page(picture: GraphPicture) -> str:
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
