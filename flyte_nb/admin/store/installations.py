"""Which Python installation registered which task: rows that are only added.

A version that is registered again keeps its row of `tasks`, and gets one more here. An execution goes
on with what was registered when it began, whatever is registered meanwhile: its row has the last id
of that moment.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from flyte_nb.admin.store.database import Database, Transaction
from flyte_nb.api.identifiers import ExecutionId, Identifier

_KEY = "project = :project AND domain = :domain AND name = :name AND version = :version"
_ADD = f"""INSERT INTO task_installations (project, domain, name, version, bundle, installation_id)
    SELECT :project, :domain, :name, :version, :bundle, :installation
    WHERE COALESCE((SELECT installation_id FROM task_installations WHERE {_KEY}
                    ORDER BY id DESC LIMIT 1), 0) <> :installation"""
_FIND = """SELECT document FROM task_installations JOIN installations
    ON installations.id = task_installations.installation_id WHERE {of}
    ORDER BY task_installations.id <= :last DESC,
        CASE WHEN task_installations.id <= :last THEN -task_installations.id
        ELSE task_installations.id END LIMIT 1"""
_LAST = """SELECT installations FROM executions
    WHERE execution_project = ? AND execution_domain = ? AND execution_name = ?"""


class Registered(NamedTuple):
    """One task, and the bundle that it is loaded from (empty when there is none)."""

    id: Identifier
    bundle: str = ""


class Installations:
    """What is known of installations."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def keep(self, document: str, tasks: Iterable[Registered]) -> None:
        """Remember that the installation in `document` registered the tasks, from now on."""
        with self._database.write() as transaction:
            transaction.execute(
                "INSERT OR IGNORE INTO installations (document) VALUES (?)", (document,)
            )
            row = transaction.one("SELECT id FROM installations WHERE document = ?", (document,))
            installation = row[0] if row is not None else 0
            for task in tasks:
                transaction.execute(_ADD, _values(task, installation=installation))

    def of(self, execution: ExecutionId, task: Registered) -> "str | None":
        """Return the document of the installation that the execution's attempts at the task run with.

        A task that runs inside of a dynamic one is not registered itself; it is in the same bundle.
        """
        row = self._database.one(_LAST, execution)
        last = (row[0] if row is not None else 0) or 2**62  # an execution of an earlier release
        found = self._database.one(_FIND.format(of=_KEY), _values(task, last=last))
        if found is None and task.bundle:
            found = self._database.one(
                _FIND.format(of="bundle = :bundle"), _values(task, last=last)
            )
        return None if found is None else str(found[0])


def last_installation(transaction: Transaction) -> int:
    """Return the id of the last row: what an execution that begins now goes by."""
    row = transaction.one("SELECT COALESCE(MAX(id), 0) FROM task_installations")
    return int(row[0]) if row is not None else 0


def _values(task: Registered, **more: int) -> "dict[str, str | int]":
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
    """Return the location of the index in a task's arguments; empty when they name none."""
    for name, value in pairwise(arguments):
        if name == "--index-file-location":
            return value
    return ""
