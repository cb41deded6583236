"""Write entities as spec files for flytectl and `flyte-nb register`, numbered as `pyflyte serialize` does.

Bundles are staged first, because the files name them. Equal code gives equal files.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from flyteidl.admin.launch_plan_pb2 import LaunchPlan, LaunchPlanClosure, LaunchPlanSpec
from flyteidl.admin.workflow_pb2 import WorkflowSpec
from flyteidl.core.interface_pb2 import TypedInterface, VariableMap

from flyte_nb.api.errors import CompileFailed
from flyte_nb.api.identifiers import LAUNCH_PLAN, TASK, WORKFLOW, Identifier
from flyte_nb.api.ports import Entity, StagingArea
from flyte_nb.bundle.stage import stage
from flyte_nb.drafting.draft import Draft, all_problems, with_index
from flyte_nb.drafting.specs.naming import references_of
from flyte_nb.drafting.specs.spec_problems import expected_inputs
from flyte_nb.registering.place import Place, drafts_for
from flyte_nb.wire.identifiers import identifier_from_idl, identifier_to_idl

_NUMBERS = {TASK: 1, WORKFLOW: 2, LAUNCH_PLAN: 3}


class SpecFile(NamedTuple):
    """The content of one spec file."""

    id: Identifier
    number: int
    """The kind of message: 1 is a `TaskSpec`, 2 a `WorkflowSpec`, 3 a `LaunchPlan`."""
    data: bytes
    """The serialized message."""


def serialize(
    place: Place,
    entities: "Iterable[Entity]",
    area: StagingArea,
    *,
    version: str = "",
    is_placed: bool = False,
) -> "list[SpecFile]":
    """Return a spec file for each entity and all that they use, in an order in which they can be registered.

    Args:
        place: Names, types, image and folders.
        entities: Entities of the SDK, and specs from files.
        area: Where bundles are staged. Tasks must be able to read it where they run.
        version: The version of every entity. When empty, each gets the version of its content.
        is_placed: Whether the files name project and domain. If not, flytectl fills them in.

    Raises:
        CompileFailed: something does not compile, or cannot be packed; nothing was staged.
        StorageError: a bundle cannot be staged.
        RemoteError: FlyteAdmin, which may sign URLs for staging, refused.
    """
    drafts = drafts_for(place, entities)
    problems = all_problems(drafts)
    if problems:
        raise CompileFailed("Nothing was serialized: these problems come first.", problems)
    # Only ids of entities that get a file are renamed. Others are registered elsewhere, as they are.
    own = {draft.id for draft in drafts}

    def renamed(id: Identifier) -> Identifier:
        """Return an identifier as the files have it. Entities that are not written keep their version."""
        if version and id in own:
            id = id._replace(version=version)
        if not is_placed and (id.project, id.domain) == (place.scope.project, place.scope.domain):
            id = id._replace(project="", domain="")
        return id

    # The index of a dynamic task names the launch plans that its body can start.
    packed = {
        task.name: task._replace(launch_plans=tuple(map(renamed, task.launch_plans)))
        for task in (draft.packed for draft in drafts)
        if task is not None
    }
    staged = {item.task_name: item.index_uri for item in stage(list(packed.values()), area)}
    interfaces = {
        draft.id: draft.message.template.interface
        for draft in drafts
        if draft.id.resource_type == WORKFLOW
    }
    return [
        _file(
            with_index(draft, staged[draft.packed.name]) if draft.packed else draft,
            renamed,
            interfaces,
        )
        for draft in drafts
    ]


def _file(
    draft: Draft,
    renamed: "Callable[[Identifier], Identifier]",
    interfaces: "Mapping[Identifier, TypedInterface]",
) -> SpecFile:
    """Return the file of one draft, with `renamed` applied to its own id and to every reference in it."""
    kind = draft.id.resource_type
    closure = _closure(draft.message, interfaces) if kind == LAUNCH_PLAN else None
    # The draft's own message stays: another file may be made of it.
    message = type(draft.message)()
    message.CopyFrom(draft.message)
    for reference in references_of(message):
        reference.message.CopyFrom(identifier_to_idl(renamed(reference.id)))
    if isinstance(message, WorkflowSpec):
        for sub in message.sub_workflows:
            sub.id.CopyFrom(identifier_to_idl(renamed(identifier_from_idl(sub.id))))
    id = renamed(draft.id)
    if kind == LAUNCH_PLAN:
        message = LaunchPlan(id=identifier_to_idl(id), spec=message, closure=closure)
    else:
        message.template.id.CopyFrom(identifier_to_idl(id))
    return SpecFile(id, _NUMBERS[kind], message.SerializeToString(deterministic=True))


def _closure(
    spec: LaunchPlanSpec, interfaces: "Mapping[Identifier, TypedInterface]"
) -> LaunchPlanClosure:
    """Return the closure that FlyteAdmin would compute for the launch plan.

    flytectl reads it from the file, and crashes when a file has none.
    """
    interface = interfaces.get(identifier_from_idl(spec.workflow_id))
    if interface is None:  # the workflow is not among the files, so its interface is not known
        return LaunchPlanClosure(
            expected_inputs=spec.default_inputs, expected_outputs=VariableMap()
        )
    return LaunchPlanClosure(
        expected_inputs=expected_inputs(interface, spec), expected_outputs=interface.outputs
    )
