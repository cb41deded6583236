"""The elements of one array node (`map_task`): what the machine remembers of them. Pure.

A map may have ten thousand elements. So an element that has not begun, or that has ended, takes a few bytes
in arrays. Only an element that is being run has a `NodeState` of its own, and is then treated like a node
that runs a task: attempts, retries and timeouts are the same code.

Source: flytepropeller/pkg/controller/nodes/array at v1.16.8.
"""

from array import array
from collections.abc import Iterator, Mapping

from flyte_nb.api import phases
from flyte_nb.api.errors import UNKNOWN, ErrorInfo
from flyte_nb.propeller.plan import ArrayPlan, WorkflowPlan
from flyte_nb.propeller.state import NodeState, WorkflowRun

FRESH, OPEN, SUCCEEDED, FAILED, ABORTED = range(5)
"""How far an element is. The numbers are kept in a `bytearray`, one for each element."""

ENDS = {phases.SUCCEEDED: SUCCEEDED, phases.FAILED: FAILED, phases.ABORTED: ABORTED}

ELEMENT_ABORT = "ArrayNodeFailing"
"""Propeller's reason for ending the elements of a map that can no longer succeed."""

_MAX_SUMMARY = 102_400
"""Characters of the errors of a map's elements: propeller's `MaxErrorMessageLength`."""


class ElementsRun(WorkflowRun):
    """The run of a map's elements: the child run of an array node. `nodes` has only those that are open."""

    __slots__ = (
        "array",
        "attempts",
        "candidates",
        "errors",
        "failures",
        "first",
        "size",
        "states",
        "successes",
    )

    def __init__(self, parent: NodeState, plan: ArrayPlan) -> None:
        super().__init__(parent, WorkflowPlan({}), parent.run.workflows, parent.run.scope)
        self.array = plan
        self.size = -1  # unknown until the inputs were read
        self.states = bytearray()
        self.attempts = array("L")  # the number of the last attempt at each element
        self.successes = 0
        self.failures = 0
        self.errors: dict[int, ErrorInfo] = {}
        self.first = 0  # no element below this one is fresh
        self.candidates: dict[int, NodeState] = {}
        """Elements that the driver is preparing and that no record speaks of yet; not part of the state."""

    def expand(self, size: int) -> None:
        """Make room for the elements, once it is known how many there are."""
        self.size = size
        self.states = bytearray(size)
        # A zero for each element. How many bytes an `L` takes differs between platforms.
        self.attempts = array("L", bytes(size * array("L").itemsize))

    @property
    def needed(self) -> int:
        """Return how many elements have to succeed."""
        return self.array.needed(self.size)

    @property
    def is_lost(self) -> bool:
        """Return whether too many elements have failed for the map to succeed."""
        return self.size >= 0 and self.size - self.failures < self.needed

    @property
    def has_ended(self) -> bool:
        """Return whether every element has ended."""
        return self.size == self.successes + self.failures

    @property
    def room(self) -> int:
        """Return how many further elements may begin now, by the author's `concurrency`."""
        return self.array.parallelism - self.open if self.array.parallelism else self.size

    def fresh(self) -> Iterator[int]:
        """Yield the elements that have not begun, in their order."""
        # `first` only grows, so this loop passes each element once in all calls together.
        while self.first < self.size and self.states[self.first] != FRESH:
            self.first += 1
        states = self.states
        return (index for index in range(self.first, self.size) if states[index] == FRESH)

    def stretch(self, first: int) -> int:
        """Return where the fresh elements end that follow `first` without another between them."""
        states, end = self.states, first
        while end < self.size and states[end] == FRESH:
            end += 1
        return end

    def has_fresh(self) -> bool:
        """Return whether an element has not begun."""
        return next(self.fresh(), None) is not None

    def candidate(self, index: int) -> NodeState:
        """Return the state that an element will have once a record says that it has begun."""
        known = self.candidates.get(index)
        if known is None:
            known = self.candidates[index] = self.element(index)
        return known

    def element(self, index: int) -> NodeState:
        """Make the state of an element that begins."""
        parent = self.parent
        assert parent is not None  # an array node always is the parent
        plan = self.array.element._replace(id=f"n{index}")
        made = NodeState(plan, self, f"{parent.node_id}-n{index}")
        made.element = index
        # An element has no records of a node, so its state never comes through the phases before this one.
        made.phase = phases.RUNNING
        made.input_uri = parent.input_uri
        # Nothing is upstream inside of a map: the array node waited for all inputs.
        made.waiting = 0
        return made

    def error(self) -> ErrorInfo:
        """Return the error of a map that can no longer succeed."""
        if not self.errors:
            # More successes were asked for than there are elements.
            return ErrorInfo(ELEMENT_ABORT, "Unknown reason", UNKNOWN)
        messages = {index: error.message for index, error in self.errors.items()}
        return ErrorInfo("", summary(messages), UNKNOWN)

    def compared(self) -> tuple[object, ...]:
        """Return all that records decide about the elements, for comparing two machines."""
        return (
            *super().compared(),
            (self.size, self.successes, self.failures, dict(self.errors)),
            (bytes(self.states), self.attempts.tobytes()),
        )


def summary(messages: "Mapping[int, str]", most: int = _MAX_SUMMARY) -> str:
    """Return the errors of elements as propeller writes them: `[0-1][3]: <message>`, one line a message.

    Source: flyteplugins/go/tasks/plugins/array/errorcollector at v1.16.8.
    """
    indices: dict[str, list[int]] = {}
    for index in sorted(messages):
        indices.setdefault(messages[index], []).append(index)
    text, more = "", "... and many more."
    for message in sorted(indices):
        text += f"{''.join(_ranges(indices[message]))}: {message}\n"
        if len(text) >= most - len(more):
            return text + more
    return text


def _ranges(indices: "list[int]") -> "list[str]":
    """Return `[0-1]`, `[3]` for 0, 1, 3."""
    bounds: list[list[int]] = []
    for index in indices:
        if bounds and index == bounds[-1][1] + 1:
            bounds[-1][1] = index
        else:
            bounds.append([index, index])
    return [f"[{low}]" if low == high else f"[{low}-{high}]" for low, high in bounds]
