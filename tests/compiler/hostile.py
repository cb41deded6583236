"""Specs of a given size that are made to cost time: each is wrong, or right, in as many places as fit."""

import workflow_making as w
from flyteidl.core import tasks_pb2, types_pb2, workflow_pb2

INC = w.task("inc", {"n": w.INT}, {"o0": w.INT})


def wrong_everywhere(size):
    return w.workflow([w.node(f"n{i}", INC, n="no") for i in range(size // 60)]), [INC]


def unknown_nodes(size):
    nodes = [w.node(f"n{i}", INC, n=w.promise("o0", f"m{i}")) for i in range(size // 60)]
    return w.workflow(nodes), [INC]


def nodes_of_one_id(size):
    return w.workflow([w.node("n0", INC, n=1) for _ in range(size // 60)]), [INC]


def calls_without_inputs(size):
    half = size // 2
    task = w.task("many", {f"i{i}": w.INT for i in range(half // 20)}, {"o0": w.INT})
    return w.workflow([w.node(f"n{i}", task) for i in range(half // 50)]), [task]


def optional_inputs_left_out(size):
    half = size // 2
    maybe = w.union(w.INT, w.NONE)
    task = w.task("many", {f"i{i}": maybe for i in range(half // 30)}, {"o0": w.INT})
    return w.workflow([w.node(f"n{i}", task) for i in range(half // 50)]), [task]


def wide_unions(size):
    """A union compared with another one that shares no variant with it."""
    count = size // 40
    one, other = (w.union(*[w.enum(f"{name}{i}") for i in range(count)]) for name in "ab")
    task = w.task("take", {"u": other}, {})
    return w.workflow([w.node("n0", task, u=w.promise("u"))], {"u": one}), [task]


def lists_for_wide_unions(size):
    """A long list of which only the last item does not fit the variants."""
    half = size // 2
    variants = [w.listed(w.union(w.INT, w.enum(f"v{i}"))) for i in range(half // 50)]
    task = w.task("take", {"u": w.union(*variants)}, {})
    return w.workflow([w.node("n0", task, u=[*[1] * (half // 12), True])]), [task]


def wrong_values_of_a_large_enum(size):
    half = size // 2
    task = w.task("paint", {"c": w.enum(*[f"color{i}" for i in range(half // 12)])}, {})
    return w.workflow([w.node(f"n{i}", task, c="no") for i in range(half // 60)]), [task]


def right_values_of_a_large_enum(size):
    half = size // 2
    task = w.task("paint", {"c": w.enum(*[f"color{i}" for i in range(half // 12)])}, {})
    last = f"color{half // 12 - 1}"
    return w.workflow([w.node(f"n{i}", task, c=last) for i in range(half // 60)]), [task]


def fields_of_a_large_dataclass(size):
    half = size // 2
    point = w.dataclass(**{f"f{i}": w.INT for i in range(half // 45)})
    nodes = [w.node(f"n{i}", INC, n=w.promise("p", "", "f0")) for i in range(half // 60)]
    return w.workflow(nodes, {"p": point}), [INC]


def missing_fields_of_a_large_dataclass(size):
    half = size // 2
    point = w.dataclass(**{f"f{i}": w.INT for i in range(half // 45)})
    nodes = [w.node(f"n{i}", INC, n=w.promise("p", "", "g")) for i in range(half // 60)]
    return w.workflow(nodes, {"p": point}), [INC]


def mismatches_with_a_large_type(size):
    half = size // 2
    large = w.union(*[w.enum(f"value{i}") for i in range(half // 20)])
    task = w.task("take", {"u": large}, {})
    return w.workflow([w.node(f"n{i}", task, u=1) for i in range(half // 60)]), [task]


def outputs_that_do_not_fit(size):
    half = size // 2
    task = w.task("make", {}, {f"o{i}": w.STR for i in range(half // 20)})
    nodes = [w.node("m", task)]
    nodes += [w.node(f"n{i}", INC, n=w.promise("o0", "m")) for i in range(half // 60)]
    return w.workflow(nodes), [INC, task]


def a_branch_of_many_cases(size):
    half = size // 2
    task = w.task("make", {}, {f"o{i}": w.STR for i in range(half // 20)})
    cases = [(w.comparison("n", 1), w.node(f"c{i}", task)) for i in range(half // 80)]
    return w.workflow([w.branch("b", cases, "no", n=w.promise("n"))], {"n": w.INT}), [task]


def a_branch_with_a_long_id(size):
    half = size // 2
    cases = [(w.comparison("n", 1), w.node(f"c{i}", INC, n=1)) for i in range(half // 90)]
    branch = w.branch("b" * half, cases, "no", n=w.promise("n"))
    return w.workflow([branch], {"n": w.INT}), [INC]


def a_long_id_that_waits_for_many(size):
    half = size // 2
    nodes = [w.node(f"n{i}", INC, n=1) for i in range(half // 80)]
    last = w.node("x" * half, INC, n=1, after=[node.id for node in nodes])
    return w.workflow([*nodes, last]), [INC]


def a_long_condition(size):
    """`a & b & c …`, as deep as protobuf reads, in as many cases as fit."""
    expression = w.comparison("n", 1)
    for _ in range(20):
        both = type(expression)()
        both.conjunction.left_expression.CopyFrom(expression)
        both.conjunction.right_expression.CopyFrom(w.comparison("m", 1))
        expression = both
    cases = [(expression, w.node("c", INC, n=1)) for _ in range(size // 500)]
    return w.workflow([w.branch("b", cases, "no", n=w.promise("n"))], {"n": w.INT}), [INC]


def a_complete_graph(size):
    """Every node waits for every earlier one."""
    count = int((size / 8) ** 0.5)
    nodes = [w.node(f"n{i}", INC, n=1, after=[f"n{j}" for j in range(i)]) for i in range(count)]
    return w.workflow(nodes), [INC]


def doubled_schemas(size):
    """Definitions that each refer to the next one twice: n of them have 2^n paths."""
    definitions = {
        f"d{i}": {"allOf": [{"$ref": f"#/d/d{i + 1}"}, {"$ref": f"#/d/d{i + 1}"}]}
        for i in range(min(200, size // 60))
    }
    types = []
    for title in ("one", "other"):
        type = types_pb2.LiteralType(simple=types_pb2.STRUCT)
        type.metadata.update({"title": title, "$ref": "#/d/d0", "d": definitions})
        types.append(type)
    task = w.task("take", {"p": types[0]}, {})
    return w.workflow([w.node("n0", task, p=w.promise("p"))], {"p": types[1]}), [task]


def long_names(size):
    half = size // 2
    task = w.task("t", {"n" * half: w.INT}, {"o0": w.INT})
    return w.workflow([w.node("n0", task, **{"m" * half: 1})]), [task]


def aliases(size):
    node = w.node("n0", INC, n=1)
    for i in range(size // 12):
        node.output_aliases.add(var=f"v{i}", alias="a")
    return w.workflow([node]), [INC]


def resources(size):
    task = tasks_pb2.TaskTemplate(id=INC.id)
    task.container.image = "image"
    for i in range(size // 14):
        task.container.resources.requests.add(name=1, value=f"much{i}")
    return workflow_pb2.WorkflowTemplate(), [task]


SPECS = [
    wrong_everywhere, unknown_nodes, nodes_of_one_id, calls_without_inputs,
    optional_inputs_left_out, wide_unions, lists_for_wide_unions, wrong_values_of_a_large_enum,
    right_values_of_a_large_enum, fields_of_a_large_dataclass,
    missing_fields_of_a_large_dataclass, mismatches_with_a_large_type, outputs_that_do_not_fit,
    a_branch_of_many_cases, a_branch_with_a_long_id, a_long_id_that_waits_for_many,
    a_long_condition, a_complete_graph, doubled_schemas, long_names, aliases, resources,
]  # fmt: skip
