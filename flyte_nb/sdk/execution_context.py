"""`current_context()`: what a task can know about the run that it is part of; and `Deck`, which adds to it.

Both are in one module because each makes the other: a new deck asks for the current context, and the context
makes its default deck.
"""

import os
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, NamedTuple

from flyte_nb.api.errors import UsageError
from flyte_nb.api.identifiers import TASK, WORKFLOW, ExecutionId, Identifier
from flyte_nb.sdk import context
from flyte_nb.sdk.loops import run_to_end
from flyte_nb.sdk.secrets import Secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from logging import Logger

    from flyte_nb.api.ports import AttemptFiles
    from flyte_nb.sdk.checkpoint import Checkpoint


class Deck:
    """A named page of HTML in the report of the attempt that runs.

    The report is `deck.html` beside the attempt's outputs, of tasks with `enable_deck=True`; it is
    written when the attempt ends, also when it fails, and whenever `Deck.publish()` is called.

    Args:
        name: the page's name; a later page of the same name takes its place.
        html: its content. It is not escaped, so its scripts run for everybody who opens the report.
        auto_add_to_deck: whether it is part of the report.

    Raises:
        UsageError: `html` is no text.
    """

    # The version of a task that makes decks contains this class's module and name.
    __module__ = "flyte_nb.sdk.deck"

    def __init__(self, name: str, html: str = "", auto_add_to_deck: bool = True) -> None:
        self._name = name
        self._html = _text(html or "")
        if auto_add_to_deck:
            current_context().decks.append(self)

    @property
    def name(self) -> str:
        """What the page is called."""
        return self._name

    @property
    def html(self) -> str:
        """Its content."""
        return self._html

    def append(self, html: str) -> "Deck":
        """Add to the page.

        Raises:
            UsageError: `html` is no text.
        """
        self._html = f"{self._html}\n{_text(html)}"
        return self

    def _repr_html_(self) -> str:
        return self._html

    def __repr__(self) -> str:
        return f"<deck {self._name!r}, {len(self._html)} characters>"

    @staticmethod
    def publish() -> None:
        """Write the report as it is now, while the task goes on; do nothing outside of a run.

        Raises:
            StorageError: it cannot be stored.
        """
        current_context().publish_decks()


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
    """Returns the report as it is now; `None` when the task has no report."""

    @property
    def default_deck(self) -> "Deck":
        """The page named `default`, made when it is first needed."""
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
        """Write the report as it is now; see `Deck.publish`.

        Raises:
            StorageError: it cannot be stored.
        """
        if self.publish is not None and self.files is not None:
            self.files.publish_deck(self.publish())
        elif self.files is not None:
            self.logging.warning(
                "Deck.publish(): this task has no report. Write @task(enable_deck=True)."
            )

    @property
    def logging(self) -> "Logger":
        """A logger whose lines go to the task's log."""
        import logging  # a task that logs nothing does not wait for it

        return logging.getLogger("flyte_nb.task")


class DirectRunner:
    """A runner that calls the function and does nothing else: no value is checked or copied.

    A task's own process uses `worker.inner.InnerRunner`, whose calls go through literals.
    """

    def __init__(self, context: "ExecutionContext | None" = None) -> None:
        self._context = context

    @property
    def context(self) -> ExecutionContext:
        """What `current_context()` returns there, made when it is first needed."""
        if self._context is None:
            self._context = self._made()
        return self._context

    def run(self, entity: Any, inputs: "dict[str, Any]") -> Any:
        """Return what the entity's function returns; a coroutine is run to its end."""
        return run_to_end(entity.call_function(inputs))

    def _made(self) -> ExecutionContext:
        return context_from(os.environ)


def current_context() -> ExecutionContext:
    """Return the run that the calling task is part of; outside of a run, a local stand-in.

    Source: the variables that FlytePropeller sets for a task's container, e.g.
    `FLYTE_INTERNAL_EXECUTION_ID`.
    """
    runner = context.runner.get()
    if isinstance(runner, DirectRunner):
        return (
            runner.context
        )  # the same one each time, so that all decks of a call are in one report
    return context_from(os.environ)


def context_from(
    env: "Mapping[str, str]",
    *,
    working_directory: str = "",
    raw_output_prefix: str = "",
    files: "AttemptFiles | None" = None,
    publish: "Callable[[], str] | None" = None,
) -> ExecutionContext:
    """Return the context that the environment of a task's process describes.

    Args:
        env: the variables that FlytePropeller sets for a task's container.
        working_directory: a folder of this attempt's own; empty means the one for temporary files.
        raw_output_prefix: where the attempt's files are stored.
        files: keeps checkpoints and the report; `None` outside of a run.
        publish: returns the report as it is now; `None` when the task has no report.
    """
    # It loads shutil and all that unpacks archives, which `from flyte_nb import Deck` must not.
    from flyte_nb.sdk.checkpoint import Checkpoint

    name = env.get("FLYTE_INTERNAL_EXECUTION_ID", "")
    if not working_directory:
        import tempfile  # an attempt has a folder of its own, and needs no other

        working_directory = tempfile.gettempdir()
    return ExecutionContext(
        execution_id=ExecutionId(
            project=env.get("FLYTE_INTERNAL_EXECUTION_PROJECT", ""),
            domain=env.get("FLYTE_INTERNAL_EXECUTION_DOMAIN", ""),
            name=name or "local",
        ),
        task_id=Identifier(
            resource_type=TASK,
            project=env.get("FLYTE_INTERNAL_TASK_PROJECT", ""),
            domain=env.get("FLYTE_INTERNAL_TASK_DOMAIN", ""),
            name=env.get("FLYTE_INTERNAL_TASK_NAME", ""),
            version=env.get("FLYTE_INTERNAL_TASK_VERSION", ""),
        ),
        working_directory=working_directory,
        raw_output_prefix=raw_output_prefix,
        secrets=Secrets(env, is_local=not name),
        execution_date=datetime.now(timezone.utc),
        attempt=int(env.get("FLYTE_ATTEMPT_NUMBER") or 0),
        workflow_id=_workflow(env.get("FLYTE_INTERNAL_EXECUTION_WORKFLOW", "")),
        checkpoint=Checkpoint(files, working_directory),
        decks=[],
        files=files,
        publish=publish,
    )


def _workflow(spelled: str) -> "Identifier | None":
    """Return the workflow that propeller names as `project:domain:name`, or `None` for an empty name."""
    project, _, rest = spelled.partition(":")
    domain, _, name = rest.partition(":")
    return Identifier(WORKFLOW, project, domain, name) if name else None


def _text(html: Any) -> str:
    if not isinstance(html, str):
        raise UsageError(
            f"A deck takes HTML as text, got {type(html).__name__}. Of a figure or a frame, take what"
            " its to_html() gives."
        )
    return html
