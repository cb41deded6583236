"""What waits costs nothing: the engine with waiting executions, or waiting nodes, against one without."""

import itertools
from typing import Any

from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.propeller.launch import Launch
from flyte_nb.storage.memory import MemoryStore
from flyte_nb.testing.closures import chain, closure, gate, integers, node, task, workflow
from flyte_nb.testing.recorders import MemoryRecorder
from flyte_nb.testing.scripted_executor import Outside, ScriptedExecutor
from flyte_nb.testing.stepped_engine import SteppedEngine

ONE = task("one", ["x"])
LENGTH = 30


class Idle:
    """An engine in which so many executions wait; `run` runs another one."""

    def __init__(self, waiting: int) -> None:
        outside = Outside(lambda attempt: integers(o0=1))
        executor = ScriptedExecutor(outside, slots=4, at_once=True)
        self.engine = SteppedEngine(MemoryRecorder(), executor, MemoryStore(), "memory://data")
        self.numbers = itertools.count()
        for _ in range(waiting):
            self.launch(closure(workflow("w", [gate("g", "signal")])))
        self.engine.turn()

    def launch(self, made: Any) -> ExecutionId:
        id = ExecutionId("flytesnacks", "development", f"e{next(self.numbers)}")
        self.engine.launch(Launch(id, made, integers(x=1)))
        return id

    def run(self, made: Any) -> None:
        """Run an execution until nothing is left of it but gates."""
        self.launch(made)
        while self.engine.turn() == 0.0 or self.engine.is_woken:
            pass


def test_an_execution_beside_a_thousand_that_wait_against_one_alone(compare: Any) -> None:
    beside, alone = Idle(1_000 if compare.enabled else 10), Idle(0)
    made = chain(LENGTH, ONE)
    compare(
        f"{LENGTH} tasks beside 1000 waiting executions, against none",
        ours=lambda: beside.run(made),
        peer=lambda: alone.run(made),
        bar=1.3,
        per=LENGTH,
        unit="task",
    )


def test_a_task_beside_gates_of_its_own_execution_costs_the_same(compare: Any) -> None:
    """The cost of further tasks does not grow with the gates; that of the gates themselves is taken off."""
    many = 1_000 if compare.enabled else 10

    def made(gates: int, tasks: int) -> Any:
        nodes = [node(f"n{i}", ONE, {"x": f"n{i - 1}" if i else 1}) for i in range(tasks)]
        nodes += [gate(f"g{i}", f"s{i}") for i in range(gates)]
        return closure(workflow("w", nodes), [ONE])

    long, short = made(many, 301), made(many, 1)
    apart = made(0, 301)

    def ours() -> None:
        Idle(0).run(long)

    def peer() -> None:
        Idle(0).run(short)
        Idle(0).run(apart)

    compare("300 tasks beside 1000 gates, against both apart", ours=ours, peer=peer, bar=1.3)
