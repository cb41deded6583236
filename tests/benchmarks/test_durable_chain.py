"""A durable chain of isolated tasks on the backend's parts, against steps of DBOS, which isolates nothing."""

import pytest
from flyteidl.admin import execution_pb2

from flyte_nb.admin import moments
from flyte_nb.admin.recorder import SqliteRecorder
from flyte_nb.admin.store.database import Database
from flyte_nb.admin.store.runs import Runs
from flyte_nb.admin.watch import Feed
from flyte_nb.api import phases
from flyte_nb.api.identifiers import ExecutionId, Scope
from flyte_nb.bundle.command import task_args
from flyte_nb.bundle.pack import pack
from flyte_nb.bundle.stage import stage
from flyte_nb.propeller.engine import Engine, Launch
from flyte_nb.propeller.executors.warm import WarmExecutor
from flyte_nb.runtime.warm.link import is_possible
from flyte_nb.storage import open_stores
from flyte_nb.storage.directory import DirectoryStaging
from flyte_nb.testing.cells import Cells
from flyte_nb.testing.closures import chain, integers, task

dbos = pytest.importorskip("dbos", reason="the peer is not installed here")
pytestmark = pytest.mark.skipif(not is_possible(), reason="forks cannot be trusted here")

SOURCE = "from flyte_nb import task\n@task\ndef f(x: int) -> int:\n    return x + 1\n"


def add_execution(database, id):
    execution = execution_pb2.Execution()
    execution.id.project, execution.id.domain, execution.id.name = id
    row = {
        "phase": phases.UNDEFINED,
        "mode": 0,
        "inputs_uri": "",
        "user_inputs_uri": "",
        "user": "me",
        "state": 0,
        "launch_entity": "launch_plan",
        "message": execution.SerializeToString(),
    }
    with database.write() as transaction:
        Runs(database).add(transaction, id, moments.text(1), row)


@pytest.fixture
def ours(tmp_path):
    """Returns a function that runs a chain of so many tasks."""
    cells = Cells()
    cells.run(SOURCE)
    packed = pack(cells["f"], scope=Scope(main_module="nb"))
    [found] = stage([packed], DirectoryStaging(f"{tmp_path.as_uri()}/staging", open_stores()))
    template = task("f", ["x"], args=task_args(packed.name, found.index_uri))
    database = Database(tmp_path / "metastore.db")
    executor = WarmExecutor(tmp_path / "attempts", open_stores(), cold_first=0)
    engine = Engine(SqliteRecorder(database, Feed()), executor, open_stores(), tmp_path.as_uri())
    names = iter(range(1000))

    def run(length):
        id = ExecutionId("flytesnacks", "development", f"e{next(names)}")
        add_execution(database, id)
        engine.launch(Launch(id, chain(length, template), integers(x=0)))
        assert engine.wait(id, 120)

    yield run
    engine.close()
    executor.close()
    database.close()


@pytest.fixture
def peer(tmp_path):
    """Returns a function that runs a workflow of so many steps."""
    config = {"name": "bench", "log_level": "ERROR"}
    dbos.DBOS(config={**config, "system_database_url": f"sqlite:///{tmp_path}/dbos.db"})

    @dbos.DBOS.step()
    def step(x: int) -> int:
        return x + 1

    @dbos.DBOS.workflow()
    def steps(length: int) -> int:
        x = 0
        for _ in range(length):
            x = step(x)
        return x

    dbos.DBOS.launch()
    yield steps
    dbos.DBOS.destroy(destroy_registry=True)


@pytest.mark.filterwarnings("ignore")  # the peer's own
def test_a_durable_chain(compare, ours, peer):
    length = 50 if compare.enabled else 2
    compare(
        "durable chain",
        ours=lambda: ours(length),
        peer=lambda: peer(length),
        bar=0.6,
        rounds=5,
        per=length,
        unit="task",
    )
