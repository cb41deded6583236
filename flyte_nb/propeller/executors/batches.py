"""Run many small elements of a map one after the other, without the engine between two of them.

A map over ten thousand numbers would otherwise spend its time on records, threads and messages. Nothing is
lost by it: what runs in this process ends with it, so there is nothing to find again.
"""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from flyteidl.core.literals_pb2 import LiteralMap

from flyte_nb.api.errors import TaskFailed
from flyte_nb.api.literals import COLLECTION, COLUMN, SCALAR_KINDS, Literal
from flyte_nb.propeller.ports import ElementBatch
from flyte_nb.wire.literals import literal_map_from_idl, literal_map_to_idl
from flyte_nb.worker.inner import InnerRunner, task_outputs

if TYPE_CHECKING:
    from flyte_nb.sdk.task import AnyTask

MOST_S = 0.02
"""How long a batch may take: then what happened is recorded and shown."""

SMALL_S = 0.001
"""Elements that take less run in batches; others run side by side."""


_new = tuple.__new__

_Column = tuple[str, str, "Sequence[object]"]
"""An input whose items are plain values: its name, their kind, and the values."""


class Durations:
    """How long elements of each task usually take."""

    def __init__(self) -> None:
        self._usual: dict[object, float] = {}

    def note(self, task: object, seconds: float) -> None:
        """Take note of how long an element took."""
        usual = self._usual.get(task)
        self._usual[task] = seconds if usual is None else (usual + seconds) / 2

    def are_small(self, task: object) -> bool:
        """Return whether elements of the task are known to be small."""
        return self._usual.get(task, SMALL_S) < SMALL_S


class Lists:
    """The inputs of the map that was asked for last, decoded once for all its batches."""

    def __init__(self) -> None:
        self._message: LiteralMap | None = None
        self._literals: dict[str, Literal] = {}

    def of(self, message: LiteralMap) -> "dict[str, Literal]":
        """Return the inputs in the message.

        Raises:
            CodecError: when they cannot be read.
        """
        if self._message is not message:
            self._literals = literal_map_from_idl(message)
            self._message = message
        return self._literals


class Carried:
    """How far a batch came: the outputs of its elements, and the failure of the one after them."""

    def __init__(self) -> None:
        self.outputs: list[dict[str, Literal]] = []
        self.failure: TaskFailed | None = None
        self.last_s = 0.0
        """How long the last element took."""

    def as_lists(self) -> LiteralMap:
        """Return the outputs, each as the list of what the elements returned.

        Raises:
            CodecError: when a value cannot be turned into a message.
        """
        names = self.outputs[0] if self.outputs else {}
        return literal_map_to_idl(
            {name: _joined([each[name] for each in self.outputs]) for name in names}
        )


def carry_out(
    batch: ElementBatch,
    task: "AnyTask",
    lists: "dict[str, Literal]",
    runner_of: "Callable[[int], InnerRunner]",
) -> Carried:
    """Run elements of the batch until one fails, or the time is up.

    Args:
        batch: The elements.
        task: What each runs.
        lists: The inputs of the whole map.
        runner_of: Returns what runs the calls that an element's function makes.
    """
    carried = Carried()
    whole, columns, items = _parts(lists, batch.bound)
    now = time.perf_counter()
    end = now + MOST_S
    for index in batch.elements:
        inputs = dict(whole)
        for name, kind, values in columns:
            # A third of the time of `Literal(kind, values[index])`.
            inputs[name] = _new(Literal, (kind, values[index], ""))
        for name, literals in items:
            inputs[name] = literals[index]
        try:
            carried.outputs.append(task_outputs(task, inputs, runner_of(index)))
        except TaskFailed as failure:
            carried.failure = failure
            return carried
        before, now = now, time.perf_counter()
        carried.last_s = now - before
        # After one that took long the others may too, and those run side by side.
        if now > end or carried.last_s > SMALL_S:
            return carried
    return carried


def _parts(
    lists: "dict[str, Literal]", bound: "frozenset[str]"
) -> "tuple[dict[str, Literal], list[_Column], list[tuple[str, Sequence[Literal]]]]":
    """Return the inputs that all elements get, the lists of plain values, and the other lists."""
    whole: dict[str, Literal] = {}
    columns: list[_Column] = []
    items: list[tuple[str, Sequence[Literal]]] = []
    for name, literal in lists.items():
        if name in bound or literal.kind not in (COLUMN, COLLECTION):
            whole[name] = literal
        elif literal.kind == COLUMN:
            columns.append((name, *literal.value))
        else:
            items.append((name, literal.value))
    return whole, columns, items


def _joined(literals: "list[Literal]") -> Literal:
    """Return the list of these values; of plain values of one kind as a column, which is smaller."""
    kind = literals[0].kind
    if kind in SCALAR_KINDS and all(each.kind == kind and not each.hash for each in literals):
        return Literal(COLUMN, (kind, [each.value for each in literals]))
    return Literal(COLLECTION, literals)
