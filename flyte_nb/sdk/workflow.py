"""`@workflow`: a function whose calls of tasks become the nodes of a graph."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, overload

from flyte_nb.api.errors import UsageError
from flyte_nb.api.identifiers import WORKFLOW, Scope
from flyte_nb.sdk import context
from flyte_nb.sdk.callee import Callee

if TYPE_CHECKING:
    from types import TracebackType

    from flyte_nb.api.identifiers import Identifier
    from flyte_nb.api.ports import DataAccess
    from flyte_nb.api.problems import Problem
    from flyte_nb.api.specs import Location, Target, WorkflowTemplate
    from flyte_nb.sdk.entity import Definition
    from flyte_nb.sdk.signature import TaskSignature
    from flyte_nb.sdk.tracing import TracingFrame
    from flyte_nb.types.registry import Registry


class WorkflowFailurePolicy:
    """What happens to the rest when a node fails."""

    FAIL_IMMEDIATELY = "fail_immediately"
    FAIL_AFTER_EXECUTABLE_NODES_COMPLETE = "fail_after_executable_nodes_complete"


class WorkflowOptions(NamedTuple):
    """The options of a workflow, as plain values."""

    failure_policy: str = WorkflowFailurePolicy.FAIL_IMMEDIATELY
    interruptible: bool = False
    docs: str = ""


class Trace(NamedTuple):
    """A workflow put together: its template, what it refers to, and everything that is wrong."""

    template: "WorkflowTemplate"
    entities: "tuple[Definition, ...]"
    """Tasks, workflows and launch plans that its nodes refer to, each once."""
    problems: "tuple[Problem, ...]"


class Workflow(Callee):
    """A workflow. `.function` is what the author wrote."""

    resource_type = WORKFLOW
    noun = "workflow"
    options: WorkflowOptions

    def target(self, reference: "Identifier") -> "Target":
        """Return what a node runs that calls this workflow."""
        from flyte_nb.api.specs import WorkflowNode

        return WorkflowNode(reference)

    def trace(
        self,
        registry: "Registry",
        scope: Scope,
        version_of: "Callable[[Definition], str]" = lambda entity: "",
        *,
        data: "DataAccess | None" = None,
    ) -> Trace:
        """Run the body once with promises, and say what came of it.

        Names in the body are looked up anew each time, so that a task of a cell that was run again
        counts as it is now. Problems never raise; the template is as whole as it can be.

        Args:
            registry: the types.
            scope: project, domain and the notebook's name.
            version_of: the version by which an entity is referred to.
            data: where constants that need a file are stored; without it they are problems.
        """
        from flyte_nb.api.problems import unique
        from flyte_nb.api.specs import WorkflowTemplate
        from flyte_nb.sdk.entity import entity_name, identify
        from flyte_nb.sdk.finishing import bind_outputs, check_ids
        from flyte_nb.sdk.node_drafts import finished
        from flyte_nb.sdk.tracing import TracingFrame

        frame = TracingFrame(entity_name(self, scope), registry, scope, version_of, data)
        reading = self.read(registry)
        frame.problems.extend(reading.problems)
        signature = reading.signature
        value, ended = self._run_body(frame, signature)
        outputs = bind_outputs(frame, self, signature, value) if ended else ()
        check_ids(frame)
        template = WorkflowTemplate(
            id=identify(self, scope),
            interface=signature.interface,
            nodes=finished(frame.drafts),
            outputs=outputs,
            on_failure=self.options.failure_policy,
            interruptible=self.options.interruptible,
            description=_description(self),
        )
        return Trace(template, frame.entities, unique(frame.problems))

    def _run_body(self, frame: "TracingFrame", signature: "TaskSignature") -> "tuple[Any, bool]":
        from flyte_nb.api.specs import OutputReference
        from flyte_nb.sdk.hints import parameters_of
        from flyte_nb.sdk.loops import run_to_end
        from flyte_nb.sdk.promise import Promise

        if any(problem.code in _UNCALLABLE for problem in frame.problems):
            return None, False
        inputs = signature.interface.inputs
        promises = {
            name: Promise(
                None, OutputReference("", name), inputs[name].type if name in inputs else None, name
            )
            for name in parameters_of(self.function).names
        }
        token = context.frame.set(frame)
        try:
            return run_to_end(self.function(**promises)), True
        except Exception as error:  # noqa: BLE001 - the body is the user's; what it raises is a problem
            self._note_failure(frame, error)
            return None, False
        finally:
            context.frame.reset(token)

    def _note_failure(self, frame: "TracingFrame", error: Exception) -> None:
        location = _where(error.__traceback__) or self.location
        if isinstance(error, UsageError):
            frame.problem("WorkflowBody", str(error), location=location)
            return
        if isinstance(error, RecursionError):
            frame.problem(
                "WorkflowBody",
                f"The body of {self.short_name} goes too deep: {error}.",
                hint="Python follows about a thousand levels: nest fewer lists or workflows.",
                location=location,
            )
            return
        frame.problem(
            "WorkflowBody",
            f"The body of {self.short_name} raised {type(error).__name__}: {error}.",
            hint="The body only puts tasks together; what computes belongs in a task.",
            location=location,
        )


@overload
def workflow(function: "Callable[..., Any]") -> Workflow: ...


@overload
def workflow(
    function: None = None,
    *,
    failure_policy: str = WorkflowFailurePolicy.FAIL_IMMEDIATELY,
    interruptible: bool = False,
    docs: str = "",
) -> "Callable[[Callable[..., Any]], Workflow]": ...


def workflow(
    function: "Callable[..., Any] | None" = None,
    *,
    failure_policy: str = WorkflowFailurePolicy.FAIL_IMMEDIATELY,
    interruptible: bool = False,
    docs: str = "",
) -> Any:
    """Make a function a workflow: calls of tasks in its body become nodes.

    Args:
        function: the function, when it is used without options.
        failure_policy: a constant of `WorkflowFailurePolicy`.
        interruptible: whether its tasks may run on machines that can be taken away.
        docs: the description, in place of the docstring.
    """
    if failure_policy not in (
        WorkflowFailurePolicy.FAIL_IMMEDIATELY,
        WorkflowFailurePolicy.FAIL_AFTER_EXECUTABLE_NODES_COMPLETE,
    ):
        raise UsageError(
            f"failure_policy={failure_policy!r}: take a constant of WorkflowFailurePolicy."
        )
    options = WorkflowOptions(failure_policy, interruptible, docs)
    if function is not None:
        return Workflow(function, options)

    def decorate(function: "Callable[..., Any]") -> Workflow:
        return Workflow(function, options)

    return decorate


_UNCALLABLE = frozenset({"GeneratorFunction", "PositionalOnlyParameter"})
"""Problems of the signature that leave no body to run."""


def _description(workflow: Workflow) -> str:
    from flyte_nb.sdk.docstrings import clean

    return workflow.options.docs or clean(workflow.function.__doc__ or "")


def _where(trace: "TracebackType | None") -> "Location | None":
    """The innermost line of the user's own: of the body or of a function that it called."""
    from flyte_nb.api.specs import Location

    found = None
    while trace is not None:
        module = trace.tb_frame.f_globals.get("__name__", "")
        if not module.startswith("flyte_nb."):
            found = Location(trace.tb_frame.f_code.co_filename, trace.tb_lineno)
        trace = trace.tb_next
    return found
