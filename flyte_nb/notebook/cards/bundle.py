"""Show what travels with tasks: their parts and why, what would be uploaded, requirements, warnings."""

from collections.abc import Callable, Sequence

from flyte_nb.graph.palette import PhaseStyle
from flyte_nb.notebook.cards import pieces, units
from flyte_nb.notebook.paper import theme
from flyte_nb.notebook.paper.html import Child, Safe, element, with_code
from flyte_nb.registering.bundle_view import Bundle, BundlePart, TaskBundle
from flyte_nb.registering.views import CHANGED, FAILED, NEW, UNCHANGED

Humanize = Callable[[str], str]

_STYLES = {
    NEW: theme.NEW,
    CHANGED: theme.CHANGED,
    UNCHANGED: theme.UNCHANGED,
    FAILED: theme.FAILED,
}
_UNKNOWN = theme.UNCHANGED._replace(mark="?", word="not compared")


def card(bundle: Bundle, *, where: str = "", humanize: Humanize = str) -> Safe:
    """Return the bundles as a card. A single task is unfolded, several are folded.

    Args:
        bundle: what travels with each task.
        where: the backend that it was compared with, e.g. `local backend`.
        humanize: replaces file names of cells.
    """
    tasks = bundle.tasks
    if not tasks:
        return pieces.card(
            pieces.head("Bundle", where), element("div", "No task travels.", style=theme.BODY)
        )
    return pieces.card(
        pieces.head("Bundle", where, element("span", _total(bundle), style=theme.SOFT)),
        *(_task(task, humanize, is_open=len(tasks) == 1) for task in tasks),
        pieces.notes([bundle.note] if bundle.note else []),
    )


def text(bundle: Bundle, *, humanize: Humanize = str) -> str:
    """Return the bundles as lines of text."""
    if not bundle.tasks:
        return "No task travels."
    lines: list[str] = []
    for task in bundle.tasks:
        lines += _task_lines(task, humanize)
    lines.append(_total(bundle))
    if bundle.note:
        lines.append(bundle.note)
    return "\n".join(lines)


def _task_lines(task: TaskBundle, humanize: Humanize) -> "list[str]":
    style = _style(task.state)
    if task.problem:
        return [f"{style.mark} {task.name}  {humanize(task.problem)}"]
    lines = [f"{style.mark} {task.name}  {style.word}, {_sizes(task)}"]
    width = max(len(_title(part)) for part in task.parts)
    lines += [
        f"    {_style(part.state).mark} {_title(part):<{width}}  {units.size(part.size_bytes):>7}"
        f"  {_why(part, humanize)}"
        for part in task.parts
    ]
    lines += [f"    - {name} is gone" for name in task.gone]
    if task.inner:
        lines.append(f"    with the tasks {', '.join(task.inner)}")
    if task.requirements:
        lines.append(f"    needs {', '.join(task.requirements)}; Python {task.python}")
    lines += [f"    ! {humanize(warning)}" for warning in task.warnings]
    return lines


def _task(task: TaskBundle, humanize: Humanize, *, is_open: bool) -> Safe:
    style = _style(task.state)
    if task.problem:
        problem = pieces.panel(style, with_code(humanize(task.problem), theme.CODE))
        return pieces.section(task.name, element("div", problem, style=theme.BODY), is_open=True)
    return pieces.section(
        task.name,
        pieces.table(
            ("what travels", "size", "why", "since the last registration"),
            [_row(part, humanize) for part in task.parts],
            right=(1,),
        ),
        _members(task),
        _remarks(task, humanize),
        note=f"{style.mark} {style.word} · {_sizes(task)}",
        is_open=is_open or bool(task.warnings),
    )


def _row(part: BundlePart, humanize: Humanize) -> "list[Child]":
    name = element("span", part.name, style=theme.MONO)
    return [
        element("span", element("span", f"{part.kind} ", style=theme.SOFT), name),
        units.size(part.size_bytes),
        element("span", _why(part, humanize), style=theme.SOFT),
        pieces.pill(_style(part.state)),
    ]


def _members(task: TaskBundle) -> Safe:
    rows: list[Sequence[Child]] = [
        [
            element("span", member.name, style=theme.MONO),
            member.kind,
            units.size(member.size_bytes),
            {True: "stored already", False: "to be uploaded", None: "not known"}[member.is_there],
        ]
        for member in task.members
    ]
    return pieces.section(
        "Stored as",
        pieces.table(("member", "kind", "size", ""), rows, right=(2,)),
        note=units.plural(len(task.members), "member"),
    )


def _remarks(task: TaskBundle, humanize: Humanize) -> "Safe | None":
    lines: list[Child] = [
        element("div", "⚠ ", with_code(humanize(warning), theme.CODE)) for warning in task.warnings
    ]
    if task.gone:
        lines.append(element("div", f"Does not travel any more: {', '.join(task.gone)}."))
    if task.inner:
        lines.append(element("div", f"With the tasks {', '.join(task.inner)}."))
    if task.requirements:
        needs = ", ".join(f"`{item}`" for item in task.requirements)
        lines.append(element("div", with_code(f"Needs {needs}.", theme.CODE)))
    lines.append(
        element(
            "div", f"Python {task.python} · fingerprint {task.fingerprint[:12]}", style=theme.SOFT
        )
    )
    return element("div", *lines, style=f"border-top:{theme.LINE};{theme.BODY};font-size:12px")


def _style(state: str) -> PhaseStyle:
    return _STYLES.get(state, _UNKNOWN)


def _title(part: BundlePart) -> str:
    return f"{part.kind} {part.name}"


def _why(part: BundlePart, humanize: Humanize) -> str:
    if part.place is None:
        return part.why
    place = humanize(f"{part.place.filename}:{part.place.line}")
    return f"{part.why} · {place}"


def _sizes(task: TaskBundle) -> str:
    waiting = sum(member.size_bytes for member in task.to_upload)
    upload = f"{units.size(waiting)} to upload" if waiting else "nothing to upload"
    return f"{units.size(task.size_bytes)} travel, {upload}"


def _total(bundle: Bundle) -> str:
    count = units.plural(len(bundle.tasks), "task")
    waiting = bundle.upload_bytes
    return f"{count}, {f'{units.size(waiting)} to upload' if waiting else 'nothing to upload'}"
