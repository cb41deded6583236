"""`execution.nodes[…].why()`: a cached result was found, or was not and because of what."""

import importlib.util
import sys
from pathlib import Path

import pytest

from flyte_nb.admin.services.alike import ALIKE
from flyte_nb.api.errors import USER, ErrorInfo
from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.client.admin_client import AdminClient
from flyte_nb.client.channel import Link
from flyte_nb.client.data import KernelData
from flyte_nb.client.targets import local_target
from flyte_nb.executions.execution import Execution
from flyte_nb.executions.session_context import SessionContext
from flyte_nb.storage import open_stores
from flyte_nb.types.registry import default_registry

_ADMIN = Path(__file__).parents[1] / "admin"


def _load(name):
    spec = importlib.util.spec_from_file_location(f"reasons_{name}", _ADMIN / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


specs, places = _load("specs"), _load("place")
BODY = {"body": "aaaa", "helper scale()": "bbbb"}


class Bench:
    """A backend with a session's context."""

    def __init__(self, folder, link):
        self.place = places.Place(folder, specs)
        target = local_target(self.place.backend.endpoint, self.place.home.token(), "")
        self.link = Link(lambda: target)
        self.client = AdminClient(self.link)

    def register(self, version="v1", *, cache_version="1", ignored=(), parts=None, cached=True):
        admin = self.place.admin
        task = specs.task_request("tasks.score", version)
        template = task.spec.template
        for name in ("a", "b"):
            template.interface.inputs.variables[name].type.simple = 1
        del template.interface.inputs.variables["n"]
        template.metadata.discoverable = cached
        template.metadata.discovery_version = cache_version
        template.metadata.cache_ignore_input_vars.extend(ignored)
        if parts is not None:
            template.custom.update({"flyte_nb": {"parts": parts, "python": "3.12", "sdk": "1"}})
        admin.CreateTask(task)
        workflow = specs.workflow_request("flows.score", version, "tasks.score", length=1)
        made = workflow.spec.template
        made.id.version = version
        made.interface.inputs.CopyFrom(template.interface.inputs)
        node = made.nodes[0]
        node.task_node.reference_id.version = version
        del node.inputs[:]
        for name in ("a", "b"):
            node.inputs.add(var=name).binding.promise.var = name
        admin.CreateWorkflow(workflow)
        plan = specs.launch_plan_request("flows.score", version, "flows.score")
        plan.spec.workflow_id.version = version
        admin.CreateLaunchPlan(plan)

    def run(self, name, version="v1", *, a=1, b=2, **spec):
        request = specs.execution_request(name, "flows.score", a=a, b=b)
        request.spec.launch_plan.version = version
        for field, value in spec.items():
            setattr(request.spec, field, value)
        self.place.admin.CreateExecution(request)
        self.place.end(name)
        return self.execution(name)

    def execution(self, name):
        context = SessionContext(self.client, default_registry(), KernelData(open_stores()))
        return Execution(ExecutionId(specs.PROJECT, specs.DOMAIN, name), context)


@pytest.fixture
def bench(tmp_path):
    made = Bench(tmp_path / "home", None)
    made.place.answer = lambda attempt: specs.literals(o0=1)
    yield made
    made.link.close()
    made.place.backend.stop(grace_s=0)


@pytest.fixture(params=["local backend", "another FlyteAdmin"])
def either(bench, request):
    """The backend with and without its own call: a real FlyteAdmin has none."""
    if request.param != "local backend":
        real = bench.client.call

        def call(method, message, **options):
            return real("/flyte_nb.Nowhere/None" if method == ALIKE else method, message, **options)

        bench.client.call = call
    return bench


def test_the_first_call_is_a_miss_without_anything_before_it(either):
    either.register(parts=BODY)
    why = either.run("first").nodes["n0"].why()
    assert (why.outcome, why.since, why.changes) == ("miss", None, ())
    assert why.reason == "No earlier result of this task is known here."
    assert why.key.dataset.cache_version == "1"
    assert sorted(why.key.inputs) == ["a", "b"]
    assert why.ran.parts == BODY
    assert (why.ran.task.name, why.ran.task.version) == ("tasks.score", "v1")


def test_a_hit_names_the_execution_that_computed_the_result(either):
    either.register()
    either.run("first")
    either.run("second")
    why = either.run("third").nodes["n0"].why()
    assert (why.outcome, why.since.name, why.since_node) == ("hit", "first", "n0")
    assert why.reason == "first (n0) computed the result."


def test_a_miss_names_the_inputs_that_changed_since_the_most_similar_call(either):
    either.register()
    either.run("first", a=1, b=2)
    either.run("far", a=7, b=8)
    why = either.run("third", a=5, b=2).nodes["tasks.score"].why()
    assert (why.outcome, why.since.name) == ("miss", "first")
    assert [(change.part, change.name) for change in why.changes] == [("input", "a")]
    assert why.reason == "Since first (n0): a is 5 and was 1."


def test_a_version_that_follows_the_code_names_the_part_of_the_code(either):
    either.register("v1", cache_version="code1", parts=BODY)
    either.run("first")
    changed = {"body": "cccc", "global labels": "dddd"}
    either.register("v2", cache_version="code2", parts=changed)
    why = either.run("second", "v2").nodes["n0"].why()
    assert why.reason == (
        "Since first (n0): body changed; it now depends on global labels;"
        " it no longer depends on helper scale()."
    )
    assert {change.part for change in why.changes} == {"code"}


def test_a_version_of_the_authors_own_is_named(either):
    either.register("v1", cache_version="1")
    either.run("first")
    either.register("v2", cache_version="2-beta")
    why = either.run("second", "v2").nodes["n0"].why()
    assert why.reason == "Since first (n0): the cache version is '2-beta' and was '1'."
    assert why.key.dataset.cache_version == "2-beta"


def test_a_hit_says_when_the_code_is_not_the_one_that_computed_the_result(bench):
    bench.register("v1", parts=BODY)
    bench.run("first")
    bench.register("v2", parts={**BODY, "body": "cccc"})
    why = bench.run("second", "v2").nodes["n0"].why()
    assert why.outcome == "hit"
    assert "The code is not the same (body changed)" in why.reason


def test_inputs_that_are_ignored_do_not_count(either):
    either.register(ignored=["b"])
    either.run("first", b=2)
    why = either.run("second", b=3).nodes["n0"].why()
    assert why.outcome == "hit"
    assert (sorted(why.key.inputs), why.key.ignored) == (["a"], ("b",))
    assert "b: ignored" in repr(why)


def test_what_was_asked_for_and_what_is_not_cached_is_said(bench):
    bench.register("v1", cached=False)
    assert bench.run("plain").nodes["n0"].why().outcome == "not cached"
    bench.register("v2")
    bench.run("first", "v2")
    why = bench.run("second", "v2", overwrite_cache=True).nodes["n0"].why()
    assert why.outcome == "overwritten"


def test_a_result_that_was_never_kept_is_no_riddle(bench):
    bench.register()
    bench.place.answer = lambda attempt: ErrorInfo("USER:ValueError", "no", USER)
    bench.run("first")
    bench.place.answer = lambda attempt: specs.literals(o0=1)
    why = bench.run("second").nodes["n0"].why()
    assert why.reason == "first (n0) looked for the same result and is FAILED: it left none."


def test_a_result_whose_entry_is_gone_is_told(bench):
    bench.register()
    bench.run("first")
    for entry in (bench.place.home.objects / "catalog").rglob("*.pb"):
        entry.unlink()
    why = bench.run("second").nodes["n0"].why()
    assert why.reason.startswith("first (n0) computed the same, and its result is no longer kept")


def test_a_recovered_node_names_where_it_succeeded(bench):
    bench.register()
    bench.run("first")
    bench.place.recover("first", "again")
    why = bench.execution("again").nodes["n0"].why()
    assert (why.outcome, why.since.name) == ("recovered", "first")


def test_nodes_are_found_by_id_and_by_name_and_others_are_named(bench):
    bench.register()
    nodes = bench.run("first").nodes
    assert list(nodes) == ["n0"]
    assert nodes["score"].outputs() == {"o0": 1}
    assert nodes["n0"].inputs() == {"a": 1, "b": 2}
    assert repr(nodes["n0"]) == "<node n0 (tasks.score) of first, SUCCEEDED>"
    with pytest.raises(KeyError, match="there are: n0"):
        nodes["n9"]


def test_a_why_can_be_read(bench):
    bench.register(parts=BODY)
    bench.run("first")
    text = repr(bench.run("second", a=9).nodes["n0"].why())
    assert text.startswith("n0 tasks.score: miss. Since first (n0): a is 9 and was 1.")
    assert "    helper scale(): bbbb" in text
