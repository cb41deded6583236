"""Follow one run with widgets: graph, timeline, nodes, logs, inputs and outputs, a button to terminate it.

The painting thread of one pump writes all widgets. Callbacks of widgets may run in any thread, so they only
submit work to it. Tabs and the selection in the graph are handled by the page itself and answer while the
kernel is busy. When the run has ended, static HTML is written over the output that holds the tracker, and
the widgets are closed: what is saved in the notebook needs no kernel to be read.
"""

import html
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, NamedTuple

from flyte_nb.api.errors import FlyteNbError
from flyte_nb.api.phases import FAILED, FAILING, RECOVERED, SUCCEEDED, TIMED_OUT
from flyte_nb.executions.paths import paths_of
from flyte_nb.executions.views import ExecutionView, NodeView
from flyte_nb.graph.elements import GROUP, INPUTS, OUTPUTS, Graph
from flyte_nb.graph.palette import CACHED
from flyte_nb.graph.svg import group_phase
from flyte_nb.notebook.cards import error_panel, units
from flyte_nb.notebook.cards.value_html import plain
from flyte_nb.notebook.kernel.ports import ExecutionPort
from flyte_nb.notebook.live import fragments
from flyte_nb.notebook.live.gate_panel import GatePanel
from flyte_nb.notebook.live.graph_widget import graph_view
from flyte_nb.notebook.live.pump import Pump
from flyte_nb.notebook.live.states import NodeDisplay, delta, most_telling, node_displays
from flyte_nb.notebook.live.tracker_card import TrackerCard
from flyte_nb.notebook.looking.exploring import Subject
from flyte_nb.notebook.paper.html import escaped
from flyte_nb.notebook.toolkit import close_all

if TYPE_CHECKING:
    from flyte_nb.api.literal_types import LiteralType
    from flyte_nb.types.codec import Codec

_DETAILS_EVERY_S = 1.0
"""Seconds between two calls for logs. Views come by the stream, but logs have to be asked for."""
_MAX_LOG_LINES = 500
"""Lines of a log that are shown, the last ones. The whole text travels to the page each time."""
_MAX_GROWN = 200
"""Dynamic nodes whose nodes are put into the graph."""
_WIDE = 560
"""A graph that is wider (in px) gets the whole width of the output, with the side panel below it."""


class TrackerContext(NamedTuple):
    """What the tracker needs from the notebook around it."""

    at_rest: "Callable[[ExecutionView], Mapping[str, object]]"
    """Returns the mime bundle that stays when the run has ended. It may call the backend."""
    replace: "Callable[[Mapping[str, object]], None]"
    """Writes a mime bundle over the output that holds the tracker."""
    humanize: "Callable[[str], str]"
    """Replaces the file names of cells in a text by `cell [7]`."""
    show_value: "Callable[[Any], str]"
    """Returns a Python value as a short piece of HTML."""
    codec: "Callable[[LiteralType], Codec]"
    """Returns the codec of a type, for a value that a gate waits for."""
    clock: "Callable[[], datetime]" = lambda: datetime.now(timezone.utc)
    """Returns the time for elapsed times, UTC."""


class Tracker:
    """The widgets that follow one execution while it runs. It is the painter of its own pump."""

    def __init__(
        self,
        execution: ExecutionPort,
        first: ExecutionView,
        subject: Subject,
        around: TrackerContext,
    ) -> None:
        """Make the widgets and fill them with the first view; `start` follows the execution.

        Args:
            execution: What to follow.
            first: The execution as it is now.
            subject: Its workflow.
            around: What the notebook provides.
        """
        self._execution = execution
        self._around = around
        self._view = first
        self._states: dict[str, NodeDisplay] = {}
        self._subject = subject
        self._grown: dict[str, str] = {}  # what is in the subject, by dynamic node
        self._chosen = ""  # path of the selected node; empty to follow what happens
        self._detailed_at: datetime | None = None
        self._values: dict[
            str, dict[str, str]
        ] = {}  # by node execution id; never change once it ended
        self._closing = threading.Lock()
        self._graph = graph_view(subject, _label(first), self._choose, self._ask)
        self._waits = _waits(self._graph.picture.graph)
        self._gates = GatePanel(execution, around.codec, around.show_value)
        self._pieces = TrackerCard(
            self._graph.widget,
            self._gates.widget,
            stacked=self._graph.picture.layout.width > _WIDE,
        )
        self.widget = self._pieces.card
        self._pump = Pump(execution, self)
        self._wire_terminate()
        self._pieces.inputs.value = "<div class='fnb-pad fnb-soft'>loading …</div>"
        # The threads do not run yet, so this thread may write. The page then never shows empty widgets.
        self._write(first)
        self._pump.submit(self._load_inputs)

    def start(self) -> None:
        """Follow the execution from now on."""
        self._pump.start()

    def close(self) -> None:
        """Stop following and close the widgets, because another output has taken over."""
        self._pump.stop()
        self._close_widgets()

    def join(self, timeout_s: "float | None" = None) -> bool:
        """Wait until nothing is painted any more; return whether that is so within `timeout_s`."""
        return self._pump.join(timeout_s)

    # --- the painter: called by the pump's thread only

    def paint(self, view: ExecutionView) -> None:
        """Show the view, and about once a second the logs, which need a call."""
        self._write(view)
        now = self._around.clock()
        due = self._detailed_at is None or (now - self._detailed_at).total_seconds() >= (
            _DETAILS_EVERY_S
        )
        if due and not view.is_terminal:
            self._detailed_at = now
            self._write_details()

    def finish(self, view: ExecutionView) -> None:
        """Write static HTML over the output, then close the widgets."""
        # In this order: JupyterLab hides an output whose widget was closed before it was replaced.
        self._around.replace(self._around.at_rest(view))
        self._close_widgets()

    def lost(self, reason: str) -> None:
        """Show that the view is not updated any more, why, and how to follow the run again."""
        advice = f"The run itself may go on. %flyte watch {self._view.id.name} follows it again."
        self._pieces.errors.value = (
            f"<div class='fnb-pad'><div class='fnb-error' role='alert'><b>Not followed any more</b> · "
            f"{html.escape(reason)} <span class='fnb-soft'>{html.escape(advice)}</span></div></div>"
        )

    # --- writing

    def _close_widgets(self) -> None:
        with self._closing:  # the run may end in the moment in which another output takes over
            close_all(self.widget)

    def _write(self, view: ExecutionView) -> None:
        self._view = view
        now = self._around.clock()
        is_larger = self._grow(view)
        states = self._states_now(now)
        changed = delta(self._states, states)
        self._states = states
        if is_larger:
            self._graph.draw(states)
        else:
            self._graph.update(states, changed)
        total = units.steps(self._subject.graph)
        pieces = self._pieces
        pieces.head.value = fragments.head(view, now, total)
        pieces.bar.value = fragments.bar(view, total)
        pieces.timeline.value = fragments.timeline(view, now, self._subject.titles)
        pieces.nodes.value = fragments.nodes_table(view, now, self._subject.titles)
        pieces.errors.value = self._errors(view)
        self._write_side(now)

    def _grow(self, view: ExecutionView) -> bool:
        """Give the graph the nodes that dynamic tasks made; return whether there are new ones."""
        fresh = [n for n in view.nodes if n.job_uri and self._grown.get(n.node_id) != n.job_uri]
        if not fresh:
            return False
        paths = paths_of(view.nodes)
        made = {}
        # A graph of so many levels is not readable any more. The table has the nodes all the same.
        for node in fresh[: max(0, _MAX_GROWN - len(self._grown))]:
            with suppress(FlyteNbError):
                closure = self._execution.dynamic_workflow(node)
                self._grown[node.node_id] = node.job_uri
                if closure is not None:
                    made[paths[node.node_id]] = closure
        if not made:
            return False
        self._subject = self._subject.grown(made)
        self._graph.change(self._subject)
        self._waits = _waits(self._graph.picture.graph)
        return True

    def _states_now(self, now: datetime) -> "dict[str, NodeDisplay]":
        paths = paths_of(self._view.nodes)
        states = node_displays(self._view, now, self._waits, paths, self._subject.sizes)
        _add_groups(states, self._graph.picture.graph)
        return states

    def _write_side(self, now: datetime) -> None:
        node = self._followed()
        defined = fragments.definition(self._graph.picture.facts.get(self._chosen))
        if node is None:
            self._pieces.side.value = self._unstarted() + defined
            return
        values = self._values.get(node.node_id, {})
        self._pieces.side.value = fragments.facts(node, now, values, self._subject.titles) + defined

    def _unstarted(self) -> str:
        """Return the side panel for a selected node that has not started, or for a run without nodes."""
        title = self._subject.titles.get(self._chosen, "")
        line = self._states[self._chosen].subtitle if self._chosen in self._states else ""
        name = f"<b>{html.escape(title)}</b> " if title else ""
        return (
            f"{name}<span class='fnb-soft'>{html.escape(line) or 'No node has started yet.'}</span>"
        )

    def _write_details(self) -> None:
        node = self._followed()
        try:
            self._gates.refresh(
                self._view, lambda node: fragments.title_of(node, self._subject.titles)
            )
            if node is not None and node.attempts:
                printed = self._execution.logs(node.node_id)
                self._pieces.side_log.value = _log(printed, "Nothing was printed yet.")
            else:
                self._pieces.side_log.value = ""
            self._pieces.log.value = _log(self._execution.logs(), "Nothing was printed yet.")
        except FlyteNbError as error:
            self._pieces.side_log.value = _log(str(error))

    def _errors(self, view: ExecutionView) -> str:
        boxes = [
            error_panel.panel(
                fragments.title_of(node, self._subject.titles),
                node.error,
                advice=error_panel.advice(view, node, node.error),
                humanize=self._around.humanize,
            )
            for node in view.nodes
            if node.error is not None and node.phase in (FAILED, TIMED_OUT, FAILING)
        ]
        # Three at most: a map may fail in a thousand nodes. The table of nodes has all of them.
        return f"<div class='fnb-pad'>{''.join(boxes[:3])}</div>" if boxes else ""

    def _followed(self) -> "NodeView | None":
        """Return the node of the side panel: the selected one, else the one that matters most now."""
        if self._chosen:
            paths = paths_of(self._view.nodes)
            for node in self._view.nodes:
                if paths[node.node_id] == self._chosen:
                    return node
        # A selected node that has not started has no view. The panel must not show another one instead.
        return None if self._chosen in self._waits else most_telling(self._view)

    # --- callbacks of widgets: called in any thread, so they only submit

    def _choose(self, node_id: str) -> None:
        def chosen() -> None:
            self._chosen = node_id
            self._write_side(self._around.clock())
            self._load_values()
            self._write_details()

        self._pump.submit(chosen)

    def _ask(self, message: "Mapping[str, object]") -> None:
        def asked() -> None:
            if self._graph.take_request(message):
                self._waits = _waits(self._graph.picture.graph)
                self._states = self._states_now(self._around.clock())
                self._graph.draw(self._states)

        self._pump.submit(asked)

    # --- submitted work: called in the painting thread

    def _load_values(self) -> None:
        node = self._followed()
        # Inputs and outputs are complete, and will not change, when the node has ended. Each is loaded once.
        if node is None or node.ended_at is None or node.node_id in self._values:
            return
        try:
            inputs, outputs = self._execution.node_data(node.node_id)
        except FlyteNbError as error:
            self._values[node.node_id] = {"values": html.escape(str(error))}
        else:
            shown = {name: html.escape(plain(value)) for name, value in inputs.items()}
            shown |= {f"→ {name}": html.escape(plain(value)) for name, value in outputs.items()}
            self._values[node.node_id] = {**self._reason(node), **shown}
        self._write_side(self._around.clock())

    def _reason(self, node: NodeView) -> "dict[str, str]":
        """Return why a cached or recovered node ran, or did not, as a line of the side panel."""
        if not node.cache_status and node.phase != RECOVERED:
            return {}
        try:
            why = self._execution.why(node.node_id, node.name)
        except FlyteNbError:
            return {}  # the values are worth showing without it
        return {"why": html.escape(f"{why.outcome}: {why.reason}")}

    def _load_inputs(self) -> None:
        try:
            inputs = self._execution.inputs()
        except FlyteNbError as error:
            self._pieces.inputs.value = f"<div class='fnb-pad'>{html.escape(str(error))}</div>"
            return
        rows = "".join(
            f"<tr><td>{html.escape(name)}</td><td>{self._around.show_value(value)}</td></tr>"
            for name, value in inputs.items()
        )
        self._pieces.inputs.value = (
            f"<table class='fnb-table'><tbody>{rows}</tbody></table>"
            if rows
            else "<div class='fnb-pad fnb-soft'>It takes no inputs.</div>"
        ) + "<div class='fnb-pad fnb-soft'>Outputs are shown when the run has ended.</div>"

    def _wire_terminate(self) -> None:
        pieces = self._pieces
        pieces.terminate.on_click(lambda _: self._pump.submit(pieces.ask))
        pieces.keep.on_click(lambda _: self._pump.submit(pieces.calm))
        pieces.end.on_click(lambda _: self._pump.submit(self._terminate))

    def _terminate(self) -> None:
        self._pieces.calm()
        self._pieces.terminate.disabled = True
        self._pieces.terminate.description = "Terminating …"
        try:
            self._execution.terminate("terminated from the notebook")
        except FlyteNbError as error:
            self._pieces.terminate.disabled = False
            self._pieces.terminate.description = "Terminate"
            self._pieces.errors.value = (
                f"<div class='fnb-pad'><div class='fnb-error'>{html.escape(str(error))}</div></div>"
            )


def _waits(graph: Graph) -> "dict[str, frozenset[str]]":
    """Return the nodes that each drawn node waits for. The workflow's inputs and outputs are no nodes."""
    drawn = (*graph.nodes, *(frame.node for frame in graph.frames))
    waits: dict[str, set[str]] = {
        node.id: set() for node in drawn if node.kind not in (INPUTS, OUTPUTS, GROUP)
    }
    for edge in graph.edges:
        if edge.source in waits and edge.target in waits:
            waits[edge.target].add(edge.source)
    return {node: frozenset(sources) for node, sources in waits.items()}


def _add_groups(states: "dict[str, NodeDisplay]", graph: Graph) -> None:
    """Add a state for each collapsed group: the phase that needs attention most, and how many are done."""
    for node in (*graph.nodes, *(frame.node for frame in graph.frames)):
        if node.members:
            phases = [states[m].phase if m in states else "" for m in node.members]
            done = sum(1 for phase in phases if phase in (SUCCEEDED, CACHED, RECOVERED))
            states[node.id] = NodeDisplay(group_phase(phases), f"{done} of {len(phases)} done")


def _label(view: ExecutionView) -> str:
    """Return what a screen reader reads when the graph gets the focus."""
    return (
        f"Graph of {view.workflow.name}, execution {view.id.name}. Arrow keys go from node to node,"
        " Enter opens and closes, slash finds, plus and minus zoom."
    )


def _log(text: str, empty: str = "") -> str:
    """Return the last lines of a log as HTML; `empty` is shown when there are none."""
    lines = text.rstrip("\n").splitlines()
    cut = lines[-_MAX_LOG_LINES:]
    if len(lines) > len(cut):
        cut.insert(0, f"… {len(lines) - len(cut)} lines before")
    shown = escaped("\n".join(cut))
    if shown:
        return f"<pre>{shown}</pre>"
    return f"<div class='fnb-pad fnb-soft'>{empty}</div>" if empty else ""
