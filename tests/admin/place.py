"""A backend with an engine whose attempts end as the test says, for tests of what executions do."""

import threading

from flyteidl.admin import execution_pb2, node_execution_pb2
from flyteidl.core import execution_pb2 as core
from flyteidl.core.dynamic_job_pb2 import DynamicJobSpec

from flyte_nb.admin.home import Home
from flyte_nb.admin.server import Backend
from flyte_nb.admin.store.former import FormerRuns
from flyte_nb.api.errors import USER, ErrorInfo
from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.propeller.cache import StoreCatalog
from flyte_nb.propeller.engine import Engine
from flyte_nb.propeller.ports import AttemptReport, Started
from flyte_nb.propeller.services import Services
from flyte_nb.testing.backend import in_process_calls
from flyte_nb.testing.closures import integers

PATIENCE_S = 30


class Answering:
    """An executor whose attempts end at once with what `answer` gives for them, or stay until killed."""

    in_memory = False
    slots = 4

    def __init__(self, answer, blobs):
        self.answer = answer
        self.blobs = blobs
        self.attempts = []
        self._lock = threading.Lock()
        self._reports = []
        self._wake = lambda: None

    def listen(self, wake):
        self._wake = wake

    def start(self, attempt):
        self.attempts.append(attempt)
        answer = self.answer(attempt)
        if isinstance(answer, ErrorInfo):
            self._end(AttemptReport(attempt.key, error=answer))
        elif isinstance(answer, DynamicJobSpec):
            self.blobs.write(f"{attempt.output_prefix}/futures.pb", answer.SerializeToString())
            self._end(AttemptReport(attempt.key, job=answer))
        elif answer is not None:
            self.blobs.write(f"{attempt.output_prefix}/outputs.pb", answer.SerializeToString())
            self._end(AttemptReport(attempt.key, outputs=answer))
        return Started()

    def adopt(self, attempt):
        return None

    def poll(self):
        with self._lock:
            reports, self._reports = self._reports, []
        return reports

    def kill(self, key):
        self._end(AttemptReport(key, error=ErrorInfo("Killed", "killed", USER)))

    def close(self):
        pass

    def _end(self, report):
        with self._lock:
            self._reports.append(report)
        self._wake()


def twice(attempt):
    """The answer of a task that doubles its input."""
    return integers(o0=2 * attempt.inputs.literals["n"].scalar.primitive.integer)


class Place:
    """A backend with an engine whose attempts end as the test says."""

    def __init__(self, folder, specs):
        self.home = Home(folder)
        self.home.prepare()
        self.specs = specs
        self.answer = twice
        self.engine = None
        self.executor = None
        self.start()

    def start(self):
        self.backend = Backend(self.home, make_engine=self._engine)
        self.backend.start()
        self.admin = in_process_calls(self.backend)

    def _engine(self, recorder, blobs, home):
        self.executor = Answering(lambda attempt: self.answer(attempt), blobs)
        self.engine = Engine(
            recorder,
            self.executor,
            blobs,
            home.storage_root,
            catalog=StoreCatalog(blobs, f"{home.storage_root}/catalog"),
            services=Services(
                children=self.backend.children, former=FormerRuns(self.backend._database)
            ),
        )
        return self.engine

    def register(self):
        """A task, a workflow of two such nodes, and one that launches that and then runs the task."""
        specs, admin = self.specs, self.admin
        admin.CreateTask(specs.task_request())
        admin.CreateWorkflow(specs.workflow_request())
        admin.CreateLaunchPlan(specs.launch_plan_request())
        admin.CreateWorkflow(specs.parent_request())
        admin.CreateLaunchPlan(specs.launch_plan_request("flows.parent", workflow="flows.parent"))

    def run(self, name="parent", plan="flows.parent", n=1, kind="LAUNCH_PLAN", **spec):
        request = self.specs.execution_request(name, plan, kind, n=n)
        request.spec.MergeFrom(execution_pb2.ExecutionSpec(**spec))
        self.admin.CreateExecution(request)
        return self.end(name)

    def end(self, name):
        id = ExecutionId(self.specs.PROJECT, self.specs.DOMAIN, name)
        assert self.engine.wait(id, PATIENCE_S)
        return self.execution(name)

    def execution(self, name):
        return self.admin.GetExecution(self.specs.execution_get(name))

    def node(self, name, node_id):
        request = node_execution_pb2.NodeExecutionGetRequest()
        request.id.execution_id.CopyFrom(self.specs.execution_get(name).id)
        request.id.node_id = node_id
        return self.admin.GetNodeExecution(request)

    def phases(self, name):
        """Each node of an execution, with its phase, below the parents too."""
        found, parents = {}, [""]
        while parents:
            request = node_execution_pb2.NodeExecutionListRequest(limit=100)
            request.workflow_execution_id.CopyFrom(self.specs.execution_get(name).id)
            request.unique_parent_id = parents.pop()
            for node in self.admin.ListNodeExecutions(request).node_executions:
                found[node.id.node_id] = node_phase(node)
                if node.metadata.is_parent_node:
                    parents.append(node.id.node_id)
        return found

    def recover(self, name, as_):
        id = self.specs.execution_get(name).id
        self.admin.RecoverExecution(execution_pb2.ExecutionRecoverRequest(id=id, name=as_))
        return self.end(as_)

    def await_(self, condition):
        """Wait until it holds."""
        pause = threading.Event()
        for _ in range(3000):
            if condition():
                return
            pause.wait(0.005)
        raise AssertionError("it did not come to pass")

    def names(self):
        listed = self.admin.ListExecutions(self.specs.list_request())
        return sorted(each.id.name for each in listed.executions)


def phase(execution):
    return core.WorkflowExecution.Phase.Name(execution.closure.phase)


def node_phase(node):
    return core.NodeExecution.Phase.Name(node.closure.phase)
