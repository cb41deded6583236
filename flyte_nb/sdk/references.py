"""References: tasks, workflows and launch plans that are registered already, used by their interfaces.

```python
@reference_task(project="shop", domain="production", name="models.fit", version="v3")
def fit(rows: int) -> float: ...
```
"""

import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from flyte_nb.api.errors import UsageError
from flyte_nb.api.identifiers import LAUNCH_PLAN, TASK, WORKFLOW, Identifier
from flyte_nb.api.specs import LaunchPlanNode, TaskNode
from flyte_nb.sdk import context
from flyte_nb.sdk.callee import Callee
from flyte_nb.sdk.declared import check_names, declared_function
from flyte_nb.sdk.entity import Definition

if TYPE_CHECKING:
    from flyte_nb.api.specs import Target

Function = Callable[..., object]
ReferenceMaker = Callable[[Function], "Reference"]
Types = Mapping[str, object]
"""Python types by name."""

_NOUNS = {TASK: "task", WORKFLOW: "workflow", LAUNCH_PLAN: "launch plan"}


class ReferenceOptions(NamedTuple):
    """What a reference refers to."""

    resource_type: str
    """`task`, `workflow` or `launch_plan`."""
    project: str
    domain: str
    name: str
    version: str

    def counted(self) -> "tuple[object, ...]":
        """Return the options that a version is made of: all."""
        return self


class Reference(Callee):
    """A registered entity. Its function is never run: it says what the inputs and outputs are."""

    noun = "reference"
    options: ReferenceOptions

    def __init__(self, function: Function, options: ReferenceOptions) -> None:
        """Let `function` stand for what the options name."""
        super().__init__(function, options)
        kind, *place = options
        # A workflow is run by its default launch plan, which has its name and version: what runs inside of
        # a workflow of somebody else is not known here.
        self.resource_type = LAUNCH_PLAN if kind == WORKFLOW else kind
        self.registered_as = Identifier(self.resource_type, *place)
        self.fixed_name = options.name

    def __reduce__(self) -> "tuple[object, ...]":
        return Reference, (self.function, self.options)

    def is_same(self, other: Definition) -> bool:
        """Return whether `other` refers to the same."""
        return isinstance(other, Reference) and other.registered_as == self.registered_as

    def target(self, reference: Identifier) -> "Target":
        """Return what a node runs that calls this."""
        return TaskNode(reference) if reference.resource_type == TASK else LaunchPlanNode(reference)

    def __call__(self, /, *args: object, **kwargs: object) -> Any:
        """Make a node in a workflow that is traced.

        Raises:
            UsageError: it is called elsewhere, where its code is not known.
        """
        entity, frame = context.stand_in(self), context.frame.get()
        if frame is not None:
            return frame.call(entity, args, kwargs, sys._getframe(1))
        if entity is self:
            raise self.not_here()
        return context.run(entity, self.complete(args, kwargs))

    def not_here(self) -> UsageError:
        """Return the error of running it where its code is not known."""
        kind = _NOUNS[self.options.resource_type]
        return UsageError(
            f"{self.short_name} refers to the registered {kind} {self.options.name}, whose code is not here."
            " Launch it, or launch a workflow that calls it. In a test, replace it by a function."
        )


def reference_task(project: str, domain: str, name: str, version: str) -> ReferenceMaker:
    """Let a function stand for a registered task, whose inputs and outputs its annotations repeat.

    Args:
        project: the task's project.
        domain: its domain.
        name: its full name, e.g. `models.fit`.
        version: its version.

    Raises:
        UsageError: one of them is no text, or empty.
    """
    return _decorator(TASK, project, domain, name, version)


def reference_workflow(project: str, domain: str, name: str, version: str) -> ReferenceMaker:
    """Let a function stand for a registered workflow, which nodes start by its default launch plan.

    Args:
        project: the workflow's project.
        domain: its domain.
        name: its full name.
        version: its version.

    Raises:
        UsageError: one of them is no text, or empty.
    """
    return _decorator(WORKFLOW, project, domain, name, version)


def reference_launch_plan(project: str, domain: str, name: str, version: str) -> ReferenceMaker:
    """Let a function stand for a registered launch plan, which nodes start as an execution of its own.

    Args:
        project: the launch plan's project.
        domain: its domain.
        name: its full name.
        version: its version.

    Raises:
        UsageError: one of them is no text, or empty.
    """
    return _decorator(LAUNCH_PLAN, project, domain, name, version)


def get_reference_entity(
    resource_type: "int | str",
    project: str,
    domain: str,
    name: str,
    version: str,
    inputs: Types,
    outputs: Types,
) -> Reference:
    """Return a reference whose interface is given as Python types by name.

    Args:
        resource_type: `task`, `workflow` or `launch_plan`, or flyteidl's number (1, 2, 3).
        project: its project.
        domain: its domain.
        name: its full name.
        version: its version.
        inputs: the types of its inputs.
        outputs: the types of its outputs.

    Raises:
        UsageError: something has a value that it cannot have.
    """
    kinds: dict[object, str] = {1: TASK, 2: WORKFLOW, 3: LAUNCH_PLAN}
    kind = kinds.get(resource_type, str(resource_type))
    if kind not in _NOUNS:
        raise UsageError(f"resource_type={resource_type!r}: write one of {', '.join(_NOUNS)}.")
    check_names({**inputs, **outputs})
    return _decorator(kind, project, domain, name, version)(_declared(name, inputs, outputs))


def _decorator(kind: str, *place: str) -> ReferenceMaker:
    for field, value in zip(("project", "domain", "name", "version"), place, strict=True):
        if not isinstance(value, str) or not value:
            raise UsageError(
                f"reference_{kind}({field}={value!r}): write the {field} that it is registered with."
            )
    options = ReferenceOptions(kind, *place)

    def decorate(function: Function) -> Reference:
        return Reference(function, options)

    return decorate


def _declared(name: str, inputs: Types, outputs: Types) -> Function:
    """Return a function that has this interface and does nothing."""
    gives: object = None
    if list(outputs) == ["o0"]:
        gives = outputs["o0"]
    elif outputs:
        namespace: dict[str, object] = {"fields": list(outputs.items())}
        exec("from typing import NamedTuple\ngives = NamedTuple('Outputs', fields)", namespace)
        gives = namespace["gives"]
    return declared_function(name, inputs, gives, __name__)
