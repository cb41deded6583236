"""`%flyte graph`: show a workflow's graph that can be opened and searched, or write a picture to a file."""

from collections.abc import Callable, Mapping

from flyte_nb.api.errors import UsageError
from flyte_nb.api.specs import Location, WorkflowTemplate
from flyte_nb.graph import dot
from flyte_nb.graph.layout import LayoutEngine, layered
from flyte_nb.graph.model import graph_of
from flyte_nb.graph.opening import found
from flyte_nb.graph.picture import ENGINES, GraphPicture
from flyte_nb.notebook import at_rest
from flyte_nb.notebook.arguments import Arguments
from flyte_nb.notebook.commands import registering
from flyte_nb.notebook.kernel.kernel import Kernel
from flyte_nb.notebook.kernel.ports import CompiledPort
from flyte_nb.notebook.live import graph_widget
from flyte_nb.notebook.live.explorer import Explorer
from flyte_nb.notebook.looking.comparing import compared
from flyte_nb.notebook.looking.details import Details, Places, as_written
from flyte_nb.notebook.looking.exploring import Subject, ViewState, graph_of_compiled
from flyte_nb.sdk.entity import Definition
from flyte_nb.sdk.launch_plan import LaunchPlan
from flyte_nb.sdk.workflow import Workflow


def graph(kernel: Kernel, arguments: Arguments) -> None:
    """Show the graph of a workflow, or write it to a file.

    Raises:
        UsageError: There is no such workflow or node, no such engine here, or the file cannot be written.
        RemoteError: A registered workflow was named, or a comparison asked for, and FlyteAdmin refuses.
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
        kernel.output().show(at_rest.note(f"The graph of {subject.name} is in `{path}`."))
        return
    show(kernel, entity, subject, seen)


def show(kernel: Kernel, entity: "Workflow | str", subject: Subject, seen: ViewState) -> None:
    """Show the graph below the running cell; interactive if anywidget is installed, else as a picture.

    The graph is drawn again when a later cell changes the workflow.

    Args:
        kernel: The notebook's side.
        entity: A workflow of this notebook, or the full name of a registered one.
        subject: The same, ready to be drawn.
        seen: What is open and switched on at first.
    """
    output = kernel.output()
    following = _Following(kernel, entity, subject)

    def static(subject: Subject, seen: ViewState, anchor: str) -> "Mapping[str, object]":
        return at_rest.explored(subject, seen, notes=registering.notes(kernel), anchor=anchor)

    cell = kernel.cells.current
    if graph_widget.can_be_live():
        explorer = Explorer(
            subject,
            seen,
            at_rest=static,
            replace=output.show,
            compare=following.compared,
            key=cell.cell_id if cell else "",
        )
        kernel.follow(explorer)

        def draw(subject: Subject, is_other: bool) -> "Mapping[str, object] | None":
            # Also for an equal picture: places and defaults in the details may be others now.
            explorer.change(subject)
            return explorer.at_rest() if is_other else None
    else:
        output.show(static(following.compared(subject) if seen.diff else subject, seen, ""))

        def draw(subject: Subject, is_other: bool) -> "Mapping[str, object] | None":
            return static(subject, ViewState(types=seen.types), "") if is_other else None

    if cell is not None and cell.can_be_redrawn and following.variable:
        kernel.redraws.keep(
            cell.cell_id, following.current, lambda: following.again(draw), output.show
        )


class _Following:
    """A workflow that is shown, and the variable through which later cells may change it."""

    def __init__(self, kernel: Kernel, entity: "Workflow | str", subject: Subject) -> None:
        self._kernel, self._entity, self._subject = kernel, entity, subject
        named = [name for name, value in kernel.entities().items() if _workflow(value) is entity]
        self.variable = named[0] if named else ""
        """The variable that holds the workflow; empty for one that is only registered."""

    def compared(self, subject: Subject) -> Subject:
        """Return the subject compared with what is registered; see `looking.comparing`."""
        return compared(self._kernel.session, self._entity, subject)

    def current(self) -> "Mapping[str, Definition]":
        """Return what the variable holds now, by its name; empty if it is gone."""
        known = self._kernel.entities()
        return {self.variable: known[self.variable]} if self.variable in known else {}

    def again(
        self, draw: "Callable[[Subject, bool], Mapping[str, object] | None]"
    ) -> "Mapping[str, object] | None":
        """Draw what the variable means now; return `None` if that is no workflow any more.

        Args:
            draw: Called with the new subject, and whether its picture is another one.
        """
        entity = _workflow(self.current().get(self.variable))
        if entity is None:
            return None
        before, self._entity = self._subject, entity
        now = self._subject = subject_of(self._kernel, entity, engine=before.engine)
        is_other = (now.graph, now.problems) != (before.graph, before.problems)
        return draw(now, is_other)


def _workflow(entity: "Definition | str | None") -> "Workflow | None":
    """Return the workflow that is drawn for an entity; `None` for a task."""
    if isinstance(entity, LaunchPlan):
        return entity.workflow
    return entity if isinstance(entity, Workflow) else None


def subject_of(
    kernel: Kernel, entity: "Workflow | str", *, engine: LayoutEngine = layered
) -> Subject:
    """Return a workflow ready to be drawn: its graph, details and problems.

    Args:
        kernel: The notebook's side.
        entity: A workflow of this notebook, which is compiled; or the full name of a registered one.
        engine: Lays the graph out.

    Raises:
        RemoteError: The workflow was named, and FlyteAdmin does not have it or cannot be reached.
    """
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
    """Return where nodes are called, and where the tasks and workflows that they run are defined."""
    calls: dict[tuple[str, str], Location] = {}
    definitions: dict[str, Location] = {}
    templates: list[object] = [compiled.template]
    for draft in compiled.drafts:
        templates.append(draft.spec)
        definitions[draft.id.name] = draft.entity.location
    for template in templates:
        if isinstance(template, WorkflowTemplate):
            for node in template.nodes:
                if node.location is not None:
                    calls[template.id.name, node.id] = node.location
    return Places(calls, definitions, kernel.cells.place)


def _chosen(kernel: Kernel, name: str) -> "Workflow | str":
    """Return the workflow of that name; without a name the one that was defined last."""
    if name:
        entity = kernel.entity(name)
        if isinstance(entity, str):
            return entity
        workflow = _workflow(entity)
        if workflow is None:
            raise UsageError(f"{name} is a task, and a task has no graph. Name a workflow.")
        return workflow
    workflows = [value for value in kernel.entities().values() if isinstance(value, Workflow)]
    if not workflows:
        raise UsageError("The notebook defines no workflow yet. Put @workflow on a function.")
    return workflows[-1]


def _engine(name: str) -> LayoutEngine:
    if name not in ENGINES:
        raise UsageError(
            f"There is no layout engine {name!r}; --engine takes {' or '.join(ENGINES)}."
        )
    if name == "dot":
        dot.require_dot()
    return ENGINES[name]


def _seen(subject: Subject, arguments: Arguments) -> ViewState:
    """Return what the flags of the line ask for."""
    seen = ViewState(types=arguments.switch("types"), diff=arguments.switch("diff"))
    depth = arguments.number("depth")
    if depth is not None:
        seen = subject.to_depth(seen, depth)
    names = [name for name in arguments.options.get("open", "").split(",") if name]
    if names == ["all"]:
        return subject.to_depth(seen)
    return seen._replace(opened=seen.opened | found(subject.graph, names))
