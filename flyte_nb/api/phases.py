"""Phases of executions, nodes and attempts (flyteidl/core/execution.proto), and which of them are final.

Executions, nodes and attempts each use some of these names. flyteidl's numbers are used on the wire only.
"""

UNDEFINED = "UNDEFINED"
QUEUED = "QUEUED"
INITIALIZING = "INITIALIZING"
WAITING_FOR_RESOURCES = "WAITING_FOR_RESOURCES"
RUNNING = "RUNNING"
DYNAMIC_RUNNING = "DYNAMIC_RUNNING"
SUCCEEDING = "SUCCEEDING"
SUCCEEDED = "SUCCEEDED"
FAILING = "FAILING"
FAILED = "FAILED"
ABORTING = "ABORTING"
ABORTED = "ABORTED"
SKIPPED = "SKIPPED"
TIMED_OUT = "TIMED_OUT"
RECOVERED = "RECOVERED"
RETRYABLE_FAILED = "RETRYABLE_FAILED"

ENDED_EXECUTION = frozenset({SUCCEEDED, FAILED, ABORTED, TIMED_OUT})
"""An execution in one of these does not change any more (flyteadmin/pkg/common/executions.go at v1.16.8)."""

ENDED_NODE = frozenset({SUCCEEDED, FAILED, ABORTED, SKIPPED, TIMED_OUT, RECOVERED})
"""A node execution in one of these does not change any more."""

ENDED_ATTEMPT = frozenset({SUCCEEDED, FAILED, ABORTED})
"""A task execution in one of these does not change any more."""

ENDED = ENDED_EXECUTION | ENDED_NODE | ENDED_ATTEMPT
"""The final phases of all three, for code that shows them alike."""
