"""`%flyte graph`: a workflow's graph that answers; without a page, a picture of it as it is asked for."""

from collections.abc import Mapping
from typing import Any

from flyte_nb.api.errors import UsageError
from flyte_nb.api.specs import Location, WorkflowTemplate
from flyte_nb.graph import dot
from flyte_nb.graph.layout import Engine, layered
from flyte_nb.graph.model import graph_of
from flyte_nb.graph.opening import found
from flyte_nb.graph.picture import ENGINES, GraphPicture
from flyte_nb.notebook import rest
from flyte_nb.notebook.arguments import Arguments
from flyte_nb.notebook.commands import registering
from flyte_nb.notebook.comparing import compared
from flyte_nb.notebook.details import Details, Places, as_written
from flyte_nb.notebook.exploring import Seen, Subject, graph_of_compiled
from flyte_nb.notebook.kernel import Kernel
from flyte_nb.notebook.ports import CompiledPort


def graph(kernel: Kernel, arguments: Arguments) -> None:
    """Show the graph of a workflow, or write it to a file.

    Raises:
        UsageError: There is no such workflow or node, no such engine here, or the file cannot be
            written.
    """
    entity = _chosen(kernel, arguments.first())
    engine = arguments.options.get("engine", "layered")
    subject = subject_of(kernel, entity, engine=_engine(engine))
    seen = _seen(subject, arguments)
    if "save" in arguments.options:
        if seen.diff:
            subject = compared(kernel.session, entity, subject)
        picture = GraphPicture(subject.drawn(seen), problems=subject.problems, engine=engine)
        path = picture.save(arguments.options["save"])
        kernel.output().show(rest.note(f"The graph of {subject.name} is in `{path}`."))
        return
    show(kernel, entity, subject, seen)


def show(kernel: Kernel, entity: Any, subject: Subject, seen: Seen) -> None:
    """Put the graph below the running cell: it answers where a script can be on the page."""
    output = kernel.output()
    notes = registering.notes(kernel)

    def at_rest(subject: Subject, seen: Seen, anchor: str) -> "Mapping[str, Any]":
        return rest.explored(subject, seen, notes=notes, anchor=anchor)

    from flyte_nb.notebook.live import graph_widget

    def compare(subject: Subject) -> Subject:
        return compared(kernel.session, entity, subject)

    if not graph_widget.can_be_live():
        output.show(at_rest(compare(subject) if seen.diff else subject, seen, ""))
        return
    from flyte_nb.notebook.live.explorer import Explorer

    cell = kernel.cells.current
    kernel.follow(
        Explorer(
            subject,
            seen,
            at_rest=at_rest,
            replace=output.show,
            compare=compare,
            key=cell.cell_id if cell else "",
        )
    )


def subject_of(kernel: Kernel, entity: Any, *, engine: Engine = layered) -> Subject:
    """What there is to see of a workflow of this notebook, or of a registered name."""
    session = kernel.session
    humanize = kernel.cells.humanize
    if isinstance(entity, str):
        closure = session.fetch_workflow(entity).message.closure.compiled_workflow
        whole = graph_of(closure)
        details = Details(whole, closure, Places({}, {}, kernel.cells.place))
        return Subject(entity, whole, details, humanize=humanize, engine=engine)
    compiled = session.compile(entity)
    whole = graph_of_compiled(compiled)
    closure = compiled.closure
    if closure is None and isinstance(compiled.template, WorkflowTemplate):
        closure = as_written(compiled.template, [draft.message for draft in compiled.drafts])
    places = _places(kernel, compiled)
    details = Details(whole, closure, places, compiles=compiled.closure is not None)
    return Subject(
        compiled.name, whole, details, compiled.problems, humanize=humanize, engine=engine
    )


def _places(kernel: Kernel, compiled: CompiledPort) -> Places:
    """Where nodes are called and what they run is defined."""
    calls: dict[tuple[str, str], Location] = {}
    definitions: dict[str, Location] = {}
    templates = [compiled.template]
    for draft in compiled.drafts:
        templates.append(draft.spec)
        location = getattr(draft.entity, "location", None)
        if location is not None:
            definitions[draft.id.name] = location
    for template in templates:
        if isinstance(template, WorkflowTemplate):
            for node in template.nodes:
                if node.location is not None:
                    calls[template.id.name, node.id] = node.location
    return Places(calls, definitions, kernel.cells.place)


def _chosen(kernel: Kernel, name: str) -> Any:
    """The workflow of that name; without a name the one that was defined last."""
    if name:
        entity = kernel.entity(name)
        kind = getattr(entity, "resource_type", "")
        if kind == "task":
            raise UsageError(f"{name} is a task, and a task has no graph. Name a workflow.")
        return entity.workflow if kind == "launch_plan" else entity
    workflows = [value for value in kernel.entities().values() if value.resource_type == "workflow"]
    if not workflows:
        raise UsageError("The notebook defines no workflow yet. Put @workflow on a function.")
    return workflows[-1]


def _engine(name: str) -> Engine:
    if name not in ENGINES:
        raise UsageError(f"There is no engine {name!r}; write {' or '.join(ENGINES)}.")
    if name == "dot" and not dot.is_available():
        raise UsageError(
            "Graphviz is not installed here: there is no dot. The other engine needs nothing."
        )
    return ENGINES[name]


def _seen(subject: Subject, arguments: Arguments) -> Seen:
    seen = Seen(types=arguments.switch("types"), diff=arguments.switch("diff"))
    depth = arguments.number("depth")
    if depth is not None:
        seen = subject.to_depth(seen, depth)
    names = [name for name in arguments.options.get("open", "").split(",") if name]
    if names == ["all"]:
        return subject.to_depth(seen)
    return seen._replace(opened=seen.opened | found(subject.graph, names))
