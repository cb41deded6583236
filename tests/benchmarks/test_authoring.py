"""Trace, translate and serialize a workflow: per node against flytekit, and that it stays linear.

15 us a node on the machine of the bars, where flytekit takes 180: so a twelfth, in one run.
"""

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


def _chain(sdk_workflow, one, length: int):
    @sdk_workflow
    def chain(n: int) -> int:
        for _ in range(length):
            n = one(n=n)
        return n

    return chain


def _gather(sdk_workflow, one, length: int):
    @sdk_workflow
    def gather(n: int) -> list[int]:
        return [one(n=n) for _ in range(length)]

    return gather


def _serialize(entity) -> bytes:
    trace = entity.trace(default_registry(), Scope())
    assert not trace.problems
    return workflow_spec_to_idl(trace.template).SerializeToString()


@pytest.fixture(scope="module")
def peer():
    """flytekit's way to the same bytes: a new workflow is traced, translated and serialized."""
    flytekit = pytest.importorskip("flytekit", reason="the peer is not installed here")
    from collections import OrderedDict

    from flytekit.configuration import Image, ImageConfig, SerializationSettings
    from flytekit.tools.translator import get_serializable

    settings = SerializationSettings(
        project="p",
        domain="d",
        version="v",
        image_config=ImageConfig(default_image=Image("default", "x/y", "1")),
    )

    @flytekit.task
    def test_step(n: int) -> int:
        return n + 1

    def serialize(shape, length: int) -> bytes:
        entity = shape(flytekit.workflow, test_step, length)
        spec = get_serializable(OrderedDict(), settings, entity)
        return spec.to_flyte_idl().SerializeToString()

    return serialize


@pytest.mark.parametrize("shape", [_chain, _gather], ids=["chain", "gather"])
def test_serializing_a_workflow_per_node(compare, peer, shape):
    length = 1000 if compare.enabled else 10
    compare(
        f"trace and serialize, {shape.__name__[1:]} of {length}",
        ours=lambda: _serialize(shape(workflow, step, length)),
        peer=lambda: peer(shape, length),
        bar=1 / 12,
        rounds=5,
        per=length,
        unit="node",
    )


def test_serializing_is_linear_to_ten_thousand_nodes(compare):
    sizes = (1000, 10_000) if compare.enabled else (10, 100)
    took = []
    for size in sizes:
        entity = _chain(workflow, step, size)
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
        assert exponent <= 1.15
