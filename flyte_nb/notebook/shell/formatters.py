"""Tell IPython how to show our types.

Types are registered by the names of their module and class. So a module is not loaded before a value of it
exists, and without the extension the same values are shown by their `repr`.
"""

import inspect
import logging
import sys
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from flyte_nb.api.errors import CompileFailed, FlyteNbError, UsageError
from flyte_nb.api.ports import Entity
from flyte_nb.executions.views import ExecutionView
from flyte_nb.notebook import at_rest
from flyte_nb.notebook.commands import drawing, registering
from flyte_nb.notebook.commands.compiling import Compilation
from flyte_nb.notebook.kernel.kernel import Kernel
from flyte_nb.notebook.kernel.ports import CompiledPort, ExecutionPort
from flyte_nb.registering.bundle_view import Bundle
from flyte_nb.registering.views import Registration
from flyte_nb.sdk.launch_plan import LaunchPlan
from flyte_nb.sdk.task import AnyTask, TaskOptions
from flyte_nb.sdk.workflow import Workflow

_LOG = logging.getLogger(__name__)

Show = Callable[[Kernel, Any], "Mapping[str, object]"]
"""Returns the mime bundle of a value; may raise."""


class _Watched(Protocol):
    """The part of `executions.execution.Watching` that is shown."""

    @property
    def execution(self) -> ExecutionPort:
        """Return the execution that is watched."""
        ...


def _task(kernel: Kernel, task: AnyTask) -> "Mapping[str, object]":
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
    """Return what the author asked for beyond the defaults, in words."""
    asked = []
    if options.retries:
        asked.append(f"{options.retries} {'retry' if options.retries == 1 else 'retries'}")
    if options.cache:
        asked.append("cached")
    if options.timeout_s:
        asked.append(f"at most {options.timeout_s:g} s")
    for name, amount in options.requests._asdict().items():
        if amount:
            asked.append(f"{amount} {name}")
    return asked


def _workflow(kernel: Kernel, workflow: Workflow) -> "Mapping[str, object]":
    return _compiled(kernel, kernel.session.compile(workflow), (workflow,))


def _launch_plan(kernel: Kernel, launch_plan: LaunchPlan) -> "Mapping[str, object]":
    workflow = launch_plan.workflow
    return _compiled(kernel, kernel.session.compile(workflow), (launch_plan, workflow))


def _compiled(
    kernel: Kernel, compiled: CompiledPort, entities: "tuple[Entity, ...]" = ()
) -> "Mapping[str, object]":
    # Remarks only on what the picture shows, not on the rest of the notebook.
    about = [*entities, *(draft.entity for draft in compiled.drafts)]
    return at_rest.compiled(compiled, kernel.cells.humanize, registering.notes(kernel, about))


def _compilation(kernel: Kernel, compilation: Compilation) -> "Mapping[str, object]":
    session = kernel.session
    remarks = registering.notes(kernel)
    if compilation.names:  # only remarks on the entities that were asked for
        remarks = tuple(registering.held_note(kernel, each) for each in compilation.held)
    return at_rest.compilation(
        compilation, session.scope.main_module, kernel.cells.humanize, remarks
    )


def _registration(kernel: Kernel, registration: Registration) -> "Mapping[str, object]":
    session = kernel.session
    named = session.notebook.said
    return at_rest.registration(
        registration,
        scope=session.scope,
        label=session.label,
        notes=(named,) if named else (),
        humanize=kernel.cells.humanize,
    )


def _travelling(kernel: Kernel, bundle: Bundle) -> "Mapping[str, object]":
    return at_rest.bundle(bundle, label=kernel.session.label, humanize=kernel.cells.humanize)


def _execution(kernel: Kernel, execution: ExecutionPort) -> "Mapping[str, object]":
    view = execution.view()
    if not view.is_terminal:
        return at_rest.launched(view)
    subject = drawing.subject_for(kernel, view)
    return drawing.execution_at_rest(kernel, execution, view, subject.graph)


def _watching(kernel: Kernel, watching: _Watched) -> "Mapping[str, object]":
    return _execution(kernel, watching.execution)


def _view(kernel: Kernel, view: ExecutionView) -> "Mapping[str, object]":
    return _execution(kernel, kernel.session.execution(view.id.name))


BY_TYPE: "dict[tuple[str, str], Show]" = {
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


def shown(kernel: Kernel, make: Show, value: Any) -> "Mapping[str, object]":
    """Return the mime bundle of a value. It never raises: what goes wrong is shown in the value's place."""
    try:
        return make(kernel, value)
    except (FlyteNbError, UsageError) as error:
        return at_rest.failure(error, text=repr(value), cells=kernel.cells)
    except Exception as error:  # noqa: BLE001 - the outermost frame of a display
        _LOG.exception("%s could not be shown", type(value).__name__)
        return at_rest.failure(error, text=repr(value), cells=kernel.cells)


def register(kernel: Kernel) -> "Callable[[], None]":
    """Add the formatters to the kernel's shell; return a function that removes them."""
    display = kernel.shell.display_formatter
    formatters = (display.mimebundle_formatter, display.formatters["text/plain"])
    for (module, name), make in BY_TYPE.items():
        for formatter, printer in zip(formatters, _bound(kernel, make), strict=True):
            formatter.for_type_by_name(module, name, printer)

    def undo() -> None:
        for module, name in BY_TYPE:
            kind = getattr(sys.modules.get(module), name, None)
            for formatter in formatters:
                # IPython moves a printer from the names to the types when it was first used.
                formatter.deferred_printers.pop((module, name), None)
                formatter.type_printers.pop(kind, None)

    return undo


def _bound(kernel: Kernel, make: Show) -> "tuple[Any, Any]":
    """Return the two functions that IPython calls for a value: for its mime bundle, and for its text.

    The text needs a printer of its own. IPython has one for tuples, which several of our values are, and its
    result would replace the text of the bundle.
    """
    # Making a bundle may compile a workflow or call the backend. So its text is kept for the second call.
    made: list[tuple[object, str]] = []

    def bundle(value: Any, include: Any = None, exclude: Any = None) -> "dict[str, Any]":
        found = dict(shown(kernel, make, value))
        made[:] = [(value, str(found["text/plain"]))]
        return found

    def text(value: Any, printer: Any, cycle: bool) -> None:
        if made and made[0][0] is value:  # IPython asks for both, one after the other
            printer.text(made.pop()[1])
        else:
            printer.text(repr(value))

    return bundle, text
