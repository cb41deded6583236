"""Bad input gives problems or compiles, within bounds of time and size, and never an internal exception."""

import hostile
import pytest
import workflow_making as w
from flyteidl.core import compiler_pb2, condition_pb2, types_pb2, workflow_pb2

from flyte_nb.api.errors import CompileFailed
from flyte_nb.compiler import compile_task, compile_workflow, flyte_error_text, requirements

INC = hostile.INC


def outcome(template, tasks=(), subs=()):
    """Return every problem of a workflow and of its tasks."""
    found = []
    try:
        given = [compiler_pb2.CompiledTask(template=task) for task in tasks]
        closure = compile_workflow(template, subs, given)
        assert closure.primary.connections.upstream
    except CompileFailed as failed:
        found.extend(failed.problems)
    for task in tasks:
        try:
            compile_task(task)
        except CompileFailed as failed:
            found.extend(failed.problems)
    return found


@pytest.mark.parametrize("make", hostile.SPECS, ids=lambda make: make.__name__)
def test_a_hostile_spec_is_answered_within_bounds(make):
    template, tasks = make(100_000)
    found = outcome(template, tasks)
    assert len(found) <= 10_002
    assert all(problem.message for problem in found)
    assert sum(len(problem.flyte_text) + len(problem.message) for problem in found) < 25_000_000
    assert all(len(problem.node_id) <= 2048 for problem in found)


@pytest.mark.parametrize(
    ("make", "codes"),
    [
        (hostile.nodes_of_one_id, set()),
        (hostile.optional_inputs_left_out, set()),
        (hostile.right_values_of_a_large_enum, set()),
        (hostile.fields_of_a_large_dataclass, set()),
        (hostile.a_branch_of_many_cases, set()),
        (hostile.a_complete_graph, set()),
        (hostile.wide_unions, {"MismatchingTypes"}),
        (hostile.a_branch_with_a_long_id, {"InvalidValue"}),
        (hostile.a_long_id_that_waits_for_many, {"InvalidValue"}),
        (hostile.calls_without_inputs, {"ParameterNotBound", "TooManyProblems"}),
        (hostile.lists_for_wide_unions, {"InvalidValue"}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_large_valid_spec_compiles_and_a_large_invalid_one_has_its_code(make, codes):
    assert {problem.code for problem in outcome(*make(200_000))} == codes


def test_too_many_problems_end_with_a_problem_that_says_so():
    found = outcome(*hostile.wrong_everywhere(1_500_000))
    assert len(found) == 10_001
    assert found[-1].message == "There are more problems than these 10000."
    assert flyte_error_text(found).startswith("Collected Errors: ")


def test_the_first_of_several_nodes_with_the_same_id_is_used():
    first, second = w.node("n0", INC, n=1), w.node("n0", INC, n=2)
    closure = w.compiled(w.workflow([first, second, w.node("n1", INC, n=3)]), [INC])
    nodes = closure.primary.template.nodes
    assert [node.id for node in nodes] == ["start-node", "end-node", "n0", "n1"]
    assert nodes[2].inputs[0].binding.scalar.primitive.integer == 1
    # What is wrong with the other one is told all the same.
    assert w.codes(w.workflow([first, w.node("n0", w.task("x"))]), [INC]) == [
        "TaskReferenceNotFound"
    ]


@pytest.mark.parametrize("node_id", ["start-node", "end-node"])
def test_a_node_that_is_called_like_start_or_end_is_ignored(node_id):
    template = w.workflow([w.node(node_id, INC, n=1), w.node("n0", INC, n=1)])
    closure = w.compiled(template, [INC])
    assert [node.id for node in closure.primary.template.nodes] == ["start-node", "end-node", "n0"]
    assert not closure.primary.template.nodes[0].inputs


NAMES = {
    "of another script": "узел",
    "right to left": "\u202eedon",
    "a NUL": "a\0b",
    "an emoji": "🚀",
    "combining": "e\u0301",
    "spaces": " \t\n",
    "braces and quotes": "{{.input}} \"'<script>",
    "long": "n" * 2048,
    "private": "\ue000\uffff",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_names_may_be_any_unicode(name):
    task = w.task(name, {name: w.INT}, {"o0": w.INT})
    template = w.workflow([w.node(name, task, **{name: 1})], name=name)
    template.nodes[0].metadata.name = name
    closure = w.compiled(template, [task])
    assert list(closure.primary.connections.downstream["start-node"].ids) == [name]
    found = w.problems(w.workflow([w.node(name, task, **{name + "x": 1})], name=name), [task])
    assert {problem.code for problem in found} == {"VariableNameNotFound", "ParameterNotBound"}
    assert flyte_error_text(found).count("Error ") >= 2


def _grown(grow, depth):
    """Return a workflow whose message was grown in place: such a deep value cannot be copied."""
    template = w.workflow([w.node("n0", INC, n=1)])
    place = template.nodes[0]
    grow(place, depth)
    return template


def _bindings(node, depth):
    place = node.inputs[0].binding
    for _ in range(depth):
        place = place.collection.bindings.add()
    place.scalar.primitive.integer = 1


def _conditions(node, depth):
    node.branch_node.if_else.case.then_node.id = "a"
    place = node.branch_node.if_else.case.condition
    for _ in range(depth):
        place = place.conjunction.left_expression
    place.comparison.operator = condition_pb2.ComparisonExpression.EQ


def _branches(node, depth):
    for _ in range(depth):
        node = node.branch_node.if_else.case.then_node
    node.id = "a"


def _unions(node, depth):
    place = node.inputs[0].binding.scalar.union.type
    for _ in range(depth):
        place = place.union_type.variants.add()
    place.simple = types_pb2.INTEGER


def _arrays(node, depth):
    for _ in range(depth):
        node = node.array_node.node
    node.id = "a"


@pytest.mark.parametrize("grow", [_bindings, _conditions, _branches, _unions, _arrays])
def test_a_message_nested_a_thousand_levels_deep_is_refused(grow):
    template = _grown(grow, 1000)
    found = outcome(template, [INC])
    assert [problem.code for problem in found] == ["InvalidValue"]
    assert "nested more deeply" in found[0].message


@pytest.mark.parametrize("grow", [_bindings, _conditions, _branches, _unions, _arrays])
@pytest.mark.parametrize("depth", [1, 8, 15, 20, 30, 45])
def test_a_message_at_the_nesting_limit_gives_problems_or_compiles(grow, depth):
    outcome(_grown(grow, depth), [INC])


def test_an_interface_nested_a_thousand_levels_deep_is_refused():
    template = w.workflow([w.node("n0", INC, n=1)], {"x": w.INT})
    place = template.interface.inputs.variables["x"].type
    for _ in range(1000):
        place = place.collection_type
    place.simple = types_pb2.INTEGER
    assert [problem.code for problem in outcome(template, [INC])] == ["InvalidValue"]


def test_sub_workflows_that_call_each_other_are_reported_once_each():
    names = [f"s{i}" for i in range(300)]
    shells = [w.workflow([], name=name) for name in names]
    subs = [w.workflow([w.node(f"n{j}", each) for j, each in enumerate(shells)], name=name)
            for name in names]  # fmt: skip
    template = w.workflow([w.node("n0", subs[0])])
    found = outcome(template, [], subs)
    assert {problem.code for problem in found} == {"CycleDetected"}
    assert len(found) <= len(names)
    with pytest.raises(CompileFailed, match="contain each other"):
        requirements(template, subs)


UNKNOWN = workflow_pb2.Node(id="n0")
UNKNOWN.MergeFromString(b"\xfa\x3f\x02\x08\x01")  # a target of a later Flyte: field 1023


def test_fields_of_a_later_flyte_are_kept_and_reported_where_they_matter():
    found = w.problems(w.workflow([UNKNOWN]))
    assert [problem.flyte_text for problem in found] == ["Value required [Target]."]
    node = w.node("n0", INC, n=1)
    node.MergeFromString(b"\xfa\x3f\x02\x08\x01")
    closure = w.compiled(w.workflow([node]), [INC])
    assert closure.primary.template.nodes[2].SerializeToString() == node.SerializeToString()


def test_unknown_enum_values_compile_where_flyte_does_not_look():
    template = w.workflow([w.node("n0", INC, n=1)])
    template.metadata.on_failure = 77
    branch = w.branch("b", [(w.comparison("n", 1), w.node("n0", INC, n=1))], "no", n=1)
    branch.branch_node.if_else.case.condition.comparison.operator = 9
    template.nodes.append(branch)
    closure = w.compiled(template, [INC])
    assert closure.primary.template.metadata.on_failure == 77
    task = w.task("odd", {"n": types_pb2.LiteralType(simple=77)})
    assert w.codes(w.workflow([w.node("n0", task, n=1)]), [task]) == ["MismatchingTypes"]
