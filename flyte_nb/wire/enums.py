"""flyteidl's enums by name and number: phases of executions, nodes and attempts, statuses and kinds.

flyteidl's stubs say that a field of an enum's type takes no int, and that `Value` returns one. So the enums
are described here as they are used.
"""

from typing import Any, Protocol, cast

from flyteidl.admin import schedule_pb2
from flyteidl.core import catalog_pb2, condition_pb2, execution_pb2


class Enum(Protocol):
    """An enum of flyteidl."""

    def Name(self, number: int) -> str:  # noqa: N802 - protobuf's name
        """Return the name of a number."""
        ...

    def Value(self, name: str) -> Any:  # noqa: N802 - protobuf's name
        """Return the number of a name, for a field of this type."""
        ...


EXECUTION_PHASES = cast("Enum", execution_pb2.WorkflowExecution.Phase)
NODE_PHASES = cast("Enum", execution_pb2.NodeExecution.Phase)
TASK_PHASES = cast("Enum", execution_pb2.TaskExecution.Phase)
ERROR_KINDS = cast("Enum", execution_pb2.ExecutionError.ErrorKind)
CACHE_STATUSES = cast("Enum", catalog_pb2.CatalogCacheStatus)
COMPARISONS = cast("Enum", condition_pb2.ComparisonExpression.Operator)
JOINS = cast("Enum", condition_pb2.ConjunctionExpression.LogicalOperator)
RATE_UNITS = cast("Enum", schedule_pb2.FixedRateUnit)
