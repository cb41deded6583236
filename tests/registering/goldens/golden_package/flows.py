"""Entities of a local package, as somebody has them who works without a notebook."""

from flyte_nb import LaunchPlan, map_task, task, workflow
from golden_package.scaling import scaled


@task(cache=True, cache_version="1", retries=1)
def scale(n: int) -> int:
    """Scale a number."""
    return scaled(n)


@workflow
def scale_all(ns: list[int]) -> list[int]:
    return map_task(scale)(n=ns)


@workflow
def scale_twice(n: int = 2) -> int:
    """Scale a number twice."""
    return scale(n=scale(n=n))


scale_night = LaunchPlan(scale_twice, name="golden_package.night", default_inputs={"n": 7})
