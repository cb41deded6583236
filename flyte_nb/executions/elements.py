"""The elements of a map, put together from the `external_resources` of its task execution.

A backend may send all of them each time, or only those that changed. Either way the newest state of each
element is kept, and the parts that a later message leaves out.

Source: `mergeExternalResources` in flyteadmin/pkg/repositories/transformers/task_execution.go at v1.16.8.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

from flyteidl.admin.task_execution_pb2 import TaskExecutionClosure
from flyteidl.event.event_pb2 import ExternalResourceInfo

from flyte_nb.api import phases
from flyte_nb.api.errors import ErrorInfo
from flyte_nb.executions.views import ElementView, LogLink
from flyte_nb.wire.enums import CACHE_STATUSES, TASK_PHASES

_CACHE_DISABLED = "CACHE_DISABLED"

_OPEN = frozenset({phases.RUNNING, phases.INITIALIZING, phases.WAITING_FOR_RESOURCES})
_BAD = frozenset({phases.FAILED, phases.ABORTED, phases.RETRYABLE_FAILED})


class Elements:
    """The elements of one map."""

    def __init__(self) -> None:
        self._known: list[ElementView] = []

    def take(self, closure: TaskExecutionClosure) -> None:
        """Take over the elements in a task execution, and remove them there: they may be many."""
        counts = closure.custom_info.fields["elements"].struct_value.fields.values()
        self._grow(sum(int(count.number_value) for count in counts))
        for info in closure.metadata.external_resources:
            self._grow(info.index + 1)
            self._known[info.index] = _merged(self._known[info.index], info)
        del closure.metadata.external_resources[:]

    def view(self) -> tuple[ElementView, ...]:
        """Return the elements in their order."""
        return tuple(self._known)

    def _grow(self, size: int) -> None:
        self._known += [ElementView(index) for index in range(len(self._known), size)]


def counts_line(elements: Iterable[ElementView]) -> str:
    """Return how many elements there are, and how many ended, run and failed: `× 40: 37 ✓ 2 ◐ 1 ✕`."""
    counts = Counter(element.phase for element in elements)
    done = (
        (_sum(counts, frozenset({phases.SUCCEEDED})), "✓"),
        (_sum(counts, _OPEN), "◐"),
        (_sum(counts, _BAD), "✕"),
    )
    shown = " ".join(f"{count} {mark}" for count, mark in done if count)
    total = f"× {sum(counts.values())}"
    return f"{total}: {shown}" if shown else total


def _sum(counts: "Mapping[str, int]", phases: "frozenset[str]") -> int:
    return sum(counts.get(phase, 0) for phase in phases)


def _merged(known: ElementView, info: ExternalResourceInfo) -> ElementView:
    if info.retry_attempt < known.attempt:
        return known
    is_same = info.retry_attempt == known.attempt
    status = CACHE_STATUSES.Name(info.cache_status)
    logs = tuple(LogLink(log.name, log.uri) for log in info.logs)
    return ElementView(
        number=info.index,
        attempt=info.retry_attempt,
        phase=TASK_PHASES.Name(info.phase),
        cache_status="" if status == _CACHE_DISABLED else status,
        error=_error(info) or (known.error if is_same else None),
        logs=logs or (known.logs if is_same else ()),
    )


def _error(info: ExternalResourceInfo) -> "ErrorInfo | None":
    """Return the element's error, where the local backend noted one: flyteidl has no field for it."""
    if "error" not in info.custom_info.fields:
        return None
    fields = info.custom_info.fields["error"].struct_value.fields
    return ErrorInfo(
        fields["code"].string_value, fields["message"].string_value, fields["kind"].string_value
    )
