"""Following an execution on servers that stream, that do not, and that go away in between."""

import itertools
import threading
import time

import grpc
import pytest
from flyteidl.admin.execution_pb2 import Execution, WorkflowExecutionGetRequest
from flyteidl.admin.node_execution_pb2 import (
    NodeExecution,
    NodeExecutionGetRequest,
    NodeExecutionList,
    NodeExecutionListRequest,
)
from flyteidl.admin.task_execution_pb2 import (
    TaskExecution,
    TaskExecutionList,
    TaskExecutionListRequest,
)
from flyteidl.core import execution_pb2 as core
from google.protobuf.any_pb2 import Any

from flyte_nb.api.errors import RemoteError
from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.compiler.outline import Outline
from flyte_nb.executions.following import WATCH, Follower

ID = ExecutionId("p", "d", "e1")


class Story:
    """An execution that moves one step further each time it is read."""

    def __init__(self):
        self.phases = [core.WorkflowExecution.RUNNING] * 3 + [core.WorkflowExecution.SUCCEEDED]
        self.step = 0

    def execution(self):
        message = Execution()
        message.id.project, message.id.domain, message.id.name = ID
        message.spec.launch_plan.resource_type = 3
        message.closure.workflow_id.resource_type = 2
        message.closure.phase = self.phases[min(self.step, len(self.phases) - 1)]
        message.closure.created_at.seconds = 1
        message.closure.updated_at.seconds = self.step + 1
        return message

    def node(self):
        message = NodeExecution()
        message.id.node_id = message.metadata.spec_node_id = "n0"
        done = self.step >= len(self.phases) - 1
        message.closure.phase = core.NodeExecution.SUCCEEDED if done else core.NodeExecution.RUNNING
        message.closure.updated_at.seconds = self.step + 1
        return message

    def task(self):
        message = TaskExecution()
        message.id.node_execution_id.node_id = "n0"
        done = self.step >= len(self.phases) - 1
        message.closure.phase = core.TaskExecution.SUCCEEDED if done else core.TaskExecution.RUNNING
        message.closure.updated_at.seconds = self.step + 1
        return message


def wrapped(message):
    holder = Any()
    holder.Pack(message)
    return holder


def follow(client, *, deadline=None, stop=None, outline=lambda workflow: Outline(), **options):
    follower = Follower(client, ID, outline, **options)
    follower.start()
    try:
        return list(follower.views(itertools.count(1), deadline, stop))
    finally:
        follower.close()


def poll_answers(admin, story):
    def get(request, context):
        message = story.execution()
        story.step += 1
        return message

    admin.answers["GetExecution"] = (get, WorkflowExecutionGetRequest)
    admin.answers["ListNodeExecutions"] = (
        lambda request, context: NodeExecutionList(
            node_executions=[] if request.unique_parent_id else [story.node()]
        ),
        NodeExecutionListRequest,
    )
    admin.answers["ListTaskExecutions"] = (
        lambda request, context: TaskExecutionList(task_executions=[story.task()]),
        TaskExecutionListRequest,
    )


def test_a_server_without_the_stream_is_polled_to_the_end(admin, make_client):
    poll_answers(admin, Story())
    views = follow(make_client())
    assert views[-1].phase == "SUCCEEDED"
    assert [node.phase for node in views[-1].nodes] == ["SUCCEEDED"]
    assert [attempt.phase for attempt in views[-1].nodes[0].attempts] == ["SUCCEEDED"]
    assert admin.calls["GetExecution"] >= 4


def test_an_error_that_a_list_cuts_short_is_read_whole(admin, make_client):
    story = Story()
    story.phases = [core.WorkflowExecution.FAILED]
    poll_answers(admin, story)
    long = "x" * 500

    def failed(length):
        node = story.node()
        node.closure.phase = core.NodeExecution.FAILED
        node.closure.error.message = long[:length]
        return node

    admin.answers["ListNodeExecutions"] = (
        lambda request, context: NodeExecutionList(
            node_executions=[] if request.unique_parent_id else [failed(100)]
        ),
        NodeExecutionListRequest,
    )
    admin.answers["GetNodeExecution"] = (
        lambda request, context: failed(500),
        NodeExecutionGetRequest,
    )
    assert follow(make_client())[-1].nodes[0].error.message == long


_OUTAGES = [
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
]


@pytest.mark.parametrize("status", _OUTAGES)
@pytest.mark.parametrize(
    "method", ["GetExecution", "ListNodeExecutions", "ListTaskExecutions", "GetNodeExecution"]
)
def test_polling_outlives_an_outage_of_the_server(admin, make_client, method, status):
    story = Story()
    poll_answers(admin, story)
    story.phases = [core.WorkflowExecution.RUNNING] * 2 + [core.WorkflowExecution.FAILED]

    def failed(request, context):
        node = story.node()
        node.closure.phase = core.NodeExecution.FAILED
        node.closure.error.message = "x" * 100
        return node

    if method == "GetNodeExecution":
        admin.answers["ListNodeExecutions"] = (
            lambda request, context: NodeExecutionList(
                node_executions=[] if request.unique_parent_id else [failed(request, context)]
            ),
            NodeExecutionListRequest,
        )
        admin.answers["GetNodeExecution"] = (failed, NodeExecutionGetRequest)
    answer, request_type = admin.answers[method]
    calls = itertools.count()
    # Of one kind a call makes seven attempts by itself, so that eight are more than one call.
    failures = 8 if status is grpc.StatusCode.UNAVAILABLE else 2

    def sometimes(request, context):
        if 1 <= next(calls) <= failures:
            context.abort(status, "restarting")
        return answer(request, context)

    admin.answers[method] = (sometimes, request_type)
    assert follow(make_client())[-1].phase == "FAILED"
    assert next(calls) > failures


def test_a_server_that_stays_away_ends_the_polling_with_its_error(admin, make_client):
    poll_answers(admin, Story())
    admin.answers["ListNodeExecutions"] = (
        lambda request, context: context.abort(grpc.StatusCode.UNAVAILABLE, "gone"),
        NodeExecutionListRequest,
    )
    with pytest.raises(RemoteError, match="gone"):
        follow(make_client(), patience_s=0.1)


def test_a_refusal_ends_the_polling_at_once(admin, make_client):
    poll_answers(admin, Story())
    admin.answers["GetExecution"] = (
        lambda request, context: context.abort(grpc.StatusCode.NOT_FOUND, "no such execution"),
        WorkflowExecutionGetRequest,
    )
    with pytest.raises(RemoteError, match="no such execution"):
        follow(make_client())
    assert admin.calls["GetExecution"] == 1


def test_an_outage_while_the_names_of_nodes_are_read_breaks_no_stream(admin, make_client):
    story = Story()
    story.step = 3
    asked = itertools.count()

    def stream(request, context):
        yield wrapped(story.execution())

    def outline(workflow):
        if next(asked) < 2:
            raise RemoteError("FlyteAdmin cannot be reached.", code="UNAVAILABLE")
        return Outline()

    admin.streams[WATCH] = stream
    assert follow(make_client(), outline=outline)[-1].phase == "SUCCEEDED"


def test_a_stream_that_breaks_is_taken_up_again(admin, make_client):
    story = Story()
    opened = []

    def stream(request, context):
        opened.append(1)
        yield wrapped(story.execution())
        yield wrapped(story.node())
        story.step += 1
        if len(opened) < 3:
            context.abort(grpc.StatusCode.UNAVAILABLE, "restarting")
        story.step = 3
        yield wrapped(story.node())
        yield wrapped(story.execution())

    admin.streams[WATCH] = stream
    views = follow(make_client())
    assert views[-1].phase == "SUCCEEDED"
    assert len(opened) == 3
    assert [view.serial for view in views] == sorted({view.serial for view in views})


def test_a_kind_of_message_of_a_later_release_is_passed_over(admin, make_client):
    story = Story()
    story.step = 3

    def stream(request, context):
        yield wrapped(WorkflowExecutionGetRequest())
        yield wrapped(story.execution())

    admin.streams[WATCH] = stream
    assert follow(make_client())[-1].phase == "SUCCEEDED"


def test_an_execution_that_is_not_there_is_an_error_at_once(admin, make_client):
    def stream(request, context):
        context.abort(grpc.StatusCode.NOT_FOUND, "no such execution")
        yield

    admin.streams[WATCH] = stream
    with pytest.raises(RemoteError, match="no such execution"):
        follow(make_client())


def test_views_end_soon_after_the_reader_is_stopped(admin, make_client):
    story = Story()
    released = threading.Event()

    def stream(request, context):
        context.add_callback(released.set)
        yield wrapped(story.execution())
        released.wait(240)

    admin.streams[WATCH] = stream
    stop = threading.Event()
    follower = Follower(make_client(), ID, lambda workflow: Outline())
    follower.start()
    views = follower.views(itertools.count(1), None, stop)
    assert next(views).phase == "RUNNING"
    stop.set()
    assert list(views) == []
    follower.close()
    assert released.wait(120)  # the server's side of the stream has ended too


def test_a_deadline_ends_the_wait_with_a_timeout(admin, make_client):
    story = Story()
    released = threading.Event()

    def stream(request, context):
        context.add_callback(released.set)
        yield wrapped(story.execution())
        released.wait(240)

    admin.streams[WATCH] = stream
    with pytest.raises(TimeoutError):
        follow(make_client(), deadline=time.monotonic() + 1.0)
    assert released.wait(120)
