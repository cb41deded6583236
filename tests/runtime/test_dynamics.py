"""A dynamic task as propeller runs it: inputs in, `futures.pb` out, which compiles."""

import importlib
import os
import subprocess
import sys

import pytest
from flyteidl.core import dynamic_job_pb2

from flyte_nb.api.identifiers import LAUNCH_PLAN, Identifier
from flyte_nb.compiler import compile_dynamic, dynamic_identifier
from flyte_nb.sdk.templates import task_template
from flyte_nb.wire.errors import error_document_from_bytes
from flyte_nb.wire.identifiers import identifier_from_idl
from flyte_nb.wire.literal_bytes import literal_map_from_bytes
from flyte_nb.wire.specs import task_spec_to_idl

SOURCE = (
    "from functools import partial\n"
    "from flyte_nb import FlyteFile, LaunchPlan, Resources, current_context, dynamic, map_task\n"
    "from flyte_nb import task, workflow\n"
    "@task(retries=2, cache=True, requests=Resources(cpu='1'))\n"
    "def scale(n: int, by: int = 2) -> int:\n    return n * by\n"
    "@task(container_image='img:own')\n"
    "def total(ns: list[int]) -> int:\n    return sum(ns)\n"
    "@workflow\n"
    "def both(n: int) -> int:\n    return scale(n=scale(n=n), by=3)\n"
    "@dynamic(retries=1)\n"
    "def grow(n: int) -> list[int]:\n    return [scale(n=i) for i in range(n)]\n"
)
ENV = {
    "FLYTE_INTERNAL_IMAGE": "img:1",
    "FLYTE_INTERNAL_TASK_PROJECT": "p",
    "FLYTE_INTERNAL_TASK_DOMAIN": "d",
    "FLYTE_INTERNAL_TASK_VERSION": "v7",
}


class Ran:
    """What an attempt at a dynamic task left."""

    def __init__(self, output):
        self.files = sorted(path.name for path in output.iterdir())
        self._output = output

    @property
    def spec(self):
        assert self.files == ["futures.pb"], self.files
        data = (self._output / "futures.pb").read_bytes()
        return dynamic_job_pb2.DynamicJobSpec.FromString(data)

    @property
    def outputs(self):
        assert self.files == ["outputs.pb"]
        return literal_map_from_bytes((self._output / "outputs.pb").read_bytes())

    @property
    def error(self):
        assert self.files == ["error.pb"], self.files
        return error_document_from_bytes((self._output / "error.pb").read_bytes())


@pytest.fixture
def run(bench):
    def run(body="", inputs=None, *, name="f", env=ENV, task=None, staged=None):
        if body:
            bench.cells.run(SOURCE + body)
        staged = staged or bench.stage(name)
        output = bench.output()
        literals = {key: bench._literal(value) for key, value in (inputs or {}).items()}
        command = bench.command(staged, literals, output, task=task or staged.task_name)
        done = subprocess.run(
            command, capture_output=True, text=True, env={**os.environ, **env}, timeout=240
        )
        assert done.returncode == 0, done.stderr
        ran = Ran(output)
        ran.staged = staged
        return ran

    return run


def compiled(bench, spec, name="f"):
    template = task_template(bench.cells[name], bench.scope, bench.registry, version="v7")
    identifier = dynamic_identifier("p", "d", name, "v7")
    return compile_dynamic(spec, task_spec_to_idl(template).template, identifier)


def test_calls_become_nodes_and_what_is_returned_binds_the_outputs(bench, run):
    spec = run(
        "@dynamic\ndef f(n: int) -> int:\n"
        "    parts = []\n"
        "    for i in range(n):\n"
        "        if i % 2:\n            parts.append(scale(n=i))\n"
        "    return total(ns=[*parts, 5])\n",
        {"n": 5},
    ).spec
    assert [node.id for node in spec.nodes] == ["dn0", "dn1", "dn2"]
    assert spec.min_successes == 3
    assert list(spec.nodes[2].upstream_node_ids) == ["dn0", "dn1"]
    assert spec.outputs[0].binding.promise.node_id == "dn2"
    assert {task.id.name for task in spec.tasks} == {"nb.scale", "nb.total"}
    closure = compiled(bench, spec)
    assert len(closure.primary.template.nodes) == 5


def test_templates_run_from_the_same_index_with_their_own_options(run):
    ran = run("@dynamic\ndef f() -> int:\n    return total(ns=[scale(n=1)])\n")
    tasks = {task.id.name: task for task in ran.spec.tasks}
    scale, total = tasks["nb.scale"], tasks["nb.total"]
    assert (scale.id.project, scale.id.domain, scale.id.version) == ("p", "d", "v7")
    assert (scale.container.image, total.container.image) == ("img:1", "img:own")
    assert scale.metadata.retries.retries == 2
    assert len(scale.metadata.discovery_version) == 64
    assert scale.container.resources.requests[0].value == "1"
    args = list(scale.container.args)
    assert args[:4] == ["flyte-nb", "execute", "--task", "nb.scale"]
    assert args[-2:] == ["--index-file-location", ran.staged.index_uri]


def test_what_it_calls_runs_from_that_index(run):
    ran = run("@dynamic\ndef f() -> int:\n    return scale(n=1)\n")
    assert run("", {"n": 4, "by": 10}, staged=ran.staged, task="nb.scale").outputs["o0"].value == 40


def test_sub_workflows_maps_and_dynamics_inside_of_dynamics(bench, run):
    ran = run(
        "@dynamic\ndef f(n: int) -> tuple[int, list[int], list[int]]:\n"
        "    many = map_task(partial(scale, by=n), concurrency=2)(n=list(range(n)))\n"
        "    return both(n=n), many, grow(n=n)\n",
        {"n": 3},
    )
    spec = ran.spec
    assert [node.WhichOneof("target") for node in spec.nodes] == [
        *("array_node", "workflow_node", "task_node")
    ]
    assert [sub.id.name for sub in spec.subworkflows] == ["nb.both"]
    mapped = next(task for task in spec.tasks if task.id.name.startswith("nb.map_"))
    args = list(mapped.container.args)
    assert args[3] == "nb.scale"
    assert args[-4:-2] == ["--mapped", "n"]
    inner = next(task for task in spec.tasks if task.id.name == "nb.grow")
    assert {pair.key: pair.value for pair in inner.container.env}["FLYTE_INTERNAL_IMAGE"] == "img:1"
    closure = compiled(bench, spec)
    assert len(closure.sub_workflows) == 1
    grown = run("", {"n": 2}, staged=ran.staged, task="nb.grow").spec
    assert [node.id for node in grown.nodes] == ["dn0", "dn1"]


def test_a_body_that_calls_nothing_writes_outputs(run):
    ran = run(
        "@dynamic\ndef f(n: int) -> list[int]:\n    return [scale(n=i) for i in range(n)]\n",
        {"n": 0},
    )
    assert ran.outputs["o0"].value == []


def test_values_that_need_a_file_are_stored(bench, run):
    spec = run(
        "class Model:\n    pass\n"
        "@task\ndef fit(model: Model) -> int:\n    return 1\n"
        "@dynamic\ndef f() -> int:\n"
        "    assert current_context().execution_id.name == 'local'\n"
        "    return fit(model=Model())\n"
    ).spec
    assert spec.nodes[0].inputs[0].binding.scalar.blob.uri.startswith(f"file://{bench.root}/raw/")


def test_overrides_order_and_node_names(run):
    spec = run(
        "@dynamic\ndef f() -> int:\n"
        "    first = scale(n=1).with_overrides(node_name='first', retries=9)\n"
        "    second = scale(n=2)\n"
        "    first >> second\n"
        "    return second\n"
    ).spec
    assert [node.id for node in spec.nodes] == ["first", "dn1"]
    assert list(spec.nodes[1].upstream_node_ids) == ["first"]
    assert spec.nodes[0].metadata.retries.retries == 9


@pytest.mark.parametrize(
    ("body", "code", "texts"),
    [
        (
            "    scale(n='a', depth=1)\n    return scale()\n",
            "USER:DynamicCompileFailed",
            ["f.dn0.n: scale.n: Expected int", "has no input depth", "f.dn1.n: The input n"],
        ),
        ("    return scale(n=1), 2\n", "USER:DynamicCompileFailed", ["nb.f.o0", "Expected int"]),
        (
            "    scale(n=1)\n    raise KeyError('no')\n",
            "USER:KeyError",
            ["line 19, in f", "raise KeyError"],
        ),
        ("    return 1 if scale(n=1) else 2\n", "USER:UsageError", ["made when the workflow runs"]),
        (
            "    @task\n    def inner() -> int:\n        return 1\n    return inner()\n",
            "USER:DynamicTaskMissing",
            ["calls nb.f.inner", "at the top of a cell"],
        ),
    ],
)
def test_what_is_wrong_with_a_body_is_said_all_at_once(run, body, code, texts):
    error = run("@dynamic\ndef f() -> int:\n" + body).error
    assert error.code == code, error.message
    assert not error.recoverable
    for text in texts:
        assert text in error.message


def test_a_task_that_names_no_image_needs_the_one_that_runs(run):
    body = "@dynamic\ndef f() -> int:\n    return scale(n=1)\n"
    error = run(body, env={**ENV, "FLYTE_INTERNAL_IMAGE": ""}).error
    assert error.code == "USER:DynamicImageMissing"
    assert "FLYTE_INTERNAL_IMAGE" in error.message


BOTH = (
    "@dynamic\ndef f(n: int) -> tuple[int, list[int]]:\n"
    "    first = scale(n=n)\n"
    "    inner = both(n=first)\n"
    "    many = map_task(partial(scale, by=n), min_success_ratio=1.0)(n=[1, first])\n"
    "    return inner, [first, 7]\n"
)


def test_flytekit_writes_the_same_for_the_same_body(run, tmp_path, monkeypatch):
    """Apart from containers, and what flytekit repeats of each task in its nodes."""
    pytest.importorskip("flytekit")
    ours = run(BOTH, {"n": 3}).spec
    theirs = _written_by_flytekit(tmp_path, monkeypatch)
    normal(ours)
    normal(theirs)
    assert ours.nodes == theirs.nodes
    assert ours.outputs == theirs.outputs
    assert ours.min_successes == theirs.min_successes
    assert {task.id.name for task in ours.tasks} == {task.id.name for task in theirs.tasks}
    # Ids in a sub-workflow begin anew; flytekit lets the dynamic's prefix through.
    [our_sub], [their_sub] = ours.subworkflows, theirs.subworkflows
    assert str(our_sub) == str(their_sub).replace('"dn', '"n')


PLANS = (
    "plan = LaunchPlan.get_or_create(both, 'nb.plan', default_inputs={'n': 4})\n"
    "usual = LaunchPlan.get_or_create(both)\n"
    "@workflow\ndef outer(n: int) -> int:\n    return plan(n=n)\n"
    "@dynamic\ndef f(n: int) -> list[int]:\n"
    "    return [plan(), usual(n=scale(n=n)), outer(n=n), both(n=n)]\n"
)
PLAN = Identifier(LAUNCH_PLAN, "p", "d", "nb.plan", "v-plan")
USUAL = Identifier(LAUNCH_PLAN, "", "", "nb.both", "v-usual")


def test_launch_plans_are_started_as_they_were_registered(bench, run):
    bench.cells.run(SOURCE + PLANS)
    staged = bench.stage(launch_plans=(PLAN, USUAL))
    spec = run("", {"n": 3}, staged=staged).spec
    first, scaled, second, sub, _ = spec.nodes
    assert scaled.WhichOneof("target") == "task_node"
    assert identifier_from_idl(first.workflow_node.launchplan_ref) == PLAN
    # Without a project and domain of its own: those of the task that runs.
    usual = identifier_from_idl(second.workflow_node.launchplan_ref)
    assert usual == USUAL._replace(project="p", domain="d")
    assert sub.workflow_node.sub_workflow_ref.name == "nb.outer"
    [outer] = [one for one in spec.subworkflows if one.id.name == "nb.outer"]
    assert identifier_from_idl(outer.nodes[0].workflow_node.launchplan_ref) == PLAN
    # What a launch plan launches is no part of it; `both` is, for it is called too.
    assert {one.id.name for one in spec.subworkflows} == {"nb.outer", "nb.both"}


def test_what_a_launch_plan_launches_does_not_come_along(bench, run):
    bench.cells.run(SOURCE + PLANS + "@dynamic\ndef f(n: int) -> int:\n    return plan(n=n)\n")
    spec = run("", {"n": 3}, staged=bench.stage(launch_plans=(PLAN,))).spec
    assert (len(spec.nodes), len(spec.tasks), len(spec.subworkflows)) == (1, 0, 0)


def test_a_launch_plan_that_was_not_registered_with_it_is_named(bench, run):
    bench.cells.run(SOURCE + PLANS)
    error = run("", {"n": 3}, staged=bench.stage(launch_plans=(USUAL,))).error
    assert (error.code, error.recoverable) == ("USER:DynamicLaunchPlanMissing", False)
    assert "nb.f starts nb.plan, which was not registered with it" in error.message


def test_what_does_not_fit_a_launch_plan_is_told_before_it_is_written(bench, run):
    bench.cells.run(SOURCE + PLANS)
    bench.cells.run("@dynamic\ndef f() -> int:\n    return usual(n='a', depth=1)\n")
    error = run("", staged=bench.stage(launch_plans=(USUAL,))).error
    assert error.code == "USER:DynamicCompileFailed"
    assert "both.n: Expected int" in error.message
    assert "has no input depth" in error.message


def test_flytekit_starts_launch_plans_in_the_same_way(bench, run, tmp_path, monkeypatch):
    pytest.importorskip("flytekit")
    body = PLANS.replace("plan()", "plan(n=n)")  # flytekit binds defaults of launch plans anew
    bench.cells.run(SOURCE + body)
    pinned = tuple(id._replace(project="p", domain="d", version="v7") for id in (PLAN, USUAL))
    ours = run("", {"n": 3}, staged=bench.stage(launch_plans=pinned)).spec
    theirs = _written_by_flytekit(tmp_path, monkeypatch, body)
    normal(ours)
    normal(theirs)
    assert ours.nodes == theirs.nodes
    assert ours.outputs == theirs.outputs
    assert {one.id.name for one in ours.subworkflows} == {
        one.id.name for one in theirs.subworkflows
    }


def _written_by_flytekit(folder, monkeypatch, body=BOTH):
    from flytekit.configuration import Image, ImageConfig, SerializationSettings
    from flytekit.core.context_manager import ExecutionState, FlyteContextManager
    from flytekit.core.launch_plan import LaunchPlan

    monkeypatch.delitem(sys.modules, "nb", raising=False)
    monkeypatch.setattr(LaunchPlan, "CACHE", {})

    source = SOURCE.replace(
        "flyte_nb import FlyteFile, LaunchPlan, Resources, current_context,",
        "flytekit import LaunchPlan,",
    ).replace("flyte_nb import", "flytekit import")
    source = source.replace(
        "cache=True, requests=Resources(cpu='1')", "cache=True, cache_version='1'"
    )
    (folder / "nb.py").write_text(source + body)
    monkeypatch.syspath_prepend(str(folder))
    settings = SerializationSettings(
        project="p", domain="d", version="v7", image_config=ImageConfig(Image("n", "image", "1"))
    )
    context = FlyteContextManager.current_context().with_serialization_settings(settings)
    state = context.new_execution_state().with_params(mode=ExecutionState.Mode.TASK_EXECUTION)
    with FlyteContextManager.with_context(context.with_execution_state(state)) as inside:
        grown = importlib.import_module("nb").f
        job = grown.compile_into_workflow(inside, grown.task_function, n=3)
    return job.to_flyte_idl()


def normal(spec):
    """Without names, and what flytekit's nodes repeat of their tasks."""
    for nodes in (spec.nodes, *(sub.nodes for sub in spec.subworkflows)):
        for node in nodes:
            for each in (node, node.array_node.node) if node.HasField("array_node") else (node,):
                each.metadata.ClearField("retries")
                each.metadata.ClearField("interruptible")
                each.metadata.name = ""
            if node.HasField("array_node"):
                node.array_node.node.id = ""


def test_conditions_and_gates_become_nodes_too(run):
    body = (
        "from datetime import timedelta\n"
        "from flyte_nb import conditional, sleep\n"
        "@dynamic\n"
        "def d(n: int) -> int:\n"
        "    sleep(timedelta(seconds=1))\n"
        "    m = scale(n=n)\n"
        "    return conditional('c').if_(m > 3).then(scale(n=m)).else_().then(both(n=m))\n"
    )
    spec = run(body, {"n": 2}, name="d").spec
    kinds = [node.WhichOneof("target") for node in spec.nodes]
    assert kinds == ["gate_node", "task_node", "branch_node"]
    assert [sub.id.name.rpartition(".")[2] for sub in spec.subworkflows] == ["both"]
