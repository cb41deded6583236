"""Show the graph of a run as a widget: with anywidget it pans, zooms and selects; without, it is a picture.

Only changes travel to the page, as a custom message `{"delta": {node: [phase, subtitle]}}`. A run of 2,000
nodes changes many times a second, and sending the whole trait each time would cost more than drawing it.
The trait `states` is changed in place, without an event, so a page that is opened later asks for the traits
and gets the complete state.
"""

import functools
import importlib.util
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from flyte_nb.graph.svg import marks, svg
from flyte_nb.notebook.live.states import NodeDisplay
from flyte_nb.notebook.live.style import graph_rules
from flyte_nb.notebook.looking.exploring import Picture, Subject, ViewChange, ViewState

_SETTLE_S = 3.0
"""Seconds after the start in which complete states are sent instead of changes. The page loads the script
later than the widget, and a custom message that arrives before the script listens is lost."""
_PARTS = ("camera", "paint", "moves", "search", "panel", "graph")
"""The script's files in the order in which they are joined; the last one exports."""

Select = Callable[[str], None]
"""Called with a node's id, or "" when nothing is selected any more."""

Ask = Callable[[Mapping[str, object]], None]
"""Called with a message of the page."""


class GraphView(Protocol):
    """A drawn graph whose nodes change. Its methods are called by one thread at a time."""

    widget: Any
    picture: Picture
    """The picture that is drawn now."""

    def update(
        self, states: "Mapping[str, NodeDisplay]", changed: "Mapping[str, tuple[str, str]]"
    ) -> None:
        """Show these states in the present picture.

        Args:
            states: Of all nodes.
            changed: Only what is different from the last call, as `states.delta` returns it.
        """
        ...

    def take_request(self, message: "Mapping[str, object]") -> bool:
        """Make the picture that a message of the page asks for.

        Returns:
            Whether there is a new picture. The caller then computes the states of its nodes, which may
            be other nodes, and calls `draw`.
        """
        ...

    def draw(self, states: "Mapping[str, NodeDisplay]") -> None:
        """Show the new picture, in these states."""
        ...

    def change(self, subject: Subject) -> None:
        """Make the picture of what the workflow has become, with the same nodes open; then call `draw`."""
        ...


def can_be_live() -> bool:
    """Return whether anywidget is installed."""
    return importlib.util.find_spec("anywidget") is not None


def graph_view(subject: Subject, label: str, on_select: Select, on_ask: Ask) -> GraphView:
    """Return an interactive graph if anywidget is installed, else a picture.

    Args:
        subject: The workflow, drawn with nothing open.
        label: The accessible name that a screen reader reads.
        on_select: Called when a node was clicked or reached by keyboard. May be called in any thread.
        on_ask: Called with what the page asks for. May be called in any thread; pass the message to
            `take_request` in the painting thread.
    """
    if not can_be_live():
        return PictureGraph(subject)
    return LiveGraph(subject, label, on_select, on_ask)


class LiveGraph:
    """A graph that the script in the page draws and recolours."""

    def __init__(self, subject: Subject, label: str, on_select: Select, on_ask: Ask) -> None:
        self._subject, self._change = subject, ViewChange(ViewState())
        self.picture = subject.picture(ViewState())
        self.widget = graph_widget(
            looks=looks(), label=label, states={}, **traits(self.picture, live=True)
        )
        self._whole_until = time.monotonic() + _SETTLE_S
        self.widget.observe(lambda change: on_select(change["new"]), names="selected")
        self.widget.on_msg(lambda _, content, __: on_ask(content))

    def update(
        self, states: "Mapping[str, NodeDisplay]", changed: "Mapping[str, tuple[str, str]]"
    ) -> None:
        """Send the changes to the page; nothing when nothing changed."""
        if not changed:
            return
        delta = {node: list(state) for node, state in changed.items()}
        # In place, so traitlets sends no event. A page that is opened later still gets all of it.
        self.widget.states.update(delta)
        if time.monotonic() < self._whole_until:
            self.widget.send_state("states")
        else:
            self.widget.send({"delta": delta})

    def take_request(self, message: "Mapping[str, object]") -> bool:
        """Make the picture that the page asks for; return whether the message asks for one."""
        change = self._subject.requested(self._change.seen, message, self.widget.selected)
        if change is None:
            return False
        self._change = change
        self.picture = self._subject.picture(change.seen)
        return True

    def change(self, subject: Subject) -> None:
        """Make the picture of what the workflow has become, with the same nodes open."""
        self._subject = subject
        self._change = ViewChange(self._change.seen)
        self.picture = subject.picture(self._change.seen)

    def draw(self, states: "Mapping[str, NodeDisplay]") -> None:
        """Send the drawing and the states of all its nodes in one message."""
        # One message: a drawing without its states would show every node grey for a moment.
        with self.widget.hold_sync():
            self.widget.states = {node: list(state) for node, state in states.items()}
            show(self.widget, self.picture, self._change, live=True)
        self.widget.send({"notice": self.picture.notice})


class PictureGraph:
    """A graph as inline SVG that is written again at each change; used where anywidget is missing."""

    def __init__(self, subject: Subject) -> None:
        # ipywidgets is optional; the rest of this module is also used where it is not installed.
        from flyte_nb.notebook.toolkit import widgets

        self.picture = subject.picture(ViewState())
        self.widget = widgets.HTML()
        self.widget.add_class("fnb-picture")
        self.draw({})

    def update(
        self, states: "Mapping[str, NodeDisplay]", changed: "Mapping[str, tuple[str, str]]"
    ) -> None:
        """Write the picture again with the new colours; nothing is laid out."""
        self.draw(states)

    def take_request(self, message: "Mapping[str, object]") -> bool:
        """Return `False`: a picture has no script that could ask for anything."""
        return False

    def change(self, subject: Subject) -> None:
        """Make the picture of what the workflow has become."""
        self.picture = subject.picture(ViewState())

    def draw(self, states: "Mapping[str, NodeDisplay]") -> None:
        """Write the picture in these states."""
        self.widget.value = svg(
            self.picture.layout,
            phases={node: state.phase for node, state in states.items()},
            subtitles={node: state.subtitle for node, state in states.items() if state.subtitle},
            theme="page",
        )


def traits(picture: Picture, *, live: bool) -> "dict[str, Any]":
    """Return the picture as traits of the widget.

    Args:
        picture: The drawing and what stands beside it.
        live: Whether its nodes will change phase. Then every node has a mark and a second line.
    """
    return {
        "facts": picture.facts,
        "index": picture.words,
        "overview": list(picture.overview),
        "can": picture.can,
        "svg": svg(picture.layout, theme="page", live=live, opens=True, **picture.marks),
    }


def show(widget: Any, picture: Picture, change: ViewChange, *, live: bool) -> None:
    """Replace the drawing in the page; all traits arrive in one message."""
    with widget.hold_sync():
        # `kept` first: the page draws as soon as `svg` changes, and then needs to know what keeps its place.
        widget.kept = change.kept
        if change.selected is not None:
            widget.selected = change.selected
        for name, value in traits(picture, live=live).items():
            setattr(widget, name, value)


def looks() -> "dict[str, list[str]]":
    """Return `[path of the mark, word]` for each display phase; the page recolours with it."""
    return {phase: list(look) for phase, look in marks().items()}


@functools.cache
def script() -> str:
    """Return the page's script: the files of `page/` joined into one module.

    The page receives the script with the widget, from the kernel. So own-line comments and indentation are
    removed: they are half of its size. Comments at the end of a line of code are kept, because a `//` there
    may be inside a string.
    """
    folder = Path(__file__).with_name("page")
    lines = [
        line.strip()
        for part in _PARTS
        for line in (folder / f"{part}.js").read_text(encoding="utf-8").splitlines()
    ]
    return "\n".join(line for line in lines if line and not line.startswith("//"))


def graph_widget(**traits: Any) -> Any:
    """Return a new graph widget with these traits; `page/graph.js` describes them."""
    return _widget_class()(**traits)


@functools.cache
def _widget_class() -> Any:
    """Return the widget's class, made once."""
    # anywidget is optional, and importing it (with ipywidgets) takes longer than everything else here.
    import anywidget
    import traitlets

    class GraphWidget(anywidget.AnyWidget):
        """One graph in the page."""

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
