"""IPython formatters by type. A type is named, not imported: nothing is loaded until it is shown."""

import inspect
import logging
from collections.abc import Callable, Mapping
from typing import Any

from flyte_nb.api.errors import CompileFailed, FlyteNbError, UsageError
from flyte_nb.api.ports import Entity
from flyte_nb.notebook import at_rest
from flyte_nb.notebook.commands import registering
from flyte_nb.notebook.kernel.kernel import Kernel
from flyte_nb.notebook.kernel.ports import CompiledPort
from flyte_nb.sdk.launch_plan import LaunchPlan
from flyte_nb.sdk.task import AnyTask, TaskOptions
from flyte_nb.sdk.workflow import Workflow

_LOG = logging.getLogger(__name__)

Bundle = Callable[[Kernel, Any], "Mapping[str, Any]"]


def _task(kernel: Kernel, task: AnyTask) -> "Mapping[str, Any]":
    registry = kernel.session.registry
    problems = task.problems(registry)
    if problems:
        raise CompileFailed(f"{task.short_name} cannot be used yet:", problems)
    doc = inspect.getdoc(task.function) or ""
    return at_rest.task(
        kernel.session.scope.full_name(task.module, task.short_name),
        task.signature(registry),
        _options(task.options),
        doc=doc.partition("\n")[0],
        place=kernel.cells.label(task.location.filename),
    )


def _options(options: TaskOptions) -> "list[str]":
    """What the author asked for beyond the defaults, in words."""
    said = []
    if options.retries:
        said.append(f"{options.retries} {'retry' if options.retries == 1 else 'retries'}")
    if options.cache:
        said.append("cached")
    if options.timeout_s:
        said.append(f"at most {options.timeout_s:g} s")
    for name, amount in options.requests._asdict().items():
        if amount:
            said.append(f"{amount} {name}")
    return said


def _workflow(kernel: Kernel, workflow: Workflow) -> "Mapping[str, Any]":
    return _compiled(kernel, kernel.session.compile(workflow), (workflow,))


def _launch_plan(kernel: Kernel, launch_plan: LaunchPlan) -> "Mapping[str, Any]":
    workflow = launch_plan.workflow
    return _compiled(kernel, kernel.session.compile(workflow), (launch_plan, workflow))


def _compiled(
    kernel: Kernel, compiled: CompiledPort, entities: "tuple[Entity, ...]" = ()
) -> "Mapping[str, Any]":
    about = [*entities, *(draft.entity for draft in compiled.drafts)]
    return at_rest.compiled(compiled, kernel.cells.humanize, registering.notes(kernel, about))


def _compilation(kernel: Kernel, compilation: Any) -> "Mapping[str, Any]":
    session = kernel.session
    said = registering.notes(kernel)
    if compilation.names:  # then only what speaks of these
        said = tuple(registering.held_note(kernel, each) for each in compilation.held)
    return at_rest.compilation(compilation, session.scope.main_module, kernel.cells.humanize, said)


def _registration(kernel: Kernel, registration: Any) -> "Mapping[str, Any]":
    session = kernel.session
    named = session.notebook.said
    return at_rest.registration(
        registration,
        scope=session.scope,
        label=session.label,
        notes=(named,) if named else (),
        humanize=kernel.cells.humanize,
    )


def _travelling(kernel: Kernel, bundle: Any) -> "Mapping[str, Any]":
    return at_rest.bundle(bundle, label=kernel.session.label, humanize=kernel.cells.humanize)


def _execution(kernel: Kernel, execution: Any) -> "Mapping[str, Any]":
    view = execution.view()
    if not view.is_terminal:
        return at_rest.launched(view)
    from flyte_nb.notebook.commands import drawing

    subject = drawing.subject_for(kernel, view)
    return drawing.execution_at_rest(kernel, execution, view, subject.graph)


def _watching(kernel: Kernel, watching: Any) -> "Mapping[str, Any]":
    return _execution(kernel, watching.execution)


def _view(kernel: Kernel, view: Any) -> "Mapping[str, Any]":
    return _execution(kernel, kernel.session.execution(view.id.name))


BY_TYPE: "dict[tuple[str, str], Bundle]" = {
    ("flyte_nb.sdk.task", "Task"): _task,
    ("flyte_nb.sdk.workflow", "Workflow"): _workflow,
    ("flyte_nb.sdk.launch_plan", "LaunchPlan"): _launch_plan,
    ("flyte_nb.drafting.compiling", "Compiled"): _compiled,
    ("flyte_nb.registering.bundle_view", "Bundle"): _travelling,
    ("flyte_nb.notebook.commands.compiling", "Compilation"): _compilation,
    ("flyte_nb.registering.views", "Registration"): _registration,
    ("flyte_nb.executions.views", "ExecutionView"): _view,
    ("flyte_nb.executions.execution", "Execution"): _execution,
    ("flyte_nb.executions.execution", "Watching"): _watching,
}


def shown(kernel: Kernel, make: Bundle, value: Any) -> "Mapping[str, Any]":
    """The bundle for a value. A display never raises: what goes wrong is shown in its place."""
    try:
        return make(kernel, value)
    except (FlyteNbError, UsageError) as error:
        return at_rest.failure(error, text=repr(value), cells=kernel.cells)
    except Exception as error:  # noqa: BLE001 - the outermost frame of a display
        _LOG.exception("%s could not be shown", type(value).__name__)
        return at_rest.failure(error, text=repr(value), cells=kernel.cells)


def register(kernel: Kernel) -> "Callable[[], None]":
    """Add the formatters to the kernel's shell; the result takes them away."""
    display = kernel.shell.display_formatter
    formatters = (display.mimebundle_formatter, display.formatters["text/plain"])
    for (module, name), make in BY_TYPE.items():
        for formatter, printer in zip(formatters, _bound(kernel, make), strict=True):
            formatter.for_type_by_name(module, name, printer)

    def undo() -> None:
        import sys

        for module, name in BY_TYPE:
            kind = getattr(sys.modules.get(module), name, None)
            for formatter in formatters:
                formatter.deferred_printers.pop((module, name), None)
                formatter.type_printers.pop(kind, None)

    return undo


def _bound(kernel: Kernel, make: Bundle) -> "tuple[Any, Any]":
    """What gives the bundle, and what prints its text: IPython's own for tuples would come first."""
    made: list[tuple[Any, str]] = []

    def bundle(value: Any, include: Any = None, exclude: Any = None) -> "dict[str, Any]":
        found = dict(shown(kernel, make, value))
        made[:] = [(value, found["text/plain"])]
        return found

    def text(value: Any, printer: Any, cycle: bool) -> None:
        if made and made[0][0] is value:  # as it is when both are asked for, one after the other
            printer.text(made.pop()[1])
        else:
            printer.text(repr(value))

    return bundle, text
