"""List the names of tasks, workflows and launch plans, and store a description and state of each.

A name stands for all versions that share it.
Source: flyteadmin/pkg/manager/impl/named_entity_manager.go, repositories/gormimpl/named_entity_repo.go.
"""

from flyteidl.admin import common_pb2
from flyteidl.core import identifier_pb2

from flyte_nb.admin import moments
from flyte_nb.admin.enums import check_enum, enum_text
from flyte_nb.admin.refused import entry_not_found, invalid, invalid_value, missing
from flyte_nb.admin.service_parts import Parts, Rpcs
from flyte_nb.admin.services.rules import check_fields, check_limit
from flyte_nb.admin.store.filters import order_by, parse_filters
from flyte_nb.admin.store.listing import next_token, offset_of
from flyte_nb.admin.store.resources import ENTITIES

_TABLES = {
    identifier_pb2.TASK: "tasks",
    identifier_pb2.WORKFLOW: "workflows",
    identifier_pb2.LAUNCH_PLAN: "launch_plans",
}
# Without a filter, lists leave out what was generated for tasks that are launched by themselves.
_GENERATED = "not_like(name,.flytegen%)"


class NamedEntities:
    """Serve the calls on names."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def rpcs(self) -> Rpcs:
        """Return the calls of this service by name."""
        return {
            "ListNamedEntities": self._list,
            "GetNamedEntity": self._get,
            "UpdateNamedEntity": self.update,
        }

    def _list(self, request: common_pb2.NamedEntityListRequest) -> common_pb2.NamedEntityList:
        table = _table(request.resource_type)
        check_fields(request, "project", "domain")
        check_limit(request.limit)
        conditions = parse_filters(request.filters or _GENERATED, ENTITIES)
        order = order_by(request.sort_by, ENTITIES) if request.sort_by.key else "entities.id"
        offset = offset_of(request.token, "ListNamedEntities")
        # The inner query cuts the page, the outer one filters, as in FlyteAdmin: a filtered page may
        # have fewer rows than its limit although more follow.
        rows = self._parts.database.all(
            f"""SELECT project, domain, name, description, state FROM (
                  SELECT e.id, e.created_at, e.created_at AS updated_at, NULL AS deleted_at,
                    e.project, e.domain, e.name, {request.resource_type} AS resource_type,
                    COALESCE(m.description, '') AS description, COALESCE(m.state, 0) AS state
                  FROM (SELECT MIN(id) AS id, MIN(created_at) AS created_at, project, domain, name
                        FROM {table} WHERE project = ? AND domain = ?
                        GROUP BY project, domain, name ORDER BY id LIMIT ? OFFSET ?) AS e
                  LEFT JOIN named_entity_metadata AS m
                    ON m.resource_type = {request.resource_type} AND m.project = e.project
                    AND m.domain = e.domain AND m.name = e.name) AS entities
                WHERE {" AND ".join(f"({condition.sql})" for condition in conditions)}
                ORDER BY {order}""",
            (
                request.project,
                request.domain,
                request.limit,
                offset,
                *(value for condition in conditions for value in condition.values),
            ),
        )
        return common_pb2.NamedEntityList(
            entities=[
                _entity(request.resource_type, (project, domain, name), description, state)
                for project, domain, name, description, state in rows
            ],
            token=next_token(offset, len(rows), request.limit),
        )

    def _get(self, request: common_pb2.NamedEntityGetRequest) -> common_pb2.NamedEntity:
        table = _table(request.resource_type)
        self._check_id(request)
        key = (request.id.project, request.id.domain, request.id.name)
        where = "project = ? AND domain = ? AND name = ?"
        if self._parts.database.one(f"SELECT 1 FROM {table} WHERE {where}", key) is None:
            raise entry_not_found()
        row = self._parts.database.one(
            "SELECT description, state FROM named_entity_metadata"
            f" WHERE resource_type = ? AND {where}",
            (request.resource_type, *key),
        )
        description, state = row if row is not None else ("", 0)
        return _entity(request.resource_type, key, description, state)

    def update(
        self, request: common_pb2.NamedEntityUpdateRequest
    ) -> common_pb2.NamedEntityUpdateResponse:
        """Set the description and state of a name that exists.

        Raises:
            Refused: `NOT_FOUND` for an unknown name, `INVALID_ARGUMENT` for an incomplete request.
        """
        check_enum(common_pb2.NamedEntityState, request.metadata.state, "state")
        self._get(
            common_pb2.NamedEntityGetRequest(resource_type=request.resource_type, id=request.id)
        )
        now = moments.text(self._parts.clock())
        with self._parts.database.write() as transaction:
            transaction.execute(
                """INSERT INTO named_entity_metadata (created_at, updated_at, resource_type, project,
                     domain, name, description, state) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
                   ON CONFLICT (resource_type, project, domain, name) DO UPDATE SET
                     updated_at = excluded.updated_at, description = excluded.description,
                     state = excluded.state""",
                (
                    now,
                    now,
                    request.resource_type,
                    request.id.project,
                    request.id.domain,
                    request.id.name,
                    request.metadata.description,
                    request.metadata.state,
                ),
            )
        return common_pb2.NamedEntityUpdateResponse()

    def _check_id(self, request: common_pb2.NamedEntityGetRequest) -> None:
        if not request.HasField("id"):
            raise missing("id")
        check_fields(request.id, "project", "domain", "name")


def _table(resource_type: identifier_pb2.ResourceType) -> str:
    if resource_type == identifier_pb2.UNSPECIFIED:
        raise invalid_value("resource_type")
    table = _TABLES.get(resource_type)
    if table is None:
        raise invalid(
            "Cannot list entity names for resource type:"
            f" {enum_text(identifier_pb2.ResourceType, resource_type)}"
        )
    return table


def _entity(
    resource_type: identifier_pb2.ResourceType,
    key: tuple[str, str, str],
    description: str,
    state: int,
) -> common_pb2.NamedEntity:
    project, domain, name = key
    return common_pb2.NamedEntity(
        resource_type=resource_type,
        id=common_pb2.NamedEntityIdentifier(project=project, domain=domain, name=name),
        metadata=common_pb2.NamedEntityMetadata(
            description=description,
            state=state,  # type: ignore[arg-type]  # the stubs have a type of their own for enums
        ),
    )
