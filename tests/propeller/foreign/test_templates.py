"""How a command is filled in, and which container a task is: as propeller does it."""

import msgpack
import pytest
from flyteidl.core.literals_pb2 import Literal, LiteralMap
from flyteidl.core.tasks_pb2 import TaskTemplate
from google.protobuf.json_format import ParseDict

from flyte_nb.api.errors import TaskFailed
from flyte_nb.api.identifiers import ExecutionId, Identifier
from flyte_nb.propeller.foreign.containers import expanded, program_of
from flyte_nb.propeller.foreign.go_text import go_float, go_float_plain, go_packed
from flyte_nb.propeller.foreign.templates import fill, wants_task_template
from flyte_nb.propeller.ports import Attempt, AttemptKey
from flyte_nb.testing.closures import literal, task
from flyte_nb.testing.propeller_conformance import key

TASK_ID = Identifier("task", "flytesnacks", "development", "t", "v1")


def attempt_with(**inputs) -> Attempt:
    made = LiteralMap()
    for name, value in inputs.items():
        made.literals[name].CopyFrom(value)
    return Attempt(
        key("e"), TASK_ID, task("t"), made, "s3://b/in/inputs.pb", "s3://b/out/0", "s3://raw"
    )


def test_templates_are_filled_whatever_their_spelling():
    attempt = attempt_with()
    words = ["{{.input}}", "--o={{ $OUTPUTPREFIX }}/x", "{{.inputPrefix}}", "{{.nothing}}", "plain"]
    assert fill(words, attempt) == [
        "s3://b/in/inputs.pb",
        "--o=s3://b/out/0/x",
        "s3://b/in",
        "{{.nothing}}",
        "plain",
    ]
    assert fill(["{{.rawOutputDataPrefix}}", "{{.prevCheckpointPrefix}}"], attempt) == [
        "s3://raw",
        '""',
    ]
    assert fill(["{{.taskTemplatePath}}"], attempt) == ["s3://b/out/0/task.pb"]
    assert wants_task_template(["{{ .TaskTemplatePath }}"])
    assert not wants_task_template(["{{.input}}"])


def test_a_prefix_for_raw_data_may_name_the_namespace():
    attempt = attempt_with()._replace(raw_output_prefix="s3://raw/{{.namespace}}")
    assert fill(["{{.rawOutputDataPrefix}}"], attempt) == ["s3://raw/flytesnacks-development"]


@pytest.mark.parametrize(
    ("name", "attempt", "made"),
    [
        ("e", 0, "e_n0_0"),
        ("0e", 1, "ae_n0_1"),  # propeller puts one letter in the place of what is no letter
        ("_e", 1, "_e_n0_1"),
        ("a-very-long-name-of-an-execution-that-somebody-chose", 0, "f41jc16y"),
    ],
)
def test_the_key_of_an_attempt_is_propellers(name, attempt, made):
    key = AttemptKey(ExecutionId("p", "d", name), "n0", attempt)
    assert fill(["{{.perRetryUniqueKey}}"], attempt_with()._replace(key=key)) == [made]


def scalar(**primitive) -> Literal:
    made = Literal()
    for name, value in primitive.items():
        setattr(made.scalar.primitive, name, value)
    return made


def packed(value) -> Literal:
    made = Literal()
    made.scalar.binary.value = msgpack.packb(value)
    made.scalar.binary.tag = "msgpack"
    return made


def test_inputs_can_stand_in_the_command():
    listed = Literal()
    listed.collection.literals.extend([literal(1), literal(2)])
    moment, lapse, both = Literal(), Literal(), Literal()
    moment.scalar.primitive.datetime.FromSeconds(1)
    lapse.scalar.primitive.duration.FromSeconds(90)
    both.scalar.primitive.duration.FromMilliseconds(1500)
    blob, schema = Literal(), Literal()
    blob.scalar.blob.uri = "s3://blob"
    schema.scalar.schema.uri = "s3://schema"
    values = {
        "i": (literal(7), "7"),
        "f": (scalar(float_value=3.14159265358979), "3.14159265358979"),
        "w": (scalar(float_value=2.0), "2"),
        "t": (scalar(boolean=True), "true"),
        "s": (scalar(string_value="a {{.inputs.i}}"), "a {{.inputs.i}}"),
        "l": (listed, "[1,2]"),
        "d": (moment, "1970-01-01T00:00:01Z"),
        "p": (lapse, "seconds:90"),
        "q": (both, "seconds:1 nanos:500000000"),
        "b": (blob, "s3://blob"),
        "c": (schema, "s3://schema"),
        "m": (packed({"b": [1, None], "a": "x"}), "map[a:x b:[1 <nil>]]"),
    }
    attempt = attempt_with(**{name: value for name, (value, _) in values.items()})
    for name, (_, text) in values.items():
        assert fill([f"{{{{.Inputs.{name}}}}}"], attempt) == [text]


def test_an_input_that_is_not_there_or_has_no_text_is_a_bad_specification():
    union, unknown = Literal(), Literal()
    union.scalar.union.value.CopyFrom(literal(3))
    unknown.scalar.binary.tag = "pickle"
    attempt = attempt_with(u=union, b=unknown, n=packed(1))
    said = {
        "x": "requested input is not found [x]",
        "u": "received an unexpected scalar type [union]",
        "b": "unsupported binary tag [pickle]",
    }
    for name, why in said.items():
        with pytest.raises(TaskFailed) as caught:
            fill([f"{{{{.inputs.{name}}}}}"], attempt)
        assert caught.value.info.code == "BadTaskSpecification"
        assert f"[{{{{.inputs.{name}}}}}]: {why}" in caught.value.info.message


def test_a_task_without_inputs_keeps_what_looks_like_one():
    assert fill(["{{.inputs.x}}"], attempt_with()) == ["{{.inputs.x}}"]


@pytest.mark.parametrize(
    ("number", "shown", "plain"),
    [
        (0.0, "0", "0"),
        (-2.5, "-2.5", "-2.5"),
        (123456.0, "123456", "123456"),
        (1234567.0, "1.234567e+06", "1234567"),
        (1e21, "1e+21", "1000000000000000000000"),
        (0.0001, "0.0001", "0.0001"),
        (1.25e-7, "1.25e-07", "0.000000125"),
        (float("nan"), "NaN", "NaN"),
        (float("-inf"), "-Inf", "-Inf"),
    ],
)
def test_floats_are_written_as_go_writes_them(number, shown, plain):
    assert (go_float(number), go_float_plain(number)) == (shown, plain)


def test_what_is_not_msgpack_is_refused():
    for data in (b"", b"\xc1", b"\x92\x01", b"\x01\x02"):
        with pytest.raises(ValueError, match=r"."):
            go_packed(data)


def test_variables_are_expanded_as_kubernetes_does_it():
    words = ["$(A)/x", "$$(A)", "$(date)", "$A", "$$"]
    assert expanded(words, {"A": "1"}) == ["1/x", "$(A)", "$(date)", "$A", "$"]


def pod_task(spec, primary="main", **config) -> TaskTemplate:
    template = task("t")
    template.ClearField("container")
    ParseDict(spec, template.k8s_pod.pod_spec)
    if primary:
        template.config["primary_container_name"] = primary
    return template


def test_the_primary_container_of_a_pod_is_the_task():
    program = program_of(
        pod_task(
            {
                "initContainers": [{"name": "first"}],
                "containers": [
                    {"name": "side", "image": "s"},
                    {
                        "name": "main",
                        "image": "i",
                        "command": ["run"],
                        "args": ["{{.input}}"],
                        "workingDir": "/app",
                        "env": [
                            {"name": "A", "value": "1"},
                            {"name": "B", "valueFrom": {"secretKeyRef": {}}},
                        ],
                        "resources": {"limits": {"cpu": 2, "memory": "1Gi"}},
                        "volumeMounts": [{"name": "v", "mountPath": "/data"}],
                    },
                ],
            }
        )
    )
    assert program.image == "i"
    assert (program.command, program.args) == (("run",), ("{{.input}}",))
    assert program.env == (("A", "1"),)
    assert (program.folder, dict(program.limits)) == ("/app", {"cpu": "2", "memory": "1Gi"})
    assert program.left_out == (
        "the init container first",
        "the container side",
        "the volume v at /data",
        "the variable B, whose value the cluster has",
    )


@pytest.mark.parametrize(
    ("template", "why"),
    [
        (pod_task({"containers": []}, ""), "config missing [primary_container_name] key in [{}]"),
        (pod_task({"containers": [{"name": "x"}]}), "primary container [main] not defined"),
        (pod_task({"containers": "nonsense"}), "primary container [main] not defined"),
        (TaskTemplate(type="sensor"), "is a sensor"),
    ],
)
def test_a_task_without_a_container_is_a_bad_specification(template, why):
    with pytest.raises(TaskFailed) as caught:
        program_of(template)
    assert caught.value.info.code == "BadTaskSpecification"
    assert why in caught.value.info.message
