"""Rows of projects. Every project has the same three domains."""

from flyteidl.admin import common_pb2, project_pb2

from flyte_nb.admin.refused import Refused, exists
from flyte_nb.admin.store.database import Database, Row

DOMAINS = ("development", "staging", "production")
COLUMNS = (
    "projects.identifier, projects.name, projects.description, projects.labels, projects.state"
)


class Projects:
    """The rows of all projects."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, identifier: str) -> "project_pb2.Project | None":
        """Return the project, or `None`."""
        row = self._database.one(
            f"SELECT {COLUMNS} FROM projects WHERE identifier = ?", (identifier,)
        )
        return message(row) if row is not None else None

    def state(self, identifier: str) -> "int | None":
        """Return the number of the project's state, or `None` for an unknown project."""
        row = self._database.one("SELECT state FROM projects WHERE identifier = ?", (identifier,))
        return int(row[0]) if row is not None else None

    def get(self, identifier: str) -> project_pb2.Project:
        """Return the project.

        Raises:
            Refused: `NOT_FOUND`.
        """
        project = self.find(identifier)
        if project is None:
            raise Refused("NOT_FOUND", f"project [{identifier}] not found")
        return project

    def add(self, project: project_pb2.Project, now: str) -> None:
        """Store a new project.

        Raises:
            Refused: `ALREADY_EXISTS`, when the id is taken.
        """
        with self._database.write() as transaction:
            if transaction.one("SELECT 1 FROM projects WHERE identifier = ?", (project.id,)):
                raise exists(f"A project with the id {project.id} already exists.")
            transaction.insert(
                "projects",
                {
                    "created_at": now,
                    "updated_at": now,
                    "identifier": project.id,
                    "name": project.name,
                    "description": project.description,
                    "labels": project.labels.SerializeToString(deterministic=True),
                    "state": project.state,
                },
            )

    def update(self, project: project_pb2.Project, now: str) -> None:
        """Replace the columns for which `project` has a value; empty fields change nothing.

        Raises:
            Refused: `NOT_FOUND`.
        """
        # FlyteAdmin updates with gorm, which skips zero values.
        columns: dict[str, object] = {"updated_at": now}
        if project.name:
            columns["name"] = project.name
        if project.description:
            columns["description"] = project.description
        if project.labels.values:
            columns["labels"] = project.labels.SerializeToString(deterministic=True)
        if project.state:
            columns["state"] = project.state
        with self._database.write() as transaction:
            row = transaction.one("SELECT id FROM projects WHERE identifier = ?", (project.id,))
            if row is None:
                raise Refused("NOT_FOUND", f"project [{project.id}] not found")
            transaction.update("projects", row[0], columns)


def message(row: Row) -> project_pb2.Project:
    """Return the project that a row of `COLUMNS` holds."""
    identifier, name, description, labels, state = row
    return project_pb2.Project(
        id=identifier,
        name=name,
        description=description,
        labels=common_pb2.Labels.FromString(labels),
        state=state,
        domains=[project_pb2.Domain(id=domain, name=domain) for domain in DOMAINS],
    )
