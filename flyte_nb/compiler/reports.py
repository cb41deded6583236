"""Problems of a workflow's shape: Flyte's code and text, and ours for the person who wrote it.

Problems of values and types are in `type_reports.py`.

Source of codes and texts: flytepropeller/pkg/compiler/errors/compiler_errors.go at v1.16.8.
"""

import difflib
from collections.abc import Sequence

from google.protobuf.message import Message

from flyte_nb.api.nodes import END_NODE, START_NODE
from flyte_nb.api.problems import Problem
from flyte_nb.compiler.casting import Type
from flyte_nb.compiler.flyte_text import go_text
from flyte_nb.compiler.problems import MAX_ID, named


def value_required(node_id: str, field: str, message: str = "", hint: str = "") -> Problem:
    """A field that must be set is not."""
    return Problem(
        "ValueRequired",
        message or f"`{field}` is missing.",
        node_id,
        hint=hint or _WHAT_TO_SET.get(field, f"Set `{field}` in the spec; SDKs of Flyte do."),
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
    "GateNode.Signal.Type": "Say what it waits for, e.g. expected_type=bool.",
    "Id": "Give every node an id of its own, e.g. n0.",
    "Target": "Let it run a task, a workflow, a launch plan, a condition, a gate or a map.",
    "paramName": "Name every input and output.",
    "param.Type": "Annotate every input and output with its type.",
}
"""What to do about a required field, where more can be said than to set it."""


def invalid_value(node_id: str, field: str, message: str, hint: str = "") -> Problem:
    """A field holds something that cannot be."""
    return Problem(
        "InvalidValue", message, node_id, hint=hint, flyte_text=f"Invalid value [{field}]."
    )


def unrecognized_value(node_id: str, value: str, message: str, hint: str = "") -> Problem:
    """A value out of its range."""
    return Problem(
        "UnrecognizedValue",
        message,
        node_id,
        hint=hint,
        flyte_text=f"Unrecognized value [{value}].",
    )


def no_nodes(graph_id: str) -> Problem:
    """A workflow that does nothing."""
    return Problem(
        "NoNodesFound",
        "The workflow calls nothing.",
        hint="Call at least one task in its body.",
        flyte_text=f"Can't find any nodes in workflow [{graph_id}].",
    )


def duplicate_workflow(identifier: Message, name: str) -> Problem:
    """Two sub-workflows of one id."""
    return Problem(
        "DuplicateId",
        f"The sub-workflow {name} is given twice.",
        go_text(identifier),
        hint="Send each sub-workflow once.",
        flyte_text="Trying to insert two nodes with the same id.",
    )


def task_not_found(node_id: str, identifier: Message, name: str) -> Problem:
    """A node runs a task that was not given."""
    return Problem(
        "TaskReferenceNotFound",
        f"The task {name} is not known.",
        node_id,
        hint="Register it first, or check its project, domain, name and version.",
        flyte_text=f"Referenced Task [{go_text(identifier)}] not found.",
    )


def workflow_not_found(node_id: str, identifier: Message, name: str, noun: str) -> Problem:
    """A node refers to a sub-workflow or launch plan that was not given."""
    return Problem(
        "WorkflowReferenceNotFound",
        f"The {noun} {name} is not known.",
        node_id,
        hint="Register it first, or check its project, domain, name and version.",
        flyte_text=f"Referenced Workflow [{go_text(identifier)}] not found.",
    )


def workflow_not_given(node_id: str) -> Problem:
    """A workflow node that names neither a launch plan nor a sub-workflow."""
    return Problem(
        "WorkflowReferenceNotFound",
        "The node says neither which workflow nor which launch plan it runs.",
        node_id,
        hint="Set `workflow_node.launchplan_ref` or `workflow_node.sub_workflow_ref`.",
        flyte_text="Referenced Workflow [<nil>/<nil>] not found.",
    )


def unknown_scalar(node_id: str, variable: str, kind: str) -> Problem:
    """A constant that says nothing of its type."""
    return unrecognized_value(
        node_id,
        f"*core.Scalar_{kind.title()}",
        f"{variable!r} has a value of no known type.",
        "Give a plain value, or what a task returns.",
    )._replace(variable=variable)


def id_too_long(node_id: str) -> Problem:
    """A node's id that no cluster can store."""
    return invalid_value(
        node_id,
        "Id",
        f"The node's id has {len(node_id)} characters; at most {MAX_ID} can be stored.",
        "Give it a shorter one, by with_overrides(node_name=…).",
    )


def node_not_found(
    node_id: str, variable: str, missing: str, known: "Sequence[str] | None", later: bool
) -> Problem:
    """A promise of a node that is not there (yet)."""
    if later:
        hint = (
            f"Put {missing} before {node_id}: a condition or approval only sees what precedes it."
        )
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
    """A promise of a variable that the node does not make."""
    if node_id == START_NODE:
        has = _has(known, "the workflow's inputs are", "it has no inputs")
        message = f"The workflow has no input {name!r}{has}."
    else:
        has = _has(known, "its outputs are", "it has no outputs")
        message = f"{label} has no output {name!r}{has}."
    return Problem(
        "VariableNameNotFound",
        message,
        node_id,
        name,
        closest(name, known, "Let it return a value first."),
        flyte_text=f"Variable [{name}] not found on node [{node_id}].",
    )


def input_not_found(node_id: str, name: str, label: str, known: "Sequence[str] | None") -> Problem:
    """A binding, or a condition's operand, for an input that the node does not have."""
    return Problem(
        "VariableNameNotFound",
        f"{label} has no input {name!r}{_has(known, 'it takes', 'it takes nothing')}.",
        node_id,
        name,
        closest(name, known, "Leave the value out."),
        flyte_text=f"Variable [{name}] not found on node [{node_id}].",
    )


def not_bound(node_id: str, name: str, type: "Type | None", label: str) -> Problem:
    """A required input without a value."""
    said = f" ({type.spoken})" if type is not None else ""
    if node_id == "end-node":
        message, hint = f"The workflow's output {name!r}{said} gets no value.", "Return it."
    else:
        message = f"{label} gets no value for its input {name!r}{said}."
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
    """What follows from another problem with the same binding."""
    return Problem(
        "ParameterNotBound",
        f"So {name!r} gets no value.",
        node_id,
        name,
        flyte_text=f"Parameter not bound [{name}].",
    )


def bound_twice(node_id: str, name: str) -> Problem:
    """Two bindings for one input."""
    return Problem(
        "ParameterBoundMoreThanOnce",
        f"{name!r} is given twice.",
        node_id,
        name,
        "Keep one of the values.",
        flyte_text=f"Input [{name}] is bound more than once.",
    )


def duplicate_alias(node_id: str, alias: str) -> Problem:
    """One output with two aliases."""
    return Problem(
        "DuplicateAlias",
        f"The output has two aliases; the second is {alias!r}.",
        node_id,
        alias,
        "Keep one.",
        flyte_text=f"Duplicate alias [{alias}] found. An output alias can only be used once in the"
        " Workflow.",
    )


def syntax_error(node_id: str, variable: str, name: str) -> Problem:
    """A variable name that Flyte cannot read."""
    return Problem(
        "SyntaxError",
        f"{name!r} is no name that Flyte can read.",
        node_id,
        variable,
        "Use ASCII letters, digits and underscores.",
        flyte_text=f"Failed to parse element [{name}].",
    )


def branch_without_condition(node_id: str) -> Problem:
    """A case that says no condition."""
    return Problem(
        "BranchNodeHasNoCondition",
        "One of the cases has no condition.",
        node_id,
        hint="Give if_() and elif_() a comparison.",
        flyte_text="One of the branches on the node doesn't have a condition.",
    )


def branch_without_node(node_id: str) -> Problem:
    """A case that runs nothing."""
    return Problem(
        "BranchNodeIdNotFound",
        "One of the cases runs nothing.",
        node_id,
        hint="Call a task or workflow in its then().",
        flyte_text="BranchNode not assigned",
    )


def branch_without_default(node_id: str) -> Problem:
    """Neither an else nor an error."""
    return Problem(
        "BranchNodeHasNoDefault",
        "Nothing is said for the case that no condition holds.",
        node_id,
        hint="End it with else_().then(…) or else_().fail(…).",
        flyte_text="Branch Node must have either the else case set or a default error.",
    )


def gate_without_condition(node_id: str) -> Problem:
    """A gate that waits for nothing."""
    return Problem(
        "NoConditionFound",
        "The gate waits for nothing.",
        node_id,
        hint="Make it a signal, an approval or a sleep.",
        flyte_text=f"Can't find any condition in gate node [{node_id}].",
    )


def cycle(path: "Sequence[str]", workflows: bool = False) -> Problem:
    """Nodes (or sub-workflows) that wait for each other, from the start to the repeated one."""
    ring = path[path.index(path[-1]) :] if path else []
    noun = "sub-workflows contain" if workflows else "nodes wait for"
    return Problem(
        "CycleDetected",
        f"These {noun} each other: {_ring(ring)}.",
        "" if workflows else (ring[0] if ring else ""),
        hint="Use a launch plan to start itself anew." if workflows else "Remove one of the edges.",
        flyte_text=f"A cycle has been detected while traversing the Workflow [{'>'.join(path)}].",
    )


def unreachable(nodes: "Sequence[str]", ring: "Sequence[str]", broken: "Sequence[str]") -> Problem:
    """Nodes that no way from the start leads to.

    `ring` has those that wait for each other, `broken` those with problems of their own.
    """
    if broken:
        message, hint = f"So these nodes never start: {named(nodes)}.", ""
    elif ring:
        message = f"These nodes wait for each other, so none starts: {_ring(ring)}."
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
    """A message that nobody could send: nested more deeply than protobuf reads."""
    return Problem(
        "InvalidValue",
        f"The {what} is nested more deeply than protobuf can send (100 messages).",
        hint="Put inner branches or lists into sub-workflows or tasks.",
        flyte_text=f"Invalid value [{what}].",
    )


def too_intricate() -> Problem:
    """Types that would take minutes to compare, as no author writes them."""
    return Problem(
        "InvalidValue",
        "Its types and values are too intricate to be compared.",
        hint="Use unions with fewer variants, and pass large constants as files.",
        flyte_text="Invalid value [workflow].",
    )


def _ring(ids: "Sequence[str]") -> str:
    shown = ids if len(ids) <= 12 else [*ids[:6], f"({len(ids) - 12} more)", *ids[-6:]]
    return " → ".join(shown)


def _has(known: "Sequence[str] | None", some: str, none: str) -> str:
    if known is None:
        return ""
    return f"; {some} {named(known)}" if known else f"; {none}"


def closest(name: str, known: "Sequence[str] | None", none: str = "") -> str:
    """`Did you mean 'depth'?`, else what there is, or `none`; nothing when nobody looked."""
    spelled = {item[:200].casefold(): item for item in known or ()}
    match = difflib.get_close_matches(name[:200].casefold(), spelled, n=1)
    if match:
        return f"Did you mean {spelled[match[0]]!r}?"
    if not known:
        return none if known is not None else ""
    return f"Use {' or '.join(map(repr, known))}." if len(known) <= 2 else "Use one of these."
