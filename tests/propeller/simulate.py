"""Run the simulation of the engine for many seeds.

    python tests/propeller/simulate.py --seeds 10000            random workflows and random faults
    python tests/propeller/simulate.py --seeds 1 --first 4711   one seed again, with its workflow
    python tests/propeller/simulate.py --crashes                every scenario, with a crash at every call

A seed that fails is printed, with what happened, and the command ends with status 1.
"""

import argparse
import logging
import sys
import time
import traceback
from collections import Counter
from pathlib import Path

import yaml

from flyte_nb.testing.random_scenarios import random_scenario
from flyte_nb.testing.scenarios import load_all
from flyte_nb.testing.simulation import Simulation

SCENARIOS = Path(__file__).with_name("scenarios")


def seeds(first: int, number: int) -> int:
    """Simulate so many seeds; return how many failed."""
    ends: Counter[str] = Counter()
    crashes = failed = 0
    began = time.monotonic()
    for seed in range(first, first + number):
        scenario = random_scenario(seed)
        simulation = Simulation(scenario, seed)
        try:
            ends[simulation.run().phase] += 1
        except Exception:
            failed += 1
            print(f"seed {seed}:\n{yaml.dump(scenario.plain)}\n{traceback.format_exc()}")
        crashes += simulation.world.crashes
    took = time.monotonic() - began
    text = ", ".join(f"{count} {phase}" for phase, count in sorted(ends.items()))
    print(f"{number} seeds in {took:.0f} s: {text}; {crashes} crashes; {failed} failed")
    return failed


def crashes() -> int:
    """Run every scenario with a crash before and after every call of a port; return how many failed."""
    failed = runs = 0
    for scenario in load_all(SCENARIOS):
        if scenario.actions:
            continue
        plain = Simulation(scenario, 0, crash_at=0)
        expected = plain.run()
        for call in range(1, plain.world.calls + 1):
            for crash_at in (-call, call):
                runs += 1
                try:
                    found = Simulation(scenario, 0, crash_at=crash_at).run()
                    assert found == expected, f"{found} instead of {expected}"
                except Exception:
                    failed += 1
                    print(f"{scenario.name}, call {crash_at}:\n{traceback.format_exc()}")
    print(f"{runs} crashes; {failed} failed")
    return failed


def main() -> int:
    """Carry out the command; return its status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--crashes", action="store_true")
    chosen = parser.parse_args()
    logging.disable(logging.ERROR)  # the engine says what failed, and much fails here
    return 1 if (crashes() if chosen.crashes else seeds(chosen.first, chosen.seeds)) else 0


if __name__ == "__main__":
    sys.exit(main())
