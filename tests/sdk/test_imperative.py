"""Workflows that are put together call by call, and nodes that are made by `create_node`."""

import typing
from pathlib import Path

import pytest

import flyte_nb
from flyte_nb.api.errors import UsageError
from flyte_nb.api.identifiers import Scope
from flyte_nb.sdk.templates import workflow_template
from flyte_nb.types.registry import default_registry
from flyte_nb.wire.specs import workflow_spec_to_idl


def greet(a: str) -> str:
    return a + " world"


def tell():
    pass


def join(a: typing.List[str]) -> typing.Tuple[str, int]:
    return " ".join(a), len(a)


def built(package):
    """Put one workflow together by the functions of `package`."""
    t1, t2, t3 = (package.task(function) for function in (greet, tell, join))
    wb = package.Workflow(name="shop.built")
    wb.add_workflow_input("in1", str)
    first = wb.add_entity(t1, a=wb.inputs["in1"])
    second = wb.add_task(t2)
    third = wb.add_entity(t3, a=[wb.inputs["in1"], first.outputs["o0"], "x"])
    third.with_overrides(retries=2)
    first >> second
    wb.add_workflow_output("greeting", first.outputs["o0"])
    wb.add_workflow_output("count", third.o1)
    wb.add_workflow_output("all", [first.o0, third.o0], python_type=typing.List[str])
    return wb


def created(package, create_node):
    """Make the nodes of one workflow by `create_node`."""
    t1, t2 = package.task(greet), package.task(tell)

    def wf(x: str) -> str:
        one, two = create_node(t2), create_node(t1, a=x).with_overrides(timeout=60)
        one >> two
        return two.o0

    return package.workflow(wf)


def of_flyte_nb(workflow):
    scope = Scope(project="p", domain="d")
    traced = workflow_template(
        workflow, scope, default_registry(), version="v", version_of=lambda entity: "v"
    )
    assert traced.problems == ()
    return workflow_spec_to_idl(traced.template).template


@pytest.mark.parametrize("kind", ["built", "created"])
def test_the_nodes_are_flytekits(kind):
    import flytekit
    from flytekit.core.node_creation import create_node

    if kind == "built":
        ours, theirs = built(flyte_nb), built(flytekit)
    else:
        ours, theirs = created(flyte_nb, flyte_nb.create_node), created(flytekit, create_node)
    written = of_flyte_nb(ours)
    nodes = [(node.id, str(node.metadata)) for node in written.nodes]
    assert nodes == [(node.id, str(node.metadata.to_flyte_idl())) for node in theirs.nodes]
    for mine, other in zip(written.nodes, theirs.nodes, strict=True):
        assert [str(each) for each in mine.inputs] == [
            str(each.to_flyte_idl()) for each in other.bindings
        ]
        assert sorted(mine.upstream_node_ids) == sorted(node.id for node in other.upstream_nodes)
    outputs = {each.var: str(each.to_flyte_idl()) for each in theirs.output_bindings}
    assert {each.var: str(each) for each in written.outputs} == outputs


def test_it_runs_as_a_workflow_with_a_body_does():
    assert tuple(built(flyte_nb)(in1="hello")) == (
        "hello world",
        3,
        ["hello world", "hello hello world x"],
    )
    assert created(flyte_nb, flyte_nb.create_node)(x="big") == "big world"


def test_it_is_ready_when_every_input_is_used():
    wb = flyte_nb.Workflow(name="w")
    x = wb.add_workflow_input("x", str)
    assert not wb.ready()
    wb.add_entity(flyte_nb.task(tell))
    assert not wb.ready()
    wb.add_entity(flyte_nb.task(greet), a=x)
    assert wb.ready()


def test_a_failure_handler_gets_the_inputs():
    wb = flyte_nb.Workflow(name="w")
    wb.add_entity(flyte_nb.task(greet), a=wb.add_workflow_input("a", str))
    wb.add_on_failure_handler(flyte_nb.task(greet))
    template = of_flyte_nb(wb)
    assert template.failure_node.id == "fn0"
    assert [each.var for each in template.failure_node.inputs] == ["a"]


def test_a_part_of_an_output_is_an_input():
    @flyte_nb.task
    def several() -> dict[str, str]:
        return {"k": "v"}

    wb = flyte_nb.Workflow(name="w")
    wb.add_entity(flyte_nb.task(greet), a=wb.add_entity(several).o0["k"])
    [binding] = of_flyte_nb(wb).nodes[1].inputs
    assert binding.binding.promise.attr_path[0].string_value == "k"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: flyte_nb.Workflow(""), "give it a name"),
        (lambda: flyte_nb.Workflow("w").add_entity(greet), "write a task"),
        (lambda: twice(), "has an input x already"),
        (lambda: flyte_nb.Workflow("w").add_workflow_input("a b", int), "no name"),
        (lambda: flyte_nb.Workflow("w").add_workflow_output("o", [1]), "python_type"),
        (lambda: flyte_nb.Workflow("w").create_conditional("c"), "add_subwf"),
        (lambda: flyte_nb.create_node(flyte_nb.task(tell)), "body of a workflow"),
    ],
)
def test_what_cannot_be_meant_is_refused(make, words):
    with pytest.raises(UsageError) as caught:
        make()
    assert words in str(caught.value)


def twice():
    wb = flyte_nb.Workflow("w")
    wb.add_workflow_input("x", int)
    wb.add_workflow_input("x", int)


def test_an_output_that_does_not_exist_is_a_problem():
    wb = flyte_nb.Workflow(name="w")
    node = wb.add_entity(flyte_nb.task(greet), a="x")
    wb.add_entity(flyte_nb.task(greet), a=node.outputs["o7"])
    scope = Scope(project="p", domain="d")
    [problem] = workflow_template(wb, scope, default_registry(), version="v").problems
    assert "has no output o7. It has: o0." in problem.message


def test_a_problem_of_a_call_is_at_the_line_that_added_it():
    wb = flyte_nb.Workflow(name="w")
    wb.add_entity(flyte_nb.task(greet), a=7)
    scope = Scope(project="p", domain="d")
    [problem] = workflow_template(wb, scope, default_registry(), version="v").problems
    lines = Path(__file__).read_text().splitlines()
    line = next(number for number, text in enumerate(lines, 1) if "a=7)" in text)
    assert (problem.location.filename, problem.location.line) == (__file__, line)
