"""What a process has one of by default, because `wf(n=3)` has no argument to pass a session in."""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar

from flyte_nb.api.identifiers import Scope
from flyte_nb.types.registry import Registry, default_registry

if TYPE_CHECKING:
    from flyte_nb.discovery.here import Here
    from flyte_nb.session.offline import Offline

S = TypeVar("S")
"""The class of the session, which imports this module."""


class Defaults(Generic[S]):
    """The default session, what runs without a session, and the types; each made when first needed."""

    def __init__(self) -> None:
        # Reentrant: `default_session` holds it while it connects, which asks for the types.
        self.lock = threading.RLock()
        self.session: S | None = None
        """The session of the last `connect()`."""
        self.offline: Offline | None = None
        """Compiles and runs as long as there is no session."""
        self.registry: Registry | None = None

    def types(self) -> Registry:
        """Return the types of every session that is given none; always the same ones."""
        with self.lock:
            if self.registry is None:
                self.registry = default_registry()
            return self.registry


def new_offline(registry: Registry, scope: "Callable[[], Scope]", here: "Here") -> "Offline":
    """Return a new compiler and runner for this process.

    Args:
        registry: The types.
        scope: Returns where entities are named now.
        here: The notebook or script of this process.
    """
    # Loads flyteidl, the compiler and the engine: a session that only follows needs none of them.
    from flyte_nb.session.offline import Offline

    return Offline(registry, scope, here.roots)
