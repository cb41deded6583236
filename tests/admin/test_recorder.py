"""The recorder on SQLite: what every recorder must do, and what clients then see."""

import pytest
from flyteidl.admin import execution_pb2, node_execution_pb2
from flyteidl.core import catalog_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from flyte_nb.admin import moments
from flyte_nb.admin.recorder import SqliteRecorder
from flyte_nb.admin.store.database import Database
from flyte_nb.admin.store.runs import Runs
from flyte_nb.admin.transformers import apply_node, apply_workflow
from flyte_nb.admin.watch import Feed
from flyte_nb.api.errors import ErrorInfo, UsageError
from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.propeller.records import NodeRecord, WorkflowRecord
from flyte_nb.testing import propeller_conformance
from flyte_nb.testing.propeller_conformance import RecorderConformance
from flyte_nb.wire.enums import EXECUTION_PHASES, NODE_PHASES

ID = ExecutionId("flytesnacks", "development", "run-1")


def add_execution(database, id):
    now = moments.text(1)
    execution = execution_pb2.Execution()
    execution.id.project, execution.id.domain, execution.id.name = id
    with database.write() as transaction:
        Runs(database).add(
            transaction,
            id,
            now,
            {
                "phase": "UNDEFINED",
                "mode": 0,
                "inputs_uri": "",
                "user_inputs_uri": "",
                "user": "me",
                "state": 0,
                "launch_entity": "launch_plan",
                "message": execution.SerializeToString(),
            },
        )


class TestSqliteRecorder(RecorderConformance):
    @pytest.fixture(autouse=True)
    def _storage(self, tmp_path):
        self._path = tmp_path / "metastore.db"
        first = Database(self._path)
        for id in (propeller_conformance._ONE, propeller_conformance._TWO):
            add_execution(first, id)
        self._opened = [first]
        yield
        for database in self._opened:
            database.close()

    def make(self):
        self._opened.append(Database(self._path))
        return SqliteRecorder(self._opened[-1], Feed())


@pytest.fixture
def database(tmp_path):
    database = Database(tmp_path / "metastore.db")
    yield database
    database.close()


def test_records_of_an_unknown_execution_are_refused(database):
    with pytest.raises(UsageError, match="There is no execution"):
        SqliteRecorder(database, Feed()).record(ID, [WorkflowRecord(1, "RUNNING")])


@settings(max_examples=30)
@given(st.data())
def test_one_commit_is_all_or_nothing_and_its_number_grows(tmp_path_factory, data):
    database = Database(tmp_path_factory.mktemp("recorder") / "metastore.db")
    add_execution(database, ID)
    recorder = SqliteRecorder(database, Feed())
    kept = []
    for serial in range(data.draw(st.integers(1, 4))):
        phases = data.draw(st.lists(st.sampled_from(["QUEUED", "RUNNING"]), min_size=1))
        records = [NodeRecord(n, f"n{n}", f"n{n}", phase) for n, phase in enumerate(phases)]
        broken = [*records, NodeRecord(9, "n9", "n9", "NO_SUCH_PHASE")]
        with pytest.raises(ValueError, match="NO_SUCH_PHASE"):
            recorder.record(ID, broken)
        recorder.record(ID, records)
        kept += records
        assert list(recorder.history(ID)) == kept
        assert database.one("SELECT serial FROM executions") == (serial + 1,)
    database.close()


@given(st.lists(st.sampled_from(["RUNNING", "SUCCEEDING", "FAILING", "ABORTING"]), max_size=6))
def test_an_aborting_execution_stays_aborting_until_it_has_ended(phases):
    execution = execution_pb2.Execution()
    execution.closure.phase = EXECUTION_PHASES.Value("ABORTING")
    execution.closure.abort_metadata.cause = "enough"
    error = ErrorInfo("Aborted", "other words")
    for at, phase in enumerate(phases):
        apply_workflow(execution, WorkflowRecord(at, phase, None))
        assert execution.closure.phase == EXECUTION_PHASES.Value("ABORTING")
    apply_workflow(execution, WorkflowRecord(99, "ABORTED", error))
    assert execution.closure.abort_metadata.cause == "enough"


def test_a_cached_node_ends_without_ever_having_started():

    node = node_execution_pb2.NodeExecution()
    apply_node(node, ID, NodeRecord(1, "n0", "n0", "QUEUED", input_uri="file:///in"))
    apply_node(
        node, ID, NodeRecord(5, "n0", "n0", "SUCCEEDED", output_uri="o", cache_status="CACHE_HIT")
    )
    assert node.closure.phase == NODE_PHASES.Value("SUCCEEDED")
    assert node.closure.task_node_metadata.cache_status == catalog_pb2.CACHE_HIT
    assert not node.closure.HasField("started_at")
    assert node.input_uri == "file:///in"
