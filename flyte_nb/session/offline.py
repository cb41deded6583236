"""What a session does without FlyteAdmin: compile entities, and run them in this process.

The module is imported when it is first needed. It loads flyteidl, the compiler and the engine, which a
session that only follows executions does not need, and it must load neither gRPC nor the local backend,
so that `wf(n=3)` in a fresh kernel does not wait for them.
"""

import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from flyte_nb.api.identifiers import Scope
from flyte_nb.api.ports import Entity
from flyte_nb.client.data import SCRATCH, KernelData
from flyte_nb.drafting.compile_report import CompileReport, compile_all
from flyte_nb.drafting.compiling import Compiled, compile_entity
from flyte_nb.session.local_runner import LocalRunner
from flyte_nb.storage import open_stores
from flyte_nb.types.registry import Registry

if TYPE_CHECKING:
    from flyte_nb.propeller.ports import Catalog


class Offline:
    """Compiles and runs entities here. Thread-safe."""

    def __init__(
        self,
        registry: Registry,
        scope: "Callable[[], Scope]",
        roots: "Callable[[], list[Path]] | None" = None,
    ) -> None:
        """Make a runner whose files are kept in a temporary folder until the kernel ends.

        Args:
            registry: The types.
            scope: Returns where entities are named now; a notebook may be renamed.
            roots: Returns the folders whose modules are the author's own; `None` means none.
        """
        self._registry = registry
        self._scope = scope
        self._data = KernelData(open_stores(), folder_uri=SCRATCH)
        self._lock = threading.Lock()
        self._catalog: Catalog | None = None
        self.runner = LocalRunner(
            registry, scope, self._data, catalog=self._opened_catalog, roots=roots
        )

    def compile(self, entity: Entity) -> Compiled:
        """Return the entity as the compiler sees it: its closure, or every problem."""
        return compile_entity(entity, self._scope(), self._registry, data=self._data)

    def compile_all(self, entities: "Iterable[Entity]") -> CompileReport:
        """Compile several entities together with all they use, and return the report."""
        return compile_all(entities, self._scope(), self._registry, data=self._data)

    def _opened_catalog(self) -> "Catalog":
        """Return the cache of local runs, the same one each time."""
        # Finding its folder loads what only cached tasks need.
        from flyte_nb.admin.local_cache import local_catalog

        with self._lock:
            if self._catalog is None:
                self._catalog = local_catalog(self._data)
            return self._catalog
