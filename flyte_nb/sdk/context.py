"""The one place with ambient state: the workflow that is being traced, and who runs what is called."""

from contextvars import ContextVar
from importlib import import_module
from typing import TYPE_CHECKING, Any

from flyte_nb.api.ports import Runner

if TYPE_CHECKING:
    from flyte_nb.sdk.entity import Definition
    from flyte_nb.sdk.tracing import TracingFrame

frame: "ContextVar[TracingFrame | None]" = ContextVar("flyte_nb.frame", default=None)
"""The workflow that is being traced in this context."""

runner: "ContextVar[Runner | None]" = ContextVar("flyte_nb.runner", default=None)
"""Who carries out a call; `None` asks the default session."""


def run(entity: "Definition", inputs: "dict[str, Any]") -> Any:
    """Carry out a call of `entity` outside of any traced workflow."""
    __tracebackhide__ = True
    return _chosen().run(entity, inputs)


async def run_async(entity: "Definition", inputs: "dict[str, Any]") -> Any:
    """Carry out a call of an async task that async code made, and may wait for together with others."""
    __tracebackhide__ = True
    chosen = _chosen()
    run_async: Any = getattr(chosen, "run_async", None)
    if run_async is None:
        return chosen.run(entity, inputs)
    return await run_async(entity, inputs)


def _chosen() -> Any:
    # By name: the session is floors above, and is only there where the whole package is.
    return runner.get() or import_module("flyte_nb").default_runner()


def graph(entity: "Definition", **options: Any) -> Any:
    """The graph of `entity`, by the default session."""
    # By name, as above.
    return import_module("flyte_nb").default_session().graph(entity, **options)
