"""Turn the view of an execution that did not succeed into the error that a person sees."""

from flyte_nb.api.errors import ErrorInfo, ExecutionFailed
from flyte_nb.api.phases import ABORTED, FAILED, TIMED_OUT
from flyte_nb.executions.views import ExecutionView, NodeView

_VERBS = {FAILED: "failed", ABORTED: "was aborted", TIMED_OUT: "timed out"}


def failure_of(view: ExecutionView) -> ExecutionFailed:
    """Return the error of an execution that did not succeed.

    It carries the error of the task that failed first, where there is one, because that names the cause.
    """
    node = _first_failed(view)
    attempts = [item.error for item in node.attempts if item.error is not None] if node else []
    info = attempts[-1] if attempts else (node.error if node and node.error else view.error)
    short = view.entity.name.rpartition(".")[2] or view.id.name
    if info is None:
        cause = f": {view.abort_cause}" if view.abort_cause else ""
        info = ErrorInfo(view.phase, f"The execution is {view.phase}{cause}")
    where = f" in node {node.node_id} ({node.name})" if node is not None else ""
    verb = _VERBS.get(view.phase, f"ended {view.phase}")
    return ExecutionFailed(
        f"{short} ({view.id.name}) {verb}{where}: {info.message}",
        info=info,
        node_id=node.node_id if node is not None else "",
        name=view.id.name,
    )


def _first_failed(view: ExecutionView) -> "NodeView | None":
    """Return the node in which the failure began; `None` when no node failed.

    A node fails when a node inside it fails. So only nodes without a failed child can be where it began;
    among them, the one that ended first.
    """
    failed = [node for node in view.nodes if node.phase in (FAILED, TIMED_OUT)]
    parents = {node.parent_id for node in failed}
    leaves = [node for node in failed if node.node_id not in parents]
    leaves.sort(key=lambda node: (node.ended_at is None, node.ended_at))
    return leaves[0] if leaves else None
