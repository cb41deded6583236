"""Show what would travel with tasks: each part's size, why it travels, and whether it has changed.

Packing gives the parts (`bundle.pack`). The registered task's template has a fingerprint of each part it was
made of, so that the two are compared without reading any stored object. Nothing is sent.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from flyteidl.admin.task_pb2 import Task as RegisteredTask

from flyte_nb.api import index as index_of
from flyte_nb.api.errors import BundleError, RemoteError, StorageError
from flyte_nb.api.identifiers import TASK, Identifier
from flyte_nb.api.ports import BlobStore, Entity
from flyte_nb.api.specs import Location
from flyte_nb.bundle.fetch import read_index
from flyte_nb.bundle.members import Contents
from flyte_nb.bundle.pack import Captured, PackedTask, Packer
from flyte_nb.bundle.reach import called_inside
from flyte_nb.client.admin_client import AdminClient
from flyte_nb.registering import registered
from flyte_nb.registering.place import Place
from flyte_nb.registering.reasons import registered_parts, registered_python
from flyte_nb.registering.views import CHANGED, FAILED, NEW, UNCHANGED
from flyte_nb.sdk.declared import TemplateTask
from flyte_nb.sdk.entity import Definition, entity_name
from flyte_nb.sdk.reachable import reachable
from flyte_nb.sdk.task import AnyTask, Task

UNKNOWN = "unknown"
"""The state of what cannot be compared: FlyteAdmin does not answer, or another SDK registered the task."""

_REASONS = {
    "function": "the task itself",
    "default": "default of a parameter",
    "captured": "captured variable",
}


class BundlePart(NamedTuple):
    """One thing that a task depends on and takes along."""

    name: str
    kind: str
    """`function`, `helper`, `task`, `class`, `global`, `captured`, `default` or `module`."""
    size_bytes: int
    why: str
    """Why it travels, in words, e.g. `called by fit`."""
    place: "Location | None"
    state: str
    """`new`, `changed`, `unchanged` or `unknown`, against what is registered."""


class BundleMember(NamedTuple):
    """One object of a bundle, as it is or would be stored."""

    name: str
    kind: str
    """`ring`, `task`, `buffer` or `module`."""
    size_bytes: int
    is_there: "bool | None"
    """Whether it is stored already; `None` when that is not known."""


class TaskBundle(NamedTuple):
    """What travels with one task."""

    name: str
    state: str
    """`new`, `changed`, `unchanged` or `unknown`; `failed` when it cannot be packed."""
    parts: "tuple[BundlePart, ...]" = ()
    """Largest first."""
    gone: "tuple[str, ...]" = ()
    """Parts that it depended on when it was registered, and that it does not depend on now."""
    members: "tuple[BundleMember, ...]" = ()
    requirements: "tuple[str, ...]" = ()
    inner: "tuple[str, ...]" = ()
    """For a dynamic task: the names of the tasks that its body can call."""
    python: str = ""
    fingerprint: str = ""
    warnings: "tuple[str, ...]" = ()
    problem: str = ""
    """Why it cannot be packed."""

    @property
    def size_bytes(self) -> int:
        """Return how many bytes a run of the task downloads."""
        return sum(member.size_bytes for member in self.members)

    @property
    def to_upload(self) -> "tuple[BundleMember, ...]":
        """Return the members that are not known to be stored."""
        return tuple(member for member in self.members if not member.is_there)


class Bundle(NamedTuple):
    """What travels with some tasks."""

    tasks: "tuple[TaskBundle, ...]"
    note: str = ""
    """Why nothing could be compared; empty when it was."""

    @property
    def upload_bytes(self) -> int:
        """Return how many bytes a registration would upload at most. Members that tasks share count once."""
        return sum(
            {
                (member.name, member.size_bytes): member.size_bytes
                for task in self.tasks
                for member in task.to_upload
            }.values()
        )


def bundle_view(
    client: AdminClient, place: Place, entities: "Iterable[Entity]", store: BlobStore
) -> Bundle:
    """Return what travels with the tasks that `entities` reach, compared with what is registered.

    A FlyteAdmin that does not answer is no error: `Bundle.note` says that nothing was compared.

    Args:
        client: Asks FlyteAdmin what is registered.
        place: Scope, types and the author's folders.
        entities: Tasks, workflows and launch plans. Specs from files are passed over: they bring no code.
        store: Reads registered indexes, where this process has access.

    Raises:
        CompileFailed: workflows use each other in a circle, or two entities share a name.
        StorageError: the store does not say whether an object is there.
    """
    defined = [entity for entity in entities if isinstance(entity, Definition)]
    found = reachable(defined, place.registry, place.scope, inside=called_inside)
    packer = Packer(scope=place.scope, registry=place.registry, local_roots=place.local_roots)
    # A task and the maps over it share one bundle. The task may be registered only under a map's name,
    # so the bundle is compared with the first of these names that is registered.
    names: dict[str, list[str]] = {}
    packed: dict[str, PackedTask | BundleError] = {}
    for task in found:
        if isinstance(task, AnyTask) and not isinstance(task, TemplateTask):
            own = entity_name(task.original, place.scope)
            if own not in packed:
                packed[own] = _packed(packer, task.original)
            names.setdefault(own, [own]).append(entity_name(task, place.scope))
    ids = [
        Identifier(TASK, place.scope.project, place.scope.domain, name)
        for name in dict.fromkeys(name for several in names.values() for name in several)
    ]
    # Without an answer the parts and sizes are shown all the same.
    try:
        before, note = registered.latest(client, ids), ""
    except RemoteError as error:
        before, note = {}, f"Nothing was compared with what is registered: {error.message}"
    comparison = _Comparison(store, place.bundles, has_answer=not note)
    tasks = [
        comparison.failed(name, one)
        if isinstance(one, BundleError)
        else comparison.task(
            one, next((before[TASK, each] for each in names[name] if (TASK, each) in before), None)
        )
        for name, one in packed.items()
    ]
    return Bundle(tuple(tasks), note)


def _packed(packer: Packer, task: Task) -> "PackedTask | BundleError":
    try:
        return packer.pack(task)
    except BundleError as error:
        return error


class _Comparison:
    """Compares packed tasks with what is registered and stored."""

    def __init__(self, store: BlobStore, bundles: str, *, has_answer: bool) -> None:
        """Take what to compare with.

        Args:
            store: Reads registered indexes, and says whether members are stored.
            bundles: URI of a staging area on this machine; empty when it is elsewhere.
            has_answer: Whether FlyteAdmin has answered. If not, nothing is known to be new.
        """
        self._store = store
        self._bundles = bundles
        self._has_answer = has_answer
        self._stored: dict[str, bool] = {}

    def failed(self, name: str, error: BundleError) -> TaskBundle:
        """Return the view of a task that cannot be packed."""
        return TaskBundle(name, FAILED, problem=f"{error.message} {error.hint}".strip())

    def task(self, packed: PackedTask, before: "RegisteredTask | None") -> TaskBundle:
        """Return the view of a packed task; `before` is its latest registered version."""
        # `None` for a task that another SDK registered: its template has no fingerprints of parts.
        known = registered_parts(before) if before is not None else None
        parts = [self._part(packed, item, before, known) for item in packed.captured]
        contents = Contents(packed)
        there = self._there(contents, before)
        # A dynamic task's environment must have what the tasks in its body need.
        needed = {item.text for one in (packed, *packed.inner) for item in one.requirements}
        return TaskBundle(
            name=packed.name,
            state=self._state(packed, before, known),
            parts=tuple(parts),
            gone=tuple(key for key in known or {} if key not in packed.parts),
            members=tuple(
                BundleMember(
                    name=item.name,
                    kind=item.kind,
                    size_bytes=item.size,
                    is_there=there.get(item.sha256),
                )
                for item in contents
            ),
            requirements=tuple(sorted(needed)),
            inner=tuple(one.name for one in packed.inner),
            python=packed.python,
            fingerprint=packed.fingerprint,
            warnings=(*packed.warnings, *_other_python(packed, before)),
        )

    def _state(
        self,
        packed: PackedTask,
        before: "RegisteredTask | None",
        known: "Mapping[str, str] | None",
    ) -> str:
        if before is None:
            return NEW if self._has_answer else UNKNOWN
        if known is None:
            return UNKNOWN
        return UNCHANGED if known == packed.parts else CHANGED

    def _part(
        self,
        packed: PackedTask,
        item: Captured,
        before: "RegisteredTask | None",
        known: "Mapping[str, str] | None",
    ) -> BundlePart:
        if before is None:
            state = NEW if self._has_answer else UNKNOWN
        elif known is None:
            state = UNKNOWN
        elif item.key not in known:
            state = NEW
        else:
            state = UNCHANGED if known[item.key] == packed.parts[item.key] else CHANGED
        return BundlePart(
            name=item.name,
            kind=item.kind,
            size_bytes=item.size_bytes,
            why=_why(item),
            place=item.place,
            state=state,
        )

    def _there(
        self, contents: Contents, before: "RegisteredTask | None"
    ) -> "dict[str, bool | None]":
        """Return whether each member is stored already, by digest; without those where it is not known.

        Members on this machine's disk are looked at. Of other stores the registered bundle's index is
        read: it names every member that was stored then.
        """
        if self._bundles:
            return {item.sha256: self._is_stored(item.place, item.size) for item in contents}
        if before is None:
            return {}
        for argument in before.closure.compiled_task.template.container.args:
            if index_of.digest_in_name(argument):
                # An index that cannot be read is no reason to show nothing: then nothing is known.
                try:
                    index = read_index(argument, self._store)
                except (BundleError, StorageError):
                    return {}
                stored = {entry.sha256 for entry in index.entries}
                return {item.sha256: item.sha256 in stored for item in contents}
        return {}

    def _is_stored(self, place: str, size: int) -> bool:
        if place not in self._stored:
            self._stored[place] = self._store.size(f"{self._bundles}/{place}") == size
        return self._stored[place]


def _other_python(packed: PackedTask, before: "RegisteredTask | None") -> "tuple[str, ...]":
    """Return a warning when another minor version of Python registered the task; else nothing.

    Pickled code runs only on the minor version that pickled it.
    """
    known = registered_python(before) if before is not None else ""
    if not known or known == packed.python:
        return ()
    return (
        f"{packed.name} was registered by Python {known}; registered by this one it runs on Python"
        f" {packed.python}, so its image has to have that.",
    )


def _why(item: Captured) -> str:
    """Return why a part travels, in words."""
    if not item.user:
        return _REASONS.get(item.kind, "used by the task")
    verb = {"module": "imported by", "class": "used by", "helper": "called by"}.get(item.kind)
    return f"{verb or 'used by'} {item.user}"
