"""Make the mime bundle (static HTML and text) of everything that a notebook shows and saves.

One function for each thing that is shown. The cards make the HTML and the text; this module chooses the card
and passes the notebook's words on (`humanize` replaces file names of cells by `cell [7]`). HTML and text have
the same facts, because a terminal and some front ends show the text only.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, Protocol

from flyte_nb.api.errors import CompileFailed, RegistrationFailed
from flyte_nb.api.identifiers import Scope
from flyte_nb.api.phases import FAILED
from flyte_nb.api.visible import plain
from flyte_nb.drafting.compile_report import CompileReport
from flyte_nb.executions.views import ExecutionView
from flyte_nb.graph.elements import Graph
from flyte_nb.graph.html import figure
from flyte_nb.graph.palette import style_of
from flyte_nb.notebook.cards import bundle as bundle_card
from flyte_nb.notebook.cards import compilation as compilation_card
from flyte_nb.notebook.cards import execution as execution_card
from flyte_nb.notebook.cards import executions as executions_card
from flyte_nb.notebook.cards import pieces, units, value_html
from flyte_nb.notebook.cards import registration as registration_card
from flyte_nb.notebook.form.fields import Field
from flyte_nb.notebook.kernel.cells import CellRegistry
from flyte_nb.notebook.kernel.ports import CompiledPort
from flyte_nb.notebook.looking import card as compiled_card
from flyte_nb.notebook.looking.exploring import Subject, ViewState, graph_of_compiled, placed
from flyte_nb.notebook.paper import theme
from flyte_nb.notebook.paper.html import Safe, element, with_code
from flyte_nb.registering.bundle_view import Bundle
from flyte_nb.registering.views import Registration
from flyte_nb.sdk.signature import TaskSignature
from flyte_nb.surface.command import Command
from flyte_nb.types.codec import spell

Humanize = Callable[[str], str]
MimeBundle = dict[str, Any]
"""Data by mime type, as Jupyter displays it. (A *bundle* alone is the staged code of a task.)"""

_VIEW = "application/vnd.jupyter.widget-view+json"


class CompilationPort(Protocol):
    """The part of `commands.compiling.Compilation` that is shown. Commands are above this module."""

    @property
    def report(self) -> CompileReport:
        """Return the compiler's report."""
        ...

    @property
    def stale(self) -> "frozenset[int]":
        """Return `id()` of the entities that use a replaced definition."""
        ...


def with_fallback(widget: Any, at_rest: "Mapping[str, object]") -> MimeBundle:
    """Return the widget's mime bundle, with static HTML and text for where no widget can be shown."""
    made = widget._repr_mimebundle_()
    own = made[0] if isinstance(made, tuple) else made
    # Without the widget's own text, which is a line like `VBox(children=(…`.
    return {**at_rest, _VIEW: own[_VIEW]}


def registration(
    registration: Registration,
    *,
    scope: Scope,
    label: str,
    running: bool = False,
    dry_run: bool = False,
    notes: "Sequence[str]" = (),
    humanize: Humanize = str,
) -> MimeBundle:
    """Return a registration, finished or going on; see `cards.registration.card` for the arguments."""
    card = registration_card.card(
        registration,
        scope=scope,
        label=label,
        running=running,
        dry_run=dry_run,
        notes=notes,
        humanize=humanize,
    )
    return _bundle(
        card,
        "\n".join(
            [
                registration_card.text(
                    registration, running=running, dry_run=dry_run, humanize=humanize
                ),
                *notes,
            ]
        ),
    )


def bundle(view: Bundle, *, label: str, humanize: Humanize) -> MimeBundle:
    """Return what travels with tasks; `label` names the backend that it was compared with."""
    return _bundle(
        bundle_card.card(view, where=label, humanize=humanize),
        bundle_card.text(view, humanize=humanize),
    )


def execution(
    view: ExecutionView,
    graph: Graph,
    *,
    inputs: "Mapping[str, object]",
    outputs: "Mapping[str, object]",
    logs: str,
    humanize: Humanize,
) -> MimeBundle:
    """Return an execution with its graph, timeline, nodes, values and the end of its logs.

    Args:
        view: The execution.
        graph: Its workflow.
        inputs: Python values by name.
        outputs: The same.
        logs: What was printed.
        humanize: Replaces file names of cells.
    """
    card = execution_card.card(
        view,
        graph,
        inputs={name: value(one) for name, one in inputs.items()},
        outputs={name: value(one) for name, one in outputs.items()},
        logs=humanize(logs),
        now=datetime.now(timezone.utc),
        humanize=humanize,
    )
    return _bundle(card, humanize(execution_card.text(view, graph)))


def launched(view: ExecutionView) -> MimeBundle:
    """Return one line about an execution that goes on, with the command that follows it."""
    card = pieces.card(
        pieces.head(
            view.workflow.name,
            view.id.name,
            element("span", with_code("`%flyte watch` follows it", theme.CODE), style=theme.QUIET),
            pills=(pieces.phase_pill(view.phase),),
        )
    )
    word = style_of(view.phase).word
    return _bundle(card, f"{view.workflow.name} {view.id.name} {word}; %flyte watch follows it")


def executions(views: "Sequence[ExecutionView]", *, scope: Scope, label: str) -> MimeBundle:
    """Return the table of executions."""
    where = f"{scope.project} / {scope.domain} · {label}"
    now = datetime.now(timezone.utc)
    return _bundle(
        executions_card.card(views, where=where, now=now), executions_card.text(views, now=now)
    )


def compiled(compiled: CompiledPort, humanize: Humanize, notes: "Sequence[str]" = ()) -> MimeBundle:
    """Return a workflow's graph, with its problems on the graph if it does not compile."""
    graph = graph_of_compiled(compiled)
    problems = placed(compiled.problems, compiled.name, graph)
    card = compiled_card.card(compiled.name, graph, problems, notes=notes, humanize=humanize)
    return _bundle(card, humanize(compiled_card.text(graph, problems)))


def explored(
    subject: Subject, seen: ViewState, *, notes: "Sequence[str]" = (), anchor: str = ""
) -> MimeBundle:
    """Return a workflow's graph as a person opened it; the page's script finds it by the class `anchor`."""
    picture = subject.picture(seen)
    drawn = figure(picture.layout, **picture.marks)
    if subject.compared:  # inside the part that the script hides, because the script shows it too
        drawn += element("div", subject.compared, style=theme.QUIET)
    card = compiled_card.card(
        subject.name,
        subject.graph,
        subject.problems,
        picture=drawn,
        notes=notes,
        humanize=subject.humanize,
        anchor=anchor,
    )
    return _bundle(card, subject.humanize(compiled_card.opened_text(subject, picture.graph)))


def task(
    name: str, signature: TaskSignature, options: "Sequence[str]", *, doc: str, place: str
) -> MimeBundle:
    """Return a task's signature: its inputs and outputs with their types.

    Args:
        name: The full name.
        signature: Its interface with the codec of each variable.
        options: What its author asked for, in words, e.g. `2 retries`.
        doc: The first line of its docstring.
        place: Where it is defined, e.g. `cell [7]`.
    """
    rows = []
    for var, codec in signature.input_codecs.items():
        default = f"= {signature.defaults[var]!r}" if var in signature.defaults else "required"
        rows.append(("input", var, spell(codec.python_type), default))
    for var, codec in signature.output_codecs.items():
        rows.append(("output", var, spell(codec.python_type), ""))
    table = [
        (
            element("span", side, style=theme.SOFT),
            element("b", var),
            element("code", kind, style=theme.CODE),
            element("span", note, style=theme.SOFT),
        )
        for side, var, kind, note in rows
    ]
    asked = (" · ".join(options),) if options else ()
    card = pieces.card(
        pieces.head(name, " · ".join(filter(None, ("task", place))), *asked),
        element("div", doc, style="padding:0 14px 9px 14px") if doc else None,
        pieces.table(("", "", "", ""), table),
    )
    lines = [f"{side} {var}: {kind} {note}".rstrip() for side, var, kind, note in rows]
    return _bundle(card, "\n".join([f"task {name}", *(f"  {line}" for line in lines)]))


def failure(error: Exception, *, text: str, cells: CellRegistry) -> MimeBundle:
    """Return why a value could not be shown, to show in its place.

    Args:
        error: What was raised.
        text: The value's repr.
        cells: The notebook's cells.
    """
    problems = getattr(error, "problems", ())
    if problems and isinstance(error, (CompileFailed, RegistrationFailed)):
        body = pieces.problems(problems, humanize=cells.humanize)
    else:
        body = element("div", cells.humanize(str(error)), style="white-space:pre-wrap")
    failed = style_of(FAILED)
    card = pieces.card(
        pieces.head(text, pills=(pieces.pill(failed, type(error).__name__),)),
        element("div", pieces.panel(failed, body), style="padding:0 14px 11px 14px"),
    )
    return _bundle(card, f"{text}\n{type(error).__name__}: {cells.humanize(str(error))}")


def status(label: str, scope: Scope, facts: "Mapping[str, object]") -> MimeBundle:
    """Return where the session is connected, and facts about the backend."""
    answers = facts.get("answers", True)
    shown = {name.replace("_", " "): str(fact) for name, fact in facts.items() if name != "answers"}
    rows = [
        (element("span", name, style=theme.SOFT), element("span", fact, style=theme.MONO))
        for name, fact in shown.items()
        if fact
    ]
    place = f"{scope.main_module} → {scope.project} / {scope.domain}"
    failed = theme.FAILED._replace(word="does not answer")
    pill = pieces.pill(theme.NEW, "connected") if answers else pieces.pill(failed)
    card = pieces.card(
        pieces.head(label, place, pills=(pill,)),
        pieces.table(("", ""), rows),
    )
    lines = [f"{name}: {fact}" for name, fact in shown.items()]
    return _bundle(card, "\n".join([f"{label}: {place}", *lines]))


def help_page(commands: "Sequence[Command]") -> MimeBundle:
    """Return the list of commands; for a single command, its flags too."""
    rows = [(element("code", row.usage, style=theme.CODE), row.help) for row in commands]
    if len(commands) == 1:
        rows += [
            (element("code", f"{o.flag} {o.takes}".strip(), style=theme.CODE), o.explained)
            for o in commands[0].options
        ]
    foot = with_code(
        "A cell that begins with `%%task name(x: int) -> y: float` is a task: it sees `x` and sets `y`.",
        theme.CODE,
    )
    card = pieces.card(
        pieces.head("%flyte", "register, launch and watch from the notebook"),
        pieces.table(("", ""), rows),
        element("div", foot, style=f"{theme.SECTION};{theme.BODY}") if len(commands) > 1 else None,
    )
    lines = [f"{row.usage}\n    {row.help}" for row in commands]
    if len(commands) == 1:
        lines += [f"    {o.flag} {o.takes}  {o.explained}" for o in commands[0].options]
    return _bundle(card, "\n".join(lines))


def form_at_rest(title: str, fields: "Sequence[Field]") -> MimeBundle:
    """Return a launch form for front ends without widgets: its fields as a table, and what to do instead."""
    rows = [
        (
            element("b", field.name),
            element("code", field.caption, style=theme.CODE),
            element("span", field.initial(), style=theme.MONO),
        )
        for field in fields
    ]
    advice = with_code(
        "Run the cell again for the form, or give the inputs in the line.", theme.CODE
    )
    card = pieces.card(
        pieces.head(f"Launch {title}"),
        pieces.table(("input", "type", "default"), rows) if rows else None,
        element("div", advice, style=f"{theme.BODY};{theme.QUIET}"),
    )
    lines = [f"  {field.name}: {field.caption}" for field in fields]
    return _bundle(card, "\n".join([f"Launch {title}", *lines]))


def note(text: str, notes: "Sequence[str]" = ()) -> MimeBundle:
    """Return a line of text, with remarks below it; `backticks` mark code."""
    line = element("div", with_code(text, theme.CODE), style=theme.BODY)
    return _bundle(
        pieces.card(line, pieces.notes(notes)), "\n".join((text, *notes)).replace("`", "")
    )


def compilation(
    compilation: CompilationPort, where: str, humanize: Humanize, notes: "Sequence[str]" = ()
) -> MimeBundle:
    """Return what the notebook defines, compiled: each entity's state, and every problem."""
    stale = compilation.stale
    card = compilation_card.card(
        compilation.report, stale, where=where, notes=notes, humanize=humanize
    )
    text = compilation_card.text(compilation.report, stale)
    return _bundle(card, humanize("\n".join((text, *notes)).replace("`", "")))


def uploading(title: str, done_bytes: int, total_bytes: int) -> MimeBundle:
    """Return the progress of an upload, with a bar of the bytes that are stored already."""
    text = f"{title} uploading: {units.size(done_bytes)} of {units.size(total_bytes)}"
    bar = pieces.bar([(done_bytes / max(total_bytes, 1), theme.NEW)])
    return _bundle(pieces.card(bar, element("div", text, style=theme.BODY)), text)


def value(value: object) -> Safe:
    """Return a Python value as HTML."""
    return value_html.formatted(value)


def _bundle(html: str, text: str) -> MimeBundle:
    return {"text/html": str(html), "text/plain": plain(text)}
