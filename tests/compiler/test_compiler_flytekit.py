"""Workflows of every node kind, written and serialized with flytekit, compile."""

import datetime
import enum
from collections import OrderedDict
from dataclasses import dataclass

import pytest
import workflow_making as w

flytekit = pytest.importorskip("flytekit")

from flyteidl.admin import launch_plan_pb2, task_pb2, workflow_pb2  # noqa: E402
from flytekit import (  # noqa: E402
    LaunchPlan,
    approve,
    conditional,
    dynamic,
    map_task,
    sleep,
    task,
    wait_for_input,
    workflow,
)
from flytekit.configuration import Image, ImageConfig, SerializationSettings  # noqa: E402
from flytekit.tools.translator import get_serializable  # noqa: E402

from flyte_nb.api.errors import CompileFailed  # noqa: E402
from flyte_nb.compiler import (  # noqa: E402
    LaunchPlanInterface,
    compile_task,
    compile_workflow,
    identifier_text,
    requirements,
)

SETTINGS = SerializationSettings(
    project="p", domain="d", version="v", image_config=ImageConfig(Image("n", "image", "1"))
)


class Color(enum.Enum):
    RED = "red"
    GREEN = "green"


@dataclass
class Point:
    x: int
    name: str


@task
def inc(n: int) -> int:
    return n + 1


@task
def half(x: float) -> float:
    return x / 2


@task
def pair(n: int) -> tuple[int, str]:
    return n, str(n)


@task
def point(n: int) -> Point:
    return Point(n, "p")


@task
def total(xs: list[int]) -> int:
    return sum(xs)


@task
def paint(c: Color, when: datetime.datetime, how: dict[str, int]) -> Color:
    return c


@task
def maybe(n: int | None = None, s: str | float = "x") -> int | None:
    return n


@task
def clean(n: int, err: object | None = None) -> None:
    print(n)


@dynamic
def dyn(n: int) -> int:
    return inc(n=n)


@workflow
def sub(n: int) -> int:
    return inc(n=n)


@workflow
def chain(n: int) -> int:
    first = inc(n=n)
    second = inc(n=first)
    first >> second
    return second.with_overrides(node_name="last", retries=2, cache=True, cache_version="1")


@workflow
def mixed(n: int, when: datetime.datetime) -> tuple[int, str, Color]:
    number, _ = pair(n=n)
    spot = point(n=number)
    summed = total(xs=[n, number, spot.x, 4])
    color = paint(c=Color.RED, when=when, how={"a": summed, "b": 2})
    maybe(n=summed)
    maybe()
    return summed, spot.name, color


@workflow
def nested(n: int) -> int:
    return sub(n=dyn(n=sub(n=n)))


@workflow
def mapped(xs: list[int]) -> int:
    return total(xs=map_task(inc, concurrency=2, min_success_ratio=1.0)(n=xs))


@workflow
def gated(n: int) -> int:
    answer = wait_for_input("answer", timeout=datetime.timedelta(hours=1), expected_type=int)
    nap = sleep(datetime.timedelta(seconds=1))
    made = inc(n=answer)
    nap >> made
    return inc(n=approve(made, "ok?", timeout=datetime.timedelta(hours=1)))


@workflow
def branched(n: int, x: float) -> float:
    known = inc(n=n)
    return (
        conditional("size")
        .if_((known > 5) & (x < 1.5))
        .then(half(x=x))
        .elif_(known == 0)
        .then(half(x=1.0))
        .else_()
        .fail("neither")
    )


@workflow
def branched_deep(n: int, b: bool) -> int:
    inner = conditional("inner").if_(b.is_true()).then(inc(n=n)).else_().then(inc(n=2))
    return conditional("outer").if_(n > 3).then(inc(n=inner)).else_().then(sub(n=n))


@workflow
def launched(n: int) -> int:
    return LaunchPlan.get_or_create(sub, "sub_plan", default_inputs={"n": 3})()


@workflow(on_failure=clean)
def guarded(n: int) -> int:
    return inc(n=n)


def serialized(entity):
    """Return the specs of an entity by kind, serialized by flytekit."""
    registry: OrderedDict = OrderedDict()
    get_serializable(registry, SETTINGS, entity)
    messages = [model.to_flyte_idl() for model in registry.values() if model is not None]
    specs = [m for m in messages if isinstance(m, workflow_pb2.WorkflowSpec)]
    spec = next(s for s in specs if s.template.id.name.endswith(f".{entity.short_name}"))
    tasks = [compile_task(m.template) for m in messages if isinstance(m, task_pb2.TaskSpec)]
    plans = {}
    for plan in (m for m in messages if isinstance(m, launch_plan_pb2.LaunchPlan)):
        outputs = next(
            s for s in specs if s.template.id == plan.spec.workflow_id
        ).template.interface.outputs
        plans[identifier_text(plan.id)] = LaunchPlanInterface(plan.spec.default_inputs, outputs)
    return spec, tasks, plans


@pytest.mark.parametrize(
    "entity",
    [chain, mixed, nested, mapped, gated, branched, branched_deep, launched, guarded],
    ids=lambda entity: entity.short_name,
)
def test_a_flytekit_workflow_compiles(entity):
    spec, tasks, plans = serialized(entity)
    needed = requirements(spec.template, spec.sub_workflows)
    assert {identifier_text(use.identifier) for use in needed.launch_plans} == set(plans)
    closure = compile_workflow(spec.template, spec.sub_workflows, tasks, plans)
    assert [n.id for n in closure.primary.template.nodes[2:]] == [n.id for n in spec.template.nodes]
    kinds = {node.WhichOneof("target") for node in spec.template.nodes}
    assert {"mapped": "array_node", "gated": "gate_node", "branched": "branch_node"}.get(
        entity.short_name, "task_node"
    ) in kinds | {"task_node"}


def test_a_condition_on_none_is_refused_as_a_cluster_would():
    @workflow
    def asks(n: int) -> int:
        known = maybe(n=n)
        return conditional("none").if_(known.is_none()).then(inc(n=1)).else_().fail("no")

    spec, tasks, _ = serialized(asks)
    with pytest.raises(CompileFailed) as caught:
        compile_workflow(spec.template, [], tasks)
    assert {problem.code for problem in caught.value.problems} == {"ValueRequired"}, (
        caught.value.problems
    )
    assert "not None" in caught.value.problems[0].message
    assert w.INT.simple == 1
