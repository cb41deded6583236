"""flytekit's FlyteRemote, a client that is not ours, against a backend in a process of its own."""

import linecache
import os
import subprocess
import sys
import textwrap
import warnings
from datetime import timedelta
from pathlib import Path

import pytest
from flyteidl.admin import launch_plan_pb2, task_pb2, workflow_pb2
from flyteidl.core import identifier_pb2

import flyte_nb
from flyte_nb.admin import daemon
from flyte_nb.testing.backend import grpc_calls

pytest.importorskip("flytekit", reason="flytekit is not installed here")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # what flytekit and its friends warn of is not ours
]

POLL = timedelta(milliseconds=200)
SCRIPT = textwrap.dedent(
    """
    import os, sys
    from flyteidl.core import literals_pb2

    given = literals_pb2.LiteralMap.FromString(open(sys.argv[1].removeprefix("file://"), "rb").read())
    outputs = literals_pb2.LiteralMap()
    number = given.literals["n"].scalar.primitive.integer
    outputs.literals["o0"].scalar.primitive.integer = number * 2
    folder = sys.argv[2].removeprefix("file://")
    os.makedirs(folder, exist_ok=True)
    with open(folder + "/outputs.pb", "wb") as file:
        file.write(outputs.SerializeToString())
    """
)


def id_of(kind, name):
    return identifier_pb2.Identifier(
        resource_type=identifier_pb2.ResourceType.Value(kind),
        project="flytesnacks",
        domain="development",
        name=name,
        version="v1",
    )


def _task(script):
    request = task_pb2.TaskCreateRequest(id=id_of("TASK", "remote.double"))
    template = request.spec.template
    template.id.CopyFrom(request.id)
    template.type = "python-task"
    template.metadata.runtime.version = "0.1.0"
    template.metadata.retries.retries = 0
    template.interface.inputs.variables["n"].type.simple = 1
    template.interface.outputs.variables["o0"].type.simple = 1
    template.container.image = "none"
    template.container.args.extend([sys.executable, str(script), "{{.input}}", "{{.outputPrefix}}"])
    return request


def _workflow():
    request = workflow_pb2.WorkflowCreateRequest(id=id_of("WORKFLOW", "remote.flow"))
    template = request.spec.template
    template.id.CopyFrom(request.id)
    template.interface.inputs.variables["n"].type.simple = 1
    template.interface.outputs.variables["o0"].type.simple = 1
    for number in range(2):
        node = template.nodes.add(id=f"n{number}")
        node.metadata.name = "double"
        node.task_node.reference_id.CopyFrom(id_of("TASK", "remote.double"))
        binding = node.inputs.add(var="n")
        binding.binding.promise.var = "o0" if number else "n"
        if number:
            binding.binding.promise.node_id = "n0"
            node.upstream_node_ids.append("n0")
    output = template.outputs.add(var="o0")
    output.binding.promise.node_id = "n1"
    output.binding.promise.var = "o0"
    return request


@pytest.fixture(scope="module")
def backend(tmp_path_factory):
    folder = tmp_path_factory.mktemp("remote")
    script = folder / "double.py"
    script.write_text(SCRIPT)
    # flytekit's tasks run `pyflyte-execute`, which lies beside this Python.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
        info = daemon.ensure(folder / "home")
    with grpc_calls(info.endpoint, info.token) as admin:
        admin.CreateTask(_task(script))
        admin.CreateWorkflow(_workflow())
        plan = launch_plan_pb2.LaunchPlanCreateRequest(id=id_of("LAUNCH_PLAN", "remote.flow"))
        plan.spec.workflow_id.CopyFrom(id_of("WORKFLOW", "remote.flow"))
        admin.CreateLaunchPlan(plan)
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


def test_flytekit_lists_the_projects_with_the_token_of_the_config_file(remote):
    projects, _ = remote.client.list_projects_paginated(limit=10)
    assert [project.id for project in projects] == ["flytesnacks"]


def test_flytekit_fetches_what_is_registered_with_and_without_a_version(remote):
    workflow = remote.fetch_workflow(name="remote.flow", version="v1")
    assert [node.id for node in workflow.flyte_nodes] == ["n0", "n1"]
    assert remote.fetch_workflow(name="remote.flow").id.version == "v1"
    assert remote.fetch_task(name="remote.double").interface.inputs["n"].type.simple == 1
    assert remote.fetch_launch_plan(name="remote.flow").workflow_id.name == "remote.flow"


def test_flytekit_launches_waits_lists_syncs_and_reads_the_outputs(remote):
    launch_plan = remote.fetch_launch_plan(name="remote.flow")
    execution = remote.wait(remote.execute(launch_plan, inputs={"n": 5}), poll_interval=POLL)
    assert execution.is_successful
    assert execution.outputs["o0"] == 20
    listed = remote.recent_executions(limit=10)
    assert [each.id.name for each in listed] == [execution.id.name]
    synced = remote.sync_execution(remote.fetch_execution(name=execution.id.name), sync_nodes=True)
    assert synced.inputs["n"] == 5
    assert synced.outputs["o0"] == 20
    assert synced.node_executions["n1"].outputs["o0"] == 20
    assert len(synced.node_executions["n0"].task_executions) == 1


def test_pyflyte_recovers_and_relaunches(backend, remote):
    launch_plan = remote.fetch_launch_plan(name="remote.flow")
    first = remote.wait(remote.execute(launch_plan, inputs={"n": 5}), poll_interval=POLL)
    pyflyte = [str(Path(sys.executable).with_name("pyflyte")), "-c", str(backend.config_file)]
    where = ["-p", "flytesnacks", "-d", "development", "--execution-id", first.id.name]
    for verb in ("recover", "relaunch"):
        done = subprocess.run(
            [*pyflyte, "execution", *where, verb], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    listed = remote.recent_executions(limit=10)
    modes = {each.spec.metadata.mode: each for each in listed}
    recovered = remote.wait(modes[5], poll_interval=POLL)
    relaunched = remote.wait(modes[3], poll_interval=POLL)
    assert recovered.outputs["o0"] == relaunched.outputs["o0"] == 20
    for execution in (recovered, relaunched):
        assert execution.spec.metadata.reference_execution.name == first.id.name


def test_flytekit_follows_into_the_execution_that_a_launch_plan_node_started(backend, remote):
    request = workflow_pb2.WorkflowCreateRequest(id=id_of("WORKFLOW", "remote.outer"))
    template = request.spec.template
    template.CopyFrom(_workflow().spec.template)
    template.id.CopyFrom(request.id)
    del template.nodes[1:]
    node = template.nodes[0]
    node.ClearField("target")
    node.workflow_node.launchplan_ref.CopyFrom(id_of("LAUNCH_PLAN", "remote.flow"))
    template.outputs[0].binding.promise.node_id = "n0"
    plan = launch_plan_pb2.LaunchPlanCreateRequest(id=id_of("LAUNCH_PLAN", "remote.outer"))
    plan.spec.workflow_id.CopyFrom(request.id)
    with grpc_calls(backend.endpoint, backend.token) as admin:
        admin.CreateWorkflow(request)
        admin.CreateLaunchPlan(plan)
    launch_plan = remote.fetch_launch_plan(name="remote.outer")
    execution = remote.wait(remote.execute(launch_plan, inputs={"n": 5}), poll_interval=POLL)
    synced = remote.sync_execution(execution, sync_nodes=True)
    assert synced.outputs["o0"] == 20
    launched = synced.node_executions["n0"].workflow_executions
    assert [each.outputs["o0"] for each in launched] == [20]
    assert launched[0].spec.metadata.parent_node_execution.node_id == "n0"


def test_flytekit_runs_a_single_task(remote):
    execution = remote.execute(remote.fetch_task(name="remote.double"), {"n": 4})
    execution = remote.wait(execution, poll_interval=POLL)
    assert execution.outputs["o0"] == 8


def test_flytekit_is_told_what_is_wrong(remote):
    from flytekit.exceptions.user import FlyteEntityNotExistException

    with pytest.raises(FlyteEntityNotExistException, match="missing entity of type TASK"):
        remote.fetch_task(name="nowhere", version="v1")


def test_flytekit_uploads_a_file_and_finds_it_where_it_was_told(remote, tmp_path):
    path = tmp_path / "data.txt"
    path.write_text("some data")
    _, uri = remote.upload_file(path)
    with open(uri) as file:  # a plain path: flytekit strips no scheme
        assert file.read() == "some data"


MODULE = """
from typing import List
from flytekit import dynamic, task, workflow

@task
def double(n: int) -> int:
    return n * 2

@task
def names(n: int) -> List[str]:
    return [str(i) for i in range(n)]

@dynamic
def spread(n: int) -> List[int]:
    return [double(n=i + 1) for i in range(n)]

@workflow
def flow(n: int = 3) -> (int, List[str], List[int]):
    a = double(n=n)
    return a, names(n=a), spread(n=1)
"""
PROGRAM = """
import sys
from datetime import timedelta
from flytekit.configuration import Config, ImageConfig, SerializationSettings
from flytekit.remote import FlyteRemote
import theirs

remote = FlyteRemote(
    Config.auto(config_file=sys.argv[1]),
    default_project="flytesnacks",
    default_domain="development",
)
settings = SerializationSettings(ImageConfig.auto_default_image())
flow = remote.fast_register_workflow(theirs.flow, serialization_settings=settings, version="v1")
execution = remote.wait(
    remote.execute(flow, inputs={"n": 2}), poll_interval=timedelta(milliseconds=200)
)
print(execution.outputs)
synced = remote.sync_execution(execution, sync_nodes=True)
spread = synced.node_executions["n2"]
print("dynamic", spread.metadata.is_dynamic, sorted(spread.subworkflow_node_executions))
print("inside", spread.subworkflow_node_executions["n2-0-dn0"].outputs)
"""


def test_flytekits_own_workflow_registers_uploads_its_code_and_runs(backend, tmp_path):
    (tmp_path / "theirs.py").write_text(MODULE)
    (tmp_path / "program.py").write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, "program.py", str(backend.config_file)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "'o0': 4" in done.stdout
    assert "['0', '1', '2', '3']" in done.stdout
    assert "'o2': [2]" in done.stdout
    assert "dynamic True ['n2-0-dn0'" in done.stdout
    assert "inside {'o0': 2}" in done.stdout


def test_flytekit_follows_our_own_dynamic_task(backend, remote):
    session = flyte_nb.connect(home=backend.config_file.parent, name="ours")
    namespace = run_cell(OURS)
    session.register(namespace["whole"])
    session.close()
    execution = remote.execute(remote.fetch_launch_plan(name="ours.whole"), inputs={"n": 3})
    execution = remote.wait(execution, poll_interval=POLL)
    assert execution.outputs["o0"] == [0, 1, 4]
    synced = remote.sync_execution(execution, sync_nodes=True)
    grown = synced.node_executions["n0"]
    assert (grown.metadata.is_dynamic, grown.metadata.is_parent_node) == (True, True)
    assert grown.outputs["o0"] == [0, 1, 4]
    inside = grown.subworkflow_node_executions
    assert {"n0-0-dn0", "n0-0-dn1", "n0-0-dn2"} <= set(inside)
    assert inside["n0-0-dn2"].outputs["o0"] == 4
    assert inside["n0-0-dn2"].id.node_id == "n0-0-dn2"
    assert inside["n0-0-dn2"].metadata.retry_group == "0"


OURS = """
from flyte_nb import dynamic, task, workflow

@task
def square(n: int) -> int:
    return n * n

@dynamic
def squares(n: int) -> list[int]:
    return [square(n=i) for i in range(n)]

@workflow
def whole(n: int) -> list[int]:
    return squares(n=n)
"""


def run_cell(source):
    """Run the source as a kernel does: in `__main__`, with a line cache for tracebacks."""
    linecache.cache["<cell>"] = (len(source), None, source.splitlines(keepends=True), "<cell>")
    namespace = {"__name__": "__main__"}
    exec(compile(source, "<cell>", "exec"), namespace)
    return namespace


VALUES_MODULE = """
import os
import numpy as np
import pandas as pd
from flytekit import StructuredDataset, current_context, task, workflow
from flytekit.types.directory import FlyteDirectory
from flytekit.types.file import FlyteFile


class Plain:
    def __init__(self, n):
        self.n = n


@task
def make(n: int) -> (
    pd.DataFrame, StructuredDataset, FlyteFile, FlyteFile, FlyteDirectory, Plain, np.ndarray
):
    here = current_context().working_directory
    frame = pd.DataFrame({"a": list(range(n))})
    with open(os.path.join(here, "x.txt"), "w") as file:
        file.write("x" * n)
    os.makedirs(os.path.join(here, "d", "below"))
    for number in range(n):
        with open(os.path.join(here, "d", "below", str(number)), "w") as file:
            file.write("1")
    streamed = FlyteFile.new_remote_file("streamed.txt")
    with streamed.open("w") as file:
        file.write("y" * n)
    return (
        frame,
        StructuredDataset(dataframe=frame),
        FlyteFile(os.path.join(here, "x.txt")),
        streamed,
        FlyteDirectory(os.path.join(here, "d")),
        Plain(n),
        np.arange(n),
    )


@task
def use(
    frame: pd.DataFrame,
    dataset: StructuredDataset,
    file: FlyteFile,
    streamed: FlyteFile,
    folder: FlyteDirectory,
    plain: Plain,
    array: np.ndarray,
    given: FlyteFile,
    given_folder: FlyteDirectory,
    given_frame: pd.DataFrame,
) -> str:
    read = [
        len(frame),
        len(dataset.open(pd.DataFrame).all()),
        len(open(file).read()),
        len(streamed.open("r").__enter__().read()),
        sum(len(names) for _, _, names in os.walk(folder)),
        plain.n,
        len(array),
        open(given).read(),
        sorted(os.listdir(given_folder)),
        len(given_frame),
    ]
    return repr(read)


@workflow
def values(
    given: FlyteFile, given_folder: FlyteDirectory, given_frame: pd.DataFrame, n: int = 3
) -> (str, FlyteFile, FlyteDirectory, pd.DataFrame):
    frame, dataset, file, streamed, folder, plain, array = make(n=n)
    read = use(
        frame=frame, dataset=dataset, file=file, streamed=streamed, folder=folder, plain=plain,
        array=array, given=given, given_folder=given_folder, given_frame=given_frame,
    )
    return read, file, folder, frame
"""
VALUES_PROGRAM = """
import os
import sys
from datetime import timedelta
import pandas as pd
from flytekit.configuration import Config, ImageConfig, SerializationSettings
from flytekit.remote import FlyteRemote
from flytekit.types.directory import FlyteDirectory
from flytekit.types.file import FlyteFile
import their_values

remote = FlyteRemote(
    Config.auto(config_file=sys.argv[1]),
    default_project="flytesnacks",
    default_domain="development",
)
settings = SerializationSettings(ImageConfig.auto_default_image())
flow = remote.fast_register_workflow(
    their_values.values, serialization_settings=settings, version="v1"
)
os.makedirs("folder")
for name in ("one", "two"):
    with open(os.path.join("folder", name), "w") as file:
        file.write(name)
inputs = {
    "given": FlyteFile("folder/one"),
    "given_folder": FlyteDirectory("folder"),
    "given_frame": pd.DataFrame({"a": [1, 2]}),
}
execution = remote.wait(
    remote.execute(flow, inputs=inputs), poll_interval=timedelta(milliseconds=200)
)
outputs = execution.outputs
print(outputs["o0"])
print("file", open(outputs["o1"]).read())
print("folder", sum(len(names) for _, _, names in os.walk(outputs["o2"])))
print("frame", len(outputs["o3"].open(pd.DataFrame).all()))
"""


def test_frames_files_folders_and_pickles_of_flytekit_go_in_through_and_out(backend, tmp_path):
    (tmp_path / "their_values.py").write_text(VALUES_MODULE)
    (tmp_path / "program.py").write_text(VALUES_PROGRAM)
    done = subprocess.run(
        [sys.executable, "program.py", str(backend.config_file)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "[3, 3, 3, 3, 3, 3, 3, 'one', ['one', 'two'], 2]" in done.stdout
    assert "file xxx\nfolder 3\nframe 3\n" in done.stdout
