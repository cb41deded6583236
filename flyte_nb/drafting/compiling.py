"""Compile one entity to look at it: its graph, or every reason why there is none."""

from typing import NamedTuple

from flyteidl.core.compiler_pb2 import CompiledWorkflowClosure

from flyte_nb.api.errors import CompileFailed
from flyte_nb.api.identifiers import Scope
from flyte_nb.api.ports import DataAccess, Entity
from flyte_nb.api.problems import Problem, unique
from flyte_nb.api.specs import TaskTemplate, WorkflowTemplate
from flyte_nb.drafting.draft import Draft
from flyte_nb.drafting.drafter import Drafter
from flyte_nb.sdk.entity import identify
from flyte_nb.sdk.launch_plan import LaunchPlan
from flyte_nb.sdk.workflow import Workflow
from flyte_nb.types.registry import Registry


class Compiled(NamedTuple):
    """A task or workflow as the compiler sees it. A launch plan is shown as its workflow."""

    entity: Entity
    name: str
    """The full name."""
    template: "WorkflowTemplate | TaskTemplate | None"
    """What was traced, complete or not."""
    closure: "CompiledWorkflowClosure | None"
    """The closure of a workflow that compiles."""
    problems: "tuple[Problem, ...]"
    """Everything that is wrong: the entity's own problems first, then those of what it uses."""
    drafts: "tuple[Draft, ...]" = ()
    """It and all it uses."""

    @property
    def ok(self) -> bool:
        """Whether there are no problems."""
        return not self.problems


def compile_entity(
    entity: Entity, scope: Scope, registry: Registry, *, data: "DataAccess | None" = None
) -> Compiled:
    """Compile `entity` and what it uses, and return the result; an author's mistakes never raise.

    Args:
        entity: A task, workflow or launch plan; a `Spec` alone, without what it refers to.
        scope: Project, domain and the notebook's name.
        registry: The types.
        data: Stores constants that need a file.
    """
    extra: tuple[Problem, ...] = ()
    if isinstance(entity, LaunchPlan):
        extra, entity = entity.read(registry).problems, entity.workflow
    name = identify(entity, scope).name
    try:
        drafts = Drafter(scope, registry, data=data).draft([entity], launch_plans=False)
    except CompileFailed as error:
        template = None
        if isinstance(entity, Workflow):
            template = entity.trace(registry, scope, data=data).template
        return Compiled(
            entity=entity,
            name=name,
            template=template,
            closure=None,
            problems=unique((*error.problems, *extra)),
        )
    own = next(item for item in drafts if item.key == (entity.resource_type, name))
    problems = list(own.problems)
    problems.extend(problem for draft in drafts if draft is not own for problem in draft.problems)
    problems.extend(extra)
    return Compiled(
        entity=entity,
        name=name,
        template=own.spec if isinstance(own.spec, (WorkflowTemplate, TaskTemplate)) else None,
        closure=own.closure if not problems else None,
        problems=unique(problems),
        drafts=tuple(drafts),
    )
