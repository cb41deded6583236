"""Declaring tasks: options, signatures, what is refused, and how they are called and pickled."""

import datetime
import functools
import pickle
import subprocess
import sys
from typing import Any, NamedTuple, Optional

import cloudpickle
import pytest

import flyte_nb
from flyte_nb.api.errors import CompileFailed, UsageError
from flyte_nb.api.identifiers import Identifier, Scope
from flyte_nb.api.specs import Container, SecretRequest, TaskMetadata
from flyte_nb.api.specs import Resources as Quantities
from flyte_nb.sdk import context
from flyte_nb.sdk.execution_context import DirectRunner
from flyte_nb.sdk.options import Cache, Resources, Secret
from flyte_nb.sdk.outputs import pack, unpack
from flyte_nb.sdk.task import Task, TaskOptions, task
from flyte_nb.sdk.templates import task_template
from flyte_nb.types.registry import default_registry

SCOPE = Scope("p", "d", "book")


def double(n: int) -> int:
    """Twice the number.

    Args:
        n: what is doubled,
            however large.

    Returns:
        The double.
    """
    return 2 * n


def problems_of(source: str, **names: Any) -> "list[tuple[str, str, str]]":
    namespace: dict[str, Any] = {"task": task, "__name__": "book_of_tests", **names}
    exec(source, namespace)
    found = namespace["f"].problems(default_registry(warn_pickled=False))
    return [(problem.code, problem.variable, problem.hint) for problem in found]


class Record:
    """A runner that remembers what was run."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, dict[str, Any]]] = []

    def run(self, entity: Any, inputs: "dict[str, Any]") -> Any:
        self.calls.append((entity, inputs))
        return "ran"


@pytest.fixture
def record():
    made = Record()
    token = context.runner.set(made)
    yield made
    context.runner.reset(token)


def test_a_bare_decorator_and_one_with_options_make_the_same_task():
    bare, called = task(double), task()(double)
    assert isinstance(bare, Task)
    assert bare.options == called.options == TaskOptions()
    assert bare.function is double
    assert (bare.module, bare.short_name, bare.resource_type) == (__name__, "double", "task")
    assert bare.__name__ == "double"
    assert bare.__doc__ == double.__doc__
    assert repr(bare) == f"<task {__name__}.double>"
    assert bare.location.filename == __file__
    assert bare.location.line == double.__code__.co_firstlineno


def test_options_become_plain_values():
    made = task(
        cache=Cache(version="1", serialize=True, ignored_inputs="n", salt="x"),
        retries=2,
        timeout=datetime.timedelta(minutes=1),
        environment={"A": "b"},
        requests=Resources(cpu="500m", mem="1Gi"),
        limits=Resources(gpu=1),
        secret_requests=[Secret("g", "k", mount_requirement="file")],
        container_image="image:1",
        interruptible=True,
        deprecated="use triple",
    )(double)
    assert made.options == TaskOptions(
        retries=2,
        cache=True,
        cache_version="1x",
        cache_serialize=True,
        cache_ignore_input_vars=("n",),
        timeout_s=60.0,
        environment=(("A", "b"),),
        requests=Quantities("500m", "1Gi"),
        limits=Quantities(gpu="1"),
        container_image="image:1",
        secret_requests=(SecretRequest("g", "k", "", "file"),),
        interruptible=True,
        deprecated="use triple",
    )


def test_resources_take_pairs_of_request_and_limit():
    made = task(resources=Resources(cpu=(1, 2), mem="1Gi"))(double)
    assert made.options.requests == Quantities("1", "1Gi")
    assert made.options.limits == Quantities("2")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"retires": 1}, "@task has no option 'retires'"),
        ({"retries": -1}, "retries=-1: write a number"),
        ({"timeout": "1m"}, "timeout='1m': write seconds"),
        ({"environment": {"A": 1}}, "Write 'A': '1'."),
        ({"cache": "1"}, "write cache=True or cache=Cache(version=…)"),
        ({"cache_version": "1"}, "Write cache=True."),
        ({"cache": Cache("1"), "cache_version": "2"}, "not both"),
        ({"resources": Resources(cpu="1"), "limits": Resources(cpu="1")}, "not both"),
        ({"requests": Resources(cpu=("1", "2"))}, "pairs belong in resources="),
        ({"requests": "1"}, "write requests=Resources(cpu=…, mem=…)"),
        ({"resources": {"cpu": "1"}}, "write resources=Resources(cpu=…, mem=…)"),
        ({"secret_requests": ["k"]}, "write Secret(group=…, key=…)"),
        ({"secret_requests": Secret("g", "k")}, "write a list, [Secret(group=…, key=…)]"),
        ({"cache": True, "cache_version": 3}, "write text, e.g. cache_version='3'"),
        ({"cache_ignore_input_vars": "rows"}, "e.g. cache_ignore_input_vars=('rows',)"),
        ({"output_names": "x"}, "write a tuple of names, e.g. output_names=('x',)"),
        ({"deck_fields": (1,)}, "write a tuple of names"),
        ({"interruptible": "yes"}, "write interruptible=True or interruptible=False"),
        ({"enable_deck": None}, "write enable_deck=True or enable_deck=False"),
        ({"deprecated": True}, "deprecated=True: write text"),
        ({"container_image": 5}, "container_image=5: write text"),
    ],
)
def test_an_option_with_an_impossible_value_is_refused_at_once(options, message):
    with pytest.raises(UsageError) as refused:
        task(**options)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Resources(cpu=[1, 2, 3]), "a pair is (request, limit)"),
        (lambda: Cache(version=1), "write text, e.g. version='1'"),
        (lambda: Resources(cpu=True), "write a Kubernetes quantity"),
        (lambda: Secret(mount_requirement="disk"), "it is one of"),
        (lambda: task(functools.partial(double, n=1)), "stands before a function"),
        (lambda: task(len), "stands before a function"),
        (lambda: task(task(double)), "double is a task already"),
    ],
)
def test_impossible_values_are_refused_at_once(make, message):
    with pytest.raises(UsageError) as refused:
        make()
    assert message in str(refused.value)


def test_option_values_are_compared_and_shown_by_their_fields():
    assert Resources(cpu=1) == Resources(cpu="1")
    assert hash(Cache("1")) == hash(Cache("1"))
    assert Secret("g", "k") != Secret("g", "l")
    assert repr(Resources(cpu=1, mem=("1Gi", "2Gi"))) == "Resources(cpu='1', mem=('1Gi', '2Gi'))"


def test_the_signature_has_types_descriptions_and_defaults():
    signature = task(double).signature(default_registry())
    assert signature.interface.inputs["n"].description == "what is doubled, however large."
    assert signature.interface.outputs["o0"].description == "o0"
    assert signature.output_names == ("o0",)

    @task
    def many(a: int, *, b: "Optional[float]" = None) -> tuple[int, str]:
        return a, str(b)

    signature = many.signature(default_registry())
    assert list(signature.interface.inputs) == ["a", "b"]
    assert signature.defaults == {"b": None}
    assert signature.output_names == ("o0", "o1")
    assert signature.positional == ("a",)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("@task\ndef f(a): pass", ("MissingAnnotation", "a", "Write a: int.")),
        ("@task\ndef f(a='x'): pass", ("MissingAnnotation", "a", "Write a: str.")),
        (
            "@task\ndef f(*rest: int): pass",
            (
                "VariadicParameter",
                "rest",
                "Name every input, or take one list[…] or dict[str, …].",
            ),
        ),
        (
            "@task\ndef f(**rest: int): pass",
            (
                "VariadicParameter",
                "rest",
                "Name every input, or take one list[…] or dict[str, …].",
            ),
        ),
        (
            "@task\ndef f(a: int, /): pass",
            ("PositionalOnlyParameter", "a", "Remove the / from the signature."),
        ),
        (
            "@task\ndef f():\n    yield 1",
            ("GeneratorFunction", "", "Return a list, or annotate Iterator[…]."),
        ),
        ("@task\nasync def f():\n    yield 1", ("GeneratorFunction", "", "Return a list.")),
        ("f = task(lambda: 1)", ("NamelessFunction", "", "Define it with def.")),
        (
            "@task\ndef f(a: 'Missing'): pass",
            ("UnresolvedAnnotation", "a", "Define or import that name before."),
        ),
        (
            "@task\ndef f(a: list): pass",
            ("UnsupportedType", "a", "Write list[int], list[Any], …"),
        ),
        (
            "@task\ndef f(a: int = None): pass",
            ("DefaultMismatch", "a", "Write a: int | None = None."),
        ),
        ("@task\ndef f(a: int = '3'): pass", ("DefaultMismatch", "a", "Write a=3.")),
        (
            "@task\ndef f() -> tuple[int, ...]: pass",
            (
                "UnsupportedType",
                "",
                "Write list[…], or a tuple with one type for each output.",
            ),
        ),
        (
            "@task(output_names=('x', 'y'))\ndef f() -> int: pass",
            ("WrongOutputs", "", "Give one name for each type in the return annotation."),
        ),
    ],
)
def test_each_flaw_of_a_signature_is_a_problem_with_a_way_out(source, expected):
    assert problems_of(source) == [expected]


def test_all_problems_of_a_signature_are_reported_together():
    found = problems_of("@task\ndef f(a, b: list, *c): yield 1")
    assert [code for code, _, _ in found] == [
        "GeneratorFunction",
        "VariadicParameter",
        "MissingAnnotation",
        "UnsupportedType",
    ]


def test_a_flawed_signature_raises_all_its_problems_when_it_is_needed():
    @task
    def bad(a, b) -> int:
        return 1

    with pytest.raises(CompileFailed) as failed:
        bad.signature(default_registry())
    assert [problem.variable for problem in failed.value.problems] == ["a", "b"]


def test_annotations_as_text_are_looked_up_in_the_functions_own_globals():
    namespace: dict[str, Any] = {"__name__": "book_of_tests"}
    exec(
        "from __future__ import annotations\n"
        "from typing import NamedTuple\n"
        "from flyte_nb import task, FlyteFile\n"
        "class Out(NamedTuple):\n    x: int\n    y: list[str]\n"
        "@task\ndef f(a: int, b: list[float] = [1.0], c: FlyteFile['csv'] | None = None) -> Out: ...\n",
        namespace,
    )
    signature = namespace["f"].signature(default_registry())
    assert signature.input_codecs["a"].python_type is int
    assert signature.interface.inputs["c"].type.value[0].value.format == "csv"
    assert signature.output_names == ("x", "y")
    assert signature.output_class is namespace["Out"]


def test_text_inside_of_a_type_is_looked_up_too_and_in_closures():
    class Local:
        pass

    def keep() -> Any:
        return Local

    @task
    def f(a: "list['Local']", b: list["int"]) -> None:
        keep()
        Local()

    signature = f.signature(default_registry(warn_pickled=False))
    assert signature.input_codecs["a"].item.python_type is Local  # type: ignore[attr-defined]
    assert signature.interface.inputs["b"].type.value.value == "integer"


def test_a_class_that_was_defined_anew_is_seen_where_its_name_is_text():
    namespace: dict[str, Any] = {"__name__": "book_of_tests", "task": task}
    registry = default_registry(warn_pickled=False)
    exec("class Model: pass\n@task\ndef f(m: 'Model') -> None: ...\n", namespace)
    before = namespace["f"].signature(registry)
    assert namespace["f"].signature(registry) is before
    exec("class Model: pass", namespace)
    after = namespace["f"].signature(registry)
    assert after.input_codecs["m"].python_type is namespace["Model"]


def test_a_decorator_that_wraps_keeps_the_signature():
    def traced(function: Any) -> Any:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        return call

    made = task(traced(double))
    signature = made.signature(default_registry())
    assert list(signature.interface.inputs) == ["n"]
    assert made.location.line == double.__code__.co_firstlineno
    assert made.function(n=4) == 8


def test_a_function_without_source_is_a_task_too():
    namespace: dict[str, Any] = {"__name__": "book_of_tests", "task": task}
    exec(compile("@task\ndef f(a: int) -> int: return a", "<nowhere>", "exec"), namespace)
    assert namespace["f"].signature(default_registry()).output_names == ("o0",)
    assert namespace["f"].location.filename == "<nowhere>"


def test_a_nested_function_is_named_by_its_way():
    assert task(double).short_name == "double"

    @task
    def inner() -> None: ...

    assert inner.short_name == "test_a_nested_function_is_named_by_its_way.inner"


def test_the_template_says_what_was_declared():
    made = task(cache=True, retries=2, environment={"A": "b"}, requests=Resources(cpu="2"))(double)
    template = task_template(
        made,
        SCOPE,
        default_registry(),
        version="v1",
        container=Container("default:1", args=("run",), env=(("A", "x"), ("C", "d"))),
        custom={"flyte_nb": {"fingerprint": "f"}},
        cache_version="f",
    )
    assert template.id == Identifier("task", "p", "d", f"{__name__}.double", "v1")
    assert template.type == "python-task"
    assert template.metadata == TaskMetadata(retries=2, discoverable=True, discovery_version="f")
    assert template.container == Container(
        "default:1", args=("run",), env=(("A", "b"), ("C", "d")), requests=Quantities("2")
    )
    assert template.description.startswith("Twice the number.\n\nArgs:\n    n: what")


def test_a_cache_version_of_the_authors_wins_and_none_is_made_up():
    registry = default_registry()
    own = task_template(
        task(cache=True, cache_version="7")(double), SCOPE, registry, cache_version="f"
    )
    assert own.metadata.discovery_version == "7"
    without = task_template(task(cache=True)(double), SCOPE, registry)
    assert without.metadata.discovery_version == ""
    assert without.metadata.discoverable
    uncached = task_template(task(double), SCOPE, registry, cache_version="f")
    assert uncached.metadata == TaskMetadata()


def test_a_call_outside_of_a_workflow_goes_to_the_runner_with_all_inputs(record):
    @task
    def f(a: int, b: int = 2, *, c: int = 3) -> int:
        return a

    assert f(1, c=5) == "ran"
    assert record.calls == [(f, {"a": 1, "b": 2, "c": 5})]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda f: f(), "The input n of double is missing."),
        (lambda f: f(1, 2), "double takes 1 arguments by position, 2 were given."),
        (lambda f: f(m=1, n=2), "double has no input m. Write double(n=…)."),
        (lambda f: f(1, n=2), "given by position and by name"),
    ],
)
def test_a_wrong_call_is_refused_before_anything_runs(record, call, message):
    with pytest.raises(UsageError) as refused:
        call(task(double))
    assert message in str(refused.value)
    assert record.calls == []


def test_inside_of_a_task_a_call_is_just_the_function():
    token = context.runner.set(DirectRunner())
    try:
        assert task(double)(4) == 8
    finally:
        context.runner.reset(token)


def test_without_a_runner_the_default_session_is_asked(monkeypatch, record):
    token = context.runner.set(None)
    monkeypatch.setattr(flyte_nb, "default_runner", lambda: record, raising=False)
    try:
        assert task(double)(4) == "ran"
    finally:
        context.runner.reset(token)


def test_a_task_is_pickled_by_its_function_and_options_alone():
    made = task(retries=3)(double)
    made.signature(default_registry())
    copy = pickle.loads(cloudpickle.dumps(made))
    assert copy.options == made.options
    assert copy.function(n=3) == 6
    assert vars(copy).keys() == vars(made).keys()
    assert copy.signature(default_registry()).output_names == ("o0",)


def test_a_task_that_calls_itself_is_pickled():
    namespace: dict[str, Any] = {"__name__": "__main__", "task": task}
    exec("@task\ndef f(n: int) -> int:\n    return f.function(n=n - 1) if n else 0\n", namespace)
    copy = pickle.loads(cloudpickle.dumps(namespace["f"]))
    assert copy.function(n=3) == 0


class Both(NamedTuple):
    left: int
    right: str


def test_outputs_are_packed_by_name_and_unpacked_to_what_was_returned():
    def outputs(annotation: Any, value: Any) -> "tuple[dict[str, Any], Any]":
        def f() -> None: ...

        f.__annotations__["return"] = annotation
        signature = task(f).signature(default_registry())
        packed = pack(value, signature)
        return packed, unpack(packed, signature)

    assert outputs(None, None) == ({}, None)
    assert outputs(int, 3) == ({"o0": 3}, 3)
    assert outputs(tuple[int, str], (3, "x")) == ({"o0": 3, "o1": "x"}, (3, "x"))
    packed, back = outputs(Both, (1, "x"))
    assert packed == {"left": 1, "right": "x"}
    assert type(back) is Both


def test_names_given_for_outputs_come_back_as_a_named_tuple():
    @task(output_names=("accuracy", "confusion"))
    def score() -> tuple[float, dict]:
        return 1.0, {}

    signature = score.signature(default_registry())
    back = unpack(pack(score.function(), signature), signature)
    assert back.accuracy == 1.0
    assert back.confusion == {}


def test_importing_and_declaring_needs_neither_inspect_nor_dataclasses():
    code = (
        "import sys\nfrom flyte_nb import task, workflow\n"
        "@task(cache=True, retries=2)\ndef f(n: int) -> int:\n    return n\n"
        "@workflow\ndef wf(n: int) -> int:\n    return f(n=n)\n"
        "heavy = {'inspect', 'dataclasses', 'ast', 'asyncio', 'datetime', 'logging'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
