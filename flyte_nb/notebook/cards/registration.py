"""Show what a registration did with each entity, and why."""

from collections.abc import Callable, Sequence

from flyte_nb.api.identifiers import TASK, Scope
from flyte_nb.api.problems import Problem, as_text, unique
from flyte_nb.graph.palette import PhaseStyle
from flyte_nb.notebook.cards import pieces, units
from flyte_nb.notebook.paper import theme
from flyte_nb.notebook.paper.html import Child, Safe, element, join, with_code
from flyte_nb.registering.views import (
    CHANGED,
    FAILED,
    NEW,
    UNCHANGED,
    RegisteredEntity,
    Registration,
)

_STYLES = {
    NEW: theme.NEW,
    CHANGED: theme.CHANGED,
    UNCHANGED: theme.UNCHANGED,
    FAILED: theme.FAILED,
}
_GROUP_FROM = 3
"""From this many on, unchanged entities of one kind share a row, so that changes are not lost among them."""


def card(
    registration: Registration,
    *,
    scope: "Scope | None" = None,
    label: str = "",
    running: bool = False,
    dry_run: bool = False,
    notes: "Sequence[str]" = (),
    humanize: "Callable[[str], str]" = str,
) -> Safe:
    """Return the registration as a card.

    Args:
        registration: what was done; with `dry_run`, what would be done.
        scope: where it was registered.
        label: what a person calls the backend, e.g. `local backend`.
        running: whether it goes on; then there is no total yet.
        dry_run: whether nothing was sent.
        notes: remarks below the table; `backticks` mark code.
        humanize: replaces file names of cells.
    """
    entities = registration.entities
    title = "Registering" if running else "Would register" if dry_run else "Register"
    found = _problems(entities)
    return pieces.card(
        pieces.head(title, _where(scope, label), *_counts(entities)),
        pieces.bar((share, style) for share, style in _shares(entities)),
        pieces.table(
            ("entity", "kind", "state", "why", "uploaded"), _rows(entities, humanize), right=(4,)
        )
        if entities
        else element("div", "Nothing to register.", style=theme.BODY),
        _failures(found, humanize),
        _foot(registration, dry_run) if entities and not running else None,
        pieces.notes(notes),
    )


def text(
    registration: Registration,
    *,
    running: bool = False,
    dry_run: bool = False,
    humanize: "Callable[[str], str]" = str,
) -> str:
    """Return the registration as lines of text, with the total below them unless it goes on."""
    entities = registration.entities
    if not entities:
        return "Nothing to register."
    width = max(len(entity.id.name) for entity in entities)
    lines = [
        f"{_STYLES[entity.state].mark} {entity.id.name:<{width}}  {_kind(entity):<11}"
        f"  {entity.state:<9}  {humanize(entity.why_beside_problems)}"
        for entity in entities
    ]
    found = _problems(entities)
    if found:
        lines.append(humanize(as_text(found)))
    if not running:
        lines.append(_total(registration, dry_run))
    return "\n".join(lines)


def _problems(entities: "Sequence[RegisteredEntity]") -> "tuple[Problem, ...]":
    return unique(problem for entity in entities for problem in entity.problems)


def _where(scope: "Scope | None", label: str) -> str:
    if scope is None:
        return label
    place = f"{scope.main_module} → {scope.project} / {scope.domain}"
    return f"{place} · {label}" if label else place


def _counts(entities: "Sequence[RegisteredEntity]") -> "list[Safe]":
    pills = []
    for state, style in _STYLES.items():
        count = sum(entity.state == state for entity in entities)
        if count:
            pills.append(pieces.pill(style, f"{count} {style.word}"))
    return pills


def _shares(entities: "Sequence[RegisteredEntity]") -> "list[tuple[float, PhaseStyle]]":
    failed = sum(entity.state == FAILED for entity in entities)
    whole = max(1, len(entities))
    return [((len(entities) - failed) / whole, theme.NEW), (failed / whole, theme.FAILED)]


def _rows(
    entities: "Sequence[RegisteredEntity]", humanize: "Callable[[str], str]"
) -> "list[list[Child]]":
    """Return the rows: what needs attention first, what did not change last and together."""
    order = (FAILED, CHANGED, NEW, UNCHANGED)
    rows: list[list[Child]] = []
    same: dict[tuple[str, str], list[RegisteredEntity]] = {}
    for state in order:
        for entity in entities:
            if entity.state != state:
                continue
            if state == UNCHANGED:
                same.setdefault((entity.id.resource_type, entity.why), []).append(entity)
            else:
                rows.append(_row([entity], humanize))
    for alike in same.values():
        if len(alike) >= _GROUP_FROM:
            rows.append(_row(alike, humanize))
        else:
            rows += [_row([entity], humanize) for entity in alike]
    return rows


def _row(alike: "list[RegisteredEntity]", humanize: "Callable[[str], str]") -> "list[Child]":
    first = alike[0]
    style = _STYLES.get(first.state, theme.UNCHANGED)
    names = ", ".join(entity.id.name for entity in alike)
    why: Safe = with_code(humanize(first.why_beside_problems), theme.CODE)
    if first.state == UNCHANGED:
        why = element("span", why, style=theme.SOFT)
    elif first.id.version:
        version = element(
            "span", first.id.version[:8], style=f"{theme.MONO};{theme.SOFT}", title=first.id.version
        )
        why = join((why, element("span", " · version ", style=theme.SOFT), version))
    sent = sum(entity.uploaded_bytes for entity in alike)
    is_task = first.id.resource_type == TASK
    return [
        element("span", names, style=theme.LONG if len(alike) == 1 else ""),
        _kind(first),
        pieces.pill(style),
        why,
        units.size(sent) if sent or is_task else "–",
    ]


def _failures(found: "Sequence[Problem]", humanize: "Callable[[str], str]") -> "Safe | None":
    if not found:
        return None
    listed = pieces.panel(theme.FAILED, pieces.problems(found, humanize=humanize))
    return element("div", listed, style=f"border-top:{theme.LINE};padding:10px 14px")


def _kind(entity: RegisteredEntity) -> str:
    return entity.id.resource_type.replace("_", " ")


def _foot(registration: Registration, dry_run: bool) -> Safe:
    total = _total(registration, dry_run)
    return element("div", total, style=f"border-top:{theme.LINE};padding:5px 14px;{theme.QUIET}")


def _total(registration: Registration, dry_run: bool) -> str:
    if dry_run:
        return "Nothing was sent."
    sent = registration.uploaded_bytes
    uploaded = f"{units.size(sent)} uploaded" if sent else "nothing to upload"
    calls = units.plural(registration.rpcs, "call")
    return f"{uploaded} · {calls} · {units.duration(registration.elapsed_s)}"
