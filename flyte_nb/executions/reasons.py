"""Read what is needed to say why a node ran or did not, from what FlyteAdmin keeps.

The local backend knows the earlier nodes that ran the same task. Another FlyteAdmin does not, so there the
same node of the latest executions of the same workflow is taken.
"""

import json
from collections.abc import Iterable, Iterator

from flyteidl.admin import common_pb2, execution_pb2, node_execution_pb2, task_execution_pb2
from flyteidl.core import catalog_pb2, identifier_pb2
from flyteidl.core import execution_pb2 as core_pb2
from flyteidl.core.compiler_pb2 import CompiledWorkflowClosure
from flyteidl.core.literals_pb2 import LiteralMap
from flyteidl.core.tasks_pb2 import TaskTemplate
from google.protobuf.wrappers_pb2 import StringValue

from flyte_nb.api.errors import CodecError, RemoteError
from flyte_nb.api.identifiers import TASK, ExecutionId
from flyte_nb.client import fetching
from flyte_nb.drafting.versions import CUSTOM_KEY
from flyte_nb.executions import why
from flyte_nb.executions.session_context import SessionContext
from flyte_nb.executions.stored_values import StoredValues
from flyte_nb.executions.why import Key, Known, Ran, Why, short_text
from flyte_nb.propeller.cache import dataset_of, input_hashes
from flyte_nb.wire.identifiers import (
    execution_id_from_idl,
    execution_id_to_idl,
    identifier_from_idl,
)

_ALIKE = "/flyte_nb.Cache/Alike"
_LATEST = 10
_COMPARED = 8
_DATASET = "flyte_task-"


class Reasons:
    """Answers for the nodes of one session's executions."""

    def __init__(self, context: SessionContext) -> None:
        self._context = context
        self._client = context.client
        self._closures: dict[ExecutionId, CompiledWorkflowClosure | None] = {}

    def why(self, execution: ExecutionId, node_id: str, name: str) -> Why:
        """Return why that node ran, or did not.

        Raises:
            RemoteError: NOT_FOUND when there is no such node, and other refusals.
        """
        node = self._node(execution, node_id)
        now = self._known(execution, node)
        plain = Why(node_id, name, why.UNKNOWN, "", key=now.key, ran=now.ran)
        if now.phase == "RECOVERED":
            former = self._execution(execution).spec.metadata.reference_execution
            return plain._replace(
                outcome=why.RECOVERED,
                reason=f"It succeeded in {former.name}, and its outputs were taken over.",
                since=execution_id_from_idl(former),
                since_node=node_id,
            )
        if now.status in ("", "CACHE_DISABLED"):
            return plain._replace(
                outcome=why.NOT_CACHED,
                reason="Results are not kept for it, so it runs each time."
                if now.ran is not None
                else "It runs no task of its own, or has not begun.",
            )
        if now.status == "CACHE_HIT":
            return self._hit(plain, node, now)
        # A node that replaced a result is CACHE_POPULATED in the end, as after a miss.
        if now.status == "CACHE_SKIPPED" or self._execution(execution).spec.overwrite_cache:
            return plain._replace(
                outcome=why.SKIPPED,
                reason="The launch asked to run it and to replace the result that is kept.",
            )
        if now.status == "CACHE_LOOKUP_FAILURE":
            return plain._replace(reason="The catalog could not be asked, so it ran.")
        return why.explain(now, name, [*self._before(execution, node)])

    def _hit(self, plain: Why, node: node_execution_pb2.NodeExecution, now: Known) -> Why:
        metadata = node.closure.task_node_metadata.catalog_key
        if not metadata.HasField("source_task_execution"):
            return plain._replace(
                outcome=why.HIT, reason="An equal call computed the result before."
            )
        id = metadata.source_task_execution.node_execution_id
        source = execution_id_from_idl(id.execution_id)
        reason = f"{source.name} ({id.node_id}) computed the result."
        try:
            then = self._known(source, self._node(source, id.node_id))
        except RemoteError:
            then = None  # it may have been deleted
        changes = why.code_changes(now.ran, then.ran) if then is not None else ()
        if changes:
            listed = "; ".join(change.text for change in changes)
            reason += (
                f" The code is not the same ({listed}); the cache version is the author's own."
            )
        return plain._replace(
            outcome=why.HIT, reason=reason, changes=changes, since=source, since_node=id.node_id
        )

    def _before(
        self, execution: ExecutionId, node: node_execution_pb2.NodeExecution
    ) -> "Iterator[Known]":
        """Yield earlier nodes that ran the same task, the newest first."""
        for other, node_id in self._places(execution, node):
            try:
                found = self._node(other, node_id)
                if found.closure.task_node_metadata.HasField("catalog_key"):
                    yield self._known(other, found)
            except RemoteError as error:
                if error.code != "NOT_FOUND":
                    raise

    def _places(
        self, execution: ExecutionId, node: node_execution_pb2.NodeExecution
    ) -> "Iterable[tuple[ExecutionId, str]]":
        request = json.dumps({"node": [*execution, node.id.node_id]})
        try:
            answer = self._client.call(_ALIKE, StringValue(value=request), idempotent=True)
        except RemoteError as error:
            if error.code not in ("UNIMPLEMENTED", "NOT_FOUND", "UNAVAILABLE"):
                raise
            return [(other, node.id.node_id) for other in self._latest(execution)]
        nodes = json.loads(answer.value)["nodes"][:_COMPARED]
        return [(ExecutionId(*place[:3]), place[3]) for place in nodes]

    def _latest(self, execution: ExecutionId) -> "list[ExecutionId]":
        """Return the latest earlier executions of the same workflow, the newest first."""
        own = self._execution(execution)
        request = common_pb2.ResourceListRequest(
            limit=_LATEST, filters=f"eq(workflow.name,{own.closure.workflow_id.name})"
        )
        request.id.project, request.id.domain = execution.project, execution.domain
        request.sort_by.key = "execution_created_at"
        request.sort_by.direction = common_pb2.Sort.DESCENDING
        listed = self._client.call("ListExecutions", request).executions
        created = own.closure.created_at.ToNanoseconds()
        return [
            execution_id_from_idl(each.id)
            for each in listed
            if each.closure.created_at.ToNanoseconds() < created
        ]

    def _known(self, execution: ExecutionId, node: node_execution_pb2.NodeExecution) -> Known:
        closure = node.closure
        task = closure.task_node_metadata
        is_task = closure.HasField("task_node_metadata")
        template = self._template(execution, node)
        key, shown = None, {}
        if is_task and task.HasField("catalog_key") and task.catalog_key.artifact_tag.name:
            ignored = tuple(template.metadata.cache_ignore_input_vars) if template else ()
            inputs = self._inputs(node)
            dataset = dataset_of(task.catalog_key.dataset_id.version)
            try:
                key = Key(dataset, input_hashes(inputs, ignored), ignored)
            except CodecError:  # another client's inputs may have no key
                key = Key(dataset, {}, ignored)
            shown = {name: short_text(inputs, name) for name in inputs.literals}
        status = catalog_pb2.CatalogCacheStatus.Name(task.cache_status) if is_task else ""
        return Known(
            execution,
            node.id.node_id,
            core_pb2.NodeExecution.Phase.Name(closure.phase),
            status,
            key,
            None if template is None else ran(template),
            shown,
        )

    def _inputs(self, node: node_execution_pb2.NodeExecution) -> LiteralMap:
        request = node_execution_pb2.NodeExecutionGetDataRequest(id=node.id)
        answer = self._client.call("GetNodeExecutionData", request)
        values = StoredValues(self._context.data, f"The inputs of node {node.id.node_id}")
        return values.if_there(answer.full_inputs, node.input_uri)

    def _template(
        self, execution: ExecutionId, node: node_execution_pb2.NodeExecution
    ) -> "TaskTemplate | None":
        """Return the template of the node's task; `None` when it runs none, or has not begun."""
        name = ""
        if node.closure.HasField("task_node_metadata"):
            dataset = node.closure.task_node_metadata.catalog_key.dataset_id
            name = dataset.name[len(_DATASET) :] if dataset.name.startswith(_DATASET) else ""
        if not name:
            request = task_execution_pb2.TaskExecutionListRequest(
                node_execution_id=node.id, limit=1
            )
            attempts = self._client.call("ListTaskExecutions", request).task_executions
            if not attempts:
                return None
            name = attempts[0].id.task_id.name
        for closure in self._closures_of(execution):
            for task in closure.tasks:
                if task.template.id.name == name:
                    return task.template
        return None

    def _closures_of(self, execution: ExecutionId) -> "Iterator[CompiledWorkflowClosure]":
        """Yield the execution's workflow, and those that its dynamic tasks made."""
        if execution not in self._closures:
            workflow: identifier_pb2.Identifier = self._execution(execution).closure.workflow_id
            self._closures[execution] = fetching.closure_of(self._client, workflow)
        closure = self._closures[execution]
        if closure is not None:
            yield closure
        request = node_execution_pb2.NodeExecutionListRequest(
            workflow_execution_id=execution_id_to_idl(execution), limit=1000
        )
        for node in self._client.call("ListNodeExecutions", request).node_executions:
            if node.metadata.is_dynamic:
                asked = node_execution_pb2.GetDynamicNodeWorkflowRequest(id=node.id)
                try:
                    yield self._client.call("GetDynamicNodeWorkflow", asked).compiled_workflow
                except RemoteError:
                    continue  # it failed before it made one

    def _node(self, execution: ExecutionId, node_id: str) -> node_execution_pb2.NodeExecution:
        request = node_execution_pb2.NodeExecutionGetRequest()
        request.id.execution_id.CopyFrom(execution_id_to_idl(execution))
        request.id.node_id = node_id
        node: node_execution_pb2.NodeExecution = self._client.call(
            "GetNodeExecution", request, doing=f"Reading node {node_id} of {execution.name}"
        )
        return node

    def _execution(self, id: ExecutionId) -> execution_pb2.Execution:
        request = execution_pb2.WorkflowExecutionGetRequest(id=execution_id_to_idl(id))
        own: execution_pb2.Execution = self._client.call(
            "GetExecution", request, doing=f"Reading {id.name}"
        )
        return own


def ran(template: TaskTemplate) -> Ran:
    """Return what a task template says of its code."""
    task = identifier_from_idl(template.id, TASK)
    image = template.container.image
    if CUSTOM_KEY not in template.custom.fields:
        return Ran(task, {}, image=image)
    custom = template.custom.fields[CUSTOM_KEY].struct_value.fields
    parts = custom["parts"].struct_value.fields if "parts" in custom else {}
    return Ran(
        task,
        {name: part.string_value for name, part in parts.items()},
        python=custom["python"].string_value if "python" in custom else "",
        sdk=custom["sdk"].string_value if "sdk" in custom else "",
        image=image,
    )
