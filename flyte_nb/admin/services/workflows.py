"""Register workflows: compile what was sent against what is registered, and store the whole closure.

Source: flyteadmin/pkg/manager/impl/workflow_manager.go at v1.16.8.
"""

from flyteidl.admin import launch_plan_pb2, task_pb2, workflow_pb2
from flyteidl.core import compiler_pb2, identifier_pb2

from flyte_nb.admin import moments
from flyte_nb.admin.compiling import compiled_workflow
from flyte_nb.admin.refused import missing
from flyte_nb.admin.service_parts import Parts, Rpcs
from flyte_nb.admin.services.rules import check_identifier, check_project_and_domain
from flyte_nb.admin.services.versions import content_digest, same_or_different


class Workflows:
    """Serve CreateWorkflow."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def rpcs(self) -> Rpcs:
        """Return the calls of this service by name."""
        return {"CreateWorkflow": self.create}

    def create(
        self, request: workflow_pb2.WorkflowCreateRequest
    ) -> workflow_pb2.WorkflowCreateResponse:
        """Compile and store one workflow. Its template's id becomes that of the request.

        Raises:
            Refused: `ALREADY_EXISTS` for an equal version; `INVALID_ARGUMENT` for a different one, for an
                incomplete request, and with every problem of the compiler.
        """
        check_identifier(request.id, request.HasField("id"), identifier_pb2.WORKFLOW)
        check_project_and_domain(self._parts.projects, request.id.project, request.id.domain)
        if not request.spec.HasField("template"):
            raise missing("spec")
        request.spec.template.id.CopyFrom(request.id)
        closure = compiled_workflow(request, self._task, self._launch_plan)
        at_us = self._parts.clock()
        workflow = workflow_pb2.Workflow(
            id=request.id, short_description=request.spec.description.short_description
        )
        workflow.closure.compiled_workflow.CopyFrom(closure)
        workflow.closure.created_at.CopyFrom(moments.stamp(at_us))
        # Compiled above, outside the transaction: other calls can write meanwhile.
        with self._parts.database.write() as transaction:
            stored = self._parts.workflows.find_in(transaction, request.id)
            if stored is None:
                self._parts.workflows.add(
                    transaction,
                    request.id,
                    moments.text(at_us),
                    {
                        "digest": content_digest(closure),
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
        known = workflow_pb2.Workflow.FromString(stored.message).closure.compiled_workflow
        raise same_or_different(
            "workflow",
            request.id.name,
            stored=known,
            sent=closure,
            is_same=content_digest(known) == content_digest(closure),
            details=(identical, different),
        )

    def _task(self, id: identifier_pb2.Identifier) -> "compiler_pb2.CompiledTask | None":
        message = self._parts.tasks.known(id)
        return task_pb2.Task.FromString(message).closure.compiled_task if message else None

    def _launch_plan(self, id: identifier_pb2.Identifier) -> "launch_plan_pb2.LaunchPlan | None":
        stored = self._parts.launch_plans.find(id)
        return launch_plan_pb2.LaunchPlan.FromString(stored.message) if stored else None


def _listed(workflow: workflow_pb2.Workflow) -> workflow_pb2.Workflow:
    """Return what lists show of a workflow: its interface and when it was registered."""
    listed = workflow_pb2.Workflow(id=workflow.id, short_description=workflow.short_description)
    listed.closure.created_at.CopyFrom(workflow.closure.created_at)
    listed.closure.compiled_workflow.primary.template.interface.CopyFrom(
        workflow.closure.compiled_workflow.primary.template.interface
    )
    return listed
