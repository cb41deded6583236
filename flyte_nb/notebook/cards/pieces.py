"""Make the parts of cards: frame, head, pills, tables, folding sections, lists of problems."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from flyte_nb.api.problems import Problem
from flyte_nb.graph.palette import PhaseStyle, style_of
from flyte_nb.notebook.paper import theme
from flyte_nb.notebook.paper.html import Child, Safe, element, join, with_code

Humanize = Callable[[str], str]
"""Replaces the file names of cells in a text by `cell [7]`; see `CellRegistry.humanize`."""


def card(*children: Child) -> Safe:
    """Return the frame around all parts of a card."""
    return element("div", *children, style=theme.CARD)


def head(title: str, note: str = "", *right: Child, pills: "Sequence[Child]" = ()) -> Safe:
    """Return the first line of a card.

    Args:
        title: what it is.
        note: where it is from, in a fixed-width font.
        right: further parts, aligned to the right.
        pills: its state, after the note.
    """
    return element(
        "div",
        element("span", title, style=theme.TITLE),
        element("span", note, style=f"{theme.MONO};{theme.SOFT}") if note else None,
        *pills,
        element("span", style=theme.GROW) if right else None,
        *right,
        style=theme.HEAD,
    )


def pill(style: PhaseStyle, words: str = "") -> Safe:
    """Return mark and words in the colours of a phase; without words, the phase's own word."""
    return element("span", marked(style), " ", words or style.word, style=theme.pill(style))


def phase_pill(phase: str) -> Safe:
    """Return the pill of a phase."""
    return pill(style_of(phase))


def marked(style: PhaseStyle) -> Safe:
    """Return the mark alone, with the word as its tooltip."""
    return element("span", style.mark, style=theme.mark(style), title=style.word)


def bar(parts: "Iterable[tuple[float, PhaseStyle]]") -> Safe:
    """Return a thin stacked bar; each part is (share of the whole from 0 to 1, style)."""
    pieces = [
        element(
            "div",
            style=f"width:{100 * share:.2f}%;height:4px;background-color:{style.mid}",
            title=style.word,
        )
        for share, style in parts
        if share > 0
    ]
    return element("div", *pieces, style=f"display:flex;height:4px;{theme.SUNK}")


def table(
    heads: "Sequence[str]", rows: "Iterable[Sequence[Child]]", *, right: "Sequence[int]" = ()
) -> Safe:
    """Return a table with the columns in `right` aligned to the right; no head if all `heads` are empty."""

    def styled(base: str, column: int) -> str:
        return f"{base};{theme.RIGHT}" if column in right else base

    head_cells = [
        element("th", name, style=styled(theme.HEADING, column), scope="col")
        for column, name in enumerate(heads)
    ]
    body = [
        element(
            "tr",
            *(
                element("td", cell, style=styled(theme.CELL, column))
                for column, cell in enumerate(row)
            ),
            style=theme.ROW,
        )
        for row in rows
    ]
    head_row = element("tr", *head_cells, style=theme.ROW) if any(heads) else None
    return element(
        "table",
        element("thead", head_row) if head_row else None,
        element("tbody", *body),
        style=theme.TABLE,
    )


def section(title: str, *children: Child, note: str = "", is_open: bool = False) -> Safe:
    """Return a part that folds. It needs no script, so it works by keyboard and in exports."""
    beside = element("span", f" {note}", style=f"{theme.QUIET};font-weight:400") if note else None
    return element(
        "details",
        element("summary", title, beside, style=theme.SUMMARY),
        *children,
        style=theme.SECTION,
        open=is_open,
    )


def panel(style: PhaseStyle, *children: Child) -> Safe:
    """Return a panel with an edge in the colour of a phase."""
    return element("div", *children, style=theme.panel(style))


def notes(lines: "Iterable[str]") -> "Safe | None":
    """Return remarks for below a card's content, `None` if there are none; `backticks` mark code."""
    remarks = [element("div", with_code(line, theme.CODE)) for line in lines]
    if not remarks:
        return None
    return element(
        "div", *remarks, style=f"border-top:{theme.LINE};padding:7px 14px;font-size:12px"
    )


def problems(
    found: "Sequence[Problem]",
    *,
    humanize: Humanize,
    titles: "Mapping[str, str] | None" = None,
) -> Safe:
    """Return a list of problems, numbered in their order, as they are on the graph.

    Args:
        found: the problems.
        humanize: replaces file names of cells.
        titles: titles of the graph's nodes by id.
    """
    return join(
        element(
            "div",
            _problem_head(number, problem, humanize, titles or {}),
            element("div", with_code(humanize(short_message(problem)), theme.CODE)),
            element("div", with_code(humanize(problem.hint), theme.CODE)) if problem.hint else None,
            style="margin:0 0 12px 0" if number < len(found) else "margin:0",
        )
        for number, problem in enumerate(found, start=1)
    )


def short_message(problem: Problem) -> str:
    """Return the problem's message without a leading `fit.depth: `, which the problem's head says already."""
    place, _, rest = problem.message.partition(": ")
    repeats = problem.variable and place.endswith(f".{problem.variable}") and " " not in place
    return rest if rest and repeats else problem.message


def _problem_head(
    number: int, problem: Problem, humanize: Humanize, titles: "Mapping[str, str]"
) -> Safe:
    """Return the head of a problem, e.g. `1 · train.depth   cell [7], line 3`."""
    subject = titles.get(problem.node_id, problem.node_id) or problem.entity.rpartition(".")[2]
    place = ".".join(part for part in (subject, problem.variable) if part) or problem.code
    where = ""
    if problem.location is not None:
        where = humanize(f"{problem.location.filename}:{problem.location.line}")
    return element(
        "div",
        element("b", f"{number} · {place}"),
        element("span", f"  {where}", style=f"{theme.MONO};{theme.SOFT}") if where else None,
    )
