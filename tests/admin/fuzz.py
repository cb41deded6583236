"""Send malformed and random requests to every call of the backend: none may end INTERNAL.

`python tests/admin/fuzz.py` sends 100,000 of them to a backend of its own, over gRPC, and prints how the
calls ended and how much memory the backend took. It exits with 1 when a call ended INTERNAL or UNKNOWN,
or when memory grew. `test_fuzz.py` sends 2,000 in CI.
"""

import argparse
import itertools
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import grpc
from flyteidl.admin import (
    common_pb2,
    execution_pb2,
    launch_plan_pb2,
    node_execution_pb2,
    project_pb2,
    task_execution_pb2,
)
from flyteidl.core import identifier_pb2
from flyteidl.service import admin_pb2, auth_pb2, dataproxy_pb2, identity_pb2
from google.protobuf import message_factory
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

SERVICES = (
    (admin_pb2, "AdminService"),
    (dataproxy_pb2, "DataProxyService"),
    (identity_pb2, "IdentityService"),
    (auth_pb2, "AuthMetadataService"),
)
FAULTS = frozenset({"INTERNAL", "UNKNOWN"})
"""Codes that mean a fault of the backend."""
_MISSING_SHARE = 0.02
"""How many of the calls that the backend does not have are made again."""


class Method(NamedTuple):
    """One call."""

    path: str
    request: type[Message]


def methods() -> "list[Method]":
    """Return every call that flyteidl knows, and our own stream."""
    found = []
    for module, name in SERVICES:
        service = module.DESCRIPTOR.services_by_name[name]
        for method in service.methods:
            request = message_factory.GetMessageClass(method.input_type)
            found.append(Method(f"/{service.full_name}/{method.name}", request))
    return found


TEXTS = (
    *(
        "",
        "flytesnacks",
        "development",
        "flows.chain",
        "tasks.double",
        "v1",
        "n",
        "n0",
        "o0",
        "run-1",
    ),
    *(
        "../../x",
        "/",
        "..",
        ".",
        "\0",
        "a\nb",
        "größe",
        "😀" * 40,
        "\u202e",
        "%s%n",
        "x" * 300,
        "'; --",
    ),
    *("start-node", "end-node", "n0-0-n0", ".flytegen.x", "p-development", "metadata", "raw"),
    *("eq(name,a)", "value_in(version,v1;v2)", "(" * 200 + "," * 200, "contains(name,%%%)", "eq(x"),
    *(
        "gt(created_at,9999-12-31T23:59:59-14:00)",
        "eq(duration,1e400)",
        "eq(duration,nan)",
        "a" * 70,
    ),
    *("eq(task.name,a)+eq(workflow.name,b)", "ne(execution_tag.key,x)", "eq(admin_tag.name,x)"),
    *("created_at", "name", "id", "execution_created_at", "-1", "1", "9" * 30, "٣", "1_0"),
    *(
        "1Gi",
        "500m",
        "1e999999999",
        "9" * 50,
        "@every 1h",
        "0 3 * * *",
        "* * * * * *",
        "CRON_TZ=x *",
    ),
    *(
        "flyte://v1/flytesnacks/development/run-1/n0/i",
        "flyte://v1/a/b/c/n0/999999999/o",
        "file:///etc",
    ),
    *(
        "msgpack",
        "s3://b/k",
        "file:///tmp/../etc/passwd",
        "python-task",
        "{{.inputs.n}}",
        "{{.input",
    ),
)
NUMBERS = (
    0,
    1,
    2,
    3,
    7,
    77,
    -1,
    2**31 - 1,
    -(2**31),
    2**32 - 1,
    2**62,
    -(2**63),
    2**63 - 1,
    2**64 - 1,
)
REALS = (0.0, -1.5, 1e308, float("inf"), float("-inf"), float("nan"))
_RANGES = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_ENUM: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}


class Maker:
    """Makes requests: sound ones of `seeds` with parts changed, and random ones."""

    def __init__(self, seed: int, seeds: "dict[type[Message], list[Message]]") -> None:
        self.random = random.Random(seed)
        self._seeds = seeds

    def request(self, kind: type[Message]) -> bytes:
        """Return the bytes of one request, some of which are no message at all."""
        chance = self.random.random()
        seeds = self._seeds.get(kind, [])
        if seeds and chance < 0.6:
            message = kind()
            message.CopyFrom(self.random.choice(seeds))
            for _ in range(self.random.choice((1, 1, 1, 2, 4))):
                self._change(message)
        else:
            message = kind()
            self._fill(message, 5)
        data = message.SerializeToString()
        return self._damaged(data) if chance > 0.95 else data

    def _damaged(self, data: bytes) -> bytes:
        cut = bytearray(data[: self.random.randrange(len(data) + 1)] or b"\xff")
        for _ in range(self.random.randrange(4)):
            cut[self.random.randrange(len(cut))] = self.random.randrange(256)
        return bytes(cut)

    def _change(self, message: Message) -> None:
        """Change one part, at any depth."""
        present = [(field, value) for field, value in message.ListFields() if field.message_type]
        if present and self.random.random() < 0.75:
            field, value = self.random.choice(present)
            below = self._one(field, value)
            if below is not None:
                self._change(below)
                return
        fields = message.DESCRIPTOR.fields
        if fields:
            field = self.random.choice(fields)
            if self.random.random() < 0.25:
                message.ClearField(field.name)
            else:
                self._set(message, field, 3)

    def _one(self, field: FieldDescriptor, value: Any) -> "Message | None":
        if not field.is_repeated:
            return value
        if field.message_type.GetOptions().map_entry:
            inner = field.message_type.fields_by_name["value"]
            return value[self.random.choice(sorted(value))] if inner.message_type else None
        return self.random.choice(value)

    def _fill(self, message: Message, depth: int) -> None:
        for field in message.DESCRIPTOR.fields:
            if self.random.random() < 0.6:
                self._set(message, field, depth)

    def _set(self, message: Message, field: FieldDescriptor, depth: int) -> None:
        if field.is_repeated:
            self._set_many(message, field, depth)
        elif field.message_type:
            if depth:
                below = getattr(message, field.name)
                below.SetInParent()
                self._fill(below, depth - 1)
        else:
            setattr(message, field.name, self._scalar(field))

    def _set_many(self, message: Message, field: FieldDescriptor, depth: int) -> None:
        many = getattr(message, field.name)
        for _ in range(self.random.choice((1, 1, 2, 5))):
            if field.message_type and field.message_type.GetOptions().map_entry:
                key, value = (field.message_type.fields_by_name[name] for name in ("key", "value"))
                if value.message_type:
                    self._fill(many[self._scalar(key)], max(0, depth - 1))
                else:
                    many[self._scalar(key)] = self._scalar(value)
            elif field.message_type:
                if depth:
                    self._fill(many.add(), depth - 1)
            else:
                many.append(self._scalar(field))

    def _scalar(self, field: FieldDescriptor) -> Any:
        kind = field.cpp_type
        if kind == FieldDescriptor.CPPTYPE_STRING:
            text = self.random.choice(TEXTS)
            return text.encode() if field.type == FieldDescriptor.TYPE_BYTES else text
        if kind == FieldDescriptor.CPPTYPE_BOOL:
            return self.random.random() < 0.5
        if kind in (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT):
            return self.random.choice(REALS)
        if kind == FieldDescriptor.CPPTYPE_ENUM and self.random.random() < 0.7:
            return self.random.choice(field.enum_type.values).number
        low, high = _RANGES[kind]
        return self.random.choice([number for number in NUMBERS if low <= number <= high])


class Outcome(NamedTuple):
    """How the calls ended so far."""

    calls: int
    codes: "Counter[tuple[str, str]]"
    """How often each method ended in each code."""
    faults: "list[tuple[str, str, bytes]]"
    """Method, text and request of calls that ended in one of `FAULTS`."""


def bombard(
    channel: Any, token: str, maker: Maker, count: int, *, report_every: int = 0
) -> "Iterator[Outcome]":
    """Send `count` requests in turn to all methods; yield how they ended, at intervals and at the end."""
    metadata = (("authorization", f"Bearer {token}"),)
    calls = [(method, channel.unary_unary(method.path)) for method in methods()]
    outcome = Outcome(0, Counter(), [])
    missing: set[str] = set()
    turns = itertools.cycle(calls)
    for number in range(count):
        method, call = next(turns)
        while method.path in missing and maker.random.random() > _MISSING_SHARE:
            method, call = next(turns)
        data = maker.request(method.request)
        name = method.path.rpartition("/")[2]
        try:
            call(data, metadata=metadata, timeout=60)
            code = "OK"
        except grpc.RpcError as error:
            code = error.code().name
            if code == "UNIMPLEMENTED":
                missing.add(method.path)
            if code in FAULTS or code == "DEADLINE_EXCEEDED":
                outcome.faults.append((name, f"{code}: {error.details()}", data))
        outcome.codes[name, code] += 1
        outcome = outcome._replace(calls=number + 1)
        if report_every and not outcome.calls % report_every:
            yield outcome
    yield outcome


def sound_requests(specs: Any) -> "dict[type[Message], list[Message]]":
    """Return requests that the backend accepts, by their class; `specs` is the module specs.py."""
    schedule = specs.launch_plan_request("flows.nightly")
    schedule.spec.fixed_inputs.CopyFrom(specs.literals(n=1))
    schedule.spec.entity_metadata.schedule.cron_schedule.schedule = "0 3 * * *"
    requests = [
        specs.task_request(),
        specs.task_request("tasks.other"),
        specs.workflow_request(),
        specs.workflow_request("flows.wide", length=3, wide=2),
        specs.launch_plan_request(),
        schedule,
        specs.launch_plan_update("flows.chain", active=True),
        specs.execution_request("", n=1),
        specs.execution_request("", "tasks.double", "TASK", n=1),
        specs.execution_get("run-1"),
        specs.list_request(),
        specs.list_request("flows.chain", filters="eq(version,v1)"),
        specs.get_request("TASK", "tasks.double"),
        specs.get_request("WORKFLOW", "flows.chain"),
        specs.get_request("LAUNCH_PLAN", "flows.chain"),
        *_sound_run_requests(specs),
        *_sound_other_requests(specs),
    ]
    seeds: dict[type[Message], list[Message]] = {}
    for request in requests:
        seeds.setdefault(type(request), []).append(request)
    return seeds


def _sound_run_requests(specs: Any) -> "list[Message]":
    """Return requests about the execution that `prepare` launches."""
    run = specs.execution_get("run-1").id
    node = identifier_pb2.NodeExecutionIdentifier(node_id="n0", execution_id=run)
    attempt = identifier_pb2.TaskExecutionIdentifier(
        task_id=specs.id_of("TASK", "tasks.double"), node_execution_id=node
    )
    return [
        execution_pb2.ExecutionRelaunchRequest(id=run),
        execution_pb2.ExecutionUpdateRequest(id=run, state=execution_pb2.EXECUTION_ARCHIVED),
        execution_pb2.ExecutionTerminateRequest(id=run, cause="enough"),
        execution_pb2.WorkflowExecutionGetDataRequest(id=run),
        node_execution_pb2.NodeExecutionListRequest(workflow_execution_id=run, limit=10),
        node_execution_pb2.NodeExecutionGetRequest(id=node),
        node_execution_pb2.NodeExecutionGetDataRequest(id=node),
        node_execution_pb2.GetDynamicNodeWorkflowRequest(id=node),
        node_execution_pb2.NodeExecutionForTaskListRequest(task_execution_id=attempt, limit=10),
        task_execution_pb2.TaskExecutionListRequest(node_execution_id=node, limit=10),
        task_execution_pb2.TaskExecutionGetRequest(id=attempt),
        task_execution_pb2.TaskExecutionGetDataRequest(id=attempt),
        dataproxy_pb2.GetDataRequest(flyte_url="flyte://v1/flytesnacks/development/run-1/n0/i"),
        dataproxy_pb2.CreateDownloadLinkRequest(
            artifact_type=dataproxy_pb2.ARTIFACT_TYPE_DECK, node_execution_id=node
        ),
    ]


def _sound_other_requests(specs: Any) -> "list[Message]":
    place = {"project": specs.PROJECT, "domain": specs.DOMAIN}
    name = common_pb2.NamedEntityIdentifier(**place, name="flows.chain")
    named = {"resource_type": identifier_pb2.WORKFLOW, "id": name}
    project = project_pb2.Project(id="mine", name="mine", description="A project.")
    return [
        common_pb2.NamedEntityIdentifierListRequest(**place, limit=10),
        common_pb2.NamedEntityListRequest(**place, limit=10, resource_type=identifier_pb2.TASK),
        common_pb2.NamedEntityGetRequest(**named),
        common_pb2.NamedEntityUpdateRequest(
            **named, metadata=common_pb2.NamedEntityMetadata(description="It chains.")
        ),
        launch_plan_pb2.ActiveLaunchPlanRequest(id=name),
        launch_plan_pb2.ActiveLaunchPlanListRequest(**place, limit=10),
        project_pb2.ProjectRegisterRequest(project=project),
        project,
        project_pb2.ProjectGetRequest(id=specs.PROJECT),
        project_pb2.ProjectListRequest(limit=10, filters="eq(state,0)"),
        dataproxy_pb2.CreateUploadLocationRequest(
            **place, filename="f", filename_root="root", content_md5=b"0" * 16
        ),
    ]


def _load_specs() -> Any:
    import importlib.util

    path = Path(__file__).with_name("specs.py")
    spec = importlib.util.spec_from_file_location("admin_specs", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> int:
    """Run the whole fuzz; return the exit code."""
    import psutil

    from flyte_nb.admin import daemon

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    specs = _load_specs()
    with tempfile.TemporaryDirectory() as folder:
        backend = daemon.ensure(Path(folder) / "home")
        process = psutil.Process(backend.pid)
        memory: list[float] = []
        start = time.monotonic()
        outcome = Outcome(0, Counter(), [])
        try:
            with grpc.insecure_channel(backend.endpoint) as channel:
                prepare(channel, backend.token, specs)
                maker = Maker(options.seed, sound_requests(specs))
                every = max(1, options.requests // 20)
                for outcome in bombard(
                    channel, backend.token, maker, options.requests, report_every=every
                ):
                    memory.append(process.memory_info().rss / 2**20)
                    print(
                        f"{outcome.calls} requests, {time.monotonic() - start:.0f} s,"
                        f" {memory[-1]:.0f} MB, {len(outcome.faults)} faults",
                        flush=True,
                    )
        finally:
            daemon.stop(backend.home)
        sizes = {p.name: p.stat().st_size for p in backend.home.iterdir() if p.is_file()}
    print(f"files: {sizes}")
    return _verdict(outcome, memory)


def prepare(channel: Any, token: str, specs: Any) -> None:
    """Register the entities that valid requests name, and launch them once."""
    metadata = (("authorization", f"Bearer {token}"),)
    service = "/flyteidl.service.AdminService"
    for name, request in (
        ("CreateTask", specs.task_request()),
        ("CreateWorkflow", specs.workflow_request()),
        ("CreateLaunchPlan", specs.launch_plan_request()),
        ("CreateExecution", specs.execution_request("run-1", n=1)),
    ):
        channel.unary_unary(f"{service}/{name}")(request.SerializeToString(), metadata=metadata)


def _verdict(outcome: Outcome, memory: "list[float]") -> int:
    totals: Counter[str] = Counter()
    for (_, code), count in outcome.codes.items():
        totals[code] += count
    print(f"codes: {dict(totals.most_common())}")
    for name, text, data in outcome.faults[:20]:
        print(f"FAULT {name}: {text[:300]}\n  {data[:400]!r}")
    settled = memory[len(memory) // 4]
    growth = memory[-1] / settled - 1
    print(
        f"memory: {settled:.0f} MB after a quarter, {memory[-1]:.0f} MB at the end ({growth:+.0%})"
    )
    return 1 if outcome.faults or growth > 0.2 else 0


if __name__ == "__main__":
    sys.exit(main())
