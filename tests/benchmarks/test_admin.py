"""The embedded FlyteAdmin against a bare grpcio server that answers from memory, in one run."""

import subprocess
import sys
import threading

import grpc
import pytest
from flyteidl.admin import common_pb2, task_pb2
from flyteidl.core import identifier_pb2
from flyteidl.service import admin_pb2_grpc

from flyte_nb.admin import daemon

_BARE = """
import sys
from concurrent.futures import ThreadPoolExecutor
import grpc
from flyteidl.admin import task_pb2
from flyteidl.service import admin_pb2_grpc

task = task_pb2.Task.FromString(sys.stdin.buffer.read())

class Servicer(admin_pb2_grpc.AdminServiceServicer):
    def GetTask(self, request, context):
        return task

server = grpc.server(ThreadPoolExecutor(16))
admin_pb2_grpc.add_AdminServiceServicer_to_server(Servicer(), server)
print(server.add_insecure_port("127.0.0.1:0"), flush=True)
server.start()
server.wait_for_termination()
"""


def _create_request(version: str = "v1") -> task_pb2.TaskCreateRequest:
    request = task_pb2.TaskCreateRequest()
    request.id.CopyFrom(
        identifier_pb2.Identifier(
            resource_type=identifier_pb2.TASK,
            project="flytesnacks",
            domain="development",
            name="my.module.workflows.train",
            version=version,
        )
    )
    template = request.spec.template
    template.id.CopyFrom(request.id)
    template.type = "python-task"
    template.metadata.runtime.version = "0.1.0"
    for name in ("a", "b", "learning_rate", "epochs", "dataset"):
        template.interface.inputs.variables[name].type.simple = 2
        template.interface.inputs.variables[name].description = f"the {name} of the training run"
    template.interface.outputs.variables["o0"].type.blob.format = "onnx"
    template.container.image = "ghcr.io/org/project/train:sha-0123456789abcdef"
    template.container.args.extend(["flyte-nb", "execute", "--inputs", "{{.input}}"] * 4)
    for number in range(10):
        pair = template.container.env.add(key=f"ENVIRONMENT_VARIABLE_{number}")
        pair.value = "some-value-" * 4
    return request


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    """A channel to a backend in a process of its own, with one task, and its metadata."""
    folder = tmp_path_factory.mktemp("backend") / "home"
    info = daemon.ensure(folder)
    metadata = (("authorization", f"Bearer {info.token}"),)
    with grpc.insecure_channel(info.endpoint) as channel:
        admin_pb2_grpc.AdminServiceStub(channel).CreateTask(_create_request(), metadata=metadata)
    yield info.endpoint, metadata
    daemon.stop(folder)


@pytest.fixture(scope="module")
def bare(ours):
    """The endpoint of a bare server that has the same task."""
    endpoint, metadata = ours
    with grpc.insecure_channel(endpoint) as channel:
        request = common_pb2.ObjectGetRequest(id=_create_request().id)
        task = admin_pb2_grpc.AdminServiceStub(channel).GetTask(request, metadata=metadata)
    process = subprocess.Popen(
        [sys.executable, "-c", _BARE], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    process.stdin.write(task.SerializeToString())
    process.stdin.close()
    yield f"127.0.0.1:{int(process.stdout.readline())}", ()
    process.kill()
    process.stdout.close()
    process.wait()


def _serial(target, count):
    endpoint, metadata = target
    request = common_pb2.ObjectGetRequest(id=_create_request().id)
    with grpc.insecure_channel(endpoint, options=(("grpc.use_local_subchannel_pool", 1),)) as ch:
        stub = admin_pb2_grpc.AdminServiceStub(ch)
        for _ in range(count):
            assert stub.GetTask(request, metadata=metadata).id.name


def _parallel(target, clients, count):
    threads = [threading.Thread(target=_serial, args=(target, count)) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_getting_a_task_costs_little_more_than_the_call_itself(compare, ours, bare):
    count = 500 if compare.enabled else 5
    compare(
        "GetTask, one client",
        ours=lambda: _serial(ours, count),
        peer=lambda: _serial(bare, count),
        bar=1.3,
        per=count,
        unit="call",
    )


def test_sixteen_clients_get_three_quarters_of_a_bare_servers_throughput(compare, ours, bare):
    count = 100 if compare.enabled else 2
    compare(
        "GetTask, 16 clients",
        ours=lambda: _parallel(ours, 16, count),
        peer=lambda: _parallel(bare, 16, count),
        bar=1 / 0.75,
        per=count * 16,
        unit="call",
    )
