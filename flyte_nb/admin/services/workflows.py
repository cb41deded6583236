"""CreateWorkflow: compile what was sent against what is registered, keep the whole closure.

Source: flyteadmin/pkg/manager/impl/workflow_manager.go.
"""

from collections.abc import Iterable, Iterator

from flyteidl.admin import launch_plan_pb2, task_pb2, workflow_pb2
from flyteidl.core import compiler_pb2, identifier_pb2
from flyteidl.core import workflow_pb2 as core_workflow_pb2

from flyte_nb.admin import moments
from flyte_nb.admin.compiling import digest, workflow_closure
from flyte_nb.admin.parts import Parts, Rpcs
from flyte_nb.admin.refused import go_text, invalid, missing
from flyte_nb.admin.services.rules import check_identifier, check_project_and_domain
from flyte_nb.admin.services.versions import same_or_different
from flyte_nb.admin.store.entities import key_of


class Workflows:
    """Registers workflows."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def rpcs(self) -> Rpcs:
        """The calls of this service."""
        return {"CreateWorkflow": self.create}

    def create(
        self, request: workflow_pb2.WorkflowCreateRequest
    ) -> workflow_pb2.WorkflowCreateResponse:
        """Compile and keep one workflow. Raises `Refused`."""
        check_identifier(request.id, request.HasField("id"), identifier_pb2.WORKFLOW)
        check_project_and_domain(self._parts.projects, request.id.project, request.id.domain)
        if not request.spec.HasField("template"):
            raise missing("spec")
        request.spec.template.id.CopyFrom(request.id)
        closure = self._compile(request)
        closure_digest = digest(closure)
        at_us = self._parts.clock()
        workflow = workflow_pb2.Workflow(
            id=request.id,
            closure=workflow_pb2.WorkflowClosure(
                compiled_workflow=closure, created_at=moments.stamp(at_us)
            ),
            short_description=request.spec.description.short_description,
        )
        with self._parts.database.write() as transaction:
            stored = self._parts.workflows.find_in(transaction, request.id)
            if stored is None:
                self._parts.workflows.add(
                    transaction,
                    request.id,
                    moments.text(at_us),
                    {
                        "digest": closure_digest,
                        "message": workflow.SerializeToString(),
                        "listed": _listed(workflow).SerializeToString(),
                        "short_description": workflow.short_description,
                    },
                )
                return workflow_pb2.WorkflowCreateResponse()
        identical = workflow_pb2.CreateWorkflowFailureReason()
        identical.exists_identical_structure.id.CopyFrom(request.id)
        different = workflow_pb2.CreateWorkflowFailureReason()
        different.exists_different_structure.id.CopyFrom(request.id)
        raise same_or_different(
            "workflow",
            request.id.name,
            stored=workflow_pb2.Workflow.FromString(stored.message).closure.compiled_workflow,
            sent=closure,
            is_same=stored.digest == closure_digest,
            details=(identical, different),
        )

    def _compile(
        self, request: workflow_pb2.WorkflowCreateRequest
    ) -> compiler_pb2.CompiledWorkflowClosure:
        templates = (request.spec.template, *request.spec.sub_workflows)
        references = list(_references(templates))
        return workflow_closure(
            request.spec,
            tasks=self._tasks(references),
            launch_plans=self._launch_plans(references),
            refuse=lambda text: invalid(
                f"failed to compile workflow for [{go_text(request.id)}] with err: {text}"
            ),
        )

    def _tasks(
        self, references: "Iterable[identifier_pb2.Identifier]"
    ) -> list[compiler_pb2.CompiledTask]:
        """Every task that is referred to and registered, by id; the compiler names the others."""
        wanted = {key_of(id): id for id in references if id.resource_type == identifier_pb2.TASK}
        found = []
        for key in sorted(wanted):
            stored = self._parts.tasks.find(wanted[key])
            if stored is not None:
                found.append(task_pb2.Task.FromString(stored.message).closure.compiled_task)
        return found

    def _launch_plans(
        self, references: "Iterable[identifier_pb2.Identifier]"
    ) -> list[launch_plan_pb2.LaunchPlan]:
        wanted = {
            key_of(id): id for id in references if id.resource_type == identifier_pb2.LAUNCH_PLAN
        }
        found = []
        for key in sorted(wanted):
            stored = self._parts.launch_plans.find(wanted[key])
            if stored is not None:
                found.append(launch_plan_pb2.LaunchPlan.FromString(stored.message))
        return found


def _listed(workflow: workflow_pb2.Workflow) -> workflow_pb2.Workflow:
    """What lists show of a workflow: its interface and when it was made."""
    listed = workflow_pb2.Workflow(id=workflow.id, short_description=workflow.short_description)
    listed.closure.created_at.CopyFrom(workflow.closure.created_at)
    listed.closure.compiled_workflow.primary.template.interface.CopyFrom(
        workflow.closure.compiled_workflow.primary.template.interface
    )
    return listed


def _references(
    templates: "Iterable[core_workflow_pb2.WorkflowTemplate]",
) -> "Iterator[identifier_pb2.Identifier]":
    """The ids of tasks and launch plans that the templates' nodes refer to, at any depth."""
    waiting: list[core_workflow_pb2.Node] = []
    for template in templates:
        waiting.extend(template.nodes)
        if template.HasField("failure_node"):
            waiting.append(template.failure_node)
    while waiting:
        node = waiting.pop()
        target = node.WhichOneof("target")
        if target == "task_node":
            yield node.task_node.reference_id
        elif target == "workflow_node" and node.workflow_node.HasField("launchplan_ref"):
            yield node.workflow_node.launchplan_ref
        elif target == "array_node":
            waiting.append(node.array_node.node)
        elif target == "branch_node":
            if_else = node.branch_node.if_else
            waiting.extend(block.then_node for block in (if_else.case, *if_else.other))
            if if_else.HasField("else_node"):
                waiting.append(if_else.else_node)
