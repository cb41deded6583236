"""Calls in the bodies of tasks and dynamic tasks go through literals, as between nodes."""

import asyncio

import pytest

from flyte_nb.api.errors import CompileFailed, ExecutionFailed, UsageError
from flyte_nb.api.identifiers import Scope
from flyte_nb.client.data import SCRATCH, KernelData
from flyte_nb.sdk import context
from flyte_nb.session.local_runner import LocalRunner
from flyte_nb.storage import open_stores
from flyte_nb.testing.cells import Cells
from flyte_nb.types.registry import default_registry

HEAD = """
import asyncio
from flyte_nb import (
    FlyteFile, LaunchPlan, RecoverableError, TaskMetadata, current_context, dynamic, map_task, task,
    workflow
)

@task
def add(a: int, b: int = 1) -> int:
    return a + b

@task
def write(n: int) -> FlyteFile:
    with open("out.txt", "w") as file:
        file.write(str(n))
    return FlyteFile("out.txt")

@task
def read(file: FlyteFile) -> str:
    with open(file) as opened:
        return opened.read()

@task
def grow(xs: list[int]) -> int:
    xs.append(9)
    return len(xs)

@task
def mark(d: dict) -> dict:
    d["marked"] = True
    return d

@task
def wrong(n: int) -> int:
    return "text"

@workflow
def twice(n: int = 4) -> int:
    return add(a=add(a=n))

fixed = LaunchPlan(twice, name="fixed", fixed_inputs={"n": 7})

@task
async def double(n: int) -> int:
    await asyncio.sleep(0)
    return 2 * n
"""


@pytest.fixture
def cells(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = KernelData(open_stores(), folder_uri=SCRATCH)
    runner = LocalRunner(default_registry(), lambda: Scope(main_module="nb"), data)
    token = context.runner.set(runner)
    found = Cells()
    found.run(HEAD)
    yield found
    context.runner.reset(token)
    data.close()


@pytest.mark.parametrize("kind", ["task", "dynamic"])
def test_two_files_of_one_name_stay_two(cells, kind, monkeypatch):
    # In threads, both would write to the one file of that name in the working folder.
    monkeypatch.setenv("FLYTE_NB_LOCAL_PARALLELISM", "1")
    cells.run(
        f"@{kind}\ndef f() -> list[str]:\n"
        "    return [read(file=each) for each in [write(n=1), write(n=2)]]\n"
    )
    assert cells["f"]() == ["1", "2"]


@pytest.mark.parametrize("kind", ["task", "dynamic"])
def test_what_an_inner_task_changes_stays_with_it(cells, kind):
    cells.run(
        f"@{kind}\ndef f() -> list[dict]:\n"
        "    xs, d = [1], {'a': [1]}\n"
        "    grow(xs=xs)\n"
        "    first = mark(d=d)\n"
        "    second = mark(d=d)\n"
        "    assert (xs, d) == ([1], {'a': [1]})\n"
        "    return [first, second]\n"
    )
    assert cells["f"]() == [{"a": [1], "marked": True}] * 2


def test_one_result_given_to_two_tasks_is_not_shared_by_them(cells):
    cells.run(
        "@task\ndef count(d: dict) -> int:\n    d[str(len(d))] = 1\n    return len(d)\n"
        "@dynamic\ndef f() -> list[int]:\n"
        "    d = mark(d={})\n    return [count(d=d), count(d=d)]\n"
    )
    assert cells["f"]() == [2, 2]


@pytest.mark.parametrize("kind", ["task", "dynamic", "workflow"])
def test_an_output_of_another_type_is_refused_and_named(cells, kind):
    cells.run(f"@{kind}\ndef f(n: int) -> int:\n    return wrong(n=n)\n")
    with pytest.raises(Exception, match=r"The output 'o0' of wrong\(\) does not fit"):
        cells["f"](n=1)


def test_inputs_of_an_inner_call_that_do_not_fit_are_reported_together(cells):
    cells.run("@task\ndef f() -> int:\n    return add(a='x', b='3')\n")
    with pytest.raises(Exception, match=r"(?s)add\.a: Expected int.*add\.b: .*Write b=3"):
        cells["f"]()


@pytest.mark.parametrize("expression", ["x + 1", "[x][0] > 1 or x", "f'{x}'", "range(x)"])
def test_what_a_launched_dynamic_task_refuses_is_refused_here(cells, expression):
    cells.run(f"@dynamic\ndef f(n: int) -> int:\n    x = add(a=n)\n    return {expression}\n")
    with pytest.raises(UsageError, match="when the workflow runs"):
        cells["f"](n=1)


def test_every_problem_of_a_dynamic_body_is_reported_and_nothing_runs(cells):
    cells.run(
        "RAN = []\n"
        "@task\ndef note(n: int) -> int:\n    RAN.append(n)\n    return n\n"
        "@dynamic\ndef f(n: int) -> int:\n"
        "    note(n=n)\n    note(m=1)\n    add(a='x')\n    return note(n=2)\n"
    )
    with pytest.raises(CompileFailed, match=r"(?s)no input m.*add\.a: Expected int"):
        cells["f"](n=1)
    assert cells["RAN"] == []


def test_parts_of_results_can_be_taken(cells):
    cells.run(
        "@task\ndef give() -> dict[str, list[int]]:\n    return {'a': [1, 5]}\n"
        "@task\ndef loose() -> dict:\n    return {'a': 1}\n"
        "@task\ndef nums() -> list[int]:\n    return [3, 4]\n"
        "@dynamic\ndef f() -> list[int]:\n"
        "    return [add(a=give()['a'][1]), nums()[-1]]\n"
        "@dynamic\ndef g() -> int:\n    return nums()[7]\n"
        "@dynamic\ndef h() -> int:\n    return add(a=loose()['a'])\n"
    )
    assert cells["f"]() == [6, 4]
    with pytest.raises(Exception, match=r"\[7\] of the promise: the list has 2 items"):
        cells["g"]()
    # Launched, it is refused too: nobody knows the type of a part of an untyped dict.
    with pytest.raises(CompileFailed, match=r"'a' is int, but loose\.o0 is dict"):
        cells["h"]()


def test_workflows_launch_plans_maps_and_dynamics_nest(cells):
    cells.run(
        "@dynamic\ndef inner(n: int) -> int:\n    return add(a=twice(n=n), b=fixed())\n"
        "@dynamic\ndef outer(n: int) -> list[int]:\n"
        "    return map_task(add)(a=[inner(n=n), twice()], b=[1, 1])\n"
        "@task\ndef plain(n: int) -> int:\n"
        "    return inner(n=n) + fixed() + sum(map_task(add)(a=[1, 2], b=[3, 4]))\n"
        "@workflow\ndef whole(n: int) -> list[int]:\n    return outer(n=n)\n"
    )
    assert cells["whole"](n=1) == [13, 7]
    assert cells["plain"](n=1) == 12 + 9 + 10


FLAKY = """
@task(retries=2)
def flaky(n: int) -> str:
    now = current_context()
    found = now.checkpoint.read() or b""
    now.checkpoint.write(found + b"x")
    if now.attempt < n:
        raise RecoverableError("again")
    return f"{now.attempt} {found.decode()}"
@workflow
def whole(n: int) -> str:
    return flaky(n=n)
@dynamic
def grown(n: int) -> str:
    return flaky(n=n)
@dynamic
def first(n: int) -> str:
    return map_task(flaky)(n=[n, 0])[0]
@dynamic
def fewer(n: int) -> list[str]:
    return map_task(flaky, metadata=TaskMetadata(retries=1))(n=[n])
"""


@pytest.mark.parametrize("how", ["whole", "grown", "first"])
def test_a_checkpoint_survives_the_retries_of_a_local_run(cells, how):
    cells.run(FLAKY)
    assert cells[how](n=2) == "2 xx"
    assert cells[how](n=0) == "0 "  # and not the run
    with pytest.raises(Exception, match="again"):
        cells[how](n=3)
    assert cells["fewer"](n=1) == ["1 x"]
    with pytest.raises(Exception, match="again"):
        cells["fewer"](n=2)


ASYNC = """
@task
async def gathered(n: int) -> list[int]:
    async def more(k):
        return await double(n=k)
    return list(await asyncio.gather(*[double(n=i) for i in range(n)], more(n)))
@workflow
def plain(n: int) -> list[int]:
    return gathered(n=double(n=n))
@workflow
async def awaited(n: int) -> list[int]:
    x, _ = await asyncio.gather(double(n=n), double(n=n))
    return await gathered(n=x)
@dynamic
async def grown(n: int) -> list[int]:
    return [await double(n=i) for i in range(n)]
@task
def runs(n: int) -> int:
    async def inner():
        return n
    return asyncio.run(inner())
@workflow
def running(n: int) -> int:
    return runs(n=n)
"""


def _all_forms(cells):
    assert cells["double"](n=2) == 4
    assert cells["plain"](n=1) == cells["awaited"](n=1) == [0, 2, 4]
    assert cells["grown"](n=3) == [0, 2, 4]
    assert cells["running"](n=5) == cells["runs"](n=5) == 5


def test_async_tasks_and_workflows_that_call_them_run_without_a_loop(cells):
    cells.run(ASYNC)
    _all_forms(cells)


def test_tasks_run_where_no_loop_runs_and_the_notebooks_loop_goes_on(cells):
    cells.run(ASYNC)

    async def notebook():
        loop, own = asyncio.get_running_loop(), asyncio.current_task()
        _all_forms(cells)
        assert await cells["double"](n=4) == 8
        assert await asyncio.gather(*[cells["double"](n=i) for i in range(3)]) == [0, 2, 4]
        assert asyncio.get_running_loop() is loop
        assert asyncio.current_task() is own
        await asyncio.sleep(0)
        return "ended"

    assert asyncio.run(notebook()) == "ended"


def test_a_failing_coroutine_shows_the_authors_lines_and_none_of_the_loops(cells):
    cells.run("@task\nasync def f() -> int:\n    raise KeyError('gone')\n")
    cells.run("@workflow\ndef w() -> int:\n    return f()\n")
    with pytest.raises(Exception, match="gone") as caught:
        cells["w"]()
    assert "asyncio" not in str(caught.value)
    with pytest.raises(KeyError):
        cells["f"]()


def test_a_long_message_is_shortened_in_the_cell(cells):
    cells.run(
        "@task\ndef f() -> int:\n    raise SystemExit('first ' + 'x' * 2_000_000 + ' last')\n"
    )
    cells.run("@workflow\ndef w() -> int:\n    return f()\n")
    with pytest.raises(ExecutionFailed) as caught:
        cells["w"]()
    assert len(str(caught.value)) < 5_000
    assert "the task's log has all of it" in str(caught.value)
    assert str(caught.value).endswith("last")
    assert len(caught.value.info.message) > 50_000
