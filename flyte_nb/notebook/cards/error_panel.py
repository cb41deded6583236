"""Show the error of a failed attempt: what happened, where, and what to do about it."""

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

_MAX_MESSAGE = 1200  # characters that are shown; the whole message is folded below
_RETRIED = re.compile(r"^\[\d+/\d+\] currentAttempt done\. Last Error: [A-Z]+::")
"""What FlytePropeller puts before the last attempt's own message. Other columns count the attempts."""
_ELEMENTS = re.compile(r"^((?:\[\d+(?:-\d+)?\])+): ", re.MULTILINE)
"""How FlytePropeller begins the error of elements of a map: `[0-1][3]: `."""
_MAX_FRAMES = 12  # lines of a trace, the innermost ones


class ErrorParts(NamedTuple):
    """The message of a failed attempt in parts."""

    message: str
    """What happened: `ValueError: depth 5 needs at least 32 rows per leaf, got 17`."""
    place: str
    """The innermost frame: `cell [7], line 12, in train`."""
    trace: str
    """The frames of the author's code, outermost first."""


def error_parts(message: str) -> ErrorParts:
    """Take the message of a failed attempt apart.

    A worker writes `Trace:`, the frames and `Message:`. Any other text is the `message` as it is.
    """
    elements = _of_elements(message)
    if elements is not None:
        return elements
    message = _RETRIED.sub("", message)
    before, found, after = message.partition("Message:")
    if not found or "Trace:" not in before:
        return ErrorParts(shortened(message.strip()), "", "")
    lines = [line for line in before.partition("Trace:")[2].splitlines() if line.strip()]
    lines = [line for line in lines if not line.lstrip().startswith("Traceback (most recent")]
    what = after.strip()
    # Python ends a trace with the exception itself, which `Message:` repeats.
    while lines and what and lines[-1].strip() in what:
        lines.pop()
    margin = min((len(line) - len(line.lstrip()) for line in lines), default=0)
    lines = [line[margin:] for line in lines]
    frames = [line for line in lines if _is_frame(line)]
    place = frames[-1].strip() if frames else ""
    return ErrorParts(shortened(what), place, shortened("\n".join(lines)))


def _of_elements(message: str) -> "ErrorParts | None":
    """Take the error of a map apart: that of the first elements, and how many others there are."""
    found = list(_ELEMENTS.finditer(message))
    if not found or found[0].start() > 0:
        return None
    end = found[1].start() if len(found) > 1 else len(message)
    parts = error_parts(message[found[0].end() : end])
    numbers = found[0].group(1)[1:-1].replace("][", ", ")
    where = f"elements {numbers}" if set(numbers) & set(",-") else f"element {numbers}"
    others = len(found) - 1
    more = f"\n{others} other {'error' if others == 1 else 'errors'} of elements" if others else ""
    return parts._replace(message=f"{where}: {parts.message}{more}")


def _is_frame(line: str) -> bool:
    """Return whether the line names a frame, as Python writes it or with a cell in place of the file."""
    return ", line " in line and (line.startswith(("File ", "cell ")) or ", in " in line)


def panel(
    subject: str,
    error: ErrorInfo,
    *,
    advice: str = "",
    humanize: "Callable[[str], str]" = str,
) -> Safe:
    """Return the error of a node, or of the execution, as a panel.

    Args:
        subject: What failed, e.g. the node's title; may be empty.
        error: Its error.
        advice: What to do; `backticks` mark code.
        humanize: Replaces file names of cells.
    """
    parts = error_parts(humanize(error.message))
    what = parts.message or error.code
    long = len(what) > _MAX_MESSAGE
    first = what[:_MAX_MESSAGE] + ("…" if long else "")
    head = element(
        "div",
        element("b", subject) if subject else None,
        " · " if subject else None,
        first,
        style="white-space:pre-wrap",
    )
    trace = _trace(parts)
    code = element("span", error.code, style=f"{theme.MONO};{theme.SOFT}") if error.code else None
    done = element("div", with_code(advice, theme.CODE), " ", style=theme.SOFT) if advice else None
    whole = (
        pieces.section("the whole message", element("pre", what, style=theme.BLOCK))
        if long
        else None
    )
    return pieces.panel(PHASE_STYLES[FAILED], head, trace, done, code, whole)


def _trace(parts: ErrorParts) -> "Safe | None":
    """Return the innermost frames; the last line is where it happened."""
    lines = parts.trace.splitlines()
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
    """Return what to do about an error, in one or two short sentences with code in `backticks`.

    Args:
        view: The execution.
        node: The node that failed; `None` when the execution itself did.
        error: Its error.
    """
    logs = f"`%flyte logs {view.id.name}{f' {node.spec_node_id}' if node else ''}`"
    tries = len(node.attempts) if node else 0
    tried = f"Failed {tries} times. " if tries > 1 else ""
    # FlytePropeller puts `RetriesExhausted|` before the code of the last attempt.
    code = error.code.rpartition("|")[2]
    if error.origin == SYSTEM or code.startswith("SYSTEM"):
        # A broken bundle stays broken: another attempt reads the same bytes.
        if code.startswith("SYSTEM:Bundle"):
            return f"{tried}Not your code. `%flyte register` stages it anew; then launch it again."
        return f"{tried}Not your code. {logs} has what was printed; launching again may help."
    name = view.workflow.name.rpartition(".")[2] or view.workflow.name
    return f"{tried}Correct the cell, run it, then `%flyte launch {name}`. {logs} has what was printed."
