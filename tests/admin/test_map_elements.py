"""What clients see of a map's elements, and how little is written for each change."""

import pytest
from flyteidl.admin import execution_pb2, task_execution_pb2
from flyteidl.core import identifier_pb2

from flyte_nb.admin import map_elements, moments, watch
from flyte_nb.admin.recorder import SqliteRecorder
from flyte_nb.admin.store.database import Database
from flyte_nb.admin.store.runs import Runs
from flyte_nb.admin.watch import Change, Feed, Subscription
from flyte_nb.api.errors import USER, ErrorInfo
from flyte_nb.api.identifiers import TASK, ExecutionId, Identifier
from flyte_nb.api.nodes import ARRAY_NODE
from flyte_nb.propeller.records import ElementRecord, NodeRecord, WorkflowRecord
from flyte_nb.wire.enums import CACHE_STATUSES, TASK_PHASES

ID = ExecutionId("flytesnacks", "development", "run-1")
MAPPED = Identifier(TASK, "flytesnacks", "development", "map_t", "v1")


class Played:
    """A backend's tables after the records of one map."""

    def __init__(self, path, size):
        self.database = Database(path)
        self.feed = Feed()
        self.recorder = SqliteRecorder(self.database, self.feed)
        self.now = 1
        execution = execution_pb2.Execution()
        execution.id.project, execution.id.domain, execution.id.name = ID
        with self.database.write() as transaction:
            columns = {
                "phase": "UNDEFINED",
                "mode": 0,
                "inputs_uri": "",
                "user_inputs_uri": "",
                "user": "me",
                "state": 0,
                "launch_entity": "launch_plan",
                "message": execution.SerializeToString(),
            }
            Runs(self.database).add(transaction, ID, moments.text(1), columns)
        self.changes = self.feed.subscribe(ID)
        self.record(
            WorkflowRecord(1, "RUNNING"),
            self.node("QUEUED", input_uri="s://inputs"),
            self.node("RUNNING"),
            ElementRecord(1, "n0", "UNDEFINED", 0, size, task_id=MAPPED),
        )

    def node(self, phase, **fields):
        return NodeRecord(self.now, "n0", "n0", phase, kind=ARRAY_NODE, **fields)

    def record(self, *records):
        self.now += 1
        self.recorder.record(ID, [record._replace(at_us=self.now) for record in records])

    def task(self):
        id = identifier_pb2.NodeExecutionIdentifier(node_id="n0")
        id.execution_id.project, id.execution_id.domain, id.execution_id.name = ID
        message = Runs(self.database).attempt_number(id, 0)
        return task_execution_pb2.TaskExecution.FromString(message)

    def elements(self):
        return [
            (each.index, each.retry_attempt, TASK_PHASES.Name(each.phase))
            for each in self.task().closure.metadata.external_resources
        ]

    def stored(self):
        return self.database.all("SELECT message FROM task_executions", ())[0][0]


@pytest.fixture
def play(tmp_path):
    made = []

    def make(size):
        made.append(Played(tmp_path / "metastore.db", size))
        return made[-1]

    yield make
    for each in made:
        each.database.close()


def test_a_map_is_one_task_execution_with_every_element(play):
    played = play(3)
    task = played.task()
    assert (task.closure.task_type, task.input_uri) == ("container_array", "s://inputs")
    assert task.closure.metadata.plugin_identifier == "k8s-array"
    assert task.id.task_id.name == "map_t"
    assert TASK_PHASES.Name(task.closure.phase) == "QUEUED"
    assert played.elements() == [(index, 0, "UNDEFINED") for index in range(3)]
    assert [each.external_id for each in task.closure.metadata.external_resources] == [
        f"run-1-n0-0-n{index}-0" for index in range(3)
    ]


def test_elements_change_one_by_one_and_each_attempt_is_kept(play):
    played = play(2)
    error = ErrorInfo("USER:ValueError", "no", USER, True)
    played.record(ElementRecord(0, "n0", "QUEUED", 0, 2))
    played.record(ElementRecord(0, "n0", "RUNNING", 0, logs=(("log", "file:///log"),)))
    played.record(ElementRecord(0, "n0", "FAILED", 0, error=error))
    played.record(ElementRecord(0, "n0", "QUEUED", 0, attempt=1))
    played.record(ElementRecord(0, "n0", "SUCCEEDED", 0, attempt=1, cache_status="CACHE_POPULATED"))
    assert played.elements() == [(0, 0, "FAILED"), (0, 1, "SUCCEEDED"), (1, 0, "QUEUED")]
    failed, done, _ = played.task().closure.metadata.external_resources
    assert [(log.name, log.uri) for log in failed.logs] == [("log-0", "file:///log")]
    assert failed.custom_info["error"]["code"] == "USER:ValueError"
    assert CACHE_STATUSES.Name(done.cache_status) == "CACHE_POPULATED"
    counts = played.task().closure.custom_info["elements"]
    assert dict(counts) == {"SUCCEEDED": 1, "QUEUED": 1}


@pytest.mark.parametrize(
    ("phase", "fields", "wanted"),
    [
        ("SUCCEEDED", {"output_uri": "s://outputs"}, "SUCCEEDED"),
        ("FAILED", {"error": ErrorInfo("", "[0]: no\n")}, "FAILED"),
        ("ABORTED", {"error": ErrorInfo("NodeAborted", "enough")}, "ABORTED"),
    ],
)
def test_the_task_execution_ends_as_the_map_does(play, phase, fields, wanted):
    played = play(1)
    played.record(ElementRecord(0, "n0", "QUEUED", 0))
    played.record(played.node(phase, **fields))
    closure = played.task().closure
    assert TASK_PHASES.Name(closure.phase) == wanted
    assert closure.output_uri == fields.get("output_uri", "")
    assert closure.error.message == (fields["error"].message if wanted == "FAILED" else "")


def test_a_change_of_one_element_writes_and_sends_one_element(play):
    played = play(1000)
    played.changes.take()
    played.record(ElementRecord(0, "n0", "SUCCEEDED", 0, 1000, cache_status="CACHE_HIT"))
    whole = played.changes.take()
    played.record(ElementRecord(0, "n0", "SUCCEEDED", 1))
    [(_, change)] = [each for each in played.changes.take() if each[1].is_part]
    assert len(change.message) < 1000 < sum(len(each.message) for _, each in whole)
    assert len(played.stored()) < 1000
    assert len(played.elements()) == 1000


def test_a_slow_watcher_gets_all_parts_in_one_message():
    subscription = Subscription()
    parts = []
    for index in range(3):
        task = task_execution_pb2.TaskExecution()
        task.closure.metadata.external_resources.add(index=index)
        task.closure.phase = index
        parts.append(task.SerializeToString())
    key = ("n0", 0)
    for serial, part in enumerate(parts):
        subscription.put(serial, [Change(watch.TASK_EXECUTION, key, part, is_part=True)])
    [(serial, change)] = subscription.take()
    joined = task_execution_pb2.TaskExecution.FromString(change.message)
    assert [each.index for each in joined.closure.metadata.external_resources] == [0, 1, 2]
    assert (serial, joined.closure.phase) == (2, 2)


def test_a_very_large_map_fits_into_a_message_that_clients_take(play, monkeypatch):
    monkeypatch.setattr(map_elements, "_MOST_BYTES", 5_000)
    played = play(100)
    played.record(
        *(
            ElementRecord(0, "n0", "RUNNING", index, logs=(("log", "file:///" + "x" * 50),))
            for index in range(100)
        )
    )
    error = ErrorInfo("USER:ValueError", "no", USER)
    played.record(ElementRecord(0, "n0", "FAILED", 0, error=error))
    played.record(*(ElementRecord(0, "n0", "SUCCEEDED", index) for index in range(1, 100)))
    first, second, *_ = played.task().closure.metadata.external_resources
    assert first.logs, "a log of an element that failed is still there"
    assert not second.logs
