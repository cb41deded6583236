"""Values that say what a person sees of executions. Displays, widgets and commands show these."""

from datetime import datetime
from typing import NamedTuple

from flyte_nb.api.errors import ErrorInfo
from flyte_nb.api.identifiers import ExecutionId, Identifier
from flyte_nb.api.nodes import TASK_NODE
from flyte_nb.api.phases import ENDED, UNDEFINED


class LogLink(NamedTuple):
    """Where an attempt's log is."""

    name: str
    uri: str
    """`file://…` on the local backend, the address of a web page on most clusters."""


class AttemptView(NamedTuple):
    """One attempt at a task (flyteidl `TaskExecution`)."""

    attempt: int
    """Counted from 0, as in flyteidl. People see it counted from 1."""
    phase: str
    """One of `api/phases.py`."""
    started_at: "datetime | None" = None
    ended_at: "datetime | None" = None
    error: "ErrorInfo | None" = None
    logs: "tuple[LogLink, ...]" = ()
    cpu_s: "float | None" = None
    """Processor seconds used; `None` where the backend does not report them."""
    max_rss_bytes: "int | None" = None
    """The most memory used at one time; `None` where the backend does not report it."""
    reason: str = ""
    """Why the attempt is in its phase, in the backend's words."""


class ElementView(NamedTuple):
    """One element of a map (flyteidl `ExternalResourceInfo`)."""

    number: int
    """Its place in the map's lists, counted from 0."""
    attempt: int = 0
    """The number of its last attempt, counted from 0."""
    phase: str = UNDEFINED
    """The phase of that attempt; UNDEFINED before the first one."""
    cache_status: str = ""
    """Empty, or flyteidl's `CACHE_HIT`, `CACHE_POPULATED`, …"""
    error: "ErrorInfo | None" = None
    """Why the attempt failed, where the backend reports it for each element; the node's error names all."""
    logs: "tuple[LogLink, ...]" = ()


class NodeView(NamedTuple):
    """One node of a run (flyteidl `NodeExecution`). Times are UTC."""

    node_id: str
    """Unique in the execution, e.g. `n0-0-dn1`."""
    spec_node_id: str
    """Its id in the workflow's template, e.g. `n0`."""
    name: str
    phase: str
    """As in flyteidl: `QUEUED`, `RUNNING`, `SUCCEEDED`, …"""
    kind: str = TASK_NODE
    """One of the kinds of nodes in `api/nodes.py`."""
    started_at: "datetime | None" = None
    ended_at: "datetime | None" = None
    cache_status: str = ""
    """Empty, or flyteidl's `CACHE_HIT`, `CACHE_MISS`, `CACHE_POPULATED`, …"""
    error: "ErrorInfo | None" = None
    attempts: "tuple[AttemptView, ...]" = ()
    parent_id: str = ""
    """The `node_id` of the node around it; empty at the top."""
    child_execution: "ExecutionId | None" = None
    """The execution that a launch plan node started."""
    job_uri: str = ""
    """Where the nodes are stored that a dynamic task made; empty for other nodes. A further attempt makes
    others."""
    elements: "tuple[ElementView, ...]" = ()
    """The elements of a map, in the order of its lists; empty for other nodes."""


class ExecutionView(NamedTuple):
    """One execution at one moment. A later view of the same execution has a higher `serial`."""

    id: ExecutionId
    entity: Identifier
    """The launch plan or task that was launched."""
    workflow: Identifier
    phase: str
    created_at: datetime
    started_at: "datetime | None" = None
    ended_at: "datetime | None" = None
    error: "ErrorInfo | None" = None
    abort_cause: str = ""
    nodes: "tuple[NodeView, ...]" = ()
    """In the order in which they were recorded, without start and end node."""
    total_nodes: int = 0
    """How many nodes the run will have, as far as the workflow says it. A dynamic task may add more."""
    serial: int = 0
    parent: "ExecutionId | None" = None
    """The execution whose launch plan node started this one."""

    @property
    def is_terminal(self) -> bool:
        """Return whether the execution has ended."""
        return self.phase in ENDED
