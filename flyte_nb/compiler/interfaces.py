"""Find out what a node takes and makes, by the kind of the node.

Source: flytepropeller/pkg/compiler/validators/interface.go and branch.go at v1.16.8.
"""

from flyteidl.core import workflow_pb2

from flyte_nb.compiler import shape_problems, type_problems
from flyte_nb.compiler.bindings import bind
from flyte_nb.compiler.builder import UPSTREAM, Builder, CheckedNode
from flyte_nb.compiler.casting import Type
from flyte_nb.compiler.collector import MAX_ID
from flyte_nb.compiler.program import NO_INTERFACE, Interface, interface_of, key


def find_interface(builder: Builder, node: CheckedNode) -> bool:
    """Fill in the node's interface, and return whether it has one without problems.

    For a branch or an array this fills in the interfaces of the nodes inside as well, and gives the
    nodes inside a branch their ids. A second call for a node that has its interface does nothing.
    """
    if node.interface is not None:
        return True
    errors = builder.errors
    before = errors.count
    kind = node.kind
    interface: Interface | None
    if kind == "task_node":
        interface = _of_task(builder, node)
    elif kind == "workflow_node":
        interface = _of_workflow(builder, node)
    elif kind == "branch_node":
        interface = _of_branch(builder, node)
    elif kind == "gate_node":
        interface = _of_gate(builder, node)
    elif kind == "array_node":
        interface = _of_array(builder, node)
    else:
        interface = None
        errors.add(
            shape_problems.value_required(
                node.id, "Target", f"The node {node.label} has nothing to run."
            )
        )
    if interface is not None and interface.broken:
        check_interface(builder, node.id, interface)
    # Without an interface the node's bindings are not checked: they would be measured against
    # nothing.
    if errors.count == before:
        node.interface = interface
    return errors.count == before


def check_interface(builder: Builder, node_id: str, interface: Interface) -> None:
    """Report the required fields that the interface lacks."""
    for field in interface.broken:
        noun = "name" if field == "paramName" else "type"
        builder.errors.add(
            shape_problems.value_required(
                node_id, field, f"A variable of its interface has no {noun}."
            )
        )


def _of_task(builder: Builder, node: CheckedNode) -> "Interface | None":
    """Return the interface of the task that the node runs."""
    reference = node.reference
    if reference is None:
        builder.errors.add(
            shape_problems.value_required(
                node.id,
                "TaskNode.ReferenceId",
                f"The node {node.label} does not say which task it runs.",
            )
        )
        return None
    interface = builder.program.task_interface(reference)
    if interface is None:
        identifier = node.message.task_node.reference_id
        builder.errors.add(shape_problems.task_not_found(node.id, identifier, identifier.name))
    return interface


def _of_workflow(builder: Builder, node: CheckedNode) -> "Interface | None":
    """Return the interface of the sub-workflow or launch plan that the node runs."""
    target, errors = node.message.workflow_node, builder.errors
    if target.HasField("sub_workflow_ref"):
        reference = target.sub_workflow_ref
        interface = builder.program.workflow_interface(key(reference))
        if interface is None:
            errors.add(
                shape_problems.workflow_not_found(
                    node.id, reference, reference.name, "sub-workflow"
                )
            )
        elif key(reference) in builder.program.without_interface:
            field = "WorkflowNode.Template.Interface"
            message = f"The sub-workflow {reference.name} has no interface."
            errors.add(shape_problems.value_required(node.id, field, message))
        return interface
    if not target.HasField("launchplan_ref"):
        errors.add(shape_problems.workflow_not_given(node.id))
        return None
    reference = target.launchplan_ref
    if builder.template.HasField("id") and key(reference) == key(builder.template.id):
        # A workflow may launch itself, by its own id. No such launch plan was given: it can only be
        # registered after the workflow.
        return builder.interface
    found = builder.program.launch_plan(reference, key(reference))
    if found is None:
        errors.add(
            shape_problems.workflow_not_found(node.id, reference, reference.name, "launch plan")
        )
        return None
    # The interface of a launch plan's node has the required parameters, and those optional ones
    # that the node binds. Fixed inputs are no parameters at all, so binding one is an unknown
    # input.
    bound = {binding.var for binding in node.message.inputs}
    exposed = {*found.required, *(name for name in bound if name in found.parameters)}
    broken = [field for name, field in found.broken.items() if name in exposed]
    inputs = {name: found.parameters[name] for name in sorted(exposed)}
    return interface_of(inputs, found.outputs.outputs, (*found.outputs.broken, *broken))


def _of_gate(builder: Builder, node: CheckedNode) -> "Interface | None":
    """Return the interface of a gate: the approved values, nothing for a sleep, the value of a signal."""
    gate, errors = node.message.gate_node, builder.errors
    condition = gate.WhichOneof("condition")
    if condition == "approve":
        # An approval has no interface of its own: its bindings say what it takes, and it returns that.
        inputs = bind(builder, node, None, UPSTREAM)
        return interface_of(inputs, inputs)
    if condition == "sleep":
        return NO_INTERFACE
    if condition != "signal":
        errors.add(shape_problems.gate_without_condition(node.id))
        return None
    if not gate.signal.HasField("type"):
        errors.add(
            shape_problems.value_required(
                node.id, "GateNode.Signal.Type", "The gate does not say what type it waits for."
            )
        )
        return None
    if not gate.signal.output_variable_name:
        errors.add(
            shape_problems.value_required(
                node.id, "GateNode.Signal.OutputVariableName", "The gate's output has no name."
            )
        )
        return None
    return Interface({}, {gate.signal.output_variable_name: builder.types.of(gate.signal.type)})


def _of_array(builder: Builder, node: CheckedNode) -> "Interface | None":
    """Return the interface of the node that the array runs."""
    # It is used as it is: SDKs register a mapped task with lists in its interface already.
    if not node.inner:
        node.inner = [CheckedNode(node.message.array_node.node)]
    inner = node.inner[0]
    return inner.interface if find_interface(builder, inner) else None


def _of_branch(builder: Builder, node: CheckedNode) -> "Interface | None":
    """Return the interface of a branch: the inputs its bindings define, the outputs all its cases share."""
    errors = builder.errors
    before = errors.count
    # Checked here too, before the id becomes a part of the id of every node inside.
    if len(node.id) > MAX_ID:
        errors.add(shape_problems.id_too_long(node.id))
        return None
    cases = _cases(builder, node)
    if cases is None:
        return None
    if not node.inner:
        node.inner = [CheckedNode(case) for case in cases]
        for inner in node.inner:
            # Ids must be unique in the whole workflow, and SDKs number the nodes of each branch
            # from n0.
            inner.rename(f"{node.id}-{inner.id}")
    outputs: dict[str, Type] | None = None
    for inner in node.inner:
        if not find_interface(builder, inner) or inner.interface is None:
            continue
        made = inner.interface.outputs
        if outputs is None or outputs is made:
            outputs = made
            continue
        # Only one case runs, so nodes after the branch can rely on an output only if every case makes
        # it, with the same type. An output that a case lacks is dropped; another type is a problem.
        outputs = {name: type for name, type in outputs.items() if name in made}
        for name, type in outputs.items():
            if made[name] is not type:
                errors.add(type_problems.value_mismatch(inner.id, name, type, made[name]))
    inputs = bind(builder, node, None, UPSTREAM)
    if outputs is None or errors.count != before:
        return None
    return interface_of(inputs, outputs)


def _cases(builder: Builder, node: CheckedNode) -> "list[workflow_pb2.Node] | None":
    """Return the nodes of all cases, the else last; `None` when the first case is incomplete."""
    branch, errors = node.message.branch_node, builder.errors
    block = branch.if_else
    for there, field in (
        (branch.HasField("if_else"), "Branch.IfElse"),
        (block.HasField("case"), "Branch.IfElse.Case"),
        (block.case.HasField("then_node"), "Branch.IfElse.Case.ThenNode"),
    ):
        if not there:
            errors.add(
                shape_problems.value_required(
                    node.id, field, f"The condition {node.label} has no first case."
                )
            )
            return None
    cases = [block.case.then_node]
    for other in block.other:
        if other.HasField("then_node"):
            cases.append(other.then_node)
        else:
            errors.add(
                shape_problems.value_required(
                    node.id,
                    "IfElse.Case.ThenNode",
                    f"A case of the condition {node.label} runs nothing.",
                )
            )
    if block.WhichOneof("default") == "else_node":
        cases.append(block.else_node)
    return cases
