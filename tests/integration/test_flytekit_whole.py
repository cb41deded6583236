"""flytekit workflows in which every kind of node meets: registered by pyflyte, run to their right outputs."""

import os
import subprocess
import sys
import warnings
from datetime import timedelta
from pathlib import Path

import pytest
from flyteidl.admin.node_execution_pb2 import NodeExecutionListRequest
from flyteidl.core import catalog_pb2
from flyteidl.core.execution_pb2 import NodeExecution
from flyteidl.core.identifier_pb2 import WorkflowExecutionIdentifier

from flyte_nb.admin import daemon
from flyte_nb.testing.backend import grpc_calls
from flyte_nb.testing.waiting import wait_until

pytest.importorskip("flytekit", reason="flytekit is not installed here")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # what flytekit and its friends warn of is not ours
]

POLL = timedelta(milliseconds=200)
MODULE = Path(__file__).with_name("whole_flows.py")
COMMANDS = Path(sys.executable).parent


@pytest.fixture(scope="module")
def backend(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(COMMANDS), prepend=os.pathsep)
        info = daemon.ensure(folder / "home")
        (folder / "code").mkdir()
        (folder / "code" / MODULE.name).write_text(MODULE.read_text())
        register = ["register", "-p", "flytesnacks", "-d", "development", "--version", "v1"]
        subprocess.run(
            [COMMANDS / "pyflyte", *register, "--copy", "all", MODULE.name],
            cwd=folder / "code",
            env={**os.environ, "FLYTECTL_CONFIG": str(info.config_file)},
            check=True,
            capture_output=True,
        )
    yield info
    daemon.stop(folder / "home")


@pytest.fixture(scope="module")
def remote(backend):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from flytekit.configuration import Config
        from flytekit.remote import FlyteRemote

        yield FlyteRemote(
            Config.auto(config_file=str(backend.config_file)),
            default_project="flytesnacks",
            default_domain="development",
        )


def launched(remote, name, **inputs):
    plan = remote.fetch_launch_plan(name=f"whole_flows.{name}", version="v1")
    return remote.execute(plan, inputs=inputs)


def nodes(backend, name):
    id = WorkflowExecutionIdentifier(project="flytesnacks", domain="development", name=name)
    with grpc_calls(backend.endpoint, backend.token) as admin:
        listed = admin.ListNodeExecutions(
            NodeExecutionListRequest(workflow_execution_id=id, limit=100)
        )
    return {each.id.node_id: each for each in listed.node_executions}


def run_every_kind(remote):
    execution = launched(remote, "every_kind", n=3)
    name = execution.id.name
    wait_until(lambda: remote.list_signals(name), "the gate's signal")
    remote.set_signal("level", name, 21)
    execution = remote.wait(execution, poll_interval=POLL)
    assert execution.is_successful, execution.error
    assert [execution.outputs[f"o{n}"] for n in range(5)] == [6, 6, 6, 6, 42]
    return name


def test_every_kind_of_node_gives_its_output_and_the_second_run_its_cached_one(remote, backend):
    statuses = []
    for _ in range(2):
        found = nodes(backend, run_every_kind(remote))
        statuses.append(found["n0"].closure.task_node_metadata.cache_status)
    assert statuses == [catalog_pb2.CACHE_POPULATED, catalog_pb2.CACHE_HIT]


def test_a_failure_node_runs_and_the_first_error_is_the_executions(remote, backend):
    execution = remote.wait(launched(remote, "failing", n=3), poll_interval=POLL)
    assert not execution.is_successful
    assert "broken on purpose" in execution.error.message
    found = nodes(backend, execution.id.name)
    (handler,) = (each for id, each in found.items() if id.startswith("fn"))
    assert handler.closure.phase == NodeExecution.SUCCEEDED
