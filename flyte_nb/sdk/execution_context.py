"""`current_context()`: what a task can know about the run that it is part of."""

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from flyte_nb.api.errors import UsageError
from flyte_nb.api.identifiers import TASK, WORKFLOW, ExecutionId, Identifier
from flyte_nb.sdk import context

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime
    from logging import Logger

    from flyte_nb.api.ports import AttemptFiles
    from flyte_nb.sdk.checkpoint import Checkpoint
    from flyte_nb.sdk.deck import Deck

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

    def __getattr__(self, group: str) -> "SecretGroup":
        """`secrets.group.key` is `secrets.get("group", "key")`, as flytekit spells it."""
        if group.startswith("_"):
            raise AttributeError(group)
        return SecretGroup(self, group)

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
            looked = " or ".join(f"the variable {name}" for name in names)
            raise UsageError(
                f"There is no secret {group or '(no group)'}/{key}: looked for {looked}, and for the"
                f" file {path}. Ask for it with"
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


class SecretGroup:
    """The secrets of one group by their keys."""

    def __init__(self, secrets: Secrets, group: str) -> None:
        self._secrets = secrets
        self._group = group

    def __getattr__(self, key: str) -> str:
        if key.startswith("_"):
            raise AttributeError(key)
        return self._secrets.get(self._group, key)


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
    """0 for the first one."""
    workflow_id: "Identifier | None" = None
    """The workflow that is executed; `None` outside of a run."""
    checkpoint: "Checkpoint" = None  # type: ignore[assignment]  # `context_from` always makes one
    """What the previous attempt kept, and what this one keeps for the next."""
    decks: "list[Deck]" = []  # noqa: RUF012 - likewise
    """The pages of the attempt's report, in order."""
    files: "AttemptFiles | None" = None
    publish: "Callable[[], str] | None" = None
    """Gives the report as it is now; `None` when nobody sees it."""

    @property
    def default_deck(self) -> "Deck":
        """The page called `default`, made when it is first asked for."""
        from flyte_nb.sdk.deck import Deck

        for deck in self.decks:
            if deck.name == "default":
                return deck
        made = Deck("default", auto_add_to_deck=False)
        self.decks.append(made)
        return made

    @property
    def enable_deck(self) -> bool:
        """Whether the attempt's report is written."""
        return self.publish is not None

    def publish_decks(self) -> None:
        """Write the report as it is now; see `Deck.publish`."""
        if self.publish is not None and self.files is not None:
            self.files.publish_deck(self.publish())
        elif self.files is not None:
            self.logging.warning(
                "Deck.publish(): this task has no report. Write @task(enable_deck=True)."
            )

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
    runner: Any = context.runner.get()
    known: Any = getattr(runner, "context", None)
    if known is not None:
        found: ExecutionContext = known
        return found
    made = context_from(os.environ)
    if isinstance(runner, context.DirectRunner):
        runner.context = made  # one call's decks are one report
    return made


def context_from(
    env: "Mapping[str, str]",
    *,
    working_directory: str = "",
    raw_output_prefix: str = "",
    files: "AttemptFiles | None" = None,
    publish: "Callable[[], str] | None" = None,
) -> ExecutionContext:
    """The context that the environment of a task's process tells about.

    Args:
        env: the variables that FlytePropeller sets for a task's container.
        working_directory: a folder of this attempt's own; without one, that for temporary files.
        raw_output_prefix: where the attempt's files are stored.
        files: keeps checkpoints and the report; `None` outside of a run.
        publish: gives the report as it is now; `None` when nobody sees it.
    """
    from datetime import datetime, timezone

    from flyte_nb.sdk.checkpoint import Checkpoint

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
        _workflow(env.get("FLYTE_INTERNAL_EXECUTION_WORKFLOW", "")),
        Checkpoint(files, working_directory),
        [],
        files,
        publish,
    )


def _workflow(spelled: str) -> "Identifier | None":
    """Propeller spells it `project:domain:name`."""
    project, _, rest = spelled.partition(":")
    domain, _, name = rest.partition(":")
    return Identifier(WORKFLOW, project, domain, name) if name else None
