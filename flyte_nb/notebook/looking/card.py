"""Make the static card of a workflow: its graph, and the problems that keep it from compiling."""

from collections.abc import Callable, Sequence

from flyte_nb.api.problems import Problem
from flyte_nb.graph.elements import INPUTS, OUTPUTS, REMOVED, Graph
from flyte_nb.graph.html import figure
from flyte_nb.graph.palette import CHANGE_STYLES, PHASE_STYLES, PROBLEM
from flyte_nb.graph.text import tree
from flyte_nb.notebook.cards import pieces, units
from flyte_nb.notebook.looking.exploring import Subject
from flyte_nb.notebook.paper import theme
from flyte_nb.notebook.paper.html import Safe, element


def card(
    name: str,
    graph: Graph,
    problems: "Sequence[Problem]" = (),
    *,
    picture: "str | None" = None,
    notes: "Sequence[str]" = (),
    humanize: "Callable[[str], str]" = str,
    anchor: str = "",
) -> Safe:
    """Return the workflow's graph as a card, with the list of problems beside it if there are any.

    Args:
        name: the entity's full name.
        graph: of the closure, or of the template when it does not compile.
        problems: all of them. They are numbered in this order, with the same numbers as on the graph.
        picture: the graph as HTML; `None` draws it with nothing open.
        notes: remarks below, e.g. that a task was defined again; `backticks` mark code.
        humanize: replaces file names of cells.
        anchor: a class for the picture and the list beside it, by which the page's script finds them.
    """
    drawn = Safe(picture if picture is not None else figure(graph, problems=problems))
    if not problems:
        nodes = [
            node
            for node in graph.nodes
            if node.kind not in (INPUTS, OUTPUTS) and node.mark != REMOVED
        ]
        # What was removed from the workflow is drawn in a comparison, but is not a node of it.
        head = pieces.head(name, units.plural(len(nodes), "node"))
        return pieces.card(head, _anchored(_stage(drawn), anchor), pieces.notes(notes))
    pill = pieces.pill(PHASE_STYLES[PROBLEM], units.plural(len(problems), "problem"))
    titles = {node.id: node.title for node in graph.nodes}
    listed = pieces.problems(problems, humanize=humanize, titles=titles)
    body = element(
        "div",
        element("div", drawn, style="flex:3 1 440px;min-width:0;padding:12px 14px"),
        element(
            "div",
            listed,
            style=f"flex:1 1 270px;min-width:0;padding:12px 14px;{theme.SUNK}",
        ),
        style=f"display:flex;flex-wrap:wrap;border-top:{theme.LINE}",
    )
    head = pieces.head(f"{name} does not compile", pills=(pill,))
    return pieces.card(head, _anchored(body, anchor), pieces.notes(notes))


def text(graph: Graph, problems: "Sequence[Problem]" = ()) -> str:
    """Return the graph as a tree of text, with the problems."""
    return tree(graph, problems=problems)


def opened_text(subject: Subject, drawn: Graph) -> str:
    """Return the graph as a tree with what is open, then the differences from what is registered."""
    changed = [
        f"{CHANGE_STYLES[node.mark].mark} {node.title}: {CHANGE_STYLES[node.mark].word}"
        + (f", {node.why}" if node.why else "")
        for node in subject.graph.nodes
        if node.mark
    ]
    parts = (tree(drawn, problems=subject.problems), subject.compared, "\n".join(changed))
    return "\n\n".join(filter(None, parts))


def _anchored(body: Safe, anchor: str) -> Safe:
    return element("div", body, **{"class": anchor}) if anchor else body


def _stage(picture: Safe) -> Safe:
    return element("div", picture, style=f"border-top:{theme.LINE};padding:12px 14px")
