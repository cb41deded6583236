"""Ids that a run makes up for inner nodes, given by an author to another node: found when compiling."""

import pytest
import workflow_making as w
from flyteidl.core import workflow_pb2
from well_formed import MAPPED, OUTER_SUB, SUB, TASKS

INC = TASKS["int_of_int"]
SUBS = [SUB, OUTER_SUB]


def found(*nodes):
    template = w.workflow(list(nodes), {"x": w.INT}, {}, {})
    problems = w.problems(template, [*TASKS.values(), MAPPED], SUBS)
    return [(problem.code, problem.node_id) for problem in problems]


def inc(id):
    return w.node(id, INC, x=w.promise("x"))


def sub(id, workflow=SUB):
    return w.node(id, workflow, x=w.promise("x"))


def arms(id):
    chosen = [(w.comparison("x", 1), inc("n0"))]
    return w.branch(id, chosen, inc("n1"), x=w.promise("x"))


def mapped(id):
    node = workflow_pb2.Node(id=id)
    node.array_node.node.CopyFrom(w.node("n0", MAPPED, x=[1, 2], k=3))
    return node


@pytest.mark.parametrize("node_id", ["n0-0-n0", "n0-3-n0"])
def test_the_id_of_a_node_in_a_sub_workflow(node_id):
    assert found(sub("n0"), inc(node_id)) == [("DuplicateId", node_id)]


@pytest.mark.parametrize("node_id", ["n0-0-n1-0-n0", "n0-0-n1", "n0-1-n0-2-n0"])
def test_the_id_of_a_node_two_sub_workflows_deep(node_id):
    assert found(sub("n0", OUTER_SUB), inc(node_id)) == [("DuplicateId", node_id)]


def test_a_sub_workflow_whose_own_id_has_dashes():
    assert found(sub("a-0-b"), inc("a-0-b-0-n0")) == [("DuplicateId", "a-0-b-0-n0")]


def test_the_id_of_an_arm_and_of_a_maps_element():
    assert ("DuplicateId", "n0-n1") in found(arms("n0"), inc("n0-n1"))
    assert ("DuplicateId", "n0-n7") in found(mapped("n0"), inc("n0-n7"))


@pytest.mark.parametrize(
    "node_id", ["n0-0-n5", "n0-n0", "n0-0", "n0--n0", "n0-x-n0", "n1-0-n0", "n0-0-n0-0-n0", "-0-n0"]
)
def test_ids_that_only_look_alike_are_left_alone(node_id):
    assert found(sub("n0"), inc(node_id)) == []


def test_ids_beside_tasks_are_left_alone():
    assert found(inc("step"), inc("step-2-b"), inc("step-0-step")) == []


@pytest.mark.timeout(60)
def test_ids_of_many_dashes_are_looked_at_once():
    nodes = [inc(f"{'n0-0-' * 60}{number}") for number in range(200)]
    assert found(sub("n0"), *nodes) == []


def test_the_problem_is_told_with_what_to_do():
    template = w.workflow([sub("n0"), inc("n0-0-n0")], {"x": w.INT}, {}, {})
    (problem,) = w.problems(template, list(TASKS.values()), SUBS)
    assert "inside of n0" in problem.message
    assert "node_name" in problem.hint
