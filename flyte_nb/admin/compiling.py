"""The compiler as the services need it, with FlyteAdmin's refusals in place of its errors."""

from collections.abc import Callable

from flyteidl.admin import launch_plan_pb2, workflow_pb2
from flyteidl.core import compiler_pb2, identifier_pb2, literals_pb2, tasks_pb2, types_pb2

from flyte_nb.admin.refused import invalid
from flyte_nb.api.errors import CompileFailed
from flyte_nb.compiler.casting import TooComplex, TypeTable
from flyte_nb.compiler.collector import flyte_error_text
from flyte_nb.compiler.flyte_text import go_text
from flyte_nb.compiler.inference import type_of_literal
from flyte_nb.compiler.program import LaunchPlanInterface, identifier_text
from flyte_nb.compiler.tasks import compile_task
from flyte_nb.compiler.workflows import compile_workflow, requirements
from flyte_nb.propeller.node_ids import check_node_ids


def compiled_task(template: tasks_pb2.TaskTemplate) -> compiler_pb2.CompiledTask:
    """Return the compiled task.

    Raises:
        Refused: `INVALID_ARGUMENT` with every problem.
    """
    try:
        return compile_task(template)
    except CompileFailed as failed:
        raise invalid(flyte_error_text(failed.problems)) from failed


def compiled_workflow(
    request: workflow_pb2.WorkflowCreateRequest,
    task_of: "Callable[[identifier_pb2.Identifier], compiler_pb2.CompiledTask | None]",
    launch_plan_of: "Callable[[identifier_pb2.Identifier], launch_plan_pb2.LaunchPlan | None]",
) -> compiler_pb2.CompiledWorkflowClosure:
    """Return the closure of the workflow, compiled against what is registered.

    Args:
        request: The workflow with its sub-workflows.
        task_of: Returns the registered task of an id, or `None`.
        launch_plan_of: Returns the registered launch plan of an id, or `None`.

    Raises:
        Refused: `INVALID_ARGUMENT` with every problem.
    """
    spec = request.spec
    try:
        needed = requirements(spec.template, spec.sub_workflows)
        # What is not registered is left out here, and the compiler reports it with its place.
        tasks = [task_of(use.identifier) for use in needed.tasks]
        plans = {
            identifier_text(use.identifier): launch_plan_of(use.identifier)
            for use in needed.launch_plans
        }
        closure = compile_workflow(
            spec.template,
            spec.sub_workflows,
            [task for task in tasks if task is not None],
            {name: launch_plan_interface(plan) for name, plan in plans.items() if plan is not None},
        )
        check_node_ids(closure)
        return closure
    except CompileFailed as failed:
        raise invalid(
            f"failed to compile workflow for [{go_text(request.id)}] with err:"
            f" {flyte_error_text(failed.problems)}"
        ) from failed


def launch_plan_interface(plan: launch_plan_pb2.LaunchPlan) -> LaunchPlanInterface:
    """Return what the compiler has to know about a registered launch plan."""
    closure = plan.closure
    return LaunchPlanInterface(closure.expected_inputs, closure.expected_outputs)


def castable(upstream: types_pb2.LiteralType, downstream: types_pb2.LiteralType) -> bool:
    """Return whether a value of type `upstream` may be given where `downstream` is expected."""
    table = TypeTable()
    try:
        return table.castable(table.of(upstream), table.of(downstream))
    except TooComplex:
        return False


def mismatch(
    literal: literals_pb2.Literal, expected: types_pb2.LiteralType, name: str
) -> "str | None":
    """Return the type of the literal as text when it does not fit `expected`, else `None`.

    Args:
        literal: A value.
        expected: The type it should have.
        name: The input it is for, for the error text.

    Raises:
        Refused: `INVALID_ARGUMENT`, when the literal has no type at all.
    """
    table = TypeTable()
    actual = type_of_literal(table, literal)
    if actual is None:
        raise invalid(
            f"Failed to validate literal type for [{name}] with err: got unknown literal type"
        )
    try:
        fits = table.castable(actual, table.of(expected))
    except TooComplex:
        fits = False
    return None if fits else go_text(actual.message)
