"""Cards for registrations, executions, histories and compiled workflows."""

import re
from datetime import datetime, timedelta, timezone
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flyte_nb.api.errors import ErrorInfo
from flyte_nb.api.identifiers import ExecutionId, Identifier, Scope
from flyte_nb.api.nodes import TASK_NODE
from flyte_nb.api.problems import Problem
from flyte_nb.api.specs import Location
from flyte_nb.executions.views import AttemptView, ExecutionView, NodeView
from flyte_nb.graph.elements import Graph, GraphEdge, GraphNode
from flyte_nb.notebook.cards import error_panel, execution, executions, registration
from flyte_nb.notebook.cards.error_panel import error_parts
from flyte_nb.notebook.cards.nodes import status_line
from flyte_nb.notebook.looking import card as compiled
from flyte_nb.notebook.paper.html import ATTRIBUTES, STYLES, TAGS, Safe, text
from flyte_nb.registering.views import (
    CHANGED,
    FAILED,
    NEW,
    UNCHANGED,
    RegisteredEntity,
    Registration,
)

START = datetime(2026, 11, 22, 13, 40, 2, tzinfo=timezone.utc)
MESSAGE = """Trace:

    Traceback (most recent call last):
      File "/tmp/ipykernel_9/1.py", line 12, in train
        model = fit(rows, depth)

Message:

    ValueError: depth 5 needs at least 32 rows per leaf, got 17"""
ERROR = ErrorInfo("USER:ValueError", MESSAGE, "USER")


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def name(short: str, kind: str = "task", version: str = "q3f9ZkAAbb") -> Identifier:
    return Identifier(kind, "flytesnacks", "development", f"churn.{short}", version)


def humanize(message: str) -> str:
    return message.replace('File "/tmp/ipykernel_9/1.py", line', "cell [7], line").replace(
        "/tmp/ipykernel_9/1.py:", "cell [7], line "
    )


def words(html: str) -> str:
    """Return the text of a card as a person reads it."""

    class Reader(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.seen: list[str] = []

        def handle_data(self, data: str) -> None:
            self.seen.append(data)

    reader = Reader()
    reader.feed(html)
    return " ".join(" ".join(reader.seen).split())


class Sanitizer(HTMLParser):
    """Fail on anything that JupyterLab removes from a notebook that was not trusted."""

    # The value patterns of its sanitizer, as far as cards use them.
    COLOR = re.compile(
        r"#[0-9a-f]{6}|transparent|rgba\(\d+, \d+, \d+, (0?\.\d+|[01])\)|\d+px solid.*|none"
    )

    def handle_starttag(self, tag: str, attrs: "list[tuple[str, str | None]]") -> None:
        assert tag in TAGS
        for attribute, value in attrs:
            if attribute != "style":
                assert attribute in ATTRIBUTES
                continue
            for declaration in filter(None, (value or "").split(";")):
                property_, _, set_to = declaration.partition(":")
                assert property_ in STYLES
                if "color" in property_ or property_ == "background":
                    assert self.COLOR.fullmatch(set_to), declaration
                assert "var(" not in set_to
                assert "calc(" not in set_to


def survives(html: str) -> None:
    sanitizer = Sanitizer()
    sanitizer.feed(html)
    sanitizer.close()


@pytest.fixture
def graph() -> Graph:
    titles = ("load", "split", "train · 3", "train · 5")
    nodes = tuple(GraphNode(f"n{i}", TASK_NODE, title) for i, title in enumerate(titles))
    edges = tuple(GraphEdge(*pair.split()) for pair in ("n0 n1", "n1 n2", "n1 n3"))
    return Graph("pipeline", nodes, edges)


@pytest.fixture
def failed() -> ExecutionView:
    def attempt(number: int, phase: str, start: float, end: float) -> AttemptView:
        error = ERROR if phase == "FAILED" else None
        return AttemptView(number, phase, at(start), at(end), error, (), 1.5, 112_000_000)

    nodes = (
        NodeView(
            "n0", "n0", "churn.load", "SUCCEEDED", "task", at(0), at(2.1), "CACHE_POPULATED",
            None, (attempt(0, "SUCCEEDED", 0.1, 2),),
        ),
        NodeView("n1", "n1", "churn.split", "SUCCEEDED", "task", at(2.1), at(3), "CACHE_HIT"),
        NodeView(
            "n2", "n2", "churn.train", "SUCCEEDED", "task", at(3), at(12), "",
            None, (attempt(0, "SUCCEEDED", 3, 12),),
        ),
        NodeView(
            "n3", "n3", "churn.train", "FAILED", "task", at(3), at(19), "",
            ERROR, (attempt(0, "ABORTED", 3, 10), attempt(1, "FAILED", 11, 19)),
        ),
    )  # fmt: skip
    return ExecutionView(
        ExecutionId("flytesnacks", "development", "a7x1c02"),
        name("pipeline", "launch_plan"),
        name("pipeline", "workflow"),
        "FAILED",
        START,
        START,
        at(19),
        ERROR,
        "",
        nodes,
        4,
    )


# --- registration -----------------------------------------------------------------------------------


def registered(*entities: RegisteredEntity) -> Registration:
    sent = sum(entity.uploaded_bytes for entity in entities)
    return Registration(entities, sent, 7, 0.34)


def test_a_registration_shows_what_changed_why_and_what_it_cost() -> None:
    same = "same fingerprint as what is registered"
    card = registration.card(
        registered(
            *(
                RegisteredEntity(name(short), UNCHANGED, same)
                for short in ("load", "split", "report")
            ),
            RegisteredEntity(name("train"), CHANGED, "helper `features()` changed", 2100),
            RegisteredEntity(name("pipeline", "workflow"), NEW, "4 tasks"),
        ),
        scope=Scope(main_module="churn"),
        label="local backend",
        notes=("`labels` is large.",),
    )
    survives(card)
    said_ = words(card)
    assert "churn → flytesnacks / development · local backend" in said_
    assert "✓ 1 new ◐ 1 changed = 3 unchanged" in said_
    assert "churn.train task ◐ changed helper features() changed · version q3f9ZkAA 2.1 kB" in said_
    assert "churn.load, churn.split, churn.report task = unchanged" in said_
    assert "2.1 kB uploaded · 7 calls · 0.3 s" in said_
    assert said_.endswith("labels is large.")
    assert said_.index("churn.train") < said_.index("churn.pipeline") < said_.index("churn.load")


def test_a_failed_registration_lists_its_problems_in_the_words_of_the_notebook() -> None:
    problem = Problem(
        "MissingAnnotation", "The input `depth` has no annotation.", variable="depth",
        entity="churn.train", hint="Write `depth: int`.",
        location=Location("/tmp/ipykernel_9/1.py", 3),
    )  # fmt: skip
    entity = RegisteredEntity(name("train", version=""), FAILED, "does not compile", 0, (problem,))
    card = registration.card(registered(entity), humanize=humanize)
    survives(card)
    assert "1 · train.depth cell [7], line 3 The input depth has no annotation." in words(card)
    assert "✕ 1 failed" in words(card)
    lines = registration.text(registered(entity)).splitlines()
    assert lines[0] == "✕ churn.train  task         failed     does not compile"
    assert lines[-1].startswith("nothing to upload · ")


def test_a_registration_of_nothing_is_shown_as_such() -> None:
    assert "Nothing to register." in words(registration.card(registered()))
    assert registration.text(registered()) == "Nothing to register."


def test_a_dry_run_says_that_nothing_was_sent() -> None:
    entity = RegisteredEntity(name("train"), NEW, "first time")
    said_ = words(registration.card(registered(entity), dry_run=True))
    assert said_.startswith("Would register")
    assert "Nothing was sent." in said_


# --- execution --------------------------------------------------------------------------------------


def test_a_failed_execution_shows_what_failed_where_and_what_to_do(
    failed: ExecutionView, graph: Graph
) -> None:
    card = execution.card(
        failed, graph, inputs={"depths": text("[3, 5]")}, logs="one\ntwo\n", humanize=humanize
    )
    survives(card)
    said_ = words(card)
    assert "churn.pipeline a7x1c02" in said_
    assert "✕ failed 19.0 s 3 of 4 nodes" in said_
    assert "train · 5 · ValueError: depth 5 needs at least 32 rows per leaf, got 17" in said_
    assert "cell [7], line 12, in train" in said_
    assert "model = fit(rows, depth)" in said_
    assert "Failed 2 times. Correct the cell, run it, then %flyte launch pipeline" in said_
    assert "%flyte logs a7x1c02 n3" in said_
    assert "depths [3, 5]" in said_
    assert "Logs 2 lines" in said_
    assert '<img alt="pipeline: 4 nodes: load succeeded, split from cache' in card


def test_the_table_of_nodes_has_what_each_used(failed: ExecutionView, graph: Graph) -> None:
    said_ = words(execution.card(failed, graph))
    assert "node phase duration attempts cpu memory cache" in said_
    assert "load n0 ✓ succeeded 2.1 s 1 1.5 s 112 MB populated" in said_
    assert "train · 5 n3 ✕ failed 16.0 s 2 3.0 s 112 MB –" in said_


def test_columns_without_a_value_are_left_out(failed: ExecutionView) -> None:
    bare = failed._replace(
        nodes=tuple(node._replace(attempts=(), cache_status="") for node in failed.nodes)
    )
    assert "node phase duration attempts load" in words(execution.card(bare))


def test_the_timeline_has_a_bar_an_attempt_at_its_place(failed: ExecutionView) -> None:
    card = execution.card(failed)
    assert 'title="attempt 2 · failed · 8.0 s"' in card
    assert "left:57.89%;width:42.11%" in card  # from 11 s to 19 s of 19 s


def test_a_succeeded_execution_opens_its_outputs(failed: ExecutionView, graph: Graph) -> None:
    nodes = tuple(node._replace(phase="SUCCEEDED", error=None) for node in failed.nodes)
    view = failed._replace(phase="SUCCEEDED", error=None, nodes=nodes)
    card = execution.card(view, graph, inputs={"a": text("1")}, outputs={"b": text("2")})
    survives(card)
    assert re.search(r"<details[^>]* open><summary[^>]*>Outputs", card)
    assert re.search(r"<details[^>]*\"><summary[^>]*>Inputs", card)
    assert "4 of 4 nodes" in words(card)


def test_a_terminated_execution_shows_the_cause(failed: ExecutionView) -> None:
    view = failed._replace(phase="ABORTED", error=None, abort_cause="by ada", nodes=())
    assert "terminated · by ada" in words(execution.card(view))
    assert "terminated: by ada" in execution.text(view)


def test_a_running_execution_counts_up_to_now(failed: ExecutionView, graph: Graph) -> None:
    running = failed.nodes[3]._replace(phase="RUNNING", ended_at=None, error=None, attempts=())
    view = failed._replace(
        phase="RUNNING", ended_at=None, error=None, nodes=(*failed.nodes[:3], running)
    )
    said_ = words(execution.card(view, graph, now=at(75)))
    assert "◐ running 1:15" in said_
    assert "◐ running 1:12" in said_


def test_the_error_of_an_execution_without_nodes_is_shown(failed: ExecutionView) -> None:
    error = ErrorInfo("SYSTEM:NoInterpreter", "There is no interpreter.", "SYSTEM")
    said_ = words(execution.card(failed._replace(nodes=(), error=error)))
    assert "There is no interpreter." in said_
    assert "Not your code." in said_
    assert "launching again may help" in said_


def test_a_bundle_that_is_not_whole_is_registered_again(failed: ExecutionView) -> None:
    error = ErrorInfo("SYSTEM:BundleChecksumMismatch", "The member is another.", "SYSTEM")
    said_ = words(execution.card(failed._replace(nodes=(), error=error)))
    assert "%flyte register" in said_
    assert "may help" not in said_


def test_nodes_inside_a_sub_workflow_do_not_colour_the_graph_but_cases_of_a_branch_do(
    failed: ExecutionView,
) -> None:
    inside = failed.nodes[0]._replace(node_id="n0-0-n3", spec_node_id="n3", parent_id="n0")
    case = failed.nodes[0]._replace(node_id="n1-n0", spec_node_id="n1-n0", parent_id="n1")
    view = failed._replace(nodes=(*failed.nodes[:3], inside, case))
    assert execution.phases(view) == {
        "n0": "SUCCEEDED",
        "n1": "CACHED",
        "n2": "SUCCEEDED",
        "n1-n0": "SUCCEEDED",
    }


def test_only_the_innermost_error_is_shown(failed: ExecutionView) -> None:
    outer = failed.nodes[3]._replace(node_id="n9", name="churn.inner")
    inner = failed.nodes[3]._replace(node_id="n9-0-n0", parent_id="n9")
    card = execution.card(failed._replace(nodes=(outer, inner)))
    assert words(card).count("ValueError: depth 5") == 1


def test_long_logs_keep_their_end(failed: ExecutionView) -> None:
    said_ = words(execution.card(failed, logs="".join(f"line {i}\n" for i in range(9000))))
    assert "Logs the end" in said_
    assert "line 8999" in said_
    assert "line 17 " not in said_


def test_the_text_of_an_execution_has_the_tree_and_the_error(
    failed: ExecutionView, graph: Graph
) -> None:
    lines = execution.text(failed, graph).splitlines()
    assert lines[0] == "✕ churn.pipeline a7x1c02 failed in 19.0 s"
    assert "    ✕ train · 5" in lines
    assert lines[-1] == "churn.train: ValueError: depth 5 needs at least 32 rows per leaf, got 17"


def test_a_nodes_line_has_time_cache_error_and_attempts(failed: ExecutionView) -> None:
    assert [status_line(node) for node in failed.nodes] == [
        "2.1 s",
        "from cache",
        "9.0 s",
        "ValueError · 16.0 s · attempt 2",
    ]


# --- errors -----------------------------------------------------------------------------------------


def test_a_message_with_a_trace_is_taken_apart() -> None:
    parts = error_panel.error_parts(MESSAGE)
    assert parts.message == "ValueError: depth 5 needs at least 32 rows per leaf, got 17"
    assert parts.place == 'File "/tmp/ipykernel_9/1.py", line 12, in train'
    assert parts.trace.splitlines()[1] == "  model = fit(rows, depth)"


def test_any_other_message_is_kept_as_it_is() -> None:
    assert error_panel.error_parts("  it broke\nbadly ") == error_panel.ErrorParts(
        "it broke\nbadly", "", ""
    )


def test_a_very_long_message_folds() -> None:
    panel = error_panel.panel("n0", ErrorInfo("USER:X", "x" * 5000))
    survives(panel)
    assert "the whole message" in words(panel)


# --- executions -------------------------------------------------------------------------------------


def test_a_history_names_the_error_also_where_flyteadmin_cut_the_message(
    failed: ExecutionView,
) -> None:
    cut = ErrorInfo("RetriesExhausted|USER:KeyError", MESSAGE[:40])
    assert "KeyError" in words(executions.card([failed._replace(error=cut)]))
    assert "Trace:" not in words(executions.card([failed._replace(error=cut)]))
    flytes = "[3/3] currentAttempt done. Last Error: SYSTEM::No space left"
    shown = words(executions.card([failed._replace(error=ErrorInfo("X", flytes))]))
    assert "No space left" in shown
    assert "currentAttempt" not in shown


def test_the_history_has_a_row_an_execution(failed: ExecutionView) -> None:
    card = executions.card([failed], where="flytesnacks / development", now=at(400))
    survives(card)
    assert (
        "a7x1c02 churn.pipeline ✕ failed 7 min ago 19.0 s"
        " ValueError: depth 5 needs at least 32 rows per leaf, got 17"
    ) in words(card)
    assert "a7x1c02  failed" in executions.text([failed])


def test_an_empty_history_shows_how_to_begin() -> None:
    assert "Nothing has run yet here. %flyte launch starts something." in words(executions.card([]))


# --- compiled ---------------------------------------------------------------------------------------


def test_a_wrong_workflow_shows_each_problem_by_the_name_on_the_graph(graph: Graph) -> None:
    problems = (
        Problem(
            "MismatchingTypes", "expects `int`, got `str`.", "n2", "depth", "Write `depth=3`.",
            Location("/tmp/ipykernel_9/1.py", 3),
        ),
        Problem("ParameterNotBound", "`rows` is not given.", "n3", "rows"),
    )  # fmt: skip
    card = compiled.card("churn.pipeline", graph, problems, humanize=humanize)
    survives(card)
    said_ = words(card)
    assert "churn.pipeline does not compile ✕ 2 problems" in said_
    assert "1 · train · 3.depth cell [7], line 3 expects int , got str . Write depth=3 ." in said_
    assert "train · 5 has a problem" in card
    assert "1. n2.depth" in compiled.text(graph, problems)


def test_a_right_workflow_is_its_graph(graph: Graph) -> None:
    card = compiled.card("churn.pipeline", graph)
    survives(card)
    assert words(card).startswith("churn.pipeline 4 nodes")


def test_a_long_name_breaks_where_there_is_no_room() -> None:
    long = Identifier("task", "p", "d", "m." + "long_" * 40, "v")
    new = RegisteredEntity(long, NEW, "new", 1)
    run = ExecutionView(ExecutionId("p", "d", "e"), long, long, "RUNNING", START)
    for card in (registration.card(registered(new)), executions.card([run], where="")):
        cell = card.partition("m.long_")[0].rpartition("<span")[2]
        assert "word-break:break-all" in cell


# --- whatever the names -----------------------------------------------------------------------------

nasty = st.text(max_size=30) | st.sampled_from(["<script>", '"><img onerror=x>', "`", "\0\x1b[31m"])


@given(nasty, nasty, nasty, nasty)
@settings(max_examples=60)
def test_no_name_breaks_out_of_a_card(first: str, second: str, third: str, fourth: str) -> None:
    who = Identifier("task", first, second, third, fourth)
    problem = Problem(first, second, third, fourth, first, Location(second, 3), third)
    entity = RegisteredEntity(who, FAILED, fourth, 1, (problem,))
    survives(registration.card(registered(entity), label=first, notes=(second,)))
    error = ErrorInfo(first, second)
    node = NodeView("n0", "n0", third, "FAILED", "task", START, START, fourth, error)
    view = ExecutionView(
        ExecutionId(first, second, third), who, who, "FAILED", START, error=error, nodes=(node,)
    )
    drawn = Graph(first, (GraphNode("n0", TASK_NODE, second, third, fourth),), ())
    values: dict[str, Safe] = {first: text(second)}
    survives(execution.card(view, drawn, inputs=values, logs=third))
    survives(executions.card([view], where=fourth))
    survives(compiled.card(first, drawn, (problem,)))


def test_the_error_of_a_map_names_the_elements_and_shows_the_first_error():
    trace = 'Trace:\n\n    Traceback (most recent call last):\n      File "a.py", line 7, in fit\n'
    first = f"[0-1][3]: [2/2] currentAttempt done. Last Error: USER::{trace}Message:\n\n    ValueError: no\n"
    parts = error_parts(f"{first}[2]: lost\n")
    assert parts.message == "elements 0-1, 3: ValueError: no\n1 other error of elements"
    assert parts.place == 'File "a.py", line 7, in fit'
    assert error_parts("[5]: lost\n").message == "element 5: lost"
