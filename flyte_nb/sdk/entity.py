"""`Definition`: what the code may ask of a task, a workflow and a launch plan alike."""

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from flyte_nb.api.errors import CompileFailed
from flyte_nb.api.identifiers import Identifier, Scope
from flyte_nb.api.specs import NodeMetadata

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flyte_nb.api.ports import Entity
    from flyte_nb.api.problems import Problem
    from flyte_nb.api.specs import Location, Target
    from flyte_nb.sdk.signature import SignatureReading, TaskSignature
    from flyte_nb.types.registry import Registry


class Definition:
    """A task, workflow or launch plan as its author defined it: an `api.ports.Entity` of this SDK.

    Each kind of entity overrides what is special about it, so the code never probes for an attribute.
    What only tasks, only workflows or only launch plans have is in `AnyTask`, `Workflow` and `LaunchPlan`;
    `isinstance` with these tells them apart.
    """

    resource_type: str = ""
    """`task`, `workflow` or `launch_plan`."""
    noun: str = ""
    """What a message calls it, e.g. `map task`."""
    module: str
    """The module that defines it; `__main__` in a notebook."""
    short_name: str
    """Its name in that module."""
    fixed_name: str = ""
    """A full name that does not follow from module and short name; empty when it has none."""
    fixed_inputs: "Mapping[str, Any]" = MappingProxyType({})
    """Inputs that no call can give, with their values."""
    registered_as: "Identifier | None" = None
    """The identifier of an entity that somebody else has registered; `None` for one that is defined here."""
    is_dynamic: bool = False
    """Whether calls in its body become nodes where it runs. Then what it can call travels with it."""
    node_dependency_hints: "tuple[Definition, ...]" = ()
    """Entities that its author wants registered before it, though no node refers to them."""

    @property
    def shown_name(self) -> str:
        """The name of its nodes in graphs and messages."""
        return self.short_name.rpartition(".")[2]

    @property
    def location(self) -> "Location":
        """Where the author defined it; of a launch plan, where its workflow is defined."""
        raise NotImplementedError

    def read(self, registry: "Registry") -> "SignatureReading":
        """Return the signature as far as it can be read, and its problems."""
        raise NotImplementedError

    def target(self, reference: "Identifier") -> "Target":
        """Return what a node runs that calls this, registered as `reference`."""
        raise NotImplementedError

    def node_metadata(self) -> NodeMetadata:
        """Return the metadata of a node that calls this, before any `with_overrides`."""
        return NodeMetadata(self.shown_name)

    def signature(self, registry: "Registry") -> "TaskSignature":
        """Return the typed interface and its codecs.

        Raises:
            CompileFailed: the signature has problems; it names every one.
        """
        reading = self.read(registry)
        if reading.problems:
            raise CompileFailed(
                f"The {self.noun} {self.short_name} cannot be used.", reading.problems
            )
        return reading.signature

    def problems(self, registry: "Registry") -> "tuple[Problem, ...]":
        """Return everything that is wrong with the signature."""
        return self.read(registry).problems

    def is_same(self, other: "Definition") -> bool:
        """Return whether both are one entity: maps and launch plans are often made where they are used."""
        return other is self


def entity_name(entity: "Entity", scope: Scope) -> str:
    """Return the entity's registered name in `scope`, without project and domain."""
    return entity.fixed_name or scope.full_name(entity.module, entity.short_name)


def identify(entity: "Entity", scope: Scope, version: str = "") -> Identifier:
    """Return the entity's identifier in `scope`; without `version`, one that names no version.

    A reference has the identifier that it was given.
    """
    if isinstance(entity, Definition) and entity.registered_as is not None:
        return entity.registered_as
    return Identifier(
        resource_type=entity.resource_type,
        project=scope.project,
        domain=scope.domain,
        name=entity_name(entity, scope),
        version=version,
    )
