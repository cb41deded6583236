"""Trace the body of a workflow: run it once with promises in place of values, and keep the nodes it makes."""

from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

from flyte_nb.api.errors import UsageError
from flyte_nb.api.identifiers import Scope
from flyte_nb.api.problems import Problem, unique
from flyte_nb.api.specs import Binding, Location, Node, OutputReference
from flyte_nb.sdk import context
from flyte_nb.sdk.callee import Callee
from flyte_nb.sdk.entity import entity_name
from flyte_nb.sdk.failure_handler import traced_handler
from flyte_nb.sdk.finishing import bind_outputs, check_ids, check_sections
from flyte_nb.sdk.hints import parameters_of
from flyte_nb.sdk.loops import run_to_end
from flyte_nb.sdk.node_drafts import finished
from flyte_nb.sdk.promise import Promise
from flyte_nb.sdk.signature import TaskSignature
from flyte_nb.sdk.tracing import TracingFrame

if TYPE_CHECKING:
    from flyte_nb.api.ports import DataAccess
    from flyte_nb.sdk.entity import Definition
    from flyte_nb.types.registry import Registry

_UNCALLABLE = frozenset({"GeneratorFunction", "PositionalOnlyParameter"})
"""Problems of a signature after which the body cannot be run."""


class TracedBody(NamedTuple):
    """What a body made. With problems, it is as complete as it could be."""

    nodes: "tuple[Node, ...]"
    outputs: "tuple[Binding, ...]"
    entities: "tuple[Definition, ...]"
    """Tasks, workflows and launch plans that the nodes refer to, each once."""
    problems: "tuple[Problem, ...]"
    """Everything that is wrong with the signature and the body."""
    failure_node: "Node | None" = None


def trace_body(
    workflow: Callee,
    registry: "Registry",
    scope: Scope,
    version_of: "Callable[[Definition], str]",
    data: "DataAccess | None",
    on_failure: "Definition | None" = None,
) -> TracedBody:
    """Run the body of `workflow` once with promises, and return what it made.

    Never raises for what the body does: an exception in it becomes a problem.

    Args:
        workflow: The workflow.
        registry: The types.
        scope: Project, domain and the notebook's name.
        version_of: Returns the version by which an entity is referred to.
        data: Stores constants that need a file; without it such constants are problems.
        on_failure: What runs when the workflow has failed.
    """
    frame = TracingFrame(entity_name(workflow, scope), registry, scope, version_of, data)
    reading = workflow.read(registry)
    frame.problems.extend(reading.problems)
    value, ended = _run(workflow, frame, reading.signature)
    outputs = bind_outputs(frame, workflow, reading.signature, value) if ended else ()
    if ended:  # otherwise an exception left them open, which is the problem
        check_sections(frame)
    check_ids(frame)
    handler = None if on_failure is None else traced_handler(frame, on_failure, workflow)
    nodes = finished(frame.drafts)
    return TracedBody(
        nodes=nodes,
        outputs=outputs,
        entities=_with(frame.entities, on_failure),
        problems=unique(frame.problems),
        failure_node=handler,
    )


def _with(
    entities: "tuple[Definition, ...]", handler: "Definition | None"
) -> "tuple[Definition, ...]":
    """Return the entities and the failure handler, each once."""
    if handler is None or any(entity is handler for entity in entities):
        return entities
    return (*entities, handler)


def _run(workflow: Callee, frame: TracingFrame, signature: TaskSignature) -> "tuple[Any, bool]":
    """Return what the body returned, and whether it got to its end."""
    if any(problem.code in _UNCALLABLE for problem in frame.problems):
        return None, False
    inputs = signature.interface.inputs
    # Every parameter gets a promise, also one whose type is a problem: the rest of the body is
    # then still traced, and its problems are reported in the same round.
    promises = {
        name: Promise(
            draft=None,
            reference=OutputReference("", name),
            type=inputs[name].type if name in inputs else None,
            label=name,
        )
        for name in parameters_of(workflow.function).names
    }
    token = context.frame.set(frame)
    try:
        return run_to_end(workflow.function(**promises)), True
    except Exception as error:  # noqa: BLE001 - the body is the user's; what it raises is a problem
        _note_failure(workflow, frame, error)
        return None, False
    finally:
        context.frame.reset(token)


def _note_failure(workflow: Callee, frame: TracingFrame, error: Exception) -> None:
    location = _where(error.__traceback__) or workflow.location
    if isinstance(error, UsageError):
        frame.problem("WorkflowBody", str(error), location=location)
        return
    if isinstance(error, RecursionError):
        frame.problem(
            "WorkflowBody",
            f"The body of {workflow.short_name} goes too deep: {error}.",
            hint="Python follows about a thousand levels: nest fewer lists or workflows.",
            location=location,
        )
        return
    frame.problem(
        "WorkflowBody",
        f"The body of {workflow.short_name} raised {type(error).__name__}: {error}.",
        hint="The body only puts tasks together; what computes belongs in a task.",
        location=location,
    )


def _where(trace: "TracebackType | None") -> "Location | None":
    """Return the innermost line of the user's own: of the body, or of a function that it called."""
    found = None
    while trace is not None:
        module = trace.tb_frame.f_globals.get("__name__", "")
        if not module.startswith("flyte_nb."):
            found = Location(trace.tb_frame.f_code.co_filename, trace.tb_lineno)
        trace = trace.tb_next
    return found
