"""What the code asks of an entity, every kind answers."""

import pytest

from flyte_nb import LaunchPlan, dynamic, map_task, task, workflow
from flyte_nb.api.identifiers import Identifier
from flyte_nb.api.specs import ArrayNode, LaunchPlanNode, TaskNode, WorkflowNode
from flyte_nb.sdk.entity import Definition
from flyte_nb.sdk.task import AnyTask
from flyte_nb.types.registry import default_registry


@task
def one(n: int) -> int:
    return n


@dynamic
def many(n: int) -> int:
    return one(n=n)


@workflow
def flow(n: int) -> int:
    return one(n=n)


mapped = map_task(one)
plan = LaunchPlan(flow, name="plans.fixed", fixed_inputs={"n": 1})

KINDS = [
    (one, "task", "one", TaskNode),
    (many, "dynamic task", "many", TaskNode),
    (mapped, "map task", "map_one", ArrayNode),
    (flow, "workflow", "flow", WorkflowNode),
    (plan, "launch plan", "fixed", LaunchPlanNode),
]


@pytest.mark.parametrize(("entity", "noun", "shown", "target"), KINDS)
def test_every_kind_has_what_is_asked_of_an_entity(entity, noun, shown, target):
    assert isinstance(entity, Definition)
    assert (entity.noun, entity.shown_name, entity.module) == (noun, shown, __name__)
    assert entity.location.filename == __file__
    assert entity.signature(default_registry()).output_names == ("o0",)
    assert entity.problems(default_registry()) == ()
    assert entity.is_same(entity)
    assert not entity.is_same(KINDS[0][0] if entity is not one else flow)
    id = Identifier(entity.resource_type, "p", "d", "x", "v")
    node_target = entity.target(id)
    assert (type(node_target), node_target.reference) == (target, id)


def test_only_what_is_special_differs():
    assert [each.is_dynamic for each, *_ in KINDS] == [False, True, False, False, False]
    assert [each.fixed_name for each, *_ in KINDS] == ["", "", "", "", "plans.fixed"]
    assert [dict(each.fixed_inputs) for each, *_ in KINDS] == [{}, {}, {}, {}, {"n": 1}]
    assert [each.original for each, *_ in KINDS if isinstance(each, AnyTask)] == [one, many, one]
