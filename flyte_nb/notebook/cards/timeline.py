"""Show when each node ran: one row for each node, one bar for each attempt."""

from collections.abc import Mapping
from datetime import datetime

from flyte_nb.api.phases import ENDED
from flyte_nb.executions.views import AttemptView, ExecutionView, NodeView
from flyte_nb.graph.palette import display_phase, style_of
from flyte_nb.notebook.cards import pieces, units
from flyte_nb.notebook.cards.nodes import title_of, took
from flyte_nb.notebook.paper import theme
from flyte_nb.notebook.paper.html import Safe, element, join

_MAX_ROWS = 200
_LEAST = 0.4
"""Width of a bar at least, in percent, so that a short attempt can be seen."""

_NAME = (
    "padding:2px 10px 2px 14px;text-align:left;vertical-align:middle;border:none;white-space:nowrap;"
    "overflow:hidden;text-overflow:ellipsis;max-width:220px;min-width:120px;width:1%"
)
_LANE = "padding:2px 0;vertical-align:middle;border:none;text-align:left"
_TIME = "padding:2px 14px 2px 10px;vertical-align:middle;border:none;width:1%"


def timeline(
    view: ExecutionView, titles: "Mapping[str, str]", now: "datetime | None" = None
) -> Safe:
    """Return the rows in the order in which the nodes started, with the length of the run below them."""
    begin = view.started_at or view.created_at
    # The axis covers every bar, also one that ends after the execution does.
    ends = [attempt.ended_at for node in view.nodes for attempt in _bars_of(node)]
    known = [end for end in (*ends, view.ended_at, None if view.is_terminal else now) if end]
    seconds = max((units.between(begin, end) or 0.0 for end in known), default=0.0)
    span = max(seconds, 0.001)
    shown = sorted(
        (node for node in view.nodes if node.started_at is not None),
        key=lambda node: units.aware(node.started_at or begin),
    )
    rows = [_row(node, titles, begin, span, now) for node in shown[:_MAX_ROWS]]
    rows.append(
        element(
            "tr",
            element("td", style=_NAME),
            element("td", _axis(span), style=_LANE),
            element("td", style=_TIME),
            style=theme.ROW,
        )
    )
    left = len(shown) - _MAX_ROWS
    more = element("div", f"and {left:,} more", style=theme.BODY) if left > 0 else None
    return join((element("table", element("tbody", *rows), style=theme.TABLE), more))


def _row(
    node: NodeView,
    titles: "Mapping[str, str]",
    begin: datetime,
    span: float,
    now: "datetime | None",
) -> Safe:
    style = style_of(display_phase(node.phase, node.cache_status))
    title = title_of(node, titles)
    bars = [_bar(part, begin, span, now) for part in _bars_of(node)]
    lane = element(
        "div",
        *bars,
        style=f"position:relative;height:14px;border-radius:3px;{theme.SUNK}",
    )
    seconds = took(node, now)
    return element(
        "tr",
        element("td", pieces.marked(style), f" {title}", style=_NAME, title=title),
        element("td", lane, style=_LANE),
        element(
            "td",
            "" if seconds is None else units.duration(seconds),
            style=f"{_TIME};{theme.RIGHT};{theme.QUIET}",
        ),
        style=theme.ROW,
    )


def _bars_of(node: NodeView) -> "list[AttemptView | NodeView]":
    """Return what has a bar: the attempts; the node itself if it has none, like a branch or a cache hit."""
    return [attempt for attempt in node.attempts if attempt.started_at] or [node]


def _bar(
    part: "AttemptView | NodeView", begin: datetime, span: float, now: "datetime | None"
) -> "Safe | None":
    start = units.between(begin, part.started_at)
    if start is None:
        return None
    length = took(part, now)
    if length is None and part.phase not in ENDED:
        length = span - start
    left = min(100 - _LEAST, max(0.0, 100 * start / span))
    width = min(100 - left, max(_LEAST, 100 * (length or 0.0) / span))
    cache = part.cache_status if isinstance(part, NodeView) else ""
    style = style_of(display_phase(part.phase, cache))
    tip = f"{style.word} · {units.duration(length or 0.0)}"
    if isinstance(part, AttemptView):
        tip = f"attempt {part.attempt + 1} · {tip}"
    return element(
        "div",
        style=f"position:absolute;top:2px;height:10px;left:{left:.2f}%;width:{width:.2f}%;"
        f"border-radius:3px;background-color:{style.mid}",
        title=tip,
    )


def _axis(span: float) -> Safe:
    """Return the axis: `0` on the left, the whole time on the right."""
    ends = (element("span", "0"), element("span", units.duration(span)))
    return element(
        "div",
        *ends,
        style=f"display:flex;justify-content:space-between;{theme.QUIET};padding-bottom:8px",
    )
