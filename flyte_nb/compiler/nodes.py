"""Check one node by itself: its interface, its output aliases, its conditions, and the nodes inside it.

Source: flytepropeller/pkg/compiler/validators/node.go and condition.go at v1.16.8.
"""

from flyteidl.core import condition_pb2, workflow_pb2

from flyte_nb.api.nodes import END_NODE, START_NODE
from flyte_nb.compiler import shape_problems, type_problems
from flyte_nb.compiler.bindings import bind
from flyte_nb.compiler.builder import BOTH, UPSTREAM, Builder, CheckedNode
from flyte_nb.compiler.casting import Type
from flyte_nb.compiler.collector import MAX_ID
from flyte_nb.compiler.inference import type_of_primitive
from flyte_nb.compiler.interfaces import find_interface
from flyte_nb.compiler.wording import closest


def check_node(builder: Builder, node: CheckedNode) -> bool:
    """Check the node, except for its edges, and return whether it has no problems."""
    errors = builder.errors
    before = errors.count
    if not node.id:
        errors.add(shape_problems.value_required("<node>", "Id", "A node has no id."))
    elif len(node.id) > MAX_ID:
        errors.add(shape_problems.id_too_long(node.id))
        return False
    # Their interfaces are the workflow's own, which `workflows.py` fills in.
    if node.id in (START_NODE, END_NODE):
        return True
    if find_interface(builder, node):
        _name_outputs(builder, node)
    declared = node.message.upstream_node_ids
    if declared:
        if len(declared) > 1:
            # Flyte sorts them in place; the sorted list is part of the closure.
            declared.sort()
        node.waits = list(declared)
    if node.kind == "branch_node":
        _check_branch(builder, node)
    return errors.count == before


def add_node_edges(builder: Builder, node: CheckedNode, direction: int) -> None:
    """Check the node's bindings against its interface, and add the edges that it declares and implies."""
    if node.interface is None:
        return
    # For the failure node and for nodes inside a branch, Flyte ignores the upstream ids that they
    # declare: only their bindings add edges.
    if direction == BOTH and node.waits:
        builder.add_edges(node.waits, node.id)
    bind(builder, node, node.interface.inputs, direction)


def _name_outputs(builder: Builder, node: CheckedNode) -> None:
    """Fill in the node's outputs, under their aliases where it has some."""
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
            errors.add(shape_problems.duplicate_alias(node.id, alias.alias))
        else:
            aliases[alias.var] = alias.alias
    # What is left in `aliases` afterwards names outputs that the node does not have.
    node.outputs = {aliases.pop(name, name): type for name, type in node.interface.outputs.items()}
    for name, unused in sorted(aliases.items()):
        problem = shape_problems.not_bound(node.id, unused, None, node.label)
        errors.add(
            problem._replace(
                message=f"The alias {unused!r} is for an output {name!r} that {node.label} does not have.",
                hint=closest(name, errors.names(node.interface.outputs)),
            )
        )
    node.alias_count = errors.count - before


def _check_branch(builder: Builder, node: CheckedNode) -> None:
    """Check the cases of a branch and the nodes inside it, and add the edges of these nodes."""
    errors = builder.errors
    before = errors.count
    block = node.message.branch_node.if_else
    cases = [block.case] if block.HasField("case") else []
    if not cases:
        errors.add(shape_problems.branch_without_condition(node.id))
    cases.extend(block.other)
    for case in cases:
        _check_condition(builder, node, case)
        if not case.HasField("then_node"):
            errors.add(shape_problems.branch_without_node(node.id))
    if block.WhichOneof("default") is None:
        errors.add(shape_problems.branch_without_default(node.id))
    for inner in node.inner:
        check_node(builder, inner)
    # Bindings of a node whose condition or interface is wrong would only repeat that problem.
    if errors.count == before:
        for inner in node.inner:
            add_node_edges(builder, inner, UPSTREAM)


def _check_condition(builder: Builder, node: CheckedNode, case: workflow_pb2.IfBlock) -> None:
    """Check that every comparison in a case's condition is complete and compares equal types."""
    if not case.HasField("condition"):
        builder.errors.add(shape_problems.branch_without_condition(node.id))
        return
    # A stack instead of recursion: `a & b & c & …` nests as deeply as it is long.
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
                    builder.errors.add(shape_problems.branch_without_condition(node.id))
        else:
            builder.errors.add(
                shape_problems.value_required(node.id, "Expr", "A condition compares nothing.")
            )


def _check_comparison(
    builder: Builder, node: CheckedNode, comparison: condition_pb2.ComparisonExpression
) -> None:
    """Check both sides of a comparison, and that they have the same type."""
    errors = builder.errors
    before = errors.count
    # The right side comes first because Flyte reports its problems first.
    right = _operand(
        builder, node, "RightValue", comparison.right_value, comparison.HasField("right_value")
    )
    left = _operand(
        builder, node, "LeftValue", comparison.left_value, comparison.HasField("left_value")
    )
    # Equal types are one object (`TypeTable`), so identity is equality. Flyte converts nothing here.
    if errors.count == before and right is not None and left is not None and right is not left:
        errors.add(type_problems.condition_mismatch(node.id, right, left))


def _operand(
    builder: Builder, node: CheckedNode, side: str, operand: condition_pb2.Operand, there: bool
) -> "Type | None":
    """Return the operand's type, or `None` when it has none; then the problem was reported."""
    errors = builder.errors
    kind = operand.WhichOneof("val") if there else None
    if kind == "primitive":
        return type_of_primitive(builder.types, operand.primitive)
    if kind == "var" and operand.var:
        if node.interface is None:
            errors.add(
                shape_problems.value_required(
                    node.id, operand.var, f"{operand.var!r} is not bound."
                )
            )
            return None
        found = node.interface.inputs.get(operand.var)
        if found is None:
            known = errors.names(node.interface.inputs)
            errors.add(shape_problems.input_not_found(node.id, operand.var, node.label, known))
        return found
    field = f"{side}.Val" if there else side
    if kind == "scalar":
        message = "Flyte compares only numbers, strings, booleans and times, and not None."
        hint = "Return a boolean from a task and test it with is_true()."
    else:
        message, hint = "One side of a comparison is missing.", ""
    errors.add(shape_problems.value_required(node.id, field, message, hint))
    return None
