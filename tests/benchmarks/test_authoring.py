"""Trace, compile to a spec and serialize: per node, and that it stays linear."""

import math
import time

import pytest

from flyte_nb import task, workflow
from flyte_nb.api.identifiers import Scope
from flyte_nb.types.registry import default_registry
from flyte_nb.wire.specs import workflow_spec_to_idl


@task
def step(n: int) -> int:
    return n + 1


def _chain(length: int):
    @workflow
    def chain(n: int) -> int:
        for _ in range(length):
            n = step(n=n)
        return n

    return chain


def _fan(length: int):
    @workflow
    def fan(n: int) -> list[int]:
        return [step(n=n) for _ in range(length)]

    return fan


def _serialize(entity) -> bytes:
    trace = entity.trace(default_registry(), Scope())
    assert not trace.problems
    return workflow_spec_to_idl(trace.template).SerializeToString()


@pytest.mark.parametrize("shape", [_chain, _fan], ids=["chain", "fan"])
def test_trace_and_serialize_per_node(compare, shape):
    length = 1000 if compare.enabled else 10
    entity = shape(length)
    compare.absolute(
        f"trace and serialize a node ({shape.__name__[1:]})",
        lambda: _serialize(entity),
        bar_us=15,
        per=length,
    )


def test_trace_and_serialize_is_linear_to_ten_thousand_nodes(compare):
    sizes = (1000, 10_000) if compare.enabled else (10, 100)
    took = []
    for size in sizes:
        entity = _chain(size)
        _serialize(entity)
        best = math.inf
        for _ in range(5):
            started = time.perf_counter()
            _serialize(entity)
            best = min(best, time.perf_counter() - started)
        took.append(best)
    exponent = math.log(took[1] / took[0]) / math.log(sizes[1] / sizes[0])
    if compare.enabled:
        print(f"  exponent from {sizes[0]} to {sizes[1]} nodes: {exponent:.2f}")
        assert exponent <= 1.1
