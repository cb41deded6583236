"""Lay out the widgets of the tracker: its head, its tabs and its button. It knows nothing of executions."""

from typing import Any

from flyte_nb.notebook.live.style import style_sheet
from flyte_nb.notebook.toolkit import button, widgets


class TrackerCard:
    """The tracker's widgets and how they are arranged."""

    def __init__(self, graph: Any, gates: object, *, stacked: bool) -> None:
        """Make the widgets.

        Args:
            graph: The widget of the graph.
            gates: The widget of the gates that wait.
            stacked: Whether the graph gets the whole width, with the side panel below it.
        """
        self.head = widgets.HTML()
        self.bar = widgets.HTML()
        self.side = widgets.HTML()
        self.side_log = widgets.HTML()
        self.timeline = widgets.HTML()
        self.nodes = widgets.HTML()
        self.inputs = widgets.HTML()
        self.log = widgets.HTML()
        self.errors = widgets.HTML()
        self.terminate = button("Terminate", "End this run", "fnb-danger")
        self.end = button("End this run", "Terminate: running tasks are killed", "fnb-danger")
        self.keep = button("Keep it running", "Do not terminate")
        self._confirm = _box(
            widgets.HBox, "fnb-confirm", widgets.HTML("Terminate?"), self.end, self.keep
        )
        self._head_row = _box(widgets.HBox, "fnb-head", self.head, self.terminate)
        side = _box(widgets.VBox, "fnb-side", self.side, _named(self.side_log, "fnb-log"))
        first = _box(widgets.HBox, "fnb-split", graph, side)
        if stacked:
            first.add_class("fnb-stacked")
        tabs = widgets.Tab(
            [
                first,
                _box(widgets.VBox, "fnb-scroll", self.timeline),
                _box(widgets.VBox, "fnb-scroll", self.nodes),
                _box(widgets.VBox, "fnb-scroll", self.inputs),
                _box(widgets.VBox, "fnb-scroll", _named(self.log, "fnb-log", "fnb-tall")),
            ],
            titles=["Graph", "Timeline", "Nodes", "Inputs and outputs", "Logs"],
        )
        self.card = widgets.VBox(
            [widgets.HTML(style_sheet()), self._head_row, self.bar, gates, tabs, self.errors]
        )
        self.card.add_class("fnb-card")

    def ask(self) -> None:
        """Ask for a confirmation in place of the button."""
        self._head_row.children = (self.head, self._confirm)

    def calm(self) -> None:
        """Put the button back in place of the question."""
        self._head_row.children = (self.head, self.terminate)


def _box(kind: Any, name: str, *children: Any) -> Any:
    return _named(kind(list(children)), name)


def _named(widget: Any, *classes: str) -> Any:
    for name in classes:
        widget.add_class(name)
    return widget
