"""Maps in a kernel: by the engine, with retries, a cache and tolerance as launched."""

import itertools
import linecache

import pytest

from flyte_nb.admin.local_cache import local_catalog
from flyte_nb.api.errors import ExecutionFailed, UsageError
from flyte_nb.api.identifiers import Scope
from flyte_nb.client.data import SCRATCH, KernelData
from flyte_nb.sdk import context
from flyte_nb.session.local_runner import LocalRunner
from flyte_nb.storage import open_stores
from flyte_nb.types.registry import default_registry

_CELLS = itertools.count(1)

CELL = """
import threading
from functools import partial
from typing import Optional
from flyte_nb import task, workflow, map_task, conditional, RecoverableError, current_context

@task
def double(n: int, by: int = 2) -> int:
    calls.append(n)
    if n < 0:
        raise ValueError(f"{n} is negative")
    return n * by

@task(retries=2)
def flaky(n: int) -> int:
    calls.append(n)
    if calls.count(n) < 3:
        raise RecoverableError("not yet")
    return n

@task(cache=True, cache_version="1")
def cached(n: int) -> int:
    calls.append(n)
    return n

@task
def many(n: int) -> list[int]:
    return list(range(n))

@task
def word(n: int) -> Optional[str]:
    return None if n == 2 else "a" * n

@task
def say(n: int) -> None:
    calls.append(n)

@task
def meet(n: int) -> int:
    barrier.wait(30)
    return n

@task
def busy(n: int) -> int:
    active.append(n)
    peaks.append(len(active))
    threading.Event().wait(0.005)
    active.remove(n)
    return n

@task
def sized(rows: list[int]) -> int:
    return len(rows)

@workflow
def wf(ns: list[int]) -> list[int]:
    return map_task(partial(double, by=10))(n=ns)

@workflow
def tolerant(ns: list[int]) -> list[Optional[int]]:
    return map_task(partial(double, by=10), min_success_ratio=0.5)(n=ns)

@workflow
def nested(ns: list[int]) -> list[int]:
    return wf(ns=wf(ns=ns))

@workflow
def branched(ns: list[int], go: bool) -> list[int]:
    return conditional("c").if_(go.is_true()).then(wf(ns=ns)).else_().then(map_task(double)(n=ns, by=ns))

@workflow
def lists(ns: list[int]) -> list[int]:
    return map_task(sized)(rows=map_task(many)(n=ns))
"""


@pytest.fixture
def kernel(tmp_path):
    data = KernelData(open_stores(), folder_uri=SCRATCH)
    catalog = local_catalog(data, tmp_path)
    runner = LocalRunner(
        default_registry(),
        lambda: Scope("p", "d", main_module="nb"),
        data,
        catalog=lambda: catalog,
        environ={"FLYTE_NB_LOCAL_PARALLELISM": "4"},
    )
    names = {"__name__": "__main__", "calls": []}
    filename = f"<map cell {next(_CELLS)}>"
    linecache.cache[filename] = (len(CELL), None, CELL.splitlines(True), filename)
    exec(compile(CELL, filename, "exec"), names)
    token = context.runner.set(runner)
    yield names
    context.runner.reset(token)


def mapped(kernel, name, **options):
    return kernel["map_task"](kernel[name], **options)


@pytest.mark.parametrize("count", [0, 1, 3, 1000])
def test_a_map_in_a_workflow_gives_a_list_in_order(kernel, count):
    assert kernel["wf"](ns=list(range(count))) == [10 * n for n in range(count)]
    assert sorted(kernel["calls"]) == list(range(count))


def test_a_map_alone_runs_as_in_a_workflow(kernel):
    assert mapped(kernel, "double")(n=[1, 2], by=[3, 4]) == [3, 8]
    assert mapped(kernel, "say")(n=[1, 2]) is None
    assert mapped(kernel, "word")(n=[1, 2, 3]) == ["a", None, "aaa"]


def test_maps_run_in_sub_workflows_branches_and_over_lists(kernel):
    assert kernel["nested"](ns=[1, 2]) == [100, 200]
    assert kernel["branched"](ns=[1, 2], go=True) == [10, 20]
    assert kernel["branched"](ns=[1, 2], go=False) == [1, 4]
    assert kernel["lists"](ns=[0, 3]) == [0, 3]


@pytest.mark.parametrize("before", [0, 200])
def test_an_element_that_fails_ends_the_map_with_the_authors_own_exception(kernel, before):
    # After many small elements they run in batches, and fail in the same way.
    ns = [*range(before), -7, 1, 2]
    with pytest.raises(ValueError, match="-7 is negative") as caught:
        kernel["wf"](ns=ns)
    assert f"element {before} of {before + 3} of map_double" in caught.value.__notes__[0]


@pytest.mark.parametrize("before", [0, 200])
def test_failures_that_the_author_allows_leave_none(kernel, before):
    ns = [*range(before), -7, 1, 2]
    assert kernel["tolerant"](ns=ns) == [10 * n if n >= 0 else None for n in ns]
    with pytest.raises(ValueError, match="is negative"):
        kernel["tolerant"](ns=[-1, -2, 3])


def test_elements_are_tried_again_each_by_itself(kernel):
    assert mapped(kernel, "flaky")(n=[1, 2]) == [1, 2]
    assert sorted(kernel["calls"]) == [1, 1, 1, 2, 2, 2]


def test_each_element_has_a_cached_result_of_its_own(kernel):
    assert mapped(kernel, "cached")(n=[1, 2]) == [1, 2]
    assert mapped(kernel, "cached")(n=[2, 3, 1]) == [2, 3, 1]
    assert sorted(kernel["calls"]) == [1, 2, 3]


def test_slow_elements_run_side_by_side(kernel):
    import threading

    kernel["barrier"] = threading.Barrier(4)
    assert mapped(kernel, "meet")(n=[1, 2, 3, 4]) == [1, 2, 3, 4]


def test_no_more_elements_run_than_the_author_allows(kernel):
    kernel.update(active=[], peaks=[])
    assert mapped(kernel, "busy", concurrency=2)(n=[1, 2, 3, 4]) == [1, 2, 3, 4]
    assert max(kernel["peaks"]) == 2


def test_lists_of_different_lengths_are_refused(kernel):
    with pytest.raises(UsageError, match="differ in length"):
        mapped(kernel, "double")(n=[1, 2], by=[1])


def test_more_successes_than_elements_are_never_reached(kernel):
    with pytest.raises(ExecutionFailed, match="Unknown reason"):
        mapped(kernel, "say", min_successes=3)(n=[1])
