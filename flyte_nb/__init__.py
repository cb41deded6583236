"""Flyte for people who work in notebooks. The public names, each loaded when it is first used.

Nothing happens on import. This file travels with the ring too, where only the SDK's names are there.
`__init__.pyi` tells type checkers and editors what `__getattr__` finds.
"""

from importlib import import_module

from flyte_nb.api.version import __version__ as __version__

_HOMES = {
    "Annotations": "flyte_nb.sdk.launch_options",
    "AuthRole": "flyte_nb.sdk.launch_options",
    "Cache": "flyte_nb.sdk.options",
    "ConcurrencyLimitBehavior": "flyte_nb.sdk.launch_options",
    "ConcurrencyPolicy": "flyte_nb.sdk.launch_options",
    "ContainerTask": "flyte_nb.sdk.kinds.container",
    "CronSchedule": "flyte_nb.sdk.schedules",
    "Deck": "flyte_nb.sdk.deck",
    "DeckField": "flyte_nb.sdk.deck",
    "DuckDBQuery": "flyte_nb.sdk.kinds.duckdb_query",
    "Echo": "flyte_nb.sdk.kinds.echo",
    "Email": "flyte_nb.sdk.notifications",
    "FixedRate": "flyte_nb.sdk.schedules",
    "FlyteAnnotation": "flyte_nb.types.annotations",
    "FlyteDirectory": "flyte_nb.types.files",
    "FlyteError": "flyte_nb.types.flyte_error",
    "FlyteFile": "flyte_nb.types.files",
    "HashMethod": "flyte_nb.types.annotations",
    "Identifier": "flyte_nb.api.identifiers",
    "Identity": "flyte_nb.sdk.launch_options",
    "IgnoreOutputs": "flyte_nb.api.errors",
    "ImperativeWorkflow": "flyte_nb.sdk.imperative",
    "Labels": "flyte_nb.sdk.launch_options",
    "LaunchPlan": "flyte_nb.sdk.launch_plan",
    "Notification": "flyte_nb.sdk.notifications",
    "Options": "flyte_nb.sdk.launch_options",
    "PagerDuty": "flyte_nb.sdk.notifications",
    "OutputLocation": "flyte_nb.sdk.kinds.shell",
    "PickledTypeWarning": "flyte_nb.types.codec",
    "RawOutputDataConfig": "flyte_nb.sdk.launch_options",
    "RecoverableError": "flyte_nb.api.errors",
    "Resources": "flyte_nb.sdk.options",
    "SQLTask": "flyte_nb.sdk.kinds.sql",
    "SQLite3Config": "flyte_nb.sdk.kinds.sql",
    "SQLite3Task": "flyte_nb.sdk.kinds.sql",
    "Secret": "flyte_nb.sdk.options",
    "SecurityContext": "flyte_nb.sdk.launch_options",
    "Session": "flyte_nb.session.session",
    "ShellTask": "flyte_nb.sdk.kinds.shell",
    "Slack": "flyte_nb.sdk.notifications",
    "Spec": "flyte_nb.discovery.specs.spec",
    "StructuredDataset": "flyte_nb.types.datasets",
    "TaskMetadata": "flyte_nb.sdk.options",
    "UsageError": "flyte_nb.api.errors",
    "WorkflowExecutionPhase": "flyte_nb.sdk.notifications",
    "WorkflowFailurePolicy": "flyte_nb.sdk.workflow",
    "answers": "flyte_nb.sdk.answers",
    "approve": "flyte_nb.sdk.gates",
    "conditional": "flyte_nb.sdk.branches",
    "connect": "flyte_nb.session.session",
    "create_node": "flyte_nb.sdk.node_creation",
    "current_context": "flyte_nb.sdk.execution_context",
    "default_runner": "flyte_nb.session.session",
    "last_run": "flyte_nb.session.last_run",
    "default_session": "flyte_nb.session.session",
    "dynamic": "flyte_nb.sdk.kinds.dynamic",
    "get_reference_entity": "flyte_nb.sdk.references",
    "kwtypes": "flyte_nb.types.annotations",
    "map_task": "flyte_nb.sdk.kinds.map_task",
    "reference_launch_plan": "flyte_nb.sdk.references",
    "reference_task": "flyte_nb.sdk.references",
    "reference_workflow": "flyte_nb.sdk.references",
    "sleep": "flyte_nb.sdk.gates",
    "task": "flyte_nb.sdk.task",
    "wait_for_input": "flyte_nb.sdk.gates",
    "workflow": "flyte_nb.sdk.workflow",
}

_ALIASES = {
    "FlyteRecoverableException": "RecoverableError",
    "Workflow": "ImperativeWorkflow",
}
"""Names of flytekit's for what is called otherwise here."""

__all__ = [*_HOMES, *_ALIASES, "__version__", "load_ipython_extension"]


def load_ipython_extension(ip: object) -> None:
    """`%load_ext flyte_nb`: the magics and displays, over sessions that `connect` makes."""

    def connect(**options: object) -> object:
        session = import_module("flyte_nb.session.session")
        return session.connect(**options) if options else session.default_session()

    import_module("flyte_nb.notebook.shell.extension").load(ip, connect)


def __getattr__(name: str) -> object:
    known = _ALIASES.get(name, name)
    if known not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[known]), known)
    globals()[name] = value
    return value


def __dir__() -> "list[str]":
    return sorted(__all__)
