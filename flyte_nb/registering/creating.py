"""Create drafts on FlyteAdmin, in dependency order, many calls at a time.

FlyteAdmin refuses an entity whose references are not registered yet. So entities are sent in batches: within
a batch no entity refers to another, and a batch is sent when all answers to the one before it are there.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from flyteidl.admin.launch_plan_pb2 import LaunchPlanCreateRequest
from flyteidl.admin.task_pb2 import TaskCreateRequest
from flyteidl.admin.workflow_pb2 import WorkflowCreateRequest
from google.protobuf.message import Message

from flyte_nb.api.errors import RemoteError
from flyte_nb.api.identifiers import LAUNCH_PLAN, TASK, WORKFLOW, Identifier
from flyte_nb.api.problems import Problem
from flyte_nb.client.admin_client import AdminClient
from flyte_nb.drafting.draft import Draft
from flyte_nb.wire.identifiers import identifier_to_idl

CREATED = "created"
EXISTED = "existed"
"""Another session created it after this one had looked."""
REFUSED = "refused"
BLOCKED = "blocked"
"""It was not sent, because something that it refers to was refused."""

_REQUESTS: "dict[str, tuple[str, Any]]" = {
    TASK: ("CreateTask", TaskCreateRequest),
    WORKFLOW: ("CreateWorkflow", WorkflowCreateRequest),
    LAUNCH_PLAN: ("CreateLaunchPlan", LaunchPlanCreateRequest),
}

_NOBODYS_FAULT = ("UNAVAILABLE", "UNAUTHENTICATED", "DEADLINE_EXCEEDED")
"""Codes that say nothing about the entity that was sent: the next one would get the same answer."""


class Creation(NamedTuple):
    """What became of one draft."""

    draft: Draft
    outcome: str
    """`CREATED`, `EXISTED`, `REFUSED` or `BLOCKED`."""
    problem: "Problem | None" = None
    """Why FlyteAdmin refused it; `None` unless `outcome` is `REFUSED`."""


def create(client: AdminClient, drafts: "Sequence[Draft]") -> "Iterator[Creation]":
    """Create the drafts on FlyteAdmin; yield what became of each, as soon as it is known.

    A refusal does not stop the others: only what refers to a refused entity is not sent.

    Args:
        client: Calls FlyteAdmin.
        drafts: Complete drafts in dependency order.

    Raises:
        RemoteError: FlyteAdmin cannot be reached, accepts no token, or does not answer in time.
    """
    failed: set[Identifier] = set()
    for batch in _batches(drafts):
        ready: list[Draft] = []
        for draft in batch:
            if _depends_on(draft, failed):
                failed.add(draft.id)
                yield Creation(draft, BLOCKED)
            else:
                ready.append(draft)
        calls = [_call_for(draft) for draft in ready]
        names = [f"Registering {draft.id.name}" for draft in ready]
        answers = client.call_each(calls, doing=names)
        for draft, answer in zip(ready, answers, strict=True):
            problem = _refusal(draft, answer)
            if problem is not None:
                failed.add(draft.id)
                yield Creation(draft, REFUSED, problem)
            else:
                yield Creation(draft, EXISTED if isinstance(answer, RemoteError) else CREATED)


def _call_for(draft: Draft) -> "tuple[str, Message]":
    method, request = _REQUESTS[draft.id.resource_type]
    return method, request(id=identifier_to_idl(draft.id), spec=draft.message)


def _batches(drafts: "Sequence[Draft]") -> "Iterator[list[Draft]]":
    """Yield runs of drafts of one resource type that do not refer to each other."""
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
    """Return whether the draft refers to one of these entities."""
    # Mostly nothing has failed, and a workflow may have thousands of references.
    if not ids:
        return False
    return any(reference in ids for reference in draft.references)


def _refusal(draft: Draft, answer: "Message | RemoteError") -> "Problem | None":
    """Return the problem of a refused draft; `None` when it is registered now.

    Raises:
        RemoteError: the answer says nothing about this draft.
    """
    if not isinstance(answer, RemoteError) or answer.code == "ALREADY_EXISTS":
        return None
    if answer.code in _NOBODYS_FAULT:
        raise answer
    # FlyteAdmin has no code of its own for "this version exists with other content".
    if answer.code == "INVALID_ARGUMENT" and "different structure already exists" in answer.message:
        if draft.pinned:
            return Problem(
                "DifferentContent",
                f"Version {draft.id.version} is registered already, with other content.",
                hint="Give it another version, or none: then it follows from the content.",
                location=draft.entity.location,
                entity=draft.id.name,
            )
        # The version was computed from the content. So another session has registered equal code
        # since this one looked, and its bundle has other bytes.
        return None
    return Problem(answer.code, answer.message, hint=answer.hint, entity=draft.id.name)
