"""`%flyte watch`, `executions`, `logs` and `terminate`."""

import sys
from collections.abc import Mapping
from typing import Any, Protocol

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


class Frame(Protocol):
    """A widget on the page whose content can be exchanged."""

    def hold(self, widget: Any) -> None:
        """Show this widget in place of what is held."""
        ...

    def close(self) -> None:
        """Close the frame and what it held at first."""
        ...


def watch(kernel: Kernel, arguments: Arguments) -> None:
    """Follow an execution live; with `--wait`, until it has ended.

    Raises:
        ExecutionFailed: With `--wait`, when it ended in anything but SUCCEEDED.
    """
    try:
        execution = kernel.execution(arguments.first())
        tracker = show(kernel, execution, kernel.output())
        if not arguments.switch("wait"):
            return
        *_, last = execution.watch()  # not `view()`: only `watch` outlives an outage of the server
        if tracker is not None:
            tracker.join(timeout_s=10)
    except KeyboardInterrupt:
        raise Interrupted("Not waited for any longer.", hint="The run goes on.") from None
    if last.phase != SUCCEEDED:
        raise failure_of(last)


def show(
    kernel: Kernel, execution: ExecutionPort, output: Output, frame: "Frame | None" = None
) -> Any:
    """Put the live tracker into an output; of an execution that has ended, what stays of it.

    Args:
        kernel: The notebook's side.
        execution: What to follow.
        output: Where; static HTML is written over it in the end.
        frame: The widget that is in the output already and takes the tracker in.
    """
    first = execution.view()
    kernel.last_execution = first.id.name
    subject = drawing.subject_for(kernel, first)

    def static(view: ExecutionView) -> "Mapping[str, Any]":
        return drawing.execution_at_rest(kernel, execution, view, subject.graph)

    def replace(bundle: "Mapping[str, Any]") -> None:
        output.show(bundle)
        if frame is not None:
            frame.close()

    if first.is_terminal:
        replace(static(first))
        return None
    from flyte_nb.notebook.live.tracker import Surroundings, Tracker

    tracker = Tracker(
        execution,
        first,
        subject,
        Surroundings(static, replace, kernel.cells.humanize, at_rest.value),
    )
    if frame is None:
        output.show(at_rest.with_fallback(tracker.widget, static(first)))
    else:
        frame.hold(tracker.widget)
    kernel.follow(tracker)
    tracker.start()
    return tracker


def executions(kernel: Kernel, arguments: Arguments) -> None:
    """List the newest executions."""
    limit = arguments.number("limit", 20) or 20
    session = kernel.session
    views = session.executions(limit)
    kernel.output().show(at_rest.executions(views, scope=session.scope, label=session.label))


def logs(kernel: Kernel, arguments: Arguments) -> None:
    """Print what the attempts printed.

    Raises:
        UsageError: The execution has no such node.
    """
    first, second = arguments.positionals[:1], arguments.second()
    execution = kernel.execution(first[0] if first else "")
    attempt = arguments.number("attempt")
    node_id = _node_id(execution.view(), second) if second else None
    text = execution.logs(node_id, None if attempt is None else attempt - 1)
    tail = arguments.number("tail")
    if tail is not None:
        text = "\n".join(text.splitlines()[-tail:])
    text = visible.log(kernel.cells.humanize(text))
    sys.stdout.write(text if text.endswith("\n") or not text else f"{text}\n")
    if not text.strip():
        sys.stdout.write("Nothing was printed.\n")


def _node_id(view: ExecutionView, name: str) -> str:
    """The node a person means: by its id, or by the name of its task."""
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
    """End an execution; without `--yes` a question with two buttons comes first."""
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
