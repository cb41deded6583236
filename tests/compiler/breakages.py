"""Changes that make a well-formed workflow wrong, each with the code that it is refused with."""

import workflow_making as w
from well_formed import TASKS


def _unknown_input(template, node):
    node.inputs.append(w.binding("other", 1))


def _given_twice(template, node):
    node.inputs.append(node.inputs[0])


def _not_given(template, node):
    del node.inputs[:]


def _no_value(template, node):
    node.inputs[0].ClearField("binding")


def _wrong_value(template, node):
    node.inputs[0].binding.CopyFrom(w.value(1.5))


def _unknown_node(template, node):
    node.inputs[0].binding.CopyFrom(w.promise("o0", "nowhere"))


def _unknown_output(template, node):
    node.inputs[0].binding.CopyFrom(w.promise("nothing"))


def _bad_name(template, node):
    node.inputs[0].binding.CopyFrom(w.promise("a-b"))


def _no_target(template, node):
    node.ClearField("task_node")


def _no_reference(template, node):
    node.task_node.ClearField("reference_id")


def _unknown_task(template, node):
    node.task_node.reference_id.version = "another"


def _waits_for_itself(template, node):
    node.upstream_node_ids.append(node.id)


def _unknown_alias(template, node):
    node.output_aliases.add(var="o7", alias="a")


def _no_nodes(template, node):
    del template.nodes[:]


def _nothing_returned(template, node):
    del template.outputs[:]


def _untyped(template, node):
    template.interface.inputs.variables["in_int"].ClearField("type")


def _wrong_list(template, node):
    node.inputs[0].binding.CopyFrom(w.value([[[1.5]]]))


def _offloaded(template, node):
    node.inputs[0].binding.offloaded_metadata.uri = "s3://b/x"


def _damaged_blob(template, node):
    node.inputs[0].binding.scalar.blob.uri = "s3://b/x"


def _item_of_no_list(template, node):
    node.inputs[0].binding.CopyFrom(w.promise("[0].in_int"))


def _aliased_twice(template, node):
    node.output_aliases.add(var="o0", alias="a")
    node.output_aliases.add(var="o0", alias="b")


def _unnamed(template, node):
    template.interface.inputs.variables[""].CopyFrom(template.interface.inputs.variables["in_int"])


def _no_id(template, node):
    node.id = ""


def _added(change):
    """Breaks a node that is added to the workflow."""

    def breaks(template, _):
        change(template, template.nodes.add(id="added"))

    breaks.__name__ = change.__name__
    return breaks


def _no_gate(template, node):
    node.gate_node.SetInParent()


def _untyped_signal(template, node):
    node.gate_node.signal.output_variable_name = "o0"


def _unnamed_signal(template, node):
    node.gate_node.signal.type.CopyFrom(w.INT)


def _unknown_plan(template, node):
    node.workflow_node.launchplan_ref.name = "unknown"


def _unknown_sub(template, node):
    node.workflow_node.sub_workflow_ref.name = "unknown"


def _nothing_to_run(template, node):
    node.workflow_node.SetInParent()


def _array_of_nothing(template, node):
    node.array_node.node.id = "inner"


def _branch(template, node, condition=True, then=True, default=True):
    case = w.comparison("n", 1) if condition else None
    inner = w.node("n0", TASKS["int_of_int"], x=1) if then else None
    given = w.branch("added", [(case, inner)], "no" if default else None, n=w.promise("in_int"))
    node.CopyFrom(given)


def _no_condition(template, node):
    _branch(template, node, condition=False)


def _no_then(template, node):
    _branch(template, node)
    node.branch_node.if_else.other.add().condition.CopyFrom(w.comparison("n", 2))


def _no_default(template, node):
    _branch(template, node, default=False)


def _unbound_operand(template, node):
    _branch(template, node)
    node.branch_node.if_else.case.condition.comparison.left_value.var = "k"


def _operands_of_two_types(template, node):
    _branch(template, node)
    node.branch_node.if_else.case.condition.comparison.right_value.primitive.string_value = "x"


def _broken_failure_node(template, node):
    template.nodes.pop()
    template.failure_node.CopyFrom(w.node("fn", TASKS["int_of_int"]))


BREAKAGES = [
    (_offloaded, "MismatchingBindings"),
    (_damaged_blob, "UnrecognizedValue"),
    (_wrong_list, "MismatchingBindings"),
    (_aliased_twice, "DuplicateAlias"),
    (_unnamed, "ValueRequired"),
    (_no_id, "ValueRequired"),
    (_added(_no_gate), "NoConditionFound"),
    (_added(_untyped_signal), "ValueRequired"),
    (_added(_unnamed_signal), "ValueRequired"),
    (_added(_unknown_plan), "WorkflowReferenceNotFound"),
    (_added(_unknown_sub), "WorkflowReferenceNotFound"),
    (_added(_nothing_to_run), "WorkflowReferenceNotFound"),
    (_added(_array_of_nothing), "ValueRequired"),
    (_added(_no_condition), "BranchNodeHasNoCondition"),
    (_added(_no_then), "BranchNodeIdNotFound"),
    (_added(_no_default), "BranchNodeHasNoDefault"),
    (_added(_unbound_operand), "VariableNameNotFound"),
    (_added(_operands_of_two_types), "MismatchingTypes"),
    (_added(_broken_failure_node), "ParameterNotBound"),
    (_item_of_no_list, "MismatchingTypes"),
    (_unknown_input, "VariableNameNotFound"),
    (_given_twice, "ParameterBoundMoreThanOnce"),
    (_not_given, "ParameterNotBound"),
    (_no_value, "ValueRequired"),
    (_wrong_value, "MismatchingTypes"),
    (_unknown_node, "NodeReferenceNotFound"),
    (_unknown_output, "VariableNameNotFound"),
    (_bad_name, "SyntaxError"),
    (_no_target, "ValueRequired"),
    (_no_reference, "ValueRequired"),
    (_unknown_task, "TaskReferenceNotFound"),
    (_unknown_alias, "ParameterNotBound"),
    (_no_nodes, "NoNodesFound"),
    (_nothing_returned, "ParameterNotBound"),
    (_untyped, "ValueRequired"),
]
