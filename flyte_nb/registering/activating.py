"""Activate the launch plans whose author asked for it, so that their schedules start executions."""

from collections.abc import Mapping, Sequence

from flyteidl.admin.launch_plan_pb2 import ACTIVE, LaunchPlan, LaunchPlanUpdateRequest

from flyte_nb.api.errors import RemoteError
from flyte_nb.api.identifiers import Identifier
from flyte_nb.api.problems import Problem
from flyte_nb.client.admin_client import AdminClient
from flyte_nb.drafting.draft import Draft
from flyte_nb.wire.identifiers import identifier_to_idl


def activate(
    client: AdminClient, drafts: "Sequence[Draft]", there: "Mapping[Identifier, LaunchPlan]"
) -> "list[Problem]":
    """Activate those of the registered launch plans that ask for it and are not active; return what failed.

    Args:
        client: Calls FlyteAdmin.
        drafts: What is registered now.
        there: The registered launch plans that were looked up before, by id.
    """
    wanted = [
        draft
        for draft in drafts
        if draft.activates and not (draft.id in there and there[draft.id].closure.state == ACTIVE)
    ]
    if not wanted:
        return []
    requests = [
        LaunchPlanUpdateRequest(id=identifier_to_idl(draft.id), state=ACTIVE) for draft in wanted
    ]
    answers = client.call_all("UpdateLaunchPlan", requests)
    return [
        Problem(
            answer.code,
            f"It is registered, and could not be activated: {answer.message}",
            hint=answer.hint,
            location=draft.entity.location,
            entity=draft.id.name,
        )
        for draft, answer in zip(wanted, answers, strict=True)
        if isinstance(answer, RemoteError)
    ]
