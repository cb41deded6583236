"""Specs as flytekit emits them, identifiers, errors, and the cost of a node."""

import inspect
import sys

import pytest
from flyteidl.admin import task_pb2
from flyteidl.core import errors_pb2, identifier_pb2, literals_pb2, types_pb2, workflow_pb2
from google.protobuf import json_format
from hypothesis import given, settings
from hypothesis import strategies as st

from flyte_nb.api import literal_types as t
from flyte_nb.api import literals as v
from flyte_nb.api import specs
from flyte_nb.api.errors import CodecError, ErrorInfo
from flyte_nb.api.identifiers import LAUNCH_PLAN, TASK, WORKFLOW, ExecutionId, Identifier
from flyte_nb.api.literals import Literal
from flyte_nb.api.specs import (
    Binding,
    BindingCollection,
    BindingMap,
    Node,
    NodeMetadata,
    OutputReference,
)
from flyte_nb.api.version import __version__
from flyte_nb.wire import errors as wire_errors
from flyte_nb.wire.nodes import NodeWriter
from flyte_nb.wire.specs import (
    execution_id_from_idl,
    execution_id_to_idl,
    identifier_from_idl,
    identifier_to_idl,
    launch_plan_to_idl,
    task_spec_to_idl,
    workflow_spec_to_idl,
)
from flyte_nb.wire.types import (
    interface_from_idl,
    interface_to_idl,
    spoken,
    type_from_idl,
    variable_from_idl,
    variable_to_idl,
)

TASK_ID = Identifier(TASK, "p", "d", "m.fit", "v1")
WORKFLOW_ID = Identifier(WORKFLOW, "p", "d", "m.train", "v1")
INT, FLOAT = t.simple(t.INTEGER), t.simple(t.FLOAT)


def interface(inputs=(), outputs=()):
    return specs.TypedInterface(
        {name: specs.Variable(type, name) for name, type in inputs},
        {name: specs.Variable(type, name) for name, type in outputs},
    )


def fit(**changes):
    template = specs.TaskTemplate(
        id=TASK_ID,
        type="python-task",
        interface=interface([("n", INT)], [("o0", FLOAT)]),
        metadata=specs.TaskMetadata(),
        container=specs.Container("image:1", ("flyte-nb", "execute")),
    )
    return template._replace(**changes)


def call(node_id="n0", data=None, **changes):
    bindings = (Binding("n", data or OutputReference("", "n")),)
    node = Node(node_id, specs.TaskNode(TASK_ID), bindings, metadata=NodeMetadata("fit"))
    return node._replace(**changes)


def train(*nodes, **changes):
    template = specs.WorkflowTemplate(
        id=WORKFLOW_ID,
        interface=interface([("n", INT)], [("o0", FLOAT)]),
        nodes=nodes or (call(),),
        outputs=(Binding("o0", OutputReference("n0", "o0")),),
    )
    return template._replace(**changes)


def flytekit_task(function, **options):
    flytekit = pytest.importorskip("flytekit")
    from flytekit.configuration import Image, ImageConfig, SerializationSettings
    from flytekit.tools.translator import get_serializable_task

    settings = SerializationSettings(
        project="p", domain="d", version="v1", image_config=ImageConfig(Image("n", "image", "1"))
    )
    task = flytekit.task(**options)(function)
    from collections import OrderedDict

    return get_serializable_task(OrderedDict(), settings, task).to_flyte_idl()


def test_a_task_equals_flytekits_except_for_name_version_and_arguments():
    flytekit = pytest.importorskip("flytekit")

    def test_fit(n: int) -> float:
        """Fit it.

        With care.
        """
        return n / 2

    theirs = flytekit_task(
        test_fit,
        retries=2,
        timeout=90,
        interruptible=True,
        cache=flytekit.Cache(version="c1", serialize=True, ignored_inputs=("n",)),
        requests=flytekit.Resources(cpu="1", mem="1Gi"),
        limits=flytekit.Resources(cpu="2", mem="2Gi", gpu="1", ephemeral_storage="3Gi"),
        environment={"A": "b"},
        secret_requests=[flytekit.Secret(group="g", key="k", mount_requirement=flytekit.Secret.MountType.FILE)],  # noqa: E501
        deprecated="old",
        enable_deck=True,
    )  # fmt: skip
    ours = task_spec_to_idl(
        fit(
            metadata=specs.TaskMetadata(
                retries=2,
                timeout_s=90,
                discoverable=True,
                discovery_version="c1",
                cache_serializable=True,
                cache_ignore_input_vars=("n",),
                interruptible=True,
                deprecated_error_message="old",
                generates_deck=True,
            ),
            container=specs.Container(
                "image:1",
                env=(("A", "b"),),
                requests=specs.Resources("1", "1Gi"),
                limits=specs.Resources("2", "2Gi", "1", "3Gi"),
            ),
            secrets=(specs.SecretRequest("g", "k", mount_requirement="file"),),
            description=inspect.getdoc(test_fit),
        )
    )
    theirs.template.id.name = ours.template.id.name
    theirs.template.metadata.runtime.version = __version__
    del theirs.template.container.args[:]
    theirs.template.interface.outputs.variables["o0"].description = "o0"
    assert ours == theirs


def test_a_task_without_options_equals_flytekits():
    def test_fit(n: int) -> float:
        return n / 2

    theirs = flytekit_task(test_fit)
    ours = task_spec_to_idl(fit(container=specs.Container("image:1")))
    theirs.template.id.name = ours.template.id.name
    theirs.template.metadata.runtime.version = __version__
    del theirs.template.container.args[:]
    assert ours == theirs


def test_custom_and_config_are_carried():
    spec = task_spec_to_idl(
        fit(custom={"flyte_nb": {"fingerprint": "abc", "n": 1}}, config={"k": "v"})
    )
    assert json_format.MessageToDict(spec.template.custom) == {
        "flyte_nb": {"fingerprint": "abc", "n": 1.0}
    }
    assert dict(spec.template.config) == {"k": "v"}


def test_a_node_equals_flytekits():
    node = call(
        "n1",
        upstream_node_ids=("n9", "n0", "n9"),
        metadata=NodeMetadata("fit", 2.5, 3, True, True, "c1", True),
        target=specs.TaskNode(TASK_ID, (specs.Resources("1"), specs.Resources("2"))),
        bindings=(
            Binding("z", OutputReference("n0", "o0", ("rows", 1))),
            Binding("a", Literal(v.COLUMN, (v.INTEGER, [1]))),
            Binding(
                "m", BindingMap({"k": Literal(v.STRUCT, {"x": 1}), "p": OutputReference("", "n")})
            ),
            Binding("l", BindingCollection((Literal(v.MAP, {"b": v.NOTHING}),))),
        ),
    )
    message = workflow_spec_to_idl(train(call(), node)).template.nodes[1]
    expected = json_format.ParseDict(
        {
            "id": "n1",
            "metadata": {
                "name": "fit", "timeout": "2.5s", "retries": {"retries": 3}, "interruptible": True,
                "cacheable": True, "cacheVersion": "c1", "cacheSerializable": True,
            },
            "inputs": [
                {"var": "a", "binding": {"collection": {"bindings": [{"scalar": {"primitive": {"integer": 1}}}]}}},  # noqa: E501
                {"var": "l", "binding": {"collection": {"bindings": [{"map": {"bindings": {"b": {"scalar": {"noneType": {}}}}}}]}}},  # noqa: E501
                {"var": "m", "binding": {"map": {"bindings": {
                    "k": {"scalar": {"binary": {"value": "gaF4AQ==", "tag": "msgpack"}}},
                    "p": {"promise": {"var": "n"}},
                }}}},
                {"var": "z", "binding": {"promise": {
                    "nodeId": "n0", "var": "o0", "attrPath": [{"stringValue": "rows"}, {"intValue": 1}],
                }}},
            ],
            "upstreamNodeIds": ["n0", "n9"],
            "taskNode": {
                "referenceId": {"resourceType": "TASK", "project": "p", "domain": "d", "name": "m.fit", "version": "v1"},  # noqa: E501
                "overrides": {"resources": {
                    "requests": [{"name": "CPU", "value": "1"}], "limits": [{"name": "CPU", "value": "2"}],
                }},
            },
        },
        workflow_pb2.Node(),
    )  # fmt: skip
    assert message == expected


def test_sub_workflows_are_sent_once_and_sorted():
    inner = train(id=WORKFLOW_ID._replace(name="m.a"))
    other = train(id=WORKFLOW_ID._replace(name="m.b"))
    outer = train(
        Node("n0", specs.WorkflowNode(inner.id)),
        Node("n1", specs.LaunchPlanNode(Identifier(LAUNCH_PLAN, "p", "d", "lp", "v1"))),
        failure_node=call("fn0"),
        on_failure="fail_after_executable_nodes_complete",
        interruptible=True,
        description="Train.\n\nLong.",
    )
    spec = workflow_spec_to_idl(outer, [other, inner, other])
    assert [sub.id.name for sub in spec.sub_workflows] == ["m.a", "m.b"]
    assert spec.template.nodes[0].workflow_node.sub_workflow_ref.name == "m.a"
    assert spec.template.nodes[1].workflow_node.launchplan_ref.name == "lp"
    assert spec.template.failure_node.id == "fn0"
    assert spec.template.metadata.on_failure == 1
    assert spec.template.metadata_defaults.interruptible
    assert spec.description.short_description == "Train."
    assert spec.description.long_description.value == "Long."


def test_a_launch_plan_has_parameters_only_for_what_is_not_fixed():
    spec = specs.LaunchPlanSpec(
        Identifier(LAUNCH_PLAN, "p", "d", "lp", "v1"),
        WORKFLOW_ID,
        {
            "n": specs.Parameter(specs.Variable(INT, "count")),
            "k": specs.Parameter(specs.Variable(INT), Literal(v.INTEGER, 0)),
            "f": specs.Parameter(specs.Variable(INT)),
        },
        fixed_inputs={"f": Literal(v.INTEGER, 7)},
        labels={"a": "b"},
        annotations={"c": "d"},
        max_parallelism=4,
    )
    message = launch_plan_to_idl(spec)
    assert sorted(message.default_inputs.parameters) == ["k", "n"]
    assert message.default_inputs.parameters["n"].required
    assert message.default_inputs.parameters["n"].var.description == "count"
    assert message.default_inputs.parameters["k"].default.scalar.primitive.integer == 0
    assert message.default_inputs.parameters["k"].WhichOneof("behavior") == "default"
    assert message.fixed_inputs.literals["f"].scalar.primitive.integer == 7
    assert dict(message.labels.values) == {"a": "b"}
    assert dict(message.annotations.values) == {"c": "d"}
    assert message.max_parallelism == 4
    assert message.workflow_id.name == "m.train"


@pytest.mark.parametrize(
    ("make", "place"),
    [
        (lambda: workflow_spec_to_idl(train(call(data=Literal(v.INTEGER, "x")))), "$.n"),
        (lambda: workflow_spec_to_idl(train(call(data=BindingCollection((Literal(v.INTEGER, 2**64),))))), "$.n[0]"),  # noqa: E501
        (lambda: workflow_spec_to_idl(train(call(data=BindingMap({"k": Literal("odd", 1)})))), "$.n.k"),
        (lambda: workflow_spec_to_idl(train(call(data="n0.o0"))), "$.n"),
        (lambda: workflow_spec_to_idl(train(on_failure="give_up")), "$"),
        (lambda: task_spec_to_idl(fit(interface=interface([("n", t.LiteralType("odd", None))]))), "$.n"),
        (lambda: task_spec_to_idl(fit(secrets=(specs.SecretRequest("g", "k", "", "tape"),))), "$"),
        (lambda: identifier_to_idl(Identifier("thing", "p", "d", "n")), "$"),
        (lambda: identifier_from_idl(identifier_pb2.Identifier()), "$"),
    ],
)  # fmt: skip
def test_what_flyteidl_cannot_express_is_refused_with_its_place(make, place):
    with pytest.raises(CodecError) as caught:
        make()
    assert caught.value.path == place


def test_a_very_deep_binding_is_refused():
    data = Literal(v.NONE, None)
    for _ in range(200):
        data = Literal(v.UNION, (data, t.simple(t.NONE)))
    with pytest.raises(CodecError, match="too deeply"):
        workflow_spec_to_idl(train(call(data=data)))


@pytest.mark.parametrize("resource_type", [TASK, WORKFLOW, LAUNCH_PLAN])
def test_identifiers_come_back(resource_type):
    identifier = Identifier(resource_type, "p", "d", "näme", "v")
    assert identifier_from_idl(identifier_to_idl(identifier)) == identifier
    execution = ExecutionId("p", "d", "f123")
    assert execution_id_from_idl(execution_id_to_idl(execution)) == execution


def test_interfaces_come_back():
    given_ = interface([("a", INT), ("b", t.LiteralType(t.COLLECTION, FLOAT))], [("o0", FLOAT)])
    assert interface_from_idl(interface_to_idl(given_)) == given_
    variable = specs.Variable(INT, "how many")
    assert variable_from_idl(variable_to_idl(variable)) == variable
    broken = interface_to_idl(given_)
    broken.inputs.variables["a"].type.Clear()
    with pytest.raises(CodecError) as caught:
        interface_from_idl(broken)
    assert caught.value.path == "$.a"


def test_a_legacy_schema_type_comes_back():
    column = types_pb2.SchemaType.SchemaColumn(
        name="a", type=types_pb2.SchemaType.SchemaColumn.DURATION
    )
    message = types_pb2.LiteralType(schema=types_pb2.SchemaType(columns=[column]))
    type = type_from_idl(message)
    assert type.kind == t.SCHEMA
    assert variable_to_idl(specs.Variable(type)).type == message
    assert spoken(message) == "schema"


def test_unknown_types_are_described_without_an_error():
    assert spoken(types_pb2.LiteralType()) == "an unknown type"
    assert spoken(types_pb2.LiteralType(simple=99)) == "an unknown type"
    assert (
        spoken(types_pb2.LiteralType(collection_type=types_pb2.LiteralType(simple=1)))
        == "list[int]"
    )


PRINTABLE = st.characters(exclude_categories=("C", "Z"), include_characters=" ")


@settings(deadline=None)
@given(
    st.builds(
        lambda *parts: ErrorInfo(*parts),
        st.text(PRINTABLE),
        st.text(),
        st.sampled_from(["USER", "SYSTEM", "UNKNOWN"]),
        st.booleans(),
    )
)
def test_errors_come_back(info):
    document = wire_errors.error_document_to_idl(info)
    back = wire_errors.error_document_from_bytes(document.SerializeToString())
    assert back == info._replace(message=info.message.encode("utf-8", "replace").decode())
    there = wire_errors.execution_error_to_idl(info, "s3://e")
    kind = there.ErrorKind.Name(there.kind)
    assert (there.code, there.message, kind) == (back.code, back.message, back.origin)
    assert there.error_uri == "s3://e"


def test_an_error_file_with_other_bytes_is_a_codec_error():
    with pytest.raises(CodecError, match=r"error\.pb"):
        wire_errors.error_document_from_bytes(b"\xff\xff")
    assert wire_errors.error_document_from_idl(errors_pb2.ErrorDocument()).origin == "UNKNOWN"


def _calls(act):
    """How many functions, ours and built in, `act` calls."""
    calls = 0

    def count(frame, event, argument):
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        act()
    finally:
        sys.setprofile(before)
    return calls


def test_writing_nodes_is_linear():
    calls = {}
    for count in (100, 500, 1000):
        nodes = [
            call(f"n{index}", OutputReference(f"n{index - 1}" if index else "", "o0"))
            for index in range(count)
        ]
        workflow = train(*nodes)
        assert len(workflow_spec_to_idl(workflow).template.nodes) == count
        calls[count] = _calls(lambda workflow=workflow: workflow_spec_to_idl(workflow))
    assert 0 < calls[1000] - calls[500] <= 1.01 * 5 / 4 * (calls[500] - calls[100])


def test_a_writer_keeps_targets_apart():
    writer = NodeWriter()
    first = workflow_pb2.Node.FromString(writer.node(call(target=specs.TaskNode(TASK_ID))))
    second = workflow_pb2.Node.FromString(writer.node(call(target=specs.WorkflowNode(WORKFLOW_ID))))
    assert first.WhichOneof("target") == "task_node"
    assert second.WhichOneof("target") == "workflow_node"
    assert isinstance(task_spec_to_idl(fit()), task_pb2.TaskSpec)
    assert literals_pb2.Binding() == literals_pb2.Binding()
