from datetime import datetime, timezone

from flyteidl.admin.execution_pb2 import Execution
from flyteidl.admin.node_execution_pb2 import NodeExecution
from flyteidl.admin.task_execution_pb2 import TaskExecution
from flyteidl.core import execution_pb2 as core
from flyteidl.core.catalog_pb2 import CACHE_HIT
from flyteidl.core.compiler_pb2 import CompiledWorkflowClosure
from flyteidl.core.identifier_pb2 import LAUNCH_PLAN, WORKFLOW, Identifier
from hypothesis import given
from hypothesis import strategies as st

from flyte_nb.api.nodes import unique_node_id
from flyte_nb.compiler.outline import Outline
from flyte_nb.executions.assembly import Assembly
from flyte_nb.executions.failures import failure_of
from flyte_nb.executions.node_ids import ParentFinder


def execution(phase=core.WorkflowExecution.RUNNING, at=10):
    message = Execution()
    message.id.project, message.id.domain, message.id.name = "p", "d", "e1"
    message.spec.launch_plan.resource_type = LAUNCH_PLAN
    message.spec.launch_plan.name = "nb.train"
    message.closure.workflow_id.resource_type = WORKFLOW
    message.closure.workflow_id.name = "nb.train"
    message.closure.phase = phase
    message.closure.created_at.seconds = 5
    message.closure.started_at.seconds = 6
    message.closure.updated_at.seconds = at
    return message


def node(node_id, phase=core.NodeExecution.RUNNING, *, spec="", at=10, parent=False):
    message = NodeExecution()
    message.id.node_id = node_id
    message.metadata.spec_node_id = spec or node_id
    message.metadata.is_parent_node = parent
    message.closure.phase = phase
    message.closure.updated_at.seconds = at
    return message


def attempt(node_id, number=0, phase=core.TaskExecution.RUNNING, *, at=10):
    message = TaskExecution()
    message.id.node_execution_id.node_id = node_id
    message.id.retry_attempt = number
    message.closure.phase = phase
    message.closure.updated_at.seconds = at
    return message


def assembled(*messages, outline=None):
    assembly = Assembly(outline)
    for message in messages:
        assembly.apply(message)
    return assembly.view(1)


def test_there_is_no_view_before_the_execution_itself_is_known():
    assert assembled(node("n0")) is None


def test_nodes_come_in_the_order_in_which_they_were_first_seen_without_start_and_end():
    view = assembled(node("start-node"), node("n1"), execution(), node("n0"), node("end-node"))
    assert [item.node_id for item in view.nodes] == ["n1", "n0"]


def test_a_message_that_is_older_than_what_is_known_changes_nothing():
    done = node("n0", core.NodeExecution.SUCCEEDED, at=20)
    view = assembled(execution(), done, node("n0", core.NodeExecution.QUEUED, at=10))
    assert view.nodes[0].phase == "SUCCEEDED"


def test_attempts_are_sorted_and_carry_what_they_used():
    second = attempt("n0", 1, core.TaskExecution.SUCCEEDED)
    second.closure.custom_info.update({"cpu_s": 1.5, "max_rss_bytes": 1 << 20, "pid": 7})
    second.closure.logs.add(name="log", uri="file:///log")
    view = assembled(execution(), node("n0"), second, attempt("n0", 0, core.TaskExecution.FAILED))
    first, last = view.nodes[0].attempts
    assert (first.attempt, first.phase, last.attempt, last.cpu_s) == (0, "FAILED", 1, 1.5)
    assert (last.max_rss_bytes, last.logs[0].uri) == (1 << 20, "file:///log")


def test_times_are_utc_and_the_end_is_start_plus_duration():
    message = execution(core.WorkflowExecution.SUCCEEDED)
    message.closure.duration.seconds = 30
    view = assembled(message)
    assert view.started_at == datetime.fromtimestamp(6, timezone.utc)
    assert view.ended_at == datetime.fromtimestamp(36, timezone.utc)
    assert view.is_terminal


def test_a_cache_hit_is_shown_and_a_disabled_cache_is_not():
    hit = node("n0", core.NodeExecution.SUCCEEDED)
    hit.closure.task_node_metadata.cache_status = CACHE_HIT
    off = node("n1", core.NodeExecution.SUCCEEDED)
    off.closure.task_node_metadata.SetInParent()
    view = assembled(execution(), hit, off)
    assert [item.cache_status for item in view.nodes] == ["CACHE_HIT", ""]


def nested_closure():
    closure = CompiledWorkflowClosure()
    inner = Identifier(resource_type=WORKFLOW, name="nb.inner")
    outer = closure.primary.template.nodes.add(id="n0")
    outer.metadata.name = "inner"
    outer.workflow_node.sub_workflow_ref.CopyFrom(inner)
    closure.primary.template.nodes.add(id="start-node")
    sub = closure.sub_workflows.add().template
    sub.id.CopyFrom(inner)
    task = sub.nodes.add(id="n0")
    task.metadata.name = "fit"
    task.task_node.reference_id.name = "nb.fit"
    return closure


def test_names_and_kinds_come_from_the_workflow_also_of_nodes_inside():
    view = assembled(
        execution(),
        node("n0", parent=True),
        node("n0-0-n0", spec="n0"),
        outline=Outline(nested_closure()),
    )
    shown = [(item.name, item.kind, item.parent_id) for item in view.nodes]
    assert shown == [("inner", "workflow", ""), ("fit", "task", "n0")]
    assert view.total_nodes == 2


def test_the_error_of_a_failed_execution_is_that_of_the_task_that_failed():
    outer = node("n0", core.NodeExecution.FAILED, parent=True)
    outer.closure.error.message = "one of its nodes failed"
    inner = node("n0-0-n0", core.NodeExecution.FAILED, spec="n0")
    inner.closure.error.message = "RetriesExhausted"
    tried = attempt("n0-0-n0", 0, core.TaskExecution.FAILED)
    tried.closure.error.code = "USER:ValueError"
    tried.closure.error.message = "ValueError: too deep"
    failed = execution(core.WorkflowExecution.FAILED)
    failed.closure.error.message = "nb.train failed"
    error = failure_of(assembled(failed, outer, inner, tried))
    assert (error.node_id, error.info.code) == ("n0-0-n0", "USER:ValueError")
    assert "too deep" in str(error)


def test_the_error_of_an_aborted_execution_has_the_cause():
    message = execution(core.WorkflowExecution.ABORTED)
    message.closure.abort_metadata.cause = "wrong data"
    view = assembled(message)
    assert view.abort_cause == "wrong data"
    assert "was aborted" in str(failure_of(view))
    assert "wrong data" in str(failure_of(view))


def test_attempts_are_read_again_only_where_something_can_still_change():
    assembly = Assembly()
    for message in (
        node("done", core.NodeExecution.SUCCEEDED),
        attempt("done", 0, core.TaskExecution.SUCCEEDED),
        node("running"),
        attempt("running"),
        node("waiting", core.NodeExecution.QUEUED),
        node("inside", parent=True),
        node("ended"),
    ):
        assembly.apply(message)
    assert assembly.attempts_wanted() == ["running", "ended"]


names = st.from_regex(r"n[0-9]{1,2}", fullmatch=True)


@given(st.lists(names, min_size=2, max_size=6), st.integers(0, 3))
def test_the_parent_is_found_from_the_id_also_where_it_is_hashed(path, number):
    parents = []
    last = ""
    for name in path:
        child = unique_node_id(last, number, name)
        assert ParentFinder().parent_of(child, name, parents) == last
        parents.append(child)
        last = child


def closure_of(*nodes):
    closure = CompiledWorkflowClosure()
    for node_id, name in nodes:
        made = closure.primary.template.nodes.add(id=node_id)
        made.metadata.name = name
        made.task_node.reference_id.name = name
    return closure


def dynamic(node_id, uri, **options):
    message = node(node_id, core.NodeExecution.DYNAMIC_RUNNING, parent=True, **options)
    message.metadata.is_dynamic = True
    message.closure.dynamic_job_spec_uri = uri
    return message


def test_nodes_inside_a_dynamic_one_have_the_names_of_the_workflow_that_it_made():
    assembly = Assembly(Outline(closure_of(("n0", "nb.spread"))))
    for message in (execution(), dynamic("n0", "s://0/futures.pb"), node("n0-0-dn0", spec="dn0")):
        assembly.apply(message)
    assert assembly.growing() == [("n0", "s://0/futures.pb")]
    assert [one.name for one in assembly.view(1).nodes] == ["nb.spread", "dn0"]
    assembly.grow("n0", "s://0/futures.pb", closure_of(("dn0", "nb.double"), ("dn1", "nb.double")))
    assert assembly.growing() == []
    view = assembly.view(2)
    assert [one.name for one in view.nodes] == ["nb.spread", "nb.double"]
    assert view.nodes[0].job_uri == "s://0/futures.pb"
    assert view.total_nodes == 3


def test_what_cannot_be_had_is_not_asked_for_again_until_another_attempt_makes_another_one():
    assembly = Assembly()
    assembly.apply(dynamic("n0", "s://0/futures.pb"))
    assembly.grow("n0", "s://0/futures.pb", None)
    assert assembly.growing() == []
    assembly.apply(dynamic("n0", "s://1/futures.pb", at=11))
    assert assembly.growing() == [("n0", "s://1/futures.pb")]


def test_a_node_that_becomes_a_parent_late_is_found_by_its_nodes():
    hashed = unique_node_id("n0-0-dn0-0-dn0-0-dn0", 1, "dn0")
    child = node(hashed, spec="dn0")
    child.metadata.retry_group = "1"
    late = node("n0-0-dn0-0-dn0-0-dn0", spec="dn0")
    assembly = Assembly()
    others = [node(f"n{number}", parent=True) for number in range(1, 5)]
    for message in (execution(), late, *others, node(unique_node_id("n1", 0, "dn0"), spec="dn0")):
        assembly.apply(message)
    assembly.view(1)
    late = node("n0-0-dn0-0-dn0-0-dn0", spec="dn0", parent=True, at=11)
    for message in (late, child):
        assembly.apply(message)
    parents = {one.node_id: one.parent_id for one in assembly.view(2).nodes}
    assert parents[hashed] == "n0-0-dn0-0-dn0-0-dn0"


def test_a_dynamic_node_is_a_parent_and_has_attempts():
    assembly = Assembly()
    for message in (execution(), node("n1", parent=True), dynamic("n0", "s://0/futures.pb")):
        assembly.apply(message)
    assert assembly.parents() == ["n1", "n0"]
    assert assembly.attempts_wanted() == ["n0"]


def test_an_execution_that_a_node_started_names_the_execution_around_it():
    assembly = Assembly()
    message = execution()
    parent = message.spec.metadata.parent_node_execution
    parent.execution_id.project, parent.execution_id.domain = "p", "d"
    parent.execution_id.name, parent.node_id = "e0", "n1"
    assembly.apply(message)
    assert assembly.view(1).parent == ("p", "d", "e0")
