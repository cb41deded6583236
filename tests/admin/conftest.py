import importlib.util
from pathlib import Path

import pytest

from flyte_nb.admin.moments import now_us
from flyte_nb.propeller.records import NodeRecord, WorkflowRecord
from flyte_nb.testing.backend import grpc_calls, in_process_calls, running_backend


def _load(name):
    spec = importlib.util.spec_from_file_location(
        f"admin_{name}", Path(__file__).with_name(f"{name}.py")
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_SPECS = _load("specs")


@pytest.fixture(scope="session")
def specs():
    """The requests of specs.py."""
    return _SPECS


class HandEngine:
    """An engine whose executions go on only as the test says; keeps to the engine's contract."""

    def __init__(self, recorder, blobs, home):
        self.recorder = recorder
        self.blobs = blobs
        self.home = home
        self.launches = {}
        self.resumed = []
        self.terminated = []

    def launch(self, launch):
        self.launches[launch.id] = launch

    def resume(self, launch):
        self.launches[launch.id] = launch
        self.resumed.append(launch.id)

    def terminate(self, id, cause):
        self.terminated.append((id, cause))
        return id in self.launches

    def waits(self, id):
        return {}

    def close(self):
        pass

    def record(self, id, *records):
        self.recorder.record(id, records)

    def succeed(self, id, **outputs):
        """The whole course of an execution of one node that gives `outputs`."""
        uri = f"{self.home.storage_root}/out/{id.name}/outputs.pb"
        self.blobs.write(uri, _SPECS.literals(**outputs).SerializeToString())
        inputs_uri = f"{self.home.storage_root}/out/{id.name}/inputs.pb"
        self.blobs.write(inputs_uri, self.launches[id].inputs.SerializeToString())
        self.record(id, WorkflowRecord(now_us(), "RUNNING"))
        for phase in ("QUEUED", "RUNNING", "SUCCEEDED"):
            done = uri if phase == "SUCCEEDED" else ""
            self.record(
                id, NodeRecord(now_us(), "n0", "n0", phase, input_uri=inputs_uri, output_uri=done)
            )
        self.record(id, WorkflowRecord(now_us(), "SUCCEEDING"))
        self.record(id, WorkflowRecord(now_us(), "SUCCEEDED", output_uri=uri))


@pytest.fixture
def engines():
    """Engines of the backends that were started, oldest first."""
    return []


@pytest.fixture
def make_engine(engines):
    def make(recorder, blobs, home):
        engines.append(HandEngine(recorder, blobs, home))
        return engines[-1]

    return make


@pytest.fixture
def hand_backend(tmp_path, make_engine):
    """A backend whose executions go on as the test says."""
    with running_backend(tmp_path / "home", make_engine=make_engine) as backend:
        yield backend


@pytest.fixture(params=["in process", "gRPC"])
def admin(request, hand_backend):
    """The calls of that backend, made directly and through gRPC."""
    if request.param == "in process":
        yield in_process_calls(hand_backend)
    else:
        with grpc_calls(hand_backend.endpoint, hand_backend.home.token()) as calls:
            yield calls


@pytest.fixture
def engine(hand_backend, engines):
    return engines[-1]


@pytest.fixture
def registered(admin, specs):
    """The calls, with a task, a workflow and its launch plan registered."""
    admin.CreateTask(specs.task_request())
    admin.CreateWorkflow(specs.workflow_request())
    admin.CreateLaunchPlan(specs.launch_plan_request())
    return admin


@pytest.fixture
def place(tmp_path, specs):
    """A backend whose attempts end as the test says, with a workflow that launches another one."""
    made = _load("place").Place(tmp_path / "home", specs)
    made.register()
    yield made
    made.backend.stop(grace_s=0)
