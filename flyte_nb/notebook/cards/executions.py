"""Show the history of executions as a table."""

from collections.abc import Sequence
from datetime import datetime

from flyte_nb.api.errors import ErrorInfo
from flyte_nb.executions.views import ExecutionView
from flyte_nb.graph.palette import style_of
from flyte_nb.notebook.cards import pieces, units
from flyte_nb.notebook.cards.error_panel import error_parts
from flyte_nb.notebook.paper import theme
from flyte_nb.notebook.paper.html import Child, Safe, element

_MAX_ERROR = 160  # characters of an error in a row


def card(
    views: "Sequence[ExecutionView]",
    *,
    where: str = "",
    now: "datetime | None" = None,
) -> Safe:
    """Return the executions as a card, in the order given.

    Args:
        views: one for each row.
        where: the place they are from, e.g. `flytesnacks / development · local backend`.
        now: for `5 min ago` and for elapsed times; `None` leaves both out.
    """
    if not views:
        empty = element(
            "div",
            "Nothing has run yet here. ",
            element("code", "%flyte launch", style=theme.CODE),
            " starts something.",
            style=f"border-top:{theme.LINE};{theme.BODY}",
        )
        return pieces.card(pieces.head("Executions", where), empty)
    heads = ("execution", "workflow", "phase", "started", "took", "")
    rows = [_row(view, now) for view in views]
    return pieces.card(
        pieces.head("Executions", where),
        pieces.table(heads, rows, right=(4,)),
    )


def text(views: "Sequence[ExecutionView]", *, now: "datetime | None" = None) -> str:
    """Return one line for each execution."""
    lines = []
    for view in views:
        style = style_of(view.phase)
        lines.append(
            f"{style.mark} {view.id.name}  {style.word:<11}  {_took(view, now):>8}"
            f"  {units.moment(_start(view))}  {view.workflow.name}"
        )
    return "\n".join(lines) or "Nothing has run yet here."


def _row(view: ExecutionView, now: "datetime | None") -> "list[Child]":
    started = _start(view)
    when = units.ago(started, now) if now is not None else units.moment(started)
    note = view.abort_cause or (_first_line(view.error) if view.error else "")
    return [
        element("span", view.id.name, style=theme.MONO),
        element("span", view.workflow.name or view.entity.name, style=theme.LONG),
        pieces.phase_pill(view.phase),
        element("span", when, title=units.moment(started), style="white-space:nowrap"),
        _took(view, now),
        element("span", note, style=theme.QUIET),
    ]


def _start(view: ExecutionView) -> datetime:
    return view.started_at or view.created_at


def _took(view: ExecutionView, now: "datetime | None") -> str:
    end = view.ended_at or (None if view.is_terminal else now)
    seconds = units.between(_start(view), end)
    return "–" if seconds is None else units.duration(seconds)


def _first_line(error: ErrorInfo) -> str:
    """Return the first line of an error's own message, at most 160 characters.

    FlyteAdmin cuts the messages in a list of executions. If nothing but a part of the trace is left, the
    exception's type is taken from the error's code.
    """
    what = error_parts(error.message).message
    lines = [line.strip() for line in what.splitlines() if line.strip()]
    if not lines or lines[0].startswith("Trace:"):
        lines = [error.code.rpartition("|")[2].rpartition(":")[2]]
    line = lines[0]
    return line if len(line) <= _MAX_ERROR else line[: _MAX_ERROR - 1] + "…"
