"""The events of a run, to look at and to assert on."""

from collections.abc import Iterable, Sequence

from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.propeller.events import Event, events_of
from flyte_nb.propeller.records import Record
from flyte_nb.testing.event_lines import by_subject, event_lines

_SHOWN = 120
"""How much of a line a failed assertion shows: the text of an error may be a whole traceback."""


class RunEvents:
    """The events that Flyte's engine sends for a run. `event_lines` says how a line reads."""

    def __init__(self, records: "Iterable[tuple[ExecutionId, Record]]") -> None:
        """Take the records of one or more executions: the first one is the run itself.

        Args:
            records: with the execution that each is of, in their order.
        """
        by_execution: dict[ExecutionId, list[Record]] = {}
        for execution, record in records:
            by_execution.setdefault(execution, []).append(record)
        self._events = [list(events_of(id, each)) for id, each in by_execution.items()]

    @property
    def messages(self) -> "list[Event]":
        """The events of the run as messages of flyteidl, as they are sent to FlyteAdmin."""
        return self._events[0] if self._events else []

    @property
    def lines(self) -> "list[str]":
        """The events of the run, a line each."""
        return event_lines(self.messages)

    @property
    def of_children(self) -> "list[list[str]]":
        """The lines of the executions that launch plan nodes started, in the order of their starts."""
        return [event_lines(each) for each in self._events[1:]]

    def of(self, node_id: str) -> "list[str]":
        """Return the lines of a node (`n0`) or an attempt (`n0[1]`); of the execution with an empty text."""
        return by_subject(self.lines).get(node_id, [])

    def assert_in_order(self, *expected: str) -> None:
        """Check that these lines are there in this order, whatever is between them.

        A line may be given by its beginning: `n0 FAILED` is enough for one that ends with the error's text.

        Raises:
            AssertionError: a line is missing, or comes too early; it shows all lines.
        """
        __tracebackhide__ = True
        lines, position = self.lines, 0
        for wanted in expected:
            found = _first(lines, wanted, position)
            if found is None:
                before = _first(lines, wanted, 0)
                why = (
                    "did not happen"
                    if before is None
                    else "happened before what is named before it"
                )
                shown = "\n".join(f"  {line[:_SHOWN]}" for line in lines) or "  (nothing)"
                raise AssertionError(f"{wanted!r} {why}. What happened:\n{shown}")
            position = found + 1

    def assert_never(self, *unwanted: str) -> None:
        """Check that no line begins with any of these.

        Raises:
            AssertionError: one does.
        """
        __tracebackhide__ = True
        lines = self.lines
        for beginning in unwanted:
            found = _first(lines, beginning, 0)
            if found is not None:
                raise AssertionError(f"It happened: {lines[found]!r}.")


def _first(lines: Sequence[str], beginning: str, start: int) -> "int | None":
    """Return where the first line from `start` is that begins so, with whole words."""
    for number in range(start, len(lines)):
        line = lines[number]
        if line == beginning or (line.startswith(beginning) and line[len(beginning)] in " :"):
            return number
    return None
