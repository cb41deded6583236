"""Make random scenarios: workflows of every kind of node, with tasks that fail, hang and are retried.

A scenario is plain data, so one that shows a fault can be written to a file, cut down, and kept.
"""

import random

from flyte_nb.testing.scenarios import Scenario

_MOST_NODES = 5
_MOST_DEPTH = 2

_POLICY = "fail after executable nodes complete"


def random_scenario(seed: int, *, timeless: bool = False) -> Scenario:
    """Return the scenario of that seed; it is the same in every process.

    Args:
        seed: Decides everything.
        timeless: Whether nothing in it depends on how long things take, or on what ends first.
    """
    maker = _Maker(random.Random(seed), timeless=timeless)
    return Scenario(f"seed {seed}", "", "random", maker.scenario())


class _Maker:
    """Makes one scenario."""

    def __init__(self, rng: random.Random, *, timeless: bool) -> None:
        self.rng = rng
        self.timeless = timeless
        self.tasks: dict[str, dict[str, object]] = {}
        self.workflows: dict[str, object] = {}
        self.launch_plans: dict[str, str] = {}
        self.signals: list[str] = []

    def scenario(self) -> dict[str, object]:
        made = self.workflow(depth=0, takes=False)
        if self.timeless or self.chance(0.3):
            made["policy"] = _POLICY
        if self.chance(0.2):
            made["on_failure"] = f"{self.task(outputs=[])}(x=1)"
        return {
            **made,
            "tasks": self.tasks,
            "workflows": self.workflows,
            "launch_plans": self.launch_plans,
            "parallelism": self.rng.choice([0, 0, 1, 2]),
            "slots": self.rng.choice([1, 2, 4]),
            "signals": self.signals,
        }

    def chance(self, share: float) -> bool:
        return self.rng.random() < share

    def task(self, *, words: "object" = None, outputs: "list[str] | None" = None) -> str:
        """Add a task and return its name."""
        name = f"t{len(self.tasks)}"
        plain: dict[str, object] = {"attempts": words or self.words()}
        plain["retries"] = self.rng.choice([0, 0, 1, 2])
        if "hang" in str(plain["attempts"]) or (self.chance(0.1) and not self.timeless):
            plain["timeout_s"] = self.rng.choice([1, 60])
        if self.chance(0.25):
            plain["cache"] = "v1"
            plain["serialize"] = self.chance(0.5)
        if outputs is not None:
            plain["outputs"] = outputs
        self.tasks[name] = plain
        return name

    def words(self) -> object:
        return self.rng.choice(
            [
                *["ok"] * 24,
                ["fail", "ok"],
                ["system", "ok"],
                ["system", "fail", "ok"],
                "fail!",
                "fail",
                "unstartable",
                *([] if self.timeless else [["hang", "ok"], "hang"]),
            ]
        )

    def workflow(self, *, depth: int, takes: bool) -> dict[str, object]:
        nodes: dict[str, object] = {}
        sources = [".x"] if takes else []
        for number in range(self.rng.randint(1, _MOST_NODES - depth)):
            node_id = f"n{number}"
            nodes[node_id], gives = self.node(depth, sources, [*nodes])
            if gives:
                sources.append(node_id)
        made: dict[str, object] = {"nodes": nodes}
        if takes:
            made["takes"] = ["x"]
        if sources:
            made["outputs"] = {"o0": self.rng.choice(sources)}
        return made

    def node(self, depth: int, sources: list[str], before: list[str]) -> tuple[object, bool]:
        """Return a node, and whether it has output o0."""
        value = self.rng.choice([*sources, "1", "2"])
        kinds = ["task"] * 5 + ["gate", "map"]
        if depth < _MOST_DEPTH:
            kinds += ["sub", "branch", "dynamic", "launch_plan"]
        kind = self.rng.choice(kinds)
        after = f" after {self.rng.choice(before)}" if before and self.chance(0.3) else ""
        if kind == "gate":
            return self.gate()
        if kind == "map":
            return self.map(sources), False
        if kind == "branch":
            return self.branch(depth, value), True
        if kind == "task":
            name = self.task()
        else:
            makers = {"sub": self.sub, "dynamic": self.dynamic, "launch_plan": self.launch_plan}
            name = makers[kind](depth)
        call = f"{name}(x={value}){after}"
        if kind in ("task", "dynamic", "launch_plan") and self.chance(0.2):
            limited = self.chance(0.5) and not self.timeless
            timeout = {"timeout_s": self.rng.choice([1, 60])} if limited else {}
            return {"run": call, "retries": self.rng.randint(0, 2), **timeout}, True
        return call, True

    def gate(self) -> tuple[object, bool]:
        if self.chance(0.5):
            return {"gate": "sleep", "sleep_s": self.rng.choice([0, 5, 600])}, False
        signal = f"s{len(self.signals)}"
        self.signals.append(signal)
        return {"gate": signal}, True

    def map(self, sources: list[str]) -> object:
        size = self.rng.randint(0, 4)
        values = [self.rng.choice([*sources, "1", "2"]) for _ in range(size)]
        words: object = self.words()
        if self.chance(0.5) and size:
            words = {self.rng.randrange(size): self.words()}
        node: dict[str, object] = {"map": f"{self.task(words=words)}(x=[{', '.join(values)}])"}
        if self.chance(0.3):
            node["parallelism"] = self.rng.randint(1, 2)
        if self.chance(0.3):
            node["min_success_ratio"] = 0.5
        if self.chance(0.2) and not self.timeless:
            node["timeout_s"] = self.rng.choice([1, 60])
        return node

    def branch(self, depth: int, value: str) -> object:
        if not value.startswith((".", "n")):
            value = "1"
        arms = [
            [f"x {self.rng.choice(['<', '==', '>='])} {self.rng.randint(0, 4)}", f"a{number}"]
            for number in range(self.rng.randint(1, 2))
        ]
        bound: int | str = int(value) if value.isdigit() else value
        made: dict[str, object] = {
            "inputs": {"x": bound},
            "if": [[*arm, self.arm(depth, value)] for arm in arms],
        }
        if self.chance(0.7):
            made["else"] = ["z", self.arm(depth, value)]
        else:
            made["fail"] = "nothing fits"
        return made

    def arm(self, depth: int, value: str) -> str:
        name = self.sub(depth) if self.chance(0.3) else self.task()
        return f"{name}(x={value})"

    def sub(self, depth: int) -> str:
        made = self.workflow(depth=depth + 1, takes=True)
        name = f"w{len(self.workflows)}"
        self.workflows[name] = made
        return name

    def launch_plan(self, depth: int) -> str:
        name = f"lp{len(self.launch_plans)}"
        self.launch_plans[name] = ""  # so that one inside it has another name
        self.launch_plans[name] = self.sub(depth)
        return name

    def dynamic(self, depth: int) -> str:
        words = self.rng.choice(["makes", "makes", ["fail", "makes"], ["system", "makes"]])
        name = self.task(words=words)
        made = self.workflow(depth=_MOST_DEPTH, takes=False)
        self.tasks[name]["makes"] = made
        return name
