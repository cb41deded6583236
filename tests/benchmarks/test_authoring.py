"""Trace, translate and serialize a workflow, and compile it to its closure: per node, and linear.

15 us a node on the machine of the bars, where flytekit takes 150 to 215: so a twelfth, in one run. The
full compile (FlytePropeller's rules, up to the closure) has no peer in Python; its bar is a ratio to
flytekit's serialization too, as both are what a cell costs.
"""

import gc
import math
import time

import pytest

from flyte_nb import task, workflow
from flyte_nb.api.identifiers import Scope
from flyte_nb.drafting.compiling import compile_entity
from flyte_nb.types.registry import default_registry
from flyte_nb.wire.specs import workflow_spec_to_idl

SIZES = (10, 100, 1000, 10_000)
SERIALIZE_BAR = 1 / 12
COMPILE_BAR = 1 / 4


@task
def step(n: int) -> int:
    return n + 1


@task
def add(a: int, b: int) -> int:
    return a + b


def _chain(sdk_workflow, one, _, length: int):
    @sdk_workflow
    def chain(n: int) -> int:
        for _ in range(length):
            n = one(n=n)
        return n

    return chain


def _fan_out(sdk_workflow, one, _, length: int):
    @sdk_workflow
    def fan_out(n: int) -> int:
        for _ in range(length):
            last = one(n=n)
        return last

    return fan_out


def _diamond(sdk_workflow, one, two, length: int):
    @sdk_workflow
    def diamond(n: int) -> int:
        for _ in range(max(1, length // 3)):
            n = two(a=one(n=n), b=one(n=n))
        return n

    return diamond


def _gather(sdk_workflow, one, _, length: int):
    @sdk_workflow
    def gather(n: int) -> list[int]:
        return [one(n=n) for _ in range(length)]

    return gather


SHAPES = [_chain, _fan_out, _diamond, _gather]


def _serialize(entity) -> bytes:
    trace = entity.trace(default_registry(), Scope())
    assert not trace.problems
    return workflow_spec_to_idl(trace.template).SerializeToString()


def _compile(entity):
    compiled = compile_entity(entity, Scope(), default_registry())
    assert compiled.ok
    return compiled.closure


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

    @flytekit.task
    def test_add(a: int, b: int) -> int:
        return a + b

    def serialize(shape, length: int) -> bytes:
        entity = shape(flytekit.workflow, test_step, test_add, length)
        spec = get_serializable(OrderedDict(), settings, entity)
        return spec.to_flyte_idl().SerializeToString()

    return serialize


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__[1:])
def test_serializing_a_workflow_per_node(compare, peer, shape):
    length = 999 if compare.enabled else 12
    compare(
        f"trace and serialize, {shape.__name__[1:]} of {length}",
        ours=lambda: _serialize(shape(workflow, step, add, length)),
        peer=lambda: peer(shape, length),
        bar=SERIALIZE_BAR,
        rounds=5,
        per=length,
        unit="node",
    )


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__[1:])
def test_compiling_a_workflow_to_its_closure_per_node(compare, peer, shape):
    length = 999 if compare.enabled else 12
    compare(
        f"compile to the closure, {shape.__name__[1:]} of {length}",
        ours=lambda: _compile(shape(workflow, step, add, length)),
        peer=lambda: peer(shape, length),
        bar=COMPILE_BAR,
        rounds=5,
        per=length,
        unit="node",
    )


def _best(call, rounds: int) -> float:
    best = math.inf
    for _ in range(rounds):
        gc.collect()
        started = time.process_time()
        call()
        best = min(best, time.process_time() - started)
    return best


def _exponent(sizes, took) -> float:
    """The slope of a line through the logarithms, by least squares."""
    xs, ys = [math.log(size) for size in sizes], [math.log(each) for each in took]
    x, y = sum(xs) / len(xs), sum(ys) / len(ys)
    rise = sum((one - x) * (other - y) for one, other in zip(xs, ys, strict=True))
    return rise / sum((one - x) ** 2 for one in xs)


@pytest.mark.parametrize("shape", SHAPES[:3], ids=lambda shape: shape.__name__[1:])
@pytest.mark.parametrize("what", [_serialize, _compile], ids=["serialize", "compile"])
def test_authoring_is_linear_to_ten_thousand_nodes(compare, peer, shape, what):
    sizes = SIZES if compare.enabled else SIZES[:1]
    took = []
    for size in sizes:
        entity = shape(workflow, step, add, size)
        what(entity)
        took.append(_best(lambda entity=entity: what(entity), 5 if compare.enabled else 1))
    if not compare.enabled:
        return
    theirs = [_best(lambda size=size: peer(shape, size), 2) for size in sizes[:3]]
    lines = [
        f"{size}: {mine / size * 1e6:.1f}"
        + (f" (flytekit serializes in {theirs[place] / size * 1e6:.0f})" if place < 3 else "")
        for place, (size, mine) in enumerate(zip(sizes, took, strict=True))
    ]
    exponent = _exponent(sizes[1:], took[1:])
    compare.report(
        f"{what.__name__[1:]} {shape.__name__[1:]}, us a node at {', '.join(lines)};"
        f" exponent from 100 on {exponent:.2f}, flytekit's {_exponent(sizes[1:3], theirs[1:]):.2f}"
    )
    assert exponent <= 1.1
