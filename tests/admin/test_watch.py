"""The watch stream: everything as it is, then each change at once, and the end."""

import threading

import grpc
import pytest
from flyteidl.admin import execution_pb2, node_execution_pb2, task_execution_pb2
from flyteidl.core import execution_pb2 as phases
from google.protobuf import any_pb2

from flyte_nb.admin.moments import now_us
from flyte_nb.admin.watch import EXECUTION, NODE_EXECUTION, Change, Feed, Subscription
from flyte_nb.api.identifiers import ExecutionId, Identifier
from flyte_nb.propeller.records import AttemptRecord, NodeRecord, WorkflowRecord
from flyte_nb.testing.backend import grpc_calls
from flyte_nb.testing.waiting import wait_until

MESSAGES = {
    message.DESCRIPTOR.full_name: message
    for message in (
        execution_pb2.Execution,
        node_execution_pb2.NodeExecution,
        task_execution_pb2.TaskExecution,
    )
}
TASK = Identifier("task", "flytesnacks", "development", "tasks.double", "v1")


class Watcher:
    """Reads the stream in a thread of its own."""

    def __init__(self, backend, request):
        self.messages = []
        self.error = None
        self._condition = threading.Condition()
        self._channel = grpc.insecure_channel(backend.endpoint)
        stream = self._channel.unary_stream(
            "/flyte_nb.Watch/Executions",
            request_serializer=execution_pb2.WorkflowExecutionGetRequest.SerializeToString,
            response_deserializer=any_pb2.Any.FromString,
        )
        self._call = stream(
            request, metadata=(("authorization", f"Bearer {backend.home.token()}"),)
        )
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self):
        try:
            for packed in self._call:
                message = MESSAGES[packed.TypeName()].FromString(packed.value)
                with self._condition:
                    self.messages.append(message)
                    self._condition.notify_all()
        except grpc.RpcError as error:
            self.error = error

    def until(self, condition):
        with self._condition:
            assert self._condition.wait_for(lambda: condition(self.messages), timeout=60)

    def join(self):
        self._thread.join(timeout=60)
        assert not self._thread.is_alive()

    def close(self):
        self._call.cancel()
        self._channel.close()
        self._thread.join(timeout=60)


@pytest.fixture
def watch(hand_backend, specs):
    watchers = []

    def start(name):
        watchers.append(Watcher(hand_backend, specs.execution_get(name)))
        return watchers[-1]

    yield start
    for watcher in watchers:
        watcher.close()


@pytest.fixture
def launched(hand_backend, specs):
    with grpc_calls(hand_backend.endpoint, hand_backend.home.token()) as calls:
        calls.CreateTask(specs.task_request())
        calls.CreateWorkflow(specs.workflow_request())
        calls.CreateLaunchPlan(specs.launch_plan_request())
        calls.CreateExecution(specs.execution_request("run-1", n=4))
    return ExecutionId(specs.PROJECT, specs.DOMAIN, "run-1")


def kinds(messages):
    return [type(message).__name__ for message in messages]


def test_a_watcher_gets_everything_as_it_is_then_each_change_then_the_end(watch, launched, engine):
    engine.record(launched, WorkflowRecord(now_us(), "RUNNING"))
    engine.record(launched, NodeRecord(now_us(), "n0", "n0", "QUEUED"))
    watcher = watch("run-1")
    watcher.until(lambda messages: len(messages) == 2)
    assert kinds(watcher.messages) == ["Execution", "NodeExecution"]
    engine.record(
        launched,
        NodeRecord(now_us(), "n0", "n0", "RUNNING"),
        AttemptRecord(now_us(), "n0", 0, "RUNNING", TASK),
    )
    watcher.until(lambda messages: len(messages) == 4)
    engine.record(
        launched,
        WorkflowRecord(now_us(), "SUCCEEDED", output_uri="file:///o"),
        NodeRecord(now_us(), "n0", "n0", "SUCCEEDED"),
    )
    watcher.join()
    assert kinds(watcher.messages)[4:] == ["NodeExecution", "Execution"]
    assert watcher.error is None
    assert watcher.messages[-1].closure.phase == phases.WorkflowExecution.SUCCEEDED


def test_watching_an_ended_execution_gives_everything_once_and_ends(watch, launched, engine):
    engine.succeed(launched, o0=1)
    watcher = watch("run-1")
    watcher.join()
    assert kinds(watcher.messages) == ["NodeExecution", "Execution"]


def test_an_unknown_execution_is_not_found(watch):
    watcher = watch("nobody")
    watcher.join()
    assert watcher.error.code() is grpc.StatusCode.NOT_FOUND


def test_a_backend_that_stops_ends_its_watch_streams_with_unavailable(
    watch, launched, hand_backend
):
    watcher = watch("run-1")
    watcher.until(lambda messages: len(messages) == 1)
    hand_backend.stop()
    watcher.join()
    assert watcher.error.code() is grpc.StatusCode.UNAVAILABLE


def test_the_subscription_of_a_watcher_that_leaves_is_removed(
    watch, launched, hand_backend, engine
):
    watcher = watch("run-1")
    watcher.until(lambda messages: len(messages) == 1)
    watcher.close()

    def forgotten():
        # The server notices that a stream is gone when it has something to send.
        engine.record(launched, NodeRecord(now_us(), "n0", "n0", "RUNNING"))
        return hand_backend._feed._subscriptions == {}

    wait_until(forgotten, "the end of the subscription")


def test_the_last_change_reaches_the_watcher_without_another_one_after_it(watch, launched, engine):
    """How fast is measured in tests/benchmarks."""
    watcher = watch("run-1")
    watcher.until(lambda messages: len(messages) == 1)
    for number in range(200):
        node = f"n{number}"
        engine.record(launched, NodeRecord(now_us(), node, node, "RUNNING"))
        watcher.until(lambda messages, count=number + 2: len(messages) == count)
        assert watcher.messages[-1].id.node_id == node


def test_a_slow_watcher_gets_the_latest_of_each_and_memory_stays_bounded():
    subscription = Subscription()
    for serial in range(1000):
        changes = [Change(NODE_EXECUTION, (f"n{serial % 3}",), str(serial).encode())]
        subscription.put(serial, changes)
    taken = subscription.take()
    assert [change.message for _, change in taken] == [b"999", b"997", b"998"]


def test_changes_that_the_snapshot_contains_are_not_sent_again(
    hand_backend, launched, engine, specs
):
    """A commit between subscribing and reading the snapshot is in both."""
    feed = hand_backend._feed
    original = Feed.subscribe

    class Racing(Feed):
        def subscribe(self, execution):
            subscription = original(self, execution)
            engine.record(launched, NodeRecord(now_us(), "n0", "n0", "RUNNING"))
            engine.succeed(launched, o0=1)
            return subscription

    feed.__class__ = Racing
    watcher = Watcher(hand_backend, specs.execution_get("run-1"))
    watcher.join()
    assert kinds(watcher.messages) == ["NodeExecution", "Execution"]
    watcher.close()


def test_too_many_watchers_are_refused_with_what_to_do():
    feed = Feed()
    id = ExecutionId("p", "d", "n")
    for _ in range(128):
        feed.subscribe(id)
    with pytest.raises(Exception, match="128 watchers"):
        feed.subscribe(id)
    assert EXECUTION.endswith("flyteidl.admin.Execution")
