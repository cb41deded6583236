"""flytekit's own maps: flytekit registers, launches and follows them on a backend in a process of its own."""

import os
import subprocess
import sys
import warnings
from datetime import timedelta
from pathlib import Path

import pytest
from flyteidl.admin import task_execution_pb2

from flyte_nb.admin import daemon

pytest.importorskip("flytekit", reason="flytekit is not installed here")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # what flytekit and its friends warn of is not ours
]

POLL = timedelta(milliseconds=100)
MODULE = """
from functools import partial
from typing import List, Optional
from flytekit import dynamic, map_task, task, workflow

@task
def scaled(n: int, by: int) -> int:
    if n < 0:
        raise ValueError("negative")
    return n * by

@workflow
def mapped(ns: List[int]) -> List[int]:
    return map_task(partial(scaled, by=10))(n=ns)

@workflow
def tolerant(ns: List[int]) -> List[Optional[int]]:
    return map_task(partial(scaled, by=10), min_success_ratio=0.5, concurrency=1)(n=ns)

@dynamic
def grown(k: int) -> List[int]:
    return map_task(partial(scaled, by=2))(n=list(range(k)))

@workflow
def around(k: int) -> List[int]:
    return grown(k=k)
"""
REGISTER = """
import sys
from flytekit.configuration import Config, ImageConfig, SerializationSettings
from flytekit.remote import FlyteRemote
import theirs

remote = FlyteRemote(
    Config.auto(config_file=sys.argv[1]),
    default_project="flytesnacks",
    default_domain="development",
)
settings = SerializationSettings(ImageConfig.auto_default_image())
for flow in (theirs.mapped, theirs.tolerant, theirs.around):
    remote.fast_register_workflow(flow, serialization_settings=settings, version="v1")
"""


@pytest.fixture(scope="module")
def remote(tmp_path_factory):
    folder = tmp_path_factory.mktemp("maps")
    (folder / "theirs.py").write_text(MODULE)
    (folder / "register.py").write_text(REGISTER)
    with pytest.MonkeyPatch.context() as patch:
        # flytekit's tasks run `pyflyte-map-execute`, which lies beside this Python.
        patch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
        info = daemon.ensure(folder / "home")
    done = subprocess.run(
        [sys.executable, "register.py", str(info.config_file)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from flytekit.configuration import Config
        from flytekit.remote import FlyteRemote

        yield FlyteRemote(
            Config.auto(config_file=str(info.config_file)),
            default_project="flytesnacks",
            default_domain="development",
        )
    daemon.stop(folder / "home")


def ended(remote, name, **inputs):
    plan = remote.fetch_launch_plan(name=f"theirs.{name}")
    return remote.wait(remote.execute(plan, inputs=inputs), poll_interval=POLL)


def test_flytekit_follows_its_map_to_its_elements(remote):
    execution = remote.sync(ended(remote, "mapped", ns=[1, 2]), sync_nodes=True)
    assert execution.outputs["o0"] == [10, 20]
    node = execution.node_executions["n0"]
    assert node.metadata.is_array
    [attempt] = node.task_executions
    # flytekit's own classes leave the elements out.
    request = task_execution_pb2.TaskExecutionGetRequest(id=attempt.id.to_flyte_idl())
    closure = remote.client._stub.GetTaskExecution(request).closure
    assert closure.task_type == "container_array"
    resources = closure.metadata.external_resources
    name = execution.id.name
    assert [(each.external_id, each.index, each.phase) for each in resources] == [
        (f"{name}-n0-0-n0-0", 0, 3),
        (f"{name}-n0-0-n1-0", 1, 3),
    ]
    assert [log.name for log in resources[1].logs] == ["log-1"]


def test_elements_may_fail_as_far_as_flytekits_map_allows(remote):
    execution = ended(remote, "tolerant", ns=[1, -2])
    items = execution.outputs.literals["o0"].collection.literals
    assert items[0].scalar.primitive.integer == 10
    assert items[1].scalar.none_type is not None


def test_a_map_that_fails_names_the_elements(remote):
    execution = ended(remote, "mapped", ns=[-1])
    assert execution.error.message.startswith("[0]: ")
    assert "negative" in execution.error.message


def test_a_map_in_a_dynamic_task_runs(remote):
    assert ended(remote, "around", k=1).outputs["o0"] == [0]
