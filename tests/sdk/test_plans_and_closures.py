"""Launch plans, and everything that must be registered for an entity."""

from typing import Any

import pytest

from flyte_nb.api.errors import CompileFailed, UsageError
from flyte_nb.api.identifiers import Identifier, Scope
from flyte_nb.api.literals import Literal
from flyte_nb.api.specs import Binding, LaunchPlanNode, LaunchPlanSpec, Parameter
from flyte_nb.sdk import context
from flyte_nb.sdk.launch_plan import LaunchPlan
from flyte_nb.sdk.reachable import reachable
from flyte_nb.sdk.task import task
from flyte_nb.sdk.templates import launch_plan_spec, workflow_template
from flyte_nb.sdk.workflow import workflow
from flyte_nb.types.registry import default_registry

SCOPE = Scope("p", "d", "book")


@task
def inc(a: int) -> int:
    return a + 1


@workflow
def base(n: int, m: int = 2, k: str = "x") -> int:
    return inc(a=n)


@workflow
def middle(n: int) -> int:
    return base(n=inc(a=n))


nightly = LaunchPlan(base, "nightly", default_inputs={"n": 5}, fixed_inputs={"m": 9})


@workflow
def top(n: int) -> int:
    nightly(k="y")
    return middle(n=n)


def test_the_default_launch_plan_has_the_workflows_name_and_defaults():
    spec = launch_plan_spec(base, SCOPE, default_registry(), version="v", workflow_version="w")
    inputs = base.signature(default_registry()).interface.inputs
    assert spec == LaunchPlanSpec(
        Identifier("launch_plan", "p", "d", f"{__name__}.base", "v"),
        Identifier("workflow", "p", "d", f"{__name__}.base", "w"),
        {
            "n": Parameter(inputs["n"]),
            "m": Parameter(inputs["m"], Literal("integer", 2)),
            "k": Parameter(inputs["k"], Literal("string_value", "x")),
        },
    )
    assert (
        launch_plan_spec(LaunchPlan(base), SCOPE, default_registry()).id.name == f"{__name__}.base"
    )


def test_defaults_replace_the_workflows_and_fixed_inputs_leave_the_parameters():
    spec = launch_plan_spec(nightly, SCOPE, default_registry())
    assert spec.id.name == "nightly"
    assert spec.fixed_inputs == {"m": Literal("integer", 9)}
    assert {name: parameter.default for name, parameter in spec.default_inputs.items()} == {
        "n": Literal("integer", 5),
        "k": Literal("string_value", "x"),
    }


def test_a_launch_plan_node_binds_what_was_given_only():
    node = top.trace(default_registry(), SCOPE).template.nodes[0]
    assert isinstance(node.target, LaunchPlanNode)
    assert node.target.reference.name == "nightly"
    assert node.bindings == (Binding("k", Literal("string_value", "y")),)


def test_a_fixed_input_cannot_be_given():
    @workflow
    def wf() -> int:
        return nightly(m=3)

    problem = wf.trace(default_registry(), SCOPE).problems[0]
    assert problem.code == "VariableNameNotFound"
    with pytest.raises(UsageError, match="nightly fixes the input m"):
        nightly(m=3)


def test_a_launch_plan_runs_its_workflow_with_its_inputs():
    class Runner:
        def run(self, entity: Any, inputs: "dict[str, Any]") -> Any:
            return entity, inputs

    token = context.runner.set(Runner())
    try:
        assert nightly(k="z") == (base, {"n": 5, "m": 9, "k": "z"})
        assert nightly(7, "z") == (base, {"n": 7, "m": 9, "k": "z"})  # as in a workflow: without m
        with pytest.raises(UsageError, match="nightly takes 2 arguments by position, 3 were given"):
            nightly(7, "z", 1)
    finally:
        context.runner.reset(token)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"default_inputs": {"n": 1}, "fixed_inputs": {"n": 2}}, "is a default and fixed"),
        ({"name": None, "fixed_inputs": {"n": 2}}, "Write LaunchPlan(base, name=…)."),
        ({"fixed_inputs": "n"}, "fixed_inputs='n': write a dict"),
        ({"labels": {"team": 7}}, "labels: 'team': 7 is not text. Write 'team': '7'."),
        ({"max_parallelism": -1}, "max_parallelism=-1: write a number"),
    ],
)
def test_inputs_that_contradict_are_refused(inputs, message):
    with pytest.raises(UsageError) as refused:
        LaunchPlan(base, **{"name": "x", **inputs})
    assert message in str(refused.value)


def test_inputs_that_do_not_fit_are_reported_together():
    plan = LaunchPlan(base, "x", default_inputs={"n": "5", "other": 1}, fixed_inputs={"k": 3})
    with pytest.raises(CompileFailed) as failed:
        launch_plan_spec(plan, SCOPE, default_registry())
    assert [(p.code, p.variable, p.hint) for p in failed.value.problems] == [
        ("ValueDoesNotFit", "n", "Write n=5."),
        ("VariableNameNotFound", "other", "It has: n, m, k."),
        ("ValueDoesNotFit", "k", "Write k='3'."),
    ]


def test_flytekits_spellings_make_the_same_plan():
    made = LaunchPlan.get_or_create(base, "nightly", default_inputs={"n": 5})
    again = LaunchPlan.create("nightly", base, default_inputs={"n": 5})
    assert launch_plan_spec(made, SCOPE, default_registry()) == launch_plan_spec(
        again, SCOPE, default_registry()
    )
    assert LaunchPlan.get_default_launch_plan(base).short_name == "base"


def test_a_workflow_template_carries_its_version():
    trace = workflow_template(base, SCOPE, default_registry(), version="v3")
    assert trace.template.id.version == "v3"


def test_everything_reachable_comes_once_and_after_what_it_needs():
    assert reachable([top, base, inc], default_registry(), SCOPE) == [
        inc,
        base,
        nightly,
        middle,
        top,
    ]


def test_equal_launch_plans_made_in_different_places_are_one():
    twin = LaunchPlan(base, "nightly", default_inputs={"n": 5}, fixed_inputs={"m": 9})
    assert reachable([nightly, twin], default_registry(), SCOPE) == [inc, base, nightly]
    other = LaunchPlan(base, "nightly", default_inputs={"n": 6})
    with pytest.raises(CompileFailed, match="Two different definitions are called nightly"):
        reachable([nightly, other], default_registry(), SCOPE)


def test_two_tasks_of_one_name_cannot_be_registered_together():
    namespaces: list[dict[str, Any]] = [{"__name__": "__main__", "task": task} for _ in range(2)]
    for namespace in namespaces:
        exec("@task\ndef step(a: int) -> int: return a", namespace)
    with pytest.raises(CompileFailed, match=r"Two different definitions are called book\.step"):
        reachable([namespace["step"] for namespace in namespaces], default_registry(), SCOPE)


def test_workflows_in_a_circle_are_reported_with_the_whole_circle():
    namespace: dict[str, Any] = {"__name__": "__main__", "workflow": workflow}
    exec(
        "@workflow\ndef a(n: int) -> int:\n    return b(n=n)\n"
        "@workflow\ndef b(n: int) -> int:\n    return a(n=n)\n",
        namespace,
    )
    with pytest.raises(CompileFailed) as failed:
        reachable([namespace["a"]], default_registry(), SCOPE)
    assert [problem.code for problem in failed.value.problems] == ["CycleDetected"]
    assert "a → b → a" in str(failed.value)
