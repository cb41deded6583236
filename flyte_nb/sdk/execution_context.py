"""`current_context()`: what a task can know about the run that it is part of."""

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from flyte_nb.api.errors import UsageError
from flyte_nb.api.identifiers import TASK, ExecutionId, Identifier
from flyte_nb.sdk import context

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from logging import Logger

_SECRETS_FOLDER = "/etc/secrets"


class Secrets:
    """The secrets that the task asked for, looked up as flytekit does.

    First the variable `_FSEC_<GROUP>_<VERSION>_<KEY>`, then the file `<folder>/<group>/<version>/<key>`;
    `FLYTE_SECRETS_ENV_PREFIX`, `…_DEFAULT_DIR` and `…_FILE_PREFIX` change where that is. On a person's
    own machine (`is_local`) the variable counts without its prefix too.
    """

    def __init__(self, env: "Mapping[str, str]", *, is_local: bool = False) -> None:
        self._env = env
        self._is_local = is_local

    def get(self, group: str = "", key: str = "", group_version: str = "") -> str:
        """The secret's value.

        Raises:
            UsageError: when it is neither in the environment nor in a file.
        """
        names = self._names(group, key, group_version)
        for name in names:
            if name in self._env:
                return self._env[name].strip()
        path = self.file(group, key, group_version)
        try:
            with open(path, encoding="utf-8") as file:
                return file.read().strip()
        except OSError:
            raise UsageError(
                f"There is no secret {group or '(no group)'}/{key}: neither the variable {names[0]}"
                f" nor the file {path} exists. Ask for it with"
                f" @task(secret_requests=[Secret(group={group!r}, key={key!r})])."
            ) from None

    def file(self, group: str = "", key: str = "", group_version: str = "") -> str:
        """The path where the secret is mounted, if it is mounted as a file."""
        folder = self._env.get("FLYTE_SECRETS_DEFAULT_DIR", _SECRETS_FOLDER)
        parts = [part.lower() for part in (group, group_version, key) if part]
        if not parts:
            raise UsageError("Say which secret: write secrets.get(group, key).")
        parts[-1] = self._env.get("FLYTE_SECRETS_FILE_PREFIX", "") + parts[-1]
        return os.path.join(folder, *parts)

    def _names(self, group: str, key: str, group_version: str) -> "list[str]":
        prefix = self._env.get("FLYTE_SECRETS_ENV_PREFIX", "_FSEC_")
        name = "_".join(part.upper() for part in (group, group_version, key) if part)
        if self._is_local:
            return [prefix + name, name]
        return [prefix + name]


class ExecutionContext(NamedTuple):
    """The run that a task is part of."""

    execution_id: ExecutionId
    task_id: Identifier
    working_directory: str
    """A folder of this attempt's own."""
    raw_output_prefix: str
    secrets: Secrets
    execution_date: "datetime"
    """When this context was made, UTC."""
    attempt: int = 0

    @property
    def logging(self) -> "Logger":
        """A logger whose lines go to the task's log."""
        import logging

        return logging.getLogger("flyte_nb.task")


def current_context() -> ExecutionContext:
    """The run that the calling task is part of; outside of a run, a local stand-in.

    Source: the variables that FlytePropeller sets for a task's container, e.g.
    `FLYTE_INTERNAL_EXECUTION_ID`.
    """
    known: Any = getattr(context.runner.get(), "context", None)
    if known is not None:
        found: ExecutionContext = known
        return found
    return context_from(os.environ)


def context_from(
    env: "Mapping[str, str]", *, working_directory: str = "", raw_output_prefix: str = ""
) -> ExecutionContext:
    """The context that the environment of a task's process tells about."""
    from datetime import datetime, timezone

    name = env.get("FLYTE_INTERNAL_EXECUTION_ID", "")
    if not working_directory:
        import tempfile

        working_directory = tempfile.gettempdir()
    return ExecutionContext(
        ExecutionId(
            env.get("FLYTE_INTERNAL_EXECUTION_PROJECT", ""),
            env.get("FLYTE_INTERNAL_EXECUTION_DOMAIN", ""),
            name or "local",
        ),
        Identifier(
            TASK,
            env.get("FLYTE_INTERNAL_TASK_PROJECT", ""),
            env.get("FLYTE_INTERNAL_TASK_DOMAIN", ""),
            env.get("FLYTE_INTERNAL_TASK_NAME", ""),
            env.get("FLYTE_INTERNAL_TASK_VERSION", ""),
        ),
        working_directory,
        raw_output_prefix,
        Secrets(env, is_local=not name),
        datetime.now(timezone.utc),
        int(env.get("FLYTE_ATTEMPT_NUMBER") or 0),
    )
