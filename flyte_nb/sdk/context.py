"""The one place with ambient state: the body that is being traced, what runs a call, and answers to gates."""

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from importlib import import_module
from typing import TYPE_CHECKING, Any

from flyte_nb.api.ports import DataAccess, Runner

if TYPE_CHECKING:
    from flyte_nb.sdk.entity import Definition
    from flyte_nb.sdk.tracing import TracingFrame

frame: "ContextVar[TracingFrame | None]" = ContextVar("flyte_nb.frame", default=None)
"""The body that is being traced in this context; calls in it become nodes."""

runner: "ContextVar[Runner | None]" = ContextVar("flyte_nb.runner", default=None)
"""What carries out a call; `None` means the default session."""

answers: "ContextVar[Mapping[str, object]]" = ContextVar("flyte_nb.answers", default={})  # noqa: B039 - it is never changed
"""Answers to the gates of local runs, by the names of the gates; see `sdk/answers.py`."""

stand_ins: "ContextVar[Callable[[Definition], Definition] | None]" = ContextVar(
    "flyte_nb.stand_ins", default=None
)
"""What is called in place of an entity, in a test that replaces some; see `flyte_nb/testing/trial.py`."""


def stand_in(entity: "Definition") -> "Definition":
    """Return what a call of `entity` calls: the entity itself, outside of tests."""
    chosen = stand_ins.get()
    return entity if chosen is None else chosen(entity)


def run(entity: "Definition", inputs: "dict[str, Any]") -> Any:
    """Run a call of `entity` outside of any traced workflow, and return its value."""
    __tracebackhide__ = True
    return _chosen().run(entity, inputs)


async def run_async(entity: "Definition", inputs: "dict[str, Any]") -> Any:
    """Run a call of an async task that async code made, and let other code run meanwhile.

    A runner without `run_async` runs it to its end before anything else.
    """
    __tracebackhide__ = True
    chosen = _chosen()
    run_async: Any = getattr(chosen, "run_async", None)
    if run_async is None:
        return chosen.run(entity, inputs)
    return await run_async(entity, inputs)


def _chosen() -> Any:
    # By name: the session is floors above the ring, and a worker has only the ring.
    return runner.get() or import_module("flyte_nb").default_runner()


def graph(entity: "Definition", **options: Any) -> Any:
    """Return the graph of `entity`, drawn by the default session."""
    # By name, as above.
    return import_module("flyte_nb").default_session().graph(entity, **options)


def data_access() -> "DataAccess | None":
    """Return what moves files for the attempt that runs, or else for the default session.

    It is `None` where a runner moves no files.
    """
    found: DataAccess | None = getattr(_chosen(), "data", None)
    return found
