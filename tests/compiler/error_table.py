"""The error table: a wrong workflow, the code, Flyte's node, Flyte's text, and a piece of ours."""

import workflow_making as w
from flyteidl.core import condition_pb2, identifier_pb2, literals_pb2

INC = w.task("inc", {"n": w.INT}, {"o0": w.INT})
HALF = w.task("half", {"x": w.FLOAT}, {"o0": w.FLOAT})
SAY = w.task("say", {}, {"o0": w.STR})
LISTS = w.task("lists", {"xs": w.listed(w.INT)}, {"o0": w.listed(w.INT)})
DICTS = w.task("dicts", {"m": w.mapped(w.INT)}, {"o0": w.mapped(w.INT)})
COLOR = w.task("color", {"c": w.enum("red", "green")}, {"o0": w.INT})
EITHER = w.task("either", {"u": w.union(w.listed(w.INT), w.listed(w.FLOAT))}, {"o0": w.INT})
DATA = w.task("data", {}, {"o0": w.dataclass(rows=w.INT, name=w.STR)})
BLOBS = w.task("blobs", {"b": w.blob()})
TASKS = [INC, HALF, SAY, LISTS, DICTS, COLOR, EITHER, DATA, BLOBS]
POINT = w.comparison("n", 1)


def wf(*nodes, inputs=None, outputs=None, returns=None, name="wf"):
    return w.workflow(nodes, inputs or {"n": w.INT}, outputs, returns, name=name)


FINE = wf(w.node("n0", INC, n=w.promise("n")))


SIGNAL_WITHOUT_TYPE = w.node("n0")
SIGNAL_WITHOUT_TYPE.gate_node.signal.signal_id = "s"
SIGNAL_WITHOUT_NAME = w.node("n0")
SIGNAL_WITHOUT_NAME.gate_node.signal.type.simple = 1
EMPTY_GATE = w.node("n0")
EMPTY_GATE.gate_node.SetInParent()
NO_TASK = w.node("n0")
NO_TASK.task_node.SetInParent()
NO_WORKFLOW = w.node("n0")
NO_WORKFLOW.workflow_node.SetInParent()
UNBOUND = w.node("n0", INC)
UNBOUND.inputs.add(var="n")
TWICE = w.node("n0", INC, n=1)
TWICE.inputs.append(w.binding("n", 2))
ALIASED = w.node("n0", INC, n=1)
ALIASED.output_aliases.add(var="o0", alias="a")
ALIASED.output_aliases.add(var="o0", alias="b")
BAD_ALIAS = w.node("n0", INC, n=1)
BAD_ALIAS.output_aliases.add(var="o1", alias="a")
UNTYPED = wf(w.node("n0", INC, n=1))
UNTYPED.interface.inputs.variables["n"].ClearField("type")
NAMELESS = wf(w.node("n0", INC, n=1))
NAMELESS.interface.inputs.variables[""].type.simple = 1
OFFLOADED = w.node("n0", INC)
OFFLOADED.inputs.add(var="n").binding.offloaded_metadata.uri = "s3://x"
NO_BLOB = literals_pb2.Scalar(blob=literals_pb2.Blob(uri="s3://x"))
CYCLE = [
    w.node("n0", INC, n=w.promise("n"), after=["n1"]),
    w.node("n1", INC, n=w.promise("o0", "n0")),
]
RING = [w.node("n0", INC, n=w.promise("o0", "n1")), w.node("n1", INC, n=w.promise("o0", "n0"))]


def branch(cases=None, otherwise="no", **inputs):
    cases = [(POINT, w.node("n0", INC, n=1))] if cases is None else cases
    return w.branch("n0", cases, otherwise, **(inputs or {"n": w.promise("n")}))


NONE_CONDITION = condition_pb2.BooleanExpression()
NONE_CONDITION.comparison.left_value.var = "n"
NONE_CONDITION.comparison.right_value.scalar.none_type.SetInParent()
HALF_CONDITION = condition_pb2.BooleanExpression()
HALF_CONDITION.comparison.left_value.var = "n"
HALF_CONJUNCTION = condition_pb2.BooleanExpression()
HALF_CONJUNCTION.conjunction.left_expression.CopyFrom(POINT)
NO_EXPRESSION = condition_pb2.BooleanExpression()
NO_CASE = w.node("n0")
NO_CASE.branch_node.SetInParent()
NO_FIRST_CASE = w.node("n0")
NO_FIRST_CASE.branch_node.if_else.error.message = "no"

TABLE = [
    (wf(), "NoNodesFound", None, "Can't find any nodes in workflow [", "calls nothing"),
    (wf(w.node("", INC, n=1)), "ValueRequired", "<node>", "Value required [Id].", "no id"),
    (wf(w.node("n0")), "ValueRequired", "n0", "Value required [Target].", "nothing to run"),
    (wf(NO_TASK), "ValueRequired", "n0", "Value required [TaskNode.ReferenceId].", "which task"),
    (wf(UNBOUND), "ValueRequired", "n0", "Value required [Binding].", "without a value"),
    (UNTYPED, "ValueRequired", "start-node", "Value required [param.Type].", "no type"),
    (NAMELESS, "ValueRequired", "start-node", "Value required [paramName].", "no name"),
    (wf(SIGNAL_WITHOUT_TYPE), "ValueRequired", "n0", "Value required [GateNode.Signal.Type].", "type"),
    (wf(SIGNAL_WITHOUT_NAME), "ValueRequired", "n0", "Value required [GateNode.Signal.OutputVariableName].", "name"),  # noqa: E501
    (wf(EMPTY_GATE), "NoConditionFound", "n0", "Can't find any condition in gate node [n0].", "waits for nothing"),  # noqa: E501
    (wf(w.node("n0", w.task("other"))), "TaskReferenceNotFound", "start-node", "Referenced Task [resource_type:TASK project:\"p\" domain:\"d\" name:\"other\" version:\"v\"] not found.", "other is not known"),  # noqa: E501
    (wf(w.node("n0", wf(name="sub"))), "WorkflowReferenceNotFound", "n0", "Referenced Workflow [resource_type:WORKFLOW project:\"p\" domain:\"d\" name:\"sub\" version:\"v\"] not found.", "sub-workflow sub"),  # noqa: E501
    (wf(w.node("n0", w.identifier("lp", identifier_pb2.LAUNCH_PLAN))), "WorkflowReferenceNotFound", "start-node", "Referenced Workflow [resource_type:LAUNCH_PLAN project:\"p\" domain:\"d\" name:\"lp\" version:\"v\"] not found.", "launch plan lp"),  # noqa: E501
    (wf(NO_WORKFLOW), "WorkflowReferenceNotFound", "n0", "Referenced Workflow [<nil>/<nil>] not found.", "neither"),  # noqa: E501
    (wf(w.node("n0", INC)), "ParameterNotBound", "n0", "Parameter not bound [n].", "no value for its input 'n' (int)"),  # noqa: E501
    (wf(w.node("n0", INC, n=1), outputs={"o": w.INT}), "ParameterNotBound", "end-node", "Parameter not bound [o].", "output 'o' (int) gets no value"),  # noqa: E501
    (wf(BAD_ALIAS), "ParameterNotBound", "n0", "Parameter not bound [a].", "an output 'o1'"),
    (wf(ALIASED), "DuplicateAlias", "n0", "Duplicate alias [b] found. An output alias can only be used once in the Workflow.", "two aliases"),  # noqa: E501
    (wf(TWICE), "ParameterBoundMoreThanOnce", "n0", "Input [n] is bound more than once.", "given two values"),
    (wf(w.node("n0", INC, n=1, m=2)), "VariableNameNotFound", "n0", "Variable [m] not found on node [n0].", "no input 'm'; its inputs are n"),  # noqa: E501
    (wf(w.node("n0", INC, n=w.promise("o1", "n1")), w.node("n1", INC, n=1)), "VariableNameNotFound", "n1", "Variable [o1] not found on node [n1].", "no output 'o1'; its outputs are o0"),  # noqa: E501
    (wf(w.node("n0", INC, n=w.promise("k"))), "VariableNameNotFound", "start-node", "Variable [k] not found on node [start-node].", "The workflow has no input 'k'"),  # noqa: E501
    (wf(w.node("n0", INC, n=w.promise("o0", "n7"))), "NodeReferenceNotFound", "n7", "Referenced node [n7] not found.", "'n7'"),  # noqa: E501
    (wf(w.node("n0", INC, n="x")), "MismatchingTypes", "n0", "Variable [n] (type [simple:STRING]) doesn't match expected type [simple:INTEGER].", "'n' is int, but the value is str"),  # noqa: E501
    (wf(w.node("n0", INC, name="inc", n=w.promise("o0", "n1")), w.node("n1", SAY, name="say")), "MismatchingTypes", "n0", "The output variable 'say.o0' has type [simple:STRING], but it's assigned to the input variable 'inc.n' which has type type [simple:INTEGER].", "'n' is int, but say.o0 is str"),  # noqa: E501
    (wf(w.node("n0", INC, n=[1])), "MismatchingBindings", "n0", "Input [n] on node [n0] expects bindings of type [simple:INTEGER].  Received [bindings:{scalar:{primitive:{integer:1}}}]", "'n' is int, but a list"),  # noqa: E501
    (wf(w.node("n0", INC, n={"a": 1})), "MismatchingBindings", "n0", "Input [n] on node [n0] expects bindings of type [simple:INTEGER].  Received [bindings:{key:\"a\" value:{scalar:{primitive:{integer:1}}}}]", "dict"),  # noqa: E501
    (wf(OFFLOADED), "MismatchingBindings", "n0", "Input [n] on node [n0] expects bindings of type [simple:INTEGER].  Received [*core.BindingData_OffloadedMetadata]", "'n' is int"),  # noqa: E501
    (wf(w.node("n0", COLOR, c="blue")), "IllegalEnumValue", "n0", "Input [c] on node [n0] is an Enum and expects value to be one of [[red green]].  Received [blue]", "cannot be 'blue'"),  # noqa: E501
    (wf(w.node("n0", EITHER, u=[])), "AmbiguousBindingUnionValue", "n0", "Input [u] on node [n0] expects bindings of union type [union_type:{variants:{collection_type:{simple:INTEGER}} variants:{collection_type:{simple:FLOAT}}}].  Received [collection:{}] which is ambiguous as both variants [collection_type:{simple:INTEGER}] and [collection_type:{simple:FLOAT}] match.", "list[int] and list[float]"),  # noqa: E501
    (wf(w.node("n0", EITHER, u=["a"])), "IncompatibleBindingUnionValue", "n0", "which does not match any of the variants.", "fits none"),  # noqa: E501
    (wf(w.node("n0", INC, n=w.promise("rovs", "n1", "x")), w.node("n1", DATA)), "VariableNameNotFound", "n1", "Variable [rovs]", "o0"),  # noqa: E501
    (wf(w.node("n0", INC, n=w.promise("o0", "n1", "rovs")), w.node("n1", DATA)), "FieldNotFound", "n0", "doesn't have field [rovs].", "no field 'rovs'; it has name, rows"),  # noqa: E501
    (wf(w.node("n0", INC, n=w.promise("o-0", "n1")), w.node("n1", SAY)), "SyntaxError", "n0", "Failed to parse element [o-0].", "not a name"),  # noqa: E501
    (wf(w.node("n0", INC, n=w.promise("[0].o0", "n1")), w.node("n1", SAY)), "MismatchingTypes", "n0", "The output variable '[0].o0'", "is str"),  # noqa: E501
    (wf(w.node("n0", BLOBS, b=NO_BLOB)), "UnrecognizedValue", "n0", "Unrecognized value [*core.Scalar_Blob].", "is not known"),  # noqa: E501
    (wf(*CYCLE), "CycleDetected", "start-node", "A cycle has been detected while traversing the Workflow [start-node>n0>n1>n0].", "n0 → n1 → n0"),  # noqa: E501
    (wf(*RING), "UnreachableNodes", "start-node", "The Workflow contain unreachable nodes [n0,n1].", "wait for each other"),  # noqa: E501
    (wf(w.node("n0", INC, n=1), w.node("n1", INC, n=1, after=["ghost"])), "UnreachableNodes", "start-node", "The Workflow contain unreachable nodes [n1].", "never start: n1"),  # noqa: E501
    (wf(branch([(None, w.node("n0", INC, n=1))])), "BranchNodeHasNoCondition", "n0", "One of the branches on the node doesn't have a condition.", "no condition"),  # noqa: E501
    (wf(branch([(HALF_CONJUNCTION, w.node("n0", INC, n=1))])), "BranchNodeHasNoCondition", "n0", "One of the branches", "no condition"),  # noqa: E501
    (wf(branch(otherwise=None)), "BranchNodeHasNoDefault", "n0", "Branch Node must have either the else case set or a default error.", "none of its conditions is true"),  # noqa: E501
    (wf(branch([(POINT, w.node("n0", INC, n=1)), (POINT, None)])), "BranchNodeIdNotFound", "n0", "BranchNode not assigned", "runs nothing"),  # noqa: E501
    (wf(branch([(POINT, w.node("n0", INC, n=1)), (POINT, None)])), "ValueRequired", "n0", "Value required [IfElse.Case.ThenNode].", "runs nothing"),  # noqa: E501
    (wf(branch([(POINT, None)])), "ValueRequired", "n0", "Value required [Branch.IfElse.Case.ThenNode].", "no first case"),  # noqa: E501
    (wf(NO_CASE), "ValueRequired", "n0", "Value required [Branch.IfElse].", "no first case"),
    (wf(NO_FIRST_CASE), "ValueRequired", "n0", "Value required [Branch.IfElse.Case].", "no first case"),
    (wf(branch([(NO_EXPRESSION, w.node("n0", INC, n=1))])), "ValueRequired", "n0", "Value required [Expr].", "compares nothing"),  # noqa: E501
    (wf(branch([(NONE_CONDITION, w.node("n0", INC, n=1))])), "ValueRequired", "n0", "Value required [RightValue.Val].", "not None"),  # noqa: E501
    (wf(branch([(HALF_CONDITION, w.node("n0", INC, n=1))])), "ValueRequired", "n0", "Value required [RightValue].", "missing"),  # noqa: E501
    (wf(branch([(w.comparison("k", 1), w.node("n0", INC, n=1))])), "VariableNameNotFound", "n0", "Variable [k] not found on node [n0].", "no input 'k'; its inputs are n"),  # noqa: E501
    (wf(branch([(w.comparison("n", "a"), w.node("n0", INC, n=1))])), "MismatchingTypes", "n0", "Variable [RightValue] (type [simple:STRING]) doesn't match expected type [simple:INTEGER].", "compares int with str"),  # noqa: E501
    (wf(branch(otherwise=w.node("n1", SAY))), "MismatchingTypes", "n0-n1", "Variable [o0] (type [simple:INTEGER]) doesn't match expected type [simple:STRING].", "'o0' is str"),  # noqa: E501
    (wf(branch([(POINT, w.node("n0", INC, n="x"))])), "MismatchingTypes", "n0-n0", "Variable [n] (type [simple:STRING])", "'n' is int"),  # noqa: E501
]  # fmt: skip
