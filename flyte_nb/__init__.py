"""Flyte for people who work in notebooks. The public names, each loaded when it is first used."""

from importlib import import_module
from typing import Any

from flyte_nb.api.version import __version__ as __version__

_HOMES = {
    "task": "flyte_nb.sdk.task",
    "workflow": "flyte_nb.sdk.workflow",
    "connect": "flyte_nb.session",
    "Session": "flyte_nb.session",
    "default_runner": "flyte_nb.session",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
