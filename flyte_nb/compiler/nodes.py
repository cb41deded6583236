"""One node by itself: its interface, aliases, conditions, and the nodes inside it.

Source: flytepropeller/pkg/compiler/validators/node.go and condition.go at v1.16.8.
"""

from flyteidl.core import condition_pb2, workflow_pb2

from flyte_nb.api.nodes import END_NODE, START_NODE
from flyte_nb.compiler import reports, type_reports
from flyte_nb.compiler.bindings import bind
from flyte_nb.compiler.building import BOTH, UPSTREAM, Builder, NodeState
from flyte_nb.compiler.casting import Type
from flyte_nb.compiler.inference import type_of_primitive
from flyte_nb.compiler.interfaces import find_interface
from flyte_nb.compiler.problems import MAX_ID


def check_node(builder: Builder, node: NodeState) -> bool:
    """Check the node but for its edges; say whether it has no problems."""
    errors = builder.errors
    before = errors.count
    if not node.id:
        errors.add(reports.value_required("<node>", "Id", "A node has no id."))
    elif len(node.id) > MAX_ID:
        errors.add(reports.id_too_long(node.id))
        return False
    if node.id in (START_NODE, END_NODE):
        return True
    if find_interface(builder, node):
        _name_outputs(builder, node)
    declared = node.message.upstream_node_ids
    if declared:
        if len(declared) > 1:
            declared.sort()
        node.waits = list(declared)
    if node.kind == "branch_node":
        _check_branch(builder, node)
    return errors.count == before


def add_node_edges(builder: Builder, node: NodeState, direction: int) -> None:
    """Check the node's bindings against its interface and add its edges, declared and implied."""
    if node.interface is None:
        return
    if direction == BOTH and node.waits:
        builder.add_edges(node.waits, node.id)
    bind(builder, node, node.interface.inputs, direction)


def _name_outputs(builder: Builder, node: NodeState) -> None:
    """Apply the output aliases."""
    if node.interface is None:
        return
    if not node.message.output_aliases:
        node.outputs = node.interface.outputs
        return
    errors = builder.errors
    before = errors.count
    aliases: dict[str, str] = {}
    for alias in node.message.output_aliases:
        if alias.var in aliases:
            errors.add(reports.duplicate_alias(node.id, alias.alias))
        else:
            aliases[alias.var] = alias.alias
    node.outputs = {aliases.pop(name, name): type for name, type in node.interface.outputs.items()}
    for name, unused in sorted(aliases.items()):
        problem = reports.not_bound(node.id, unused, None, node.label)
        errors.add(
            problem._replace(
                message=f"The alias {unused!r} is for an output {name!r} that {node.label} does not have.",
                hint=reports.closest(name, errors.names(node.interface.outputs)),
            )
        )
    node.alias_count = errors.count - before


def _check_branch(builder: Builder, node: NodeState) -> None:
    errors = builder.errors
    before = errors.count
    block = node.message.branch_node.if_else
    cases = [block.case] if block.HasField("case") else []
    if not cases:
        errors.add(reports.branch_without_condition(node.id))
    cases.extend(block.other)
    for case in cases:
        _check_condition(builder, node, case)
        if not case.HasField("then_node"):
            errors.add(reports.branch_without_node(node.id))
    if block.WhichOneof("default") is None:
        errors.add(reports.branch_without_default(node.id))
    for inner in node.inner:
        check_node(builder, inner)
    if errors.count == before:
        for inner in node.inner:
            add_node_edges(builder, inner, UPSTREAM)


def _check_condition(builder: Builder, node: NodeState, case: workflow_pb2.IfBlock) -> None:
    if not case.HasField("condition"):
        builder.errors.add(reports.branch_without_condition(node.id))
        return
    # A long chain of `&` nests as deeply as it is long.
    stack = [case.condition]
    while stack:
        expression = stack.pop()
        kind = expression.WhichOneof("expr")
        if kind == "comparison":
            _check_comparison(builder, node, expression.comparison)
        elif kind == "conjunction":
            both = expression.conjunction
            for there, side in (
                (both.HasField("left_expression"), both.left_expression),
                (both.HasField("right_expression"), both.right_expression),
            ):
                if there:
                    stack.append(side)
                else:
                    builder.errors.add(reports.branch_without_condition(node.id))
        else:
            builder.errors.add(
                reports.value_required(node.id, "Expr", "A condition compares nothing.")
            )


def _check_comparison(
    builder: Builder, node: NodeState, comparison: condition_pb2.ComparisonExpression
) -> None:
    errors = builder.errors
    before = errors.count
    right = _operand(
        builder, node, "RightValue", comparison.right_value, comparison.HasField("right_value")
    )
    left = _operand(
        builder, node, "LeftValue", comparison.left_value, comparison.HasField("left_value")
    )
    if errors.count == before and right is not None and left is not None and right is not left:
        errors.add(type_reports.condition_mismatch(node.id, right, left))


def _operand(
    builder: Builder, node: NodeState, side: str, operand: condition_pb2.Operand, there: bool
) -> "Type | None":
    """The operand's type; `None` when it is not known."""
    errors = builder.errors
    kind = operand.WhichOneof("val") if there else None
    if kind == "primitive":
        return type_of_primitive(builder.types, operand.primitive)
    if kind == "var" and operand.var:
        if node.interface is None:
            errors.add(
                reports.value_required(node.id, operand.var, f"{operand.var!r} is not bound.")
            )
            return None
        found = node.interface.inputs.get(operand.var)
        if found is None:
            known = errors.names(node.interface.inputs)
            errors.add(reports.input_not_found(node.id, operand.var, node.label, known))
        return found
    field = f"{side}.Val" if there else side
    if kind == "scalar":
        message = "Flyte compares numbers, texts, booleans and times only, not None."
        hint = "Let a task return a boolean, and ask is_true()."
    else:
        message, hint = "One side of a comparison is missing.", ""
    errors.add(reports.value_required(node.id, field, message, hint))
    return None
