"""The tracker over a scripted execution: widgets while it runs, static HTML when it has ended."""

import threading
from typing import Any

import pytest
from fake_executions import FakeExecution, Step, plan, succeeding
from flyteidl.core.compiler_pb2 import CompiledWorkflowClosure

from flyte_nb.api.errors import ErrorInfo
from flyte_nb.api.identifiers import ExecutionId, Identifier
from flyte_nb.api.nodes import GATE_NODE
from flyte_nb.executions.signals import APPROVAL, VALUE, SignalView
from flyte_nb.executions.views import NodeView
from flyte_nb.graph.elements import Graph, GraphEdge, GraphNode
from flyte_nb.notebook.live import graph_widget
from flyte_nb.notebook.live.question import Question
from flyte_nb.notebook.live.tracker import Tracker, TrackerContext
from flyte_nb.notebook.looking.details import Details, Places
from flyte_nb.notebook.looking.exploring import Subject
from flyte_nb.types.registry import default_registry

PATIENCE_S = 60
REGISTRY = default_registry()
NAMES = {"n0": "churn.load", "n1": "churn.fit"}
GRAPH = Graph(
    "pipeline",
    (GraphNode("n0", "task", "load"), GraphNode("n1", "task", "fit · 3")),
    (GraphEdge("n0", "n1"),),
)


class Page:
    """Records what the tracker writes over its output."""

    def __init__(self) -> None:
        self.replaced: list[Any] = []
        self.done = threading.Event()

    def replace(self, bundle: Any) -> None:
        self.replaced.append(bundle)
        self.done.set()


def _tracker(
    script: Any = None, kind: "type[FakeExecution]" = FakeExecution, **options: Any
) -> "tuple[Tracker, Any, Page]":
    execution = kind(
        ExecutionId("p", "d", "a1"),
        Identifier("workflow", "p", "d", "churn.pipeline", "v"),
        NAMES,
        script or succeeding(NAMES),
        speed=0,
        inputs={"n": "<b>3</b>"},
        **options,
    )
    page = Page()
    around = TrackerContext(
        at_rest=lambda view: {"text/html": f"<p>{view.phase}</p>", "text/plain": view.phase},
        replace=page.replace,
        humanize=lambda text: text.replace("/tmp/k.py", "cell [7]"),
        show_value=lambda value: f"<code>{value!r}</code>".replace("<b>", "&lt;b&gt;"),
        codec=lambda declared: REGISTRY.codec(REGISTRY.guess(declared)),
    )
    subject = Subject("churn.pipeline", GRAPH, Details(GRAPH, None, Places({}, {}, str)))
    _made.append(Tracker(execution, execution.view(), subject, around))
    return _made[-1], execution, page


_made: "list[Tracker]" = []


@pytest.fixture(autouse=True)
def _nothing_is_left_open():
    """A painting thread that outlives its test would write into the next one's widgets."""
    yield
    while _made:
        tracker = _made.pop()
        tracker.close()
        assert tracker.join(PATIENCE_S)
        tracker._execution.advance(100)  # ends the reader's thread
    import ipywidgets

    ipywidgets.Widget.close_all()


def _until(condition: Any) -> None:
    """Wait for a condition that another thread makes true."""
    waiter = threading.Event()
    for _ in range(PATIENCE_S * 100):
        if condition():
            return
        waiter.wait(0.01)
    raise AssertionError("it never became true")


def test_when_the_run_has_ended_static_html_takes_the_place_of_the_widgets():
    tracker, execution, page = _tracker()
    tracker.start()
    execution.advance(10)
    assert page.done.wait(PATIENCE_S)
    assert tracker.join(PATIENCE_S)
    assert page.replaced == [{"text/html": "<p>SUCCEEDED</p>", "text/plain": "SUCCEEDED"}]
    assert tracker.widget.comm is None
    assert tracker._graph.widget.comm is None


def test_only_what_changed_travels_to_the_graph(monkeypatch):
    monkeypatch.setattr(graph_widget, "_SETTLE_S", 0.0)
    tracker, execution, _ = _tracker()
    sent: list[Any] = []
    tracker._graph.widget.send = lambda content, buffers=None: sent.append(content)
    tracker.start()
    _until(lambda: tracker._states["n1"].subtitle == "waits for 1")
    execution.advance()
    _until(lambda: any("n0" in message["delta"] for message in sent))
    assert all(set(message) == {"delta"} for message in sent)
    assert [m["delta"]["n0"][0] for m in sent if "n0" in m["delta"]][-1] == "RUNNING"
    assert tracker._graph.widget.states["n1"] == ["UNDEFINED", "waits for 1"]
    tracker.close()


def test_a_page_that_comes_later_gets_the_whole_state():
    tracker, execution, _ = _tracker()
    tracker.start()
    execution.advance(3)
    _until(lambda: tracker._graph.widget.get_state()["states"].get("n1", [""])[0] == "RUNNING")
    assert tracker._graph.widget.get_state()["states"]["n0"][0] == "SUCCEEDED"
    tracker.close()


def test_a_failure_is_shown_with_cell_numbers_while_the_rest_goes_on():
    error = ErrorInfo(
        "USER:ValueError",
        'Trace:\n\n    File "/tmp/k.py", line 3, in fit\n      x = 1\n\nMessage:\n\n    ValueError: <no>',
        "USER",
    )
    tracker, execution, _ = _tracker(
        plan(Step(0, "n0", "RUNNING"), Step(1, "n0", "FAILED", error), Step(2, "n1", "RUNNING"))
    )
    tracker.start()
    execution.advance(2)
    _until(lambda: "ValueError" in tracker._pieces.errors.value)
    shown = tracker._pieces.errors.value
    assert "cell [7]" in shown
    assert "&lt;no&gt;" in shown
    assert "<no>" not in shown
    tracker.close()


def test_choosing_a_node_loads_its_values_once_and_shows_its_log():
    tracker, execution, _ = _tracker()
    tracker.start()
    execution.advance(3)
    _until(lambda: tracker._states.get("n1") and tracker._states["n1"].phase == "RUNNING")
    tracker._graph.widget.selected = "n0"
    _until(lambda: "n0 attempt 1 says hello" in tracker._pieces.side_log.value)
    assert "seed" in tracker._pieces.side.value
    assert "0.97" in tracker._pieces.side.value
    tracker._graph.widget.selected = ""
    tracker._graph.widget.selected = "n0"
    _until(lambda: "seed" in tracker._pieces.side.value)
    assert execution.node_data_calls == ["n0"]
    tracker.close()


def test_a_cached_node_says_why_it_ran_or_did_not():
    hit = Step(0, "n0", "SUCCEEDED", cache_status="CACHE_HIT")
    tracker, execution, _ = _tracker(plan(hit, Step(9, "n1", "RUNNING")))
    tracker.start()
    execution.advance(1)
    _until(lambda: tracker._states.get("n0") and tracker._states["n0"].phase == "CACHED")
    tracker._graph.widget.selected = "n0"
    _until(lambda: "hit: f1 (n0) computed the result." in tracker._pieces.side.value)
    tracker.close()


def test_a_selected_node_that_has_not_started_shows_for_how_many_it_waits():
    tracker, execution, _ = _tracker()
    tracker.start()
    execution.advance()
    tracker._graph.widget.selected = "n1"
    _until(lambda: "fit · 3" in tracker._pieces.side.value)
    assert "waits for 1" in tracker._pieces.side.value
    _until(lambda: tracker._pieces.side_log.value == "")
    tracker.close()


class Gated(FakeExecution):
    """Its nodes are gates, named like their signals."""

    def _after(self, before: Any, step: Step) -> NodeView:
        node = super()._after(before, step)
        return node._replace(kind=GATE_NODE, name={"n0": "level", "n1": "review"}[node.node_id])


def test_a_gate_that_waits_is_answered_in_the_card():
    script = plan(Step(0, "n0", "RUNNING"), Step(0, "n1", "RUNNING"), Step(9, "n1", "SUCCEEDED"))
    tracker, execution, _ = _tracker(script, Gated)
    codecs = (REGISTRY.codec(int).literal_type, REGISTRY.codec(bool).literal_type)
    execution.gates = {
        "level": SignalView("level", VALUE, codecs[0]),
        "review": SignalView("review", APPROVAL, codecs[1]),
    }
    tracker.start()
    execution.advance()
    _until(lambda: set(tracker._gates._forms) == {"level", "review"})
    level, review = tracker._gates._forms["level"], tracker._gates._forms["review"]
    assert tracker._gates.widget in tracker.widget.children
    level._text.value = "much"
    _button(level.widget, "Send").click()
    assert "level" in level._said.value  # it says what is wrong, and stays open
    level._text.value = "3"
    _button(level.widget, "Send").click()
    _button(review.widget, "Reject").click()
    _button(review.widget, "Approve").click()  # too late
    assert [(each.name, each.value) for each in execution.signals()] == [
        ("level", 3),
        ("review", False),
    ]
    _until(lambda: not tracker._gates._forms)
    tracker.close()


def test_the_card_says_what_nodes_wait_for():
    tracker, execution, _ = _tracker()
    execution.waiting = {"n0": "a <slot>"}
    tracker.start()
    execution.advance()
    _until(lambda: "waits for a &lt;slot&gt;" in tracker._gates._lines.value)
    execution.waiting = {}
    _until(lambda: not tracker._gates._lines.value)
    tracker.close()


def _button(widget: Any, text: str) -> Any:
    """The button with this text in a widget."""
    found = [widget, *getattr(widget, "children", ())]
    for child in found[1:]:
        found.extend(getattr(child, "children", ()))
    return next(each for each in found if getattr(each, "description", "") == text)


def test_inputs_are_shown_escaped():
    tracker, _, _ = _tracker()
    tracker.start()
    _until(lambda: "&lt;b&gt;3" in tracker._pieces.inputs.value)
    tracker.close()


def test_terminating_asks_first_and_then_does_it():
    tracker, execution, page = _tracker()
    pieces = tracker._pieces
    tracker.start()
    pieces.terminate.click()
    _until(lambda: pieces._confirm in pieces._head_row.children)
    pieces.keep.click()
    _until(lambda: pieces.terminate in pieces._head_row.children)
    assert not execution.view().is_terminal
    pieces.terminate.click()
    _until(lambda: pieces._confirm in pieces._head_row.children)
    pieces.end.click()
    assert page.done.wait(PATIENCE_S)
    assert execution.view().abort_cause == "terminated from the notebook"
    assert page.replaced[0]["text/plain"] == "ABORTED"


def test_clicks_from_many_threads_end_it_once():
    tracker, _, page = _tracker()
    tracker.start()
    clicks = [threading.Thread(target=tracker._pieces.end.click) for _ in range(8)]
    for click in clicks:
        click.start()
    for click in clicks:
        click.join()
    assert page.done.wait(PATIENCE_S)
    assert len(page.replaced) == 1


def test_without_anywidget_the_graph_is_a_picture_that_is_drawn_again(monkeypatch):
    monkeypatch.setattr(graph_widget.importlib.util, "find_spec", lambda name: None)
    tracker, execution, _ = _tracker()
    assert isinstance(tracker._graph, graph_widget.PictureGraph)
    tracker.start()
    execution.advance(2)
    _until(lambda: 'id="node-n0" class="n" data-phase="SUCCEEDED"' in tracker._graph.widget.value)
    tracker.close()


class Spreading(FakeExecution):
    """Its node `n0` is dynamic: while it runs, and afterwards, it has two nodes inside."""

    asked = 0

    def _view(self):
        view = super()._view()
        if not view.nodes or view.nodes[0].phase == "QUEUED":
            return view
        first = view.nodes[0]
        running = first.phase == "RUNNING"
        first = first._replace(
            phase="DYNAMIC_RUNNING" if running else first.phase, job_uri="s://0/futures.pb"
        )
        inner = NodeView("n0-0-dn0", "dn0", "churn.double", "RUNNING", parent_id="n0")
        return view._replace(nodes=(first, inner, *view.nodes[1:]))

    def dynamic_workflow(self, node):
        self.asked += 1
        closure = CompiledWorkflowClosure()
        for node_id in ("dn0", "dn1"):
            made = closure.primary.template.nodes.add(id=node_id)
            made.metadata.name = "double"
            made.task_node.reference_id.name = "churn.double"
        return closure


def test_the_graph_of_a_dynamic_node_can_be_opened_while_it_runs():
    tracker, execution, _ = _tracker(kind=Spreading)
    tracker.start()
    assert tracker._graph.picture.can["opens"] is False
    execution.advance()
    _until(lambda: tracker._graph.picture.can["opens"])
    assert "0 of 2 done" in tracker._states["n0"].subtitle
    tracker._ask({"toggle": "n0"})
    _until(lambda: "n0/dn1" in {node.id for node in tracker._graph.picture.graph.nodes})
    assert tracker._states["n0/dn0"].phase == "RUNNING"
    assert 'data-phase="RUNNING"' in tracker._graph.widget.svg or tracker._graph.widget.states
    tracker._graph.widget.selected = "n0/dn0"
    _until(lambda: "churn.double" in tracker._pieces.side.value)
    execution.advance()
    _until(lambda: tracker._states["n0"].phase == "SUCCEEDED")
    assert execution.asked == 1
    tracker.close()


def test_a_question_is_answered_once():
    said: list[str] = []
    acted: list[int] = []
    question = Question(
        "Sure?",
        yes=("Yes", lambda: acted.append(1), "done"),
        no=("No", "left"),
        say=said.append,
    )
    agree, refuse = question.widget.children[1].children[1:]
    for click in [threading.Thread(target=agree.click) for _ in range(4)]:
        click.start()
        click.join()
    refuse.click()
    assert acted == [1]
    assert said == ["done"]


def test_the_script_of_the_graph_is_small():
    assert len(graph_widget.script().encode()) < 26_000
