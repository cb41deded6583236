"""The questions of a run's gates in its live card, and what its other nodes wait for."""

import html
from collections.abc import Callable
from typing import TYPE_CHECKING

from flyte_nb.api.errors import FlyteNbError
from flyte_nb.api.literal_types import LiteralType
from flyte_nb.api.nodes import GATE_NODE
from flyte_nb.api.phases import RUNNING
from flyte_nb.executions.signals import APPROVAL, SignalView
from flyte_nb.executions.views import ExecutionView, NodeView
from flyte_nb.notebook.kernel.ports import ExecutionPort
from flyte_nb.notebook.live.gate_forms import GateForm
from flyte_nb.notebook.toolkit import widgets

if TYPE_CHECKING:
    from flyte_nb.types.codec import Codec

_MOST = 4
"""Nodes whose reason is shown: hundreds may wait for a slot."""


class GatePanel:
    """Forms for the gates that wait now, and lines for the other nodes that wait."""

    def __init__(
        self,
        execution: ExecutionPort,
        codec: "Callable[[LiteralType], Codec]",
        show_value: "Callable[[object], str]",
    ) -> None:
        """Make an empty panel; `refresh` fills it.

        Args:
            execution: Whose gates are shown, and answered.
            codec: Returns the codec of a gate's type.
            show_value: Returns a value as HTML.
        """
        self._execution = execution
        self._codec = codec
        self._show_value = show_value
        self._forms: dict[str, GateForm] = {}
        self._lines = widgets.HTML()
        self._rows = widgets.VBox([])
        self.widget = widgets.VBox([self._rows, self._lines])

    def refresh(self, view: ExecutionView, titles: "Callable[[NodeView], str]") -> None:
        """Ask for what waits now, and show it. It calls FlyteAdmin.

        Args:
            view: The run as it is now.
            titles: Returns the title of a node.

        Raises:
            FlyteNbError: FlyteAdmin refused, or cannot be reached.
        """
        gates = {n.name: n for n in view.nodes if n.kind == GATE_NODE and n.phase == RUNNING}
        waits = dict(self._execution.waits())
        asked = {}
        if gates:
            asked = {each.name: each for each in self._execution.signals() if not each.is_set}
        for name in [name for name in self._forms if name not in asked]:
            self._forms.pop(name).close()
        for name, signal in asked.items():
            if name not in self._forms:
                self._forms[name] = self._form(signal, gates.get(name))
        self._rows.children = tuple(form.widget for form in self._forms.values())
        # A gate that asks needs no line.
        asking = {gates[name].node_id for name in self._forms if name in gates}
        nodes = [node for node in view.nodes if node.node_id in waits.keys() - asking]
        lines = [
            f"<b>{html.escape(titles(node))}</b> waits for {html.escape(waits[node.node_id])}"
            for node in nodes[:_MOST]
        ]
        if len(nodes) > _MOST:
            lines.append(f"{len(nodes) - _MOST} more wait")
        self._lines.value = (
            f"<div class='fnb-pad fnb-soft' role='status'>{'<br>'.join(lines)}</div>"
            if lines
            else ""
        )

    def _form(self, signal: SignalView, node: "NodeView | None") -> GateForm:
        is_approval = signal.kind == APPROVAL
        return GateForm(
            signal.name,
            send=lambda value: self._execution.set_signal(signal.name, value),
            codec=None if is_approval else self._codec(signal.type),
            approved=self._approved(node) if is_approval and node is not None else "",
        )

    def _approved(self, node: NodeView) -> str:
        try:
            inputs, _ = self._execution.node_data(node.node_id)
        except FlyteNbError:
            return ""  # the buttons work without it
        return "".join(self._show_value(value) for value in inputs.values())
