"""Flyte's own compiler's results for its own inputs (see README.md beside the vectors)."""

from pathlib import Path

import pytest
from flyteidl.admin import launch_plan_pb2, task_pb2, workflow_pb2
from flyteidl.core import compiler_pb2, workflow_closure_pb2
from google.protobuf import json_format

from flyte_nb.compiler import (
    LaunchPlanInterface,
    compile_task,
    compile_workflow,
    identifier_text,
    requirements,
)
from flyte_nb.compiler.program import key

VECTORS = Path(__file__).resolve().parents[3] / "shared" / "vectors"
pytestmark = pytest.mark.skipif(
    not VECTORS.is_dir(), reason=f"Flyte's compiler vectors are not at {VECTORS}"
)


def _stems(folder: str, pattern: str) -> list[str]:
    return sorted(path.stem for path in (VECTORS / folder).glob(pattern)) or ["none"]


def _parse(path: Path, message):
    return json_format.Parse(path.read_text(), message)


def _configured(template):
    """Add the entries that Flyte's own test adds to every container before it compiles."""
    if template.HasField("container"):
        for number in (1, 2, 3):
            template.container.config.add(key=f"testKey{number}", value=f"testValue{number}")
    return template


@pytest.fixture(scope="module")
def snacks_tasks():
    compiled = {}
    for path in sorted((VECTORS / "snacks-core" / "input").glob("*_1.pb")):
        task = compile_task(_configured(task_pb2.TaskSpec.FromString(path.read_bytes()).template))
        compiled[key(task.template.id)] = task
    return compiled


@pytest.mark.parametrize("stem", _stems("snacks-core/compiled", "*_task.json"))
def test_a_snacks_task_compiles_as_in_flyte(stem):
    source = VECTORS / "snacks-core" / "input" / f"{stem.removesuffix('_task')}.pb"
    expected = _parse(
        VECTORS / "snacks-core" / "compiled" / f"{stem}.json", compiler_pb2.CompiledTask()
    )
    assert (
        compile_task(_configured(task_pb2.TaskSpec.FromString(source.read_bytes()).template))
        == expected
    )


@pytest.mark.parametrize("stem", _stems("snacks-core/compiled", "*_wf.json"))
def test_a_snacks_workflow_compiles_as_in_flyte(stem, snacks_tasks):
    source = VECTORS / "snacks-core" / "input" / f"{stem.removesuffix('_wf')}.pb"
    closure = workflow_closure_pb2.WorkflowClosure.FromString(source.read_bytes())
    expected = _parse(
        VECTORS / "snacks-core" / "compiled" / f"{stem}.json",
        compiler_pb2.CompiledWorkflowClosure(),
    )
    needed = requirements(closure.workflow)
    tasks = [snacks_tasks[key(use.identifier)] for use in needed.tasks]
    assert compile_workflow(closure.workflow, [], tasks) == expected


@pytest.mark.parametrize("stem", _stems("branch/compiled", "*.json"))
def test_a_branch_compiles_as_in_flyte(stem):
    closure = _parse(
        VECTORS / "branch" / "input" / f"{stem}.json", workflow_closure_pb2.WorkflowClosure()
    )
    expected = _parse(
        VECTORS / "branch" / "compiled" / f"{stem}.json", compiler_pb2.CompiledWorkflowClosure()
    )
    tasks = [compile_task(_configured(task)) for task in closure.tasks]
    assert compile_workflow(closure.workflow, [], tasks) == expected


def test_every_workflow_input_compiles_also_those_without_a_result(snacks_tasks):
    count = 0
    for path in sorted((VECTORS / "snacks-core" / "input").glob("*_2.pb")):
        spec = workflow_pb2.WorkflowSpec.FromString(path.read_bytes())
        needed = requirements(spec.template, spec.sub_workflows)
        tasks = [snacks_tasks[key(use.identifier)] for use in needed.tasks]
        plans = {
            identifier_text(use.identifier): _launch_plan(use.identifier)
            for use in needed.launch_plans
        }
        closure = compile_workflow(spec.template, spec.sub_workflows, tasks, plans)
        assert len(closure.sub_workflows) == len(spec.sub_workflows)
        count += 1
    assert count >= 40


def _launch_plan(identifier):
    """Return a launch plan's interface as FlyteAdmin makes it: with the plan's defaults and fixed inputs."""
    for path in (VECTORS / "snacks-core" / "input").glob("*_3.pb"):
        plan = launch_plan_pb2.LaunchPlan.FromString(path.read_bytes())
        if plan.id.name == identifier.name:
            break
    for path in (VECTORS / "snacks-core" / "input").glob("*_2.pb"):
        template = workflow_pb2.WorkflowSpec.FromString(path.read_bytes()).template
        if template.id.name == plan.spec.workflow_id.name:
            return LaunchPlanInterface(plan.spec.default_inputs, template.interface.outputs)
    raise AssertionError(identifier)
