"""Declare what the notebook needs from a session and from an execution.

The notebook is given both and imports neither. `flyte_nb.session.session` and `executions.execution` fulfil
these protocols; tests use `tests/notebook/fakes.py`. Calls that go to FlyteAdmin raise `RemoteError` when it
refuses or cannot be reached.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from flyteidl.core.compiler_pb2 import CompiledWorkflowClosure

from flyte_nb.api.identifiers import Scope
from flyte_nb.api.literal_types import LiteralType
from flyte_nb.api.ports import Entity
from flyte_nb.api.problems import Problem
from flyte_nb.api.specs import TaskTemplate, TypedInterface, WorkflowTemplate
from flyte_nb.bundle.stage import StagingProgress
from flyte_nb.drafting.compile_report import CompileReport
from flyte_nb.drafting.draft import Draft
from flyte_nb.executions.signals import SignalView
from flyte_nb.executions.views import ExecutionView, NodeView
from flyte_nb.executions.why import Why
from flyte_nb.registering.bundle_view import Bundle
from flyte_nb.registering.views import RegisteredEntity, Registration
from flyte_nb.types.registry import Registry

if TYPE_CHECKING:
    from flyte_nb.client.fetching import Launchable, Registered  # which loads gRPC


class ExecutionPort(Protocol):
    """One execution that can be followed, read and terminated."""

    def view(self) -> ExecutionView:
        """Return the execution as it is now."""
        ...

    def watch(self) -> Iterator[ExecutionView]:
        """Return an iterator of views: one now, one after every change, until the terminal one."""
        ...

    def inputs(self) -> Mapping[str, object]:
        """Return the execution's inputs by name, as Python values."""
        ...

    def outputs(self) -> Any:
        """Return the execution's outputs by name, as Python values."""
        ...

    def node_data(self, node_id: str) -> "tuple[Mapping[str, object], Mapping[str, object]]":
        """Return inputs and outputs of one node execution, by name, as Python values."""
        ...

    def logs(self, node_id: "str | None" = None, attempt: "int | None" = None) -> str:
        """Return what attempts printed.

        Args:
            node_id: Of this node execution only; `None` for all.
            attempt: Of this attempt only, counted from 0 as in FlyteAdmin; `None` for all.
        """
        ...

    def dynamic_workflow(self, node: NodeView) -> "CompiledWorkflowClosure | None":
        """Return the workflow that a dynamic node made; `None` for other nodes, and when it is gone."""
        ...

    def why(self, node_id: str, name: str = "") -> Why:
        """Return why a node ran, or did not: a cached result was found, or was not and because of what."""
        ...

    def signals(self) -> "Sequence[SignalView]":
        """Return the signals of the gates that the run has reached."""
        ...

    def signal_type(self, name: str) -> LiteralType:
        """Return the type of the value that a gate waits for."""
        ...

    def set_signal(self, name: str, value: object) -> None:
        """Give a gate the value that it waits for."""
        ...

    def approve(self, name: str) -> None:
        """Approve what waits at a gate."""
        ...

    def reject(self, name: str) -> None:
        """Reject what waits at a gate."""
        ...

    def waits(self) -> Mapping[str, str]:
        """Return what nodes that could go on wait for, by node id."""
        ...

    def terminate(self, cause: str) -> None:
        """Ask the backend to abort the execution."""
        ...

    def relaunch(
        self, name: "str | None" = None, *, overwrite_cache: bool = False
    ) -> "ExecutionPort":
        """Launch it again with the same inputs; return the new execution."""
        ...

    def recover(self, name: "str | None" = None) -> "ExecutionPort":
        """Launch it again without running what succeeded in it; return the new execution."""
        ...


class CompiledPort(Protocol):
    """A workflow that was compiled, or the problems that kept it from compiling."""

    @property
    def name(self) -> str:
        """Return the entity's full name."""
        ...

    @property
    def closure(self) -> "CompiledWorkflowClosure | None":
        """Return the closure, or `None` when it did not compile."""
        ...

    @property
    def template(self) -> "WorkflowTemplate | TaskTemplate | None":
        """Return the template as far as it could be traced, also when it did not compile."""
        ...

    @property
    def problems(self) -> "tuple[Problem, ...]":
        """Return every problem."""
        ...

    @property
    def drafts(self) -> "tuple[Draft, ...]":
        """Return the drafts of the entity and of all that it uses, as far as they could be made."""
        ...


class SessionPort(Protocol):
    """A connection with a project, a domain and a name for the notebook."""

    @property
    def scope(self) -> Scope:
        """Return project, domain, and the notebook's name, which full names begin with."""
        ...

    @property
    def registry(self) -> Registry:
        """Return the registry of types."""
        ...

    @property
    def label(self) -> str:
        """Return what a person calls the backend: `local backend`, or an address."""
        ...

    def register(
        self,
        *entities: Entity,
        on_progress: "Callable[[RegisteredEntity], None] | None" = None,
        on_upload: "Callable[[StagingProgress], None] | None" = None,
        dry_run: bool = False,
        restage: bool = False,
    ) -> Registration:
        """Register these entities and all they refer to.

        Args:
            entities: What to register.
            on_progress: Called with each entity as soon as its outcome is known.
            on_upload: Called while bundles are uploaded.
            dry_run: Compare with what is registered, and send nothing.
            restage: Stage again what is missing or damaged of code that is registered already.

        Raises:
            RegistrationFailed: Some entities cannot be registered.
        """
        ...

    def bundle(self, *entities: Entity) -> Bundle:
        """Return what travels with the tasks that these entities use, and why; sends nothing."""
        ...

    def launch(
        self,
        entity: "Launchable",
        inputs: "Mapping[str, object]",
        *,
        version: "str | None" = None,
        execution_name: "str | None" = None,
    ) -> ExecutionPort:
        """Start an execution of an entity of this notebook, or of a registered one by its name."""
        ...

    def execution(self, name: str) -> ExecutionPort:
        """Return the execution of that name."""
        ...

    def executions(self, limit: int = 20) -> "Sequence[ExecutionView]":
        """Return at most `limit` executions, the newest first."""
        ...

    def fetch_workflow(self, name: str, version: "str | None" = None) -> "Registered":
        """Return a registered workflow; of the latest version when none is given."""
        ...

    def compile(self, entity: Entity) -> CompiledPort:
        """Compile an entity without registering it; never raises for problems, it returns them."""
        ...

    def compile_all(self, *entities: Entity) -> CompileReport:
        """Compile several entities together, and return each with its problems."""
        ...

    def interface(self, entity: "Launchable") -> "tuple[TypedInterface, Mapping[str, object]]":
        """Return the interface of a registered entity, and the defaults of its inputs as Python values."""
        ...

    def renamed(self) -> "str | None":
        """Return the notebook's new name if its file was renamed while the kernel ran, else `None`."""
        ...

    @property
    def notebook(self) -> Any:
        """Return the notebook's name and where it comes from (`discovery.names.NotebookName`)."""
        ...

    def answers(self) -> bool:
        """Return whether a backend can be asked without starting one for it."""
        ...

    def status(self) -> "Mapping[str, object]":
        """Return facts about the connection by name, in the order in which they are shown."""
        ...

    def close(self) -> None:
        """Close the connection; executions go on."""
        ...
