"""Any legal name can be used, and the signature is the one that `inspect.signature` returns."""

import functools
import inspect
from functools import partial
from typing import NamedTuple

import pytest

from flyte_nb import LaunchPlan, UsageError, dynamic, map_task, task, workflow
from flyte_nb.api.identifiers import Scope
from flyte_nb.api.specs import OutputReference
from flyte_nb.sdk import context
from flyte_nb.types.registry import default_registry
from flyte_nb.worker.inner import InnerRunner

REGISTRY = default_registry(warn_pickled=False)
SCOPE = Scope("p", "d", "nb")


@pytest.fixture
def here():
    token = context.runner.set(InnerRunner(REGISTRY))
    yield
    context.runner.reset(token)


class Counted(NamedTuple):
    count: int
    index: int


@task
def counted(n: int) -> Counted:
    return Counted(n, n + 1)


@task
def same(self: int) -> int:
    return self


def trace(entity):
    made = entity.trace(REGISTRY, SCOPE)
    assert made.problems == ()
    return made.template


def test_outputs_called_like_methods_of_a_tuple_are_taken_by_name(here):
    @workflow
    def wf(n: int) -> tuple[int, int, int]:
        found = counted(n=n)
        return found.index, found.count, found["index"]

    template = trace(wf)
    assert [binding.data for binding in template.outputs] == [
        OutputReference("n0", name) for name in ("index", "count", "index")
    ]
    assert wf(n=1) == (2, 1, 2)
    assert counted(n=1).count == 1


def test_an_output_that_is_not_there_is_named_with_those_that_are():
    @workflow
    def wf(n: int) -> int:
        return counted(n=n)["total"]

    (problem,) = wf.trace(REGISTRY, SCOPE).problems
    assert "counted has no output total. It has: count, index." in problem.message


@pytest.mark.parametrize("name", ["self", "args", "kwargs", "entity", "inputs", "function", "cls"])
def test_an_input_may_have_any_name(here, name):
    namespace = {"task": task, "workflow": workflow, "dynamic": dynamic, "__name__": "m"}
    exec(
        f"@task\ndef f({name}: int) -> int:\n    return {name} + 1\n"
        f"@workflow\ndef w({name}: int) -> int:\n    return f({name}={name})\n"
        f"@dynamic\ndef d({name}: int) -> int:\n    return f({name}={name})\n",
        namespace,
    )
    f, w, d = (namespace[each] for each in "fwd")
    assert [f(**{name: 1}), f(1), w(**{name: 1}), d(**{name: 1})] == [2, 2, 2, 2]
    assert LaunchPlan(w, name="p")(**{name: 1}) == 2
    assert map_task(f)(**{name: [1, 2]}) == [2, 3]
    assert map_task(partial(f, **{name: 5}))() == [6]
    trace(w)


def injecting(function):
    """Give the function a connection; its callers see a signature without one."""

    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, connection=100, **kwargs)

    own = inspect.signature(function)
    left = [each for name, each in own.parameters.items() if name != "connection"]
    wrapper.__signature__ = own.replace(parameters=left)
    return wrapper


def adding(function):
    """Add an input."""

    @functools.wraps(function)
    def wrapper(*args, verbose: bool = False, **kwargs):
        return function(*args, **kwargs) + (1000 if verbose else 0)

    own = inspect.signature(function)
    more = inspect.Parameter(
        "verbose", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=bool
    )
    wrapper.__signature__ = own.replace(parameters=[*own.parameters.values(), more])
    return wrapper


@task
@adding
@injecting
def decorated(n: int, connection: int, by: "int" = 2) -> int:
    """Compute.

    Args:
        n: a number.
    """
    return n * by + connection


@task
@injecting
def injected(n: int, connection: int) -> int:
    return n + connection


def test_a_declared_signature_overrules_the_code(here):
    assert list(injected.read(REGISTRY).signature.input_codecs) == ["n"]
    assert injected(n=1) == injected(1) == 101
    with pytest.raises(UsageError, match="no input connection"):
        injected(n=1, connection=2)


def test_the_outermost_declared_signature_wins_with_defaults_and_text(here):
    signature = decorated.signature(REGISTRY)
    declared = inspect.signature(decorated.function)
    assert list(signature.input_codecs) == list(declared.parameters)
    assert signature.defaults == {"by": 2, "verbose": False}
    assert signature.positional == ("n", "by")
    assert signature.interface.inputs["n"].description == "a number."
    assert signature.input_codecs["by"].python_type is int


def test_a_decorated_task_and_workflow_are_traced_by_what_they_declare(here):
    @workflow
    @injecting
    def wf(n: int, connection: int) -> int:
        return injected(n=n)

    template = trace(wf)
    assert list(template.interface.inputs) == ["n"]
    assert wf(n=1) == 101


def test_variadic_and_positional_parameters_of_a_declared_signature_are_refused():
    def loose(n):
        return n

    loose.__signature__ = inspect.signature(lambda a, /, *rest, **more: a)
    codes = [each.code for each in task(loose).problems(REGISTRY)]
    assert codes.count("VariadicParameter") == 2
    assert "PositionalOnlyParameter" in codes


class Model:
    def fit(self, n: int) -> int:
        return n


@pytest.mark.parametrize("decorate", [task, workflow, dynamic])
def test_a_method_is_refused_where_it_is_written(decorate):
    with pytest.raises(UsageError, match=r"not before the method Model\.fit\. Write a def"):
        decorate(Model().fit)
    with pytest.raises(UsageError, match="stands before a function"):
        decorate(classmethod(Model.fit))


def test_a_wrapper_of_a_method_has_no_self(here):
    method = Model().fit

    @functools.wraps(method)
    def fit(n):
        return method(n)

    assert list(task(fit).signature(REGISTRY).input_codecs) == ["n"]
    assert task(fit)(n=3) == 3


@pytest.mark.parametrize("name", ["größe", "1st", "a b", "", "a=b", "naïve"])
def test_a_variable_that_no_container_can_have_is_refused_where_it_is_written(name):
    with pytest.raises(UsageError, match="no variable that a container can have"):
        task(environment={name: "1"})


@pytest.mark.parametrize("name", ["MODE", "_x", "my.app-mode", "Path1"])
def test_variables_that_kubernetes_takes_are_taken(name):
    assert task(environment={name: "1"})(lambda: None).options.environment == ((name, "1"),)


def test_inputs_and_outputs_that_flyte_cannot_name_are_problems_of_the_signature():
    class Out(NamedTuple):
        größe: int

    @task
    def f(breite: int, höhe: int) -> Out:
        return Out(breite)

    found = [(each.code, each.variable) for each in f.problems(REGISTRY)]
    assert found == [("UnreadableName", "höhe"), ("UnreadableName", "größe")]
