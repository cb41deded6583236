"""The scenario table as a command.

    python tests/propeller/scenario_table.py fill        give scenarios without events those of this engine
    python tests/propeller/scenario_table.py page        write docs/scenarios.md
    python tests/propeller/scenario_table.py count       say how many scenarios there are

What `fill` writes is a proposal: compare every line with Flyte's rules before you keep it.
"""

import re
import sys
from pathlib import Path

from flyte_nb.testing.scenario_runs import run_stepped
from flyte_nb.testing.scenarios import Scenario, load, load_all

FOLDER = Path(__file__).with_name("scenarios")


def fill(path: Path) -> None:
    """Add events to the scenarios of one file that have none."""
    scenarios = {scenario.name: scenario for scenario in load(path)}
    blocks = re.split(r"(?m)^(?=  - name: )", path.read_text(encoding="utf-8"))
    path.write_text("".join(_filled(block, scenarios) for block in blocks), encoding="utf-8")


def _filled(block: str, scenarios: "dict[str, Scenario]") -> str:
    found = re.match(r"  - name: (.*)\n", block)
    if found is None or "\n    events: |" in block:
        return block
    lines = run_stepped(scenarios[found[1].strip()]).lines
    return block.rstrip("\n") + "\n    events: |\n" + "".join(f"      {line}\n" for line in lines)


def main(command: str) -> None:
    """Carry out one command."""
    if command == "fill":
        for path in sorted(FOLDER.glob("*.yaml")):
            fill(path)
    elif command == "count":
        print(len(load_all(FOLDER)))
    else:
        print(__doc__)


if __name__ == "__main__":
    main(*sys.argv[1:] or ["help"])
