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

from flyte_nb.graph.svg import marks, svg
from flyte_nb.notebook.live.states import NodeState
from flyte_nb.notebook.live.style import graph_rules
from flyte_nb.notebook.looking.exploring import Picture, Seen, Subject, Wish

_SETTLE_S = 3.0
"""So long after the start whole states are sent: a page loads the script later than the widget,
and messages that come before it are lost."""
_PARTS = ("camera", "paint", "moves", "search", "panel", "graph")
"""The script's files in the order in which they are joined; the last one exports."""

Select = Callable[[str], None]


Ask = Callable[[Mapping[str, Any]], None]


class GraphView(Protocol):
    """A drawn graph whose nodes change."""

    widget: Any
    picture: Picture
    """What is drawn now."""

    def update(self, states: "Mapping[str, NodeState]", changed: "Mapping[str, Any]") -> None:
        """Show these states; `changed` is what is new since the last call."""
        ...

    def wanted(self, message: "Mapping[str, Any]") -> bool:
        """Take up what the page asks for; whether there is another picture to `draw`."""
        ...

    def draw(self, states: "Mapping[str, NodeState]") -> None:
        """Show the new picture, in these states."""
        ...


def can_be_live() -> bool:
    """Whether anywidget is installed."""
    return importlib.util.find_spec("anywidget") is not None


def graph_view(subject: Subject, label: str, on_select: Select, on_ask: Ask) -> GraphView:
    """The best view that can be had here.

    Args:
        subject: What is drawn, closed at first.
        label: What a screen reader says.
        on_select: Called with the id of a node that was clicked or reached by keyboard, or "".
        on_ask: Called with what the page asks for; hand it to `wanted`.
    """
    if not can_be_live():
        return PictureGraph(subject)
    return LiveGraph(subject, label, on_select, on_ask)


class LiveGraph:
    """The graph that a script in the page recolours."""

    def __init__(self, subject: Subject, label: str, on_select: Select, on_ask: Ask) -> None:
        self._subject, self._wish = subject, Wish(Seen())
        self.picture = subject.picture(Seen())
        self.widget = graph_widget(
            looks=looks(), label=label, states={}, **traits(self.picture, live=True)
        )
        self._whole_until = time.monotonic() + _SETTLE_S
        self.widget.observe(lambda change: on_select(change["new"]), names="selected")
        self.widget.on_msg(lambda _, content, __: on_ask(content))

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

    def wanted(self, message: "Mapping[str, Any]") -> bool:
        """Take it up, when it is about what is seen."""
        wish = self._subject.wished(self._wish.seen, message, self.widget.selected)
        if wish is None:
            return False
        self._wish = wish
        self.picture = self._subject.picture(wish.seen)
        return True

    def draw(self, states: "Mapping[str, NodeState]") -> None:
        """Send the drawing and all states at once."""
        with self.widget.hold_sync():
            self.widget.states = {node: list(state) for node, state in states.items()}
            show(self.widget, self.picture, self._wish, live=True)
        self.widget.send({"said": self.picture.said})


class PictureGraph:
    """The graph as HTML that is written anew; for where anywidget is not installed."""

    def __init__(self, subject: Subject) -> None:
        from flyte_nb.notebook.toolkit import widgets

        self.picture = subject.picture(Seen())
        self.widget = widgets.HTML()
        self.widget.add_class("fnb-picture")
        self.draw({})

    def update(self, states: "Mapping[str, NodeState]", changed: "Mapping[str, Any]") -> None:
        """Draw the colours again; the layout stays."""
        self.draw(states)

    def wanted(self, message: "Mapping[str, Any]") -> bool:
        """A picture asks for nothing."""
        return False

    def draw(self, states: "Mapping[str, NodeState]") -> None:
        """Write the picture in these states."""
        self.widget.value = svg(
            self.picture.layout,
            phases={node: state.phase for node, state in states.items()},
            subtitles={node: state.subtitle for node, state in states.items() if state.subtitle},
            theme="page",
        )


def traits(picture: Picture, *, live: bool) -> "dict[str, Any]":
    """A picture as the widget has it; `live` when it will be recoloured."""
    return {
        "facts": picture.facts,
        "index": picture.words,
        "overview": list(picture.overview),
        "can": picture.can,
        "svg": svg(picture.layout, theme="page", live=live, opens=True, **picture.marks),
    }


def show(widget: Any, picture: Picture, wish: Wish, *, live: bool) -> None:
    """Exchange the drawing; everything of it arrives at once."""
    with widget.hold_sync():
        widget.kept = wish.kept
        if wish.selected is not None:
            widget.selected = wish.selected
        for name, value in traits(picture, live=live).items():
            setattr(widget, name, value)


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
        states: Any = traitlets.Dict().tag(sync=True)
        looks: Any = traitlets.Dict().tag(sync=True)
        label = traitlets.Unicode().tag(sync=True)
        selected = traitlets.Unicode().tag(sync=True)
        kept = traitlets.Unicode().tag(sync=True)
        anchor = traitlets.Unicode().tag(sync=True)
        facts: Any = traitlets.Dict().tag(sync=True)
        index: Any = traitlets.List().tag(sync=True)
        problems: Any = traitlets.List().tag(sync=True)
        overview: Any = traitlets.List().tag(sync=True)
        can: Any = traitlets.Dict().tag(sync=True)

    return GraphWidget
