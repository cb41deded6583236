"""Show what the notebook defines, as the compiler sees it: a row for each entity, and every problem below."""

from collections.abc import Callable, Collection, Sequence

from flyte_nb.api.problems import Problem, as_text
from flyte_nb.drafting.compile_report import BLOCKED, OK, WRONG, CompiledEntity, CompileReport
from flyte_nb.graph.palette import PHASE_STYLES, PROBLEM, PhaseStyle
from flyte_nb.notebook.cards import pieces, units
from flyte_nb.notebook.paper import theme
from flyte_nb.notebook.paper.html import Child, Safe, element

STALE = "stale"
"""The state of an entity that compiles, but uses a definition that was replaced."""
_WHOLE = "white-space:nowrap"

_STYLES = {
    WRONG: PHASE_STYLES[PROBLEM],
    STALE: theme.CHANGED._replace(word="stale"),
    BLOCKED: theme.UNCHANGED._replace(word="blocked"),
    OK: theme.NEW._replace(word="ok"),
}
"""How each state is shown. The table is in this order, so that what needs attention comes first."""


def card(
    report: CompileReport,
    stale: "Collection[int]" = (),
    *,
    where: str = "",
    notes: "Sequence[str]" = (),
    humanize: "Callable[[str], str]" = str,
) -> Safe:
    """Return the report as a card.

    Args:
        report: the compiler's, on all entities.
        stale: `id()` of the entities that use definitions which were replaced.
        where: the notebook's name.
        notes: remarks below, e.g. which cell to run again; `backticks` mark code.
        humanize: replaces file names of cells.
    """
    states = [_state(one, stale) for one in report.entities]
    problems = [_spoken(problem) for problem in report.all_problems]
    pills = [
        pieces.pill(style, f"{states.count(state)} {style.word}")
        for state, style in _STYLES.items()
        if state in states and state != WRONG
    ]
    if problems:
        pills.insert(0, pieces.pill(_STYLES[WRONG], units.plural(len(problems), "problem")))
    rows = [
        _row(one, stale, humanize)
        for wanted in _STYLES
        for one, state in zip(report.entities, states, strict=True)
        if state == wanted
    ]
    listed = None
    if problems:
        panel = pieces.panel(theme.FAILED, pieces.problems(problems, humanize=humanize))
        listed = element("div", panel, style=f"border-top:{theme.LINE};padding:10px 14px")
    foot = element(
        "div", _total(report), style=f"border-top:{theme.LINE};padding:5px 14px;{theme.QUIET}"
    )
    return pieces.card(
        pieces.head("Compile", where, *pills),
        pieces.table(("entity", "kind", "state", "nodes", "defined in"), rows, right=(3,)),
        listed,
        foot,
        pieces.notes(notes),
    )


def text(report: CompileReport, stale: "Collection[int]" = ()) -> str:
    """Return the report as lines of text."""
    width = max((len(one.id.name) for one in report.entities), default=0)
    lines = []
    for one in report.entities:
        style = _STYLES[_state(one, stale)]
        state = _words(one, stale)
        nodes = f"  {units.plural(one.nodes, 'node')}" if one.nodes else ""
        lines.append(f"{style.mark} {one.id.name:<{width}}  {_kind(one):<11}  {state}{nodes}")
    if report.all_problems:
        lines.append(as_text(report.all_problems))
    lines.append(_total(report))
    return "\n".join(lines)


def _spoken(problem: Problem) -> Problem:
    """Return the problem with its entity's name before the node's: `n0` alone could be of any workflow."""
    short = problem.entity.rpartition(".")[2]
    named = bool(problem.node_id and short)
    return problem._replace(node_id=f"{short}.{problem.node_id}") if named else problem


def _row(
    one: CompiledEntity, stale: "Collection[int]", humanize: "Callable[[str], str]"
) -> "list[Child]":
    style: PhaseStyle = _STYLES[_state(one, stale)]
    location = one.location
    place = humanize(f"{location.filename}:{location.line}") if location is not None else ""
    return [
        element("span", one.id.name, style=theme.LONG),
        element("span", _kind(one), style=_WHOLE),
        pieces.pill(style, _words(one, stale)),
        str(one.nodes) if one.nodes else "–",
        element("span", place, style=f"{theme.SOFT};{_WHOLE}"),
    ]


def _state(one: CompiledEntity, stale: "Collection[int]") -> str:
    if one.state != WRONG and id(one.draft.entity) in stale:
        return STALE
    return one.state


def _words(one: CompiledEntity, stale: "Collection[int]") -> str:
    """Return the entity's state in words."""
    state = _state(one, stale)
    if state == WRONG:
        return units.plural(len(one.problems), "problem")
    return "uses what is wrong" if state == BLOCKED else _STYLES[state].word


def _kind(one: CompiledEntity) -> str:
    return one.id.resource_type.replace("_", " ")


def _total(report: CompileReport) -> str:
    count = len(report.entities)
    noun = "entity" if count == 1 else "entities"
    return f"{count} {noun} · {units.duration(report.elapsed_s)} · nothing was sent"
