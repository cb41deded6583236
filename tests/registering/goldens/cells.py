"""A notebook's cells: tasks with every option, workflows with every kind of node, launch plans."""

# ruff: noqa: B006, F821 - authors write such defaults, and FlyteFile["csv"] names a format, not a type

import functools
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from enum import Enum
from typing import Literal, NamedTuple, Optional, Union

import golden_helpers
from golden_package.flows import scale, scale_night

from flyte_nb import (
    Cache,
    Deck,
    DeckField,
    FlyteDirectory,
    FlyteFile,
    IgnoreOutputs,
    LaunchPlan,
    Resources,
    Secret,
    TaskMetadata,
    UsageError,
    WorkflowFailurePolicy,
    current_context,
    dynamic,
    map_task,
    task,
    workflow,
)


class Color(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Model:
    weight: float = 0.5
    labels: list[str] = field(default_factory=list)


class Scored(NamedTuple):
    total: float
    names: list[str]


LABELS = {"a": 1, "b": [2, 3]}
BIAS = 0.25


def weigh(model, n):
    return model.weight * n + BIAS


def counted(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


@task
def nothing():
    pass


@task
def inc(n: int, by: int = 1) -> int:
    """Add to a number."""
    return n + by


@task
def offset(n: int) -> int:
    return golden_helpers.up(n)


@task
def values(
    flag: bool = True,
    ratio: float = 0.5,
    text: str = "x",
    when: datetime = datetime(2024, 1, 2, tzinfo=timezone.utc),
    span: timedelta = timedelta(minutes=3),
    color: Color = Color.BLUE,
    choice: Literal["one", "two"] = "two",
    rows: list[list[int]] = [[1], [2, 3]],
    named: dict[str, float] = {"a": 1.5},
    either: Union[int, str] = "3",
    maybe: Optional[int] = None,
    free: dict = {"k": [1, "2"]},
) -> str:
    return f"{flag}{ratio}{text}{when}{span}{color}{choice}{rows}{named}{either}{maybe}{free}"


@task
def build(weight: float = 0.5, labels: "list[str]" = ["a"]) -> "Model":
    return Model(weight, labels + list(LABELS))


@task
def score(model: Model, n: int, file: Optional[FlyteFile["csv"]] = None) -> Scored:
    return Scored(weigh(model, n), list(model.labels))


@task
@counted
def wrapped(n: int) -> int:
    return n


@task(
    retries=3,
    timeout=timedelta(minutes=5),
    environment={"MODE": "fast", "LEVEL": "2"},
    requests=Resources(cpu="500m", mem="1Gi"),
    limits=Resources(cpu=2, mem="2Gi", gpu=1, ephemeral_storage="10Gi"),
    container_image="example.org/image:1",
    secret_requests=[Secret("db", "password"), Secret("db", "key", "2", "file")],
    interruptible=True,
    deprecated="Use inc.",
    enable_deck=True,
    deck_fields=(DeckField.SOURCE_CODE, DeckField.INPUT),
    docs="Every option that is not about caching.",
    pod_template_name="pods",
    requirements="golden.lock",
)
def optioned(n: int) -> int:
    return n


@task(resources=Resources(cpu="1", mem=("1Gi", "2Gi")), interruptible=False, timeout=30)
def sized(n: int) -> int:
    return n


@task(cache=True)
def cached_by_code(n: int) -> int:
    return n + 1


@task(cache=True, cache_version="7", cache_serialize=True, cache_ignore_input_vars=("m",))
def cached_by_version(n: int, m: int = 0) -> int:
    return n + m


@task(cache=Cache(version="v", serialize=True, ignored_inputs="n", salt="s"))
def cached_by_object(n: int) -> int:
    return n


@task(cache=Cache())
def cached_by_default(n: int) -> int:
    return n


@task
def part(n: int, factor: int = 2, name: str = "part") -> int:
    return n * factor


@task
def present(ns: list[Optional[int]]) -> list[int]:
    return [n for n in ns if n is not None]


over_parts = map_task(part, concurrency=3, min_success_ratio=0.5)
some_parts = map_task(part, min_successes=2)
bound_parts = map_task(
    functools.partial(part, factor=5),
    concurrency=0,
    min_success_ratio=1.0,
    run_all_sub_nodes=True,
    metadata=TaskMetadata(retries=2, cache=True, cache_version="m", timeout=9, interruptible=True),
)


@workflow
def inner(n: int, text: str = "in") -> int:
    """A workflow that others use."""
    return inc(n=n, by=2)


plain_plan = LaunchPlan(inner)
nightly = LaunchPlan(
    inner,
    name="nightly",
    default_inputs={"text": "night"},
    fixed_inputs={"n": 4},
    labels={"team": "golden"},
    annotations={"note": "kept"},
    max_parallelism=5,
)


@dynamic
def spread(n: int) -> int:
    total = 0
    for _ in range(n):
        total = inc(n=total, by=inner(n=n))
    return total


@dynamic(retries=1, node_dependency_hints=[scale_night])
def starts(n: int) -> list[int]:
    nightly(text="dynamic")
    return map_task(part)(n=list(range(n)), factor=[1] * n, name=["x"] * n)


SIZES = Resources(cpu="1", mem=("1Gi", "2Gi"))
SECRET = Secret("db", "password")
CACHING = Cache(version="c", ignored_inputs=("n",))
OPTIONS = TaskMetadata(retries=1)
ENTITIES = [inc, optioned, inner, over_parts, bound_parts, nightly, plain_plan, spread, scale]


@task(enable_deck=True)
def refers(n: int) -> str:
    """The names of classes and functions of ours that a task uses are part of its version."""
    if n > 10:
        raise IgnoreOutputs(f"{SIZES}{SECRET}{CACHING}{OPTIONS}")
    deck = Deck("seen", f"{DeckField.INPUT}{WorkflowFailurePolicy.FAIL_IMMEDIATELY}")
    makers = [task, workflow, dynamic, map_task, LaunchPlan, FlyteFile, FlyteDirectory, UsageError]
    current_context().default_deck.append(f"{makers}{[each.short_name for each in ENTITIES]}")
    return deck.html


@dynamic
def captures(n: int) -> list[Optional[int]]:
    inner(n=n)
    bound_parts(n=[n], name=["a"])
    return over_parts(n=[n], factor=[n], name=["b"])


@workflow
def sequence(n: int = 3) -> tuple[int, str]:
    first = nothing()
    second = inc(n=n)
    first >> second
    return offset(n=second), values(text="given", rows=[[1, 2], []], either=5)


@workflow(
    failure_policy=WorkflowFailurePolicy.FAIL_AFTER_EXECUTABLE_NODES_COMPLETE,
    interruptible=True,
    docs="Nodes of every kind.",
)
def everything(n: int, file: FlyteFile) -> Scored:
    model = build(labels=["x", "y"])
    joined = inc(n=inner(n=n)).with_overrides(
        node_name="Joined up",
        name="shown",
        retries=4,
        timeout=12,
        interruptible=False,
        cache=Cache(version="o"),
        resources=Resources(cpu=("1", "2")),
    )
    plan = nightly(text="node").with_overrides(node_name="nightly")
    plain = plain_plan(n=n)
    some_parts(n=[1], factor=[2], name=["g"])
    mapped = over_parts(n=[plan, plain, joined], factor=[1, 2, 3], name=["a", "b", "c"])
    found = present(ns=mapped)
    bound_parts(n=found, name=["d", "e", "f"]).with_overrides(
        retries=1, requests=Resources(mem="1Gi")
    )
    spread(n=found[0])
    starts(n=scale(n=n))
    scored = score(model=model, n=found[1])
    values(ratio=model.weight, named={"t": scored.total, "u": 1.0})
    return scored.total, scored.names


once = LaunchPlan(everything, name="once", fixed_inputs={"n": 1})
