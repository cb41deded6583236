"""The same workflow, written with flyte_nb and with flytekit, compiles to equal closures.

Equal apart from what must differ: the release that made it, and the container's arguments.
"""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from functools import partial
from typing import NamedTuple

import pytest
from flyteidl.admin import task_pb2, workflow_pb2

import flyte_nb
from flyte_nb.api.identifiers import TASK, WORKFLOW, Scope
from flyte_nb.api.specs import Container
from flyte_nb.compiler import compile_task, compile_workflow
from flyte_nb.sdk.reachable import reachable
from flyte_nb.sdk.templates import task_template, workflow_template
from flyte_nb.types.registry import default_registry
from flyte_nb.wire.specs import task_spec_to_idl, workflow_spec_to_idl

flytekit = pytest.importorskip("flytekit")
SCOPE = Scope("p", "d")


class Color(Enum):
    RED = "red"
    GREEN = "green"


@dataclass
class Point:
    x: int
    name: str


class Split(NamedTuple):
    train: list[int]
    test: list[int]


def top_level(function):
    """Remove the enclosing function's name, which flytekit leaves out."""
    function.__qualname__ = function.__name__
    return function


def declare(sdk):
    """Write the same code with either SDK and return the workflow."""
    task, workflow = sdk.task, sdk.workflow

    @task(retries=2, cache=True, cache_version="1", timeout=timedelta(minutes=1))
    @top_level
    def test_split(rows: list[int], share: float = 0.5) -> Split:
        """Split the rows.

        Args:
            rows: what to split
            share: how much is for training
        """
        return Split(rows, rows)

    @task(interruptible=True, environment={"A": "b"})
    @top_level
    def test_fit(rows: list[int], depth: int | None = None, color: Color = Color.RED) -> Point:
        return Point(len(rows), "p")

    @task
    @top_level
    def test_score(model: Point, when: datetime, extra: dict[str, int]) -> tuple[float, str]:
        return 1.0, "a"

    @task
    @top_level
    def test_say(text: str) -> None:
        print(text)

    @workflow
    @top_level
    def test_inner(rows: list[int]) -> Point:
        return test_fit(rows=rows, depth=3)

    @workflow
    @top_level
    def test_outer(rows: list[int], when: datetime, name: str = "x") -> tuple[float, Point]:
        """Train and score."""
        parts = test_split(rows=rows)
        model = test_fit(rows=parts.train)
        other = test_inner(rows=parts.test)
        number, text = test_score(model=model, when=when, extra={"a": 1, "b": model.x})
        said = test_say(text=text)
        named = test_say(text=name)
        said >> named
        test_fit(rows=[1, parts.train[0]], color=Color.GREEN)
        return number, other

    return test_outer


def declare_maps(sdk):
    """Write maps and a dynamic task with either SDK and return the workflow."""
    task, workflow, map_task, dynamic = sdk.task, sdk.workflow, sdk.map_task, sdk.dynamic

    @task(retries=2, cache=True, cache_version="1")
    @top_level
    def test_scale(n: int, by: float, note: str | None = None) -> float:
        return n * by

    @task
    @top_level
    def test_say_each(n: int) -> None:
        print(n)

    @task
    @top_level
    def test_join(found: list[float | None]) -> str:
        return str(found)

    @dynamic(retries=1)
    @top_level
    def test_grow(n: int) -> list[float]:
        return [test_scale(n=i, by=1.0) for i in range(n)]

    @workflow
    @top_level
    def test_maps(ns: list[int], by: float) -> tuple[list[float], str]:
        test_grow(n=2)
        map_task(test_say_each, concurrency=4)(n=ns)
        some = map_task(partial(test_scale, by=2.0, note="a"), min_success_ratio=0.5)(n=ns)
        for depth in (1.0, 2.0):  # the same map twice, with other values
            map_task(partial(test_scale, by=depth, note=None), concurrency=0)(n=ns)
        scaled = map_task(partial(test_scale, by=by, note="b"), concurrency=3)(n=ns)
        scaled.with_overrides(retries=4, cache=False, requests=sdk.Resources(cpu="1"))
        return scaled, test_join(found=some)

    return test_maps


def normal(message):
    """Return the closure without what must differ, and without differences that mean nothing.

    flytekit repeats a task's retries, timeout and interruptible in each of its nodes; a node that
    says nothing has the task's own anyway.
    """
    copy = type(message).FromString(message.SerializeToString())
    for template in _templates(copy):
        for node in template.nodes:
            for field in ("retries", "timeout", "interruptible"):
                node.metadata.ClearField(field)
            _normal_map(node)
    return copy


def _normal_map(node):
    """Remove names, and what flytekit's sub-node repeats of its task."""
    if node.HasField("array_node"):
        inner = node.array_node.node
        node.metadata.name = inner.id = inner.metadata.name = "map"
        if inner.metadata.retries.retries == 2:  # the task's own
            inner.metadata.retries.retries = 0


def _templates(message):
    if isinstance(message, workflow_pb2.WorkflowSpec):
        return [message.template, *message.sub_workflows]
    return [compiled.template for compiled in (message.primary, *message.sub_workflows)]


def without_release(closure):
    for compiled in closure.tasks:
        compiled.template.metadata.runtime.version = ""
        del compiled.template.container.args[:]
        del compiled.template.container.env[:]  # a dynamic task's settings or image
    ordered = sorted(closure.tasks, key=lambda compiled: compiled.template.id.name)
    copies = [type(compiled).FromString(compiled.SerializeToString()) for compiled in ordered]
    del closure.tasks[:]
    closure.tasks.extend(copies)
    return closure


def ours(entity):
    registry = default_registry()
    found = reachable([entity], registry, SCOPE)
    templates = {
        each: workflow_template(each, SCOPE, registry, version="v", version_of=lambda _: "v")
        for each in found
        if each.resource_type == WORKFLOW
    }
    assert all(not trace.problems for trace in templates.values())
    container = Container("image:1", ("run",))
    tasks = [
        task_template(each, SCOPE, registry, version="v", container=container)
        for each in found
        if each.resource_type == TASK
    ]
    tasks = [compile_task(task_spec_to_idl(template).template) for template in tasks]
    subs = [trace.template for each, trace in templates.items() if each is not entity]
    spec = workflow_spec_to_idl(templates[entity].template, subs)
    return spec, compile_workflow(spec.template, spec.sub_workflows, tasks)


def theirs(entity):
    from flytekit.configuration import Image, ImageConfig, SerializationSettings
    from flytekit.tools.translator import get_serializable

    settings = SerializationSettings(
        project="p", domain="d", version="v", image_config=ImageConfig(Image("n", "image", "1"))
    )
    registry: OrderedDict = OrderedDict()
    get_serializable(registry, settings, entity)
    messages = [model.to_flyte_idl() for model in registry.values() if model is not None]
    specs = [m for m in messages if isinstance(m, workflow_pb2.WorkflowSpec)]
    spec = next(s for s in specs if s.template.id.name.endswith(entity.short_name))
    tasks = [compile_task(m.template) for m in messages if isinstance(m, task_pb2.TaskSpec)]
    return spec, compile_workflow(spec.template, spec.sub_workflows, tasks)


@pytest.mark.parametrize("written", [declare, declare_maps])
def test_both_sdks_compile_to_equal_closures(written):
    our_spec, our_closure = ours(written(flyte_nb))
    their_spec, their_closure = theirs(written(flytekit))
    assert normal(our_spec) == normal(their_spec)
    assert normal(without_release(our_closure)) == normal(without_release(their_closure))
