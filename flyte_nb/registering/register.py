"""Registration: everything is packed, compiled and checked first; then what is new is sent, in order.

Interrupted anywhere, it can be run again: entities are created after what they refer to, creating
one twice does no harm, and staged objects are found by their content.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from flyteidl.admin.common_pb2 import ObjectGetRequest
from flyteidl.admin.launch_plan_pb2 import LaunchPlanCreateRequest
from flyteidl.admin.task_pb2 import TaskCreateRequest
from flyteidl.admin.workflow_pb2 import WorkflowCreateRequest

from flyte_nb.api.errors import CompileFailed, RegistrationFailed, RemoteError
from flyte_nb.api.identifiers import LAUNCH_PLAN, TASK, WORKFLOW, Identifier, Scope
from flyte_nb.api.ports import DataAccess, Entity, StagingArea
from flyte_nb.api.problems import Problem
from flyte_nb.bundle.pack import Packer
from flyte_nb.bundle.stage import Progress, planned_index, stage
from flyte_nb.client.admin_client import AdminClient
from flyte_nb.drafting.draft import Draft, Lookup, all_problems, with_index
from flyte_nb.drafting.drafts import Drafts
from flyte_nb.registering import registered
from flyte_nb.registering.lookup import by_place, lookup_in
from flyte_nb.registering.reasons import MENDED, SAME, SAME_CONTENT, why
from flyte_nb.registering.restaging import Looked, StoredObjects, restage
from flyte_nb.registering.views import (
    CHANGED,
    FAILED,
    NEW,
    UNCHANGED,
    RegisteredEntity,
    Registration,
)
from flyte_nb.types.registry import Registry
from flyte_nb.wire.identifiers import identifier_to_idl

EntityListener = Callable[[RegisteredEntity], None]
"""Called with each entity as soon as its fate is known."""

UploadListener = Callable[[Progress], None]
"""Called with how far the uploads are, at their beginning and whenever one more object is there."""

Keep = Callable[[AdminClient, "Sequence[tuple[Identifier, str]]"], object]
"""Takes the tasks that are registered from here, each with the location of its bundle's index."""

Outlook = dict[tuple[str, str], tuple[str, str]]
"""State and reason, in words, of what will be registered, by resource type and name."""

_REQUESTS: "dict[str, tuple[str, Any]]" = {
    TASK: ("CreateTask", TaskCreateRequest),
    WORKFLOW: ("CreateWorkflow", WorkflowCreateRequest),
    LAUNCH_PLAN: ("CreateLaunchPlan", LaunchPlanCreateRequest),
}


class Place(NamedTuple):
    """Where and how to register."""

    scope: Scope
    registry: Registry
    image: str
    staging: "Callable[[AdminClient], StagingArea]"
    """The area for bundles, its calls counted by the client that is given."""
    data: "DataAccess | None" = None
    """Where constants of workflows and defaults of launch plans are put that need a file."""
    local_roots: "tuple[Path, ...]" = ()
    """Folders whose modules are shipped with the code."""
    bundles: str = ""
    """URI of the area where it is a folder of this machine, or of an image."""
    staged_at: str = ""
    """URI of the area where this process reaches it itself. There bundles of what is registered already
    are looked at too, and what is missing or damaged is staged anew: looking costs no call of FlyteAdmin."""
    keep: "Keep | None" = None
    """Remembers, beside the entities, from which Python they are registered: the local backend runs
    them with that one."""
    objects: "StoredObjects | None" = None
    """Looks at what is staged anywhere, when it is asked for; `None` where nothing is uploaded."""


def register(
    client: AdminClient,
    place: Place,
    entities: "Iterable[Entity]",
    *,
    on_progress: "EntityListener | None" = None,
    on_upload: "UploadListener | None" = None,
    dry_run: bool = False,
    restage: bool = False,
) -> Registration:
    """Register the entities and all they refer to; say what was new, changed and unchanged, and why.

    Args:
        client: The FlyteAdmin.
        place: Scope, types, image and staging.
        entities: Tasks, workflows, launch plans.
        on_progress: Called with each entity when its fate is known.
        on_upload: Called with how far the uploads are.
        dry_run: Only say what would be done. Problems are in the answer, and not raised.
        restage: Look also at the staged code of what is registered already, wherever it is, and stage
            again what is missing or damaged. It costs a question an object.

    Raises:
        RegistrationFailed: something does not compile or cannot be packed, and nothing was sent; or
            FlyteAdmin refused an entity. It names every problem.
        RemoteError: FlyteAdmin cannot be reached.
        StorageError: the bundle cannot be staged.
        KeyboardInterrupt: the person interrupted; what is registered by then is whole.
    """
    run = _Run(client.metered(), place, on_progress, on_upload, restage=restage)
    try:
        return run.go(list(entities), dry_run)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            "The registration was interrupted. What is registered is whole; registering again goes on"
            " with the rest."
        ) from None


def drafts_for(
    place: Place, entities: "Iterable[Entity]", lookup: "Lookup | None" = None
) -> "list[Draft]":
    """Entities of the SDK, packed, and specs, with all they use, as they would be registered at `place`.

    Raises:
        CompileFailed: workflows use each other in a circle, or two entities share a name.
    """
    packer = Packer(scope=place.scope, registry=place.registry, local_roots=place.local_roots)
    lane = Drafts(
        place.scope,
        place.registry,
        image=place.image,
        data=place.data,
        pack=packer.pack,
        lookup=lookup,
    )
    return lane.of(entities)


class _Run:
    """One registration."""

    def __init__(
        self,
        client: AdminClient,
        place: Place,
        on_progress: "EntityListener | None",
        on_upload: "UploadListener | None",
        *,
        restage: bool,
    ) -> None:
        self._client = client
        self._place = place
        self._restages = restage
        self._tell = on_progress or (lambda entity: None)
        self._on_upload = on_upload
        self._started = time.perf_counter()
        self._fates: dict[tuple[str, str], RegisteredEntity] = {}
        self._order: list[tuple[str, str]] = []

    def go(self, entities: "list[Entity]", dry_run: bool) -> Registration:
        drafts = self._draft(entities)
        self._order = [draft.key for draft in drafts]
        problems = all_problems(drafts)
        if problems:
            for draft in drafts:
                if draft.problems:
                    self._settle(draft, FAILED, draft.problems[0].message, draft.problems)
            if dry_run:
                return self._registration()
            raise _failed(problems, "Nothing was registered: these problems come first.")
        # Whether a version that its author gave has this content, FlyteAdmin says when it is sent.
        asked = drafts if dry_run else [draft for draft in drafts if not draft.pinned]
        there = by_place(registered.existing, self._client, [draft.id for draft in asked])
        missing = [draft for draft in drafts if draft.id not in there]
        outlook = self._outlook(missing) if missing else {}
        known = [draft for draft in drafts if self._can_mend(draft, there)]
        sent = {} if dry_run else self._stage([*missing, *known])
        if self._place.keep is not None and not dry_run:
            self._place.keep(self._client, _tasks_with_bundles(drafts, sent, there))
        looked = self._look(drafts, there, dry_run)
        self._settle_unchanged(drafts, missing, sent, looked)
        if dry_run:
            for draft in missing:
                self._settle(draft, *outlook[draft.key])
        else:
            self._create(missing, outlook, sent)
            lasting = [found.problem for found in looked.values() if found.problem is not None]
            if lasting:
                raise _failed(lasting, "Some of the staged code is damaged.")
        return self._registration()

    def _look(
        self, drafts: "list[Draft]", there: "Mapping[Identifier, Any]", dry_run: bool
    ) -> "dict[Identifier, Looked]":
        """What became of the bundles of registered tasks, where that is asked for."""
        objects = self._place.objects
        if not self._restages or objects is None:
            return {}
        area = self._place.staging(self._client)
        return restage(drafts, there, objects, area, dry_run=dry_run)

    def _can_mend(self, draft: Draft, there: "Mapping[Identifier, Any]") -> bool:
        """Whether staging a registered task again writes the very bytes that its template names.

        Equal fingerprints may come with other bytes, e.g. of lines that moved.
        """
        if draft.packed is None or draft.id not in there or not self._place.staged_at:
            return False
        planned = planned_index(draft.packed, self._place.staged_at)
        return planned in there[draft.id].closure.compiled_task.template.container.args

    def _settle_unchanged(
        self,
        drafts: "list[Draft]",
        missing: "list[Draft]",
        sent: "dict[str, tuple[str, int]]",
        looked: "Mapping[Identifier, Looked]",
    ) -> None:
        new = {draft.key for draft in missing}
        for draft in drafts:
            if draft.key in new:
                continue
            same = SAME if draft.id.resource_type == TASK else SAME_CONTENT
            found = looked.get(draft.id, Looked())
            if found.problem is not None:
                self._settle(draft, FAILED, found.problem.message, (found.problem,))
                continue
            size = sent.get(draft.packed.name, ("", 0))[1] if draft.packed else 0
            size += found.sent_bytes
            mended = size or found.is_damaged
            self._settle(draft, UNCHANGED, f"{same}; {MENDED}" if mended else same, uploaded=size)

    def _draft(self, entities: "list[Entity]") -> "list[Draft]":
        try:
            return drafts_for(self._place, entities, lookup_in(self._client))
        except CompileFailed as error:
            raise _failed(error.problems, "Nothing was registered.") from error

    def _outlook(self, missing: "Sequence[Draft]") -> "Outlook":
        """State and reason of what is not registered yet."""
        before = by_place(registered.latest, self._client, [draft.id for draft in missing])
        known = [
            draft for draft in missing if draft.id.resource_type == WORKFLOW and draft.key in before
        ]
        requests = [ObjectGetRequest(id=before[draft.key].id) for draft in known]
        templates = {}
        for draft, answer in zip(
            known, self._client.call_all("GetWorkflow", requests), strict=True
        ):
            if not isinstance(answer, RemoteError):
                templates[draft.key] = answer.closure.compiled_workflow.primary.template
        outlook = {}
        for draft in missing:
            old = before.get(draft.key)
            reason = why(draft, old, templates.get(draft.key))
            outlook[draft.key] = (NEW if old is None else CHANGED, reason)
        return outlook

    def _create(
        self,
        missing: "Sequence[Draft]",
        outlook: "Outlook",
        sent: "dict[str, tuple[str, int]]",
    ) -> None:
        missing = [with_index(d, sent[d.packed.name][0]) if d.packed else d for d in missing]
        failed: set[Identifier] = set()
        problems: list[Problem] = []
        for batch in _batches(missing):
            ready = []
            for draft in batch:
                if _depends_on(draft, failed):
                    self._settle_dependent(draft, failed)
                else:
                    ready.append(draft)
            calls = [_creation(draft) for draft in ready]
            names = [f"Registering {draft.id.name}" for draft in ready]
            answers = self._client.call_each(calls, doing=names)
            for draft, answer in zip(ready, answers, strict=True):
                problem = _refusal(draft, answer)
                if problem is None and draft.pinned and isinstance(answer, RemoteError):
                    self._settle(draft, UNCHANGED, SAME_CONTENT)
                elif problem is None:
                    state, reason = outlook[draft.key]
                    size = sent[draft.packed.name][1] if draft.packed else 0
                    self._settle(draft, state, reason, uploaded=size)
                else:
                    failed.add(draft.id)
                    problems.append(problem)
                    self._settle(draft, FAILED, problem.message, (problem,))
        if problems:
            raise _failed(problems, f"{len(failed)} of {len(self._order)} were not registered.")

    def _settle_dependent(self, draft: Draft, failed: "set[Identifier]") -> None:
        failed.add(draft.id)
        self._settle(draft, FAILED, "what it uses could not be registered")

    def _stage(self, drafts: "Sequence[Draft]") -> "dict[str, tuple[str, int]]":
        # A task and the maps over it are one bundle.
        packed = {draft.packed.name: draft.packed for draft in drafts if draft.packed is not None}
        if not packed:
            return {}
        area = self._place.staging(self._client)
        staged = stage(list(packed.values()), area, on_progress=self._on_upload)
        return {item.task_name: (item.index_uri, item.sent_bytes) for item in staged}

    def _settle(
        self,
        draft: Draft,
        state: str,
        reason: str,
        problems: "Sequence[Problem]" = (),
        *,
        uploaded: int = 0,
    ) -> None:
        packed = draft.packed
        entity = RegisteredEntity(
            id=draft.id,
            state=state,
            why=reason,
            uploaded_bytes=uploaded,
            problems=tuple(problems),
            warnings=tuple(packed.warnings) if packed is not None else (),
            captured=tuple(packed.captured) if packed is not None else (),
        )
        self._fates[draft.key] = entity
        self._tell(entity)

    def _registration(self) -> Registration:
        entities = tuple(self._fates[key] for key in self._order if key in self._fates)
        return Registration(
            entities=entities,
            uploaded_bytes=sum(entity.uploaded_bytes for entity in entities),
            rpcs=self._client.rpcs,
            elapsed_s=time.perf_counter() - self._started,
        )


def _tasks_with_bundles(
    drafts: "Sequence[Draft]",
    sent: "Mapping[str, tuple[str, int]]",
    there: "Mapping[Identifier, Any]",
) -> "list[tuple[Identifier, str]]":
    """The tasks, new ones and known ones; empty in place of the bundle of one that has none."""
    found = []
    for draft in drafts:
        if draft.id.resource_type != TASK:
            continue
        bundle = ""
        if draft.packed is not None and draft.id in there:
            arguments = there[draft.id].closure.compiled_task.template.container.args
            bundle = arguments[-1] if arguments else ""
        elif draft.packed is not None:
            bundle = sent[draft.packed.name][0]
        found.append((draft.id, bundle))
    return found


def _creation(draft: Draft) -> "tuple[str, Any]":
    method, request = _REQUESTS[draft.id.resource_type]
    return method, request(id=identifier_to_idl(draft.id), spec=draft.message)


def _batches(drafts: "Sequence[Draft]") -> "Iterable[list[Draft]]":
    """Runs of entities of one kind that do not refer to each other: each is sent at once."""
    batch: list[Draft] = []
    ids: set[Identifier] = set()
    for draft in drafts:
        if batch and (
            batch[0].id.resource_type != draft.id.resource_type or _depends_on(draft, ids)
        ):
            yield batch
            batch, ids = [], set()
        batch.append(draft)
        ids.add(draft.id)
    if batch:
        yield batch


def _depends_on(draft: Draft, ids: "set[Identifier]") -> bool:
    if not ids:
        return False
    return any(reference in ids for reference in draft.references)


def _refusal(draft: Draft, answer: Any) -> "Problem | None":
    if not isinstance(answer, RemoteError) or answer.code == "ALREADY_EXISTS":
        return None
    if answer.code in ("UNAVAILABLE", "UNAUTHENTICATED", "DEADLINE_EXCEEDED"):
        raise answer  # not this entity's fault; the rest would fare the same
    if answer.code == "INVALID_ARGUMENT" and "different structure already exists" in answer.message:
        if draft.pinned:
            return Problem(
                "DifferentContent",
                f"Version {draft.id.version} is registered already, with other content.",
                hint="Give it another version, or none: then it follows from the content.",
                location=draft.entity.location,
                entity=draft.id.name,
            )
        # The version is the content's: another session has registered equal code since we looked,
        # from a bundle of other bytes.
        return None
    return Problem(answer.code, answer.message, hint=answer.hint, entity=draft.id.name)


def _failed(problems: "Sequence[Problem]", message: str) -> RegistrationFailed:
    return RegistrationFailed(message, problems)
