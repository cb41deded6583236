"""A session without a backend: it implements `SessionPort` over plain values and scripted executions.

Nothing here is a mock: what is registered stays registered, and what is launched runs its script
(`fake_executions.py`).
"""

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from fake_executions import FakeExecution, Step, succeeding

from flyte_nb.api.errors import RemoteError
from flyte_nb.api.identifiers import TASK, WORKFLOW, ExecutionId, Identifier, Scope
from flyte_nb.bundle.pack import Packer
from flyte_nb.discovery.names import NotebookName
from flyte_nb.executions.views import ExecutionView
from flyte_nb.registering.bundle_view import Bundle, BundlePart, TaskBundle
from flyte_nb.registering.views import CHANGED, NEW, UNCHANGED, RegisteredEntity, Registration
from flyte_nb.types.registry import Registry


class Connector:
    """The `connect` of `extension.load`: without options the present session, with options a new one."""

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
    """The part of `client.fetching.Registered` that the notebook uses: flyteidl's `Workflow`."""

    message: Any


class FakeSession:
    """A session that registers in a dict and launches scripts. With `real_compiler` it compiles for real."""

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
            if entity.resource_type == TASK:
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
        self,
        *entities: Any,
        on_progress: Any = None,
        on_upload: Any = None,
        dry_run: bool = False,
        restage: bool = False,
    ) -> Registration:
        if self._real_compiler:  # the real one registers all that these use as well
            entities = tuple(d.entity for e in entities for d in self.compile(e).drafts)
        done = []
        began = time.monotonic()
        for entity in entities:
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
        from flyte_nb.drafting.compile_report import compile_all

        return compile_all(entities, self.scope, self.registry)

    def interface(self, entity: Any) -> Any:
        raise RemoteError(f"There is no launch plan {entity}.", code="NOT_FOUND")

    def renamed(self) -> str | None:
        return None

    def answers(self) -> bool:
        return self.up

    def keep(self, workflow: Any) -> None:
        """Register the workflow as it is now: what it is compiled to, and the code that it runs."""
        compiled = self.compile(workflow)
        self._closures[compiled.name] = compiled.closure
        self.register(workflow)

    def status(self) -> Mapping[str, Any]:
        return {"endpoint": "127.0.0.1:30080", "running": len(self._executions)}

    def close(self) -> None:
        self.closed = True


def compile_with(workflow: Any, registry: Registry, scope: Scope) -> FakeCompiled:
    """Trace and translate a workflow for real; its closure holds the template without being compiled."""
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
