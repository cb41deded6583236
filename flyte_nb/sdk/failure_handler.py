"""Make the failure node of a workflow: a call of its `on_failure`, with the workflow's inputs."""

from typing import TYPE_CHECKING

from flyte_nb.api.literal_types import NONE, SIMPLE, UNION
from flyte_nb.api.specs import Node, OutputReference
from flyte_nb.sdk.node_drafts import CodePosition, finished
from flyte_nb.sdk.promise import Promise
from flyte_nb.sdk.tracing import TracingFrame

if TYPE_CHECKING:
    from flyte_nb.api.literal_types import LiteralType
    from flyte_nb.sdk.callee import Callee
    from flyte_nb.sdk.entity import Definition

_PREFIX = "f"
"""The failure node's id is `fn0`, as in flytekit."""


def traced_handler(frame: TracingFrame, handler: "Definition", workflow: "Callee") -> "Node | None":
    """Return the failure node; note in the frame what is wrong with the handler.

    The handler gets those inputs of the workflow that it has too. Any other input needs a default, or may be
    None: the one called `err` gets the error when it runs.

    Args:
        frame: the frame of the workflow's body.
        handler: the task, workflow or launch plan that runs when the workflow has failed.
        workflow: the workflow.
    """
    inputs = workflow.read(frame.registry).signature.interface.inputs
    signature = handler.read(frame.registry).signature
    own = signature.interface.inputs
    given: dict[str, object] = {
        name: Promise(None, OutputReference("", name), inputs[name].type, name)
        for name in own
        if name in inputs and name not in handler.fixed_inputs
    }
    for name, variable in own.items():
        if name in given or name in signature.defaults or name in handler.fixed_inputs:
            continue
        if _may_be_none(variable.type):
            given[name] = None
            continue
        frame.problem(
            "FailureHandlerInput",
            f"{handler.shown_name} runs when {workflow.short_name} fails, and nothing gives it {name}.",
            variable=name,
            hint=f"Name it as an input of {workflow.short_name}, give it a default, or let it be None.",
            location=handler.location,
        )
        return None
    nested = TracingFrame(frame.name, frame.registry, frame.scope, frame.version_of, frame.data)
    nested.call(handler, (), given, CodePosition(workflow.code, 0))
    frame.problems.extend(
        each._replace(node_id="fn0" if each.node_id else "") for each in nested.problems
    )
    return finished(nested.drafts, _PREFIX)[0]


def _may_be_none(type: "LiteralType") -> bool:
    return type.kind == UNION and any(
        variant.kind == SIMPLE and variant.value == NONE for variant in type.value
    )
