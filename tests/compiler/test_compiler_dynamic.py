"""Dynamic job specs, and the inputs with which a workflow starts."""

import pytest
import workflow_making as w
from flyteidl.core import dynamic_job_pb2, literals_pb2, types_pb2

from flyte_nb.api.errors import CompileFailed
from flyte_nb.api.nodes import START_NODE
from flyte_nb.compiler import check_inputs, compile_dynamic, dynamic_identifier

INC = w.task("inc", {"n": w.INT}, {"o0": w.INT})
PARENT = w.task("dyn", {"n": w.INT}, {"o0": w.listed(w.INT)})
PARENT.container.config.add(key="k", value="v")
ID = dynamic_identifier("p", "d", "n0", "abc")


def spec(*nodes, returns=None):
    message = dynamic_job_pb2.DynamicJobSpec(
        nodes=nodes, tasks=[INC, INC], min_successes=len(nodes)
    )
    message.outputs.append(
        w.binding("o0", [w.promise("o0", "dn0")] if returns is None else returns)
    )
    return message


def test_a_dynamic_spec_compiles_to_a_workflow_of_its_own():
    closure = compile_dynamic(
        spec(w.node("dn0", INC, n=1), w.node("dn1", INC, n=w.promise("o0", "dn0"))), PARENT, ID
    )
    template = closure.primary.template
    assert template.id.name == "dynamic_n0"
    assert not template.interface.inputs.variables
    assert template.interface.outputs == PARENT.interface.outputs
    assert [node.id for node in template.nodes] == ["start-node", "end-node", "dn0", "dn1"]
    assert len(closure.tasks) == 1
    assert [entry.key for entry in closure.tasks[0].template.container.config] == ["k"]


def test_a_dynamic_spec_reports_every_problem_of_its_tasks_and_nodes():
    faulty = spec(w.node("dn0", INC, n="x"))
    with pytest.raises(CompileFailed) as caught:
        compile_dynamic(faulty, PARENT, ID)
    assert [problem.code for problem in caught.value.problems] == ["MismatchingTypes"]
    faulty.tasks[0].container.ClearField("image")
    with pytest.raises(CompileFailed) as caught:
        compile_dynamic(faulty, PARENT, ID)
    assert [problem.flyte_text for problem in caught.value.problems] == ["Value required [image]."]


def test_a_dynamic_spec_too_deep_to_be_sent_is_refused():
    deep = spec()
    place = deep.nodes.add()
    for _ in range(1500):
        place = place.array_node.node
    place.id = "innermost"
    with pytest.raises(CompileFailed, match="nested more deeply"):
        compile_dynamic(deep, PARENT, ID)


def literal(plain):
    message = literals_pb2.Literal()
    if isinstance(plain, list):
        message.collection.SetInParent()
        message.collection.literals.extend(literal(item) for item in plain)
    elif isinstance(plain, dict):
        message.map.SetInParent()
        for key, item in plain.items():
            message.map.literals[key].CopyFrom(literal(item))
    elif isinstance(plain, literals_pb2.Literal):
        return plain
    else:
        message.scalar.CopyFrom(w.value(plain).scalar)
    return message


OFFLOADED = literals_pb2.Literal()
OFFLOADED.offloaded_metadata.inferred_type.CopyFrom(w.listed(w.INT))
UNION = literals_pb2.Literal()
UNION.scalar.union.type.CopyFrom(w.tagged(w.INT, "int"))
BLOB = literals_pb2.Literal()
BLOB.scalar.blob.metadata.type.format = "csv"
DATASET = literals_pb2.Literal()
DATASET.scalar.structured_dataset.uri = "s3://x"
SCHEMA = literals_pb2.Literal()
SCHEMA.scalar.schema.uri = "s3://x"
GENERIC = literals_pb2.Literal()
GENERIC.scalar.generic.SetInParent()
ERROR = literals_pb2.Literal()
ERROR.scalar.error.message = "no"
BINARY = literals_pb2.Literal()
BINARY.scalar.binary.tag = "other"
NOTHING = literals_pb2.Literal()


@pytest.mark.parametrize(
    ("value", "type", "code"),
    [
        (1, w.INT, None),
        (1, w.FLOAT, "MismatchingTypes"),
        (None, w.NONE, None),
        ([1, 2], w.listed(w.INT), None),
        ([], w.listed(w.INT), None),
        ([[], [1]], w.listed(w.listed(w.INT)), None),
        ([[], []], w.listed(w.listed(w.INT)), None),
        ([1, "a"], w.listed(w.union(w.INT, w.STR)), None),
        ([1, "a"], w.listed(w.INT), "MismatchingTypes"),
        ([[1, "a"], [2.5, "b"]], w.listed(w.listed(w.union(w.INT, w.STR, w.FLOAT))), None),
        ({"a": 1}, w.mapped(w.INT), None),
        ({"a": 1, "b": "x"}, w.mapped(w.union(w.INT, w.STR)), None),
        (OFFLOADED, w.listed(w.INT), None),
        (UNION, w.union(w.tagged(w.INT, "int"), w.NONE), None),
        (BLOB, w.blob("csv"), None),
        (DATASET, w.dataset(), "MismatchingTypes"),
        (SCHEMA, w.schema(), "MismatchingTypes"),
        (GENERIC, w.STRUCT, None),
        (ERROR, types_pb2.LiteralType(simple=types_pb2.ERROR), None),
        (BINARY, types_pb2.LiteralType(simple=types_pb2.BINARY), None),
        (NOTHING, w.INT, "InvalidLiteralType"),
        ([NOTHING], w.listed(w.INT), "MismatchingTypes"),
        ([NOTHING, 1], w.listed(w.INT), "MismatchingTypes"),
    ],
)
def test_inputs_are_checked_by_their_inferred_types(value, type, code):
    inputs = literals_pb2.LiteralMap(literals={"x": literal(value)})
    found = check_inputs(w.interface({"x": type}), inputs)
    assert [problem.code for problem in found] == ([code] if code else [])
    assert all(problem.node_id == START_NODE for problem in found)


def test_unknown_and_missing_inputs_are_reported_together():
    inputs = literals_pb2.LiteralMap(literals={"y": literal(1)})
    found = check_inputs(w.interface({"x": w.INT}), inputs)
    assert [(problem.code, problem.variable) for problem in found] == [
        ("VariableNameNotFound", "y"),
        ("ParameterNotBound", "x"),
    ]
