"""A session without a backend: it implements the notebook's ports over plain values and a script.

`FakeExecution` plays a script of node phases against a clock that the test (or a person, in the
demonstration notebook) chooses. Nothing here is a mock: what is registered stays registered.
"""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple

from flyte_nb.api.errors import ErrorInfo, ExecutionFailed, RemoteError
from flyte_nb.api.identifiers import LAUNCH_PLAN, WORKFLOW, ExecutionId, Identifier, Scope
from flyte_nb.bundle.pack import Packer
from flyte_nb.discovery.names import NotebookName
from flyte_nb.executions.views import AttemptView, ExecutionView, NodeView
from flyte_nb.registering.bundle_view import Bundle, BundlePart, TaskBundle
from flyte_nb.registering.views import CHANGED, NEW, UNCHANGED, RegisteredEntity, Registration
from flyte_nb.types.registry import Registry

START = datetime(2026, 11, 22, 14, 2, 11, tzinfo=timezone.utc)


class Step(NamedTuple):
    """At `at_s` seconds after the launch node `node` is in `phase`."""

    at_s: float
    node: str
    phase: str
    error: ErrorInfo | None = None
    cache_status: str = ""


def plan(*steps: Step) -> "tuple[Step, ...]":
    return tuple(sorted(steps, key=lambda step: step.at_s))


def succeeding(names: Mapping[str, str]) -> "tuple[Step, ...]":
    """Every node runs for a second, one after the other."""
    steps = []
    for number, node in enumerate(names):
        steps += [Step(number, node, "RUNNING"), Step(number + 1, node, "SUCCEEDED")]
    return plan(*steps)


class FakeExecution:
    """One scripted execution; `speed` is scripted seconds a real second (0: only `advance`)."""

    def __init__(
        self,
        id: ExecutionId,
        workflow: Identifier,
        names: Mapping[str, str],
        script: Sequence[Step],
        *,
        inputs: Mapping[str, Any] | None = None,
        outputs: Any = None,
        speed: float = 1.0,
        now: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
    ) -> None:
        self.id = id
        self._workflow = workflow
        self._names = dict(names)
        self._script = tuple(script)
        self._inputs = dict(inputs or {})
        self._outputs = outputs
        self._speed = speed
        self._now = now
        self._began = now()
        self._steps = 0
        self._aborted = ""
        self._changed = threading.Condition()
        self.node_data_calls: list[str] = []

    def __repr__(self) -> str:
        return f"Execution({self.id.name})"

    def advance(self, steps: int = 1) -> None:
        """Let the next steps of the script happen."""
        with self._changed:
            self._steps = min(len(self._script), self._steps + steps)
            self._changed.notify_all()

    def _elapse(self) -> None:
        if self._speed:
            elapsed = (self._now() - self._began).total_seconds() * self._speed
            self._steps = sum(1 for step in self._script if step.at_s <= elapsed)

    def _time_of(self, step: Step) -> datetime:
        return self._began + timedelta(seconds=step.at_s / (self._speed or 1.0))

    def view(self) -> ExecutionView:
        with self._changed:
            self._elapse()
            return self._view()

    def _view(self) -> ExecutionView:
        nodes: dict[str, NodeView] = {}
        for step in self._script[: self._steps]:
            nodes[step.node] = self._after(nodes.get(step.node), step)
        phase, error, ended = "RUNNING", None, None
        failed = [node for node in nodes.values() if node.phase == "FAILED"]
        if self._aborted:
            phase, ended = "ABORTED", self._now()
        elif self._steps == len(self._script):
            last = self._script[-1]
            phase, ended = ("FAILED" if failed else "SUCCEEDED"), self._time_of(last)
            error = failed[0].error if failed else None
        launch_plan = self._workflow._replace(resource_type=LAUNCH_PLAN)
        return ExecutionView(
            self.id,
            launch_plan,
            self._workflow,
            phase,
            self._began,
            self._began,
            ended,
            error,
            self._aborted,
            tuple(nodes.values()),
            len(self._names),
            self._steps + bool(self._aborted),
        )

    def _after(self, before: NodeView | None, step: Step) -> NodeView:
        at = self._time_of(step)
        if before is None:
            name = self._names[step.node]
            before = NodeView(step.node, step.node, name, "QUEUED", started_at=at)
        attempts = list(before.attempts)
        if step.phase == "RUNNING":
            attempts.append(AttemptView(len(attempts), "RUNNING", started_at=at))
        elif attempts:
            attempts[-1] = attempts[-1]._replace(
                phase="FAILED" if step.phase == "RETRYABLE_FAILED" else step.phase,
                ended_at=at,
                error=step.error,
                cpu_s=0.8,
                max_rss_bytes=212_000_000,
            )
        terminal = step.phase in ("SUCCEEDED", "FAILED", "ABORTED")
        return before._replace(
            phase="RUNNING" if step.phase == "RETRYABLE_FAILED" else step.phase,
            attempts=tuple(attempts),
            ended_at=at if terminal else None,
            error=step.error if step.phase == "FAILED" else None,
            cache_status=step.cache_status or before.cache_status,
        )

    def watch(self) -> Iterator[ExecutionView]:
        serial = -1
        while True:
            view = self.view()
            if view.serial != serial:
                serial = view.serial
                yield view
                if view.is_terminal:
                    return
            with self._changed:
                self._changed.wait(0.02)

    def wait(self, timeout: float | None = None) -> ExecutionView:
        for view in self.watch():
            last = view
        if last.phase != "SUCCEEDED":
            info = last.error or ErrorInfo(last.phase, last.abort_cause)
            raise ExecutionFailed(f"{self.id.name} ended {last.phase}", info=info)
        return last

    def inputs(self) -> Mapping[str, Any]:
        return self._inputs

    def outputs(self) -> Any:
        return self._outputs

    def node_data(self, node_id: str) -> "tuple[Mapping[str, Any], Mapping[str, Any]]":
        self.node_data_calls.append(node_id)
        return {"seed": 7}, {"o0": 0.97}

    def logs(self, node_id: str | None = None, attempt: int | None = None) -> str:
        lines = []
        for node in self.view().nodes:
            if node_id in (None, node.node_id):
                lines += [
                    f"{node.node_id} attempt {tried.attempt + 1} says hello"
                    for tried in node.attempts
                    if attempt in (None, tried.attempt)
                ]
        return "\n".join(lines) + ("\n" if lines else "")

    def terminate(self, cause: str) -> None:
        with self._changed:
            self._aborted = cause
            self._changed.notify_all()


class Connector:
    """What `load` is given: without options the session that holds, with options a new one."""

    def __init__(self, **options: Any) -> None:
        self._options = options
        self.session: FakeSession | None = None

    def __call__(self, **options: Any) -> "FakeSession":
        if options or self.session is None:
            self.session = FakeSession(**self._options, **options)
        return self.session


class FakeCompiled(NamedTuple):
    name: str
    closure: Any
    template: Any
    problems: tuple[Any, ...]
    drafts: tuple[Any, ...] = ()


class FakeFetched(NamedTuple):
    """Like `client.fetching.Registered`: flyteidl's `Workflow` as the message."""

    message: Any


class FakeSession:
    """Registers in a dict, launches scripts, compiles for real."""

    def __init__(
        self,
        *,
        script: Callable[[Mapping[str, str]], Sequence[Step]] = succeeding,
        speed: float = 1.0,
        real_compiler: bool = False,
        **options: Any,
    ) -> None:
        self._real_compiler = real_compiler
        self.scope = Scope(
            options.get("project") or "flytesnacks",
            options.get("domain") or "development",
            options.get("name") or "churn",
        )
        self.registry = Registry(warn_pickled=False)
        self.label = "local backend"
        self.named_by = "JupyterLab"
        self.closed = False
        self.up = True
        self.registered: dict[str, str] = {}
        self._executions: list[FakeExecution] = []
        self._closures: dict[str, Any] = {}
        self._script = script
        self._speed = speed
        self.pause_s = 0.0

    @property
    def runner(self) -> Any:
        return None

    @property
    def notebook(self) -> NotebookName:
        return NotebookName(
            self.scope.main_module, self.named_by, f"{self.scope.main_module}.ipynb"
        )

    def full_name(self, entity: Any) -> str:
        return self.scope.full_name(entity.module, entity.short_name)

    def bundle(self, *entities: Any) -> Bundle:
        packer = Packer(scope=self.scope)
        tasks = []
        for entity in entities:
            if entity.resource_type == "task":
                packed = packer.pack(entity)
                parts = tuple(
                    BundlePart(
                        item.name, item.kind, item.size_bytes, "the task itself", None, "new"
                    )
                    for item in packed.captured
                )
                tasks.append(TaskBundle(packed.name, "new", parts, warnings=packed.warnings))
        return Bundle(tuple(tasks))

    def register(
        self, *entities: Any, on_progress: Any = None, on_upload: Any = None, dry_run: bool = False
    ) -> Registration:
        if self._real_compiler:  # as the real one: with all they use
            entities = tuple(d.entity for e in entities for d in self.compile(e).drafts)
        done = []
        began = time.monotonic()
        for entity in entities:
            if self.pause_s:
                time.sleep(self.pause_s)  # a person looks at the panel; tests leave it at zero
            name = self.full_name(entity)
            code = entity.function.__code__
            version = hashlib.sha256(code.co_code + repr(code.co_consts).encode()).hexdigest()[:8]
            before = self.registered.get(name)
            state = NEW if before is None else UNCHANGED if before == version else CHANGED
            why = {
                NEW: "first time",
                UNCHANGED: "same fingerprint as what is registered",
                CHANGED: f"{entity.short_name}() changed",
            }[state]
            id = Identifier(
                entity.resource_type, self.scope.project, self.scope.domain, name, version
            )
            done.append(RegisteredEntity(id, state, why, 0 if state == UNCHANGED else 2140))
            if not dry_run:
                self.registered[name] = version
            if on_progress is not None:
                on_progress(done[-1])
        uploaded = sum(entity.uploaded_bytes for entity in done)
        return Registration(tuple(done), uploaded, len(done), time.monotonic() - began)

    def launch(
        self,
        entity: Any,
        inputs: Mapping[str, Any],
        *,
        version: str | None = None,
        execution_name: str | None = None,
    ) -> FakeExecution:
        compiled = self.compile(entity)
        names = {
            node.id: node.target.reference.name
            for node in (compiled.template.nodes if compiled else ())
        }
        name = execution_name or f"a{len(self._executions):07x}"
        workflow = Identifier(
            WORKFLOW, self.scope.project, self.scope.domain, self.full_name(entity), "q3f9Zk"
        )
        self._closures[workflow.name] = compiled.closure
        execution = FakeExecution(
            ExecutionId(self.scope.project, self.scope.domain, name),
            workflow,
            names,
            self._script(names),
            inputs=inputs,
            outputs={"o0": 0.97},
            speed=self._speed,
        )
        self._executions.append(execution)
        return execution

    def execution(self, name: str) -> FakeExecution:
        for execution in self._executions:
            if execution.id.name == name:
                return execution
        raise RemoteError(f"There is no execution {name}.", code="NOT_FOUND")

    def executions(self, limit: int = 20) -> Sequence[ExecutionView]:
        return [execution.view() for execution in reversed(self._executions)][:limit]

    def fetch_workflow(self, name: str, version: str | None = None) -> FakeFetched:
        if name not in self._closures:
            raise RemoteError(f"There is no workflow {name}.", code="NOT_FOUND")
        from flyteidl.admin.workflow_pb2 import Workflow

        message = Workflow()
        message.id.version = "v1"
        message.closure.compiled_workflow.CopyFrom(self._closures[name])
        return FakeFetched(message)

    def compile(self, entity: Any) -> Any:
        if self._real_compiler:
            from flyte_nb.drafting.compiling import compile_entity

            return compile_entity(entity, self.scope, self.registry)
        return compile_with(entity, self.registry, self.scope)

    def compile_all(self, *entities: Any) -> Any:
        from flyte_nb.drafting.reports import compile_all

        return compile_all(entities, self.scope, self.registry)

    def interface(self, entity: Any) -> Any:
        raise RemoteError(f"There is no launch plan {entity}.", code="NOT_FOUND")

    def renamed(self) -> str | None:
        return None

    def answers(self) -> bool:
        return self.up

    def keep(self, workflow: Any) -> None:
        """Have it registered as it is now: what it is compiled to, and the code it runs."""
        compiled = self.compile(workflow)
        self._closures[compiled.name] = compiled.closure
        self.register(workflow)

    def status(self) -> Mapping[str, Any]:
        return {"endpoint": "127.0.0.1:30080", "running": len(self._executions)}

    def close(self) -> None:
        self.closed = True


def compile_with(workflow: Any, registry: Registry, scope: Scope) -> FakeCompiled:
    """The real trace and translation; the closure holds the template as it is."""
    from flyteidl.core import compiler_pb2, workflow_pb2

    from flyte_nb.wire.specs import workflow_spec_to_idl

    trace = workflow.trace(registry, scope)
    name = scope.full_name(workflow.module, workflow.short_name)
    if trace.problems:
        return FakeCompiled(name, None, trace.template, trace.problems)
    spec = workflow_spec_to_idl(trace.template)
    closure = compiler_pb2.CompiledWorkflowClosure(
        primary=compiler_pb2.CompiledWorkflow(template=spec.template)
    )
    assert isinstance(spec.template, workflow_pb2.WorkflowTemplate)
    return FakeCompiled(name, closure, trace.template, ())
