"""The error table, code by code: Flyte's code, node and text, and our message."""

import pytest
import workflow_making as w
from error_table import COLOR, DICTS, FINE, HALF, INC, LISTS, POINT, TABLE, TASKS, branch, wf
from flyteidl.core import identifier_pb2, literals_pb2, types_pb2, workflow_pb2

from flyte_nb.api.errors import CompileFailed
from flyte_nb.compiler import (
    LaunchPlanInterface,
    check_inputs,
    check_launchable,
    compile_task,
    compile_workflow,
    flyte_error_text,
    identifier_text,
    requirements,
)
from flyte_nb.compiler.collector import flyte_node_id, named


def one(template, code, subs=(), plans=None, text=""):
    """Return the only problem with this code and text."""
    found = w.problems(template, TASKS, subs, plans)
    found = [p for p in found if p.code == code and text in p.flyte_text]
    assert len(found) == 1, w.problems(template, TASKS, subs, plans)
    return found[0]


def test_a_sound_workflow_has_no_problems():
    assert w.problems(FINE, TASKS) == ()


@pytest.mark.parametrize(("template", "code", "flyte_node", "text", "ours"), TABLE, ids=[f"{i}-{row[1]}" for i, row in enumerate(TABLE)])  # fmt: skip  # noqa: E501
def test_the_error_table(template, code, flyte_node, text, ours):
    problem = one(template, code, text=text)
    assert ours in problem.message
    assert problem.entity == "wf"
    if flyte_node is not None:
        assert flyte_node_id(problem) == flyte_node
    assert (
        f"Code: {code}, Node Id: {flyte_node_id(problem)}, Description: {problem.flyte_text}"
        in (flyte_error_text([problem]))
    )


def test_every_problem_has_a_hint_unless_it_follows_from_another_one():
    """Rows that only follow from another problem are left out: their cause has the hint."""
    follow_ups = {"As a result, 'n' gets no value.", "As a result, these nodes never start"}
    for template, code, _, text, _ in TABLE:
        problem = one(template, code, text=text)
        if not any(problem.message.startswith(start) for start in follow_ups):
            assert problem.hint, problem


ALL_CODES = {
    "AmbiguousBindingUnionValue", "BranchNodeHasNoCondition", "BranchNodeHasNoDefault",
    "BranchNodeIdNotFound", "CycleDetected", "DuplicateAlias", "DuplicateId", "FieldNotFound",
    "IllegalEnumValue", "IncompatibleBindingUnionValue", "InconsistentTypes", "InvalidLiteralType",
    "InvalidValue", "MismatchingBindings", "MismatchingInterfaces", "MismatchingTypes",
    "NoConditionFound", "NoEntryNodeFound", "NoNodesFound", "NodeReferenceNotFound",
    "ParameterBoundMoreThanOnce", "ParameterNotBound", "SyntaxError", "TaskReferenceNotFound",
    "UnreachableNodes", "UnrecognizedValue", "ValueCollision", "ValueRequired",
    "VariableNameNotFound", "WorkflowBuildError", "WorkflowReferenceNotFound",
}  # fmt: skip
"""Every constant of flytepropeller/pkg/compiler/errors/compiler_errors.go at v1.16.8."""


def test_every_code_of_flyte_is_given_but_those_that_flyte_never_gives():
    given = (
        {row[1] for row in TABLE} | {row[1] for row in LAUNCHING} | {row[1] for row in ELSEWHERE}
    )
    # Their constructors are called from nowhere in FlytePropeller.
    assert ALL_CODES - given == {"InconsistentTypes", "MismatchingInterfaces"}
    assert given <= ALL_CODES


def _override(value):
    node = w.node("n0", INC, n=1)
    node.task_node.overrides.resources.requests.add(name=1, value=value)
    return node


SLOW = w.node("n0", INC, n=1)
SLOW.metadata.timeout.seconds = 10**11
ODD = w.node("n0", INC, n=1)
ODD.metadata.timeout.seconds, ODD.metadata.timeout.nanos = 1, -1
SAME_IDS = branch([(POINT, w.node("a", INC, n=1)), (POINT, w.node("a", INC, n=2))])
MAPPED = w.node("n0", n=1)
MAPPED.array_node.node.CopyFrom(_override("lots"))
LAUNCHING = [
    (_override("much"), "WorkflowBuildError", "", "Failed to parse resource as a valid quantity.", "cpu is 'much'"),  # noqa: E501
    (MAPPED, "WorkflowBuildError", "", "Failed to parse resource as a valid quantity.", "cpu is 'lots'"),
    (SLOW, "SyntaxError", "n0", "Failed to parse element [node:metadata:timeout].", "not a duration"),
    (ODD, "SyntaxError", "n0", "Failed to parse element [node:metadata:timeout].", "not a duration"),
    (SAME_IDS, "ValueCollision", "n0-a", "Node is expected to be unique. n0-a already exists.", "n0-a"),
    (w.node("end-node"), "NoEntryNodeFound", None, "Can't find a node to start executing Workflow [", "No node"),  # noqa: E501
]  # fmt: skip


@pytest.mark.parametrize(("node", "code", "flyte_node", "text", "ours"), LAUNCHING, ids=[f"{i}-{row[1]}" for i, row in enumerate(LAUNCHING)])  # fmt: skip  # noqa: E501
def test_problems_that_a_cluster_finds_at_launch_are_found_before(
    node, code, flyte_node, text, ours
):
    closure = w.compiled(wf(node), TASKS)
    (problem,) = check_launchable(closure)
    assert problem.code == code
    assert problem.flyte_text.startswith(text)
    assert ours in problem.message
    assert problem.hint
    if flyte_node is not None:
        assert flyte_node_id(problem) == flyte_node


def test_a_launchable_workflow_has_no_launch_problems():
    equal = branch([(POINT, w.node("a", INC, n=1)), (POINT, w.node("a", INC, n=1))])
    fast = _override("500m")
    fast.metadata.timeout.seconds = 60
    for node in (equal, fast, branch(otherwise=w.node("b", INC, n=1))):
        assert check_launchable(w.compiled(wf(node), TASKS)) == ()


def test_launch_checks_include_arrays_and_failure_nodes():
    mapped = w.node("n0", n=1)
    mapped.array_node.node.CopyFrom(SLOW)
    (problem,) = check_launchable(w.compiled(wf(mapped), TASKS))
    assert (problem.code, problem.node_id) == ("SyntaxError", "n0")
    template = wf(w.node("n0", INC, n=1))
    template.failure_node.CopyFrom(_override("much"))
    (problem,) = check_launchable(w.compiled(template, TASKS))
    assert problem.code == "WorkflowBuildError"


def test_a_failure_node_may_have_the_id_of_another_node():
    template = wf(w.node("n0", INC, n=1))
    template.failure_node.CopyFrom(w.node("n0", INC, n=2))
    assert check_launchable(w.compiled(template, TASKS)) == ()


def test_every_output_in_which_two_cases_differ_is_reported():
    first = w.task("first", {}, {"a": w.INT, "b": w.INT})
    second = w.task("second", {}, {"a": w.STR, "b": w.STR})
    cases = branch([(POINT, w.node("n0", first))], otherwise=w.node("n1", second))
    found = [p for p in w.problems(wf(cases), [first, second]) if p.code == "MismatchingTypes"]
    assert [problem.variable for problem in found] == ["a", "b"]


def test_an_unused_sub_workflow_is_returned_unchanged():
    used, other = (wf(w.node("n0", INC, n=1), name=name) for name in ("used", "other"))
    closure = w.compiled(wf(w.node("n0", used, n=1)), TASKS, [other, used])
    assert closure.sub_workflows[0].template == other
    assert len(closure.sub_workflows[1].template.nodes) == 3


NO_IMAGE = w.task("t")
NO_IMAGE.container.ClearField("image")
NO_COMMAND = w.task("t", {"n": w.INT})
del NO_COMMAND.container.args[:]
MUCH = w.task("t")
MUCH.container.resources.limits.add(name=3, value="much")
NO_ID = w.task("t")
NO_ID.ClearField("id")
POD = w.task("t")
POD.k8s_pod.pod_spec.update({"containers": [{"name": "Big Pod"}]})
NO_SPEC = w.task("t")
NO_SPEC.k8s_pod.primary_container_name = "a"
NO_POD = w.task("t")
NO_POD.k8s_pod.pod_spec.update({"containers": 3})
ELSEWHERE = [
    (NO_IMAGE, "ValueRequired", "container", "Value required [image]."),
    (NO_COMMAND, "ValueRequired", "container", "Value required [command]."),
    (NO_ID, "ValueRequired", "root", "Value required [Id]."),
    (MUCH, "UnrecognizedValue", "resources.MEMORY", "Unrecognized value [much]."),
    (POD, "InvalidValue", "root", "Invalid value [k8s pod spec container name]."),
    (NO_SPEC, "InvalidValue", "root", "Invalid value [k8s pod spec]."),
    (NO_POD, "InvalidValue", "root", "Invalid value [k8s pod spec]."),
    ([FINE, FINE], "DuplicateId", None, "Trying to insert two nodes with the same id."),
    (literals_pb2.Literal(), "InvalidLiteralType", "start-node", "Failed to validate literal type for [x]"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "code", "flyte_node", "text"), ELSEWHERE, ids=[f"{i}-{row[1]}" for i, row in enumerate(ELSEWHERE)])  # fmt: skip  # noqa: E501
def test_tasks_sub_workflows_and_inputs_have_their_codes(given, code, flyte_node, text):
    if isinstance(given, literals_pb2.Literal):
        inputs = literals_pb2.LiteralMap(literals={"x": given})
        found = check_inputs(w.interface({"x": w.INT}), inputs)
    elif isinstance(given, list):
        found = w.problems(FINE, TASKS, given)
    else:
        with pytest.raises(CompileFailed) as caught:
            compile_task(given)
        found = caught.value.problems
    (problem,) = found
    assert problem.code == code
    assert problem.flyte_text.startswith(text)
    assert problem.hint or code == "ValueRequired"
    if flyte_node is not None:
        assert flyte_node_id(problem) == flyte_node


def test_two_sub_workflows_of_one_id_are_refused():
    problem = one(FINE, "DuplicateId", subs=[wf(name="sub"), wf(name="sub")])
    assert problem.flyte_text == "Trying to insert two nodes with the same id."


def test_a_sub_workflow_without_an_id_is_refused():
    assert "ValueRequired" in w.codes(FINE, TASKS, subs=[workflow_pb2.WorkflowTemplate()])


def test_a_task_without_an_id_is_refused():
    from flyteidl.core import compiler_pb2

    with pytest.raises(CompileFailed, match="no id"):
        compile_workflow(FINE, [], [compiler_pb2.CompiledTask()])


def test_a_sub_workflow_without_an_interface_is_refused():
    sub = wf(w.node("n0", INC, n=1), name="sub")
    sub.ClearField("interface")
    problem = one(wf(w.node("n0", sub)), "ValueRequired", subs=[sub])
    assert problem.flyte_text == "Value required [WorkflowNode.Template.Interface]."


def test_a_problem_inside_a_sub_workflow_names_the_sub_workflow():
    sub = wf(w.node("n0", INC, n="x"), name="sub")
    problem = one(
        wf(w.node("n0", sub, n=1), w.node("n1", sub, n=1)), "MismatchingTypes", subs=[sub]
    )
    assert (problem.entity, problem.node_id, problem.variable) == ("sub", "n0", "n")


def test_a_workflow_that_contains_itself_is_a_cycle_not_a_crash():
    inner = wf(w.node("n0", w.workflow([], name="outer"), n=1), name="inner")
    outer = wf(w.node("n0", inner, n=1), name="outer")
    problem = one(wf(w.node("n0", outer, n=1)), "CycleDetected", subs=[inner, outer])
    assert "outer → inner → outer" in problem.message
    with pytest.raises(CompileFailed):
        requirements(outer, [inner, outer])


def test_launch_plans_need_their_required_inputs_and_take_the_others():
    identifier = w.identifier("lp", identifier_pb2.LAUNCH_PLAN)
    plan = LaunchPlanInterface(
        expected_inputs=w.interface_pb2.ParameterMap(), expected_outputs=w.variables({"o0": w.INT})
    )
    for name, required in (("n", True), ("k", False)):
        parameter = plan.expected_inputs.parameters[name]
        parameter.var.type.CopyFrom(w.INT)
        if required:
            parameter.required = True
        else:
            parameter.default.scalar.primitive.integer = 1
    plans = {identifier_text(identifier): plan}
    assert w.codes(wf(w.node("n0", identifier, n=1)), plans=plans) == []
    assert w.codes(wf(w.node("n0", identifier, n=1, k=2)), plans=plans) == []
    assert w.codes(wf(w.node("n0", identifier, k=2)), plans=plans) == ["ParameterNotBound"]
    assert w.codes(wf(w.node("n0", identifier, n=1, k="x")), plans=plans) == ["MismatchingTypes"]
    assert w.codes(wf(w.node("n0", identifier, n=1, j=1)), plans=plans) == ["VariableNameNotFound"]
    used = wf(
        w.node("n0", identifier, n=1), w.node("n1", INC, n=w.promise("o0", "n0")),
    )  # fmt: skip
    assert w.codes(used, TASKS, plans=plans) == []
    plan.expected_inputs.parameters[""].CopyFrom(plan.expected_inputs.parameters["n"])
    texts = [p.flyte_text for p in w.problems(wf(w.node("n0", identifier, n=1)), plans=plans)]
    assert "Value required [paramName]." in texts
    del plan.expected_inputs.parameters[""]
    plan.expected_inputs.parameters["n"].var.ClearField("type")
    assert w.codes(wf(w.node("n0", identifier, n=1)), plans=plans) == ["ValueRequired"]


def test_a_workflow_may_launch_itself():
    itself = w.identifier("wf")
    template = wf(w.node("n0", itself, n=1))
    assert "WorkflowReferenceNotFound" in w.codes(template)  # admin must know such a plan
    empty = LaunchPlanInterface(w.interface_pb2.ParameterMap(), w.variables({}))
    assert w.codes(template, plans={identifier_text(itself): empty}) == []


def test_a_branch_can_only_use_earlier_results():
    condition = branch([(POINT, w.node("n0", INC, n=1))], n=w.promise("o0", "n1"))
    problem = one(wf(condition, w.node("n1", INC, n=1)), "NodeReferenceNotFound")
    assert (
        problem.hint == "Call n1 before n0: a condition or approval can only use earlier results."
    )
    assert w.codes(wf(w.node("n1", INC, n=1), condition), TASKS) == []


@pytest.mark.parametrize(
    ("runs", "inputs", "hint"),
    [
        (HALF, {"x": 1}, "write 1.0 instead of 1"),
        (INC, {"n": 1.0}, "write 1 instead of 1.0"),
        (INC, {"n": None}, "Optional[int]"),
        (INC, {"m": 1}, ""),
        (INC, {"N": 1}, "Did you mean 'n'?"),
        (COLOR, {"c": "gren"}, "Did you mean 'green'?"),
        (LISTS, {"xs": 1}, "[value]"),
        (DICTS, {"m": 1}, '{"key": value}'),
        (INC, {"n": w.promise("xs")}, "map_task"),
        (INC, {"n": w.promise("d")}, 'result["key"]'),
        (INC, {"n": w.promise("o")}, "may be None"),
        (w.task("t", {"u": w.union(w.INT, w.FLOAT)}), {"u": "x"}, "Give one of: int | float"),
        (w.task("t", {"u": w.union(w.tagged(w.INT, "a"), w.tagged(w.INT, "b"))}), {"u": 1}, "More than one"),
        (w.task("t", {"t": w.dataset(("a", w.INT), ("b", w.INT))}), {"t": w.promise("t")}, "missing: b"),
        (w.task("t", {"t": w.dataset(format="csv")}), {"t": w.promise("t")}, "formats"),
        (w.task("t", {"t": w.dataclass(a=w.INT, b=w.INT)}), {"t": w.promise("c")}, "lacks these fields: b"),
        (w.task("t", {"t": w.STR}), {"t": 1}, "Annotate both sides"),
    ],
)  # fmt: skip
def test_the_hint_suggests_what_would_work(runs, inputs, hint):
    types = {
        "xs": w.listed(w.INT), "d": w.mapped(w.INT), "o": w.union(w.INT, w.NONE),
        "t": w.dataset(("a", w.INT), format="parquet"), "c": w.dataclass(a=w.INT),
    }  # fmt: skip
    found = w.problems(wf(w.node("n0", runs, **inputs), inputs=types), [*TASKS, runs])
    assert found
    assert any(hint in problem.hint for problem in found), found


def test_flytes_text_counts_each_error_once_and_sorts_by_code():
    found = w.problems(wf(w.node("n1", INC), w.node("n0", INC, n="x"), w.node("n2", INC)), TASKS)
    assert flyte_error_text(found) == (
        "Collected Errors: 3\n"
        "\tError 0: Code: MismatchingTypes, Node Id: n0, Description: Variable [n] (type"
        " [simple:STRING]) doesn't match expected type [simple:INTEGER].\n"
        "\tError 1: Code: ParameterNotBound, Node Id: n1, Description: Parameter not bound [n].\n"
        "\tError 2: Code: ParameterNotBound, Node Id: n2, Description: Parameter not bound [n].\n"
    )


def test_long_lists_of_names_are_shortened():
    assert named(["a", "b"]) == "a, b"
    assert named([str(number) for number in range(10)]) == "0, 1, 2, 3, 4, 5, 6, 7 and 2 more"


@pytest.mark.parametrize(
    ("change", "code", "text"),
    [
        (lambda t: t.ClearField("id"), "ValueRequired", "Value required [Id]."),
        (lambda t: t.container.ClearField("image"), "ValueRequired", "Value required [image]."),
        (lambda t: t.container.ClearField("args"), "ValueRequired", "Value required [command]."),
        (lambda t: t.container.resources.requests.add(name=1, value="lots"), "UnrecognizedValue", "Unrecognized value [lots]."),  # noqa: E501
        (lambda t: t.container.resources.limits.add(name=77, value=""), "UnrecognizedValue", "Unrecognized value []."),  # noqa: E501
        (lambda t: t.k8s_pod.pod_spec.update({"containers": 5}), "InvalidValue", "Invalid value [k8s pod spec]."),  # noqa: E501
        (lambda t: t.k8s_pod.pod_spec.update({"containers": [5]}), "InvalidValue", "Invalid value [k8s pod spec]."),  # noqa: E501
        (lambda t: t.k8s_pod.pod_spec.update({"containers": [{"name": 5}]}), "InvalidValue", "Invalid value [k8s pod spec]."),  # noqa: E501
        (lambda t: t.k8s_pod.pod_spec.update({"containers": [{"name": "A_b"}]}), "InvalidValue", "Invalid value [k8s pod spec container name]."),  # noqa: E501
        (lambda t: t.k8s_pod.pod_spec.update({"containers": [{}]}), "InvalidValue", "Invalid value [k8s pod spec container name]."),  # noqa: E501
    ],
)  # fmt: skip
def test_a_wrong_task_is_refused_with_its_code(change, code, text):
    template = w.task("t", {"n": w.INT})
    change(template)
    with pytest.raises(CompileFailed) as caught:
        compile_task(template)
    assert [(p.code, p.flyte_text) for p in caught.value.problems] == [(code, text)]


def test_sound_tasks_of_every_target_compile_to_themselves():
    plain = w.task("t")
    plain.ClearField("container")
    pod = w.task("t", {"n": w.INT})
    pod.k8s_pod.pod_spec.update({"containers": [{"name": "primary-1"}]})
    quiet = w.task("t")
    quiet.container.ClearField("args")
    for value in ("1", "500m", "1Gi", "1.5", ".5", "2e3", "-1", "1E", "100u"):
        quiet.container.resources.requests.add(name=1, value=value)
    for template in (plain, pod, quiet):
        assert compile_task(template).template == template


def test_types_are_quoted_as_flyte_quotes_them():
    taker = w.task("t", {"d": w.INT})
    found = w.problems(
        wf(w.node("n0", taker, d=w.promise("d")), inputs={"d": w.dataclass(a=w.INT, b=w.STR)}),
        [taker],
    )
    fields = (
        "dataclass_type:{key:a value:{simple:INTEGER}, dataclass_type:{key:b value:{simple:STRING}"
    )
    assert f"simple: STRUCT structure{{{fields}}}" in found[0].flyte_text
    assert types_pb2.LiteralType() == types_pb2.LiteralType()


def test_control_characters_are_quoted_as_flyte_quotes_them():
    odd = w.task('a\t\x00\x7f\x85"')
    (problem,) = w.problems(wf(w.node("n0", odd)))
    assert r'name:"a\t\x00\x7f\u0085\""' in problem.flyte_text


def test_flyte_reports_an_unknown_launch_plan_on_its_start_node():
    plan = w.identifier("lp", identifier_pb2.UNSPECIFIED)
    (problem,) = w.problems(wf(w.node("n0", plan)))
    assert (problem.node_id, flyte_node_id(problem)) == ("n0", "start-node")
    nameless = w.workflow([])
    nameless.ClearField("id")
    (problem,) = w.problems(nameless)
    assert flyte_node_id(problem) == "<nil>"
