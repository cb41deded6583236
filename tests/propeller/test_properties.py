"""What holds for every workflow and every order of events; hypothesis looks for one for which it does not.

`Simulation.run` checks that an execution ends once, that no node runs before its inputs or ends twice, and
that parallelism stays below its limit.
"""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flyte_nb.testing.random_scenarios import random_scenario
from flyte_nb.testing.simulation import CRASHES, NONE, Faults, Simulation

SEEDS = st.integers(10_000, 2**31)
SHARES = st.sampled_from([0.0, 0.01, 0.1, 0.3])
FEW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@FEW
@given(SEEDS, st.builds(Faults, SHARES, SHARES, SHARES, SHARES, SHARES))
def test_whatever_fails_every_execution_ends_and_keeps_the_rules(seed, faults):
    Simulation(random_scenario(seed), seed, faults).run()


@FEW
@given(SEEDS, st.integers(1, 60))
def test_an_abort_at_any_step_ends_an_execution(seed, step):
    scenario = random_scenario(seed, timeless=True)
    usual = Simulation(scenario, seed, NONE).run().phase
    assert Simulation(scenario, seed, NONE, abort_at=step).run().phase in ("ABORTED", usual)


@FEW
@given(SEEDS, st.data())
def test_a_crash_at_any_call_changes_nothing(seed, data):
    scenario = random_scenario(seed, timeless=True)
    plain = Simulation(scenario, seed, crash_at=0)
    expected = plain.run()
    call = data.draw(st.integers(1, max(1, plain.world.calls)))
    sign = data.draw(st.sampled_from([-1, 1]))
    assert Simulation(scenario, seed, crash_at=sign * call).run() == expected


@FEW
@given(SEEDS)
def test_the_order_of_ends_and_crashes_does_not_decide_how_an_execution_ends(seed):
    scenario = random_scenario(seed, timeless=True)
    expected = Simulation(scenario, 1, NONE).run()
    assert Simulation(scenario, 2, CRASHES).run() == expected
