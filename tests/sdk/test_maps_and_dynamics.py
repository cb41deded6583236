"""`map_task` and `@dynamic`: what they are when they are written and called here."""

import pickle
from functools import partial
from typing import NamedTuple, Optional

import pytest

from flyte_nb import LaunchPlan, TaskMetadata, UsageError, dynamic, map_task, task, workflow
from flyte_nb.api.identifiers import Scope
from flyte_nb.api.specs import ArrayNode, NodeMetadata, TaskNode
from flyte_nb.sdk import context
from flyte_nb.sdk.execution_context import DirectRunner
from flyte_nb.sdk.reachable import reachable
from flyte_nb.sdk.templates import task_template
from flyte_nb.types.registry import default_registry

SCOPE = Scope("p", "d", "nb")
REGISTRY = default_registry(warn_pickled=False)


@task(retries=2)
def score(n: int, by: int = 1) -> int:
    if n < 0:
        raise ValueError(f"{n} is negative")
    return n * by


@task
def say(n: int) -> None:
    pass


class Pair(NamedTuple):
    a: int
    b: int


@task
def pair(n: int) -> Pair:
    return Pair(n, n)


@workflow
def once(n: int) -> int:
    return score(n=n)


@pytest.fixture(autouse=True)
def direct():
    token = context.runner.set(DirectRunner())
    yield
    context.runner.reset(token)


def trace(entity):
    return entity.trace(REGISTRY, SCOPE)


def test_a_map_takes_lists_and_gives_a_list():
    assert map_task(score)(n=[1, 2, 3], by=[1, 10, 100]) == [1, 20, 300]
    assert map_task(partial(score, by=2))(n=[1, 2]) == [2, 4]
    assert map_task(partial(score, by=2))(n=[]) == []
    assert map_task(say)(n=[1, 2]) is None
    assert map_task(partial(score, n=3, by=2))() == [6]


def test_an_element_that_fails_is_named_and_the_exception_is_the_authors_own():
    with pytest.raises(ValueError, match="-2 is negative") as caught:
        map_task(partial(score, by=1))(n=[1, -2, 3])
    assert "element 1 of 3" in caught.value.__notes__[0]


def test_elements_may_fail_as_far_as_the_map_allows():
    some = map_task(partial(score, by=1), min_success_ratio=0.5)
    assert some(n=[1, -1, 3]) == [1, None, 3]
    with pytest.raises(ValueError, match="-3 is negative"):
        some(n=[1, -1, -3])
    assert map_task(partial(score, by=1), min_successes=1)(n=[-1, 2]) == [None, 2]


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: map_task(score)(n=[1, 2], by=[1]), "differ in length: n has 2, by has 1"),
        (lambda: map_task(score)(n=[1]), "The input by .*partial"),
        (lambda: map_task(score)(m=[1], by=[1]), "has no input m"),
        (lambda: map_task(partial(score, 1)), "bind inputs by name"),
        (lambda: map_task(score, min_success_ratio=2), "a share from 0 to 1"),
        (lambda: map_task(score, concurrency=-1), "concurrency=-1"),
        (lambda: map_task(max), "is of type builtin_function_or_method"),
        (
            lambda: map_task(LaunchPlan(once, "p")),
            "is a launch plan. Call it in a loop in a @dynamic",
        ),
        (lambda: map_task(once), "is a workflow. Call it in a loop"),
        (lambda: map_task(dynamic(lambda: 1)), "is a dynamic task"),
        (lambda: map_task(map_task(score)), "is a map task"),
        (lambda: dynamic(retry=1), "@dynamic has no option 'retry'"),
    ],
)
def test_wrong_use_says_what_to_write(call, text):
    with pytest.raises(UsageError, match=text):
        call()


def test_problems_of_a_map_are_reported_where_it_is_used():
    @workflow
    def wf(ns: list[int]) -> list[int]:
        map_task(partial(score, depth=2))(n=ns, by=ns)
        map_task(pair)(n=ns)
        return map_task(partial(score, by=1), min_success_ratio=0.5)(n=ns)

    codes = {(problem.code, problem.variable) for problem in trace(wf).problems}
    assert ("VariableNameNotFound", "depth") in codes
    assert ("MapOutputs", "") in codes


def test_a_map_becomes_an_array_node_whose_overrides_are_its_elements():
    @workflow
    def wf(ns: list[int], by: int) -> list[Optional[int]]:
        made = map_task(partial(score, by=by), concurrency=2, min_success_ratio=0.5)(n=ns)
        return made.with_overrides(name="many", retries=5)

    found = trace(wf)
    assert found.problems == ()
    [node] = found.template.nodes
    assert isinstance(node.target, ArrayNode)
    assert node.metadata.name == "many"
    assert node.metadata.retries is None
    assert (node.target.metadata.name, node.target.metadata.retries) == ("many", 5)
    assert node.target.bound_inputs == ("by",)
    assert node.target.parallelism == 2
    assert [binding.var for binding in node.bindings] == ["by", "n"]


def test_the_elements_of_a_map_have_its_tasks_options_and_the_whole_has_none():
    @task(timeout=90, interruptible=True)
    def bounded(n: int) -> int:
        return n

    @workflow
    def wf(ns: list[int]) -> list[int]:
        once = map_task(bounded)(n=ns)
        return map_task(bounded, metadata=TaskMetadata(timeout=5))(n=once)

    first, second = trace(wf).template.nodes
    assert (first.metadata, second.metadata) == (
        NodeMetadata(first.metadata.name),
        NodeMetadata(second.metadata.name),
    )
    inner = first.target.metadata
    assert (inner.timeout_s, inner.interruptible) == (90.0, True)
    assert second.target.metadata.timeout_s == 5.0


def test_equal_maps_are_one_task():
    @workflow
    def one(ns: list[int]) -> list[int]:
        first = map_task(partial(score, by=1))(n=ns)
        return map_task(partial(score, by=2))(n=first)

    @workflow
    def both(ns: list[int]) -> list[int]:
        return map_task(partial(score, by=3))(n=one(ns=ns))

    assert trace(one).problems == ()
    found = [
        entity for entity in reachable([both], REGISTRY, SCOPE) if entity.resource_type == "task"
    ]
    assert len(found) == 1


def test_a_maps_template_has_the_lifted_interface_and_the_tasks_options():
    def template(entity):
        return task_template(entity, SCOPE, REGISTRY)

    made = template(map_task(score, min_success_ratio=0.1))
    assert made.interface.inputs["n"].type.kind == "collection_type"
    assert made.interface.outputs["o0"].type.value.kind == "union_type"
    assert made.metadata.retries == 2
    assert made.task_type_version == 1
    assert template(map_task(score, metadata=TaskMetadata(retries=7))).metadata.retries == 7
    assert template(score).task_type_version == 0


def test_a_map_travels():
    mapped = map_task(partial(score, by=2), concurrency=3)
    again = pickle.loads(pickle.dumps(_Whole(mapped.bound, mapped.concurrency, mapped.tolerance)))
    assert again.tolerance.needed(3) == 3
    assert mapped.__reduce__()[1][0] is score


class _Whole:
    def __init__(self, bound, concurrency, tolerance):
        self.bound, self.concurrency, self.tolerance = bound, concurrency, tolerance


@dynamic(retries=3)
def grow(n: int) -> list[int]:
    return [score(n=i, by=2) for i in range(n)]


def test_a_dynamic_task_called_here_runs_its_body():
    assert grow(n=3) == [0, 2, 4]


def test_a_dynamic_task_is_a_task_node_like_any_other():
    @workflow
    def wf(n: int) -> list[int]:
        return grow(n=n)

    [node] = trace(wf).template.nodes
    assert isinstance(node.target, TaskNode)
    assert task_template(grow, SCOPE, REGISTRY).metadata.retries == 3


def test_what_a_dynamic_task_depends_on_is_registered_before_it():
    @workflow
    def inner(n: int) -> int:
        return score(n=n)

    @dynamic(node_dependency_hints=[inner])
    def hinted(n: int) -> int:
        return inner(n=n)

    names = [entity.short_name for entity in reachable([hinted], REGISTRY, SCOPE)]
    assert names[:2] == ["score", hinted.short_name]
    assert inner.short_name in names
