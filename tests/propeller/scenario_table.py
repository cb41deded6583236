"""The scenario table as a command.

    python tests/propeller/scenario_table.py fill        give scenarios without events those of this engine
    python tests/propeller/scenario_table.py page        write docs/scenarios.md
    python tests/propeller/scenario_table.py count       say how many scenarios there are

What `fill` writes is a proposal: compare every line with Flyte's rules before you keep it.
"""

import re
import sys
from pathlib import Path

import yaml

from flyte_nb.testing.scenario_runs import run_stepped
from flyte_nb.testing.scenarios import Scenario, load, load_all

FOLDER = Path(__file__).with_name("scenarios")
PAGE = Path(__file__).parents[2] / "docs" / "scenarios.md"


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


def page() -> str:
    """Return the index of all scenarios, in Markdown."""
    parts = [_INTRODUCTION.format(count=len(load_all(FOLDER)))]
    for path in sorted(FOLDER.glob("*.yaml")):
        file = yaml.safe_load(path.read_text(encoding="utf-8"))
        about = " ".join(str(file.get("about", "")).split())
        link = f"[{path.name}](../tests/propeller/scenarios/{path.name})"
        parts.append(f"\n## {file['title']}\n\n{about} {link}\n\n")
        parts += [_entry(scenario) for scenario in load(path)]
    return "".join(parts)


def _entry(scenario: Scenario) -> str:
    last = scenario.events[-1].partition(":")[0]
    differs = " ".join(str(scenario.plain.get("differs", "")).split())
    return (
        f"- {scenario.name}: {last}"
        + (f". Differs on purpose: {differs}" if differs else "")
        + "\n"
    )


_INTRODUCTION = """\
# What the engine does: {count} scenarios

Written by `python tests/propeller/scenario_table.py page`; do not edit it. A scenario is a workflow, how its
attempts end, and the exact events that FlytePropeller v1.16.8 sends for it, as lines
(`flyte_nb/testing/event_lines.py`). They follow from Flyte's rules and Go source.

`tests/propeller/test_scenarios.py` runs each stepped, most in process and over real processes too, with equal
events. `tests/admin/test_events.py` sends them to FlyteAdmin's event RPCs, where the same rows come out.
Nodes that do not depend on each other may run in any order, so where attempts really run, the lines of each
node and of each attempt are compared apart.

Where this engine differs from FlytePropeller on purpose:

- A catalog that cannot be asked has no result. FlytePropeller tries again until the node fails.
- A node's time is counted from its first start, and not from when it was queued.
- A node that timed out keeps its error's text.
- A task that does not write an output fails itself, where FlytePropeller notices it later.
- A branch whose node timed out keeps `Timeout`, where FlytePropeller says `Unknown error message`.
- An attempt that was never started is not reported as ABORTED.
"""


def main(command: str) -> None:
    """Carry out one command."""
    if command == "fill":
        for path in sorted(FOLDER.glob("*.yaml")):
            fill(path)
    elif command == "page":
        PAGE.write_text(page(), encoding="utf-8")
    elif command == "count":
        print(len(load_all(FOLDER)))
    else:
        print(__doc__)


if __name__ == "__main__":
    main(*sys.argv[1:] or ["help"])
