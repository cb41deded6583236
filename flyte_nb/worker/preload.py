"""Load a task before its attempts begin, so that forks of this process find it loaded."""

from typing import TYPE_CHECKING, NamedTuple

from flyte_nb.worker.load import load

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flyte_nb.sdk.task import Task
    from flyte_nb.types.registry import Registry


class Preloaded(NamedTuple):
    """A task, and what every attempt at it needs: `main.serve` takes it in place of loading them."""

    task: "Task"
    registry: "Registry"
    """The types that the task's signature names are known to it already."""


def preload(
    payload: str,
    buffers: "Sequence[str]" = (),
    modules: "Sequence[str]" = (),
    *,
    python: str = "",
) -> Preloaded:
    """Load a task, import what every attempt at it imports, and read its signature.

    Args:
        payload: path of the pickle.
        buffers: paths of its out-of-band buffers, in order.
        modules: folders with local modules.
        python: the `major.minor` of the Python that wrote the pickle; empty means any.

    Raises:
        TaskFailed: when another Python wrote it, a module is missing, or it cannot be unpickled.
    """
    task = load(payload, buffers, modules, python=python)
    # Not at the top: the user's modules come first, as in a cold attempt.
    from flyte_nb.types.registry import default_registry

    # The kernel has warned about pickled types already.
    registry = default_registry(warn_pickled=False)
    try:
        task.signature(registry)
    except Exception:  # noqa: BLE001, S110 - every attempt reads it again, and reports the problems
        pass
    return Preloaded(task, registry)
