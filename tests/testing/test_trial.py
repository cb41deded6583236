"""`trial`: workflows with replaced tasks, workflows and launch plans, with failures and a fake clock."""

from datetime import timedelta

import pytest

from flyte_nb import (
    LaunchPlan,
    RecoverableError,
    UsageError,
    answers,
    conditional,
    dynamic,
    map_task,
    reference_task,
    sleep,
    task,
    workflow,
)
from flyte_nb.testing.trial import NotReplaced, SystemFailure, TimeOut, trial

ran = []


@task(retries=2, timeout=60)
def fetch(city: str) -> int:
    ran.append("fetch")
    return 1


@task(cache=True)
def double(n: int) -> int:
    return 2 * n


@workflow
def inner(n: int) -> int:
    return double(n=n)


@workflow
def outer(city: str = "Bern") -> int:
    return inner(n=fetch(city=city))


def test_a_task_is_replaced_by_a_value_and_another_by_a_function():
    with trial({fetch: 5, double: lambda n: n + 100}) as run:
        assert outer(city="Rom") == 105
    assert run.calls(fetch) == [{"city": "Rom"}]
    assert run.calls(double) == [{"n": 5}]
    assert ran == []


def test_what_is_not_replaced_does_not_run():
    with trial({double: 3}) as run, pytest.raises(NotReplaced, match=r"fetch is not replaced"):
        outer()
    assert ran == []
    assert run.last.phase == "FAILED"
    run.events.assert_never("n1 QUEUED")


def test_what_is_allowed_runs():
    with trial({fetch: 5}, allow=[double]):
        assert outer() == 10
    with trial({fetch: 5}, strict=False):
        assert outer() == 10


def test_after_the_block_everything_is_as_before():
    with trial({double: 3}):
        assert inner(n=1) == 3
    assert inner(n=1) == 2


def test_a_workflow_is_replaced_as_a_whole():
    with trial({fetch: 5, inner: lambda n: n * 1000}) as run:
        assert outer() == 5000
        assert inner(n=2) == 2000
    assert run.calls(inner) == [{"n": 5}, {"n": 2}]


def test_a_launch_plan_is_replaced_and_takes_no_fixed_input():
    plan = LaunchPlan(inner, "inner_of_three", fixed_inputs={"n": 3})

    @workflow
    def launches() -> int:
        return plan()

    with trial({plan: 7}) as run:
        assert launches() == 7
        assert plan() == 7
    assert run.calls(plan) == [{}, {}]
    with trial({double: 70}) as run:
        assert launches() == 70
    assert run.events.of_children[0][-1] == "SUCCEEDED"


def test_a_reference_is_replaced():
    @reference_task(project="shop", domain="production", name="models.fit", version="v3")
    def fit(rows: int) -> float: ...

    @workflow
    def uses(rows: int) -> float:
        return fit(rows=rows)

    with trial({fit: lambda rows: rows / 2}):
        assert uses(rows=3) == 1.5
        assert fit(rows=5) == 2.5


def test_maps_dynamic_tasks_and_calls_in_bodies_are_replaced_too():
    @dynamic
    def many(n: int) -> list[int]:
        return [double(n=each) for each in range(n)]

    @task
    def calls(n: int) -> int:
        return double(n=n) + 1

    @workflow
    def wf(n: int) -> tuple[list[int], list[int], int]:
        return many(n=n), map_task(double)(n=[1, 2]), calls(n=n)

    with trial({double: lambda n: -n}, allow=[many, calls]) as run:
        assert wf(n=3) == ([0, -1, -2], [-1, -2], -2)
    assert len(run.calls(double)) == 6
    with trial({double: lambda n: -n, many: [9]}, allow=[calls]):
        assert wf(n=3) == ([9], [-1, -2], -2)


def test_an_attempt_fails_and_is_tried_again():
    with trial({fetch: 5, double: 1}) as run:
        run.fail(fetch, RecoverableError("no net"))
        run.fail(fetch, SystemFailure("gone"), attempts=[1])
        assert outer() == 1
    run.events.assert_in_order(
        "n0 QUEUED",
        "n0[0] FAILED: USER USER:Recoverable",
        "n0[1] FAILED: SYSTEM",
        "n0 SUCCEEDED",
        "SUCCEEDED",
    )
    assert len(run.calls(fetch)) == 3


def test_a_users_error_fails_the_run_and_is_the_one_that_is_raised():
    with trial({fetch: 5, double: 1}) as run:
        run.fail(double, ZeroDivisionError("by me"), attempts=None)
        with pytest.raises(ZeroDivisionError, match="by me"):
            outer()
    run.events.assert_in_order("n1-0-n0 FAILED", "n1 FAILED", "FAILING", "FAILED")


def test_an_attempt_times_out_without_waiting():
    with trial({fetch: 5, double: 1}) as run:
        run.fail(fetch, TimeOut())
        assert outer() == 1
    run.events.assert_in_order("n0[0] ABORTED", "n0[1] SUCCEEDED")
    with pytest.raises(UsageError, match="no timeout"):
        run.fail(double, TimeOut())


def test_sleeps_pass_at_once():
    @workflow
    def waits() -> int:
        pause = sleep(timedelta(days=3))
        n = double(n=1)
        pause >> n
        return n

    with trial({double: 4}) as run:
        began = run.clock()
        assert waits() == 4
    assert run.clock() - began >= 3 * 86400 * 1_000_000


def test_branches_and_answers():
    from flyte_nb import approve

    @workflow
    def wf(n: int) -> int:
        ok = approve(double(n=n), "ok", timeout=timedelta(hours=1))
        return conditional("c").if_(ok > 3).then(double(n=1)).else_().then(fetch(city="x"))

    with trial({double: 9}) as run, answers(ok=True):
        assert wf(n=1) == 9
    assert run.calls(fetch) == []


def test_a_replacement_that_does_not_fit_is_refused():
    with pytest.raises(UsageError, match=r"fetch does not take its inputs \(city\)"):
        trial({fetch: lambda town: 1})
    with pytest.raises(UsageError, match="is no task"):
        trial({len: 1})
    with trial({fetch: "no number", double: 1}), pytest.raises(Exception, match="fetch"):
        outer()


async def _async_call():
    return await slow(n=2)


@task
async def slow(n: int) -> int:
    return n


def test_async_tasks_are_replaced():
    @task
    async def uses(n: int) -> int:
        return await slow(n=n) + 1

    with trial({slow: 40}, allow=[uses]):
        assert uses(n=1) == 41


def test_assertions_show_what_happened():
    with trial({fetch: 5, double: 1}) as run:
        outer()
    with pytest.raises(AssertionError, match=r"did not happen\. What happened:\n  RUNNING"):
        run.events.assert_in_order("n7 QUEUED")
    with pytest.raises(AssertionError, match="happened before"):
        run.events.assert_in_order("SUCCEEDED", "n0 QUEUED")
    with pytest.raises(AssertionError, match="It happened: 'n0 QUEUED'"):
        run.events.assert_never("n0 QUEUED")
    assert run.events.of("n0")[-1].startswith("n0 SUCCEEDED")
    assert run.events.messages
