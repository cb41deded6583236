"""Make graphs of entities: compiled here or fetched, opened, compared and coloured as asked for."""

from collections.abc import Collection, Mapping
from typing import NamedTuple, Protocol

from flyteidl.core.compiler_pb2 import CompiledWorkflowClosure

from flyte_nb.api.errors import RemoteError, UsageError
from flyte_nb.api.identifiers import LAUNCH_PLAN, TASK, WORKFLOW
from flyte_nb.api.nodes import END_NODE, START_NODE, TASK_NODE
from flyte_nb.api.ports import Entity
from flyte_nb.api.problems import Problem
from flyte_nb.api.specs import TypedInterface, WorkflowTemplate
from flyte_nb.client.fetching import Launchable, Registered, interface_of
from flyte_nb.discovery.entities import check_entity
from flyte_nb.discovery.specs.spec import Spec
from flyte_nb.drafting.compiling import Compiled
from flyte_nb.drafting.draft import Draft
from flyte_nb.executions.execution import Execution
from flyte_nb.executions.paths import phases_of
from flyte_nb.graph.changes import diff as compared
from flyte_nb.graph.elements import INPUTS, OUTPUTS, Graph, GraphEdge, GraphNode
from flyte_nb.graph.model import graph_of, graph_of_template
from flyte_nb.graph.opening import found, openable, opened
from flyte_nb.graph.picture import GraphPicture, PictureRequest
from flyte_nb.graph.type_words import type_word
from flyte_nb.graph.typed import typed
from flyte_nb.sdk.entity import Definition


class Sees(Protocol):
    """What drawing needs of a session: what is defined here, and what is registered."""

    def compile(self, entity: Entity) -> Compiled:
        """Return the compiled entity, as `Session.compile`."""
        ...

    def fetch_workflow(self, name: str, version: "str | None" = None) -> Registered:
        """Return a registered workflow, as `Session.fetch_workflow`."""
        ...

    def versioned(self, entity: Entity) -> "list[Draft]":
        """Return the entity as it would be registered, as `Session.versioned`."""
        ...


class _Found(NamedTuple):
    """What to draw, with every sub-workflow closed."""

    graph: Graph
    problems: "tuple[Problem, ...]" = ()
    closure: "CompiledWorkflowClosure | None" = None
    name: str = ""


def picture(
    session: Sees,
    entity: Launchable,
    *,
    engine: str = "layered",
    open: "Collection[str] | str" = (),
    depth: "int | None" = 0,
    types: bool = False,
    theme: str = "auto",
    phases: "Mapping[str, str] | None" = None,
    execution: "Execution | None" = None,
    diff: "bool | str | Registered | CompiledWorkflowClosure | None" = False,
) -> GraphPicture:
    """Return the graph of an entity; for the options see `Workflow.graph`.

    Raises:
        UsageError: an option that does not exist, nothing that opens under a name, or a comparison
            with something that does not compile.
        RemoteError: what is registered cannot be fetched.
    """
    asked = {
        "engine": engine, "open": open, "depth": depth, "types": types, "theme": theme,
        "phases": phases, "execution": execution, "diff": diff,
    }  # fmt: skip
    here = _found(session, entity)
    graph = here.graph
    if diff is not False and diff is not None:
        graph = _compared(session, entity, here, diff)
    ids = found(graph, [open] if isinstance(open, str) else open) | openable(graph, depth)
    drawn = opened(graph, ids)
    if execution is not None:
        phases = {**phases_of(execution.view().nodes), **(phases or {})}
    made = GraphPicture(
        typed(drawn) if types else drawn,
        problems=here.problems,
        phases=phases,
        engine=engine,
        theme=theme,
    )
    made.asked = PictureRequest(entity, asked)
    return made


def _found(session: Sees, entity: Launchable) -> _Found:
    if isinstance(entity, str):
        entity = session.fetch_workflow(entity)
    if isinstance(entity, Registered):
        return _registered(session, entity)
    check_entity(entity)
    compiled = session.compile(entity)
    if compiled.closure is not None and not compiled.problems:
        return _Found(graph_of(compiled.closure), closure=compiled.closure, name=compiled.name)
    if isinstance(entity, Spec) and entity.resource_type == TASK:
        interface = interface_of(entity.message.template)
        return _Found(
            _of_task(compiled.name, interface), problems=compiled.problems, name=compiled.name
        )
    template = compiled.template
    if isinstance(template, WorkflowTemplate):
        subs = {
            draft.id.name: draft.spec
            for draft in compiled.drafts
            if isinstance(draft.spec, WorkflowTemplate)
        }
        graph = graph_of_template(template, sub_workflows=subs)
        return _Found(graph, problems=compiled.problems, name=compiled.name)
    if template is None:
        return _Found(Graph(compiled.name, (), ()), problems=compiled.problems, name=compiled.name)
    graph = _of_task(compiled.name, template.interface)
    return _Found(graph, problems=compiled.problems, name=compiled.name)


def _registered(session: Sees, entity: Registered) -> _Found:
    if entity.resource_type == LAUNCH_PLAN:
        workflow = entity.message.spec.workflow_id
        entity = session.fetch_workflow(workflow.name, workflow.version)
    if entity.resource_type == TASK:
        return _Found(_of_task(entity.name, entity.interface), name=entity.name)
    closure = entity.message.closure.compiled_workflow
    return _Found(graph_of(closure), closure=closure, name=entity.name)


def _of_task(name: str, interface: TypedInterface) -> Graph:
    """Return a task between its inputs and its outputs."""
    title = name.rpartition(".")[2]
    nodes = [GraphNode("n0", TASK_NODE, title, "", name)]
    edges = []
    if inputs := interface.inputs:
        nodes.insert(0, GraphNode(START_NODE, INPUTS, "inputs", ", ".join(inputs)))
        words = tuple(type_word(variable.type) for variable in inputs.values())
        pairs = tuple((var, var) for var in inputs)
        edges.append(GraphEdge(START_NODE, "n0", variables=pairs, types=words))
    if outputs := interface.outputs:
        nodes.append(GraphNode(END_NODE, OUTPUTS, "outputs", ", ".join(outputs)))
        words = tuple(type_word(variable.type) for variable in outputs.values())
        pairs = tuple((var, var) for var in outputs)
        edges.append(GraphEdge("n0", END_NODE, variables=pairs, types=words))
    return Graph(title, tuple(nodes), tuple(edges), name)


def _compared(
    session: Sees,
    entity: Launchable,
    here: _Found,
    other: "bool | str | Registered | CompiledWorkflowClosure",
) -> Graph:
    """Return the graph marked against the latest registered version, or against what was given."""
    if here.closure is None:
        raise UsageError(
            f"{here.name} is no workflow that compiles, so it cannot be compared. Solve its problems first,"
            " or draw it without diff."
        )
    new = here.closure
    if isinstance(entity, Definition):
        whole = [draft for draft in session.versioned(entity) if draft.key == (WORKFLOW, here.name)]
        new = next((draft.closure for draft in whole if draft.closure is not None), new)
    if isinstance(other, CompiledWorkflowClosure):
        return compared(other, new)
    if isinstance(other, Registered):
        return compared(other.message.closure.compiled_workflow, new)
    try:
        version = None if other is True else str(other)
        old = session.fetch_workflow(here.name, version)
    except RemoteError as error:
        if error.code != "NOT_FOUND":
            raise
        return compared(None, new)
    return compared(old.message.closure.compiled_workflow, new)
