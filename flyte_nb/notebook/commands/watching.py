"""`%flyte watch`, `%flyte executions`, `%flyte logs` and `%flyte terminate`."""

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from flyte_nb.api import visible
from flyte_nb.api.errors import UsageError
from flyte_nb.api.phases import SUCCEEDED
from flyte_nb.executions.failures import failure_of
from flyte_nb.executions.views import ExecutionView
from flyte_nb.notebook import at_rest
from flyte_nb.notebook.arguments import Arguments
from flyte_nb.notebook.commands import drawing
from flyte_nb.notebook.kernel.failures import Interrupted
from flyte_nb.notebook.kernel.kernel import Kernel, Output
from flyte_nb.notebook.kernel.ports import ExecutionPort

if TYPE_CHECKING:
    from flyte_nb.notebook.live.tracker import Tracker  # which needs ipywidgets


class WidgetFrame(Protocol):
    """A widget in the page whose content can be replaced, like the launch form."""

    def hold(self, widget: Any) -> None:
        """Show this widget in place of the present content."""
        ...

    def close(self) -> None:
        """Close the frame and its content."""
        ...


def watch(kernel: Kernel, arguments: Arguments) -> None:
    """Show the live view of an execution; with `--wait`, return when the execution has ended.

    Raises:
        UsageError: No name was given, and nothing was launched yet.
        ExecutionFailed: With `--wait`: the execution ended in another phase than SUCCEEDED.
        Interrupted: With `--wait`: a person interrupted the kernel. The execution goes on.
    """
    try:
        execution = kernel.execution(arguments.first())
        tracker = show(kernel, execution, kernel.output())
        if not arguments.switch("wait"):
            return
        # Not `execution.view()`: only `watch` survives an outage of FlyteAdmin.
        *_, last = execution.watch()
        # The painting thread may be a moment behind. What the notebook saves has to be the last state.
        if tracker is not None:
            tracker.join(timeout_s=10)
    except KeyboardInterrupt:
        raise Interrupted("Waiting was interrupted.", hint="The run goes on.") from None
    if last.phase != SUCCEEDED:
        raise failure_of(last)


def show(
    kernel: Kernel, execution: ExecutionPort, output: Output, frame: "WidgetFrame | None" = None
) -> "Tracker | None":
    """Show the live tracker in an output; for an execution that has ended, its static card.

    Args:
        kernel: The notebook's side.
        execution: What to follow.
        output: Where to show it. Static HTML is written over the tracker when the execution has ended.
        frame: A widget that is in the output already, which the tracker is put into.

    Returns:
        The tracker; `None` if the execution has ended.
    """
    first = execution.view()
    kernel.last_execution = first.id.name
    subject = drawing.subject_for(kernel, first)

    def static(view: ExecutionView) -> "Mapping[str, object]":
        return drawing.execution_at_rest(kernel, execution, view, subject.graph)

    def replace(bundle: "Mapping[str, object]") -> None:
        output.show(bundle)
        if frame is not None:
            frame.close()

    if first.is_terminal:
        replace(static(first))
        return None
    # ipywidgets is optional; what has ended is shown without it.
    from flyte_nb.notebook.live.tracker import Tracker, TrackerContext

    registry = kernel.session.registry
    around = TrackerContext(
        at_rest=static,
        replace=replace,
        humanize=kernel.cells.humanize,
        show_value=at_rest.value,
        codec=lambda declared: registry.codec(registry.guess(declared)),
    )
    tracker = Tracker(execution, first, subject, around)
    if frame is None:
        output.show(at_rest.with_fallback(tracker.widget, static(first)))
    else:
        frame.hold(tracker.widget)
    kernel.follow(tracker)
    tracker.start()
    return tracker


def executions(kernel: Kernel, arguments: Arguments) -> None:
    """Show the newest executions as a table."""
    limit = arguments.number("limit", 20) or 20
    session = kernel.session
    views = session.executions(limit)
    kernel.output().show(at_rest.executions(views, scope=session.scope, label=session.label))


def logs(kernel: Kernel, arguments: Arguments) -> None:
    """Print what attempts printed: all of them, or those of one node, or one attempt.

    Raises:
        UsageError: Nothing was launched yet, or the execution has no such node.
        RemoteError: There is no such execution or attempt, or FlyteAdmin cannot be reached.
    """
    first, second = arguments.positionals[:1], arguments.second()
    execution = kernel.execution(first[0] if first else "")
    attempt = arguments.number("attempt")
    node_id = _node_id(execution.view(), second) if second else None
    # A person counts attempts from 1, FlyteAdmin from 0.
    text = execution.logs(node_id, None if attempt is None else attempt - 1)
    tail = arguments.number("tail")
    if tail is not None:
        text = "\n".join(text.splitlines()[-tail:])
    text = visible.log(kernel.cells.humanize(text))
    sys.stdout.write(text if text.endswith("\n") or not text else f"{text}\n")
    if not text.strip():
        sys.stdout.write("Nothing was printed.\n")


def _node_id(view: ExecutionView, name: str) -> str:
    """Return the id of the node that a person means by its id, its full name or the name of its function."""
    for node in view.nodes:
        if name in (node.node_id, node.name):
            return node.node_id
    named = [n.node_id for n in view.nodes if n.name.rpartition(".")[2] == name]
    if len(named) == 1:
        return named[0]
    if named:
        raise UsageError(f"{name} ran several times: {', '.join(named)}. Name one of these nodes.")
    known = ", ".join(f"{n.node_id} ({n.name.rpartition('.')[2]})" for n in view.nodes[:20])
    raise UsageError(f"{view.id.name} has no node {name!r}; it has: {known or 'none yet'}.")


def terminate(kernel: Kernel, arguments: Arguments) -> None:
    """Terminate an execution; without `--yes`, show a question with two buttons first.

    Raises:
        UsageError: No name was given, and nothing was launched yet.
        RemoteError: There is no such execution, or FlyteAdmin refuses.
    """
    execution = kernel.execution(arguments.first())
    view = execution.view()
    output = kernel.output()
    if view.is_terminal:
        output.show(at_rest.note(f"{view.id.name} has already ended: {view.phase.lower()}."))
        return
    cause = arguments.options.get("cause", "terminated from the notebook")
    if arguments.switch("yes"):
        execution.terminate(cause)
        output.show(at_rest.note(f"{view.id.name} is being terminated."))
        return
    # ipywidgets is optional; `--yes` works without it.
    from flyte_nb.notebook.live.question import Question

    subject = f"{view.workflow.name.rpartition('.')[2]} {view.id.name}"
    question = Question(
        f"Terminate {subject}? Tasks that run are killed; what has ended is kept.",
        yes=("Terminate", lambda: execution.terminate(cause), f"{subject} is being terminated."),
        no=("Keep it running", f"{subject} goes on."),
        say=lambda text: output.show(at_rest.note(text)),
    )
    advice = f"%flyte terminate {view.id.name} --yes terminates without a question."
    output.show(at_rest.with_fallback(question.widget, at_rest.note(advice)))
