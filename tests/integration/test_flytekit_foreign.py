"""flytekit's container, shell and eager tasks, registered by pyflyte and followed by FlyteRemote."""

import os
import subprocess
import sys
import warnings
from datetime import timedelta
from pathlib import Path

import pytest
from flyteidl.admin.common_pb2 import ResourceListRequest
from flyteidl.admin.execution_pb2 import WorkflowExecutionGetRequest
from flyteidl.admin.node_execution_pb2 import NodeExecutionListRequest
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
MODULE = Path(__file__).with_name("foreign_flows.py")
COMMANDS = Path(sys.executable).parent


@pytest.fixture(scope="module")
def backend(tmp_path_factory):
    folder = tmp_path_factory.mktemp("foreign")
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


@pytest.fixture(scope="module")
def admin(backend):
    with grpc_calls(backend.endpoint, backend.token) as admin:
        yield admin


def launched(remote, name, **inputs):
    plan = remote.fetch_launch_plan(name=f"foreign_flows.{name}", version="v1")
    return remote.execute(plan, inputs=inputs)


def nodes(admin, name):
    id = WorkflowExecutionIdentifier(project="flytesnacks", domain="development", name=name)
    listed = admin.ListNodeExecutions(NodeExecutionListRequest(workflow_execution_id=id, limit=100))
    return {each.id.node_id: each for each in listed.node_executions}


def test_raw_containers_shells_checkpoints_and_decks_run_to_their_outputs(remote, admin):
    execution = remote.wait(launched(remote, "all_kinds", n=3), poll_interval=POLL)
    assert execution.is_successful, execution.error
    outputs = {name: execution.outputs[name] for name in ("o0", "o1", "o2", "o3", "o4")}
    assert outputs == {"o0": 12.0, "o1": "3 * 4", "o2": 3, "o3": 3, "o4": 3}
    found = nodes(admin, execution.id.name)
    assert found["n5"].closure.deck_uri.endswith("/n5/data/0/deck.html")
    assert not found["n1"].closure.deck_uri
    deck = Path(found["n5"].closure.deck_uri).read_text()
    assert "&lt;b&gt;3" in deck or "<b>3</b>" in deck


def test_an_eager_task_launches_by_the_backend_that_runs_it(remote, admin):
    execution = launched(remote, "eagerly", x=1)
    name = execution.id.name
    running = {}

    def announced():
        running.update(nodes(admin, name))
        return "n0" in running and running["n0"].closure.deck_uri

    wait_until(announced, "the deck of the task that runs")
    execution = remote.wait(execution, poll_interval=POLL)
    assert execution.is_successful, execution.error
    assert execution.outputs["o0"] == 2
    request = ResourceListRequest(limit=10, filters=f"value_in(execution_tag.value,{name})")
    request.id.project, request.id.domain = "flytesnacks", "development"
    children = admin.ListExecutions(request).executions
    assert children, "flytekit finds its executions by their labels"
    (child,) = {each.id.name: each for each in children}.values()
    assert child.spec.labels.values["eager-exec"] == name
    assert [(pair.key, pair.value) for pair in child.spec.envs.values] == [("_F_EE_ROOT", name)]
    found = admin.GetExecution(WorkflowExecutionGetRequest(id=child.id))
    assert found.closure.outputs.uri
