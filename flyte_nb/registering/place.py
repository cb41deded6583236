"""`Place`: where and how entities are registered, and the drafts that are made for it."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from flyte_nb.api.identifiers import Identifier, Scope
from flyte_nb.api.ports import DataAccess, Entity, StagingArea
from flyte_nb.bundle.pack import Packer
from flyte_nb.client.admin_client import AdminClient
from flyte_nb.drafting.draft import Draft, Lookup
from flyte_nb.drafting.drafter import Drafter
from flyte_nb.registering.restaging import StoredObjects
from flyte_nb.types.registry import Registry

Keep = Callable[[AdminClient, "Sequence[tuple[Identifier, str]]"], object]
"""Takes the tasks that are registered from this process, each with the URI of its bundle's index."""


class Place(NamedTuple):
    """Where and how to register. `staging_places.place_for` makes one for a session."""

    scope: Scope
    registry: Registry
    image: str
    """The container image of tasks that name none."""
    staging: "Callable[[AdminClient], StagingArea]"
    """Returns the area for bundles. Its calls to FlyteAdmin go through the given client, to be counted."""
    data: "DataAccess | None" = None
    """Stores constants of workflows and defaults of launch plans that need a file."""
    local_roots: "tuple[Path, ...]" = ()
    """Folders whose modules travel with the code."""
    bundles: str = ""
    """URI of the staging area, when it is a folder of this machine or of an image; else empty."""
    staged_at: str = ""
    """URI of the staging area, when this process reaches it without FlyteAdmin; else empty. The bundles of
    registered tasks are then looked at on every registration, because looking costs no call to FlyteAdmin,
    and what is missing or damaged is staged again."""
    keep: "Keep | None" = None
    """Tells the local backend which Python registers the tasks, because it runs them with that Python.
    `None` for any other FlyteAdmin."""
    objects: "StoredObjects | None" = None
    """Looks at staged objects in any store, when a person asks for that. `None` when nothing is uploaded."""


def drafts_for(
    place: Place, entities: "Iterable[Entity]", lookup: "Lookup | None" = None
) -> "list[Draft]":
    """Return the drafts of the entities and of all that they use, as they would be registered at `place`.

    Tasks of the SDK are packed. Problems are in the drafts.

    Args:
        place: Names, types, image and folders.
        entities: Entities of the SDK, and specs from files.
        lookup: Finds registered entities that specs refer to; `None` looks nothing up.

    Raises:
        CompileFailed: workflows use each other in a circle, or two entities share a name.
    """
    packer = Packer(scope=place.scope, registry=place.registry, local_roots=place.local_roots)
    lane = Drafter(
        place.scope,
        place.registry,
        image=place.image,
        data=place.data,
        pack=packer.pack,
        lookup=lookup,
    )
    return lane.draft(entities)
