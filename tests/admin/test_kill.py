"""`kill -9` of the backend at any moment: runs go on, no attempt runs twice, nothing answered is lost."""

import collections
import contextlib
import itertools
import os
import random
import signal
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import psutil
import pytest
from flyteidl.admin import execution_pb2, node_execution_pb2, task_execution_pb2
from flyteidl.core import execution_pb2 as phases
from flyteidl.core import identifier_pb2
from google.protobuf import any_pb2

from flyte_nb.admin import daemon
from flyte_nb.api.errors import RemoteError
from flyte_nb.propeller.executors.attempt_folder import lives
from flyte_nb.testing.backend import grpc_calls
from flyte_nb.testing.waiting import wait_until

PHASE = phases.WorkflowExecution.Phase
SCRIPT = textwrap.dedent(
    """
    import os, sys, time
    journal, gate, inputs, prefix = sys.argv[1:]

    def note(what):
        with open(journal, "a") as file:
            file.write(f"{what} {time.time()} {prefix}\\n")

    note("start")
    from flyteidl.core import literals_pb2
    path = inputs.removeprefix("file://")
    given = literals_pb2.LiteralMap.FromString(open(path, "rb").read())
    if gate:
        open(gate).close()
    outputs = literals_pb2.LiteralMap()
    number = given.literals["n"].scalar.primitive.integer
    outputs.literals["o0"].scalar.primitive.integer = number * 2
    folder = prefix.removeprefix("file://")
    os.makedirs(folder, exist_ok=True)
    note("end")
    with open(folder + "/.outputs.tmp", "wb") as file:
        file.write(outputs.SerializeToString())
    os.replace(folder + "/.outputs.tmp", folder + "/outputs.pb")
    """
)


class Rig:
    """A backend as a process, with a workflow of two chains whose tasks note when they ran."""

    def __init__(self, folder, specs, gate):
        self.folder = folder / "home"
        self.specs = specs
        self.journal = folder / "journal"
        self.journal.write_text("")
        script = folder / "task.py"
        script.write_text(SCRIPT)
        self.info = daemon.ensure(self.folder)
        args = (sys.executable, str(script), str(self.journal), str(gate))
        with self.calls() as admin:
            admin.CreateTask(specs.task_request(args=(*args, "{{.input}}", "{{.outputPrefix}}")))
            admin.CreateWorkflow(specs.workflow_request(length=3, wide=2))
            admin.CreateLaunchPlan(specs.launch_plan_request())

    def calls(self):
        return grpc_calls(self.info.endpoint, self.info.token)

    def launch(self, name):
        with self.calls() as admin:
            admin.CreateExecution(self.specs.execution_request(name, n=1))

    def kill(self):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.info.pid, signal.SIGKILL)
        wait_until(lambda: not lives(self.info.pid), "the backend's end")

    def restart(self):
        self.info = daemon.ensure(self.folder)

    def watch(self, name):
        """The messages of the stream until it ends, or the backend dies."""
        with grpc.insecure_channel(self.info.endpoint) as channel:
            stream = channel.unary_stream(
                "/flyte_nb.Watch/Executions",
                request_serializer=execution_pb2.WorkflowExecutionGetRequest.SerializeToString,
                response_deserializer=any_pb2.Any.FromString,
            )
            metadata = (("authorization", f"Bearer {self.info.token}"),)
            yield from stream(self.specs.execution_get(name), metadata=metadata)

    def finish(self, name):
        for _ in self.watch(name):
            pass
        with self.calls() as admin:
            return admin.GetExecution(self.specs.execution_get(name))

    def outputs(self, name):
        request = execution_pb2.WorkflowExecutionGetDataRequest(
            id=self.specs.execution_get(name).id
        )
        with self.calls() as admin:
            return admin.GetExecutionData(request).full_outputs

    def check_journal(self):
        """Each attempt started at most once, and no two attempts at a node lived at a time."""
        started = collections.Counter()
        spans = collections.defaultdict(list)
        for line in self.journal.read_text().splitlines():
            what, at, prefix = line.split(maxsplit=2)
            if what == "start":
                started[prefix] += 1
                spans[prefix.rpartition("/")[0]].append([float(at), None])
            else:
                spans[prefix.rpartition("/")[0]][-1][1] = float(at)
        assert started
        assert max(started.values()) == 1, started
        for attempts in spans.values():
            for (_, ended), (began, _) in itertools.pairwise(attempts):
                assert ended is None or ended <= began
        return started


@pytest.fixture
def rig(tmp_path, specs):
    rigs = []

    def make(gate=""):
        rigs.append(Rig(tmp_path, specs, gate))
        return rigs[-1]

    yield make
    for made in rigs:
        daemon.stop(made.folder)


def test_a_run_through_processes_succeeds_with_its_nodes_attempts_and_outputs(rig, specs):
    made = rig()
    made.launch("run-1")
    execution = made.finish("run-1")
    assert PHASE.Name(execution.closure.phase) == "SUCCEEDED"
    assert made.outputs("run-1") == specs.literals(o0=8)
    assert len(made.check_journal()) == 6
    node = identifier_pb2.NodeExecutionIdentifier(
        node_id="n0", execution_id=specs.execution_get("run-1").id
    )
    with made.calls() as admin:
        nodes = admin.ListNodeExecutions(
            node_execution_pb2.NodeExecutionListRequest(
                workflow_execution_id=node.execution_id, limit=100
            )
        ).node_executions
        (attempt,) = admin.ListTaskExecutions(
            task_execution_pb2.TaskExecutionListRequest(node_execution_id=node, limit=10)
        ).task_executions
    assert {each.id.node_id for each in nodes} >= {"start-node", "n0", "n5", "end-node"}
    assert attempt.closure.custom_info["cpu_s"] > 0
    assert attempt.closure.custom_info["max_rss_bytes"] > 1_000_000
    assert attempt.closure.logs
    assert attempt.closure.duration.ToMilliseconds() > 0


@pytest.mark.parametrize("moment", [1, 3, 6, 10, 16, 24])
def test_a_backend_killed_after_some_changes_goes_on_where_it_was(rig, specs, moment):
    made = rig()
    made.launch("run-1")
    with contextlib.suppress(grpc.RpcError):
        for count, _ in enumerate(made.watch("run-1"), start=1):
            if count == moment:
                made.kill()
    made.restart()
    execution = made.finish("run-1")
    assert PHASE.Name(execution.closure.phase) == "SUCCEEDED", execution.closure.error
    assert made.outputs("run-1") == specs.literals(o0=8)
    assert len(made.check_journal()) == 6


@pytest.mark.slow
def test_a_backend_killed_at_random_moments_again_and_again_loses_nothing(rig, specs):
    made = rig()
    answered = []
    stop = threading.Event()

    def launch_all():
        number = 0
        while not stop.is_set() and number < 12:
            name = f"run-{number}"
            try:
                made.launch(name)
            except RemoteError as error:
                if error.code == "ALREADY_EXISTS":
                    answered.append(name)
                    number += 1
                continue  # no answer: it may or may not exist, so it is asked for again
            answered.append(name)
            number += 1

    chance = random.Random(7)
    with ThreadPoolExecutor(1) as pool:
        launcher = pool.submit(launch_all)
        try:
            for _ in range(6):
                threading.Event().wait(chance.uniform(0.05, 1.2))
                made.kill()
                made.restart()
            launcher.result(120)
        finally:
            stop.set()
    assert len(answered) == 12
    for name in answered:
        execution = made.finish(name)
        assert PHASE.Name(execution.closure.phase) == "SUCCEEDED", execution.closure.error
        assert made.outputs(name) == specs.literals(o0=8)
    assert len(made.check_journal()) == 12 * 6


def test_attempts_that_run_while_no_backend_runs_are_adopted(rig, specs, gate):
    made = rig(gate)
    made.launch("run-1")
    wait_until(lambda: made.journal.read_text().count("start") == 2, "both chains")
    daemon.stop(made.folder)
    made.restart()
    gate.open()
    execution = made.finish("run-1")
    assert PHASE.Name(execution.closure.phase) == "SUCCEEDED", execution.closure.error
    assert len(made.check_journal()) == 6


def test_terminating_ends_the_processes_and_survives_a_kill(rig, specs, gate):
    made = rig(gate)
    made.launch("run-1")
    wait_until(lambda: made.journal.read_text().count("start") == 2, "both chains")
    request = execution_pb2.ExecutionTerminateRequest(
        id=specs.execution_get("run-1").id, cause="enough"
    )
    with made.calls() as admin:
        admin.TerminateExecution(request)
    made.kill()
    made.restart()
    execution = made.finish("run-1")
    assert PHASE.Name(execution.closure.phase) == "ABORTED"
    assert execution.closure.abort_metadata.cause == "enough"
    script = str(made.journal)
    left = [p.pid for p in psutil.process_iter(["cmdline"]) if script in (p.info["cmdline"] or [])]
    assert left == []
