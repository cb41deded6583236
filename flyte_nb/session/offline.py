"""What a session does without FlyteAdmin: compile entities, and run them in this process.

The module is imported when it is first needed. It loads flyteidl, the compiler and the engine, which a
session that only follows executions does not need, and it must load neither gRPC nor the local backend,
so that `wf(n=3)` in a fresh kernel does not wait for them.
"""

from collections.abc import Callable, Iterable

from flyte_nb.api.identifiers import Scope
from flyte_nb.api.ports import Entity
from flyte_nb.client.data import SCRATCH, KernelData
from flyte_nb.drafting.compile_report import CompileReport, compile_all
from flyte_nb.drafting.compiling import Compiled, compile_entity
from flyte_nb.session.local_runner import LocalRunner
from flyte_nb.storage import open_stores
from flyte_nb.types.registry import Registry


class Offline:
    """Compiles and runs entities here. Thread-safe."""

    def __init__(self, registry: Registry, scope: "Callable[[], Scope]") -> None:
        """Make a runner whose files are kept in a temporary folder until the kernel ends.

        Args:
            registry: The types.
            scope: Returns where entities are named now; a notebook may be renamed.
        """
        self._registry = registry
        self._scope = scope
        self._data = KernelData(open_stores(), folder_uri=SCRATCH)
        self.runner = LocalRunner(registry, scope, self._data)

    def compile(self, entity: Entity) -> Compiled:
        """Return the entity as the compiler sees it: its closure, or every problem."""
        return compile_entity(entity, self._scope(), self._registry, data=self._data)

    def compile_all(self, entities: "Iterable[Entity]") -> CompileReport:
        """Compile several entities together with all they use, and return the report."""
        return compile_all(entities, self._scope(), self._registry, data=self._data)
