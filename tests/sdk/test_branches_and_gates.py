"""Conditionals, gates and failure handlers: the nodes that they make, and what is said about mistakes."""

import datetime
import importlib.util
import re
import sys
from collections import OrderedDict

import pytest

from flyte_nb import (
    FlyteError,
    approve,
    conditional,
    sleep,
    task,
    wait_for_input,
    workflow,
)
from flyte_nb.api.errors import UsageError
from flyte_nb.api.identifiers import Scope
from flyte_nb.sdk.launch_plan import LaunchPlan
from flyte_nb.sdk.templates import workflow_template
from flyte_nb.types.registry import default_registry
from flyte_nb.wire.specs import workflow_spec_to_idl

PROGRAM = """
import datetime
from typing import Optional

@task
def a(x: int) -> int: return x

@task
def b(x: int) -> int: return x

@task
def nothing(x: int): pass

@task
def measured(x: int) -> float: return 1.0

@task
def clean(x: int, err: Optional[FlyteError] = None): pass

@workflow
def arms(x: int) -> int:
    y = a(x=x)
    z = (
        conditional("frac")
        .if_((y > 1) & (x < 5) | (y != 7))
        .then(a(x=y))
        .elif_(y == 3)
        .then(b(x=x))
        .elif_(y >= 3)
        .then(b(x=y))
        .else_()
        .fail("no")
    )
    return b(x=z)

@workflow
def nested(x: int) -> int:
    y = a(x=x)
    inner = conditional("outer").if_(x > 1)
    return inner.then(
        conditional("inner").if_(x <= 5).then(a(x=x)).else_().then(b(x=y))
    ).else_().then(b(x=x))

@workflow
def floats(x: int):
    conditional("c").if_(measured(x=x) > 0.5).then(nothing(x=x)).else_().then(a(x=x))

@workflow(on_failure=clean)
def gates(x: int) -> int:
    y = a(x=x)
    s = sleep(datetime.timedelta(seconds=5))
    v = wait_for_input("val", timeout=datetime.timedelta(hours=2), expected_type=int)
    p = approve(y, "ok", timeout=datetime.timedelta(hours=1))
    y >> s
    return b(x=p)
"""


def program(tmp_path, library):
    """The same source, once with flytekit's names and once with ours."""
    header = {
        "flytekit": "from flytekit import task, workflow, conditional, approve, sleep, wait_for_input\n"
        "from flytekit.types.error import FlyteError\n",
        "flyte_nb": "from flyte_nb import task, workflow, conditional, approve, sleep, wait_for_input\n"
        "from flyte_nb import FlyteError\n",
    }
    name = f"program_in_{library}"
    path = tmp_path / f"{name}.py"
    path.write_text(header[library] + PROGRAM)
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def traced(entity):
    return workflow_template(
        entity, Scope("p", "d", ""), default_registry(), version="v", version_of=lambda e: "v"
    )


def problems(entity):
    return [(problem.code, problem.message) for problem in traced(entity).problems]


def plain(template):
    text = "".join(map(str, (*template.nodes, template.failure_node, *template.outputs)))
    return re.sub(r'name: "[\w.]*\.(\w+)"', r'name: "\1"', text)


def test_nodes_are_those_of_flytekit(tmp_path):
    pytest.importorskip("flytekit")
    from flytekit.configuration import Image, ImageConfig, SerializationSettings
    from flytekit.tools.translator import get_serializable

    settings = SerializationSettings(
        project="p",
        domain="d",
        version="v",
        image_config=ImageConfig(default_image=Image("i", "x", "y")),
    )
    theirs, ours = program(tmp_path, "flytekit"), program(tmp_path, "flyte_nb")
    for name in ("arms", "nested", "gates"):
        wanted = get_serializable(OrderedDict(), settings, getattr(theirs, name)).template
        trace = traced(getattr(ours, name))
        assert not trace.problems
        made = workflow_spec_to_idl(trace.template, ()).template
        assert plain(made) == plain(wanted.to_flyte_idl()), name


@task
def double(x: int) -> int:
    return 2 * x


@task
def half(x: int) -> float:
    return x / 2


@task
def pair(x: int) -> tuple[int, str]:
    return x, str(x)


def test_a_call_that_is_compared_runs_before_the_branch():
    @workflow
    def wf(x: int) -> int:
        return conditional("c").if_(half(x=x) > 1).then(double(x=x)).else_().then(double(x=1))

    trace = traced(wf)
    assert not trace.problems
    assert [node.id for node in trace.template.nodes] == ["n0", "n1"]
    branch = trace.template.nodes[1]
    condition, node = branch.target.arms[0]
    assert condition.left == "n0.o0"
    assert condition.right.value == 1.0
    assert node.id == "n0"


def test_outputs_that_every_arm_has_are_outputs_of_the_branch():
    @workflow
    def wf(x: int) -> int:
        both = conditional("c").if_(x == 1).then(pair(x=x)).else_().then(double(x=x))
        return double(x=both)

    assert not traced(wf).problems


def test_parts_of_one_output_are_inputs_of_their_own():
    @task
    def table(x: int) -> list[int]:
        return [x]

    @workflow
    def wf(x: int) -> int:
        t = table(x=x)
        return conditional("c").if_(t[0] > t[1]).then(double(x=x)).else_().fail("no")

    branch = traced(wf).template.nodes[1]
    assert [binding.var for binding in branch.bindings] == ["n0.o0.0", "n0.o0.1"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("conditional('c').if_(x > 1).then(double(x=x))", "conditional('c') has no else_()."),
        ("conditional('c').if_(x)", "write a comparison of an input or output"),
        ("conditional('c').if_(x > 1).fail('no')", "only else_() can fail"),
        ("conditional('c').else_()", "write if_(…).then(…) before it"),
        ("conditional('c').elif_(x > 1)", "if_ begins it"),
        ("conditional('c').if_(x > 1).then(x)", "write a call of a task or workflow here"),
        ("conditional('c').if_(x > 1).then(3)", "write a call of a task or workflow here"),
        (
            "conditional('c').if_(x > 1).then(double(x=double(x=x))).else_().fail('no')",
            "double is called inside conditional('c') and is no arm of it",
        ),
        ("conditional('c').if_(x.is_none()).then(double(x=x))", "Flyte compares numbers, text"),
        (
            "conditional('c').if_(x == [1]).then(double(x=x)).else_().fail('no')",
            "The condition x == [1] cannot be decided",
        ),
        ("conditional('c').if_((x > 1) & True)", "Put each comparison in parentheses"),
        ("conditional('c').if_(x > 1 and x < 5)", "Join conditions with & and |"),
        ("conditional('c').if_(~(x > 1))", "Flyte has no not"),
        ("approve(x, 'ok')", "this is an input of the workflow"),
        ("approve(3, 'ok')", "give it one output of a call"),
        ("wait_for_input('', 5, int)", "A gate is answered by its name"),
        ("sleep('long')", "write seconds"),
        ("double(x=x > 1)", "x > 1 is a condition"),
    ],
)
def test_mistakes_are_said_at_their_line(body, said):
    names = {
        "conditional": conditional,
        "approve": approve,
        "sleep": sleep,
        "wait_for_input": wait_for_input,
        "double": double,
        "workflow": workflow,
        "__name__": "book_of_branches",
    }
    exec(f"@workflow\ndef wf(x: int):\n    {body}\n", names)
    found = traced(names["wf"]).problems
    assert len(found) == 1
    assert said in f"{found[0].message} {found[0].hint}"
    assert found[0].location is not None
    assert found[0].location.line == 3


def test_branches_and_gates_are_steps_of_workflows_only():
    for call in (
        lambda: conditional("c"),
        lambda: sleep(1),
        lambda: approve(1, "ok"),
        lambda: wait_for_input("v", 1, int),
    ):
        with pytest.raises(UsageError, match="@workflow or @dynamic"):
            call()


def test_a_sleep_of_hours_has_no_timeout():
    @workflow
    def wf():
        sleep(datetime.timedelta(hours=3))

    assert traced(wf).template.nodes[0].metadata.timeout_s is None


# Failure handlers


@task
def clean(x: int, err: "FlyteError | None" = None) -> None: ...


@task
def clean_all(err: "FlyteError | None") -> None: ...


@task
def clean_more(x: int, folder: str) -> None: ...


def test_a_handler_gets_the_inputs_that_it_names():
    @workflow(on_failure=clean_all)
    def wf(x: int) -> int:
        return double(x=x)

    trace = traced(wf)
    assert not trace.problems
    assert [each.short_name for each in trace.entities] == ["double", "clean_all"]
    assert trace.template.failure_node.id == "fn0"
    assert [binding.var for binding in trace.template.failure_node.bindings] == ["err"]


def test_a_workflow_and_a_launch_plan_can_handle_failures():
    @workflow
    def handler(x: int):
        clean(x=x)

    for entity in (handler, LaunchPlan.get_or_create(handler, "lp")):

        @workflow(on_failure=entity)
        def wf(x: int) -> int:
            return double(x=x)

        trace = traced(wf)
        assert not trace.problems
        assert trace.template.failure_node.target.reference.name.endswith(("handler", "lp"))


def test_a_handler_whose_input_nothing_gives_is_a_problem():
    @workflow(on_failure=clean_more)
    def wf(x: int) -> int:
        return double(x=x)

    ((code, message),) = problems(wf)
    assert code == "FailureHandlerInput"
    assert message.endswith("fails, and nothing gives it folder.")


def test_what_is_no_entity_cannot_handle_failures():
    with pytest.raises(UsageError, match="give it a function with @task"):
        workflow(on_failure=print)
