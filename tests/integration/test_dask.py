"""The main job on a Dask cluster: the local backend keeps the records, workers elsewhere run the tasks."""

import pytest

distributed = pytest.importorskip("distributed", reason="Dask is not installed here")

import flyte_nb  # noqa: E402
from flyte_nb.admin import daemon  # noqa: E402
from flyte_nb.api.errors import BackendError  # noqa: E402

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # what Dask and its friends warn of is not ours
]

CELL = """
import os
from flyte_nb import task, workflow

FACTOR = 3

@task
def where(n: int) -> str:
    print("multiplying")
    is_far = "flyte-nb-dask-" in os.environ["FLYTE_NB_ATTEMPT"]
    return f"{is_far} {n * FACTOR}"

@workflow
def far(n: int = 2) -> str:
    return where(n=n)
"""


@pytest.fixture(scope="module")
def cluster():
    with distributed.LocalCluster(
        n_workers=1,
        threads_per_worker=2,
        processes=True,
        host="127.0.0.1",
        dashboard_address=None,
        silence_logs=50,
    ) as cluster:
        yield cluster


@pytest.fixture
def home(tmp_path):
    yield tmp_path / "home"
    daemon.stop(tmp_path / "home")


def test_cells_run_on_the_workers_and_are_watched_here(cluster, home, monkeypatch):
    monkeypatch.setenv("FLYTE_NB_DASK", cluster.scheduler_address)
    session = flyte_nb.connect(home=home, name="far")
    namespace = {"__name__": "__main__"}
    exec(compile(CELL, "<cell far>", "exec"), namespace)
    execution = session.launch(namespace["far"], {"n": 4})
    execution.wait()
    assert execution.outputs() == {"o0": "True 12"}
    assert "multiplying" in execution.logs("n0")
    session.close()
    monkeypatch.setenv("FLYTE_NB_DASK", "tcp://10.0.0.1:8786")
    assert "runs tasks on the Dask cluster at tcp://127.0.0.1" in daemon.ensure(home).notice


def test_a_backend_for_a_cluster_that_does_not_answer_says_so(home, monkeypatch):
    monkeypatch.setenv("FLYTE_NB_DASK", "nowhere.invalid")
    with pytest.raises(BackendError, match=r"No Dask scheduler answers at nowhere\.invalid"):
        daemon.ensure(home)
