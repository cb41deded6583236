"""What the notebook needs from a session and an execution. It is given both; it never imports them.

The session that fulfils these is made in `flyte_nb.session.session`, one floor up; tests give a fake.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from flyteidl.core.compiler_pb2 import CompiledWorkflowClosure

from flyte_nb.api.identifiers import Scope
from flyte_nb.api.ports import Entity
from flyte_nb.api.problems import Problem
from flyte_nb.api.specs import TaskTemplate, TypedInterface, WorkflowTemplate
from flyte_nb.bundle.stage import StagingProgress
from flyte_nb.drafting.draft import Draft
from flyte_nb.drafting.reports import Report
from flyte_nb.executions.views import ExecutionView
from flyte_nb.registering.bundle_view import Bundle
from flyte_nb.registering.views import RegisteredEntity, Registration
from flyte_nb.types.registry import Registry

if TYPE_CHECKING:
    from flyte_nb.client.fetching import Launchable, Registered  # which loads gRPC


class ExecutionPort(Protocol):
    """One execution that can be followed, read and ended."""

    def view(self) -> ExecutionView:
        """The execution as it stands."""
        ...

    def watch(self) -> Iterator[ExecutionView]:
        """A view now and after every change; ends after the terminal one."""
        ...

    def inputs(self) -> Mapping[str, Any]:
        """The execution's inputs by name, as Python values."""
        ...

    def outputs(self) -> Any:
        """The execution's outputs, as Python values."""
        ...

    def node_data(self, node_id: str) -> "tuple[Mapping[str, Any], Mapping[str, Any]]":
        """Inputs and outputs of one node, by name."""
        ...

    def logs(self, node_id: "str | None" = None, attempt: "int | None" = None) -> str:
        """What the attempts printed: all of them, or those of one node, or one attempt."""
        ...

    def terminate(self, cause: str) -> None:
        """Ask the backend to abort the execution."""
        ...


class CompiledPort(Protocol):
    """A workflow that was compiled, or the reasons why it was not."""

    @property
    def name(self) -> str:
        """The entity's full name."""
        ...

    @property
    def closure(self) -> "CompiledWorkflowClosure | None":
        """The `CompiledWorkflowClosure`, or `None` when it did not compile."""
        ...

    @property
    def template(self) -> "WorkflowTemplate | TaskTemplate | None":
        """The `api.specs.WorkflowTemplate` as far as it could be traced."""
        ...

    @property
    def problems(self) -> "tuple[Problem, ...]":
        """Everything that is wrong, all at once."""
        ...

    @property
    def drafts(self) -> "tuple[Draft, ...]":
        """It and all it uses, as far as they could be made."""
        ...


class SessionPort(Protocol):
    """A connection with a project, a domain and a place where entities are named."""

    @property
    def scope(self) -> Scope:
        """Project, domain, and what this notebook is called."""
        ...

    @property
    def registry(self) -> Registry:
        """The types."""
        ...

    @property
    def label(self) -> str:
        """What a person calls the other side: `local backend`, or an address."""
        ...

    def register(
        self,
        *entities: Entity,
        on_progress: "Callable[[RegisteredEntity], None] | None" = None,
        on_upload: "Callable[[StagingProgress], None] | None" = None,
        dry_run: bool = False,
        restage: bool = False,
    ) -> Registration:
        """Register these and all they refer to; an entity's fate is told as it is known."""
        ...

    def bundle(self, *entities: Entity) -> Bundle:
        """What travels with the tasks that these use, and why; sends nothing."""
        ...

    def launch(
        self,
        entity: "Launchable",
        inputs: "Mapping[str, Any]",
        *,
        version: "str | None" = None,
        execution_name: "str | None" = None,
    ) -> ExecutionPort:
        """Start an execution of an entity of this notebook, or of a registered name."""
        ...

    def execution(self, name: str) -> ExecutionPort:
        """The execution of that name."""
        ...

    def executions(self, limit: int = 20) -> "Sequence[ExecutionView]":
        """The newest executions, newest first."""
        ...

    def fetch_workflow(self, name: str, version: "str | None" = None) -> "Registered":
        """A registered workflow (`client.fetching.Registered`)."""
        ...

    def compile(self, entity: Entity) -> CompiledPort:
        """Compile without registering; every problem at once."""
        ...

    def compile_all(self, *entities: Entity) -> Report:
        """Compile several together; each with its problems."""
        ...

    def interface(self, entity: "Launchable") -> "tuple[TypedInterface, Mapping[str, Any]]":
        """The interface of a registered entity, and the defaults of its inputs."""
        ...

    def renamed(self) -> "str | None":
        """The notebook's new name, when its file was renamed while the kernel ran."""
        ...

    @property
    def notebook(self) -> Any:
        """The notebook's name, and where it is from (`discovery.names.NotebookName`)."""
        ...

    def answers(self) -> bool:
        """Whether somebody can be asked without anything being started for it."""
        ...

    def status(self) -> "Mapping[str, Any]":
        """Facts about the connection, by name."""
        ...

    def close(self) -> None:
        """Let go of the connection; what runs there goes on."""
        ...
