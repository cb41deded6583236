"""Run `wf(n=3)` and `fit(rows)` in this process: by the same engine, with the same literals as everywhere."""

import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flyte_nb.api.errors import UsageError
from flyte_nb.api.identifiers import Identifier, Scope
from flyte_nb.api.ports import Entity
from flyte_nb.client.data import KernelData
from flyte_nb.executions.inputs import to_literals
from flyte_nb.executions.why import Why
from flyte_nb.propeller.executors.inprocess import usual_slots
from flyte_nb.propeller.local_catalog import LocalCatalog
from flyte_nb.propeller.local_entities import LocalEntities
from flyte_nb.propeller.local_recovery import LocalRecovery, same_shape
from flyte_nb.propeller.reservations import Reservations
from flyte_nb.propeller.run import LocalSettings, run_local
from flyte_nb.sdk.entity import Definition
from flyte_nb.sdk.kinds.map_task import MapTask
from flyte_nb.sdk.launch_plan import LaunchPlan
from flyte_nb.sdk.outputs import unpack
from flyte_nb.sdk.task import AnyTask
from flyte_nb.sdk.workflow import Workflow
from flyte_nb.session.gate_answers import GateAnswers
from flyte_nb.session.local_plans import LocalPlan, LocalPlans
from flyte_nb.session.local_reasons import CachedNode, cached, explain, note
from flyte_nb.session.local_run import Called, Explain, LocalRun
from flyte_nb.types.registry import Registry
from flyte_nb.wire.literals import literal_map_from_idl, literal_map_to_idl

if TYPE_CHECKING:
    from flyte_nb.propeller.local_children import LocalRuns
    from flyte_nb.propeller.local_launch_plans import LocalLaunchPlan
    from flyte_nb.propeller.ports import Catalog

PARALLELISM = "FLYTE_NB_LOCAL_PARALLELISM"
"""How many tasks of a local run run side by side; 1 runs them one after the other in the calling thread."""
CACHE_ENABLED = "FLYTE_LOCAL_CACHE_ENABLED"
"""`0` or `false` runs cached tasks each time; flytekit's variable."""
CACHE_OVERWRITE = "FLYTE_LOCAL_CACHE_OVERWRITE"
"""`1` or `true` runs cached tasks and replaces their results; flytekit's variable."""

_NO = frozenset({"0", "false", "no", "off"})


class LocalRunner:
    """A `Runner` for calls in a kernel. Thread-safe."""

    def __init__(
        self,
        registry: Registry,
        scope: "Callable[[], Scope]",
        data: KernelData,
        *,
        catalog: "Callable[[], Catalog | None] | None" = None,
        roots: "Callable[[], list[Path]] | None" = None,
        environ: "Mapping[str, str] | None" = None,
        adjusted: "Callable[[LocalSettings], LocalSettings] | None" = None,
    ) -> None:
        """Set what runs share.

        Args:
            registry: The types.
            scope: Returns project, domain and the notebook's name as they are now.
            data: Stores values that are files until the kernel ends.
            catalog: Returns what keeps the results of cached tasks; asked when a cached task runs first.
                `None` caches nothing.
            roots: Returns the folders whose modules are the author's own; `None` means none.
            environ: The variables that settings are read from, at every run; `None` means `os.environ`.
            adjusted: Changes the settings of every run, in a test.
        """
        self.data = data
        """Stores values that are files until the kernel ends."""
        self._registry, self._scope = registry, scope
        self._plans = LocalPlans(registry, scope, data, roots)
        self._catalog = catalog
        self._reservations = Reservations()
        self._environ = os.environ if environ is None else environ
        self._adjusted = adjusted
        self.last: LocalRun | None = None
        """The last call that has ended."""

    def for_test(self, adjusted: "Callable[[LocalSettings], LocalSettings]") -> "LocalRunner":
        """Return a runner that keeps no result and knows no plan, over the same types and files."""
        return LocalRunner(
            self._registry, self._scope, self.data, environ=self._environ, adjusted=adjusted
        )

    def run(self, entity: Entity, inputs: "dict[str, Any]") -> Any:
        """Run a task or a workflow with Python inputs; return what its function would return.

        Raises:
            CompileFailed: the definition has problems, or an input does not fit; it names every one.
            ExecutionFailed: it failed, and not by an exception of a task's function.
            UsageError: a setting has a value that it cannot have.
            Exception: the exception of the task that failed, with a note that names the node.
        """
        __tracebackhide__ = True
        return self._run(entity, inputs, None)

    def _again(self, former: LocalRun, recover: bool) -> object:
        """Run a former call again; with `recover`, what succeeded in it is taken over."""
        __tracebackhide__ = True
        return self._run(_as_now(former.entity), former.inputs, former if recover else None)

    def _run(
        self, entity: Entity, inputs: "Mapping[str, object]", former: "LocalRun | None"
    ) -> object:
        __tracebackhide__ = True
        most = 0
        if isinstance(entity, LaunchPlan):
            most = entity.max_parallelism
            entity, inputs = entity.workflow, {**inputs, **entity.fixed_inputs}
        assert isinstance(entity, (AnyTask, Workflow))
        alone = isinstance(entity, AnyTask)
        is_many = isinstance(entity, MapTask) or entity.is_dynamic  # it has nodes or elements
        signature = entity.signature(self._registry)
        literals = to_literals(
            inputs,
            entity=entity.short_name,
            inputs=signature.interface.inputs,
            codecs=signature.input_codecs,
            optional=frozenset(signature.defaults),
            data=self.data,
        )
        known = (
            self._plans.of_task(entity)
            if isinstance(entity, AnyTask)
            else self._plans.of_workflow(entity)
        )
        entities = LocalEntities(
            known.tasks,
            known.launch_plans,
            started=self._started,
            fingerprints=self._plans.fingerprints,
        )
        called = Called(entity, inputs, known.plan, entities)
        settings = LocalSettings(
            slots=1 if alone and not is_many else self._slots(),
            max_parallelism=most,
            overwrite_cache=self._is_on(CACHE_OVERWRITE, usually=False),
            former=None if former is None else self._recovered(former, known, entities),
            on_end=lambda runs: self._ended(called, runs, caches=known.caches),
            answerer=GateAnswers(self._registry, self.data),
        )
        message = run_local(
            known.plan,
            literal_map_to_idl(literals),
            entities,
            self._registry,
            data=self.data,
            catalog=self._chosen_catalog() if known.caches else None,
            reservations=self._reservations,
            settings=self._adjusted(settings) if self._adjusted is not None else settings,
        )
        outputs = literal_map_from_idl(message)
        values = {
            name: codec.decode(outputs[name], self.data)
            for name, codec in signature.output_codecs.items()
        }
        return unpack(values, signature)

    def _ended(self, called: Called, runs: "LocalRuns", *, caches: bool) -> None:
        reasons = self._reasons(called.entity.short_name, runs) if caches else {}
        last, self.last = self.last, LocalRun(called, runs, self._again, reasons)
        if last is not None:
            last.close()

    def _reasons(self, name: str, runs: "LocalRuns") -> "dict[str, Explain]":
        """Note what the new results of a call are made of, and return what explains its cached nodes."""
        driver, values = runs.driver(runs.ids[0]), runs.values(runs.ids[0])
        catalog = self._chosen_catalog()
        if driver is None or values is None or not isinstance(catalog, LocalCatalog):
            return {}
        found: dict[str, Explain] = {}
        for node in driver.machine.nodes.values():
            one = cached(node, values, self._plans.parts)
            if one is not None:
                note(catalog, one, name)
                found[one.node_id] = partial(_explained, catalog, one)
        return found

    def _recovered(
        self, former: LocalRun, known: LocalPlan, entities: LocalEntities
    ) -> LocalRecovery:
        """Return what is still good of a former call."""
        if former.runs is None or not same_shape(former.plan, known.plan):
            raise UsageError(
                f"{former.entity.short_name} has other nodes than when it failed, so nothing can be taken"
                " over. Call it again."
            )
        before = former.entities

        def changed(id: Identifier) -> bool:
            return not self._plans.is_same(before.task(id), entities.task(id))

        return LocalRecovery(former.runs, changed)

    def _started(
        self, launch_plan: LaunchPlan
    ) -> "tuple[LocalLaunchPlan, Mapping[Identifier, AnyTask]]":
        """Return what a launch plan runs, and the tasks in there."""
        tasks = self._plans.of_workflow(launch_plan.workflow).tasks
        return self._plans.of_launch_plan(launch_plan), tasks

    def _chosen_catalog(self) -> "Catalog | None":
        if self._catalog is None or not self._is_on(CACHE_ENABLED, usually=True):
            return None
        return self._catalog()

    def _slots(self) -> int:
        given = self._environ.get(PARALLELISM, "")
        if not given:
            return usual_slots()
        if not given.isascii() or not given.isdigit() or not int(given):
            raise UsageError(
                f"{PARALLELISM}={given!r}: write how many tasks may run side by side, at least 1."
            )
        return int(given)

    def _is_on(self, name: str, *, usually: bool) -> bool:
        given = self._environ.get(name, "")
        return given.lower() not in _NO if given else usually


def _as_now(entity: Definition) -> Definition:
    """Return what the name of a workflow or a task means now: its cell may have been run again."""
    body = entity.workflow if isinstance(entity, LaunchPlan) else entity
    function = getattr(body, "function", None)
    found = getattr(function, "__globals__", {}).get(entity.short_name)
    return found if isinstance(found, type(entity)) else entity


def _explained(catalog: LocalCatalog, node: CachedNode, node_id: str) -> Why:
    return explain(catalog, node)
