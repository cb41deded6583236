"""Make the problems of a workflow's shape: Flyte's code and text, and ours for the author.

Each function returns one kind of problem. `message` and `hint` are ours; `flyte_text` is the text
of Flyte's compiler, word for word, because other clients parse it. Problems of values and types are
in `type_problems.py`.

Source of codes and texts: flytepropeller/pkg/compiler/errors/compiler_errors.go at v1.16.8.
"""

from collections.abc import Sequence

from google.protobuf.message import Message

from flyte_nb.api.nodes import END_NODE, START_NODE
from flyte_nb.api.problems import Problem
from flyte_nb.compiler.casting import Type
from flyte_nb.compiler.collector import MAX_ID, named
from flyte_nb.compiler.flyte_text import go_text
from flyte_nb.compiler.wording import closest, names_text, path_text


def value_required(node_id: str, field: str, message: str = "", hint: str = "") -> Problem:
    """Return the problem of a required field that is not set."""
    return Problem(
        "ValueRequired",
        message or f"`{field}` is missing.",
        node_id,
        hint=hint or _WHAT_TO_SET.get(field, f"Set `{field}` in the spec; Flyte's SDKs set it."),
        flyte_text=f"Value required [{field}].",
    )


_IF_THEN = "Give every if_() and elif_() a then(…) that calls a task or workflow."
_COMPARE = "Compare two values, e.g. n > 3."
_WHAT_TO_SET = {
    "Binding": "Give it a value, or leave the binding out.",
    "Branch.IfElse": _IF_THEN,
    "Branch.IfElse.Case": _IF_THEN,
    "Branch.IfElse.Case.ThenNode": _IF_THEN,
    "IfElse.Case.ThenNode": _IF_THEN,
    "Expr": _COMPARE,
    "LeftValue": _COMPARE,
    "RightValue": _COMPARE,
    "GateNode.Signal.Type": "Declare the type it waits for, e.g. expected_type=bool.",
    "Id": "Give every node an id of its own, e.g. n0.",
    "Target": "Let it run a task, a workflow, a launch plan, a condition, a gate or a map.",
    "paramName": "Name every input and output.",
    "param.Type": "Annotate every input and output with its type.",
}
"""Hints for required fields that an author does not set by their name."""


def invalid_value(node_id: str, field: str, message: str, hint: str = "") -> Problem:
    """Return the problem of a field with a value that is not allowed."""
    return Problem(
        "InvalidValue", message, node_id, hint=hint, flyte_text=f"Invalid value [{field}]."
    )


def unrecognized_value(node_id: str, value: str, message: str, hint: str = "") -> Problem:
    """Return the problem of a value outside of its range."""
    return Problem(
        "UnrecognizedValue",
        message,
        node_id,
        hint=hint,
        flyte_text=f"Unrecognized value [{value}].",
    )


def no_nodes(graph_id: str) -> Problem:
    """Return the problem of a workflow without nodes."""
    return Problem(
        "NoNodesFound",
        "The workflow calls nothing.",
        hint="Call at least one task in its body.",
        flyte_text=f"Can't find any nodes in workflow [{graph_id}].",
    )


def duplicate_workflow(identifier: Message, name: str) -> Problem:
    """Return the problem of two sub-workflows with the same id."""
    return Problem(
        "DuplicateId",
        f"The sub-workflow {name} is given twice.",
        go_text(identifier),
        hint="Send each sub-workflow once.",
        flyte_text="Trying to insert two nodes with the same id.",
    )


def inner_id(node_id: str, outer: str) -> Problem:
    """Return the problem of a node whose id a run makes up for a node inside of another one."""
    return Problem(
        "DuplicateId",
        f"The id {node_id} is also that of a node inside of {outer}, when the workflow runs.",
        node_id,
        hint="Give the node another id, e.g. another with_overrides(node_name=…).",
        flyte_text="Trying to insert two nodes with the same id.",
    )


def task_not_found(node_id: str, identifier: Message, name: str) -> Problem:
    """Return the problem of a node that runs a task which was not given."""
    return Problem(
        "TaskReferenceNotFound",
        f"The task {name} is not known.",
        node_id,
        hint="Register it first, or check its project, domain, name and version.",
        flyte_text=f"Referenced Task [{go_text(identifier)}] not found.",
    )


def workflow_not_found(node_id: str, identifier: Message, name: str, noun: str) -> Problem:
    """Return the problem of a node that runs a sub-workflow or launch plan (`noun`) which was not given."""
    return Problem(
        "WorkflowReferenceNotFound",
        f"The {noun} {name} is not known.",
        node_id,
        hint="Register it first, or check its project, domain, name and version.",
        flyte_text=f"Referenced Workflow [{go_text(identifier)}] not found.",
    )


def workflow_not_given(node_id: str) -> Problem:
    """Return the problem of a workflow node that names neither a launch plan nor a sub-workflow."""
    return Problem(
        "WorkflowReferenceNotFound",
        "The node names neither a sub-workflow nor a launch plan to run.",
        node_id,
        hint="Set `workflow_node.launchplan_ref` or `workflow_node.sub_workflow_ref`.",
        flyte_text="Referenced Workflow [<nil>/<nil>] not found.",
    )


def unknown_scalar(node_id: str, variable: str, kind: str) -> Problem:
    """Return the problem of a constant from which no type can be inferred."""
    return unrecognized_value(
        node_id,
        f"*core.Scalar_{kind.title()}",
        f"The type of the value of {variable!r} is not known.",
        "Pass a plain value, or the result of a task.",
    )._replace(variable=variable)


def id_too_long(node_id: str) -> Problem:
    """Return the problem of a node's id that no cluster can store."""
    return invalid_value(
        node_id,
        "Id",
        f"The node's id has {len(node_id)} characters; at most {MAX_ID} can be stored.",
        "Give it a shorter one with with_overrides(node_name=…).",
    )


def node_not_found(
    node_id: str, variable: str, missing: str, known: "Sequence[str] | None", later: bool
) -> Problem:
    """Return the problem of a promise of a node that does not exist, or comes `later` in the workflow."""
    if later:
        hint = f"Call {missing} before {node_id}: a condition or approval can only use earlier results."
    else:
        others = [each for each in known or () if each not in (node_id, START_NODE, END_NODE)]
        hint = closest(missing, others, "Use an input of the workflow, or call a task before it.")
    return Problem(
        "NodeReferenceNotFound",
        f"It uses a result of node {missing!r}, which is not in the workflow"
        f"{' before it' if later else ''}.",
        node_id,
        variable,
        hint,
        flyte_text=f"Referenced node [{missing}] not found.",
    )


def output_not_found(node_id: str, name: str, label: str, known: "Sequence[str] | None") -> Problem:
    """Return the problem of a promise of an output that the node does not have."""
    if node_id == START_NODE:
        has = names_text(known, "the workflow's inputs are", "it has no inputs")
        message = f"The workflow has no input {name!r}{has}."
    else:
        has = names_text(known, "its outputs are", "it has no outputs")
        message = f"{label} has no output {name!r}{has}."
    return Problem(
        "VariableNameNotFound",
        message,
        node_id,
        name,
        closest(name, known, "Return a value from it."),
        flyte_text=f"Variable [{name}] not found on node [{node_id}].",
    )


def input_not_found(node_id: str, name: str, label: str, known: "Sequence[str] | None") -> Problem:
    """Return the problem of a binding, or a condition's operand, for an input that the node does not have."""
    return Problem(
        "VariableNameNotFound",
        f"{label} has no input {name!r}{names_text(known, 'its inputs are', 'it has no inputs')}.",
        node_id,
        name,
        closest(name, known, "Leave the value out."),
        flyte_text=f"Variable [{name}] not found on node [{node_id}].",
    )


def not_bound(node_id: str, name: str, type: "Type | None", label: str) -> Problem:
    """Return the problem of a required input without a value."""
    of_type = f" ({type.readable})" if type is not None else ""
    if node_id == END_NODE:
        message, hint = f"The workflow's output {name!r}{of_type} gets no value.", "Return it."
    else:
        message = f"{label} gets no value for its input {name!r}{of_type}."
        hint = f"Pass {name}=…, or give it a default."
    return Problem(
        "ParameterNotBound",
        message,
        node_id,
        name,
        hint,
        flyte_text=f"Parameter not bound [{name}].",
    )


def still_not_bound(node_id: str, name: str) -> Problem:
    """Return the problem that follows from another problem with the same binding."""
    return Problem(
        "ParameterNotBound",
        f"As a result, {name!r} gets no value.",
        node_id,
        name,
        flyte_text=f"Parameter not bound [{name}].",
    )


def bound_twice(node_id: str, name: str) -> Problem:
    """Return the problem of two bindings for one input."""
    return Problem(
        "ParameterBoundMoreThanOnce",
        f"{name!r} is given two values.",
        node_id,
        name,
        "Remove one of the values.",
        flyte_text=f"Input [{name}] is bound more than once.",
    )


def duplicate_alias(node_id: str, alias: str) -> Problem:
    """Return the problem of an output with two aliases."""
    return Problem(
        "DuplicateAlias",
        f"The output has two aliases; the second is {alias!r}.",
        node_id,
        alias,
        "Remove one of them.",
        flyte_text=f"Duplicate alias [{alias}] found. An output alias can only be used once in the"
        " Workflow.",
    )


def syntax_error(node_id: str, variable: str, name: str) -> Problem:
    """Return the problem of a variable's name that Flyte cannot read."""
    return Problem(
        "SyntaxError",
        f"{name!r} is not a name that Flyte can read.",
        node_id,
        variable,
        "Use ASCII letters, digits and underscores.",
        flyte_text=f"Failed to parse element [{name}].",
    )


def branch_without_condition(node_id: str) -> Problem:
    """Return the problem of a branch's case without a condition."""
    return Problem(
        "BranchNodeHasNoCondition",
        "One of the cases has no condition.",
        node_id,
        hint="Give if_() and elif_() a comparison.",
        flyte_text="One of the branches on the node doesn't have a condition.",
    )


def branch_without_node(node_id: str) -> Problem:
    """Return the problem of a branch's case that runs nothing."""
    return Problem(
        "BranchNodeIdNotFound",
        "One of the cases runs nothing.",
        node_id,
        hint="Call a task or a workflow in its then().",
        flyte_text="BranchNode not assigned",
    )


def branch_without_default(node_id: str) -> Problem:
    """Return the problem of a branch with neither an else case nor an error."""
    return Problem(
        "BranchNodeHasNoDefault",
        "The branch does not say what happens when none of its conditions is true.",
        node_id,
        hint="End it with else_().then(…) or else_().fail(…).",
        flyte_text="Branch Node must have either the else case set or a default error.",
    )


def gate_without_condition(node_id: str) -> Problem:
    """Return the problem of a gate that waits for nothing."""
    return Problem(
        "NoConditionFound",
        "The gate waits for nothing.",
        node_id,
        hint="Make it wait for an input, an approval or a time.",
        flyte_text=f"Can't find any condition in gate node [{node_id}].",
    )


def cycle(path: "Sequence[str]", workflows: bool = False) -> Problem:
    """Return the problem of nodes that wait for each other, or sub-workflows that contain each other.

    Args:
        path: ids or names from the start to the repeated one.
        workflows: whether these are sub-workflows.
    """
    ring = path[path.index(path[-1]) :] if path else []
    noun = "sub-workflows contain" if workflows else "nodes wait for"
    return Problem(
        "CycleDetected",
        f"These {noun} each other: {path_text(ring)}.",
        "" if workflows else (ring[0] if ring else ""),
        hint="Start the workflow again through a launch plan."
        if workflows
        else "Remove one of the edges.",
        flyte_text=f"A cycle has been detected while traversing the Workflow [{'>'.join(path)}].",
    )


def unreachable(nodes: "Sequence[str]", ring: "Sequence[str]", broken: "Sequence[str]") -> Problem:
    """Return the problem of nodes that no path from the start leads to.

    Args:
        nodes: all of them.
        ring: those among them that wait for each other.
        broken: those among them that have problems of their own.
    """
    # The unreachable nodes follow from something else that is reported, so that is where to look.
    if broken:
        message, hint = f"As a result, these nodes never start: {named(nodes)}.", ""
    elif ring:
        message = f"These nodes wait for each other, so none starts: {path_text(ring)}."
        hint = "Remove one of the edges."
    else:
        message = f"These nodes never start: {named(nodes)}."
        hint = "They wait for a node that is not in the workflow."
    return Problem(
        "UnreachableNodes",
        message,
        (broken or ring or nodes)[0],
        hint=hint,
        flyte_text=f"The Workflow contain unreachable nodes [{','.join(nodes)}].",
    )


def too_deep(what: str) -> Problem:
    """Return the problem of a message that is nested more deeply than protobuf can read."""
    return Problem(
        "InvalidValue",
        f"The {what} is nested more deeply than protobuf can send (100 messages).",
        hint="Move inner branches or lists into sub-workflows or tasks.",
        flyte_text=f"Invalid value [{what}].",
    )


def too_complex() -> Problem:
    """Return the problem of types that would take minutes to compare; no author writes such types."""
    return Problem(
        "InvalidValue",
        "Its types and values take too long to compare.",
        hint="Use unions with fewer variants, and pass large constants as files.",
        flyte_text="Invalid value [workflow].",
    )
