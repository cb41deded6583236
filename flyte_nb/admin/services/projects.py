"""Serve the calls on projects and domains. Source: flyteadmin/pkg/manager/impl/project_manager.go."""

from flyteidl.admin import project_pb2

from flyte_nb.admin import moments
from flyte_nb.admin.refused import missing
from flyte_nb.admin.service_parts import Parts, Rpcs
from flyte_nb.admin.services.rules import check_project
from flyte_nb.admin.store.filters import Condition, order_by, parse_filters
from flyte_nb.admin.store.listing import offset_of, page
from flyte_nb.admin.store.projects import COLUMNS, DOMAINS, message
from flyte_nb.admin.store.resources import PROJECT


class ProjectsService:
    """Serve the calls that register, update and list projects."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def rpcs(self) -> Rpcs:
        """Return the calls of this service by name."""
        return {
            "RegisterProject": self._register,
            "UpdateProject": self._update,
            "GetProject": self._get,
            "ListProjects": self._list,
            "GetDomains": self._domains,
        }

    def _register(
        self, request: project_pb2.ProjectRegisterRequest
    ) -> project_pb2.ProjectRegisterResponse:
        if not request.HasField("project"):
            raise missing("project")
        if not request.project.name:
            raise missing("project_name")
        check_project(request.project)
        self._parts.projects.add(request.project, moments.text(self._parts.clock()))
        return project_pb2.ProjectRegisterResponse()

    def _update(self, request: project_pb2.Project) -> project_pb2.ProjectUpdateResponse:
        self._parts.projects.get(request.id)
        check_project(request)
        self._parts.projects.update(request, moments.text(self._parts.clock()))
        return project_pb2.ProjectUpdateResponse()

    def _get(self, request: project_pb2.ProjectGetRequest) -> project_pb2.Project:
        if not request.id:
            raise missing("project_id")
        return self._parts.projects.get(request.id)

    def _list(self, request: project_pb2.ProjectListRequest) -> project_pb2.Projects:
        conditions = parse_filters(request.filters, PROJECT)
        # FlyteAdmin hides archived projects unless a filter is given, whatever it filters by.
        if not conditions:
            conditions = [Condition("projects.state <> ?", (project_pb2.Project.ARCHIVED,))]
        found = page(
            self._parts.database,
            PROJECT,
            conditions,
            select=COLUMNS,
            order=order_by(request.sort_by, PROJECT, default="identifier ASC"),
            limit=request.limit,
            offset=offset_of(request.token, "ListProjects"),
        )
        return project_pb2.Projects(
            projects=[message(row) for row in found.rows], token=found.token
        )

    def _domains(self, request: project_pb2.GetDomainRequest) -> project_pb2.GetDomainsResponse:
        return project_pb2.GetDomainsResponse(
            domains=[project_pb2.Domain(id=domain, name=domain) for domain in DOMAINS]
        )
