"""Every scenario gives the events that FlytePropeller gives for it."""

from pathlib import Path

import pytest

from flyte_nb.testing.closures import integers
from flyte_nb.testing.scenario_runs import run_stepped
from flyte_nb.testing.scenarios import load_all

SCENARIOS = load_all(Path(__file__).with_name("scenarios"))


def _id(scenario):
    return f"{scenario.file}: {scenario.name}"


@pytest.mark.parametrize("scenario", SCENARIOS, ids=_id)
def test_the_engine_gives_the_events_of_the_scenario(scenario):
    ran = run_stepped(scenario)
    assert ran.lines == scenario.events
    assert ran.outputs == integers(**scenario.outputs)


def test_names_of_scenarios_are_unique():
    names = [scenario.name for scenario in SCENARIOS]
    assert len(names) == len(set(names))
