"""Put flyteidl's `Execution`, `NodeExecution` and `TaskExecution` messages together to one view.

`Assembly` takes messages in any order, each as often as it comes, and gives the view as it stands. It needs
no more than that, because a message is complete and replaces the one before it about the same thing. The one
exception is a map's task execution, which may have only the elements that changed: `Elements` keeps the
newest state of each. A message that is older than the known one, for example from a list that was answered
late, changes nothing.
"""

from datetime import datetime, timedelta, timezone

from flyteidl.admin.execution_pb2 import Execution, ExecutionClosure
from flyteidl.admin.node_execution_pb2 import NodeExecution, NodeExecutionClosure
from flyteidl.admin.task_execution_pb2 import TaskExecution, TaskExecutionClosure
from flyteidl.core.catalog_pb2 import CatalogCacheStatus
from flyteidl.core.compiler_pb2 import CompiledWorkflowClosure
from flyteidl.core.execution_pb2 import ExecutionError
from flyteidl.core.execution_pb2 import NodeExecution as NodePhases
from flyteidl.core.execution_pb2 import TaskExecution as TaskPhases
from flyteidl.core.execution_pb2 import WorkflowExecution as WorkflowPhases
from google.protobuf.timestamp_pb2 import Timestamp

from flyte_nb.api.errors import ErrorInfo
from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.api.nodes import ADDED_NODES
from flyte_nb.api.phases import ENDED, QUEUED, SKIPPED
from flyte_nb.compiler.outline import Outline
from flyte_nb.executions.elements import Elements
from flyte_nb.executions.node_ids import ParentFinder
from flyte_nb.executions.views import AttemptView, ExecutionView, LogLink, NodeView
from flyte_nb.wire.identifiers import execution_id_from_idl, identifier_from_idl

_Closure = ExecutionClosure | NodeExecutionClosure | TaskExecutionClosure

ARRAY_PLUGIN = "k8s-array"
"""What propeller calls the plugin of every map."""

_CACHE_HIT = "CACHE_HIT"
_CACHE_DISABLED = "CACHE_DISABLED"

_MAX_DEPTH = 64
"""Levels of nodes inside nodes that are followed upwards. Messages may name parents in a circle."""


class Assembly:
    """All that is known of one execution. Not thread-safe: its owner holds a lock around every call."""

    def __init__(self, outline: "Outline | None" = None) -> None:
        """Start with no messages. Without an outline, nodes are named by their ids."""
        self._outline = outline if outline is not None else Outline()
        self._execution: Execution | None = None
        self._nodes: dict[str, NodeExecution] = {}
        self._tasks: dict[str, dict[tuple[int, str], TaskExecution]] = {}
        self._elements: dict[str, Elements] = {}  # of maps, by node
        self._parents: dict[str, str] = {}
        # In the order in which they became parents, which a dynamic node does late.
        self._with_children: list[str] = []
        self._finder = ParentFinder()
        # What is in the outline and what is not yet, by dynamic node. Both are asked for at every message.
        self._grown: dict[str, str] = {}
        self._growing: dict[str, str] = {}
        # Most messages change one node of many. The views of the others are kept.
        self._views: dict[str, NodeView] = {}

    def describe(self, outline: Outline) -> None:
        """Use this outline for the names and kinds of nodes from now on."""
        self._outline = outline
        self._views.clear()
        self._growing = {**self._grown, **self._growing}
        self._grown.clear()

    def apply(self, message: "Execution | NodeExecution | TaskExecution") -> None:
        """Take one message, unless it is older than the known one about the same thing."""
        if isinstance(message, Execution):
            if not _is_older(message, self._execution):
                self._execution = message
        elif isinstance(message, NodeExecution):
            self._apply_node(message)
        else:
            self._apply_task(message)

    def set_parent(self, node_id: str, parent_id: str) -> None:
        """Record a node's parent, which a poller knows for certain: it lists the nodes of one parent.

        Args:
            node_id: The node.
            parent_id: The parent's id; empty for a node at the top.
        """
        if self._parents.get(node_id) != parent_id:
            self._parents[node_id] = parent_id
            self._views.pop(node_id, None)

    def view(self, serial: int) -> "ExecutionView | None":
        """Return the execution as it stands; `None` before its own message has come.

        Args:
            serial: The number of the view. A later view of the same execution has a higher one.
        """
        execution = self._execution
        if execution is None:
            return None
        closure = execution.closure
        started = _moment(closure, "started_at")
        phase = WorkflowPhases.Phase.Name(closure.phase)
        error = None
        if closure.WhichOneof("output_result") == "error":
            error = error_info(closure.error)
        nodes = tuple(self._node_view(node_id) for node_id in self._nodes)
        return ExecutionView(
            id=execution_id_from_idl(execution.id),
            entity=identifier_from_idl(execution.spec.launch_plan),
            workflow=identifier_from_idl(closure.workflow_id),
            phase=phase,
            created_at=_moment(closure, "created_at") or datetime.fromtimestamp(0, timezone.utc),
            started_at=started,
            ended_at=_ended(closure, phase, started),
            error=error,
            abort_cause=_abort_cause(closure),
            nodes=nodes,
            total_nodes=max(self._outline.total, len(nodes)),
            serial=serial,
            parent=_parent_of(execution),
        )

    def growing(self) -> "list[tuple[str, str]]":
        """Return the dynamic nodes, each with its `job_uri`, whose nodes the outline does not have."""
        return list(self._growing.items())

    def grow(self, node_id: str, job_uri: str, closure: "CompiledWorkflowClosure | None") -> None:
        """Use the names and kinds of nodes in `closure` for the nodes inside a dynamic node.

        Args:
            node_id: The dynamic node.
            job_uri: What the closure was made from.
            closure: What the node runs; `None` when it cannot be had.
        """
        self._growing.pop(node_id, None)
        self._grown[node_id] = job_uri
        if closure is not None:
            self._outline.grow(self._path(node_id), closure)
            self._views = {id: view for id, view in self._views.items() if not view.parent_id}

    def attempts_wanted(self) -> "list[str]":
        """Return the ids of the nodes whose attempts a poller has to read, because they may have changed.

        Left out are nodes that have no attempts (parents, skipped nodes, nodes served from the cache, nodes
        that have not started), and nodes that have ended with all their known attempts.
        """
        wanted = []
        for node_id, node in self._nodes.items():
            tasks = self._tasks.get(node_id, {})
            phase = NodePhases.Phase.Name(node.closure.phase)
            cached = self._node_view(node_id).cache_status == _CACHE_HIT
            # A dynamic node is a parent too, and its task has attempts.
            only_parent = node.metadata.is_parent_node and not node.metadata.is_dynamic
            if only_parent or cached or phase in (QUEUED, SKIPPED):
                continue
            settled = phase in ENDED and all(
                TaskPhases.Phase.Name(task.closure.phase) in ENDED for task in tasks.values()
            )
            if not tasks or not settled:
                wanted.append(node_id)
        return wanted

    def parents(self) -> "list[str]":
        """Return the ids of the nodes that have children."""
        return list(self._with_children)

    def node(self, node_id: str) -> "NodeExecution | None":
        """Return the newest message about that node; `None` before one has come."""
        return self._nodes.get(node_id)

    def _apply_node(self, message: NodeExecution) -> None:
        node_id = message.id.node_id
        spec_node_id = message.metadata.spec_node_id or node_id
        # People did not write these nodes, and nothing runs in them.
        if spec_node_id in ADDED_NODES or node_id in ADDED_NODES:
            return
        if _is_older(message, self._nodes.get(node_id)):
            return
        known = self._nodes.get(node_id)
        if message.metadata.is_parent_node and not (known and known.metadata.is_parent_node):
            self._with_children.append(node_id)
        made = message.closure.dynamic_job_spec_uri
        if made and self._grown.get(node_id) != made:
            self._growing[node_id] = made
        self._nodes[node_id] = message
        self._views.pop(node_id, None)

    def _apply_task(self, message: TaskExecution) -> None:
        node_id = message.id.node_execution_id.node_id
        attempts = self._tasks.setdefault(node_id, {})
        # Sorted by this key, attempts are in their order. Attempts of an array node's subtasks may have
        # equal numbers, and other tasks.
        key = (message.id.retry_attempt, message.id.task_id.name)
        if not _is_older(message, attempts.get(key)):
            if message.closure.metadata.plugin_identifier == ARRAY_PLUGIN:
                self._elements.setdefault(node_id, Elements()).take(message.closure)
            attempts[key] = message
            self._views.pop(node_id, None)

    def _node_view(self, node_id: str) -> NodeView:
        view = self._views.get(node_id)
        if view is None:
            view = self._views[node_id] = self._make_node_view(node_id)
        return view

    def _make_node_view(self, node_id: str) -> NodeView:
        node = self._nodes[node_id]
        closure = node.closure
        # The message has only ids. Names and kinds are in the workflow's closure.
        outline = self._outline.of(self._path(node_id))
        phase = NodePhases.Phase.Name(closure.phase)
        started = _moment(closure, "started_at")
        cache_status = ""
        if closure.WhichOneof("target_metadata") == "task_node_metadata":
            cache_status = CatalogCacheStatus.Name(closure.task_node_metadata.cache_status)
        child = None
        if closure.WhichOneof("target_metadata") == "workflow_node_metadata":
            child = execution_id_from_idl(closure.workflow_node_metadata.executionId)
        failed = closure.WhichOneof("output_result") == "error"
        attempts = sorted(self._tasks.get(node_id, {}).items(), key=lambda item: item[0])
        return NodeView(
            node_id=node_id,
            spec_node_id=node.metadata.spec_node_id or node_id,
            name=outline.name,
            phase=phase,
            kind=outline.kind,
            started_at=started,
            ended_at=_ended(closure, phase, started),
            cache_status="" if cache_status == _CACHE_DISABLED else cache_status,
            error=error_info(closure.error) if failed else None,
            attempts=tuple(attempt_view(task) for _, task in attempts),
            parent_id=self._parent(node_id),
            child_execution=child,
            job_uri=closure.dynamic_job_spec_uri,
            elements=self._elements[node_id].view() if node_id in self._elements else (),
        )

    def _parent(self, node_id: str) -> str:
        """Return the id of a node's parent; empty for a node at the top. It is kept: it never changes."""
        known = self._parents.get(node_id)
        if known is None:
            spec_node_id = self._nodes[node_id].metadata.spec_node_id or node_id
            group = self._nodes[node_id].metadata.retry_group
            known = self._finder.parent_of(node_id, spec_node_id, self._with_children, group)
            self._parents[node_id] = known
        return known

    def _path(self, node_id: str) -> "tuple[str, ...]":
        """Return the ids in the templates that lead to a node, outermost first, for `Outline.of`."""
        path: list[str] = []
        while node_id in self._nodes and len(path) < _MAX_DEPTH:
            path.insert(0, self._nodes[node_id].metadata.spec_node_id or node_id)
            parent = self._parent(node_id)
            if not parent or parent == node_id:
                break
            node_id = parent
        return tuple(path)


def attempt_view(task: TaskExecution) -> AttemptView:
    """Return the view of one attempt.

    The local backend reports processor time and memory in `custom_info`; other backends do not.
    """
    closure = task.closure
    phase = TaskPhases.Phase.Name(closure.phase)
    started = _moment(closure, "started_at")
    failed = closure.WhichOneof("output_result") == "error"
    numbers = closure.custom_info.fields
    return AttemptView(
        attempt=task.id.retry_attempt,
        phase=phase,
        started_at=started,
        ended_at=_ended(closure, phase, started),
        error=error_info(closure.error) if failed else None,
        logs=tuple(LogLink(log.name, log.uri) for log in closure.logs),
        cpu_s=numbers["cpu_s"].number_value if "cpu_s" in numbers else None,
        max_rss_bytes=(
            int(numbers["max_rss_bytes"].number_value) if "max_rss_bytes" in numbers else None
        ),
        reason=closure.reason,
    )


def error_info(error: ExecutionError) -> ErrorInfo:
    """Return the value for flyteidl's `ExecutionError`."""
    return ErrorInfo(error.code, error.message, type(error).ErrorKind.Name(error.kind))


def _parent_of(execution: Execution) -> "ExecutionId | None":
    metadata = execution.spec.metadata
    if not metadata.HasField("parent_node_execution"):
        return None
    return execution_id_from_idl(metadata.parent_node_execution.execution_id)


def _abort_cause(closure: ExecutionClosure) -> str:
    """Return why a person aborted the execution; empty otherwise. Older FlyteAdmins send only the text."""
    which = closure.WhichOneof("output_result")
    if which == "abort_metadata":
        return str(closure.abort_metadata.cause)
    return str(closure.abort_cause) if which == "abort_cause" else ""


def _moment(closure: _Closure, field: str) -> "datetime | None":
    """Return a timestamp of a closure, in UTC; `None` when it is not set."""
    if not closure.HasField(field):
        return None
    stamp: Timestamp = getattr(closure, field)
    return stamp.ToDatetime(tzinfo=timezone.utc)


def _ended(closure: _Closure, phase: str, started: "datetime | None") -> "datetime | None":
    """Return when something ended; `None` while it goes on. flyteidl has a duration and no such time."""
    if phase not in ENDED:
        return None
    if started is not None and closure.HasField("duration"):
        length: timedelta = closure.duration.ToTimedelta()
        return started + length
    return _moment(closure, "updated_at")


def _is_older(
    message: "Execution | NodeExecution | TaskExecution",
    known: "Execution | NodeExecution | TaskExecution | None",
) -> bool:
    """Return whether `message` was written before the known one. Of two with equal times, the later wins."""
    if known is None or not known.closure.HasField("updated_at"):
        return False
    new, old = message.closure.updated_at, known.closure.updated_at
    return (new.seconds, new.nanos) < (old.seconds, old.nanos)
