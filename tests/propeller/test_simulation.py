"""The engine in simulated worlds: random workflows and faults, and crashes at every call."""

import pytest

from flyte_nb.testing.random_scenarios import random_scenario
from flyte_nb.testing.simulation import CRASHES, NONE, Simulation

TEN = 10


@pytest.mark.parametrize("first", range(0, 200, TEN))
def test_every_execution_ends_and_keeps_the_rules_whatever_fails(first):
    for seed in range(first, first + TEN):
        Simulation(random_scenario(seed), seed).run()


@pytest.mark.parametrize("first", range(0, 100, TEN))
def test_crashes_do_not_change_how_an_execution_ends(first):
    for seed in range(first, first + TEN):
        scenario = random_scenario(seed, timeless=True)
        expected = Simulation(scenario, seed, NONE).run()
        assert Simulation(scenario, seed, CRASHES).run() == expected, scenario.plain


def test_a_seed_gives_the_same_run_again():
    one, two = (Simulation(random_scenario(5), 5) for _ in range(2))
    assert one.run() == two.run()
    assert one.world.trace == two.world.trace
    assert one.world.trace


def test_faults_come():
    simulations = [Simulation(random_scenario(seed), seed) for seed in range(30)]
    for simulation in simulations:
        simulation.run()
    kinds = {line.partition(" ")[0] for each in simulations for line in each.world.trace}
    assert {"crash", "twice", "signals"} <= kinds
    assert sum(each.world.crashes for each in simulations) > 20
