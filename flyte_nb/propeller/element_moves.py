"""The moves of a map's elements. A part of `moves.Moves`, which is the only user."""

from typing import TYPE_CHECKING

from flyte_nb.api import phases
from flyte_nb.api.errors import SYSTEM, ErrorInfo
from flyte_nb.api.nodes import LAUNCH_PLAN_NODE
from flyte_nb.propeller import elements as e
from flyte_nb.propeller.elements import ElementsRun
from flyte_nb.propeller.record_makers import end_of_attempts
from flyte_nb.propeller.records import ElementRecord
from flyte_nb.propeller.rules import IllegalMove, gets_another_attempt, illegal
from flyte_nb.propeller.state import OPEN, NodeState
from flyte_nb.propeller.tables import ELEMENT_MOVES

if TYPE_CHECKING:
    from collections import deque

    from flyte_nb.propeller.state import WorkflowRun


_TOGETHER = frozenset({phases.RUNNING, phases.SUCCEEDED})


class ElementMoves:
    """Applies the records of elements. `Moves` declares the state that this changes."""

    nodes: "dict[str, NodeState]"
    entering: "dict[str, NodeState]"
    startable: "dict[str, NodeState]"
    live: "dict[str, NodeState]"
    launching: "dict[str, NodeState]"
    calling: "dict[str, NodeState]"
    timed: "list[NodeState]"
    arrays: "dict[str, NodeState]"
    """Array nodes that have elements which have not begun. The driver calls `Maps.begin`."""
    gathering: "dict[str, NodeState]"
    """Array nodes whose elements have all ended. The driver stores their outputs and calls `gathered`."""
    maps: "dict[str, NodeState]"
    """Array nodes that run, and neither fail nor have to end."""
    _unsettled: "deque[NodeState | WorkflowRun]"

    def _call(self, node: "NodeState") -> None:
        """Have the driver look at a launch plan node: an execution of it has to be started or ended."""
        if node.plan.kind == LAUNCH_PLAN_NODE:
            self.calling[node.node_id] = node

    def _time(self, node: "NodeState") -> None:
        """Have the driver watch the time of a node that began."""
        if node.plan.timeout_us:
            self.timed.append(node)

    def _known(self, node_id: str) -> "NodeState":
        raise NotImplementedError

    def _apply_element(self, record: ElementRecord) -> None:
        node = self._known(record.node_id)
        run = node.child
        if not isinstance(run, ElementsRun) or not node.is_open:
            raise IllegalMove(f"Node {node.node_id} is not a running map, so it has no elements.")
        if record.phase == phases.UNDEFINED:
            self._expand(node, run, record)
            return
        span = range(record.first, record.first + record.number)
        if record.number < 1 or record.first < 0 or span.stop > run.size:
            raise IllegalMove(
                f"The map {node.node_id} has {run.size} elements, and the record is of {span}."
            )
        if record.number > 1 and record.phase == phases.FAILED:
            raise IllegalMove("Each element fails by a record of its own, which has its error.")
        if not self._move_span(run, span, record):
            for index in span:
                self._check_element(run, index, record)
            # From here on nothing is refused.
            for index in span:
                self._move_element(node, run, index, record)
        if not run.has_fresh():
            self.arrays.pop(node.node_id, None)
        # A map that is lost fails by `settle`. Outputs are collected only of one that can succeed.
        if run.has_ended and not run.doom and not run.is_lost:
            self.gathering[node.node_id] = node
        self._unsettled.append(run)

    def _expand(self, node: "NodeState", run: ElementsRun, record: ElementRecord) -> None:
        # Expanding a map again would forget what its elements have done.
        if run.size >= 0 or record.first or record.number < 0 or run.doom:
            raise IllegalMove(f"The map {node.node_id} cannot get elements now.")
        run.expand(record.number)
        if run.has_fresh():
            self.arrays[node.node_id] = node
        elif not run.is_lost:
            self.gathering[node.node_id] = node
        self._unsettled.append(run)

    def _move_span(self, run: ElementsRun, span: range, record: ElementRecord) -> bool:
        """Move many elements at once, if none of them has a state of its own; return whether that was done.

        They run together in this process, or have cached results.
        """
        phase, many = record.phase, len(span)
        if many == 1 or record.attempt or run.doom or phase not in _TOGETHER:
            return False
        fresh = run.states.count(e.FRESH, span.start, span.stop) == many
        begun = not fresh and run.states.count(e.OPEN, span.start, span.stop) == many
        if not fresh and (not begun or phase == phases.RUNNING):
            return False
        if begun and any(f"n{index}" in run.nodes for index in span):
            return False
        ends = phase == phases.SUCCEEDED
        run.states[span.start : span.stop] = bytes([e.SUCCEEDED if ends else e.OPEN]) * many
        # Fresh elements that end at once were never open. Open ones that end no longer are.
        run.open += many * (fresh - ends)
        run.successes += many * ends
        if run.candidates:
            for index in span:
                run.candidates.pop(index, None)
        return True

    def _check_element(self, run: ElementsRun, index: int, record: ElementRecord) -> None:
        phase = record.phase
        what = f"element {index} of the map {record.node_id}"
        state = run.states[index]
        if state > e.OPEN:
            raise IllegalMove(f"The {what} has ended.")
        element = run.nodes.get(f"n{index}")
        before = ""
        if element is not None:
            before = element.attempt_phase
        elif state == e.OPEN:
            before = phases.RUNNING  # it runs in this process, with others in one step
        if phase not in ELEMENT_MOVES[before]:
            raise illegal(f"the {what}", before, phase)
        begins = before not in OPEN
        # A further execution of a launch plan: the one before took too long, and is ended.
        again = before == phase == phases.RUNNING
        if again and (element is None or element.plan.kind != LAUNCH_PLAN_NODE):
            raise illegal(f"the {what}", before, phase)
        if begins and run.doom:
            raise IllegalMove(f"The {what} cannot begin: it has to end.")
        last = run.attempts[index]
        # The first attempt has the number 0, which the array has from the start. Only later ones count up.
        expected = last + 1 if again or (before and begins) else last
        if record.attempt != expected:
            raise IllegalMove(
                f"The {what} is at attempt {expected}, and the record is of attempt {record.attempt}."
            )

    def _move_element(
        self, node: "NodeState", run: ElementsRun, index: int, record: ElementRecord
    ) -> None:
        """Make the move of one element, which `_check_element` allowed."""
        phase, state = record.phase, run.states[index]
        if state == e.FRESH:
            run.open += 1
            run.states[index] = e.OPEN
        if record.number > 1 and phase != phases.QUEUED and f"n{index}" not in run.nodes:
            # As in `_move_span`, beside elements that have a state.
            run.candidates.pop(index, None)
            if phase != phases.RUNNING:
                self._end_element(run, index, phase, record.error)
            return
        element = run.nodes.get(f"n{index}")
        if element is None:
            element = run.candidates.pop(index, None) or run.element(index)
            element.phase = phases.RUNNING
            element.attempt_phase = phases.RUNNING if state == e.OPEN else ""
            # An element that ran in this process without a state of its own is at its first attempt.
            element.attempts = 1 if state == e.OPEN else 0
            run.nodes[element.plan.id] = element
            self.nodes[element.node_id] = element
        self._move_attempt(element, record)
        # Kept outside of the element's state, which is dropped when the element ends.
        run.attempts[index] = record.attempt
        if phase in (phases.QUEUED, phases.RUNNING) or element.node_id in self.startable:
            return
        error = record.error
        if error is not None and not run.doom:
            # One that ran out of time was ABORTED by the engine, and has failed like others.
            error, phase = end_of_attempts(element, error, record.at_us).error, phases.FAILED
        element.phase = phase
        del run.nodes[element.plan.id]
        del self.nodes[element.node_id]
        self._end_element(run, index, phase, error)

    def _move_attempt(self, element: "NodeState", record: ElementRecord) -> None:
        """Bring the element's attempt into the phase of the record."""
        phase, id = record.phase, element.node_id
        is_launch = element.plan.kind == LAUNCH_PLAN_NODE
        if record.attempt >= element.attempts > 0 and element.attempt_phase == phases.RUNNING:
            element.attempts += 1  # a further execution
        element.child_execution = record.child_execution or element.child_execution
        begins = element.attempt_phase not in OPEN
        element.attempt_phase = phase
        element.attempt_error = record.error
        element.cache_status = record.cache_status or element.cache_status
        self._call(element)
        if begins and phase != phases.SUCCEEDED:
            element.attempts += 1
            element.attempt_started_us = 0
            self.startable.pop(id, None)
            (self.launching if is_launch else self.live)[id] = element
        if phase == phases.RUNNING:
            element.attempt_started_us = record.at_us
            element.first_started_us = element.first_started_us or record.at_us
            self._time(element)
        elif phase != phases.QUEUED:
            self.live.pop(id, None)
            self.launching.pop(id, None)
            if phase != phases.SUCCEEDED:
                self._element_failed(element, record)

    def _element_failed(self, element: "NodeState", record: ElementRecord) -> None:
        error = record.error
        # In a map that has to end nothing is tried again.
        if error is None or element.run.doom:
            return
        if error.origin == SYSTEM:
            element.system_failures += 1
        if gets_another_attempt(element, error, record.at_us):
            self.startable[element.node_id] = element

    def _end_element(
        self, run: ElementsRun, index: int, phase: str, error: "ErrorInfo | None"
    ) -> None:
        run.open -= 1
        run.states[index] = e.ENDS[phase]
        if phase == phases.SUCCEEDED:
            run.successes += 1
        elif phase == phases.FAILED and error is not None:
            run.failures += 1
            run.errors[index] = error

    def _doom_elements(self, run: ElementsRun) -> None:
        """Let no further element begin. Those whose attempt runs end when it does."""
        parent = run.parent
        if parent is not None:
            self.arrays.pop(parent.node_id, None)
            self.gathering.pop(parent.node_id, None)
            self.maps.pop(parent.node_id, None)
        for candidate in run.candidates.values():
            candidate.phase = phases.ABORTED  # so that it gives up its reservation
        run.candidates.clear()
        for element in list(run.nodes.values()):
            self._call(element)
            if not element.is_live:  # it waits for another attempt, which it does not get
                element.phase = phases.ABORTED
                del run.nodes[element.plan.id]
                del self.nodes[element.node_id]
                self._end_element(run, element.element, phases.ABORTED, None)
