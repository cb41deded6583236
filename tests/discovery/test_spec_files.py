"""Spec files: what is read, the problem for every mistake, and that reading is bounded."""

import io
import json
import tarfile

import pytest
from flyteidl.admin.launch_plan_pb2 import LaunchPlan
from flyteidl.admin.task_pb2 import TaskSpec
from flyteidl.admin.workflow_pb2 import WorkflowSpec
from flyteidl.core.compiler_pb2 import CompiledWorkflowClosure
from flyteidl.core.identifier_pb2 import LAUNCH_PLAN
from flyteidl.core.identifier_pb2 import Identifier as IdentifierMessage
from google.protobuf import json_format
from hypothesis import given, settings
from hypothesis import strategies as st

from flyte_nb.api.errors import CompileFailed, UsageError
from flyte_nb.api.identifiers import Identifier
from flyte_nb.discovery.specs.registrar import SpecRegistrar, read_specs
from flyte_nb.testing.registrar_conformance import RegistrarConformance


def identifier(resource_type, name):
    return IdentifierMessage(resource_type=resource_type, name=name)


PIPELINE = """\
kind: Task
id: {name: shop.greet}
type: raw-container
interface:
  inputs: {variables: {who: {type: {simple: STRING}}}}
container:
  image: debian:12
  command: [sh, -c]
  args: ["echo hello {{.inputs.who}}"]
  env: [{key: VERSION, value: 1.10}]
---
kind: Workflow
id: {name: shop.both}
interface:
  inputs: {variables: {who: {type: {simple: STRING}}}}
nodes:
  - id: n0
    inputs: [{var: who, binding: {promise: {var: who}}}]
    task_node: {reference_id: {name: shop.greet}}
---
kind: LaunchPlan
id: {name: shop.both}
workflow_id: {name: shop.both}
"""


@pytest.fixture
def pipeline(tmp_path):
    path = tmp_path / "pipeline.yaml"
    path.write_text(PIPELINE)
    return path


@pytest.fixture
def read(tmp_path):
    def read(content, name="spec.yaml"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return read_specs([str(path)])

    return read


def told(found):
    """Line, variable and message of every problem."""
    return [(each.location.line, each.variable, each.message) for each in found.problems]


class TestSpecRegistrar(RegistrarConformance):
    @pytest.fixture
    def registrar(self, pipeline):
        return SpecRegistrar([str(pipeline)])


def test_documents_become_specs_with_their_lines(pipeline):
    specs = read_specs([str(pipeline)]).specs
    assert [(spec.resource_type, spec.short_name, spec.location.line) for spec in specs] == [
        ("task", "shop.greet", 1),
        ("workflow", "shop.both", 12),
        ("launch_plan", "shop.both", 21),
    ]
    assert specs[1].node_lines == {"n0": 17}
    assert specs[0].message.template.container.env[0].value == "1.10"  # as it is written


def test_every_form_of_a_spec_is_the_same_spec(read, pipeline):
    task, workflow, plan = (spec.message for spec in read_specs([str(pipeline)]).specs)
    launch_plan = LaunchPlan(spec=plan)
    launch_plan.id.MergeFrom(identifier(LAUNCH_PLAN, "shop.both"))  # bytes say no more than that
    for message, number in ((task, 1), (workflow, 2), (launch_plan, 3)):
        wanted = plan if number == 3 else message
        camel = json_format.MessageToJson(message)
        snake = json_format.MessageToJson(message, preserving_proto_field_name=True)
        binary = message.SerializeToString()
        forms = [(camel, "a.json"), (snake, "b.json"), (snake, "c.yaml"), (f"[{camel}]", "d.json"),
                 (binary, f"7_shop.x_{number}.pb"), (binary, "guessed.pb")]  # fmt: skip
        if number < 3:
            bare = json_format.MessageToDict(message.template)
            forms.append((json.dumps(bare), "e.json"))
            forms.append(
                (json.dumps({"id": {"name": "shop.x"}, "spec": json.loads(camel)}), "f.json")
            )
        for content, name in forms:
            found = read(content, name)
            assert found.problems == (), name
            assert [spec.message for spec in found.specs] == [wanted], name


def test_a_package_and_a_folder_are_read_like_their_files(pipeline, tmp_path):
    package = tmp_path / "made" / "package.tgz"
    package.parent.mkdir()
    with tarfile.open(package, "w:gz") as tar:
        tar.add(pipeline, "../../pipeline.yaml")  # is not unpacked
        code = tarfile.TarInfo("code.py")
        tar.addfile(code, io.BytesIO())
    names = [spec.short_name for spec in read_specs([str(package)]).specs]
    assert names == ["shop.greet", "shop.both", "shop.both"]
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "x.yaml").write_text("no spec")
    found = read_specs([str(tmp_path), str(tmp_path / "*.yaml")])  # equal ones count once
    assert [spec.short_name for spec in found.specs] == names
    assert found.problems == ()


def test_a_compiled_workflow_gives_back_its_parts(read, pipeline):
    task, workflow, _ = (spec.message for spec in read_specs([str(pipeline)]).specs)
    closure = CompiledWorkflowClosure()
    closure.primary.template.CopyFrom(workflow.template)
    closure.primary.template.nodes.add(id="start-node")
    closure.primary.template.nodes.add(id="end-node")
    closure.tasks.add().template.CopyFrom(task.template)
    for content, name in (
        (json_format.MessageToJson(closure), "c.json"),
        (closure.SerializeToString(), "c.pb"),
    ):
        found = read(content, name)
        assert [spec.message for spec in found.specs] == [task, workflow]


def test_all_mistakes_of_all_documents_are_reported_with_line_field_and_advice(read):
    found = read(
        """\
kind: Task
id: {name: shop.greet, nam: x}
type: raw-container
interface:
  inputs: {variables: {who: {type: {simple: STRNG}}}}
container:
  imagee: debian:12
  command: sh
metadata: {timeout: 90, retries: {retries: 99999999999}, discoverable: yes}
k8s_pod: {pod_spec: 5}
---
kind: Workflw
---
[1, {a: 1}]
"""
    )
    assert told(found) == [
        (2, "id.nam", "Identifier has no field 'nam'. (document 1)"),
        (5, "interface.inputs.variables.who.type.simple",
         "'STRNG' is no SimpleType. (document 1)"),
        (7, "container.imagee", "Container has no field 'imagee'. (document 1)"),
        (8, "container.command", "Expected a list, got 'sh'. (document 1)"),
        (9, "metadata.timeout", "Expected a Duration, got 90. (document 1)"),
        (9, "metadata.retries.retries",
         "Expected a whole number from 0 to 4294967295, got 99999999999. (document 1)"),
        (9, "metadata.discoverable", "Expected true or false, got 'yes'. (document 1)"),
        (10, "k8s_pod", "k8s_pod and container exclude each other. (document 1)"),
        (12, "", "'Workflw' is no kind of spec. (document 2)"),
        (14, "", "The document 3, item 0 is no mapping, so no spec."),
        (14, "", "It is no Flyte spec: its fields are a. Tried: a task (template, or type and"
         " container), a workflow (template, or nodes and outputs), a launch plan (id and spec, or"
         " workflow_id), a compiled workflow (primary). (document 3, item 1)"),
    ]  # fmt: skip
    hints = [problem.hint for problem in found.problems]
    assert hints[:3] == ["Did you mean 'name'?", "Did you mean 'STRING'?", "Did you mean 'image'?"]
    assert hints[8] == "Did you mean 'Workflow'?"
    assert {problem.entity for problem in found.problems[:8]} == {"shop.greet"}


BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("content", "name", "said"),
    [
        ("", "e.yaml", "It is empty."),
        ("---\n---\n", "e.yaml", "It is empty."),
        (b"", "e_1.pb", "It is empty."),
        ("kind: Task\nid: {name: x}\nid: {name: y}\n", "t.yaml", "'id' is there twice, first in line 2."),
        ('{"id": {"name": "x"},\n "id": {}}', "t.json", "The key 'id' is there twice"),
        (BOMB, "b.yaml", "expands to more than 1,000,000 values"),
        ("a: &a [*a]\n", "r.yaml", "contains itself"),
        ("a: " + "[" * 100_000, "d.yaml", "nest"),
        ('{"a": ' + "[" * 100_000, "d.json", "nested more than 200 levels"),
        ("kind: Task\n\tid: x\n", "t.yaml", "It is no YAML"),
        ("kind: Task\nid: {name: 'x}\n", "q.yaml", "It is no YAML"),
        ("a: " + "[" * 500, "e.yaml", "nested more than 200 levels"),
        ("!!python/object:os.system {}\n", "p.yaml", "has no meaning in a spec"),
        ('{"kind": "Task",}', "c.json", "It is no JSON"),
        (b"kind: Task\nid: {name: caf\xe9}\n", "l.yaml", "The byte 0xe9 at offset 25 is no utf-8 text."),
        ("kind: Task\nid: {}\n", "n.yaml", "The task has no name."),
        ("kind: Task\nid: {name: x, resource_type: WORKFLOW}\n", "w.yaml", "it is a task"),
        ('{"kind": "Task", "id": {"name": "\\ud800"}}', "s.json", "half of a surrogate pair"),
        (b"\x0a\xff\x01", "x_1.pb", "It is no TaskSpec"),
        (b"\x0a\xff\x01", "x.pb", "It is no message that holds a spec"),
        (b"\x1f\x8bnothing", "p.tgz", "It is no package, or is damaged"),
    ],
)  # fmt: skip
def test_what_is_no_spec_is_reported_at_once(read, content, name, said):
    found = read(content, name)
    assert found.specs == ()
    assert said in found.problems[0].message
    assert found.problems[0].location.filename.endswith(name)


def test_bytes_that_could_be_several_messages_are_not_guessed(read):
    found = read(TaskSpec(template={"id": {"name": "x"}}).SerializeToString(), "x.pb")
    assert "It could be TaskSpec or WorkflowSpec" in found.problems[0].message
    message = WorkflowSpec(template={"id": {"name": "x", "resource_type": "WORKFLOW"}})
    assert [s.resource_type for s in read(message.SerializeToString(), "x.pb").specs] == [
        "workflow"
    ]


def test_two_different_specs_of_one_name_are_a_problem(read):
    found = read("kind: Task\nid: {name: x}\n---\nkind: Task\nid: {name: x}\ntype: other\n")
    assert [problem.code for problem in found.problems] == ["DuplicateName"]
    assert "spec.yaml:1" in found.problems[0].message


def test_problems_stop_before_they_flood(read):
    found = read(
        json.dumps({"kind": "Task", **{f"f{number}": 1 for number in range(5000)}}), "f.json"
    )
    assert found.problems[-1].code == "TooManyProblems"
    assert len(found.problems) == 101


def test_other_encodings_and_yaml_merges_are_read(read):
    content = "base: &base {image: 'debian:12'}\n"
    assert read(content).problems  # alone it is no spec
    merged = "kind: Task\nid: {name: x}\ncontainer: {<<: {image: a, command: [b]}, image: c}\n"
    for encoding in ("utf-8-sig", "utf-16"):
        (spec,) = read(merged.encode(encoding)).specs
        assert spec.message.template.container.image == "c"
        assert list(spec.message.template.container.command) == ["b"]


def test_a_target_that_names_nothing_is_a_usage_error(tmp_path):
    for target in ("nothing.yaml", str(tmp_path), str(tmp_path / "*.pb")):
        with pytest.raises(UsageError):
            read_specs([target])
    (tmp_path / "bad.yaml").write_text("- 1\n")
    with pytest.raises(CompileFailed, match="no mapping"):
        SpecRegistrar([str(tmp_path)]).load({})


def test_the_id_says_project_domain_and_version_as_written(read):
    (spec,) = read(
        "kind: Task\nid: {name: x, project: '{{ registration.project }}', version: 2}\n"
    ).specs
    assert spec.id == Identifier("task", "{{ registration.project }}", "", "x", "2")


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.text(), st.binary(), st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(
        st.sampled_from(["kind", "id", "template", "nodes", "spec", "closure", "primary", "container",
                         "interface", "workflow_id", "metadata", "custom", "name", "tasks"]), inner)),
).map(json.dumps)), st.sampled_from(["x.yaml", "x.json", "x.pb", "x_2.pb", "x.tgz", "x"]))  # fmt: skip
def test_any_content_of_a_file_is_read_or_reported(tmp_path_factory, content, name):
    path = tmp_path_factory.mktemp("fuzz") / name
    path.write_bytes(content.encode("utf-8", "replace") if isinstance(content, str) else content)
    found = read_specs([str(path)])
    assert found.specs or found.problems


@pytest.mark.parametrize("nest", [lambda inner: {"x": inner}, lambda inner: [inner]])
def test_a_struct_is_read_as_deep_as_protobuf_can_send_it_and_no_deeper(tmp_path, nest):
    states = []
    for depth in range(20, 60, 3):
        custom = 1
        for _ in range(depth):
            custom = nest(custom)
        task = {"kind": "Task", "id": {"name": "t"}, "type": "x", "custom": {"x": custom}}
        path = tmp_path / "deep.json"
        path.write_text(json.dumps(task))
        found = read_specs([str(path)])
        states.append([problem.code for problem in found.problems])
        for spec in found.specs:
            assert type(spec.message).FromString(spec.message.SerializeToString()) == spec.message
    assert states[0] == []
    assert states[-1] == ["TooDeep"]


def test_a_file_that_is_wrong_everywhere_gives_a_bounded_number_of_problems(tmp_path):
    path = tmp_path / "empty.json"
    path.write_text(json.dumps([{}] * 20_000))
    found = read_specs([str(path)])
    assert found.problems[-1].code == "TooManyProblems"
    assert len(found.problems) <= 10_001
