"""An entity compiled to be looked at: its graph, or every reason why there is none."""

from typing import Any, NamedTuple

from flyteidl.core.compiler_pb2 import CompiledWorkflowClosure

from flyte_nb.api.errors import CompileFailed
from flyte_nb.api.identifiers import LAUNCH_PLAN, WORKFLOW, Scope
from flyte_nb.api.ports import DataAccess
from flyte_nb.api.problems import Problem
from flyte_nb.api.specs import TaskTemplate, WorkflowTemplate
from flyte_nb.discovery.specs.spec import Spec
from flyte_nb.drafting.drafts import Draft, Drafts
from flyte_nb.drafting.specs.drafting import spec_drafts
from flyte_nb.sdk.frame import entity_name
from flyte_nb.types.registry import Registry


class Compiled(NamedTuple):
    """A task or workflow as the compiler sees it. A launch plan is shown as its workflow."""

    entity: Any
    name: str
    """The full name."""
    template: "WorkflowTemplate | TaskTemplate | None"
    """As far as it could be traced."""
    closure: "CompiledWorkflowClosure | None"
    """Of a workflow that compiles."""
    problems: "tuple[Problem, ...]"
    """Everything that is wrong: with the entity first, then with what it uses."""
    drafts: "tuple[Draft, ...]" = ()
    """It and all it uses."""

    @property
    def ok(self) -> bool:
        """Whether there are no problems."""
        return not self.problems


def compile_entity(
    entity: Any, scope: Scope, registry: Registry, *, data: "DataAccess | None" = None
) -> Compiled:
    """Compile `entity` and what it uses; never raises for what an author can do wrong.

    Args:
        entity: A task, workflow or launch plan; a `Spec` alone, without what it refers to.
        scope: Where it is named.
        registry: The types.
        data: Where constants that need a file are put.
    """
    if isinstance(entity, Spec):
        (draft,) = spec_drafts([entity], scope)
        return Compiled(entity, draft.id.name, None, draft.closure, draft.problems, (draft,))
    if entity.resource_type == LAUNCH_PLAN:
        plan, entity = entity, entity.workflow
        extra: tuple[Problem, ...] = plan.read(registry).problems
    else:
        extra = ()
    name = entity_name(entity, scope)
    try:
        drafts = Drafts(scope, registry, data=data).of([entity], launch_plans=False)
    except CompileFailed as error:
        template = None
        if entity.resource_type == WORKFLOW:
            template = entity.trace(registry, scope, data=data).template
        return Compiled(entity, name, template, None, (*error.problems, *extra))
    own = next(item for item in drafts if item.key == (entity.resource_type, name))
    problems = list(own.problems)
    problems.extend(problem for draft in drafts if draft is not own for problem in draft.problems)
    problems.extend(problem for problem in extra if problem not in problems)
    return Compiled(
        entity,
        name,
        own.spec if isinstance(own.spec, (WorkflowTemplate, TaskTemplate)) else None,
        own.closure if not problems else None,
        tuple(problems),
        tuple(drafts),
    )
