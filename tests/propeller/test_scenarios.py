"""Every scenario gives the events that FlytePropeller gives for it, whatever runs its attempts."""

import re
import runpy
from pathlib import Path

import pytest

from flyte_nb.propeller.executors.process import ProcessExecutor
from flyte_nb.storage import open_stores
from flyte_nb.testing.closures import integers
from flyte_nb.testing.event_lines import by_subject
from flyte_nb.testing.scenario_executors import run_inline, run_processes
from flyte_nb.testing.scenario_runs import run_stepped
from flyte_nb.testing.scenarios import load_all
from flyte_nb.types.registry import Registry

SCENARIOS = load_all(Path(__file__).with_name("scenarios"))


def _id(scenario):
    return f"{scenario.file}: {scenario.name}"


def _selected(condition):
    return pytest.mark.parametrize("scenario", [x for x in SCENARIOS if condition(x)], ids=_id)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=_id)
def test_the_engine_gives_the_events_of_the_scenario(scenario):
    ran = run_stepped(scenario)
    assert ran.lines == scenario.events
    assert ran.outputs == integers(**scenario.outputs)


def test_names_of_scenarios_are_unique():
    names = [scenario.name for scenario in SCENARIOS]
    assert len(names) == len(set(names))


def test_the_page_of_scenarios_is_up_to_date():
    # If this fails: python tests/propeller/scenario_table.py page
    command = runpy.run_path(str(Path(__file__).with_name("scenario_table.py")))
    assert command["PAGE"].read_text(encoding="utf-8") == command["page"]()


def _for_processes(scenario):
    # Gates run no process, and the time that most of them wait is not that of a test. Our processes are
    # asked for every output, so one that left some out fails itself.
    if scenario.file in ("gates", "launch_plans") or scenario.races:
        return False
    return scenario.every_word.isdisjoint({"unstartable", "half", "makes"})


@_selected(_for_processes)
def test_processes_give_the_same_events(scenario, tmp_path):
    def executor(folder, slots):
        return ProcessExecutor(folder, open_stores(), slots=slots, grace_s=0.2)

    ran = run_processes(scenario, tmp_path, executor)
    assert by_subject(ran.lines) == by_subject(scenario.events)
    assert ran.outputs == integers(**scenario.outputs)


def _for_functions(scenario):
    if scenario.actions or scenario.races or scenario.file in ("gates", "launch_plans"):
        return False
    # A function does not know which element of a map it is called for.
    if any(map(scenario.words_of_elements, scenario.plain["tasks"])):
        return False
    return scenario.every_word <= {"ok", "fail", "fail!", "hang"}


def _without_texts(lines):
    """What differs when a function raises: the code and text of its error, and that nothing is queued."""
    error = re.compile(r"(USER|SYSTEM|UNKNOWN) (RetriesExhausted\|)?(USER:|: ).*", re.DOTALL)
    queued = re.compile(r"\](\.\d+(\[\d+\])?)? QUEUED$")
    return by_subject([error.sub(r"\1 \2…", x) for x in lines if not queued.search(x)])


@_selected(_for_functions)
def test_functions_in_this_process_give_the_same_events(scenario):
    ran = run_inline(scenario, Registry())
    assert _without_texts(ran.lines) == _without_texts(scenario.events)
    assert ran.outputs == integers(**scenario.outputs)
