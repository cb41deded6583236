"""flytekit workflows in which every kind of node meets; `test_flytekit_whole.py` registers them."""

from datetime import timedelta
from typing import List

from flytekit import LaunchPlan, conditional, dynamic, map_task, task, wait_for_input, workflow


@task
def double(n: int) -> int:
    return 2 * n


@task(cache=True, cache_version="1")
def numbers(n: int) -> List[int]:
    return list(range(n))


@task
def total(ns: List[int]) -> int:
    return sum(ns)


@dynamic
def doubled(n: int) -> List[int]:
    return [double(n=each) for each in range(n)]


@workflow
def inner(n: int) -> int:
    return double(n=n)


inner_of = LaunchPlan.get_or_create(inner, "whole_flows.inner_of", default_inputs={"n": 5})


@workflow
def every_kind(n: int) -> (int, int, int, int, int):
    mapped = total(ns=map_task(double)(n=numbers(n=n)))
    made = total(ns=doubled(n=n))
    chosen = conditional("c").if_(n > 2).then(double(n=n)).else_().then(inner(n=n))
    launched = inner_of(n=n)
    given = double(n=wait_for_input("level", timeout=timedelta(minutes=5), expected_type=int))
    return mapped, made, chosen, launched, given


@task
def broken(n: int) -> int:
    if n > 0:
        raise ValueError("broken on purpose")
    return n


@task
def clean_up(n: int) -> None:
    print("cleaning up", n)


@workflow(on_failure=clean_up)
def failing(n: int) -> int:
    return broken(n=double(n=n))
