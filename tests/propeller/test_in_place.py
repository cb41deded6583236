"""Tasks that are called in place: the same state, values and failures as by the way of all executions."""

import pytest

from flyte_nb import task
from flyte_nb.api import phases
from flyte_nb.propeller.machine import Machine
from flyte_nb.propeller.plan import plan_of
from flyte_nb.propeller.rules import IllegalMove
from flyte_nb.propeller.run import LocalSettings, run_local
from flyte_nb.testing import closures
from flyte_nb.testing.closures import chain, closure, integer, integers, node
from flyte_nb.types.registry import default_registry
from flyte_nb.wire.identifiers import identifier_from_idl

ADD = closures.task("add", ["x"])
NOW = 1_000_000


@task
def add(x: int) -> int:
    return x + 1


def begun(made):
    machine = Machine(plan_of(made), "in")
    machine.begin(NOW)
    return machine


def test_the_state_after_the_move_is_that_after_the_records():
    one, other = begun(chain(3, ADD)), begun(chain(3, ADD))
    for name in ("n0", "n1", "n2"):
        node_ = one.nodes[name]
        one.passes_in_place(node_, NOW, f"{name}/in", f"{name}/0/out")
        one.settle(NOW)
        same = other.nodes[name]
        other.queue(same, NOW, f"{name}/in", cache_status="CACHE_DISABLED")
        other.attempt(same, NOW, f"{name}/0", phases.RUNNING)
        other.succeeded(same, NOW, f"{name}/0/out")
        assert one.compared() == other.compared()


def test_the_state_after_a_hit_is_that_after_the_record():
    one, other = begun(chain(2, ADD)), begun(chain(2, ADD))
    for name in ("n0", "n1"):
        one.hits_in_place(one.nodes[name], f"{name}/in", f"{name}/out")
        one.settle(NOW)
        other.hit(other.nodes[name], NOW, f"{name}/out", input_uri=f"{name}/in", cache_key="k")
        assert one.compared() == other.compared()


def test_only_a_ready_task_can_pass_and_a_refusal_changes_nothing():
    machine = begun(chain(2, ADD))
    before = machine.compared()
    for name in ("n1", "start-node", "end-node"):
        with pytest.raises(IllegalMove):
            machine.passes_in_place(machine.nodes[name], NOW, "in", "out")
        assert machine.compared() == before


def counted(monkeypatch):
    """Count the tasks that pass in place."""
    passed = []
    original = Machine.passes_in_place

    def passes(self, node_, *rest):
        passed.append(node_.node_id)
        return original(self, node_, *rest)

    monkeypatch.setattr(Machine, "passes_in_place", passes)
    return passed


def run(made, inputs=None, tasks=None, **options):
    tasks = tasks or {identifier_from_idl(ADD.id): add}
    return run_local(made, inputs or integers(), tasks, default_registry(), **options)


def test_a_chain_passes_in_place_unless_somebody_watches(monkeypatch):
    passed = counted(monkeypatch)
    assert integer(run(chain(5, ADD), integers(x=1))) == 6
    assert passed == [f"n{number}" for number in range(5)]
    passed.clear()
    assert integer(run(chain(5, ADD), integers(x=1), on_records=lambda records: None)) == 6
    assert passed == []


def test_before_and_after_a_sub_workflow_too(monkeypatch):
    passed = counted(monkeypatch)
    inner = closures.workflow("inner", [node("n0", ADD, {"x": ".x"})], {"o0": "n0"}, inputs=["x"])
    nodes = [
        node("n0", ADD, {"x": 1}),
        node("n1", inner, {"x": "n0"}),
        node("n2", ADD, {"x": "n1"}),
        node("n3", ADD, {"x": "n2"}),
    ]
    made = closure(closures.workflow("w", nodes, {"o0": "n3"}), [ADD], [inner])
    assert integer(run(made)) == 5
    assert passed == ["n0", "n3"]


def test_branches_pass_in_place_one_after_the_other_only_with_one_slot(monkeypatch):
    passed = counted(monkeypatch)
    nodes = [node(f"n{number}", ADD, {"x": number}) for number in range(3)]
    made = closure(closures.workflow("w", nodes, {"o0": "n2"}), [ADD])
    assert integer(run(made, settings=LocalSettings(slots=1))) == 3
    assert passed == ["n0", "n1", "n2"]
    passed.clear()
    assert integer(run(made, settings=LocalSettings(slots=2))) == 3
    assert "n0" not in passed


def test_values_that_are_no_scalars_are_copied_between_tasks(monkeypatch):
    seen = []

    @task
    def made_list(x: int) -> list[int]:
        return [x]

    @task
    def spoil(x: list[int]) -> int:
        seen.append(list(x))
        x.append(9)
        return len(x)

    template = closures.task("made_list", ["x"])
    template.interface.outputs.variables["o0"].type.collection_type.simple = 1
    taker = closures.task("spoil", ["x"])
    nodes = [
        node("n0", template, {"x": 1}),
        node("n1", taker, {"x": "n0"}),
        node("n2", taker, {"x": "n0"}, after=["n1"]),
    ]
    made = closure(closures.workflow("w", nodes, {"o0": "n2"}), [template, taker])
    tasks = {identifier_from_idl(template.id): made_list, identifier_from_idl(taker.id): spoil}
    assert integer(run(made, tasks=tasks)) == 2
    assert seen == [[1], [1]]


def test_a_failure_goes_on_by_the_way_of_all_executions_and_no_task_is_called_twice_for_it():
    calls = []

    @task
    def fails(x: int) -> int:
        calls.append(x)
        raise ValueError("no")

    template = closures.task("fails", ["x"], retries=2)
    made = closure(closures.workflow("w", [node("n0", template, {"x": 7})]), [template])
    with pytest.raises(ValueError, match="no"):
        run(made, tasks={identifier_from_idl(template.id): fails})
    assert calls == [7]
