"""Flyte for people who work in notebooks. The public names, each loaded when it is first used.

Nothing happens on import. This file travels with the ring too, where only the SDK's names are there.
"""

from importlib import import_module

from flyte_nb.api.version import __version__ as __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from flyte_nb.api.errors import RecoverableError as RecoverableError
    from flyte_nb.api.errors import UsageError as UsageError
    from flyte_nb.sdk.execution_context import current_context as current_context
    from flyte_nb.sdk.launch_plan import LaunchPlan as LaunchPlan
    from flyte_nb.sdk.options import Cache as Cache
    from flyte_nb.sdk.options import Resources as Resources
    from flyte_nb.sdk.options import Secret as Secret
    from flyte_nb.sdk.task import task as task
    from flyte_nb.sdk.workflow import WorkflowFailurePolicy as WorkflowFailurePolicy
    from flyte_nb.sdk.workflow import workflow as workflow
    from flyte_nb.session import Session as Session
    from flyte_nb.session import connect as connect
    from flyte_nb.session import default_runner as default_runner
    from flyte_nb.session import default_session as default_session
    from flyte_nb.types.codec import PickledTypeWarning as PickledTypeWarning
    from flyte_nb.types.files import FlyteDirectory as FlyteDirectory
    from flyte_nb.types.files import FlyteFile as FlyteFile

    FlyteRecoverableException = RecoverableError

_HOMES = {
    "Cache": "flyte_nb.sdk.options",
    "FlyteDirectory": "flyte_nb.types.files",
    "FlyteFile": "flyte_nb.types.files",
    "LaunchPlan": "flyte_nb.sdk.launch_plan",
    "PickledTypeWarning": "flyte_nb.types.codec",
    "RecoverableError": "flyte_nb.api.errors",
    "Resources": "flyte_nb.sdk.options",
    "Secret": "flyte_nb.sdk.options",
    "Session": "flyte_nb.session",
    "UsageError": "flyte_nb.api.errors",
    "WorkflowFailurePolicy": "flyte_nb.sdk.workflow",
    "connect": "flyte_nb.session",
    "current_context": "flyte_nb.sdk.execution_context",
    "default_runner": "flyte_nb.session",
    "default_session": "flyte_nb.session",
    "task": "flyte_nb.sdk.task",
    "workflow": "flyte_nb.sdk.workflow",
}

_ALIASES = {"FlyteRecoverableException": "RecoverableError"}
"""Names of flytekit's for what is called otherwise here."""

__all__ = [*_HOMES, *_ALIASES, "__version__", "load_ipython_extension"]


def load_ipython_extension(ip: "Any") -> None:
    """`%load_ext flyte_nb`: the magics and displays, over sessions that `connect` makes."""

    def connect(*args: "Any", **options: "Any") -> "Any":
        return import_module("flyte_nb.session").connect(*args, **options)

    import_module("flyte_nb.notebook.extension").load(ip, connect)


def __getattr__(name: str) -> "Any":
    known = _ALIASES.get(name, name)
    if known not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[known]), known)
    globals()[name] = value
    return value


def __dir__() -> "list[str]":
    return sorted(__all__)
