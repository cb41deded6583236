"""Bad input: each ends with a text that says what is wrong, and nothing hangs.

More of it: a child that was deleted in `tests/admin/test_children.py`, an executor that cannot be reached in
`tests/propeller/test_dask_executor.py`.
"""

from datetime import timedelta

import pytest

from flyte_nb import (
    answers,
    conditional,
    dynamic,
    map_task,
    task,
    wait_for_input,
    workflow,
)
from flyte_nb.testing.trial import trial


@task
def double(n: int) -> int:
    return 2 * n


@task
def add(a: int, b: int) -> int:
    return a + b


def ends(run, *, with_):
    with pytest.raises(Exception, match=with_) as caught:
        run()
    return caught.value


def test_lists_of_a_map_differ_in_length():
    @task
    def some() -> list[int]:
        return [1, 2, 3]

    @workflow
    def wf(b: list[int]) -> list[int]:
        return map_task(add)(a=some(), b=b)

    with trial({some: [1, 2, 3]}, allow=[add]) as run:
        ends(lambda: wf(b=[1]), with_="different lengths: expecting '3' found '1'")
    assert run.calls(add) == []
    assert run.last.phase == "FAILED"


def test_an_empty_list_maps_to_an_empty_list():
    @workflow
    def wf(n: list[int]) -> list[int]:
        return map_task(double)(n=n)

    with trial(allow=[double]) as run:
        assert wf(n=[]) == []
    assert run.calls(double) == []


def test_a_dynamic_task_returns_what_it_did_not_make():
    @dynamic
    def many(n: int) -> list[int]:
        double(n=n)
        return "no list"

    @workflow
    def wf(n: int) -> list[int]:
        return many(n=n)

    with trial(strict=False) as run:
        ends(lambda: wf(n=1), with_="Expected list.int., got str")
    assert run.last.phase == "FAILED"


def test_a_dynamic_task_that_makes_itself_without_end_is_stopped():
    @workflow
    def wf(n: int) -> int:
        return endless(n=n)

    with trial(strict=False) as run:
        ends(lambda: wf(n=1), with_="at most 50 may be inside each other")
    assert run.last.phase == "FAILED"


@dynamic
def endless(n: int) -> int:
    return endless(n=n)


def test_a_condition_over_what_may_be_none_is_refused():
    @task
    def nothing() -> int | None:
        return None

    @workflow
    def wf() -> int:
        found = nothing()
        return conditional("c").if_(found > 3).then(double(n=1)).else_().then(double(n=2))

    with trial(strict=False):
        ends(wf, with_="compares int . None with int")


def test_an_answer_of_the_wrong_type_is_refused():
    @workflow
    def wf() -> int:
        return double(n=wait_for_input("level", timeout=timedelta(hours=1), expected_type=int))

    with trial(strict=False), answers(level="high"):
        ends(wf, with_="Expected int, got str")


def test_inputs_that_do_not_fit_are_all_named_before_anything_runs():
    @workflow
    def wf(a: int, b: int) -> int:
        return add(a=a, b=b)

    with trial(strict=False) as run:
        error = ends(lambda: wf(a="x", b="y"), with_="cannot be")
    assert all(name in str(error) for name in ("a", "b"))
    assert run.calls(add) == []
    ends(lambda: wf(c=1), with_="c")
