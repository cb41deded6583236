"""Options that came after versions were first made of them: they work, and count only when they are set."""

import pickle

import pytest

from flyte_nb import AuthRole, LaunchPlan, task, workflow
from flyte_nb.api.errors import UsageError
from flyte_nb.api.identifiers import Scope
from flyte_nb.drafting.versions import task_version
from flyte_nb.sdk.task import TaskOptions
from flyte_nb.sdk.templates import launch_plan_spec, task_template, workflow_template
from flyte_nb.types.registry import default_registry
from flyte_nb.wire.specs import launch_plan_to_idl, task_spec_to_idl, workflow_spec_to_idl

SCOPE = Scope(project="p", domain="d")


def double(x: int) -> int:
    return 2 * x


def template_of(entity):
    return task_template(entity, SCOPE, default_registry(), version="v")


def test_labels_and_annotations_are_those_of_the_pods():
    made = task(labels={"b": "2", "a": "1"}, annotations={"note": "x"})(double)
    metadata = task_spec_to_idl(template_of(made)).template.metadata.metadata
    assert dict(metadata.labels) == {"a": "1", "b": "2"}
    assert dict(metadata.annotations) == {"note": "x"}


def test_they_are_part_of_the_version_and_their_order_is_not():
    def version(**options):
        return task_version(template_of(task(**options)(double)), "f")

    one, other = {"a": "1", "b": "2"}, {"b": "2", "a": "1"}
    assert version(labels=one) == version(labels=other) != version()
    assert version(labels={}) == version()


@pytest.mark.parametrize("given", [["a"], {"a": 1}, "a"])
def test_labels_are_texts(given):
    with pytest.raises(UsageError, match="dict of texts"):
        task(labels=given)(double)


@pytest.mark.parametrize(
    "options", [TaskOptions(), TaskOptions(retries=2), TaskOptions(labels=(("a", "b"),), retries=1)]
)
def test_options_come_back_from_a_pickle_whichever_are_set(options):
    assert pickle.loads(pickle.dumps(options)) == options


def test_an_image_is_overridden_for_one_call():
    made = task(double)

    @workflow
    def wf(x: int) -> int:
        return made(x=made(x=x).with_overrides(container_image="img:2"))

    trace = workflow_template(wf, SCOPE, default_registry(), version="v")
    nodes = workflow_spec_to_idl(trace.template).template.nodes
    assert [node.task_node.overrides.container_image for node in nodes] == ["img:2", ""]


def test_an_auth_role_says_as_whom_executions_run():
    @workflow
    def wf(x: int) -> int:
        return task(double)(x=x)

    plan = LaunchPlan(wf, "p", auth_role=AuthRole("role", "account"))
    run_as = launch_plan_to_idl(
        launch_plan_spec(plan, SCOPE, default_registry())
    ).security_context.run_as
    assert (run_as.iam_role, run_as.k8s_service_account) == ("role", "account")


def test_a_tuple_of_types_is_two_outputs():
    def split(x: int) -> (int, str):
        return x, str(x)

    assert list(task(split).signature(default_registry()).interface.outputs) == ["o0", "o1"]
    assert task(split)(x=3) == (3, "3")
