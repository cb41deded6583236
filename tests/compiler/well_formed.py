"""Random workflows that are well formed: of every node kind, each using only earlier results."""

import workflow_making as w
from flyteidl.core import identifier_pb2
from hypothesis import strategies as st

from flyte_nb.compiler import (
    LaunchPlanInterface,
    compile_task,
    compile_workflow,
    identifier_text,
)

TYPES = {"int": w.INT, "str": w.STR, "list": w.listed(w.INT), "dict": w.mapped(w.STR)}
PLAIN = {
    "int": st.integers(-5, 5),
    "str": st.text(max_size=3),
    "list": st.lists(st.integers(0, 3), max_size=3),
    "dict": st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2),
}
TASKS = {
    f"{maker}_of_{taker}": w.task(f"{maker}_of_{taker}", {"x": TYPES[taker]}, {"o0": TYPES[maker]})
    for maker in TYPES
    for taker in TYPES
}
MAPPED = w.task("mapped", {"x": w.listed(w.INT), "k": w.INT}, {"o0": w.listed(w.INT)})
"""A mapped task as SDKs register it: with lists in its interface."""
SOME = w.task("some", {"x": w.listed(w.INT)}, {"o0": w.listed(w.union(w.INT, w.NONE))})
"""The same for a map whose elements may fail."""
CLEAN = w.task("clean", {"in_int": w.INT, "err": w.union(w.STR, w.NONE)}, {})
ALL_TASKS = [compile_task(task) for task in (*TASKS.values(), MAPPED, SOME, CLEAN)]
SUB = w.workflow(
    [w.node("n0", TASKS["int_of_int"], x=w.promise("x"))],
    {"x": w.INT}, {"o0": w.INT}, {"o0": w.promise("o0", "n0")}, name="sub",
)  # fmt: skip
OUTER_SUB = w.workflow(
    [w.node("n0", SUB, x=w.promise("x")), w.node("n1", SUB, x=w.promise("o0", "n0"))],
    {"x": w.INT}, {"o0": w.INT}, {"o0": w.promise("o0", "n1")}, name="outer_sub",
)  # fmt: skip
PLAN = w.identifier("plan", identifier_pb2.LAUNCH_PLAN)
PLANS = {
    identifier_text(PLAN): LaunchPlanInterface(
        w.interface_pb2.ParameterMap(
            parameters={
                "x": w.interface_pb2.Parameter(
                    var=w.interface_pb2.Variable(type=w.INT), required=True
                ),
                "y": w.interface_pb2.Parameter(
                    var=w.interface_pb2.Variable(type=w.STR),
                    default=w.literals_pb2.Literal(scalar=w.value("y").scalar),
                ),
            }
        ),
        w.variables({"o0": w.INT}),
    )
}
INPUTS = {f"in_{name}": type for name, type in TYPES.items()}


def _task(draw, id, made):
    maker, taker = draw(st.sampled_from(sorted(TYPES))), draw(st.sampled_from(sorted(TYPES)))
    source = draw(st.one_of(PLAIN[taker], st.sampled_from(made[taker])))
    return w.node(id, TASKS[f"{maker}_of_{taker}"], x=source), maker


def _list_of_results(draw, id, made):
    source = draw(st.lists(st.sampled_from(made["int"]), min_size=1, max_size=3))
    return w.node(id, TASKS["str_of_list"], x=[*source, 7]), "str"


def _sub(draw, id, made):
    sub = draw(st.sampled_from([SUB, OUTER_SUB]))
    return w.node(id, sub, x=draw(st.sampled_from(made["int"]))), "int"


def _plan(draw, id, made):
    given = draw(st.sampled_from([{}, {"y": "z"}]))
    return w.node(id, PLAN, x=draw(st.sampled_from(made["int"])), **given), "int"


def _array(draw, id, made):
    lists = draw(st.sampled_from(made["list"]))
    fails = draw(st.booleans())
    inputs = {"x": lists} if fails else {"x": lists, "k": draw(st.sampled_from(made["int"]))}
    node = w.node(id, **inputs)
    node.array_node.node.CopyFrom(w.node(id, SOME if fails else MAPPED, **inputs))
    node.array_node.bound_inputs.extend([] if fails else ["k"])
    node.array_node.min_success_ratio = 0.5 if fails else 1.0
    node.array_node.parallelism = draw(st.integers(0, 3))
    return node, "" if fails else "list"


def _sleep(draw, id, made):
    node = w.node(id)
    node.gate_node.sleep.duration.seconds = 1
    return node, ""


def _signal(draw, id, made):
    node = w.node(id)
    node.gate_node.signal.signal_id = id
    node.gate_node.signal.type.CopyFrom(w.INT)
    node.gate_node.signal.output_variable_name = "o0"
    return node, "int"


def _approve(draw, id, made):
    node = w.node(id, o0=draw(st.sampled_from(made["str"])))
    node.gate_node.approve.signal_id = id
    return node, "str"


def _branch(draw, id, made):
    operand = draw(st.sampled_from(made["int"]))
    case = w.node("n0", TASKS["str_of_int"], x=w.promise("in_int"))
    other = w.node("n1", TASKS["str_of_str"], x="y")
    if draw(st.booleans()):
        other = w.branch("n1", [(w.comparison("c", 2), other)], "no", c=operand)
    both = type(w.comparison("c", 1))()
    both.conjunction.left_expression.CopyFrom(w.comparison("c", 1))
    both.conjunction.right_expression.CopyFrom(w.comparison("c", 5))
    condition = draw(st.sampled_from([w.comparison("c", 1), both]))
    return w.branch(id, [(condition, case)], draw(st.sampled_from(["no", other])), c=operand), "str"


KINDS = [
    _task, _task, _task, _list_of_results, _sub, _plan, _array, _sleep, _signal, _approve, _branch,
]  # fmt: skip


@st.composite
def workflows(draw, max_nodes=8):
    """A workflow of nodes of every kind, with a failure node or without."""
    made: dict[str, list] = {name: [w.promise(f"in_{name}")] for name in TYPES}
    nodes: list = []
    for index in range(draw(st.integers(1, max_nodes))):
        ids = [node.id for node in nodes]
        earlier = draw(st.lists(st.sampled_from(ids), max_size=2)) if ids else []
        node, makes = draw(st.sampled_from(KINDS))(draw, f"n{index}", made)
        node.upstream_node_ids.extend(earlier)
        nodes.append(node)
        if makes:
            made[makes].append(w.promise("o0", node.id))
    kind = draw(st.sampled_from(sorted(TYPES)))
    returns = draw(st.sampled_from(made[kind]))
    template = w.workflow(nodes, INPUTS, {"result": TYPES[kind]}, {"result": returns})
    if draw(st.booleans()):
        failure = w.node("fn0", CLEAN, in_int=w.promise("in_int"), err=None)
        template.failure_node.CopyFrom(failure)
    return template


def compiled(template):
    """Compile a workflow with everything that it may refer to."""
    return compile_workflow(template, [SUB, OUTER_SUB], ALL_TASKS, PLANS)
