"""What a workflow's body becomes: nodes, bindings, order, and every problem at once."""

import dataclasses
import sys
from typing import Any, NamedTuple, Optional, Tuple

import pytest

from flyte_nb.api.identifiers import Identifier, Scope
from flyte_nb.api.literals import Literal
from flyte_nb.api.specs import (
    Binding,
    BindingCollection,
    BindingMap,
    NodeMetadata,
    OutputReference,
    Resources,
    TaskNode,
    WorkflowNode,
)
from flyte_nb.sdk.kinds.dynamic import dynamic
from flyte_nb.sdk.options import Cache
from flyte_nb.sdk.options import Resources as Asked
from flyte_nb.sdk.task import task
from flyte_nb.sdk.workflow import Trace, Workflow, workflow
from flyte_nb.types.registry import Registry, default_registry

SCOPE = Scope("p", "d", "book")


class Split(NamedTuple):
    train: int
    test: int


@dataclasses.dataclass
class Point:
    x: int
    y: float


@task
def inc(a: int, b: int = 1) -> int:
    return a + b


@task
def total(numbers: list[int]) -> int:
    return sum(numbers)


@task
def merge(parts: dict[str, int]) -> int:
    return sum(parts.values())


@task
def pair(a: int) -> Tuple[int, str]:
    return a, "s"


@task
def split(a: int) -> Split:
    return Split(a, a)


@task
def point(a: int) -> Point:
    return Point(a, 0.5)


@task
def points(a: int) -> list[Point]:
    return [Point(a, 0.5)]


@task
def half(v: float) -> float:
    return v / 2


@task
def quiet() -> None:
    pass


@task
def maybe(v: Optional[list[int]] = None) -> int:
    return len(v or [])


def trace(entity: Workflow, registry: Registry | None = None) -> Trace:
    return entity.trace(registry or default_registry(), SCOPE)


def clean(entity: Workflow) -> Trace:
    found = trace(entity)
    assert found.problems == ()
    return found


def test_calls_become_nodes_in_order_with_ids_that_count():
    @workflow
    def wf(n: int) -> int:
        return inc(a=inc(a=n), b=2)

    template = clean(wf).template
    assert [node.id for node in template.nodes] == ["n0", "n1"]
    assert template.nodes[0].bindings == (
        Binding("a", OutputReference("", "n")),
        Binding("b", Literal("integer", 1)),
    )
    assert template.nodes[1].bindings == (
        Binding("a", OutputReference("n0", "o0")),
        Binding("b", Literal("integer", 2)),
    )
    assert template.nodes[1].upstream_node_ids == ("n0",)
    assert template.nodes[1].metadata == NodeMetadata("inc")
    assert template.outputs == (Binding("o0", OutputReference("n1", "o0")),)
    target = template.nodes[0].target
    assert isinstance(target, TaskNode)
    assert target.reference == Identifier("task", "p", "d", f"{__name__}.inc")


def test_a_name_of_main_gets_the_notebooks_name():
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec(
        "from flyte_nb import task, workflow\n"
        "@task\ndef one() -> int:\n    return 1\n"
        "@workflow\ndef wf() -> int:\n    return one()\n",
        namespace,
    )
    template = clean(namespace["wf"]).template
    assert template.id.name == "book.wf"
    assert template.nodes[0].target.reference.name == "book.one"


def test_every_node_knows_the_line_of_its_call():
    @workflow
    def wf(n: int) -> int:
        a = inc(a=n)
        return inc(
            a=a,
        )

    first = wf.function.__code__.co_firstlineno
    lines = [node.location.line - first for node in clean(wf).template.nodes if node.location]
    assert lines == [2, 3]
    assert {node.location.filename for node in clean(wf).template.nodes if node.location} == {
        __file__
    }


def test_multiple_outputs_are_unpacked_by_position():
    @workflow
    def wf(n: int) -> Tuple[str, int]:
        number, text = pair(a=n)
        return text, number

    assert clean(wf).template.outputs == (
        Binding("o0", OutputReference("n0", "o1")),
        Binding("o1", OutputReference("n0", "o0")),
    )


def test_named_outputs_are_taken_by_name_and_returned_as_they_are():
    @workflow
    def wf(n: int) -> Split:
        parts = split(a=n)
        return Split(train=parts.test, test=inc(a=parts.train))

    found = clean(wf)
    assert list(found.template.interface.outputs) == ["train", "test"]
    assert found.template.outputs == (
        Binding("test", OutputReference("n1", "o0")),
        Binding("train", OutputReference("n0", "test")),
    )

    @workflow
    def whole(n: int) -> Split:
        return split(a=n)

    assert [binding.var for binding in clean(whole).template.outputs] == ["test", "train"]


def test_arguments_by_position_go_to_the_inputs_in_order():
    @workflow
    def wf(n: int) -> int:
        return inc(n, 5)

    assert clean(wf).template.nodes[0].bindings[1] == Binding("b", Literal("integer", 5))


def test_shift_orders_calls_without_data_and_chains():
    @workflow
    def wf(n: int) -> None:
        a = quiet()
        b = inc(a=n)
        c = pair(a=1)
        a >> b >> c
        quiet().runs_before(a)

    nodes = clean(wf).template.nodes
    assert [node.upstream_node_ids for node in nodes] == [("n3",), ("n0",), ("n1",), ()]


def test_upstream_ids_are_sorted_by_number_and_each_once():
    @workflow
    def wf(n: int) -> int:
        values = [inc(a=n) for _ in range(12)]
        last = total(numbers=values[::-1])
        values[3] >> last
        return last

    assert clean(wf).template.nodes[12].upstream_node_ids == tuple(f"n{i}" for i in range(12))


def test_lists_and_dicts_may_hold_promises():
    @workflow
    def wf(n: int) -> int:
        a = inc(a=n)
        b = merge(parts={"x": a, "y": 3})
        return total(numbers=[a, 4, b])

    nodes = clean(wf).template.nodes
    assert nodes[1].bindings[0].data == BindingMap(
        {"x": OutputReference("n0", "o0"), "y": Literal("integer", 3)}
    )
    assert nodes[2].bindings[0].data == BindingCollection(
        (OutputReference("n0", "o0"), Literal("integer", 4), OutputReference("n1", "o0"))
    )
    assert nodes[2].upstream_node_ids == ("n0", "n1")


def test_a_list_of_promises_fits_an_optional_list():
    @workflow
    def wf(n: int) -> int:
        return maybe(v=[inc(a=n)])

    assert clean(wf).template.nodes[1].bindings[0].data == BindingCollection(
        (OutputReference("n0", "o0"),)
    )


def test_attribute_paths_reach_into_dataclasses_lists_and_inputs():
    @workflow
    def wf(p: Point, names: dict[str, int]) -> float:
        inc(a=names["k"])
        inc(a=p.x)
        return half(v=points(a=point(a=1).x)[0].y)

    template = clean(wf).template
    assert template.nodes[0].bindings[0].data == OutputReference("", "names", ("k",))
    assert template.nodes[1].bindings[0].data == OutputReference("", "p", ("x",))
    assert template.nodes[4].bindings[0].data == OutputReference("n3", "o0", (0, "y"))


def test_a_sub_workflow_is_a_node_of_its_own_kind():
    @workflow
    def inner(x: int, y: int = 7) -> int:
        return inc(a=x, b=y)

    @workflow
    def outer(n: int) -> int:
        return inner(x=n)

    found = clean(outer)
    node = found.template.nodes[0]
    assert isinstance(node.target, WorkflowNode)
    assert node.bindings[1] == Binding("y", Literal("integer", 7))
    assert found.entities == (inner,)


def test_references_carry_the_versions_that_are_asked_for():
    @workflow
    def wf(n: int) -> int:
        return inc(a=n)

    versions = {"inc": "v7"}
    found = wf.trace(default_registry(), SCOPE, lambda entity: versions[entity.short_name])
    assert found.template.nodes[0].target.reference.version == "v7"


def test_overrides_add_up_and_belong_to_one_call():
    @workflow
    def wf(n: int) -> int:
        a = inc(a=n).with_overrides(retries=3, node_name="First step")
        a.with_overrides(timeout=60, cache=Cache(version="1"), requests=Asked(cpu="1"))
        return inc(a=a)

    first, second = clean(wf).template.nodes
    assert first.id == "first-step"
    assert first.metadata == NodeMetadata(
        "inc", timeout_s=60.0, retries=3, cacheable=True, cache_version="1"
    )
    assert isinstance(first.target, TaskNode)
    assert first.target.resources == (Resources(cpu="1"), Resources())
    assert second.bindings[0].data == OutputReference("first-step", "o0")
    assert second.upstream_node_ids == ("first-step",)
    assert second.metadata == NodeMetadata("inc")


def test_a_serialized_cache_of_one_call_is_carried():
    @workflow
    def wf(n: int) -> int:
        a = inc(a=n).with_overrides(cache=Cache(version="2", serialize=True))
        b = inc(a=a).with_overrides(cache=True, cache_serialize=True)
        return inc(a=b).with_overrides(cache=Cache())

    first, second, third = (node.metadata for node in clean(wf).template.nodes)
    assert (first.cacheable, first.cache_version, first.cache_serializable) == (True, "2", True)
    assert (second.cacheable, second.cache_serializable) == (True, True)
    # Without a version the task's own counts, which follows its code.
    assert third == NodeMetadata("inc", cacheable=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"cache": Cache(version="1", ignored_inputs=("a",))},
            "Flyte ignores inputs for all calls",
        ),
        ({"cache_serialize": 1}, "write cache_serialize=True"),
    ],
)
def test_options_that_one_call_cannot_have_are_refused_at_their_line(options, message):
    @workflow
    def wf(n: int) -> int:
        return inc(a=n).with_overrides(**options)

    assert message in wf.trace(default_registry(), SCOPE).problems[0].message


@pytest.mark.parametrize("options", [{"cache": True}, {"requests": Asked(cpu="1")}])
def test_options_of_tasks_are_refused_at_a_workflows_call(options):
    @workflow
    def inner(n: int) -> int:
        return inc(a=n)

    @workflow
    def wf(n: int) -> int:
        return inner(n=n).with_overrides(**options)

    assert "option of tasks" in wf.trace(default_registry(), SCOPE).problems[0].message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"timeout": "10m"}, "timeout='10m': write seconds"),
        ({"timeout": -1}, "timeout=-1: write seconds"),
        ({"retries": True}, "retries=True: write a number"),
        ({"cache": "v1"}, "write cache=True or cache=Cache(version=…)"),
        ({"resources": {"cpu": "1"}}, "write resources=Resources(cpu=…, mem=…)"),
        ({"requests": "1"}, "write requests=Resources(cpu=…, mem=…)"),
        ({"interruptible": "no"}, "write interruptible=True or"),
        ({"node_name": "日本"}, "write letters or digits"),
        ({"node_name": 5}, "node_name=5: write text"),
        ({"memory": "1Gi"}, "has no option 'memory'"),
    ],
)
def test_an_override_with_an_impossible_value_is_a_problem_at_its_line(options, message):
    @workflow
    def wf(n: int) -> int:
        return inc(a=n).with_overrides(**options)

    (problem,) = trace(wf).problems
    assert message in problem.message
    assert problem.location.line == wf.location.line + 2


def test_outputs_and_nested_bindings_follow_a_renamed_node():
    @workflow
    def wf(n: int) -> int:
        a = inc(a=n)
        b = total(numbers=[a, merge(parts={"k": a})])
        a.with_overrides(node_name="start")
        b.with_overrides(node_name="end")
        return b

    template = clean(wf).template
    assert template.nodes[2].bindings[0].data == BindingCollection(
        (OutputReference("start", "o0"), OutputReference("n1", "o0"))
    )
    assert template.nodes[1].bindings[0].data == BindingMap({"k": OutputReference("start", "o0")})
    assert template.outputs[0].data == OutputReference("end", "o0")


def test_two_nodes_cannot_have_one_id():
    @workflow
    def wf(n: int) -> None:
        inc(a=n).with_overrides(node_name="x")
        inc(a=n).with_overrides(node_name="x")

    assert [problem.code for problem in trace(wf).problems] == ["DuplicateNodeId"]


def test_all_problems_are_reported_at_once_each_at_its_node():
    @workflow
    def wf(n: int) -> int:
        inc(a="3")
        inc(a=n, c=4)
        inc(b=1)
        total(numbers=[1, "x", n])
        inc(1, 2, 3)
        inc(1, a=2)
        inc(a=pair(a=n))
        inc(a=quiet())
        inc(a=[n])
        return pair(a=n)

    found = trace(wf)
    told = [(p.code, p.node_id, p.variable) for p in found.problems]
    assert told == [
        ("ValueDoesNotFit", "n0", "a"),
        ("VariableNameNotFound", "n1", "c"),
        ("ParameterNotBound", "n2", "a"),
        ("ValueDoesNotFit", "n3", "numbers"),
        ("TooManyArguments", "n4", ""),
        ("ParameterBoundMoreThanOnce", "n5", "a"),
        ("ValueDoesNotFit", "n7", "a"),
        ("ValueDoesNotFit", "n9", "a"),
        ("ValueDoesNotFit", "n10", "a"),
        ("ValueDoesNotFit", "", "o0"),
    ]
    by_node = {p.node_id: p for p in found.problems}
    assert by_node["n0"].message == "inc.a: Expected int, got str '3'."
    assert by_node["n0"].hint == "Write a=3."
    assert "(at $[1])" in by_node["n3"].message
    assert "has 2 outputs" in by_node["n7"].message
    assert all(p.entity == f"{__name__}.{wf.short_name}" for p in found.problems)
    first = wf.function.__code__.co_firstlineno
    assert [p.location.line - first for p in found.problems[:3] if p.location] == [2, 3, 4]
    assert len(found.template.nodes) == 12


def test_a_misspelt_input_gets_the_nearest_name():
    @task
    def fit(depth: int = 3) -> int:
        return depth

    @workflow
    def wf() -> int:
        return fit(dpeth=4)

    problem = trace(wf).problems[0]
    assert problem.message == "fit has no input dpeth."
    assert problem.hint == "Did you mean depth? Write depth=…."


def test_a_body_that_raises_keeps_the_nodes_before_and_names_the_line():
    def helper() -> None:
        raise KeyError("lost")

    @workflow
    def wf(n: int) -> int:
        inc(a=n)
        helper()
        return inc(a=n)

    found = trace(wf)
    problem = found.problems[0]
    assert len(found.template.nodes) == 1
    assert problem.code == "WorkflowBody"
    assert "KeyError: 'lost'" in problem.message
    assert problem.location is not None
    assert problem.location.line == helper.__code__.co_firstlineno + 1


@pytest.mark.parametrize(
    "expression",
    [
        "n + 1",
        "1 - n",
        "-n",
        "not n",
        "1 if n < 3 else 0",
        "1 < n < 3",
        "int(n)",
        "range(n)",
        "len(n)",
        "[*n]",
        "3 in n",
        "n()",
        "f'{n}'",
        "str(n)",
        "'%s' % n",
        "inc(a=n) if n else 0",
    ],
)
def test_computing_with_a_promise_is_a_clear_problem(expression):
    namespace: dict[str, Any] = {"inc": inc, "workflow": workflow, "__name__": "book_of_tests"}
    exec(f"@workflow\ndef wf(n: int) -> int:\n    return {expression}\n", namespace)
    problem = trace(namespace["wf"]).problems[0]
    assert problem.code == "WorkflowBody"
    if "<" in expression:
        assert "is decided when the workflow runs" in problem.message
    else:
        assert problem.message.startswith("n is made when the workflow runs")
        assert problem.message.endswith("Move that line into a task.")
    assert problem.location is not None
    assert problem.location.line == 3


def test_parts_that_a_value_does_not_have_are_problems():
    @workflow
    def wf(n: int, p: Point) -> None:
        inc(a=p.z)

    assert "p has no field 'z'. It has: x, y." in trace(wf).problems[0].message

    @workflow
    def other(n: int) -> None:
        inc(a=n.x)

    assert "n is int, which has no field 'x'" in trace(other).problems[0].message

    @workflow
    def named(n: int) -> None:
        inc(a=split(a=n).trian)

    assert "split has no output trian. It has: train, test." in trace(named).problems[0].message


@pytest.mark.parametrize(
    ("annotation", "value", "message"),
    [
        ("int", "None", "Expected int, got None."),
        ("None", "inc(a=n)", "It returns <promise inc(): int>, and its signature has no output."),
        ("tuple[int, int]", "inc(a=n)", "It has 2 outputs, and returns"),
        ("tuple[int, int]", "(1, 2, 3)", "It has 2 outputs, and returns 3 values."),
        ("Split", "1", "It has 2 outputs, and returns int 1."),
    ],
)
def test_outputs_that_do_not_match_the_signature_are_problems(annotation, value, message):
    namespace: dict[str, Any] = {**globals(), "__name__": "book_of_tests"}
    exec(f"@workflow\ndef wf(n: int) -> {annotation}:\n    return {value}\n", namespace)
    problem = trace(namespace["wf"]).problems[0]
    assert message in problem.message


def test_a_constant_may_be_an_output():
    @workflow
    def wf() -> int:
        return 3

    assert clean(wf).template.outputs == (Binding("o0", Literal("integer", 3)),)


def test_problems_of_a_tasks_signature_are_reported_with_the_workflow():
    @task
    def odd(a, b: int) -> int:
        return b

    @workflow
    def wf(n: int, m) -> int:
        return odd(a=m, b=n)

    told = [(p.entity, p.code, p.variable) for p in trace(wf).problems]
    assert told == [("wf", "MissingAnnotation", "m"), ("odd", "MissingAnnotation", "a")]


def test_an_output_whose_type_is_a_problem_causes_no_others():
    @task
    def odd(a: int) -> tuple[int, list]:
        return a, []

    @task
    def one(a: int) -> list:
        return []

    @workflow
    def wf(n: int) -> int:
        first, second = odd(a=n)
        total(numbers=second)
        total(numbers=one(a=first))
        return first

    assert [(p.entity, p.variable) for p in trace(wf).problems] == [("odd", "o1"), ("one", "o0")]


def test_a_redefined_task_is_what_the_next_trace_sees():
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec(
        "from flyte_nb import task, workflow\n"
        "@task\ndef step(a: int) -> int:\n    return a\n"
        "@workflow\ndef wf(n: int) -> int:\n    return step(a=n)\n",
        namespace,
    )
    wf = namespace["wf"]
    registry = default_registry()
    assert trace(wf, registry).problems == ()
    exec("@task\ndef step(a: str) -> int:\n    return 1\n", namespace)
    found = trace(wf, registry)
    assert found.entities == (namespace["step"],)
    assert found.entities[0].signature(registry).interface.inputs["a"].type.value == "string"


def test_two_definitions_of_one_name_are_a_problem():
    def make(factor: int) -> Any:
        @task
        def scale(a: int) -> int:
            return a * factor

        return scale

    one, two = make(1), make(2)

    @workflow
    def wf(n: int) -> int:
        return one(a=two(a=n))

    problem = trace(wf).problems[0]
    assert problem.code == "DuplicateName"
    assert "scale" in problem.message


def test_a_trace_leaves_no_frame_behind_even_when_the_body_raises():
    from flyte_nb.sdk import context

    @workflow
    def wf() -> None:
        raise ValueError("no")

    trace(wf)
    assert context.frame.get() is None


def test_ten_thousand_nodes_need_no_recursion():
    @workflow
    def wf(n: int) -> int:
        value = n
        for _ in range(10_000):
            value = inc(a=value)
        return value

    nodes = clean(wf).template.nodes
    assert len(nodes) == 10_000
    assert sys.getrecursionlimit() < 10_000
    assert nodes[-1].id == "n9999"


def test_node_places_in_a_long_body_are_right():
    source = "@workflow\ndef wf(n: int) -> int:\n    v = n\n"
    source += "    v = inc(a=v)\n" * 600 + "    return v\n"
    namespace: dict[str, Any] = {"inc": inc, "workflow": workflow, "__name__": "book_of_tests"}
    exec(source, namespace)
    nodes = clean(namespace["wf"]).template.nodes
    assert [node.location.line for node in nodes if node.location] == list(range(4, 604))


@pytest.mark.parametrize("name", ["start-node", "End Node", "x" * 201])
def test_a_name_that_no_node_can_have_is_refused_where_it_is_written(name):
    @workflow
    def wf(n: int) -> None:
        inc(a=n).with_overrides(node_name=name)

    (problem,) = trace(wf).problems
    assert "node_name=" in problem.message


@pytest.mark.parametrize(
    ("name", "codes"),
    [
        ("n0-0-dn0", ["DuplicateNodeId"]),
        ("n0-12-x", ["DuplicateNodeId"]),
        ("n0-x-y", []),
        ("n0-1", []),
        ("n1-0-dn0", []),
    ],
)
def test_a_name_that_a_dynamic_tasks_nodes_may_get_is_refused(name, codes):
    @dynamic
    def many(n: int) -> int:
        return inc(a=n)

    @workflow
    def wf(n: int) -> None:
        many(n=n)
        inc(a=n).with_overrides(node_name=name)

    assert [problem.code for problem in trace(wf).problems] == codes


@task(timeout=90, interruptible=True)
def bounded(a: int) -> int:
    return a


@task(interruptible=False)
def steady(a: int) -> int:
    return a


def test_a_node_repeats_the_options_of_its_task_that_propeller_reads_there_only():
    @workflow
    def wf(n: int) -> int:
        first = bounded(a=n)
        second = bounded(a=first).with_overrides(timeout=5, interruptible=False)
        third = bounded(a=second).with_overrides(retries=2)
        return inc(a=steady(a=third))

    assert [node.metadata for node in clean(wf).template.nodes] == [
        NodeMetadata("bounded", timeout_s=90.0, interruptible=True),
        NodeMetadata("bounded", timeout_s=5.0, interruptible=False),
        NodeMetadata("bounded", timeout_s=90.0, interruptible=True, retries=2),
        NodeMetadata("steady", interruptible=False),
        NodeMetadata("inc"),
    ]
