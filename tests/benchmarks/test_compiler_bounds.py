"""Whatever is sent, four times as much of it takes about four times as long: nothing is quadratic."""

import gc
import sys
import time
from pathlib import Path

import pytest
from flyteidl.core import compiler_pb2

from flyte_nb.api.errors import CompileFailed
from flyte_nb.compiler import compile_task, compile_workflow

sys.path.insert(0, str(Path(__file__).parents[1] / "compiler"))

import hostile


def _seconds(make, size: int) -> float:
    template, tasks = make(size)
    given = [compiler_pb2.CompiledTask(template=each) for each in tasks]
    gc.collect()
    started = time.process_time()
    try:
        for each in tasks:
            compile_task(each)
        compile_workflow(template, [], given)
    except CompileFailed:
        pass
    return time.process_time() - started


@pytest.mark.parametrize("make", hostile.SPECS, ids=lambda make: make.__name__)
def test_a_hostile_spec_takes_time_in_proportion_to_its_size(compare, make):
    sizes = (300_000, 1_200_000) if compare.enabled else (2_000, 8_000)
    small, large = (min(_seconds(make, size) for _ in range(2)) for size in sizes)
    if not compare.enabled:
        return
    floor = 0.02  # below that the measure says nothing
    ratio = large / max(small, floor)
    compare.report(
        f"{make.__name__}: {small:.3f} s, four times as large {large:.3f} s ({ratio:.1f})"
    )
    assert ratio <= 9
