"""What a process has one of by default, for `wf(n=3)` has nowhere to hand a session in."""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flyte_nb.api.identifiers import Scope
from flyte_nb.types.registry import Registry, default_registry

if TYPE_CHECKING:
    from flyte_nb.session.local_runner import LocalRunner


class Defaults:
    """The default session, the runner without a session, and the types; each made when first needed."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.session: Any = None
        self.runner: LocalRunner | None = None
        self.registry: Registry | None = None

    def types(self) -> Registry:
        """The types of every session that is given none."""
        with self.lock:
            if self.registry is None:
                self.registry = default_registry()
            return self.registry


def new_runner(registry: Registry, scope: "Callable[[], Scope]") -> "LocalRunner":
    """A runner that needs no FlyteAdmin; files go to a folder that ends with the kernel."""
    from flyte_nb.client.data import SCRATCH, KernelData
    from flyte_nb.session.local_runner import LocalRunner
    from flyte_nb.storage import open_stores

    return LocalRunner(registry, scope, KernelData(open_stores(), folder_uri=SCRATCH))
