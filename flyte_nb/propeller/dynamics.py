"""Turn what an attempt at a dynamic task wrote into a workflow that runs below its node.

The attempt leaves `futures.pb`: nodes, the tasks and workflows that they run, and bindings of the
outputs. It is compiled here, and stored as `dynamic_compiled.pb` beside it before a record names it. So a
restart finds the very workflow that runs, and a client can read it.

Source: flytepropeller/pkg/controller/nodes/dynamic/{handler,dynamic_workflow}.go at v1.16.8.
"""

import hashlib

from flyteidl.core.compiler_pb2 import CompiledWorkflowClosure
from flyteidl.core.dynamic_job_pb2 import DynamicJobSpec
from flyteidl.core.identifier_pb2 import Identifier as IdentifierMessage
from flyteidl.core.tasks_pb2 import TaskTemplate
from google.protobuf.message import DecodeError

from flyte_nb.api.errors import USER, CompileFailed, ErrorInfo, FlyteNbError, StorageError
from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.api.ports import BlobStore
from flyte_nb.api.problems import as_text
from flyte_nb.compiler import (
    LaunchPlanInterface,
    compile_workflow,
    dynamic_identifier,
    dynamic_tasks,
    dynamic_template,
    flyte_error_text,
    identifier_text,
    requirements,
)
from flyte_nb.propeller.data_layout import COMPILED, FUTURES
from flyte_nb.propeller.growth import DEPTH_VARIABLE, NODES_VARIABLE, GrowthLimits
from flyte_nb.propeller.machine import Machine
from flyte_nb.propeller.node_ids import check_node_ids
from flyte_nb.propeller.plan import plan_of
from flyte_nb.propeller.ports import LaunchPlans
from flyte_nb.propeller.state import NodeState

_FAILED = "DynamicWorkflowBuildFailed"
"""Propeller's code for what a dynamic task made and what cannot run."""


NO_DYNAMIC_ELEMENTS = ErrorInfo(
    "UnsupportedNode",
    "An element of a map made nodes: a map cannot run a dynamic task. Call the task in a loop in another"
    " dynamic task, which makes a node of each call.",
    USER,
)


class Unbuildable(FlyteNbError):
    """What a dynamic task made cannot run. `info` is the error that its node fails with."""

    def __init__(self, info: ErrorInfo) -> None:
        super().__init__(info.message)
        self.info = info


class Dynamics:
    """The workflows that come into being in one execution while it runs. For one thread."""

    def __init__(
        self,
        id: ExecutionId,
        machine: Machine,
        store: "BlobStore | None",
        causes: "dict[str, BaseException]",
        *,
        launch_plans: "LaunchPlans | None" = None,
        limits: "GrowthLimits | None" = None,
    ) -> None:
        """Start without workflows.

        Args:
            id: The execution.
            machine: Gets the plans.
            store: Where the specs are read and the workflows are stored; `None` keeps both in memory.
            causes: Gets, by node id, what does not compile, for the people in whose process this runs.
            launch_plans: Finds the launch plans that nodes start; `None` when there are none.
            limits: How deep and how large the execution may become.
        """
        self._id = id
        self._machine = machine
        self._store = store
        self._causes = causes
        self._launch_plans = launch_plans or (lambda identifier: None)
        self._limits = limits or GrowthLimits()
        self._jobs: dict[str, DynamicJobSpec] = {}

    def keep(self, node: NodeState, job: DynamicJobSpec) -> str:
        """Remember what the node's attempt has made, and return the URI of its `futures.pb`."""
        uri = f"{node.attempt_output_uri}/{FUTURES}"
        self._jobs[uri] = job
        return uri

    def build(self, node: NodeState) -> str:
        """Compile what the node's attempt has made, and give the machine its plan; return the URI of it.

        Raises:
            Unbuildable: when it does not compile, or is deeper or larger than the limits allow.
            StorageError: when it cannot be read, or the workflow cannot be stored.
        """
        task = node.plan.task
        assert task is not None, "only tasks have jobs"
        folder = node.job_uri.rpartition("/")[0]
        uri = f"{folder}/{COMPILED}"
        # The depth is known without reading what the attempt wrote, so it is checked before the costly part.
        self._check_depth(node)
        closure = self._compiled(node, task, self._job(node.job_uri))
        self._check_size(node, closure)
        try:
            # Ids become names of folders, and no registration has checked the ids of these nodes.
            check_node_ids(closure)
            plan = plan_of(closure)
        except CompileFailed as failed:
            text = f"{failed.message}\n{as_text(failed.problems)}"
            raise Unbuildable(ErrorInfo(_FAILED, text, USER)) from failed
        if self._store is not None:
            # On the disk before a record names it. Otherwise, after a power cut, nobody could go on.
            write = getattr(self._store, "write_durably", self._store.write)
            write(uri, closure.SerializeToString(deterministic=True))
        self._machine.made[uri] = plan
        # Only now: a build that failed may be repeated, and needs the job again.
        self._jobs.pop(node.job_uri, None)
        return uri

    def load(self, node: NodeState, uri: str) -> None:
        """Give the machine the plan of a workflow that was stored before a restart.

        One that is gone or damaged is compiled again from what the attempt wrote.

        Args:
            node: The dynamic node, before it comes into DYNAMIC_RUNNING.
            uri: Where the workflow was stored.

        Raises:
            StorageError: when neither can be read.
        """
        if uri in self._machine.made or self._store is None:
            return
        try:
            closure = CompiledWorkflowClosure.FromString(self._store.read(uri))
            self._machine.made[uri] = plan_of(closure)
        except (StorageError, DecodeError, CompileFailed) as error:
            # A store that is away now has the workflow later, so nothing is compiled in its place.
            if isinstance(error, StorageError) and error.transient:
                raise
            try:
                self.build(node)
            except (StorageError, Unbuildable) as worse:
                text = f"The workflow that {node.plan.name} made cannot be read from {uri}: {error}"
                raise StorageError(text, uri=uri) from worse

    def _job(self, uri: str) -> DynamicJobSpec:
        known = self._jobs.get(uri)
        if known is not None:
            return known
        if self._store is None:
            raise StorageError(f"There is no dynamic job at {uri}.", uri=uri)
        try:
            return DynamicJobSpec.FromString(self._store.read(uri))
        except DecodeError as error:
            raise StorageError(f"The object at {uri} is damaged: {error}.", uri=uri) from error

    def _compiled(
        self, node: NodeState, task: TaskTemplate, job: DynamicJobSpec
    ) -> CompiledWorkflowClosure:
        # Propeller's texts name the stage that failed, so each stage sets its name before it begins.
        stage = "failed to compile dynamic tasks"
        try:
            tasks = dynamic_tasks(job, task)
            template = dynamic_template(job, task, self._identifier(node))
            stage = "failed to Get requirements for subworkflows"
            needed = requirements(template, job.subworkflows).launch_plans
            plans = {
                identifier_text(use.identifier): self._launch_plan(use.identifier) for use in needed
            }
            stage = "malformed dynamic workflow"
            return compile_workflow(template, job.subworkflows, tasks, plans)
        except CompileFailed as failed:
            text = f"What {node.plan.name} puts together does not compile."
            # The record has propeller's text. A person in whose process this runs gets the problems
            # themselves.
            self._causes[node.node_id] = CompileFailed(text, failed.problems)
            raise _misbuilt(f"{stage}, caused by: {flyte_error_text(failed.problems)}") from failed

    def _identifier(self, node: NodeState) -> IdentifierMessage:
        # Propeller takes ten random characters as the version. These are the same when the engine
        # compiles again after a crash.
        place = "/".join((*self._id, node.node_id, str(node.attempt)))
        version = hashlib.sha256(place.encode()).hexdigest()[:10]
        id = self._machine.plan.workflow_id
        project, domain = self._id.project or id.project, self._id.domain or id.domain
        return dynamic_identifier(project, domain, node.plan.id, version)

    def _launch_plan(self, id: IdentifierMessage) -> LaunchPlanInterface:
        found = self._launch_plans(id)
        if found is None:
            place = f"{id.project}:{id.domain}:{id.name}:{id.version}"
            raise _misbuilt(
                f"incorrectly specified launchplan {place}, caused by: there is no launch plan of this"
                " identifier. Register it before the dynamic task runs."
            )
        return found

    def _check_depth(self, node: NodeState) -> None:
        depth, above = 1, node.run.parent
        while above is not None:
            # Only a dynamic task has a job. Sub-workflows and branches in between do not count.
            depth += above.job_uri != ""
            above = above.run.parent
        if depth > self._limits.depth:
            name = node.plan.name
            text = (
                f"The dynamic task {name} is inside of {depth - 1} other dynamic tasks, and at most"
                f" {self._limits.depth} may be inside each other: look for a {name} that calls itself without"
                f" an end, or set the variable {DEPTH_VARIABLE} where the engine runs to allow more."
            )
            raise Unbuildable(ErrorInfo("DynamicTooDeep", text, USER))

    def _check_size(self, node: NodeState, closure: CompiledWorkflowClosure) -> None:
        more, known = len(closure.primary.template.nodes), len(self._machine.nodes)
        if known + more > self._limits.nodes:
            text = (
                f"The dynamic task {node.plan.name} made {more} nodes, and the execution has {known}"
                f" already: at most {self._limits.nodes} are allowed. Make fewer, e.g. with a map_task, or"
                f" set the variable {NODES_VARIABLE} where the engine runs to allow more."
            )
            raise Unbuildable(ErrorInfo("DynamicTooLarge", text, USER))


def _misbuilt(text: str) -> Unbuildable:
    return Unbuildable(ErrorInfo(_FAILED, f"[User] {text}", USER))
