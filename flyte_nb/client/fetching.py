"""Find registered entities by name, and read their interfaces and closures.

What is registered under a full identifier never changes, so callers may keep what they have read.
"""

from typing import Any, NamedTuple

from flyteidl.admin.common_pb2 import (
    NamedEntityIdentifier,
    ObjectGetRequest,
    ResourceListRequest,
    Sort,
)
from flyteidl.core import identifier_pb2
from flyteidl.core.compiler_pb2 import CompiledWorkflowClosure

from flyte_nb.api.errors import RemoteError, UsageError
from flyte_nb.api.identifiers import LAUNCH_PLAN, TASK, WORKFLOW, Identifier, Scope
from flyte_nb.api.literals import Literal
from flyte_nb.api.ports import DataAccess, Entity
from flyte_nb.api.specs import TypedInterface, Variable
from flyte_nb.client.admin_client import AdminClient
from flyte_nb.discovery.entities import check_entity
from flyte_nb.sdk.entity import Definition, entity_name
from flyte_nb.types.by_value import codec_for
from flyte_nb.types.codec import Codec
from flyte_nb.types.registry import Registry
from flyte_nb.wire.identifiers import identifier_from_idl, identifier_to_idl
from flyte_nb.wire.literals import literal_from_idl
from flyte_nb.wire.types import interface_from_idl, variable_from_idl

LISTS = {
    TASK: ("ListTasks", "tasks", "GetTask"),
    WORKFLOW: ("ListWorkflows", "workflows", "GetWorkflow"),
    LAUNCH_PLAN: ("ListLaunchPlans", "launch_plans", "GetLaunchPlan"),
}
"""By resource type: the call that lists, the field of its answer, and the call that reads one entity."""

_NOUNS = {TASK: "task", WORKFLOW: "workflow", LAUNCH_PLAN: "launch plan"}


class Registered(NamedTuple):
    """A task, workflow or launch plan as FlyteAdmin has it. It can be launched and shown."""

    id: Identifier
    interface: TypedInterface
    """For a launch plan, only the inputs that a launch may give: fixed inputs are left out."""
    defaults: "dict[str, Literal]"
    """The values of the inputs that need not be given."""
    message: Any
    """flyteidl's `Task`, `Workflow` or `LaunchPlan`."""

    @property
    def resource_type(self) -> str:
        """Return `task`, `workflow` or `launch_plan`."""
        return self.id.resource_type

    @property
    def name(self) -> str:
        """Return the full name."""
        return self.id.name

    @property
    def version(self) -> str:
        """Return the version."""
        return self.id.version


Launchable = str | Registered | Entity
"""What `launch` accepts: a name, a `Registered` that `fetch` returned, or an entity of this kernel."""


def fetch(
    client: AdminClient,
    scope: Scope,
    resource_type: str,
    name: str,
    version: "str | None" = None,
) -> Registered:
    """Return the registered entity of that name; the latest version when none is given.

    Args:
        client: Calls FlyteAdmin.
        scope: Project and domain, and the notebook's name, which is tried in front of a bare name.
        resource_type: `task`, `workflow` or `launch_plan`.
        name: The full name, or the name of a function of this notebook.
        version: The version; `None` takes the one that was registered last.

    Raises:
        RemoteError: NOT_FOUND when there is no such entity, and other refusals.
        UsageError: `name` is empty.
    """
    if not name:
        raise UsageError("Give the name of what to fetch, e.g. 'my_notebook.train'.")
    # `train` in the notebook `house` is registered as `house.train`. Entities of other SDKs may have
    # names without a dot, so the bare name is tried second.
    bare = "." not in name and scope.main_module
    names = [name] if not bare else [f"{scope.main_module}.{name}", name]
    for candidate in names:
        found = _find(client, scope, resource_type, candidate, version)
        if found is not None:
            return found
    described = f"version {version} of " if version else ""
    raise RemoteError(
        f"There is no {described}{_NOUNS[resource_type]} {' or '.join(names)} in"
        f" {scope.project}/{scope.domain}.",
        code="NOT_FOUND",
        hint="Check the name, project and domain, or register it first.",
    )


def _find(
    client: AdminClient, scope: Scope, resource_type: str, name: str, version: "str | None"
) -> "Registered | None":
    """Return the entity of exactly that name; `None` when there is none."""
    list_method, field, get_method = LISTS[resource_type]
    if version is None:
        page = client.call(
            list_method,
            ResourceListRequest(
                id=NamedEntityIdentifier(project=scope.project, domain=scope.domain, name=name),
                limit=1,
                sort_by=Sort(key="created_at", direction=Sort.DESCENDING),
            ),
            doing=f"Looking for {name}",
        )
        items = getattr(page, field)
        if not items:
            return None
        identifier = items[0].id
        # FlyteAdmin's list leaves out the closure of a workflow, so a workflow is read once more.
        if resource_type != WORKFLOW:
            return registered(items[0])
    else:
        identifier = identifier_to_idl(
            Identifier(
                resource_type=resource_type,
                project=scope.project,
                domain=scope.domain,
                name=name,
                version=version,
            )
        )
    try:
        return registered(client.call(get_method, ObjectGetRequest(id=identifier)))
    except RemoteError as error:
        if error.code == "NOT_FOUND":
            return None
        raise


def registered(message: Any) -> Registered:
    """Return the value for flyteidl's `Task`, `Workflow` or `LaunchPlan`."""
    identifier = identifier_from_idl(message.id)
    defaults: dict[str, Literal] = {}
    if identifier.resource_type == TASK:
        interface = interface_of(message.closure.compiled_task.template)
    elif identifier.resource_type == WORKFLOW:
        interface = interface_of(message.closure.compiled_workflow.primary.template)
    else:
        # FlyteAdmin has computed the inputs that a launch can give: without fixed ones, with defaults.
        inputs: dict[str, Variable] = {}
        for name, parameter in message.closure.expected_inputs.parameters.items():
            inputs[name] = variable_from_idl(parameter.var)
            if parameter.WhichOneof("behavior") == "default":
                defaults[name] = literal_from_idl(parameter.default)
        outputs = {
            name: variable_from_idl(variable)
            for name, variable in message.closure.expected_outputs.variables.items()
        }
        interface = TypedInterface(inputs, outputs)
    return Registered(identifier, interface, defaults, message)


def find_launchable(
    client: AdminClient, scope: Scope, entity: "Launchable", version: "str | None"
) -> Registered:
    """Return the registered launch plan or task that a launch of `entity` starts.

    A workflow is launched by its launch plan. A bare name is looked for as a launch plan first.

    Args:
        client: Calls FlyteAdmin.
        scope: Project, domain and the notebook's name.
        entity: A name, an entity of this kernel, or what `fetch` returned.
        version: The version; `None` takes the one that was registered last.

    Raises:
        RemoteError: NOT_FOUND when there is neither a launch plan nor a task, and other refusals.
        UsageError: `entity` is nothing that can be launched.
    """
    # What was fetched is launched as it is, in its own version, unless another version is asked for.
    if isinstance(entity, Registered):
        if version is None and entity.resource_type != WORKFLOW:
            return entity
        name, resource_type = entity.name, entity.resource_type
    elif isinstance(entity, str):
        name, resource_type = entity, ""
    else:
        check_entity(entity)
        name, resource_type = entity_name(entity, scope), entity.resource_type
    if resource_type == TASK:
        return fetch(client, scope, TASK, name, version)
    try:
        return fetch(client, scope, LAUNCH_PLAN, name, version)
    except RemoteError as error:
        if error.code != "NOT_FOUND" or resource_type:
            raise
        try:
            return fetch(client, scope, TASK, name, version)
        except RemoteError:
            # The first error speaks of a launch plan, which is what most people meant.
            raise error from None


def with_defaults(
    found: Registered, registry: Registry, data: DataAccess
) -> "tuple[TypedInterface, dict[str, Any]]":
    """Return the interface of a registered entity, and its defaults as Python values.

    Args:
        found: The entity.
        registry: Its codecs decode the defaults.
        data: Downloads files and frames among the defaults.

    Raises:
        CodecError: a default does not fit its type.
    """
    codecs = codecs_of(found, registry)
    return found.interface, {
        name: codecs[name].decode(literal, data) for name, literal in found.defaults.items()
    }


def defined_interface(
    entity: Definition, registry: Registry
) -> "tuple[TypedInterface, dict[str, Any]]":
    """Return the interface of an entity of this kernel, and its defaults; both without fixed inputs.

    Raises:
        CompileFailed: the signature has problems.
    """
    signature = entity.signature(registry)
    every = signature.interface.inputs
    inputs = {name: item for name, item in every.items() if name not in entity.fixed_inputs}
    defaults = {name: value for name, value in signature.defaults.items() if name in inputs}
    return signature.interface._replace(inputs=inputs), defaults


def codecs_of(found: Registered, registry: Registry) -> "dict[str, Codec]":
    """Return a codec for each input, chosen by the registered type."""
    return {
        name: codec_for(variable.type, registry)
        for name, variable in found.interface.inputs.items()
    }


def interface_of(template: Any) -> TypedInterface:
    """Return the interface of a flyteidl `TaskTemplate` or `WorkflowTemplate`."""
    return interface_from_idl(template.interface)


def closure_of(
    client: AdminClient, workflow: identifier_pb2.Identifier
) -> "CompiledWorkflowClosure | None":
    """Return the compiled workflow of that flyteidl identifier; `None` when there is none.

    An execution of a single task has a workflow only on a FlyteAdmin that makes one up for it.

    Raises:
        RemoteError: FlyteAdmin refused, or cannot be reached.
    """
    if not workflow.name:
        return None
    try:
        answer = client.call("GetWorkflow", ObjectGetRequest(id=workflow))
    except RemoteError as error:
        if error.code in ("NOT_FOUND", "INVALID_ARGUMENT"):
            return None
        raise
    closure: CompiledWorkflowClosure = answer.closure.compiled_workflow
    return closure
