"""Register entities: pack, compile and check everything first, then send what is new, in order.

Interrupted anywhere, a registration can be run again. Entities are created after what they refer to,
creating one twice is harmless, and staged objects are found again by their content.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from flyteidl.admin.common_pb2 import ObjectGetRequest
from flyteidl.admin.task_pb2 import Task

from flyte_nb.api.errors import CompileFailed, RegistrationFailed, RemoteError
from flyte_nb.api.identifiers import TASK, WORKFLOW, Identifier
from flyte_nb.api.ports import Entity
from flyte_nb.api.problems import Problem
from flyte_nb.bundle.stage import StagingProgress, planned_index, stage
from flyte_nb.client.admin_client import AdminClient
from flyte_nb.drafting.draft import Draft, all_problems, with_index
from flyte_nb.registering import registered
from flyte_nb.registering.activating import activate
from flyte_nb.registering.creating import BLOCKED, EXISTED, create
from flyte_nb.registering.lookup import by_place, lookup_in
from flyte_nb.registering.place import Place, drafts_for
from flyte_nb.registering.reasons import RESTAGED, SAME, SAME_CONTENT, why
from flyte_nb.registering.restaging import RestageOutcome, restage
from flyte_nb.registering.views import (
    CHANGED,
    FAILED,
    NEW,
    UNCHANGED,
    RegisteredEntity,
    Registration,
)

EntityListener = Callable[[RegisteredEntity], None]
"""Called with each entity as soon as its state is known."""

UploadListener = Callable[[StagingProgress], None]
"""Called with how far the uploads are: when they begin, and after each object."""

Key = tuple[str, str]
"""Resource type and full name."""


class _StagedBundle(NamedTuple):
    """Where one task's bundle was staged."""

    index_uri: str
    sent_bytes: int


class _Outlook(NamedTuple):
    """The state and the reason that a registration will report for an entity."""

    state: str
    """`NEW` or `CHANGED`."""
    why: str


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
    """Register the entities and all they refer to; return what was new, changed and unchanged, and why.

    Args:
        client: Calls FlyteAdmin. The calls of this registration are counted.
        place: Scope, types, image and staging.
        entities: Tasks, workflows, launch plans.
        on_progress: Called with each entity when its state is known.
        on_upload: Called with how far the uploads are.
        dry_run: Send nothing; return what would be done. Problems are in the answer, and not raised.
        restage: Look also at the staged code of registered tasks, in whatever store it is, and stage
            again what is missing or damaged. This costs one request for each object.

    Raises:
        RegistrationFailed: something does not compile or cannot be packed, and nothing was sent; or
            FlyteAdmin refused an entity. The error has every problem.
        RemoteError: FlyteAdmin cannot be reached.
        StorageError: a bundle cannot be staged.
        KeyboardInterrupt: the person interrupted; every entity that is registered by then is complete.
    """
    run = _Run(client.metered(), place, on_progress, on_upload, restage=restage)
    try:
        return run.go(list(entities), dry_run)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            "The registration was interrupted. What is registered is complete; register again to go on"
            " with the rest."
        ) from None


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
        self._report = on_progress or (lambda entity: None)
        self._on_upload = on_upload
        self._started = time.perf_counter()
        self._settled: dict[Key, RegisteredEntity] = {}
        self._order: list[Key] = []

    def go(self, entities: "list[Entity]", dry_run: bool) -> Registration:
        """Carry out the registration; see `register`.

        Raises:
            RegistrationFailed: there are problems.
        """
        drafts = self._draft(entities)
        self._order = [draft.key for draft in drafts]
        # Nothing is sent while anything is wrong: half a registration helps nobody.
        problems = all_problems(drafts)
        if problems:
            for draft in drafts:
                if draft.problems:
                    self._settle(draft, FAILED, draft.problems[0].message, draft.problems)
            if dry_run:
                return self._registration()
            raise _failed(problems, "Nothing was registered: these problems come first.")
        # A version that its author gave may be registered with other content, and a list of names and
        # versions does not show that. So such an entity is sent, and FlyteAdmin compares.
        asked = drafts if dry_run else [draft for draft in drafts if not draft.pinned]
        there = by_place(registered.existing, self._client, [draft.id for draft in asked])
        missing = [draft for draft in drafts if draft.id not in there]
        outlook = self._outlook(missing) if missing else {}
        # Registered tasks are staged again with the new ones: a whole object is not sent twice.
        restaged = [draft for draft in drafts if self._is_restaged_equal(draft, there)]
        staged = {} if dry_run else self._stage([*missing, *restaged])
        # Before the tasks are created: an execution may start as soon as its launch plan is there.
        if self._place.keep is not None and not dry_run:
            self._place.keep(self._client, _tasks_with_bundles(drafts, staged, there))
        outcomes = self._restage(drafts, there, dry_run)
        self._settle_unchanged(drafts, missing, staged, outcomes)
        if dry_run:
            for draft in missing:
                self._settle(draft, outlook[draft.key].state, outlook[draft.key].why)
        else:
            self._create(missing, outlook, staged)
            # Damage that cannot be repaired must not stop what is new, so it is raised last.
            lasting = [found.problem for found in outcomes.values() if found.problem is not None]
            if lasting:
                raise _failed(lasting, "Some of the staged code is damaged.")
            inactive = activate(self._client, drafts, there)
            if inactive:
                raise _failed(inactive, "Some launch plans are registered and not active.")
        return self._registration()

    def _draft(self, entities: "list[Entity]") -> "list[Draft]":
        try:
            return drafts_for(self._place, entities, lookup_in(self._client))
        except CompileFailed as error:
            raise _failed(error.problems, "Nothing was registered.") from error

    def _outlook(self, missing: "Sequence[Draft]") -> "dict[Key, _Outlook]":
        """Return state and reason of every entity that is not registered yet."""
        before = by_place(registered.latest, self._client, [draft.id for draft in missing])
        known = [
            draft for draft in missing if draft.id.resource_type == WORKFLOW and draft.key in before
        ]
        # FlyteAdmin's lists leave out the templates of workflows.
        requests = [ObjectGetRequest(id=before[draft.key].id) for draft in known]
        templates = {}
        for draft, answer in zip(
            known, self._client.call_all("GetWorkflow", requests), strict=True
        ):
            if not isinstance(answer, RemoteError):  # a refusal only makes the reason less exact
                templates[draft.key] = answer.closure.compiled_workflow.primary.template
        outlook = {}
        for draft in missing:
            old = before.get(draft.key)
            reason = why(draft, old, templates.get(draft.key))
            outlook[draft.key] = _Outlook(NEW if old is None else CHANGED, reason)
        return outlook

    def _is_restaged_equal(self, draft: Draft, there: "Mapping[Identifier, Any]") -> bool:
        """Return whether staging this registered task again writes the very bytes its template names.

        Code with an equal fingerprint may be packed to other bytes, for example when lines moved. Its
        bundle would get another index, which no registered template names.
        """
        if draft.packed is None or draft.id not in there or not self._place.staged_at:
            return False
        planned = planned_index(draft.packed, self._place.staged_at)
        return planned in _arguments(there[draft.id])

    def _stage(self, drafts: "Sequence[Draft]") -> "dict[str, _StagedBundle]":
        """Stage the bundles of the drafts; return where each is, by the name of its task."""
        # A task and the maps over it share one bundle.
        packed = {draft.packed.name: draft.packed for draft in drafts if draft.packed is not None}
        if not packed:
            return {}
        area = self._place.staging(self._client)
        staged = stage(list(packed.values()), area, on_progress=self._on_upload)
        return {item.task_name: _StagedBundle(item.index_uri, item.sent_bytes) for item in staged}

    def _restage(
        self, drafts: "list[Draft]", there: "Mapping[Identifier, Any]", dry_run: bool
    ) -> "dict[Identifier, RestageOutcome]":
        """Look at the bundles of registered tasks, when the caller asked for it; repair what is damaged."""
        objects = self._place.objects
        if not self._restages or objects is None:
            return {}
        area = self._place.staging(self._client)
        return restage(drafts, there, objects, area, dry_run=dry_run)

    def _settle_unchanged(
        self,
        drafts: "list[Draft]",
        missing: "list[Draft]",
        staged: "dict[str, _StagedBundle]",
        outcomes: "Mapping[Identifier, RestageOutcome]",
    ) -> None:
        """Report every entity that is registered already."""
        new = {draft.key for draft in missing}
        for draft in drafts:
            if draft.key in new:
                continue
            same = SAME if draft.id.resource_type == TASK else SAME_CONTENT
            found = outcomes.get(draft.id, RestageOutcome())
            if found.problem is not None:
                self._settle(draft, FAILED, found.problem.message, (found.problem,))
                continue
            size = found.sent_bytes
            if draft.packed is not None and draft.packed.name in staged:
                size += staged[draft.packed.name].sent_bytes
            # Bytes were sent for a registered task only because they were missing or damaged.
            reason = f"{same}; {RESTAGED}" if size or found.is_damaged else same
            self._settle(draft, UNCHANGED, reason, uploaded=size)

    def _create(
        self,
        missing: "Sequence[Draft]",
        outlook: "Mapping[Key, _Outlook]",
        staged: "Mapping[str, _StagedBundle]",
    ) -> None:
        """Create what is missing on FlyteAdmin; report each entity.

        Raises:
            RegistrationFailed: FlyteAdmin refused at least one entity.
        """
        complete = [
            with_index(draft, staged[draft.packed.name].index_uri) if draft.packed else draft
            for draft in missing
        ]
        problems: list[Problem] = []
        not_registered = 0
        for draft, outcome, problem in create(self._client, complete):
            if problem is not None:
                not_registered += 1
                problems.append(problem)
                self._settle(draft, FAILED, problem.message, (problem,))
            elif outcome == BLOCKED:
                not_registered += 1
                self._settle(draft, FAILED, "what it uses could not be registered")
            elif outcome == EXISTED and draft.pinned:
                self._settle(draft, UNCHANGED, SAME_CONTENT)
            else:
                size = staged[draft.packed.name].sent_bytes if draft.packed else 0
                state, reason = outlook[draft.key]
                self._settle(draft, state, reason, uploaded=size)
        if problems:
            raise _failed(problems, f"{not_registered} of {len(self._order)} were not registered.")

    def _settle(
        self,
        draft: Draft,
        state: str,
        reason: str,
        problems: "Sequence[Problem]" = (),
        *,
        uploaded: int = 0,
    ) -> None:
        """Record the state of an entity, and report it to the caller's listener."""
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
        self._settled[draft.key] = entity
        self._report(entity)

    def _registration(self) -> Registration:
        entities = tuple(self._settled[key] for key in self._order if key in self._settled)
        return Registration(
            entities=entities,
            uploaded_bytes=sum(entity.uploaded_bytes for entity in entities),
            rpcs=self._client.rpcs,
            elapsed_s=time.perf_counter() - self._started,
        )


def _tasks_with_bundles(
    drafts: "Sequence[Draft]",
    staged: "Mapping[str, _StagedBundle]",
    there: "Mapping[Identifier, Any]",
) -> "list[tuple[Identifier, str]]":
    """Return every task, new or known, with its bundle's index; with an empty text when it has no bundle."""
    found = []
    for draft in drafts:
        if draft.id.resource_type != TASK:
            continue
        bundle = ""
        if draft.packed is not None and draft.id in there:
            # The registered template may name another bundle than the one that the code packs to now.
            arguments = _arguments(there[draft.id])
            bundle = arguments[-1] if arguments else ""
        elif draft.packed is not None:
            bundle = staged[draft.packed.name].index_uri
        found.append((draft.id, bundle))
    return found


def _arguments(task: Task) -> "Sequence[str]":
    """Return the arguments of a registered task's container."""
    return task.closure.compiled_task.template.container.args


def _failed(problems: "Sequence[Problem]", message: str) -> RegistrationFailed:
    return RegistrationFailed(message, problems)
