"""Bugs of Flyte that must not be bugs here, each by the number of its issue in flyteorg/flyte."""

from pathlib import Path

import pytest

from flyte_nb.testing.scenarios import load_all
from flyte_nb.testing.simulation import CRASHES, NONE, Faults, Simulation

SCENARIOS = {each.name: each for each in load_all(Path(__file__).with_name("scenarios"))}
SOME = [each for each in SCENARIOS.values() if not each.actions and not each.races]


def ended_alone(scenario):
    return Simulation(scenario, 0, NONE).run().phase


@pytest.mark.parametrize("step", range(1, 16, 2))
def test_280_an_abort_at_any_moment_ends_the_execution(step):
    for scenario in SOME[::6]:
        found = Simulation(scenario, step, NONE, abort_at=step).run().phase
        assert found in ("ABORTED", ended_alone(scenario)), scenario.name


@pytest.mark.parametrize("step", range(1, 16, 3))
def test_280_an_abort_ends_the_execution_also_when_the_backend_dies_meanwhile(step):
    for scenario in SOME[::9]:
        for seed in range(3):
            found = Simulation(scenario, seed, CRASHES, abort_at=step).run().phase
            assert found in ("ABORTED", ended_alone(scenario)), (scenario.name, seed)


def child_of_endless():
    """A launch plan node whose execution ends only when it is aborted."""
    found = SCENARIOS["a launch plan"]
    inner = {"takes": ["x"], "nodes": {"m0": "endless(x=.x)"}, "outputs": {"o0": "m0"}}
    plain = {
        **found.plain,
        "tasks": {"endless": "hang", "one": "ok"},
        "workflows": {"inner": inner},
    }
    return found._replace(plain=plain)


@pytest.mark.parametrize("step", range(1, 25))
@pytest.mark.parametrize("faults", [NONE, CRASHES], ids=["alone", "with crashes"])
def test_5786_a_child_ends_with_its_parent_that_is_aborted_while_it_starts(step, faults):
    simulation = Simulation(child_of_endless(), step, faults, abort_at=step)
    assert simulation.run().phase == "ABORTED"  # `run` waits until the children have ended, too
    for id in simulation.children.launches:
        history = simulation.world.recorder.history(id)
        assert not history or history[-1].phase == "ABORTED", id


def test_6556_nothing_starts_before_its_record_is_stored():
    # The recorder refuses half of its calls. `invariants.check_start` looks at every start.
    for seed in range(60):
        scenario = SOME[seed % len(SOME)]
        Simulation(scenario, seed, Faults(0.0, 0.5, 0.0, 0.0, 0.0, most=200)).run()
