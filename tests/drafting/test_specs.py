"""Drafts of specs: names and versions filled in, references resolved, launch plans checked."""

import json

import pytest
import yaml
from flyteidl.admin.launch_plan_pb2 import LaunchPlan as LaunchPlanMessage
from flyteidl.admin.task_pb2 import Task
from flyteidl.admin.workflow_pb2 import Workflow
from hypothesis import given, settings
from hypothesis import strategies as st

from flyte_nb import LaunchPlan, task, workflow
from flyte_nb.api.identifiers import Identifier, Scope
from flyte_nb.discovery.specs.registrar import read_specs
from flyte_nb.drafting.compile_report import compile_all, document_of
from flyte_nb.drafting.drafter import Drafter
from flyte_nb.drafting.specs import spec_drafter
from flyte_nb.types.registry import default_registry

SCOPE = Scope("shop", "production", "")
INT = {"type": {"simple": "INTEGER"}}


def a_task(name, **fields):
    made = {"kind": "Task", "id": {"name": name}, "type": "raw-container"}
    made["container"] = {"image": "x", "command": ["true"]}
    made["interface"] = {"inputs": {"variables": {"n": INT}}, "outputs": {"variables": {"o0": INT}}}
    return {**made, **fields}


def node(id, target, **reference):
    kinds = {
        "task": lambda r: {"task_node": {"reference_id": r}},
        "workflow": lambda r: {"workflow_node": {"sub_workflow_ref": r}},
        "launch_plan": lambda r: {"workflow_node": {"launchplan_ref": r}},
    }
    kind, _, name = target.partition(":")
    made = {"id": id, "inputs": [{"var": "n", "binding": {"promise": {"var": "n"}}}]}
    return {**made, **kinds[kind]({"name": name, **reference})}


def a_workflow(name, *nodes, **fields):
    interface = {"inputs": {"variables": {"n": INT}}}
    made = {"kind": "Workflow", "id": {"name": name}, "interface": interface, "nodes": list(nodes)}
    return {**made, **fields}


def a_plan(name, workflow, **fields):
    return {"kind": "LaunchPlan", "id": {"name": name}, "workflow_id": {"name": workflow}, **fields}


@pytest.fixture
def specs(tmp_path):
    def specs(*documents):
        path = tmp_path / "specs.yaml"
        path.write_text(yaml.safe_dump_all(documents))
        found = read_specs([str(path)])
        assert found.problems == ()
        return found.specs

    return specs


def drafts_of(specs, scope, *, lookup=None):
    return Drafter(scope, default_registry(), lookup=lookup).draft(specs)


def problems_of(drafts):
    return [(item.entity, item.node_id, item.code) for draft in drafts for item in draft.problems]


def test_everything_is_named_versioned_by_content_and_put_in_order(specs):
    documents = [
        a_plan("night", "outer"),
        a_workflow("outer", node("n0", "workflow:inner"), node("n1", "launch_plan:inner")),
        a_plan("inner", "inner"),
        a_workflow("inner", node("n0", "task:t")),
        a_task("t"),
    ]
    drafts = drafts_of(specs(*documents), SCOPE)
    assert problems_of(drafts) == []
    order = [(draft.id.resource_type, draft.id.name) for draft in drafts]
    assert order.index(("task", "t")) < order.index(("workflow", "inner"))
    assert order.index(("launch_plan", "inner")) < order.index(("workflow", "outer"))
    by_key = {draft.key: draft for draft in drafts}
    outer = by_key["workflow", "outer"]
    assert {draft.id[1:3] for draft in drafts} == {("shop", "production")}
    inner = by_key["workflow", "inner"].id
    assert [sub.id.version for sub in outer.message.sub_workflows] == [inner.version]
    assert outer.message.template.nodes[0].workflow_node.sub_workflow_ref.version == inner.version
    assert outer.closure is not None
    again = drafts_of(reversed(specs(*documents)), SCOPE)
    assert {draft.id for draft in again} == {draft.id for draft in drafts}
    documents[4]["container"]["image"] = "y"
    changed = {draft.key: draft.id.version for draft in drafts_of(specs(*documents), SCOPE)}
    assert all(changed[draft.key] != draft.id.version for draft in drafts)  # all depend on it


def test_placeholders_and_given_versions_are_filled_in_as_flytectl_does(specs):
    registration = {
        part: f"{{{{ registration.{part} }}}}" for part in ("project", "domain", "version")
    }
    reference = {**registration}
    found = specs(
        a_task("t", id={"name": "t", **registration}),
        a_workflow("w", node("n0", "task:t", **reference), id={"name": "w", "version": "v7"}),
    )
    (t, w) = drafts_of([spec.versioned("v1") for spec in found], SCOPE)
    assert t.id == Identifier("task", "shop", "production", "t", "v1")
    assert w.id.version == "v7"
    assert (t.pinned, w.pinned) == (True, True)
    assert w.message.template.nodes[0].task_node.reference_id.version == "v1"
    assert (
        found[1].message.template.nodes[0].task_node.reference_id.version == registration["version"]
    )


def test_references_that_lead_nowhere_are_reported_at_their_line_with_the_nearest_name(specs):
    drafts = drafts_of(
        specs(
            a_task("make_rows"),
            a_workflow(
                "w", node("n0", "task:make_row"), node("n1", "task:make_rows", version="v2")
            ),
            a_plan("p", "v"),
        ),
        SCOPE,
    )
    assert sorted(problems_of(drafts)) == [
        ("p", "", "WorkflowReferenceNotFound"),
        ("w", "n0", "TaskReferenceNotFound"),
        ("w", "n1", "TaskReferenceNotFound"),
    ]
    first, second = (problem for draft in drafts for problem in draft.problems if problem.node_id)
    assert first.hint == "Did you mean 'make_rows'?"
    assert second.message == "The task make_rows in version v2 is not among these specs."
    assert first.location.line < second.location.line


def test_only_the_first_of_very_many_lost_references_get_a_nearest_name(specs):
    nodes = [node(f"n{index}", f"task:make_rows{index}") for index in range(60)]
    drafts = drafts_of(specs(a_task("make_rows"), a_workflow("w", *nodes)), SCOPE)
    hints = [problem.hint for draft in drafts for problem in draft.problems]
    assert len(hints) == 60
    assert hints.count("Did you mean 'make_rows'?") == 50


def test_a_circle_is_reported_once_and_what_uses_it_has_no_problem(specs):
    found = specs(
        a_workflow("a", node("n0", "workflow:b")),
        a_workflow("b", node("n0", "workflow:a")),
        a_workflow("c", node("n0", "workflow:a")),
    )
    drafts = drafts_of(found, SCOPE)
    assert [code for _, _, code in problems_of(drafts)] == ["CycleDetected"]
    assert not any(draft.is_whole for draft in drafts)


def test_a_ring_of_three_and_many_circles_are_reported_once_each(specs):
    ring = [a_workflow(f"r{n}", node("n0", f"workflow:r{(n + 1) % 3}")) for n in range(3)]
    pairs = [
        a_workflow(f"{a}{n}", node("n0", f"workflow:{b}{n}"))
        for n in range(20)
        for a, b in ("xy", "yx")
    ]
    drafts = drafts_of(specs(*ring, *pairs), SCOPE)
    told = problems_of(drafts)
    assert [code for _, _, code in told] == ["CycleDetected"] * 21
    first = next(problem for draft in drafts for problem in draft.problems)
    assert "r0 → r1 → r2 → r0" in first.message


def test_a_launch_plan_is_checked_against_its_workflow(specs):
    text = {"scalar": {"primitive": {"string_value": "x"}}}
    drafts = drafts_of(
        specs(
            a_task("t"),
            a_workflow("w", node("n0", "task:t")),
            a_plan(
                "p",
                "w",
                fixed_inputs={"literals": {"n": text, "nn": text}},
                default_inputs={"parameters": {"m": {"var": INT, "required": True}}},
            ),
        ),
        SCOPE,
    )
    told = {(problem.variable, problem.code) for problem in drafts[-1].problems}
    assert told == {
        ("fixed_inputs.n", "MismatchingTypes"),
        ("fixed_inputs.nn", "VariableNameNotFound"),
        ("default_inputs.m", "VariableNameNotFound"),
    }


def test_what_flyteadmin_or_a_container_would_refuse_is_a_problem(specs):
    fast = {"image": "x", "args": ["pyflyte-fast-execute", "{{ .remote_package_path }}"]}
    drafts = drafts_of(specs(a_task("t", type="", container=fast)), SCOPE)
    assert [problem.code for problem in drafts[0].problems] == ["ValueRequired", "NeedsSource"]


def test_what_a_cluster_would_not_launch_is_a_problem(specs):
    late = node("n0", "task:t")
    late["metadata"] = {"timeout": "9999999999s"}
    assert problems_of(drafts_of(specs(a_task("t"), a_workflow("w", late)), SCOPE)) == [
        ("w", "n0", "SyntaxError")
    ]


def test_what_is_registered_is_looked_up_once_and_only_when_nothing_nearer_has_it(specs):
    asked = []
    there = Task(id={"resource_type": "TASK", "project": "shop", "domain": "production", "name": "far",
                     "version": "v3"})  # fmt: skip
    near, *_ = drafts_of(specs(a_task("far")), SCOPE)
    there.closure.compiled_task.template.CopyFrom(near.message.template)
    there.closure.compiled_task.template.id.CopyFrom(there.id)
    sub = Workflow(id={"resource_type": "WORKFLOW", "project": "shop", "domain": "production",
                       "name": "sub", "version": "v9"})  # fmt: skip
    template = sub.closure.compiled_workflow.primary.template
    template.id.CopyFrom(sub.id)
    template.interface.inputs.variables["n"].type.simple = 1
    kept = template.nodes.add(id="n0")
    kept.task_node.reference_id.CopyFrom(there.id)
    binding = kept.inputs.add(var="n")
    binding.binding.promise.node_id, binding.binding.promise.var = "start-node", "n"
    template.nodes.add(id="start-node")
    plan = LaunchPlanMessage(id={"resource_type": "LAUNCH_PLAN", "project": "shop", "domain": "production",
                          "name": "plan", "version": "v2"})  # fmt: skip
    plan.closure.expected_inputs.parameters["n"].var.type.simple = 1

    def lookup(wanted):
        asked.append(sorted(wanted))
        known = {"far": there, "sub": sub, "plan": plan}
        return {id: known[id.name] for id in wanted if id.name in known}

    found = specs(
        a_task("t"),
        a_workflow(
            "w", node("n0", "task:t"), node("n1", "task:far"), node("n2", "workflow:sub"),
            node("n3", "launch_plan:plan"), node("n4", "task:nowhere"),
        ),
    )  # fmt: skip
    drafts = drafts_of(found, SCOPE, lookup=lookup)
    assert len(asked) == 1
    assert [id.name for id in asked[0]] == ["plan", "far", "nowhere", "sub"]
    assert problems_of(drafts) == [("w", "n4", "TaskReferenceNotFound")]
    whole = drafts_of(
        [found[0], found[1]._replace(message=_without_last_node(found[1].message))],
        SCOPE, lookup=lookup,
    )[-1]  # fmt: skip
    assert whole.problems == ()
    assert [node.id for node in whole.message.sub_workflows[0].nodes] == ["n0"]
    assert whole.message.template.nodes[1].task_node.reference_id.version == "v3"
    asked.clear()
    drafts_of(found[:1], SCOPE, lookup=lookup)
    assert asked == []


def _without_last_node(message):
    shorter = type(message)()
    shorter.CopyFrom(message)
    del shorter.template.nodes[-1]
    return shorter


@task
def double(n: int) -> int:
    return 2 * n


@workflow
def twice(n: int) -> int:
    return double(n=n)


nightly = LaunchPlan(twice, name="nightly", fixed_inputs={"n": 4})


@workflow
def by_plan() -> int:
    return nightly()


def test_a_workflow_of_the_sdk_that_starts_a_launch_plan_compiles():
    report = compile_all([by_plan, nightly], SCOPE, default_registry())
    assert report.all_problems == ()
    assert {one.id.name: one.nodes for one in report.entities}[f"{double.module}.by_plan"] == 1


def test_specs_may_use_what_modules_define_beside_them(specs):
    registry = default_registry()
    name = f"{double.module}.double"
    found = specs(a_workflow("w", node("n0", f"task:{name}")))
    assert problems_of(Drafter(SCOPE, registry).draft([double, *found])) == []
    report = compile_all([twice, *found], SCOPE, registry)
    assert report.ok
    assert [(one.id.name, one.nodes) for one in report.entities][1:] == [
        (f"{double.module}.twice", 1),
        ("w", 1),
    ]


def test_specs_may_use_the_default_launch_plans_of_what_is_defined_beside_them(specs):
    name = f"{twice.module}.twice"
    found = specs(a_workflow("w", node("n0", f"launch_plan:{name}")))
    report = compile_all([twice, *found], SCOPE, default_registry())
    assert report.all_problems == ()
    shown = [(one.id.resource_type, one.id.name) for one in report.entities]
    assert ("launch_plan", name) not in shown  # nobody asked for it


def test_a_spec_with_the_name_of_an_entity_of_the_sdk_hides_nothing(specs):
    name = f"{double.module}.double"
    found = specs(a_task(name))
    drafts = drafts_of([double, *found], SCOPE)
    assert [(draft.id.name, draft.entity) for draft in drafts] == [(name, double), (name, found[0])]


def test_a_draft_says_what_has_to_be_registered_before_it(specs):
    found = specs(
        a_task("t"),
        a_workflow("w", node("n0", "task:t")),
        a_workflow("v", node("n0", "workflow:w")),
        a_plan("p", "v"),
    )
    drafts = {draft.id.name: draft for draft in drafts_of([twice, *found], SCOPE)}
    ids = {name: draft.id for name, draft in drafts.items()}
    assert set(drafts["v"].references) == {ids["w"], ids["t"]}
    assert drafts["p"].references == (ids["v"],)
    own = drafts_of([twice], SCOPE)
    task_id, workflow_id = own[0].id, own[1].id
    assert [draft.references for draft in own] == [(), (task_id,), (workflow_id,)]


def test_the_report_as_json_has_every_field_and_digests_follow_the_content(specs):
    found = specs(a_task("t"), a_workflow("w", node("n0", "task:x")))
    document = document_of(compile_all(found, SCOPE, default_registry()))
    assert json.loads(json.dumps(document)) == document
    assert document["ok"] is False
    assert document["counts"] == {"entities": 2, "ok": 1, "problems": 1}
    assert [(one["name"], one["state"], bool(one["digest"])) for one in document["entities"]] == [
        ("t", "ok", True),
        ("w", "problems", False),
    ]
    (problem,) = document["problems"]
    assert set(problem) == {"code", "message", "node_id", "variable", "hint", "entity", "flyte_text",
                            "file", "line"}  # fmt: skip
    assert problem["file"].endswith("specs.yaml")


_BRANCH = {
    "id": "b", "inputs": node("b", "task:t")["inputs"],
    "branch_node": {
        "if_else": {
            "case": {
                "condition": {
                    "comparison": {"operator": "GT", "left_value": {"var": "n"},
                                   "right_value": {"primitive": {"integer": 3}}}
                },
                "then_node": node("c0", "task:t"),
            },
            "else_node": node("c1", "launch_plan:inner"),
        }
    },
}  # fmt: skip
_DEFAULT = {"var": INT, "default": {"scalar": {"primitive": {"integer": 1}}}}
WHOLE = [
    a_task(
        "t", custom={"a": [1, {"b": None}]}, metadata={"retries": {"retries": 2}, "timeout": "9s"}
    ),
    a_workflow("inner", node("n0", "task:t"), outputs=[]),
    a_workflow("outer", node("n0", "workflow:inner"), _BRANCH, failure_node=node("f", "task:t")),
    a_plan("inner", "inner", default_inputs={"parameters": {"n": _DEFAULT}}),
]
_ODD = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8),
    st.sampled_from(["t", "n0", "start-node", "TASK", "9s", "{{ registration.version }}", [], {}, [[]]]),
)  # fmt: skip


def _mutated(data, draw):
    """The data with some part of it replaced, dropped or doubled."""
    if isinstance(data, dict) and data and draw(st.integers(0, 3)):
        key = draw(st.sampled_from(sorted(data)))
        made = dict(data)
        if draw(st.integers(0, 9)) == 0:
            del made[key]
        else:
            made[key] = _mutated(data[key], draw)
        return made
    if isinstance(data, list) and data and draw(st.integers(0, 3)):
        index = draw(st.integers(0, len(data) - 1))
        if draw(st.integers(0, 9)) == 0:
            return [*data, data[index]]
        return [*data[:index], _mutated(data[index], draw), *data[index + 1 :]]
    return draw(_ODD)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_whatever_specs_say_they_compile_or_have_problems(tmp_path_factory, data):
    documents = WHOLE
    for _ in range(data.draw(st.integers(1, 3))):
        documents = _mutated(documents, data.draw)
    path = tmp_path_factory.mktemp("fuzz") / "specs.json"
    path.write_text(json.dumps(documents))
    found = read_specs([str(path)])
    report = compile_all(found.specs, SCOPE, default_registry(), problems=found.problems)
    json.dumps(document_of(report))
    broken = [one for one in report.entities if one.state != "ok"]
    assert report.all_problems or not broken


def test_the_whole_set_compiles(specs):
    assert compile_all(specs(*WHOLE), SCOPE, default_registry()).all_problems == ()


def test_what_is_nested_as_deeply_as_can_be_is_a_problem_or_compiles(specs):
    for depth in (20, 40, 60, 90):
        type_ = {"simple": "INTEGER"}
        for _ in range(depth):
            type_ = {"collection_type": type_}
        found = specs(a_task("t", interface={"inputs": {"variables": {"n": {"type": type_}}}}))
        compile_all(found, SCOPE, default_registry())


def test_sub_workflows_that_specs_bring_are_bounded_and_reported_once(specs, monkeypatch):
    chain = [a_workflow("w0", node("n0", "task:t"))]
    chain += [a_workflow(f"w{n}", node("n0", f"workflow:w{n - 1}")) for n in range(1, 12)]
    monkeypatch.setattr(spec_drafter, "_MOST_BROUGHT", 40)
    drafts = drafts_of(specs(a_task("t"), *chain), SCOPE)
    assert problems_of(drafts) == [("w9", "", "TooManySubWorkflows")]  # 1 + 2 + … + 9 > 40
    assert [draft.id.name for draft in drafts if not draft.is_whole] == ["w9", "w10", "w11"]


def test_of_embedded_sub_workflows_the_one_of_the_wanted_version_is_taken(specs):
    subs = [
        {**a_workflow("inner", node("n0", f"task:{name}")), "id": {"name": "inner", "version": v}}
        for name, v in (("t", "v1"), ("u", "v2"))
    ]
    nodes = node("n0", "workflow:inner", version="v2"), node("n1", "workflow:inner")
    outer = {"template": a_workflow("outer", *nodes), "sub_workflows": subs}
    for part in (outer["template"], *subs):
        part.pop("kind")
    drafts = drafts_of(specs(a_task("t"), a_task("u"), outer), SCOPE)
    assert problems_of(drafts) == []
    [used] = [draft.message.template.nodes for draft in drafts if draft.closure]
    assert [each.workflow_node.sub_workflow_ref.version for each in used] == ["v2", "v1"]


def test_hints_show_what_to_write_in_a_spec_and_lost_nodes_are_reported(specs):
    bare = {**node("n0", "task:t"), "inputs": []}
    twins = node("n1", "task:t"), node("n1", "task:t")
    drafts = drafts_of(specs(a_task("t"), a_workflow("w", bare), a_workflow("v", *twins)), SCOPE)
    assert problems_of(drafts) == [("w", "n0", "ParameterNotBound"), ("v", "n1", "DuplicateId")]
    hints = [problem.hint for draft in drafts for problem in draft.problems]
    assert hints[0] == "Add it to the node's inputs: {var: …, binding: …}."
