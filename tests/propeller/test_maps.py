"""Array nodes in the machine: what elements do, and what clients are given of them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flyte_nb.api.errors import SYSTEM, USER, ErrorInfo
from flyte_nb.propeller.elements import summary
from flyte_nb.propeller.machine import IllegalMove, Machine
from flyte_nb.propeller.maps import size_of
from flyte_nb.propeller.node_ids import check_node_ids
from flyte_nb.propeller.plan import ArrayPlan, plan_of
from flyte_nb.propeller.records import ElementRecord, NodeRecord, from_plain, to_plain
from flyte_nb.propeller.waits import Limits, waits_of
from flyte_nb.testing.closures import closure, map_node, task, workflow

USER_ERROR = ErrorInfo("USER:ValueError", "no", USER)
RECOVERABLE = ErrorInfo("USER:Recoverable", "again", USER, True)
LOST = ErrorInfo("SYSTEM:Lost", "lost", SYSTEM, True)


class Play:
    """Plays the driver of a workflow with one map, and keeps every record."""

    def __init__(self, size, *, retries=0, **options) -> None:
        one = task("one", ["x"], retries=retries)
        self.plan = plan_of(
            closure(workflow("w", [map_node("n0", one, {"x": [1] * size}, **options)]), [one])
        )
        self.machine = Machine(self.plan)
        self.records = []
        self.now = 0
        self.do("begin", self.at())
        self.do("queue", self.node, self.at(), "s://inputs")
        self.do("unfold", self.node, self.at(), size)

    @property
    def node(self):
        return self.machine.nodes["n0"]

    @property
    def elements(self):
        return self.node.child

    def at(self):
        self.now += 1
        return self.now

    def do(self, event, *arguments, **options):
        made = getattr(self.machine, event)(*arguments, **options)
        self.records += made
        return made

    def begin(self, indices):
        self.do("elements", self.node, self.at(), "QUEUED", indices)
        for index in indices:
            self.do("started", self.machine.nodes[f"n0-n{index}"], self.at())

    def end(self, index, error=None):
        element = self.machine.nodes[f"n0-n{index}"]
        if error is None:
            return self.do("succeeded", element, self.at(), "")
        return self.do("failed", element, self.at(), error)

    def phases(self):
        return [
            record.phase
            for record in self.records
            if isinstance(record, NodeRecord) and record.node_id == "n0"
        ]

    def replayed(self):
        machine = Machine(self.plan)
        for record in self.records:
            machine.apply(from_plain(to_plain(record)))
        machine.settle(self.now)
        return machine


def test_a_map_succeeds_when_its_outputs_are_collected():
    play = Play(3)
    play.begin(range(3))
    assert list(play.machine.live) == ["n0-n0", "n0-n1", "n0-n2"]
    for index in (2, 0, 1):
        assert not play.machine.gathering
        play.end(index)
    assert list(play.machine.gathering) == ["n0"]
    play.do("gathered", play.node, play.at(), "s://outputs")
    assert play.phases() == ["QUEUED", "RUNNING", "SUCCEEDED"]


def test_a_map_over_an_empty_list_has_its_outputs_at_once():
    play = Play(0)
    assert list(play.machine.gathering) == ["n0"]
    assert not play.machine.arrays


def test_no_more_elements_run_than_the_author_allows():
    play = Play(5, parallelism=2)
    assert play.elements.room == 2
    play.begin(range(2))
    assert play.elements.room == 0
    play.end(0)
    assert play.elements.room == 1


def test_elements_that_fail_are_retried_as_tasks_are_and_keep_their_place():
    play = Play(2, retries=1, parallelism=1)
    play.begin(range(1))
    play.end(0, RECOVERABLE)
    assert list(play.machine.startable) == ["n0-n0"]
    assert play.elements.room == 0
    element = play.machine.nodes["n0-n0"]
    play.do("attempt", element, play.at(), "")
    play.end(0, RECOVERABLE)
    assert play.phases() == ["QUEUED", "RUNNING", "FAILED"]
    assert play.node.error == ErrorInfo(
        "", "[0]: [2/2] currentAttempt done. Last Error: USER::again\n"
    )


def test_a_failure_by_the_system_does_not_use_up_the_retries_of_an_element():
    play = Play(1)
    play.begin(range(1))
    play.end(0, LOST)
    assert list(play.machine.startable) == ["n0-n0"]


def test_a_map_that_can_no_longer_succeed_ends_what_runs_of_it_first():
    play = Play(4)
    play.begin(range(3))
    play.end(1, USER_ERROR)
    assert play.phases()[-1] == "FAILING"
    assert {node.node_id for node in play.machine.doomed()} == {"n0-n0", "n0-n2"}
    assert not play.machine.arrays
    play.end(0, LOST)
    play.end(2)
    assert play.phases()[-1] == "FAILED"
    ends = [
        (record.first, record.phase, record.error and record.error.code)
        for record in play.records
        if isinstance(record, ElementRecord) and record.phase not in ("QUEUED", "RUNNING")
    ]
    assert ends[1:] == [
        (1, "FAILED", "USER:ValueError"),
        (0, "ABORTED", "TaskAborted"),
        (2, "SUCCEEDED", None),
    ]


@pytest.mark.parametrize(
    ("options", "failures", "succeeds"),
    [
        ({"min_success_ratio": 0.5}, 2, True),
        ({"min_success_ratio": 0.5}, 3, False),
        ({"min_successes": 1}, 3, True),
        ({"min_successes": 1}, 4, False),
        ({"min_successes": 0}, 4, True),
    ],
)
def test_a_map_succeeds_with_as_many_successes_as_its_author_asked_for(options, failures, succeeds):
    play = Play(4, **options)
    play.begin(range(4))
    for index in range(4):
        if f"n0-n{index}" in play.machine.nodes:
            play.end(index, USER_ERROR if index < failures else None)
    assert ("n0" in play.machine.gathering) is succeeds
    assert (play.phases()[-1] == "FAILED") is not succeeds


def test_more_successes_than_elements_are_reported_as_propeller_reports_them():
    play = Play(2, min_successes=3)
    assert play.phases()[-1] == "FAILED"
    assert play.node.error == ErrorInfo("ArrayNodeFailing", "Unknown reason")


def test_all_elements_run_when_the_author_wants_that_although_the_map_has_failed():
    play = Play(3, run_all_sub_nodes=True)
    play.begin(range(2))
    play.end(0, USER_ERROR)
    assert play.phases()[-1] == "RUNNING"
    play.end(1)
    play.begin(range(2, 3))
    play.end(2)
    assert play.phases()[-1] == "FAILED"


def test_an_abort_ends_elements_from_the_inside_out():
    play = Play(3, retries=2)
    play.begin(range(2))
    play.end(0, RECOVERABLE)  # it waits for another attempt
    play.do("abort", play.at(), "enough")
    assert [node.node_id for node in play.machine.doomed()] == ["n0-n1"]
    assert not play.machine.startable
    play.end(1, LOST)
    assert play.phases()[-1] == "ABORTED"
    assert play.machine.is_terminal


def test_cached_elements_end_together_in_one_record():
    play = Play(1000)
    play.do("elements", play.node, play.at(), "SUCCEEDED", range(1000), "CACHE_HIT")
    assert list(play.machine.gathering) == ["n0"]
    assert len(play.records) < 10


@pytest.mark.parametrize(
    "record",
    [
        ElementRecord(9, "n0", "QUEUED", 2, 2),
        ElementRecord(9, "n0", "QUEUED", -1),
        ElementRecord(9, "n0", "QUEUED", 0, 0),
        ElementRecord(9, "n0", "QUEUED", 2, 1, 1),
        ElementRecord(9, "n0", "QUEUED", 0),
        ElementRecord(9, "n0", "FAILED", 0, 3, 0, USER_ERROR),
        ElementRecord(9, "n0", "RUNNING", 1, 2),
        ElementRecord(9, "n0", "UNDEFINED", 0, 3),
        ElementRecord(9, "start-node", "QUEUED", 0),
        ElementRecord(9, "n9", "QUEUED", 0),
    ],
)
def test_a_record_that_does_not_fit_is_refused_and_changes_nothing(record):
    play = Play(3)
    play.begin(range(2))
    play.end(1)
    before = play.machine.compared()
    with pytest.raises(IllegalMove):
        play.machine.apply(record)
    assert play.machine.compared() == before


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_whatever_happens_to_elements_a_replay_gives_the_same_state(data):
    size = data.draw(st.integers(1, 6))
    play = Play(
        size,
        retries=data.draw(st.integers(0, 2)),
        parallelism=data.draw(st.integers(0, 3)),
        min_successes=data.draw(st.one_of(st.none(), st.integers(0, size))),
    )
    for _ in range(100):
        machine = play.machine
        if (
            machine.is_terminal
            or machine.gathering
            or play.node.phase not in ("RUNNING", "FAILING")
        ):
            break
        run = play.elements
        assert not run.array.parallelism or run.open <= run.array.parallelism
        able = []
        fresh = next(iter(run.fresh()), None) if machine.arrays else None
        if fresh is not None and run.room > 0:
            able.append("begin")
        able += ["end"] * len(machine.live) + ["retry"] * len(machine.startable)
        what = data.draw(st.sampled_from(able))
        if what == "begin":
            play.begin(range(fresh, fresh + 1))
        elif what == "retry":
            play.do("attempt", next(iter(machine.startable.values())), play.at(), "")
        else:
            node = data.draw(st.sampled_from(list(machine.live.values())))
            error = data.draw(st.sampled_from([None, USER_ERROR, RECOVERABLE, LOST]))
            play.end(node.element, error)
        assert play.replayed().compared() == machine.compared()
    assert play.machine.gathering or play.node.phase == "FAILED"


def test_errors_of_elements_are_summed_up_as_propeller_sums_them_up():
    errors = {0: "duplicate message", 1: "duplicate message", 2: "unique message"}
    errors[3] = "duplicate message"
    whole = "[0-1][3]: duplicate message\n[2]: unique message\n"
    assert summary(errors) == whole
    assert summary(errors, 30) == "[0-1][3]: duplicate message\n... and many more."


def test_lists_of_different_lengths_are_refused_in_the_words_of_propeller(lists):
    plan = ArrayPlan(element=None, bound=frozenset({"b"}))
    assert size_of(plan, lists(a=2, c=2, b=7)) == 2
    assert size_of(plan, lists(a=2, c=3)) == ErrorInfo(
        "InvalidArrayLength", "input arrays have different lengths: expecting '2' found '3'", USER
    )
    assert size_of(plan, lists(a=None, c=None)) == ErrorInfo(
        "InvalidArrayLength", "no input array provided", USER
    )
    assert size_of(plan, lists(b=3)) == 1


@pytest.fixture
def lists():
    from flyteidl.core.literals_pb2 import LiteralMap

    def make(**lengths):
        made = LiteralMap()
        for name, length in lengths.items():
            if length is None:
                made.literals[name].scalar.primitive.integer = 1
                continue
            made.literals[name].collection.SetInParent()
            for _ in range(length):
                made.literals[name].collection.literals.add().scalar.primitive.integer = 1
        return made

    return make


def test_the_node_that_a_map_runs_may_have_any_id():
    one = task("one", ["x"])
    map_of_one = map_node("n0", one, {"x": [1]})
    # SDKs give it the name of the task. Its elements are called n0, n1, … at run time.
    map_of_one.array_node.node.id = "nb.map_one_d41d8cd9-arraynode"
    check_node_ids(closure(workflow("w", [map_of_one]), [one]))


def limits(**changed):
    usual = Limits(25, slots=2, owners={}, announced=(), lacking={}, is_store_away=False)
    return usual._replace(**changed)


def test_a_map_says_what_its_elements_wait_for():
    play = Play(5, parallelism=2)
    play.begin(range(1))
    [(node_id, wait)] = waits_of(play.machine, limits()).items()
    assert (node_id, wait.kind) == ("n0", "slot")
    assert wait.text.endswith("; 4 of its 5 elements have not begun")
    play.begin(range(1, 2))
    wait = waits_of(play.machine, limits())["n0"]
    assert wait.kind == "parallelism"
    assert wait.text == "one of 2 elements to end (concurrency); 3 of its 5 elements have not begun"
    play.end(0)
    play.elements.candidate(2)
    wait = waits_of(play.machine, limits(owners={"n0-n2": None}))["n0"]
    assert wait.kind == "reservation"


def test_a_map_whose_elements_have_all_begun_waits_for_nothing():
    play = Play(2)
    play.begin(range(2))
    assert waits_of(play.machine, limits()) == {}


def test_a_map_whose_node_has_a_timeout_ends_what_runs_of_it():
    play = Play(3)
    play.begin(range(2))
    error = ErrorInfo("RetriesExhausted|TimeoutExpired", "late", USER)
    play.do("map_failed", play.node, play.at(), error)
    assert play.phases()[-1] == "FAILING"
    play.end(0, LOST)
    play.end(1, LOST)
    assert play.phases()[-1] == "FAILED"
    assert play.node.error == error
