"""`@workflow`: make a function a graph whose nodes are the calls in its body."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, overload

from flyte_nb.api.errors import UsageError
from flyte_nb.api.identifiers import WORKFLOW, Scope
from flyte_nb.api.specs import WorkflowNode, WorkflowTemplate
from flyte_nb.sdk import context
from flyte_nb.sdk.callee import Callee
from flyte_nb.sdk.entity import Definition, identify

if TYPE_CHECKING:
    from flyte_nb.api.identifiers import Identifier
    from flyte_nb.api.ports import DataAccess
    from flyte_nb.api.problems import Problem
    from flyte_nb.api.specs import Target
    from flyte_nb.types.registry import Registry


class WorkflowFailurePolicy:
    """What happens to the other nodes when one fails."""

    FAIL_IMMEDIATELY = "fail_immediately"
    FAIL_AFTER_EXECUTABLE_NODES_COMPLETE = "fail_after_executable_nodes_complete"


class WorkflowOptions(NamedTuple):
    """The options of a workflow, as plain values."""

    failure_policy: str = WorkflowFailurePolicy.FAIL_IMMEDIATELY
    interruptible: bool = False
    docs: str = ""
    on_failure: "Definition | None" = None
    """What runs when the workflow has failed."""

    def counted(self) -> "tuple[object, ...]":
        """Return the options that a version is made of: those that came later only when they are set."""
        return self if self.on_failure is not None else self[:_FIRST_OPTIONS]


_FIRST_OPTIONS = WorkflowOptions._fields.index("on_failure")


class Trace(NamedTuple):
    """A traced workflow: its template, what it refers to, and everything that is wrong."""

    template: "WorkflowTemplate"
    entities: "tuple[Definition, ...]"
    """Tasks, workflows and launch plans that its nodes refer to, each once, in the order of first use."""
    problems: "tuple[Problem, ...]"


class Workflow(Callee):
    """A workflow. `.function` is what the author wrote."""

    resource_type = WORKFLOW
    noun = "workflow"
    options: WorkflowOptions

    def target(self, reference: "Identifier") -> "Target":
        """Return what a node runs that calls this workflow."""
        return WorkflowNode(reference)

    def trace(
        self,
        registry: "Registry",
        scope: Scope,
        version_of: "Callable[[Definition], str]" = lambda entity: "",
        *,
        data: "DataAccess | None" = None,
    ) -> Trace:
        """Run the body once with promises, and return the graph that it makes, with every problem.

        Names in the body are looked up anew each time, so that a task of a cell that was run again
        is called as it is now. Problems are returned, never raised; the template is as complete as it
        can be.

        Args:
            registry: the types.
            scope: project, domain and the notebook's name.
            version_of: returns the version by which an entity is referred to.
            data: stores constants that need a file; without it such constants are problems.
        """
        # Tracing needs the types, which declaring a workflow must not wait for.
        from flyte_nb.sdk.body import trace_body
        from flyte_nb.sdk.docstrings import clean

        handler = self.options.on_failure
        if handler is not None:
            handler = context.stand_in(handler)
        traced = trace_body(self, registry, scope, version_of, data, handler)
        template = WorkflowTemplate(
            id=identify(self, scope),
            interface=self.read(registry).signature.interface,
            nodes=traced.nodes,
            outputs=traced.outputs,
            on_failure=self.options.failure_policy,
            interruptible=self.options.interruptible,
            failure_node=traced.failure_node,
            description=self.options.docs or clean(self.function.__doc__ or ""),
        )
        return Trace(template, traced.entities, traced.problems)


@overload
def workflow(function: "Callable[..., Any]") -> Workflow: ...


@overload
def workflow(
    function: None = None,
    *,
    failure_policy: str = WorkflowFailurePolicy.FAIL_IMMEDIATELY,
    interruptible: bool = False,
    on_failure: "Definition | None" = None,
    docs: str = "",
) -> "Callable[[Callable[..., Any]], Workflow]": ...


def workflow(
    function: "Callable[..., Any] | None" = None,
    *,
    failure_policy: str = WorkflowFailurePolicy.FAIL_IMMEDIATELY,
    interruptible: bool = False,
    on_failure: "Definition | None" = None,
    docs: str = "",
) -> Any:
    """Make a function a workflow: calls of tasks in its body become nodes.

    Args:
        function: the function, when it is used without options.
        failure_policy: a constant of `WorkflowFailurePolicy`.
        interruptible: whether its tasks may run on machines that can be taken away.
        on_failure: a task, workflow or launch plan that runs when the workflow has failed. It gets the
            workflow's inputs that it names, and an input `err: FlyteError | None = None` gets the error.
        docs: the description, in place of the docstring.

    Raises:
        UsageError: `failure_policy` is no constant of `WorkflowFailurePolicy`, `on_failure` is no task,
            workflow or launch plan, or `function` is no function that can be a workflow.
    """
    if failure_policy not in (
        WorkflowFailurePolicy.FAIL_IMMEDIATELY,
        WorkflowFailurePolicy.FAIL_AFTER_EXECUTABLE_NODES_COMPLETE,
    ):
        raise UsageError(
            f"failure_policy={failure_policy!r}: take a constant of WorkflowFailurePolicy."
        )
    if on_failure is not None and not isinstance(on_failure, Definition):
        raise UsageError(
            f"on_failure={on_failure!r}: give it a function with @task or @workflow, or a launch plan."
        )
    options = WorkflowOptions(
        failure_policy=failure_policy,
        interruptible=interruptible,
        docs=docs,
        on_failure=on_failure,
    )
    if function is not None:
        return Workflow(function, options)

    def decorate(function: "Callable[..., Any]") -> Workflow:
        return Workflow(function, options)

    return decorate
