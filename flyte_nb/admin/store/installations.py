"""Which Python installation registered which task. Rows are only ever added.

A version that is registered again keeps its row in `tasks` and gets another row here. A run must not
change its Python because somebody registers meanwhile: its row in `executions` holds the last id of
the moment it was created, and later rows do not count for it.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from flyte_nb.admin.store.database import Database, Transaction
from flyte_nb.admin.store.schema import OF_EXECUTION
from flyte_nb.api.identifiers import ExecutionId, Identifier

_KEY = "project = :project AND domain = :domain AND name = :name AND version = :version"
# A registration by the same installation as the last one adds no row.
_ADD = f"""INSERT INTO task_installations (project, domain, name, version, bundle, installation_id)
    SELECT :project, :domain, :name, :version, :bundle, :installation
    WHERE COALESCE((SELECT installation_id FROM task_installations WHERE {_KEY}
                    ORDER BY id DESC LIMIT 1), 0) <> :installation"""
# The newest row up to `last` wins. If all rows are newer, the oldest of them is the nearest.
_FIND = """SELECT document FROM task_installations JOIN installations
    ON installations.id = task_installations.installation_id WHERE {of}
    ORDER BY task_installations.id <= :last DESC,
        CASE WHEN task_installations.id <= :last THEN -task_installations.id
        ELSE task_installations.id END LIMIT 1"""
_LAST = f"SELECT installations FROM executions WHERE {OF_EXECUTION}"


class TaskBundle(NamedTuple):
    """A task, and the URI of the bundle that it is loaded from (empty without a bundle)."""

    id: Identifier
    bundle: str = ""


class Installations:
    """The rows of installations, and of the tasks that they registered."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def keep(self, document: str, tasks: Iterable[TaskBundle]) -> None:
        """Store that the installation in `document` registered those tasks."""
        with self._database.write() as transaction:
            transaction.execute(
                "INSERT OR IGNORE INTO installations (document) VALUES (?)", (document,)
            )
            row = transaction.one("SELECT id FROM installations WHERE document = ?", (document,))
            installation = row[0] if row is not None else 0
            for task in tasks:
                transaction.execute(_ADD, _values(task, installation=installation))

    def of(self, execution: ExecutionId, task: TaskBundle) -> "str | None":
        """Return the document of the installation with which the execution's attempts at `task` run.

        A task inside of a dynamic one is not registered itself. It is found by its bundle, which is that
        of the dynamic task.

        Returns:
            `None`, when no installation registered the task, e.g. when flytekit did.
        """
        row = self._database.one(_LAST, execution)
        # 0: an execution of an earlier release, which stored no id. Then the newest row counts.
        last = (row[0] if row is not None else 0) or 2**62
        found = self._database.one(_FIND.format(of=_KEY), _values(task, last=last))
        if found is None and task.bundle:
            found = self._database.one(
                _FIND.format(of="bundle = :bundle"), _values(task, last=last)
            )
        return None if found is None else str(found[0])


def last_installation(transaction: Transaction) -> int:
    """Return the id of the last row, which an execution that is created now stores."""
    row = transaction.one("SELECT COALESCE(MAX(id), 0) FROM task_installations")
    return int(row[0]) if row is not None else 0


def _values(task: TaskBundle, **more: int) -> "dict[str, str | int]":
    _, project, domain, name, version = task.id
    return {
        "project": project,
        "domain": domain,
        "name": name,
        "version": version,
        "bundle": task.bundle,
        **more,
    }


def bundle_of(arguments: Sequence[str]) -> str:
    """Return the URI of the index in the arguments of a task; empty when they have none."""
    for name, value in pairwise(arguments):
        if name == "--index-file-location":
            return value
    return ""
