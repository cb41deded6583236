"""`Draft`: one entity as it would be registered, from the SDK or from a spec file."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from flyteidl.admin.task_pb2 import TaskSpec
from flyteidl.core.compiler_pb2 import CompiledWorkflowClosure

from flyte_nb.api.identifiers import Identifier
from flyte_nb.api.ports import Entity
from flyte_nb.api.problems import Problem, unique
from flyte_nb.api.specs import LaunchPlanSpec, TaskTemplate, WorkflowTemplate
from flyte_nb.bundle.command import with_index_uri
from flyte_nb.bundle.pack import PackedTask

Name = tuple[str, str, str, str]
"""Resource type, project, domain and name: an identifier without its version."""

Lookup = Callable[[Sequence[Identifier]], Mapping[Identifier, Any]]
"""Returns the registered `Task`, `Workflow` or `LaunchPlan` of each id; the newest for an empty version."""


class Draft(NamedTuple):
    """One entity as it would be registered."""

    entity: Entity
    id: Identifier
    problems: "tuple[Problem, ...]" = ()
    spec: "TaskTemplate | WorkflowTemplate | LaunchPlanSpec | None" = None
    """What the author of an SDK entity wrote, as values. `None` for a spec from a file, and when the
    problems leave nothing to show."""
    message: Any = None
    """flyteidl's spec, e.g. `TaskSpec`; `None` when it, or something that it uses, has problems."""
    packed: "PackedTask | None" = None
    closure: "CompiledWorkflowClosure | None" = None
    """The compiled closure of a workflow."""
    pinned: bool = False
    """Whether its author chose the version, which may be registered with other content already."""
    references: "tuple[Identifier, ...]" = ()
    """What has to be registered before it; for a workflow, also what the workflows inside it refer to."""

    activates: bool = False
    """Whether registering it also activates it; only for launch plans."""

    @property
    def key(self) -> "tuple[str, str]":
        """Resource type and full name."""
        return self.id.resource_type, self.id.name

    @property
    def name(self) -> Name:
        """The identifier without its version."""
        return self.id[:4]

    @property
    def is_whole(self) -> bool:
        """Whether nothing is wrong with it, nor with anything that it uses."""
        return self.message is not None and not self.problems


def with_index(draft: Draft, index_uri: str) -> Draft:
    """Return the task's draft with the bundle that it is loaded from."""
    message = TaskSpec()
    message.CopyFrom(draft.message)
    container = message.template.container
    container.args[:] = with_index_uri(container.args, index_uri)
    return draft._replace(message=message)


def all_problems(drafts: "Sequence[Draft]") -> "list[Problem]":
    """Return every problem of every draft, each once."""
    return list(unique(problem for draft in drafts for problem in draft.problems))
