"""The live graph as a widget: with anywidget it pans, zooms and selects; without, it is a picture.

Only what changed travels: a custom message `{"delta": {node: [phase, subtitle]}}`. The trait `states`
is changed in place, so that a page that is loaded later asks for it and gets everything.
"""

import functools
import importlib.util
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from flyte_nb.graph.layout import Layout
from flyte_nb.graph.svg import marks, svg
from flyte_nb.notebook.live.states import NodeState
from flyte_nb.notebook.live.style import graph_rules

_SETTLE_S = 3.0
"""So long after the start whole states are sent: a page loads the script later than the widget,
and messages that come before it are lost."""
_PARTS = ("camera", "paint", "moves", "search", "panel", "graph")
"""The script's files in the order in which they are joined; the last one exports."""

Select = Callable[[str], None]


class GraphView(Protocol):
    """A drawn graph whose nodes change."""

    widget: Any

    def update(self, states: "Mapping[str, NodeState]", changed: "Mapping[str, Any]") -> None:
        """Show these states; `changed` is what is new since the last call."""
        ...


def can_be_live() -> bool:
    """Whether anywidget is installed."""
    return importlib.util.find_spec("anywidget") is not None


def graph_view(layout: Layout, label: str, on_select: Select) -> GraphView:
    """The best view that can be had here.

    Args:
        layout: Where everything is; it is laid out once and for all.
        label: What a screen reader says.
        on_select: Called with the id of a node that was clicked or reached by keyboard, or "".
    """
    if not can_be_live():
        return PictureGraph(layout)
    return LiveGraph(layout, label, on_select)


class LiveGraph:
    """The graph that a script in the page recolours."""

    def __init__(self, layout: Layout, label: str, on_select: Select) -> None:
        self.widget = graph_widget(
            svg=svg(layout, theme="page", live=True), looks=looks(), label=label, states={}
        )
        self._whole_until = time.monotonic() + _SETTLE_S
        self.widget.observe(lambda change: on_select(change["new"]), names="selected")

    def update(self, states: "Mapping[str, NodeState]", changed: "Mapping[str, Any]") -> None:
        """Send what changed."""
        if not changed:
            return
        delta = {node: list(state) for node, state in changed.items()}
        self.widget.states.update(delta)
        if time.monotonic() < self._whole_until:
            self.widget.send_state("states")
        else:
            self.widget.send({"delta": delta})


class PictureGraph:
    """The graph as HTML that is written anew; for where anywidget is not installed."""

    def __init__(self, layout: Layout) -> None:
        from flyte_nb.notebook.toolkit import widgets

        self._layout = layout
        self.widget = widgets.HTML()
        self.widget.add_class("fnb-picture")
        self.update({}, {})

    def update(self, states: "Mapping[str, NodeState]", changed: "Mapping[str, Any]") -> None:
        """Draw the colours again; the layout stays."""
        self.widget.value = svg(
            self._layout,
            phases={node: state.phase for node, state in states.items()},
            subtitles={node: state.subtitle for node, state in states.items() if state.subtitle},
            theme="page",
        )


def looks() -> "dict[str, list[str]]":
    """(path of the mark, word) by phase."""
    return {phase: list(look) for phase, look in marks().items()}


@functools.cache
def script() -> str:
    """The page's script: its files joined, without their comments and indentation."""
    folder = Path(__file__).with_name("page")
    lines = [
        line.strip()
        for part in _PARTS
        for line in (folder / f"{part}.js").read_text(encoding="utf-8").splitlines()
    ]
    return "\n".join(line for line in lines if line and not line.startswith("//"))


def graph_widget(**traits: Any) -> Any:
    """A graph on the page, with these traits; `page/graph.js` describes them."""
    return _widget_class()(**traits)


@functools.cache
def _widget_class() -> Any:
    """The widget's class; made here because anywidget is optional and costs an import."""
    import anywidget
    import traitlets

    class GraphWidget(anywidget.AnyWidget):
        """One graph on the page."""

        _esm = script()
        _css = graph_rules()

        svg = traitlets.Unicode().tag(sync=True)
        states = traitlets.Dict().tag(sync=True)
        looks = traitlets.Dict().tag(sync=True)
        label = traitlets.Unicode().tag(sync=True)
        selected = traitlets.Unicode().tag(sync=True)
        kept = traitlets.Unicode().tag(sync=True)
        anchor = traitlets.Unicode().tag(sync=True)
        facts = traitlets.Dict().tag(sync=True)
        index = traitlets.List().tag(sync=True)
        problems = traitlets.List().tag(sync=True)
        overview = traitlets.List().tag(sync=True)
        can = traitlets.Dict().tag(sync=True)

    return GraphWidget
