"""The state machine: examples of every rule, and properties over random workflows and orders."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flyte_nb.api import nodes, phases
from flyte_nb.api.errors import SYSTEM, USER, CompileFailed, ErrorInfo
from flyte_nb.propeller import records as r
from flyte_nb.propeller.machine import IllegalMove, Machine
from flyte_nb.propeller.plan import plan_of
from flyte_nb.propeller.record_makers import attempt_record, node_record
from flyte_nb.propeller.records import AttemptRecord, NodeRecord, WorkflowRecord
from flyte_nb.propeller.tables import ATTEMPT_MOVES, NODE_MOVES, WORKFLOW_MOVES, mermaid
from flyte_nb.testing.closures import chain, closure, gate, node, task, workflow

USER_ERROR = ErrorInfo("USER:ValueError", "no", USER)
RECOVERABLE = ErrorInfo("USER:Recoverable", "again", USER, True)
SYSTEM_ERROR = ErrorInfo("SYSTEM:Lost", "lost", SYSTEM, True)

ONE = task("one", ["x"])
TWICE = task("twice", ["x"], retries=2)


def machine_of(made) -> Machine:
    return Machine(plan_of(made), "s://inputs")


class Play:
    """Plays the driver: does what the machine asks for, keeps every record."""

    def __init__(self, machine: Machine, records=()) -> None:
        self.machine = machine
        self.records = list(records)
        self.now = max((record.at_us for record in self.records), default=0)

    def do(self, event, *arguments, **options):
        self.now += 1
        made = getattr(self.machine, event)(*arguments, **options)
        self.records += made
        return made

    def at(self) -> int:
        return self.now + 1

    def move(self, node_id, *, error=None):
        """One node from where it stands to its end."""
        machine = self.machine
        node = machine.nodes[node_id]
        if node.phase == "":
            self.do("queue", node, self.at(), f"s://{node_id}/inputs")
        if node.plan.kind == nodes.END_KIND:
            return self.do("finish", node, self.at(), "s://outputs")
        if node.plan.kind == nodes.WORKFLOW_NODE:
            return self.do("enter", node, self.at())
        self.do("attempt", node, self.at(), f"s://{node_id}/{node.attempts}")
        self.do("started", node, self.at())
        if error is not None:
            return self.do("failed", node, self.at(), error)
        return self.do("succeeded", node, self.at(), f"s://{node_id}/outputs.pb")

    def phases(self) -> list[str]:
        return [
            f"{record.node_id} {record.phase}" if isinstance(record, NodeRecord) else record.phase
            for record in self.records
            if not isinstance(record, AttemptRecord)
        ]


def started(made) -> Play:
    play = Play(machine_of(made))
    play.do("begin", 1)
    return play


def test_a_chain_gives_the_records_that_propeller_emits():
    play = started(chain(2, ONE))
    for node_id in ("n0", "n1", "end-node"):
        play.move(node_id)
    assert play.phases() == [
        "RUNNING",
        "start-node SUCCEEDED",
        "n0 QUEUED",
        "n0 RUNNING",
        "n0 SUCCEEDED",
        "n1 QUEUED",
        "n1 RUNNING",
        "n1 SUCCEEDED",
        "end-node QUEUED",
        "end-node SUCCEEDED",
        "SUCCEEDING",
        "SUCCEEDED",
    ]
    start = play.records[1]
    assert start.output_uri == "s://inputs"
    assert play.records[-1].output_uri == "s://outputs"
    assert play.machine.is_terminal


def test_a_node_is_ready_when_everything_before_it_has_ended():
    nodes = [
        node("a", ONE, {"x": 1}),
        node("b", ONE, {"x": 1}),
        node("c", ONE, {"x": "a"}, after=["b"]),
    ]
    play = started(closure(workflow("w", nodes), [ONE]))
    assert list(play.machine.ready) == ["a", "b"]
    play.move("a")
    assert list(play.machine.ready) == ["b"]
    play.move("b")
    assert list(play.machine.ready) == ["c"]


def test_a_recoverable_failure_is_tried_again_within_the_retries():
    nodes = [node("a", TWICE, {"x": 1})]
    play = started(closure(workflow("w", nodes), [TWICE]))
    play.move("a", error=RECOVERABLE)
    assert list(play.machine.startable) == ["a"]
    play.move("a", error=RECOVERABLE)
    play.move("a")
    play.move("end-node")
    assert play.machine.phase == "SUCCEEDED"
    attempts = [x for x in play.records if isinstance(x, AttemptRecord)]
    assert [(x.attempt, x.phase) for x in attempts] == [
        (k, phase)
        for k, last in enumerate(["FAILED", "FAILED", "SUCCEEDED"])
        for phase in ("QUEUED", "RUNNING", last)
    ]


def test_exhausted_retries_are_told_as_propeller_tells_them():
    play = started(closure(workflow("w", [node("a", TWICE, {"x": 1})]), [TWICE]))
    for _ in range(3):
        play.move("a", error=RECOVERABLE)
    error = play.machine.nodes["a"].error
    assert error == ErrorInfo(
        "RetriesExhausted|USER:Recoverable",
        "[3/3] currentAttempt done. Last Error: USER::again",
        USER,
    )
    assert play.records[-1] == WorkflowRecord(play.now, "FAILED", error)
    assert play.phases()[-3:] == ["a FAILED", "FAILING", "FAILED"]


def test_a_failure_that_is_not_recoverable_fails_at_once_with_its_own_code():
    play = started(closure(workflow("w", [node("a", TWICE, {"x": 1})]), [TWICE]))
    play.move("a", error=USER_ERROR)
    assert play.machine.error == USER_ERROR
    assert play.machine.phase == "FAILED"


def test_failures_of_the_system_have_a_budget_of_their_own():
    play = started(closure(workflow("w", [node("a", ONE, {"x": 1})]), [ONE]))
    for _ in range(3):
        play.move("a", error=SYSTEM_ERROR)
        assert play.machine.phase == "RUNNING"
    play.move("a", error=SYSTEM_ERROR)
    assert play.machine.error == ErrorInfo(
        "RetriesExhausted|SYSTEM:Lost",
        "[3/3] currentAttempt done. Last Error: SYSTEM::lost",
        USER,
    )


def test_failures_of_the_system_use_up_no_attempt_of_the_users():
    play = started(closure(workflow("w", [node("a", TWICE, {"x": 1})]), [TWICE]))
    for error in (RECOVERABLE, SYSTEM_ERROR, SYSTEM_ERROR, RECOVERABLE):
        play.move("a", error=error)
        assert play.machine.phase == "RUNNING"
    play.move("a", error=RECOVERABLE)
    assert play.machine.phase == "FAILED"


def test_the_first_failure_aborts_what_runs_and_starts_nothing_more():
    nodes = [node("a", ONE, {"x": 1}), node("b", ONE, {"x": 1}), node("c", ONE, {"x": "b"})]
    play = started(closure(workflow("w", nodes), [ONE]))
    b = play.machine.nodes["b"]
    play.do("queue", b, play.at(), "s://b")
    play.do("attempt", b, play.at(), "s://b/0")
    play.do("started", b, play.at())
    play.move("a", error=USER_ERROR)
    assert play.machine.phase == "FAILING"
    assert list(play.machine.doomed()) == [b]
    play.do("failed", b, play.at(), ErrorInfo("KilledBySignal", "killed", USER, True))
    assert play.phases()[-4:] == ["a FAILED", "FAILING", "b ABORTED", "FAILED"]
    assert b.error == ErrorInfo("NodeAborted", "Some node execution failed, auto-abort.")
    assert "c" not in {x.node_id for x in play.records if isinstance(x, NodeRecord)}


def test_with_fail_after_executable_nodes_complete_independent_nodes_go_on():
    nodes = [
        node("a", ONE, {"x": 1}),
        node("b", ONE, {"x": 1}),
        node("c", ONE, {"x": "b"}),
        node("d", ONE, {"x": "a"}),
        node("e", ONE, {"x": "d"}),
    ]
    play = started(closure(workflow("w", nodes, fail_after=True), [ONE]))
    play.move("a", error=USER_ERROR)
    assert play.machine.phase == "RUNNING"
    play.move("b")
    play.move("c")
    assert play.machine.phase == "FAILED"
    assert play.machine.error == USER_ERROR
    skipped = [phase for phase in play.phases() if phase.endswith("SKIPPED")]
    assert skipped == ["d SKIPPED", "e SKIPPED", "end-node SKIPPED"]


def test_the_error_that_counts_is_the_last_one_when_several_nodes_fail():
    nodes = [node("a", ONE, {"x": 1}), node("b", ONE, {"x": 1})]
    play = started(closure(workflow("w", nodes, fail_after=True), [ONE]))
    play.move("a", error=USER_ERROR)
    other = ErrorInfo("USER:KeyError", "other", USER)
    play.move("b", error=other)
    assert play.machine.error == other


def nested(fail_after=False):
    inner = workflow(
        "inner",
        [node("n0", ONE, {"x": ".x"}), node("n1", ONE, {"x": "n0"})],
        {"o0": "n1"},
        inputs=["x"],
        fail_after=fail_after,
    )
    outer = workflow(
        "outer", [node("n0", inner, {"x": 1}), node("n1", ONE, {"x": "n0"})], {"o0": "n1"}
    )
    return closure(outer, [ONE], [inner])


def test_nodes_of_a_sub_workflow_have_ids_of_their_own_and_name_their_parent():
    play = started(nested())
    for node_id in ("n0", "n0-0-n0", "n0-0-n1", "n0-0-end-node", "n1", "end-node"):
        play.move(node_id)
    assert play.machine.phase == "SUCCEEDED"
    assert "n0 RUNNING n0-0-start-node SUCCEEDED n0-0-n0 QUEUED" in " ".join(play.phases())
    inner = next(x for x in play.records if isinstance(x, NodeRecord) and x.node_id == "n0-0-n0")
    assert (inner.spec_node_id, inner.parent_id) == ("n0", "n0")
    parent = [x for x in play.records if isinstance(x, NodeRecord) and x.node_id == "n0"]
    assert [x.is_parent for x in parent] == [True, True, True]
    assert parent[-1].output_uri == "s://outputs"
    assert play.machine.nodes["n0-0-start-node"].output_uri == "s://n0/inputs"


def test_a_failure_in_a_sub_workflow_fails_its_node_with_the_same_error():
    play = started(nested())
    play.move("n0")
    play.move("n0-0-n0", error=USER_ERROR)
    assert play.phases()[-5:] == ["n0-0-n0 FAILED", "n0 FAILING", "n0 FAILED", "FAILING", "FAILED"]
    assert play.machine.error == USER_ERROR


def test_an_abort_ends_nodes_inside_out():
    play = started(nested())
    play.move("n0")
    inner = play.machine.nodes["n0-0-n0"]
    play.do("queue", inner, play.at(), "s://i")
    play.do("attempt", inner, play.at(), "s://i/0")
    play.do("abort", play.at(), "not wanted any more")
    assert play.machine.phase == "ABORTING"
    play.do("failed", inner, play.at(), USER_ERROR)
    assert play.phases()[-4:] == ["ABORTING", "n0-0-n0 ABORTED", "n0 ABORTED", "ABORTED"]
    assert play.machine.error.message == "not wanted any more"
    attempt = [x for x in play.records if isinstance(x, AttemptRecord)][-1]
    assert (attempt.phase, attempt.error.message) == ("ABORTED", "Task Aborted")


def test_an_abort_before_anything_ran_ends_at_once():
    play = Play(machine_of(nested()))
    play.do("abort", 1, "no")
    assert play.phases() == ["ABORTING", "ABORTED"]


def test_an_attempt_that_succeeds_while_it_is_to_be_ended_has_succeeded():
    nodes = [node("a", ONE, {"x": 1}), node("b", ONE, {"x": "a"})]
    play = started(closure(workflow("w", nodes), [ONE]))
    a = play.machine.nodes["a"]
    play.do("queue", a, play.at(), "s://a")
    play.do("attempt", a, play.at(), "s://a/0")
    play.do("abort", play.at(), "no")
    play.do("succeeded", a, play.at(), "s://a/0/outputs.pb")
    assert play.phases()[-3:] == ["ABORTING", "a SUCCEEDED", "ABORTED"]


def test_a_result_from_the_catalog_needs_no_attempt():
    play = started(chain(1, ONE))
    n0 = play.machine.nodes["n0"]
    play.do("queue", n0, play.at(), "s://n0", "CACHE_MISS")
    play.do("hit", n0, play.at(), "s://cached")
    assert play.records[-1].cache_status == "CACHE_HIT"
    assert list(play.machine.entering) == ["end-node"]
    assert not any(isinstance(x, AttemptRecord) for x in play.records)


def test_time_for_all_attempts_is_twice_the_time_for_one():
    slow = task("slow", ["x"], retries=5, timeout_s=10)
    play = started(closure(workflow("w", [node("a", slow, {"x": 1})]), [slow]))
    expired = ErrorInfo("TimeoutExpired", "task execution timeout [10s] expired", USER, True)
    play.move("a", error=expired)
    assert play.machine.phase == "RUNNING"
    play.now += 20_000_000
    play.move("a", error=expired)
    assert play.phases()[-3:] == ["a TIMED_OUT", "FAILING", "FAILED"]
    assert play.machine.nodes["a"].error.message == "task active timeout [20s] expired"
    assert play.machine.error == ErrorInfo("Timeout", "Timeout in node", USER)


def test_nodes_that_wait_for_each_other_end_the_execution_with_an_error():
    made = closure(workflow("w", [node("a", ONE, {"x": 1}), node("b", ONE, {"x": "a"})]), [ONE])
    made.primary.connections.upstream["a"].ids.append("b")
    play = started(made)
    assert play.machine.phase == "FAILED"
    assert play.machine.error.code == "SYSTEM:NothingToRun"


def test_what_the_engine_cannot_run_is_refused_with_every_reason():
    made = closure(workflow("w", [node("a", ONE, {"x": 1}), node("b", ONE)]), [])
    made.primary.template.nodes[3].ClearField("task_node")
    made.primary.template.nodes[3].gate_node.SetInParent()
    with pytest.raises(CompileFailed) as caught:
        plan_of(made)
    assert [(x.code, x.node_id) for x in caught.value.problems] == [
        ("TaskReferenceNotFound", "a"),
        ("NoConditionFound", "b"),
    ]
    assert "no signal, approval or duration" in str(caught.value)


def test_the_tables_can_be_drawn():
    assert "RUNNING --> SUCCEEDING" in mermaid(WORKFLOW_MOVES)
    for moves in (WORKFLOW_MOVES, ATTEMPT_MOVES, *NODE_MOVES.values()):
        assert set().union(*moves.values()) <= set(moves)


# Properties

ERRORS = [USER_ERROR, RECOVERABLE, SYSTEM_ERROR]


@st.composite
def workflows(draw, depth=0):
    """A random workflow: up to five nodes, each fed by some before, some of them sub-workflows."""
    nodes, subs = [], []
    for index in range(draw(st.integers(1, 5))):
        before = draw(st.sets(st.sampled_from([n.id for n in nodes]))) if nodes else set()
        if depth < 2 and draw(st.integers(0, 3)) == 0:
            inner, more = draw(workflows(depth=depth + 1))
            inner.template.id.name = f"w{depth}-{index}-{len(subs)}"
            subs += [*more, inner]
            nodes.append(node(f"n{index}", inner, after=before))
        elif draw(st.integers(0, 4)) == 0:
            nodes.append(gate(f"n{index}", f"signal-{depth}-{index}", after=before))
        else:
            nodes.append(node(f"n{index}", draw(st.sampled_from([ONE, TWICE])), after=before))
    handler = None
    if draw(st.booleans()):
        handler = node("fn0", draw(st.sampled_from([ONE, *(subs[-1:] if depth else [])])))
    return workflow("top", nodes, fail_after=draw(st.booleans()), on_failure=handler), subs


def rename(primary, subs):
    """Sub-workflows drawn apart may have equal names; give each its own."""
    seen = {}
    for number, sub in enumerate(subs):
        seen[sub.template.id.name] = number
    return closure(primary, [ONE, TWICE], list({s.template.id.name: s for s in subs}.values()))


MADE = "s://dynamic_compiled.pb"
MADE_PLAN = plan_of(
    closure(workflow("made", [node("dn0", ONE), node("dn1", TWICE, after=["dn0"])]), [ONE, TWICE])
)
MOST_NODES = 60


def fresh(plan) -> Machine:
    """A machine that has loaded what dynamic tasks make here."""
    machine = Machine(plan, "s://in")
    machine.made[MADE] = MADE_PLAN
    return machine


def step(play: Play, choose) -> None:
    """One enabled event, chosen."""
    machine = play.machine
    moves = []
    moves += [("queue", n) for n in machine.ready.values()]
    for n in machine.entering.values():
        if n.phase == "":
            moves.append(("queue", n))
        elif n.plan.kind == nodes.TASK_NODE:
            moves.append(("expand" if n.child is None else "finish", n))
            moves.append(("reject" if n.child is None else "give_up", n))
        else:
            passes = n.plan.kind in (nodes.END_KIND, nodes.GATE_NODE)
            moves.append(("finish" if passes else "enter", n))
            moves.append(("reject", n))
            if n.plan.kind == nodes.GATE_NODE:
                moves.append(("wait", n))
    for n in machine.gates.values():
        moves += [("finish", n), ("reject", n), ("time_out", n)]
    moves += [("attempt", n) for n in machine.startable.values()]
    for n in machine.live.values():
        if n.attempt_phase == phases.QUEUED:
            moves.append(("started", n))
        moves += [("succeeded", n), ("failed", n)]
        if len(machine.nodes) < MOST_NODES:
            moves.append(("made", n))
    moves += [("give_up", n) for n in machine.expanded.values() if choose(8) == 0]
    if machine.phase == "":
        moves.append(("begin", None))
    if machine.phase in ("", "RUNNING", "FAILING") and choose(12) == 0:
        moves = [("abort", None)]
    assert moves, "the machine has not ended, and nothing can be done"
    event, n = moves[choose(len(moves))]
    rest = {
        "begin": (),
        "abort": ("because",),
        "queue": ("s://in",),
        "finish": ("s://out",),
        "enter": (),
        "wait": (),
        "attempt": ("s://folder",),
        "started": (),
        "succeeded": ("s://out",),
        "expand": (MADE,),
    }
    if event == "made":
        play.do("succeeded", n, play.at(), "s://out", job_uri="s://folder/futures.pb")
        return
    arguments = rest.get(event) if event in rest else (ERRORS[choose(3)],)
    play.do(event, *([n] if n is not None else []), play.at(), *arguments)


def check(records, plan) -> None:
    """What holds for the records of every execution that has ended."""
    live: dict[str, int] = {}
    ended: set[str] = set()
    lost = Counter()
    for record in records:
        assert len(record) == len(record._fields), "a field of the record was left out"
        if isinstance(record, AttemptRecord):
            assert record.node_id not in ended
            if record.phase == phases.QUEUED:
                assert record.node_id not in live, "two live attempts of one node"
                live[record.node_id] = record.attempt
            elif record.phase != phases.RUNNING:
                assert live.pop(record.node_id) == record.attempt
            if record.phase == phases.FAILED:
                lost[record.node_id, record.error.origin] += 1
        elif isinstance(record, NodeRecord) and record.phase in phases.ENDED_NODE:
            assert record.node_id not in ended
            assert record.node_id not in live
            ended.add(record.node_id)
    assert not live
    assert all(count <= (4 if origin == SYSTEM else 3) for (_, origin), count in lost.items())
    assert [x.phase for x in records if isinstance(x, WorkflowRecord)][-1] in phases.ENDED_NODE
    last = {x.node_id: x.phase for x in records if isinstance(x, NodeRecord)}
    if records[-1].phase == "SUCCEEDED":
        # What one attempt at a dynamic task made may fail, and what the next one made succeed.
        inside = {x.node_id for x in records if isinstance(x, NodeRecord) and x.parent_id}
        assert {phase for id, phase in last.items() if id not in inside} == {"SUCCEEDED"}
    assert not {"QUEUED", "RUNNING", "DYNAMIC_RUNNING", "FAILING"} & set(last.values())


@settings(max_examples=150, deadline=None)
@given(workflows(), st.randoms(use_true_random=False))
def test_every_order_of_events_ends_and_keeps_the_rules(drawn, random):
    plan = plan_of(rename(*drawn))
    play = Play(fresh(plan))
    while not play.machine.is_terminal:
        step(play, random.randrange)
    check(play.records, plan)


@settings(max_examples=150, deadline=None)
@given(workflows(), st.randoms(use_true_random=False))
def test_records_replayed_give_the_same_machine(drawn, random):
    plan = plan_of(rename(*drawn))
    play = Play(fresh(plan))
    for _ in range(random.randrange(40)):
        if play.machine.is_terminal:
            break
        step(play, random.randrange)
    again = fresh(plan)
    for record in play.records:
        again.apply(r.from_plain(r.to_plain(record)))
    assert again.settle(play.now) == []
    assert again.compared() == play.machine.compared()


@settings(max_examples=150, deadline=None)
@given(workflows(), st.randoms(use_true_random=False))
def test_after_any_prefix_of_the_records_the_execution_can_go_on_to_an_end(drawn, random):
    plan = plan_of(rename(*drawn))
    play = Play(fresh(plan))
    while not play.machine.is_terminal:
        step(play, random.randrange)
    prefix = play.records[: random.randrange(len(play.records) + 1)]
    again = fresh(plan)
    for record in prefix:
        again.apply(record)
    second = Play(again, prefix)
    second.do("settle", second.at())
    while not again.is_terminal:
        step(second, random.randrange)
    check(second.records, plan)


PHASES = sorted({"", *WORKFLOW_MOVES, *NODE_MOVES[nodes.TASK_NODE]} - {""})


@settings(max_examples=200, deadline=None)
@given(workflows(), st.randoms(use_true_random=False))
def test_an_illegal_move_is_refused_and_changes_nothing(drawn, random):
    plan = plan_of(rename(*drawn))
    play = Play(fresh(plan))
    for _ in range(random.randrange(30)):
        if play.machine.is_terminal:
            break
        step(play, random.randrange)
    machine = play.machine
    for _ in range(20):
        phase = random.choice(PHASES)
        state = random.choice(list(machine.nodes.values()))
        record = random.choice(
            [
                WorkflowRecord(play.at(), phase, USER_ERROR),
                NodeRecord(play.at(), state.node_id, state.plan.id, phase, error=USER_ERROR),
                AttemptRecord(
                    play.at(), state.node_id, random.randrange(3), phase, ONE.id, error=USER_ERROR
                ),
                NodeRecord(play.at(), "nobody", "nobody", phase),
            ]
        )
        before = machine.compared()
        try:
            machine.apply(record)
        except IllegalMove:
            unchanged = machine.compared() == before
        else:
            return  # it was legal, and this machine is no longer one that we drove
        assert unchanged


# Records


def test_records_have_every_field_in_its_place():
    """They are made without their constructors, which would at least count the fields."""
    play = started(chain(1, ONE))
    play.move("n0")
    state = play.machine.nodes["n0"]
    assert node_record(
        state, 7, "P", input_uri="in", output_uri="out", error=USER_ERROR, cache_status="C"
    ) == NodeRecord(
        at_us=7,
        node_id="n0",
        spec_node_id=state.plan.id,
        phase="P",
        name=state.plan.name,
        kind=state.plan.kind,
        parent_id="",
        input_uri="in",
        output_uri="out",
        error=USER_ERROR,
        cache_status="C",
        is_parent=False,
        child_execution=None,
        branch=-1,
        deck_uri="",
    )
    made = attempt_record(
        state,
        7,
        "P",
        attempt=3,
        output_uri="out",
        error=USER_ERROR,
        logs=(("log", "uri"),),
        reason="why",
        cpu_s=1.5,
        max_rss_bytes=2,
        pid=4,
        cache_status="C",
    )
    assert made == AttemptRecord(
        at_us=7,
        node_id="n0",
        attempt=3,
        phase="P",
        task_id=state.plan.task_id,
        phase_version=0,
        input_uri=state.input_uri,
        output_uri="out",
        error=USER_ERROR,
        logs=(("log", "uri"),),
        reason="why",
        cpu_s=1.5,
        max_rss_bytes=2,
        pid=4,
        task_type=state.plan.task.type,
        cache_status="C",
    )
