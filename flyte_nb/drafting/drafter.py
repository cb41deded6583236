"""`Drafter`: turn entities into drafts: named, versioned, translated, compiled, with every problem they have.

Entities of the SDK come first, then specs from files, which may refer to them. All their drafts are in one
`DraftSet`, in which each finds what it refers to. Nothing is sent.
"""

from collections.abc import Container, Iterable

from flyte_nb.api.errors import CompileFailed
from flyte_nb.api.identifiers import Scope
from flyte_nb.api.ports import DataAccess, Entity
from flyte_nb.api.problems import Problem
from flyte_nb.discovery.specs.spec import Spec
from flyte_nb.drafting.definition_drafter import DefinitionDrafter, DraftSettings, Packer
from flyte_nb.drafting.draft import Draft, Lookup
from flyte_nb.drafting.draft_set import DraftSet
from flyte_nb.drafting.specs.spec_drafter import SpecDrafter
from flyte_nb.drafting.versions import UNVERSIONED
from flyte_nb.sdk.entity import Definition
from flyte_nb.types.registry import Registry


class Drafter:
    """Makes drafts of one set of entities. Use a new one each time."""

    def __init__(
        self,
        scope: Scope,
        registry: Registry,
        *,
        image: str = "",
        data: "DataAccess | None" = None,
        pack: "Packer | None" = None,
        lookup: "Lookup | None" = None,
        unread: "Container[str]" = (),
    ) -> None:
        """Set what all drafts share.

        Args:
            scope: Project, domain and the notebook's name.
            registry: The types.
            image: The image of tasks that name none; only what is sent needs it.
            data: Stores constants that need a file.
            pack: Packs a task. Without it, code is not read, and versions mean nothing.
            lookup: Finds registered entities that specs and references refer to. Without it such a
                reference of a spec is a problem, and one of the SDK is taken at its word.
            unread: Names of specs that exist but could not be read. A reference to one is no problem of
                its own, but what has it is not whole.
        """
        self._settings = DraftSettings(
            scope=scope, registry=registry, image=image or UNVERSIONED, data=data, pack=pack
        )
        self._lookup = lookup
        self._unread = unread
        self._made = DraftSet()

    def draft(self, entities: "Iterable[Entity]", *, launch_plans: bool = True) -> "list[Draft]":
        """Return drafts of the entities and of all they refer to, in an order that can be registered.

        Args:
            entities: Tasks, workflows, launch plans; specs, each name once.
            launch_plans: Whether each workflow of the SDK gets its default launch plan.

        Raises:
            CompileFailed: workflows use each other in a circle, or two entities share a name.
        """
        given = list(entities)
        DefinitionDrafter(self._settings, self._made, self._lookup).make(
            _defined(given), launch_plans=launch_plans
        )
        return self._with_specs(given)

    def draft_each(self, entities: "Iterable[Entity]") -> "tuple[list[Draft], tuple[Problem, ...]]":
        """Return drafts of the entities, and why they cannot be registered together.

        When they cannot, each entity of the SDK is drafted for itself, so that all their problems show.
        """
        given = list(entities)
        try:
            return self.draft(given), ()
        except CompileFailed as error:
            problems = error.problems
        # Each in a set of its own: a clash of two entities must not hide the problems of the others.
        for entity in _defined(given):
            alone = DraftSet()
            try:
                DefinitionDrafter(self._settings, alone, self._lookup).make(
                    [entity], launch_plans=True
                )
            except CompileFailed:
                continue
            self._made.take(alone)
        return self._with_specs(given), tuple(problems)

    def _with_specs(self, entities: "list[Entity]") -> "list[Draft]":
        specs = [entity for entity in entities if isinstance(entity, Spec)]
        SpecDrafter(self._settings.scope, self._made, self._lookup, self._unread).make(specs)
        return list(self._made.all)


def _defined(entities: "list[Entity]") -> "list[Definition]":
    return [entity for entity in entities if isinstance(entity, Definition)]
