"""Get and list registered tasks, workflows and launch plans: the same three calls for each noun."""

from typing import NamedTuple

from flyteidl.admin import common_pb2

from flyte_nb.admin.refused import invalid, missing
from flyte_nb.admin.service_parts import Rpcs
from flyte_nb.admin.services.rules import check_fields, check_identifier, check_limit
from flyte_nb.admin.store.entities import LAUNCH_PLANS, Entities
from flyte_nb.admin.store.filters import Condition, order_by, parse_filters
from flyte_nb.admin.store.listing import equals, message_list, next_token, offset_of


class _Names(NamedTuple):
    """The names of one noun's three calls."""

    get: str
    list: str
    list_ids: str
    get_is_checked: bool = True
    """FlyteAdmin looks a task up without checking its id: a wrong one is NOT_FOUND."""


_NAMES = {
    "TASK": _Names("GetTask", "ListTasks", "ListTaskIds", get_is_checked=False),
    "WORKFLOW": _Names("GetWorkflow", "ListWorkflows", "ListWorkflowIds"),
    "LAUNCH_PLAN": _Names("GetLaunchPlan", "ListLaunchPlans", "ListLaunchPlanIds"),
}
# What FlyteAdmin calls each call when it refuses a page token; not always the name of the call.
_TOKEN_TEXTS = {
    "ListTaskIds": "ListUniqueTaskIdentifiers",
    "ListWorkflowIds": "ListWorkflowIdentifiers",
    "ListLaunchPlanIds": "ListLaunchPlanIds",
}


class EntityReads:
    """Serve the calls that read one noun."""

    def __init__(self, entities: Entities) -> None:
        self._entities = entities
        self._names = _NAMES[entities.noun.label]
        self._resource = entities.noun.resource

    def rpcs(self) -> Rpcs:
        """Return the noun's three calls by name."""
        return {
            self._names.get: self._get,
            self._names.list: self._list,
            self._names.list_ids: self._list_ids,
        }

    def _get(self, request: common_pb2.ObjectGetRequest) -> bytes:
        if self._names.get_is_checked:
            check_identifier(request.id, request.HasField("id"), self._entities.noun.resource_type)
        return self._entities.message(request.id)

    def _list(self, request: common_pb2.ResourceListRequest) -> bytes:
        if not request.HasField("id"):
            raise missing("id")
        check_fields(request.id, "project", "domain")
        check_limit(request.limit)
        page = self._entities.page(
            [*self._in(request.id), *parse_filters(request.filters, self._resource)],
            order=order_by(request.sort_by, self._resource),
            limit=request.limit,
            offset=offset_of(request.token, self._names.list),
        )
        return message_list([row[0] for row in page.rows], page.token)

    def _list_ids(
        self, request: common_pb2.NamedEntityIdentifierListRequest
    ) -> common_pb2.NamedEntityIdentifierList:
        # For launch plans FlyteAdmin checks less here, in other words.
        if self._entities.noun is LAUNCH_PLANS:
            if request.limit == 0:
                raise invalid("missing and/or invalid parameters: limit")
        else:
            check_fields(request, "project", "domain")
            check_limit(request.limit)
        key = request.sort_by.key
        order = order_by(request.sort_by, self._resource).partition(",")[0] if key else "first"
        offset = offset_of(request.token, _TOKEN_TEXTS[self._names.list_ids])
        names = self._entities.names(
            [
                *equals(self._resource, project=request.project, domain=request.domain),
                *parse_filters(request.filters, self._resource),
            ],
            order=order,
            limit=request.limit,
            offset=offset,
        )
        return common_pb2.NamedEntityIdentifierList(
            entities=[
                common_pb2.NamedEntityIdentifier(project=project, domain=domain, name=name)
                for project, domain, name in names
            ],
            token=next_token(offset, len(names), request.limit),
        )

    def _in(self, identifier: common_pb2.NamedEntityIdentifier) -> list[Condition]:
        return equals(
            self._resource,
            project=identifier.project,
            domain=identifier.domain,
            name=identifier.name,
        )
