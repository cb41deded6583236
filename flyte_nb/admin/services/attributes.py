"""Keep what a project or a domain of it sets for all its executions (`WORKFLOW_EXECUTION_CONFIG`).

Source: flyteadmin/pkg/manager/impl/resources/resource_manager.go at v1.16.8.
"""

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
"""The fields that executions here use. Others are refused, because they would have no effect."""

Config = matchable_resource_pb2.WorkflowExecutionConfig


class Attributes:
    """Serve the calls on attributes: one configuration a project, and one for each of its domains."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def rpcs(self) -> Rpcs:
        """Return the calls of this service by name."""
        return {
            "UpdateProjectAttributes": self._update_project,
            "GetProjectAttributes": self._get_project,
            "DeleteProjectAttributes": self._delete_project,
            "UpdateProjectDomainAttributes": self._update_domain,
            "GetProjectDomainAttributes": self._get_domain,
            "DeleteProjectDomainAttributes": self._delete_domain,
        }

    def of(self, project: str, domain: str) -> Config:
        """Return the configuration of executions there: the domain's fields over the project's."""
        config = Config()
        # The project's own row has an empty domain. `MergeFrom` overwrites field by field.
        for place in ("", domain):
            stored = self._stored(project, place)
            if stored is not None:
                config.MergeFrom(stored)
        return config

    def _update_project(
        self, request: project_attributes_pb2.ProjectAttributesUpdateRequest
    ) -> project_attributes_pb2.ProjectAttributesUpdateResponse:
        given = request.attributes
        self._update(given.project, "", given.matching_attributes)
        return project_attributes_pb2.ProjectAttributesUpdateResponse()

    def _get_project(
        self, request: project_attributes_pb2.ProjectAttributesGetRequest
    ) -> project_attributes_pb2.ProjectAttributesGetResponse:
        self._check(request.project, "", request.resource_type)
        config = self._stored(request.project, "")
        if config is None:
            # FlyteAdmin answers its defaults for a project without a row, and NOT_FOUND for a domain.
            config = Config(max_parallelism=DEFAULT_PARALLELISM)
        answer = project_attributes_pb2.ProjectAttributesGetResponse()
        answer.attributes.project = request.project
        answer.attributes.matching_attributes.workflow_execution_config.CopyFrom(config)
        return answer

    def _delete_project(
        self, request: project_attributes_pb2.ProjectAttributesDeleteRequest
    ) -> project_attributes_pb2.ProjectAttributesDeleteResponse:
        self._delete(request, "")
        return project_attributes_pb2.ProjectAttributesDeleteResponse()

    def _update_domain(
        self, request: project_domain_attributes_pb2.ProjectDomainAttributesUpdateRequest
    ) -> project_domain_attributes_pb2.ProjectDomainAttributesUpdateResponse:
        given = request.attributes
        if not given.domain:
            raise missing("domain")
        self._update(given.project, given.domain, given.matching_attributes)
        return project_domain_attributes_pb2.ProjectDomainAttributesUpdateResponse()

    def _get_domain(
        self, request: project_domain_attributes_pb2.ProjectDomainAttributesGetRequest
    ) -> project_domain_attributes_pb2.ProjectDomainAttributesGetResponse:
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

    def _delete_domain(
        self, request: project_domain_attributes_pb2.ProjectDomainAttributesDeleteRequest
    ) -> project_domain_attributes_pb2.ProjectDomainAttributesDeleteResponse:
        self._delete(request, request.domain)
        return project_domain_attributes_pb2.ProjectDomainAttributesDeleteResponse()

    def _update(
        self, project: str, domain: str, given: matchable_resource_pb2.MatchingAttributes
    ) -> None:
        if given.WhichOneof("target") != "workflow_execution_config":
            raise invalid(
                "Unrecognized matching attributes type for request: this backend stores only a"
                " workflow_execution_config"
            )
        self._check(project, domain, _KIND)
        config = given.workflow_execution_config
        unknown = sorted(
            field.name for field, _ in config.ListFields() if field.name not in _FIELDS
        )
        if unknown:
            raise invalid(
                f"{', '.join(unknown)} of a workflow_execution_config would have no effect on this"
                f" backend; set only {', '.join(sorted(_FIELDS))}"
            )
        with self._parts.database.write() as transaction:
            transaction.execute(
                "INSERT OR REPLACE INTO attributes (project, domain, message) VALUES (?, ?, ?)",
                (project, domain, config.SerializeToString()),
            )

    def _delete(
        self,
        request: "project_attributes_pb2.ProjectAttributesDeleteRequest"
        " | project_domain_attributes_pb2.ProjectDomainAttributesDeleteRequest",
        domain: str,
    ) -> None:
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
            raise invalid("this backend stores attributes of WORKFLOW_EXECUTION_CONFIG only")

    def _stored(self, project: str, domain: str) -> "Config | None":
        row = self._parts.database.one(
            "SELECT message FROM attributes WHERE project = ? AND domain = ?", (project, domain)
        )
        return None if row is None else Config.FromString(row[0])
