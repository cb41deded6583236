"""What an author can write and nobody can send is a problem, not an exception from inside."""

import pytest

from flyte_nb import task, workflow
from flyte_nb.api.identifiers import Scope
from flyte_nb.drafting.compiling import compile_entity
from flyte_nb.types.registry import default_registry


@task
def step(n: int) -> int:
    return n


@task
def many(xs: list[int]) -> int:
    return len(xs)


@task(environment={"A": "\ud800"})
def strange(n: int) -> int:
    return n


def around(inner, number):
    """A workflow that does nothing but run another."""

    def outer(n: int) -> int:
        return inner(n=n)

    outer.__qualname__ = outer.__name__ = f"outer{number}"
    return workflow(outer)


def nested():
    entity = step
    for number in range(1500):
        entity = around(entity, number)
    return entity


@workflow
def deep(n: int) -> int:
    xs = [n]
    for _ in range(3000):
        xs = [xs]
    return many(xs=xs)


@workflow
def within_itself(n: int) -> int:
    xs = [n]
    xs.append(xs)
    return many(xs=xs)


@workflow
def surrogate(n: int) -> int:
    return step(n=n).with_overrides(name="\ud800")


@workflow
def uses_strange(n: int) -> int:
    return strange(n=n)


@pytest.mark.parametrize(
    ("entity", "message"),
    [
        (nested(), "goes too deep"),
        (deep, "goes too deep"),
        (within_itself, "Expected int, got a list"),
        (surrogate, "cannot be sent"),
        (strange, "cannot be sent"),
        (uses_strange, "cannot be sent"),
    ],
    ids=["nested", "deep", "within_itself", "surrogate", "strange", "uses_strange"],
)
def test_what_cannot_be_sent_is_a_problem_with_a_hint(entity, message):
    compiled = compile_entity(entity, Scope(), default_registry())
    assert message in compiled.problems[0].message
    assert compiled.problems[0].hint
