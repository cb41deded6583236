"""The tasks and launch plans of a run in this process. A dynamic task adds those that its body calls."""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from flyteidl.core.identifier_pb2 import Identifier as IdentifierMessage

from flyte_nb.api.identifiers import LAUNCH_PLAN, Identifier, Scope
from flyte_nb.api.specs import StartedLaunchPlan
from flyte_nb.compiler import LaunchPlanInterface
from flyte_nb.runtime.dynamic import launch_plan_interface
from flyte_nb.sdk.entity import Definition, identify
from flyte_nb.sdk.launch_plan import LaunchPlan
from flyte_nb.sdk.task import AnyTask
from flyte_nb.sdk.workflow import Workflow
from flyte_nb.wire.identifiers import identifier_from_idl

if TYPE_CHECKING:
    from flyte_nb.propeller.local_launch_plans import LocalLaunchPlan

Fingerprints = Callable[["Sequence[AnyTask]"], Mapping[str, str]]
"""Returns the cache versions, by name, of those tasks that are cached and were given no version."""

Started = Callable[[LaunchPlan], "tuple[LocalLaunchPlan, Mapping[Identifier, AnyTask]]"]
"""Returns what a launch plan runs, and the tasks in there."""


class LocalEntities:
    """What one run knows by identifier. Thread-safe: bodies run in threads."""

    def __init__(
        self,
        tasks: Mapping[Identifier, AnyTask],
        launch_plans: "Mapping[Identifier, LaunchPlan] | None" = None,
        *,
        started: "Started | None" = None,
        fingerprints: "Fingerprints | None" = None,
    ) -> None:
        """Begin with what the called workflow or task runs.

        Args:
            tasks: By the identifiers that the plan has.
            launch_plans: The same.
            started: Returns what a launch plan runs; `None` where none can be started.
            fingerprints: Returns cache versions; `None` leaves tasks without one uncached.
        """
        self._tasks = dict(tasks)
        self._launch_plans = dict(launch_plans or {})
        self._interfaces: dict[Identifier, LaunchPlanInterface] = {}
        self._started = started
        self._fingerprints = fingerprints
        self._lock = threading.Lock()

    def task(self, id: Identifier) -> "AnyTask | None":
        """Return the task with that identifier."""
        return self._tasks.get(id)

    def interface(self, id: IdentifierMessage) -> "LaunchPlanInterface | None":
        """Return the interface of a launch plan that a dynamic task's body starts."""
        return self._interfaces.get(identifier_from_idl(id, LAUNCH_PLAN))

    def launch_plan(self, id: Identifier) -> "LocalLaunchPlan | None":
        """Return what the launch plan with that identifier runs; `None` when it is not known here."""
        found = self._launch_plans.get(id)
        if found is None or self._started is None:
            return None
        plan, tasks = self._started(found)
        with self._lock:
            self._tasks.update(tasks)
        return plan

    def versions(self, scope: Scope, version: str) -> "Callable[[Definition], str]":
        """Return a function that gives everything that a body calls its version.

        That is `version`, unless another entity of this run has the name and that version already: a body
        may define a task anew each time it runs, and each node has to run the one that it was made for.
        """

        def version_of(entity: Definition) -> str:
            if isinstance(entity, Workflow):
                return version  # it is a part of the closure
            number, chosen = 0, version
            while True:
                id = identify(entity, scope, chosen)
                known = self._tasks.get(id) or self._launch_plans.get(id)
                if known is None or known.is_same(entity):
                    return chosen
                number += 1
                chosen = f"{version}.{number}"

        return version_of

    def add(
        self,
        entities: "Iterable[AnyTask | LaunchPlan]",
        started: Iterable[StartedLaunchPlan],
        scope: Scope,
        version_of: "Callable[[Definition], str]",
    ) -> None:
        """Take in what a body calls.

        Args:
            entities: Tasks and launch plans.
            started: The interfaces of the launch plans.
            scope: Their names.
            version_of: What `versions` returned.
        """
        interfaces = {one.name: launch_plan_interface(one) for one in started}
        with self._lock:
            for entity in entities:
                id = identify(entity, scope, version_of(entity))
                if isinstance(entity, LaunchPlan):
                    self._launch_plans[id] = entity
                    self._interfaces[id] = interfaces[id.name]
                else:
                    self._tasks[id] = entity

    def fingerprints(self, tasks: "Sequence[AnyTask]") -> Mapping[str, str]:
        """Return cache versions by name; see `Fingerprints`."""
        return self._fingerprints(tasks) if self._fingerprints is not None else {}
