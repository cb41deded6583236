"""Gates of runs in this process: who gives a value to a signal, and what happens when nobody can.

An answer that was given before (`with answers(…)`) is taken first. Else a person is asked, and the run waits
for the answer. Where nobody can be asked the gate fails at once, with the call that would have answered it.
"""

import threading
from collections.abc import Callable, Iterable
from typing import NamedTuple

from flyteidl.core.literals_pb2 import Literal, LiteralMap
from flyteidl.core.types_pb2 import LiteralType

from flyte_nb.api.errors import USER, ErrorInfo, FlyteNbError
from flyte_nb.propeller.driver import Driver
from flyte_nb.propeller.gate_plans import APPROVE
from flyte_nb.propeller.signals import MemorySignals
from flyte_nb.propeller.state import NodeState


class GateQuestion(NamedTuple):
    """What a gate of a local run asks."""

    name: str
    """The signal."""
    workflow: str
    """The name of the workflow that runs."""
    is_approval: bool
    type: LiteralType
    """The type of the answer."""
    approved: LiteralMap
    """For an approval, the value under the name of its output."""


class Unanswered(FlyteNbError):
    """Nobody can answer a gate, or the answer that was given does not fit."""


class Answerer:
    """Answers the gates of local runs. This one refuses to; a session has a better one."""

    def given(self, question: GateQuestion) -> "Literal | None":
        """Return the answer if it was given before; `None` when somebody has to be asked.

        Raises:
            Unanswered: when an answer was given and does not fit.
        """
        return None

    def ask(
        self, question: GateQuestion, answer: "Callable[[Literal], None]"
    ) -> "Callable[[], None]":
        """Ask a person. `answer` may be called in any thread, once; return what takes the question back.

        Raises:
            Unanswered: when nobody can be asked here.
        """
        raise Unanswered(f"Nobody can answer the gate {question.name!r} here.")


class LocalGates:
    """The gates of all runs of one call. For one thread, but answers may come from others."""

    def __init__(self, answerer: Answerer) -> None:
        self.signals = MemorySignals()
        self._answerer = answerer
        self._changed = threading.Event()
        # Signals that somebody was asked for, with what takes the question back.
        self._asked: dict[tuple[str, str], Callable[[], None]] = {}
        self._answers: list[tuple[Driver, str, Literal]] = []

    @property
    def is_asking(self) -> bool:
        """Return whether a person was asked and has not answered yet."""
        return bool(self._asked)

    def attend(self, drivers: "Iterable[Driver]") -> bool:
        """Answer, or ask for, every gate that waits; return whether any can go on now."""
        # Cleared before the answers are read. So one that comes meanwhile ends the next `wait`.
        self._changed.clear()
        moved = False
        while self._answers:
            driver, name, value = self._answers.pop()
            self._asked.pop((str(driver.id), name), None)
            self._set(driver, name, value)
            moved = True
        for driver in drivers:
            for node in list(driver.gates.waiting()):
                moved = self._attend(driver, node) or moved
        return moved

    def wait(self, timeout_s: "float | None") -> None:
        """Wait until a person answers, at most so long."""
        self._changed.wait(timeout_s)

    def close(self) -> None:
        """Take back every question: the run has ended."""
        for take_back in self._asked.values():
            take_back()
        self._asked.clear()

    def _attend(self, driver: Driver, node: NodeState) -> bool:
        gate = node.plan.gate
        if gate is None or not gate.signal_id or (str(driver.id), gate.signal_id) in self._asked:
            return False
        approved = driver.gates.inputs_of(node) if gate.kind == APPROVE else LiteralMap()
        question = GateQuestion(
            name=gate.signal_id,
            workflow=driver.machine.plan.workflow_id.name,
            is_approval=gate.kind == APPROVE,
            type=gate.type,
            approved=approved,
        )
        try:
            value = self._answerer.given(question)
            if value is not None:
                self._set(driver, gate.signal_id, value)
                return True
            take_back = self._answerer.ask(
                question, lambda given: self._answered(driver, gate.signal_id, given)
            )
        except Unanswered as error:
            driver.gates.refuse(node, ErrorInfo("USER:GateUnanswered", str(error), USER))
            return True
        self._asked[str(driver.id), gate.signal_id] = take_back
        return False

    def _answered(self, driver: Driver, name: str, value: Literal) -> None:
        """Take a person's answer, in whichever thread it comes."""
        # Only noted here, because the run belongs to the thread that called it.
        self._answers.append((driver, name, value))
        self._changed.set()

    def _set(self, driver: Driver, name: str, value: Literal) -> None:
        self.signals.set(driver.id, name, value)
        driver.gates.signalled(name)
