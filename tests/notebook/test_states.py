"""What the nodes of a graph show while a run goes on."""

from datetime import datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from flyte_nb.api.errors import ErrorInfo
from flyte_nb.api.identifiers import ExecutionId, Identifier
from flyte_nb.executions.paths import paths_of
from flyte_nb.executions.views import AttemptView, ElementView, ExecutionView, NodeView
from flyte_nb.notebook.live import fragments
from flyte_nb.notebook.live.states import (
    NodeDisplay,
    clock,
    counted,
    delta,
    most_telling,
    node_displays,
    spoken_duration,
)

NOW = datetime(2026, 11, 22, 14, 2, 11, tzinfo=timezone.utc)
ID = Identifier("workflow", "p", "d", "churn.pipeline", "v1")


def _node(id: str, phase: str, **fields: object) -> NodeView:
    return NodeView(id, id, f"churn.{id}", phase, **fields)


def _view(*nodes: NodeView, phase: str = "RUNNING") -> ExecutionView:
    return ExecutionView(
        ExecutionId("p", "d", "a1"), ID, ID, phase, NOW, NOW, nodes=nodes, total_nodes=len(nodes)
    )


def test_a_running_node_shows_elapsed_time_and_attempt():
    node = _node(
        "n0",
        "RUNNING",
        started_at=NOW - timedelta(seconds=29),
        attempts=(AttemptView(0, "FAILED"), AttemptView(1, "RUNNING")),
    )
    assert node_displays(_view(node), NOW) == {"n0": NodeDisplay("RUNNING", "0:29 · attempt 2")}


def test_an_ended_node_shows_its_duration_and_a_cache_hit_that_it_is_one():
    took = _node("n0", "SUCCEEDED", started_at=NOW, ended_at=NOW + timedelta(seconds=1.24))
    hit = _node("n1", "SUCCEEDED", cache_status="CACHE_HIT")
    assert node_displays(_view(took, hit), NOW) == {
        "n0": NodeDisplay("SUCCEEDED", "1.2 s"),
        "n1": NodeDisplay("CACHED", "from cache"),
    }


def test_a_failed_node_names_its_error():
    node = _node("n0", "FAILED", error=ErrorInfo("USER:ValueError", "no"))
    assert node_displays(_view(node), NOW)["n0"].subtitle == "ValueError"


def test_a_node_that_has_not_started_shows_for_how_many_it_waits():
    waits = {"n0": frozenset(), "n1": frozenset({"n0"}), "n2": frozenset({"n0", "n1"})}
    states = node_displays(_view(_node("n0", "SUCCEEDED"), _node("n1", "QUEUED")), NOW, waits)
    assert states["n1"] == NodeDisplay("QUEUED", "queued")
    assert states["n2"] == NodeDisplay("UNDEFINED", "waits for 1")


def test_a_node_that_never_ran_shows_that_when_the_run_has_ended():
    states = node_displays(_view(phase="ABORTED"), NOW, {"n0": frozenset()})
    assert states["n0"].subtitle == "did not run"


def test_nodes_inside_of_others_do_not_change_the_graph():
    inner = _node("n0", "FAILED", parent_id="n7")
    assert node_displays(_view(inner), NOW) == {}


_STATES = st.dictionaries(
    st.sampled_from("abcd"), st.builds(NodeDisplay, st.sampled_from("XYZ"), st.sampled_from("12"))
)


@given(_STATES, _STATES)
def test_a_delta_applied_to_the_old_states_gives_exactly_the_new_ones(before, after):
    changed = delta(before, after)
    merged = {**before, **{node: NodeDisplay(*state) for node, state in changed.items()}}
    assert all(merged[node] == state for node, state in after.items())
    assert all(before.get(node) != after[node] for node in changed)


def test_times_are_written_as_people_write_them():
    assert [clock(s) for s in (-1, 0, 31.9, 725, 3723)] == [
        "0:00",
        "0:00",
        "0:31",
        "12:05",
        "1:02:03",
    ]
    assert [spoken_duration(s) for s in (0.0123, 1.24, 59.97, 125)] == [
        "12 ms",
        "1.2 s",
        "0:59",
        "2:05",
    ]


def test_the_panel_shows_a_failure_first_then_what_runs_then_what_ended_last():
    ok, run, bad = _node("a", "SUCCEEDED"), _node("b", "RUNNING"), _node("c", "FAILED")
    assert most_telling(_view(ok, run, bad)) == bad
    assert most_telling(_view(ok, run)) == run
    assert most_telling(_view(ok)) == ok
    assert most_telling(_view()) is None


def test_the_count_never_exceeds_the_total():
    assert counted(_view(_node("a", "SUCCEEDED"), _node("b", "RUNNING")), 0) == "1 of 1 nodes"
    assert counted(_view(_node("a", "SUCCEEDED")), 6) == "1 of 6 nodes"


def test_everything_a_person_named_is_escaped():
    evil = "<script>alert(1)</script>"
    node = NodeView(evil, evil, f"churn.{evil}", "RUNNING", started_at=NOW)
    view = _view(node)._replace(workflow=ID._replace(name=evil))
    made = [
        fragments.head(view, NOW, 1),
        fragments.timeline(view, NOW, {evil: evil}),
        fragments.nodes_table(view, NOW, {}),
        fragments.facts(node, NOW, {}, {}),
    ]
    assert not any("<script" in piece for piece in made)


def test_a_run_without_nodes_is_shown_as_such():
    assert "No node has started yet" in fragments.timeline(_view(), NOW, {})
    assert "No node has started yet" in fragments.nodes_table(_view(), NOW, {})


def test_a_long_table_counts_the_rows_that_it_leaves_out():
    nodes = [_node(f"n{i}", "SUCCEEDED") for i in range(305)]
    assert "and 5 more" in fragments.nodes_table(_view(*nodes), NOW, {})


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["RUNNING", "SUCCEEDED", "FAILED", "QUEUED"]),
            st.floats(-10, 100),
            st.floats(0, 100),
        ),
        max_size=6,
    )
)
def test_no_bar_of_the_timeline_leaves_its_lane(rows):
    import re

    nodes = []
    for index, (phase, start, took) in enumerate(rows):
        began = NOW + timedelta(seconds=start)
        ended = began + timedelta(seconds=took) if phase in ("SUCCEEDED", "FAILED") else None
        nodes.append(_node(f"n{index}", phase, started_at=began, ended_at=ended))
    html = fragments.timeline(_view(*nodes), NOW + timedelta(seconds=50), {})
    for left, width in re.findall(r"left:([\d.]+)%;width:([\d.]+)%", html):
        assert 0 <= float(left) <= 100
        assert float(left) + float(width) <= 100.02


def _inner(id: str, spec: str, parent: str, phase: str) -> NodeView:
    return NodeView(id, spec, f"churn.{spec}", phase, parent_id=parent)


def test_a_sub_workflow_shows_how_much_is_done_and_its_nodes_wait_with_it():
    view = _view(
        _node("n1", "RUNNING"),
        _inner("n1-0-n0", "n0", "n1", "SUCCEEDED"),
        _inner("n1-0-n1", "n1", "n1", "RUNNING"),
    )
    waits = {
        "n1/n2": frozenset({"n1/n0", "n1/n1"}),
        "n3/n0": frozenset(),
        "n3": frozenset({"n1"}),
    }
    states = node_displays(view, NOW, waits, paths_of(view.nodes), {"n1": 3})
    assert states["n1"] == NodeDisplay("RUNNING", "1 of 3 done")
    assert states["n1/n0"].phase == "SUCCEEDED"
    assert states["n1/n2"] == NodeDisplay("UNDEFINED", "waits for 1")
    assert states["n3"].subtitle == "waits for 1"
    assert "n3/n0" not in states


def test_a_map_counts_its_elements():
    phases = ["SUCCEEDED", "SUCCEEDED", "RUNNING", "FAILED", "UNDEFINED"]
    elements = tuple(ElementView(number, phase=phase) for number, phase in enumerate(phases))
    node = _node(
        "n0", "RUNNING", started_at=NOW - timedelta(seconds=29), kind="array", elements=elements
    )
    shown = {"n0": NodeDisplay("RUNNING", "× 5: 2 ✓ 1 ◐ 1 ✕ · 0:29")}
    assert node_displays(_view(node), NOW) == shown
    ended = node._replace(phase="FAILED", ended_at=NOW, error=ErrorInfo("", "[3]: no\n"))
    assert node_displays(_view(ended), NOW)["n0"].subtitle == "× 5: 2 ✓ 1 ◐ 1 ✕ · 29.0 s"
