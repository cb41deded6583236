"""Preload a task by a ring of a release before 0.3.0, whose `serve` takes no preloaded task.

The file belongs to the host's release: `zygote.py` loads it by its path. The code of a ring cannot be
changed any more, so this is the one place that replaces names in modules that were loaded.
"""

from types import ModuleType
from typing import Any


def preload(main: ModuleType, message: "dict[str, Any]") -> None:
    """Load the task, and let the ring's `main.serve` find it and its types loaded.

    Args:
        main: the ring's `flyte_nb.worker.main`, whose `serve` looks up `load` by this name.
        message: the host's message, which names the files of the task.

    Raises:
        TaskFailed: of the ring, when the task cannot be loaded.
    """
    # Not at the top: they are the ring's.
    from flyte_nb.types import registry
    from flyte_nb.worker import load

    task = load.load(
        message["payload"], message["buffers"], message["modules"], python=message["python"]
    )
    vars(main).update(load=lambda *_, **__: task)
    try:
        known = registry.default_registry(warn_pickled=False)
        task.signature(known)
    except Exception:  # noqa: BLE001 - a signature with problems; every attempt reports them
        return
    # `main` asks for a registry by this name, and gets the one that knows the types of the signature.
    vars(registry).update(default_registry=lambda **_: known)
