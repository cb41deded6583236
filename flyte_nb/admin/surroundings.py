"""Find the Python, variables and secrets for an attempt: from registrations, loans and `secrets.env`."""

import functools
from pathlib import Path

from flyte_nb.admin.lent import Lent
from flyte_nb.admin.store.database import Database
from flyte_nb.admin.store.installations import Installations, TaskBundle, bundle_of
from flyte_nb.api.errors import SYSTEM, USER, ErrorInfo, TaskFailed, UsageError
from flyte_nb.propeller.foreign.containers import program_of
from flyte_nb.propeller.ports import Attempt, Surroundings
from flyte_nb.runtime.installations import Installation, loads
from flyte_nb.sdk.secrets import PREFIX, name_of, read_file


class AttemptSurroundings:
    """Answers propeller's executors. Safe from several threads."""

    def __init__(self, database: Database, lent: Lent, secrets_file: Path) -> None:
        """Set the sources.

        Args:
            database: Has the installations.
            lent: Has the loans.
            secrets_file: Has secrets for executions without a loan; it need not exist.
        """
        self._installations = Installations(database)
        self._lent = lent
        self._secrets_file = secrets_file

    def __call__(self, attempt: Attempt) -> Surroundings:
        """Return the surroundings of `attempt`.

        Raises:
            TaskFailed: when the loan or the file of secrets cannot be read.
        """
        execution = attempt.key.execution
        task = TaskBundle(attempt.task_id, bundle_of(program_of(attempt.task).args))
        document = self._installations.of(execution, task)
        try:
            loan = self._lent.of(execution)
            secrets = self._secrets(attempt, loan.secrets if loan is not None else {})
        except UsageError as error:
            raise TaskFailed(ErrorInfo("USER:SecretsNotReadable", str(error), USER)) from error
        except OSError as error:
            text = f"The secrets and variables lent to the execution cannot be read: {error}."
            raise TaskFailed(ErrorInfo("SYSTEM:LoanNotReadable", text, SYSTEM, True)) from error
        # Without a loan the variables are `None`, and the attempt gets those of the backend itself.
        return Surroundings(
            None if document is None else _installation(document),
            None if loan is None else loan.variables,
            secrets,
        )

    def _secrets(self, attempt: Attempt, lent: "dict[str, str]") -> "dict[str, str]":
        """Return the values of the secrets that the task asks for, and of no others."""
        names = [
            name_of(secret.group, secret.key, secret.group_version)
            for secret in attempt.task.security_context.secrets
        ]
        found = {name: lent[name] for name in names if name in lent}
        missing = [name for name in names if name not in found]
        if missing and self._secrets_file.exists():
            lines = read_file(str(self._secrets_file))
            for name in missing:
                # A person may write the name with the prefix that variables have, or without it.
                value = lines.get(PREFIX + name, lines.get(name))
                if value is not None:
                    found[name] = value
        return found


@functools.lru_cache(maxsize=64)
def _installation(document: str) -> Installation:
    return loads(document)
