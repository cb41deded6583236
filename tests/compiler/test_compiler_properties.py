"""Well-formed workflows compile, one breakage gives its own code, and nothing gives another exception."""

import workflow_making as w
from breakages import BREAKAGES
from flyteidl.core import compiler_pb2, workflow_pb2
from google.protobuf.message import DecodeError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from well_formed import ALL_TASKS, INPUTS, SUB, TASKS, compiled, workflows

from flyte_nb.api.errors import CompileFailed
from flyte_nb.api.nodes import END_NODE, START_NODE
from flyte_nb.api.problems import Problem
from flyte_nb.compiler import compile_task, compile_workflow, flyte_error_text


def broken(template):
    try:
        compiled(template)
    except CompileFailed as failed:
        return {problem.code for problem in failed.problems}
    return set()


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(workflows())
def test_every_well_formed_workflow_compiles(template):
    before = template.SerializeToString(deterministic=True)
    closure = compiled(template)
    assert template.SerializeToString(deterministic=True) == before
    primary = closure.primary
    ids = [node.id for node in primary.template.nodes]
    assert ids == [START_NODE, END_NODE, *(node.id for node in template.nodes)]
    upstream = {key: list(value.ids) for key, value in primary.connections.upstream.items()}
    downstream = {key: list(value.ids) for key, value in primary.connections.downstream.items()}
    for id in ids[2:]:
        assert upstream[id] == sorted(set(upstream[id]))
        assert all(id in downstream[maker] for maker in upstream[id])
    assert primary.template.outputs == primary.template.nodes[1].inputs
    # What was compiled says everything: a second time nothing changes but start and end.
    assert closure.sub_workflows[0].template.id.name == "sub"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(workflows(), st.randoms(use_true_random=False))
def test_the_order_of_nodes_does_not_change_the_meaning(template, random):
    # Branches and approvals must follow what they use; everything else may stand anywhere.
    branches = [node for node in template.nodes if _looks_back(node)]
    others = [node for node in template.nodes if not _looks_back(node)]
    random.shuffle(others)
    shuffled = workflow_pb2.WorkflowTemplate()
    shuffled.CopyFrom(template)
    del shuffled.nodes[:]
    shuffled.nodes.extend([*others, *branches])
    one, other = compiled(template).primary, compiled(shuffled).primary
    assert one.connections == other.connections
    assert one.template.outputs == other.template.outputs
    assert {node.id: node for node in one.template.nodes} == {
        node.id: node for node in other.template.nodes
    }


def _looks_back(node):
    gate = node.gate_node.WhichOneof("condition")
    return node.WhichOneof("target") == "branch_node" or gate == "approve"


def _task_nodes(template):
    return [n for n in template.nodes if n.WhichOneof("target") == "task_node"]


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(workflows(), st.sampled_from(BREAKAGES), st.data())
def test_one_breakage_is_refused_with_its_own_code(template, breakage, data):
    nodes = _task_nodes(template)
    if not nodes:
        return
    breaks, code = breakage
    breaks(template, data.draw(st.sampled_from(nodes)))
    assert code in broken(template)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(workflows(), st.data())
def test_a_node_that_waits_for_itself_or_a_later_one_is_refused(template, data):
    nodes = list(template.nodes)
    node = data.draw(st.sampled_from(nodes))
    node.upstream_node_ids.append(node.id)
    assert broken(template) & {"CycleDetected", "UnreachableNodes"}


def outcome(compile, *arguments):
    """Return the closure, or the problems."""
    try:
        return compile(*arguments), ()
    except CompileFailed as failed:
        return None, failed.problems


def never_an_exception_from_inside(template, subs, tasks):
    closure, problems = outcome(compile_workflow, template, subs, tasks)
    if closure is not None:
        assert closure.primary.template.nodes
        return
    assert problems
    assert all(isinstance(problem, Problem) and problem.message for problem in problems)
    assert flyte_error_text(problems).startswith("Collected Errors: ")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(workflows(max_nodes=5), st.data())
def test_a_message_with_changed_bytes_gives_problems_or_compiles(template, data):
    raw = bytearray(template.SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(raw) - 1))
        raw[place] = data.draw(st.integers(0, 255))
    try:
        template = workflow_pb2.WorkflowTemplate.FromString(bytes(raw))
    except DecodeError:
        return
    never_an_exception_from_inside(template, [SUB], ALL_TASKS)


def _messages(descriptor, depth=0):
    """Generate any message of this kind, hardly ever a sensible one."""
    fields = {}
    for field in descriptor.fields:
        fields[field.name] = field

    @st.composite
    def build(draw):
        message = _class(descriptor)()
        for name in (
            draw(st.lists(st.sampled_from(sorted(fields)), max_size=4, unique=True))
            if fields
            else []
        ):
            field = fields[name]
            kind = field.message_type
            if kind is not None and (kind.GetOptions().map_entry or depth > 5):
                if (
                    kind.GetOptions().map_entry
                    and kind.fields_by_name["value"].message_type is not None
                ):
                    getattr(message, name)[
                        draw(st.sampled_from(["", "a", "n0", "é"]))
                    ].SetInParent()
                continue
            if kind is not None:
                inner = _messages(kind, depth + 1)
                if field.is_repeated:
                    getattr(message, name).extend(draw(st.lists(inner, max_size=2)))
                else:
                    getattr(message, name).CopyFrom(draw(inner))
                continue
            scalar = _scalar(field)
            if field.is_repeated:
                getattr(message, name).extend(draw(st.lists(scalar, max_size=2)))
            else:
                setattr(message, name, draw(scalar))
        return message

    return build()


def _class(descriptor):
    from google.protobuf import message_factory

    return message_factory.GetMessageClass(descriptor)


def _scalar(field):
    if field.enum_type is not None or field.cpp_type in (field.CPPTYPE_INT32, field.CPPTYPE_UINT32):
        return st.integers(0, 12)
    if field.cpp_type in (field.CPPTYPE_INT64, field.CPPTYPE_UINT64):
        return st.integers(0, 2**40)
    if field.cpp_type == field.CPPTYPE_BOOL:
        return st.booleans()
    if field.type == field.TYPE_BYTES:
        return st.binary(max_size=3)
    if field.cpp_type in (field.CPPTYPE_DOUBLE, field.CPPTYPE_FLOAT):
        return st.sampled_from([0.0, 0.5])
    return st.sampled_from(["", "n0", "start-node", "end-node", "a", "é.x", "[1].o0"])


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    _messages(workflow_pb2.WorkflowTemplate.DESCRIPTOR),
    st.lists(_messages(compiler_pb2.CompiledTask.DESCRIPTOR), max_size=2),
)
def test_any_message_gives_problems_or_compiles(template, tasks):
    never_an_exception_from_inside(template, [template] if template.HasField("id") else [], tasks)
    for task in tasks:
        compiled_task, problems = outcome(compile_task, task.template)
        assert compiled_task is not None or problems


def test_branches_within_branches_compile():
    inner = w.node("n0", TASKS["str_of_int"], x=1)
    for _ in range(12):
        inner = w.branch("b", [(w.comparison("c", 1), inner)], "no", c=w.promise("in_int"))
    closure = compiled(w.workflow([inner], INPUTS))
    place = closure.primary.template.nodes[2]
    for _ in range(12):
        place = place.branch_node.if_else.case.then_node
    assert place.id == "-".join(["b"] * 12 + ["n0"])


def test_a_message_too_deep_to_be_sent_is_refused():
    template = w.workflow([])
    place = template.nodes.add()
    for _ in range(1500):
        place = place.array_node.node
    place.id = "innermost"
    assert broken(template) == {"InvalidValue"}


def test_a_thousand_levels_of_sub_workflows_compile():
    subs = [SUB]
    for level in range(1500):
        subs.append(
            w.workflow([w.node("n0", subs[-1], x=w.promise("x"))], {"x": w.INT}, {"o0": w.INT},
                       {"o0": w.promise("o0", "n0")}, name=f"sub{level}")
        )  # fmt: skip
    template = w.workflow([w.node("n0", subs[-1], x=1)])
    closure = compile_workflow(template, reversed(subs), ALL_TASKS)
    assert all(len(sub.template.nodes) == 3 for sub in closure.sub_workflows)


def _chain(length):
    task = TASKS["int_of_int"]
    nodes = [
        w.node(f"n{i}", task, x=w.promise("o0", f"n{i - 1}") if i else 1) for i in range(length)
    ]
    return w.workflow(nodes)


def test_ten_thousand_nodes_in_a_chain_need_no_stack():
    assert len(compiled(_chain(10_000)).primary.template.nodes) == 10_002


def test_a_cycle_through_ten_thousand_nodes_is_reported():
    template = _chain(10_000)
    template.nodes[0].upstream_node_ids.append("n9999")
    assert broken(template) == {"UnreachableNodes"}


def test_a_large_faulty_workflow_reports_every_problem():
    nodes = [w.node(f"n{i}", TASKS["int_of_int"], x="no") for i in range(3000)]
    _, problems = outcome(compiled, w.workflow(nodes))
    assert len(problems) == 3000
