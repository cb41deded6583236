"""A part of the scenarios on a real Dask cluster: the same events as everywhere."""

from pathlib import Path

import pytest

distributed = pytest.importorskip("distributed", reason="Dask is not installed here")

from flyte_nb.propeller.executors.dask_cluster import DaskExecutor  # noqa: E402
from flyte_nb.storage import open_stores  # noqa: E402
from flyte_nb.testing.closures import integers  # noqa: E402
from flyte_nb.testing.event_lines import by_subject  # noqa: E402
from flyte_nb.testing.scenario_executors import run_processes  # noqa: E402
from flyte_nb.testing.scenarios import load_all  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # what Dask and its friends warn of is not ours


def _is_for_dask(scenario):
    if scenario.file in ("gates", "launch_plans") or scenario.races or scenario.actions:
        return False
    return scenario.every_word <= {"ok", "fail", "fail!"}


PART = [each for each in load_all(Path(__file__).with_name("scenarios")) if _is_for_dask(each)][::4]


@pytest.fixture(scope="module")
def cluster():
    with distributed.LocalCluster(
        n_workers=1,
        threads_per_worker=4,
        processes=True,
        host="127.0.0.1",
        dashboard_address=None,
        silence_logs=50,
    ) as cluster:
        yield cluster


@pytest.mark.parametrize("scenario", PART, ids=lambda each: f"{each.file}: {each.name}")
def test_a_cluster_gives_the_same_events(scenario, tmp_path, cluster):
    def executor(folder, slots):
        return DaskExecutor(cluster.scheduler_address, open_stores(), grace_s=0.2)

    ran = run_processes(scenario, tmp_path, executor)
    assert by_subject(ran.lines) == by_subject(scenario.events)
    assert ran.outputs == integers(**scenario.outputs)
