"""What a project, or a domain of it, asks for all its executions (`WORKFLOW_EXECUTION_CONFIG`).

Source: flyteadmin/pkg/manager/impl/resources/resource_manager.go.
"""

from typing import Any

from flyteidl.admin import (
    matchable_resource_pb2,
    project_attributes_pb2,
    project_domain_attributes_pb2,
)

from flyte_nb.admin.refused import Refused, invalid, missing
from flyte_nb.admin.service_parts import Parts, Rpcs
from flyte_nb.admin.services.rules import check_project_and_domain
from flyte_nb.propeller.launch import DEFAULT_PARALLELISM

_KIND = matchable_resource_pb2.WORKFLOW_EXECUTION_CONFIG
_FIELDS = frozenset({"envs", "max_parallelism", "overwrite_cache", "raw_output_data_config"})
"""What executions here go by; a field that nothing would come of is refused."""

Config = matchable_resource_pb2.WorkflowExecutionConfig


class Attributes:
    """Keeps one configuration for a project and one for each of its domains."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def rpcs(self) -> Rpcs:
        """The calls of this service."""
        return {
            "UpdateProjectAttributes": self._update_project,
            "GetProjectAttributes": self._get_project,
            "DeleteProjectAttributes": self._delete_project,
            "UpdateProjectDomainAttributes": self._update_domain,
            "GetProjectDomainAttributes": self._get_domain,
            "DeleteProjectDomainAttributes": self._delete_domain,
        }

    def of(self, project: str, domain: str) -> Config:
        """Return what holds for executions there: the domain's fields over the project's."""
        config = Config()
        for place in ("", domain):
            stored = self._stored(project, place)
            if stored is not None:
                config.MergeFrom(stored)
        return config

    def _update_project(self, request: Any) -> Any:
        given = request.attributes
        self._update(given.project, "", given.matching_attributes)
        return project_attributes_pb2.ProjectAttributesUpdateResponse()

    def _get_project(self, request: Any) -> Any:
        self._check(request.project, "", request.resource_type)
        config = self._stored(request.project, "")
        if config is None:
            config = Config(max_parallelism=DEFAULT_PARALLELISM)
        answer = project_attributes_pb2.ProjectAttributesGetResponse()
        answer.attributes.project = request.project
        answer.attributes.matching_attributes.workflow_execution_config.CopyFrom(config)
        return answer

    def _delete_project(self, request: Any) -> Any:
        self._delete(request, "")
        return project_attributes_pb2.ProjectAttributesDeleteResponse()

    def _update_domain(self, request: Any) -> Any:
        given = request.attributes
        if not given.domain:
            raise missing("domain")
        self._update(given.project, given.domain, given.matching_attributes)
        return project_domain_attributes_pb2.ProjectDomainAttributesUpdateResponse()

    def _get_domain(self, request: Any) -> Any:
        self._check(request.project, request.domain, request.resource_type)
        config = self._stored(request.project, request.domain)
        if config is None:
            config = self._stored(request.project, "")
        if config is None:
            raise Refused(
                "NOT_FOUND",
                f"Resource [{{Project:{request.project} Domain:{request.domain}"
                " ResourceType:WORKFLOW_EXECUTION_CONFIG}] not found",
            )
        answer = project_domain_attributes_pb2.ProjectDomainAttributesGetResponse()
        answer.attributes.project, answer.attributes.domain = request.project, request.domain
        answer.attributes.matching_attributes.workflow_execution_config.CopyFrom(config)
        return answer

    def _delete_domain(self, request: Any) -> Any:
        self._delete(request, request.domain)
        return project_domain_attributes_pb2.ProjectDomainAttributesDeleteResponse()

    def _update(self, project: str, domain: str, given: Any) -> None:
        if given.WhichOneof("target") != "workflow_execution_config":
            raise invalid(
                "Unrecognized matching attributes type for request: this backend keeps a"
                " workflow_execution_config alone"
            )
        self._check(project, domain, _KIND)
        config = given.workflow_execution_config
        unknown = sorted(
            field.name for field, _ in config.ListFields() if field.name not in _FIELDS
        )
        if unknown:
            raise invalid(
                f"this backend goes by {', '.join(sorted(_FIELDS))} of a workflow_execution_config,"
                f" and not by {', '.join(unknown)}"
            )
        with self._parts.database.write() as transaction:
            transaction.execute(
                "INSERT OR REPLACE INTO attributes (project, domain, message) VALUES (?, ?, ?)",
                (project, domain, config.SerializeToString()),
            )

    def _delete(self, request: Any, domain: str) -> None:
        self._check(request.project, domain, request.resource_type)
        with self._parts.database.write() as transaction:
            transaction.execute(
                "DELETE FROM attributes WHERE project = ? AND domain = ?",
                (request.project, domain),
            )

    def _check(self, project: str, domain: str, kind: int) -> None:
        if not project:
            raise missing("project")
        if domain:
            check_project_and_domain(self._parts.projects, project, domain)
        else:
            self._parts.projects.get(project)
        if kind != _KIND:
            raise invalid("this backend keeps attributes of WORKFLOW_EXECUTION_CONFIG alone")

    def _stored(self, project: str, domain: str) -> "Config | None":
        row = self._parts.database.one(
            "SELECT message FROM attributes WHERE project = ? AND domain = ?", (project, domain)
        )
        return None if row is None else Config.FromString(row[0])
