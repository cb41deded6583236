"""Options of launch plans: the specs equal flytekit's, and what cannot be meant is said."""

from collections import OrderedDict
from datetime import datetime, timedelta

import pytest

import flyte_nb
from flyte_nb import LaunchPlan, task, workflow
from flyte_nb.api.errors import UsageError
from flyte_nb.api.identifiers import Scope
from flyte_nb.sdk.templates import launch_plan_spec
from flyte_nb.types.registry import default_registry
from flyte_nb.wire.specs import launch_plan_to_idl


@task
def report(at: datetime, size: int) -> int:
    return size


@workflow
def wf(at: datetime, size: int = 3) -> int:
    return report(at=at, size=size)


def spec_of(plan):
    scope = Scope(project="p", domain="d")
    return launch_plan_to_idl(
        launch_plan_spec(plan, scope, default_registry(), version="v", workflow_version="v")
    )


def options(package):
    """Return options of every kind, with the values of `package`."""
    import flytekit
    from flytekit.models import common, concurrency, security
    from flytekit.models.core.execution import WorkflowExecutionPhase as Phase

    ours = package is flyte_nb
    other = flyte_nb if ours else common
    phase = flyte_nb.WorkflowExecutionPhase if ours else Phase
    identity = (flyte_nb if ours else security).Identity(k8s_service_account="runner", iam_role="r")
    limit = (flyte_nb if ours else concurrency).ConcurrencyPolicy(max_concurrency=2)
    context = (flyte_nb if ours else security).SecurityContext(run_as=identity)
    assert package in (flyte_nb, flytekit)
    return {
        "cron": {"schedule": package.CronSchedule(
            schedule="*/5 6-9 * * MON", offset="PT10M", kickoff_time_input_arg="at")},
        "a word": {"schedule": package.CronSchedule(schedule="@daily", kickoff_time_input_arg="at")},
        "minutes": {"schedule": package.FixedRate(
            duration=timedelta(minutes=90), kickoff_time_input_arg="at")},
        "hours": {"schedule": package.FixedRate(timedelta(hours=36), kickoff_time_input_arg="at")},
        "days": {"schedule": package.FixedRate(timedelta(days=2), "at")},
        "notifications": {
            "notifications": [
                package.Email([phase.FAILED, phase.ABORTED], ["a@b.c"]),
                package.Slack([phase.SUCCEEDED], ["s@b.c"]),
                package.PagerDuty([phase.TIMED_OUT], ["p@b.c", "q@b.c"]),
            ]
        },
        "labels": {"labels": other.Labels({"team": "a"}), "annotations": other.Annotations({"n": "1"})},
        "raw output": {"raw_output_data_config": other.RawOutputDataConfig("s3://bucket/x")},
        "security": {"security_context": context},
        "parallelism": {"max_parallelism": 4, "overwrite_cache": True},
        "concurrency": {"concurrency": limit},
    }  # fmt: skip


@pytest.mark.parametrize("name", list(options(flyte_nb)))
def test_the_spec_is_flytekits(name):
    import flytekit
    from flytekit.configuration import Image, ImageConfig, SerializationSettings
    from flytekit.tools.translator import get_serializable_launch_plan

    theirs = flytekit.workflow(wf_of_flytekit)
    plan = flytekit.LaunchPlan(
        name="plan",
        workflow=theirs,
        parameters=flytekit.LaunchPlan.get_default_launch_plan(
            flytekit.current_context(), theirs
        ).parameters,
        fixed_inputs=flytekit.models.literals.LiteralMap({}),
        **options(flytekit)[name],
    )
    settings = SerializationSettings(
        ImageConfig(Image("default", "x", "y")), project="p", domain="d", version="v"
    )
    serialized = get_serializable_launch_plan(
        OrderedDict(), settings, plan, recurse_downstream=False
    )
    expected = serialized.to_flyte_idl().spec
    written = spec_of(LaunchPlan(wf, "plan", **options(flyte_nb)[name]))
    for message in (expected, written):
        message.ClearField("workflow_id")
        message.ClearField("default_inputs")
    assert str(written) == str(expected)


def wf_of_flytekit(at: datetime, size: int = 3) -> int:
    from flytekit import task as flytekit_task

    return flytekit_task(report.function)(at=at, size=size)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: flyte_nb.CronSchedule(schedule="0 6 * *"), "has 4 fields"),
        (lambda: flyte_nb.CronSchedule(schedule="61 6 * * *"), "'61' is no minute"),
        (lambda: flyte_nb.CronSchedule(schedule="0 9-6 * * *"), "'9-6' is no hour"),
        (lambda: flyte_nb.CronSchedule(schedule="0 6 * FOO *"), "'FOO' is no month"),
        (lambda: flyte_nb.CronSchedule(schedule="*/0 6 * * *"), "no minute"),
        (lambda: flyte_nb.CronSchedule("0 6 ? * MON *"), "AWS"),
        (lambda: flyte_nb.CronSchedule(), "write e.g."),
        (lambda: flyte_nb.CronSchedule(schedule="@daily", offset="10 min"), "ISO 8601"),
        (lambda: flyte_nb.FixedRate(timedelta(seconds=90)), "whole minutes"),
        (lambda: flyte_nb.FixedRate(10), "whole minutes"),
        (lambda: flyte_nb.Email(["RUNNING"], ["a@b.c"]), "ends in"),
        (lambda: flyte_nb.Email([], ["a@b.c"]), "name a phase"),
        (lambda: flyte_nb.Email(["FAILED"], "a@b.c"), "list of addresses"),
        (lambda: LaunchPlan(wf, "x", schedule="@daily"), "CronSchedule or a FixedRate"),
        (lambda: LaunchPlan(wf, "x", notifications=["me"]), "Email"),
        (lambda: LaunchPlan(wf, "x", concurrency=1), "max_concurrency=1"),
        (lambda: LaunchPlan(wf, "x", trigger=1), "write schedule="),
        (lambda: LaunchPlan(wf, "x", scheduled=1), "no option 'scheduled'"),
        (lambda: LaunchPlan(wf, schedule=flyte_nb.FixedRate(timedelta(hours=1))), "without a name"),
    ],
)
def test_what_cannot_be_meant_is_refused(make, words):
    with pytest.raises(UsageError) as caught:
        make()
    assert words in str(caught.value)


def test_a_schedule_needs_a_value_for_every_input():
    plan = LaunchPlan(wf, "nightly", schedule=flyte_nb.CronSchedule(schedule="@daily"))
    [problem] = plan.read(default_registry()).problems
    assert "nothing gives the input at" in problem.message
    ready = LaunchPlan(
        wf,
        "nightly",
        schedule=flyte_nb.CronSchedule(schedule="@daily", kickoff_time_input_arg="at"),
    )
    assert ready.read(default_registry()).problems == ()


def test_the_kickoff_argument_names_an_input_of_type_datetime():
    rate = flyte_nb.FixedRate(timedelta(hours=1), kickoff_time_input_arg="size")
    plan = LaunchPlan(
        wf, "often", schedule=rate, default_inputs={"at": datetime.now().astimezone()}
    )
    [problem] = plan.read(default_registry()).problems
    assert "names no input of type datetime" in problem.message


def test_equal_options_make_equal_launch_plans_and_others_do_not():
    def make(minutes):
        return LaunchPlan(wf, "p", schedule=flyte_nb.FixedRate(timedelta(minutes=minutes)))

    assert make(5).is_same(make(5))
    assert not make(5).is_same(make(6))
