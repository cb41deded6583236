"""Runs in this process that launch plan nodes start."""

import pytest
from flyteidl.core.interface_pb2 import ParameterMap

from flyte_nb import task
from flyte_nb.api.errors import ExecutionFailed
from flyte_nb.propeller.growth import NESTING_VARIABLE
from flyte_nb.propeller.local_launch_plans import LocalLaunchPlan
from flyte_nb.propeller.plan import plan_of
from flyte_nb.propeller.run import run_local
from flyte_nb.testing import closures
from flyte_nb.testing.closures import closure, integer, integers, node
from flyte_nb.types.registry import default_registry
from flyte_nb.wire.identifiers import identifier_from_idl

ADD = closures.task("add", ["x"])


@task
def add(x: int) -> int:
    return x + 10


def parameters(**defaults):
    made = ParameterMap()
    for name, value in defaults.items():
        if value is None:
            made.parameters[name].required = True
        else:
            made.parameters[name].default.scalar.primitive.integer = value
    return made


def run(made, plans, **inputs):
    return run_local(
        made,
        integers(**inputs),
        {identifier_from_idl(ADD.id): add},
        default_registry(),
        launch_plans=lambda wanted: plans.get(wanted.name),
    )


INNER = plan_of(closures.chain(2, ADD))


def outer(bindings):
    made = closures.workflow("outer", [node("n0", "inner", bindings)], {"o0": "n0"})
    return closure(made, [])


def test_defaults_are_filled_in_and_what_is_missing_is_named():
    plans = {"inner": LocalLaunchPlan(INNER, parameters(x=5), integers())}
    assert integer(run(outer({}), plans)) == 25
    assert integer(run(outer({"x": 1}), plans)) == 21
    plans = {"inner": LocalLaunchPlan(INNER, parameters(x=None), integers())}
    with pytest.raises(ExecutionFailed, match="expected_inputs x missing"):
        run(outer({}), plans)


def test_a_launch_plan_that_is_not_defined_here_is_named():
    with pytest.raises(ExecutionFailed, match="The launch plan inner is not defined here"):
        run(outer({"x": 1}), {})


def test_runs_that_start_each_other_without_end_are_stopped(monkeypatch):
    monkeypatch.setenv(NESTING_VARIABLE, "5")
    made = outer({"x": 1})
    plans = {"inner": LocalLaunchPlan(plan_of(made), parameters(x=None), integers())}
    with pytest.raises(ExecutionFailed, match="executions started each other 5 times"):
        run(made, plans)


def test_runs_side_by_side_all_end_when_one_fails():
    nodes = [node("n0", "inner", {"x": 1}), node("n1", "inner", {})]
    made = closure(closures.workflow("outer", nodes, {"o0": "n0"}), [])
    plans = {"inner": LocalLaunchPlan(INNER, parameters(x=None), integers())}
    with pytest.raises(ExecutionFailed, match="expected_inputs x missing"):
        run(made, plans)
