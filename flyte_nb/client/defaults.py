"""What a process has one of by default, for `wf(n=3)` has nowhere to hand a session in."""

import threading
from typing import TYPE_CHECKING, Any

from flyte_nb.types.registry import Registry, default_registry

if TYPE_CHECKING:
    from flyte_nb.client.local_runner import LocalRunner


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
