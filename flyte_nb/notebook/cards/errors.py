"""A failed attempt's message, taken apart: what a person needs, where it happened, what to do."""

import re
from collections.abc import Callable
from typing import NamedTuple

from flyte_nb.api.errors import SYSTEM, ErrorInfo, shortened
from flyte_nb.api.phases import FAILED
from flyte_nb.executions.views import ExecutionView, NodeView
from flyte_nb.graph.palette import PHASE_STYLES
from flyte_nb.notebook.cards import pieces
from flyte_nb.notebook.paper import theme
from flyte_nb.notebook.paper.html import Safe, element, with_code

_MAX_MESSAGE = 1200  # characters that are shown; the rest folds
_RETRIED = re.compile(r"^\[\d+/\d+\] currentAttempt done\. Last Error: [A-Z]+::")
"""What Flyte puts before the last attempt's own words; the table has the number of attempts."""
_MAX_FRAMES = 12  # lines of a trace; the innermost are kept


class Told(NamedTuple):
    """A message in parts."""

    said: str
    """`ValueError: depth 5 needs at least 32 rows per leaf, got 17`."""
    place: str
    """The innermost frame: `cell [7], line 12, in train`."""
    trace: str
    """The user's frames, outermost first."""


def told(message: str) -> Told:
    """Take an attempt's message apart.

    A worker writes `Trace:`, the user's frames and `Message:`; any other text is `said` as it is.
    """
    message = _RETRIED.sub("", message)
    before, found, after = message.partition("Message:")
    if not found or "Trace:" not in before:
        return Told(shortened(message.strip()), "", "")
    lines = [line for line in before.partition("Trace:")[2].splitlines() if line.strip()]
    lines = [line for line in lines if not line.lstrip().startswith("Traceback (most recent")]
    said = after.strip()
    while lines and said and lines[-1].strip() in said:
        lines.pop()
    margin = min((len(line) - len(line.lstrip()) for line in lines), default=0)
    lines = [line[margin:] for line in lines]
    frames = [line for line in lines if _is_frame(line)]
    place = frames[-1].strip() if frames else ""
    return Told(shortened(said), place, shortened("\n".join(lines)))


def _is_frame(line: str) -> bool:
    return ", line " in line and (line.startswith(("File ", "cell ")) or ", in " in line)


def panel(
    subject: str,
    error: ErrorInfo,
    *,
    advice: str = "",
    humanize: "Callable[[str], str]" = str,
) -> Safe:
    """The error of one node (or of the execution): what, where, the line, and what to do."""
    message = told(humanize(error.message))
    said = message.said or error.code
    long = len(said) > _MAX_MESSAGE
    first = said[:_MAX_MESSAGE] + ("…" if long else "")
    head = element(
        "div",
        element("b", subject) if subject else None,
        " · " if subject else None,
        first,
        style="white-space:pre-wrap",
    )
    trace = _trace(message)
    code = element("span", error.code, style=f"{theme.MONO};{theme.SOFT}") if error.code else None
    done = element("div", with_code(advice, theme.CODE), " ", style=theme.SOFT) if advice else None
    whole = (
        pieces.section("the whole message", element("pre", said, style=theme.BLOCK))
        if long
        else None
    )
    return pieces.panel(PHASE_STYLES[FAILED], head, trace, done, code, whole)


def _trace(message: Told) -> "Safe | None":
    """The innermost frames; the last one is where it happened."""
    lines = message.trace.splitlines()
    if not lines:
        return None
    cut = len(lines) - _MAX_FRAMES
    if cut > 0:
        lines = [f"… {cut} lines before", *lines[cut:]]
    return element(
        "pre",
        "\n".join(lines),
        style=f"{theme.MONO};background:transparent;padding:0;margin:3px 0;white-space:pre-wrap;"
        "overflow-wrap:break-word;line-height:1.45",
    )


def advice(view: ExecutionView, node: "NodeView | None", error: ErrorInfo) -> str:
    """What to do about it, in one or two short sentences; code in backticks."""
    logs = f"`%flyte logs {view.id.name}{f' {node.spec_node_id}' if node else ''}`"
    tries = len(node.attempts) if node else 0
    tried = f"Failed {tries} times. " if tries > 1 else ""
    if error.origin == SYSTEM or error.code.rpartition("|")[2].startswith("SYSTEM"):
        if error.code.rpartition("|")[2].startswith(
            "SYSTEM:Bundle"
        ):  # another attempt reads the same
            return f"{tried}Not your code. `%flyte register` stages it anew; then launch it again."
        return f"{tried}Not your code. {logs} has what was printed; launching again may help."
    name = view.workflow.name.rpartition(".")[2] or view.workflow.name
    return (
        f"{tried}Mend the cell, run it, then `%flyte launch {name}`. {logs} has what was printed."
    )
