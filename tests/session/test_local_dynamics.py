"""Dynamic tasks in a kernel: what their bodies call runs as nodes, by the same engine as what is launched."""

from pathlib import Path

import pytest

from flyte_nb.api.errors import CompileFailed, ExecutionFailed, UsageError
from flyte_nb.api.identifiers import Scope
from flyte_nb.client.data import SCRATCH, KernelData
from flyte_nb.propeller.cache import MemoryCatalog
from flyte_nb.sdk import context
from flyte_nb.session.local_runner import LocalRunner
from flyte_nb.storage import open_stores
from flyte_nb.testing.cells import Cells
from flyte_nb.types.registry import default_registry

HEAD = """
from flyte_nb import (
    LaunchPlan, RecoverableError, current_context, dynamic, map_task, task, workflow,
)
RAN = []

@task
def add(a: int, b: int = 1) -> int:
    RAN.append((a, b))
    return a + b

@task(retries=0)
def flaky(n: int) -> int:
    RAN.append(current_context().attempt)
    if current_context().attempt < n:
        raise RecoverableError("again")
    return n

@workflow
def twice(n: int = 4) -> int:
    return add(a=add(a=n))

fixed = LaunchPlan(twice, name="fixed", fixed_inputs={"n": 7})
"""


@pytest.fixture
def cells(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = KernelData(open_stores(), folder_uri=SCRATCH)
    catalog = MemoryCatalog()
    runner = LocalRunner(
        default_registry(), lambda: Scope(main_module="nb"), data, catalog=lambda: catalog
    )
    token = context.runner.set(runner)
    found = Cells()
    found.run(HEAD)
    yield found
    context.runner.reset(token)
    data.close()


def test_overrides_of_inner_calls_hold(cells):
    cells.run(
        "@dynamic\ndef f(n: int) -> int:\n    return flaky(n=n).with_overrides(retries=2)\n"
        "@workflow\ndef whole(n: int) -> int:\n    return f(n=n)\n"
    )
    assert cells["f"](n=2) == cells["whole"](n=2) == 2
    assert cells["RAN"] == [0, 1, 2] * 2


def test_inner_tasks_are_cached_and_so_is_the_dynamic_task_itself(cells):
    cells.run(
        "@task(cache=True, cache_version='1')\ndef slow(n: int) -> int:\n    RAN.append(n)\n    return n\n"
        "@dynamic\ndef f(n: int) -> list[int]:\n    return [slow(n=i) for i in range(n)]\n"
        "@dynamic(cache=True, cache_version='1')\ndef g(n: int) -> int:\n"
        "    RAN.append('body')\n    return add(a=n)\n"
    )
    assert cells["f"](n=2) == [0, 1]
    assert cells["f"](n=3) == [0, 1, 2]
    assert sorted(cells["RAN"]) == [0, 1, 2]
    cells["RAN"].clear()
    assert cells["g"](n=1) == cells["g"](n=1) == 2
    assert cells["RAN"] == ["body", (1, 1)]


def test_an_inner_task_that_is_cached_by_its_code_runs_again_when_the_code_changes(cells):
    slow = (
        "@task(cache=True)\ndef slow(n: int) -> int:\n"
        "    with open('ran', 'a') as file:\n        file.write('x')\n    return {}\n"
    )
    cells.run(slow.format("n"))
    cells.run("@dynamic\ndef f(n: int) -> int:\n    return slow(n=n)\n")
    assert cells["f"](n=1) == cells["f"](n=1) == 1
    cells.run(slow.format("-n"))
    assert cells["f"](n=1) == -1
    assert Path("ran").read_text() == "xx"


def test_everything_nests_in_dynamic_tasks_and_they_nest_in_everything(cells):
    cells.run(
        "@dynamic\ndef inner(n: int) -> int:\n    return add(a=twice(n=n), b=fixed())\n"
        "@dynamic\ndef outer(n: int) -> list[int]:\n"
        "    return map_task(add)(a=[inner(n=n), twice()], b=[1, 1])\n"
        "@workflow\ndef below(n: int) -> list[int]:\n    return outer(n=n)\n"
        "plan = LaunchPlan(below, name='plan')\n"
        "@dynamic\ndef top(n: int) -> list[int]:\n    return plan(n=n)\n"
        "@workflow\ndef whole(n: int) -> list[int]:\n    return top(n=n)\n"
    )
    assert cells["outer"](n=1) == cells["below"](n=1) == cells["whole"](n=1) == [13, 7]


def test_a_body_that_calls_itself_ends_when_it_says_so(cells):
    cells.run(
        "@dynamic\ndef fib(n: int) -> int:\n"
        "    if n < 2:\n        return n\n"
        "    return add(a=fib(n=n - 1), b=fib(n=n - 2))\n"
    )
    assert cells["fib"](n=7) == 13


def test_a_dynamic_task_without_an_end_is_stopped_at_a_depth_that_can_be_set(cells, monkeypatch):
    cells.run("@dynamic\ndef on(n: int) -> int:\n    RAN.append(n)\n    return on(n=n + 1)\n")
    monkeypatch.setenv("FLYTE_NB_MAX_DYNAMIC_DEPTH", "5")
    with pytest.raises(ExecutionFailed, match="look for a on that calls itself without an end"):
        cells["on"](n=0)
    assert len(cells["RAN"]) == 6
    monkeypatch.setenv("FLYTE_NB_MAX_DYNAMIC_DEPTH", "deep")
    with pytest.raises(UsageError, match="FLYTE_NB_MAX_DYNAMIC_DEPTH is 'deep'"):
        cells["on"](n=0)


def test_two_tasks_of_one_name_in_one_body_are_refused(cells):
    cells.run(
        "@dynamic\ndef f(n: int) -> list[int]:\n"
        "    made = []\n"
        "    for i in range(n):\n"
        "        @task\n"
        "        def own() -> int:\n            return 10 * i + n\n"
        "        made.append(own())\n"
        "    return made\n"
    )
    with pytest.raises(CompileFailed, match=r"Two different definitions are called nb\.f\.own"):
        cells["f"](n=3)


def test_two_bodies_that_run_side_by_side_keep_their_own_tasks(cells):
    cells.run(
        "@dynamic\ndef f(n: int) -> int:\n"
        "    @task\n"
        "    def own(m: int) -> int:\n        return 10 * n + m\n"
        "    return own(m=1)\n"
        "@workflow\ndef whole() -> list[int]:\n    return [f(n=1), f(n=2), f(n=3)]\n"
    )
    assert cells["whole"]() == [11, 21, 31]


def test_an_exception_inside_says_at_which_node(cells):
    cells.run(
        "@task\ndef bad(n: int) -> int:\n    raise KeyError('gone')\n"
        "@dynamic\ndef f(n: int) -> int:\n    return bad(n=n)\n"
        "@workflow\ndef whole(n: int) -> int:\n    return f(n=n)\n"
    )
    for name in ("f", "whole"):
        with pytest.raises(KeyError, match="gone") as raised:
            cells[name](n=1)
        assert raised.value.__notes__ == [
            f"Raised by the task nb.bad at node n0-0-dn0 of nb.{name}."
        ]


def test_an_exception_of_the_body_leaves_as_itself_and_a_recoverable_one_is_tried_again(cells):
    cells.run(
        "@dynamic(retries=1)\ndef f(n: int) -> int:\n"
        "    RAN.append(current_context().attempt)\n"
        "    if current_context().attempt < n:\n        raise RecoverableError('again')\n"
        "    if n < 0:\n        raise ValueError('negative')\n"
        "    return add(a=n)\n"
    )
    assert cells["f"](n=1) == 2
    assert cells["RAN"] == [0, 1, (1, 1)]
    with pytest.raises(ValueError, match="negative"):
        cells["f"](n=-1)


def test_what_a_body_returns_without_a_call_is_the_output(cells):
    cells.run("@dynamic\ndef f(n: int) -> int:\n    return n if n else add(a=n)\n")
    assert cells["f"](n=5) == 5
    assert cells["f"](n=0) == 1
