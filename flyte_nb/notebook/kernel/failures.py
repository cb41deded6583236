"""Show our errors under a cell: what is wrong, where in the notebook, what to do, and no frames of ours.

IPython would print the frames of this library, which say nothing to a person who wrote a cell. Errors of a
person's own code keep IPython's traceback, except inside of our calls when they were stopped from outside.
"""

import traceback
from asyncio import CancelledError
from collections.abc import Callable
from types import TracebackType
from typing import Any

from flyte_nb.api.errors import (
    CompileFailed,
    ExecutionFailed,
    FlyteNbError,
    RegistrationFailed,
    UsageError,
    shortened,
)
from flyte_nb.api.problems import Problem
from flyte_nb.api.visible import plain
from flyte_nb.notebook.cards.error_panel import error_parts
from flyte_nb.notebook.kernel.cells import CellRegistry
from flyte_nb.worker.failures import is_ours

_RED, _BOLD, _DIM, _PLAIN = "\x1b[31m", "\x1b[1m", "\x1b[2m", "\x1b[0m"


class BrokenCell(FlyteNbError):
    """A `%%task` cell is not valid Python. It is shown like Python's own syntax error."""

    def __init__(self, error: SyntaxError) -> None:
        """Keep the syntax error; its line and column are those of the cell."""
        super().__init__(error.msg)
        self.error = error


class Interrupted(FlyteNbError):
    """A person interrupted the kernel. The message says what was done and what goes on."""


OURS = (FlyteNbError, UsageError)
"""Errors that are shown without a traceback."""

STOPPED = (KeyboardInterrupt, TimeoutError, CancelledError)
"""Errors that end a call from outside. They are shown without a traceback if the call was one of ours."""


def install(shell: Any, cells: CellRegistry) -> "Callable[[], None]":
    """Show our errors without tracebacks in this shell.

    Returns:
        A function that restores what the shell did before.
    """
    before = shell.custom_exceptions, shell.CustomTB

    def show(
        shell: Any,
        kind: "type[BaseException]",
        error: BaseException,
        frames: "TracebackType | None",
        tb_offset: "int | None" = None,
    ) -> "list[str]":
        if isinstance(error, STOPPED) and not _is_in_ours(frames):
            shell.showtraceback((kind, error, frames), tb_offset=tb_offset)
            return []
        lines = rendered(error, frames, cells)
        if isinstance(error, BrokenCell):
            kind = SyntaxError
        # As IPython's own `showtraceback` does: `%tb` and the error output of a kernel read these.
        shell._last_traceback = lines
        shell._showtraceback(kind, error, lines)
        return lines

    shell.set_custom_exc((*OURS, *STOPPED), show)

    def undo() -> None:
        shell.custom_exceptions, shell.CustomTB = before

    return undo


def rendered(
    error: BaseException, frames: "TracebackType | None", cells: CellRegistry
) -> "list[str]":
    """Return the lines of an error for a terminal or an error output, with ANSI colours."""
    if isinstance(error, BrokenCell):
        return _syntax_error(error.error, cells)
    if isinstance(error, ExecutionFailed) and "Message:" in error.info.message:
        return _task_error(error, cells)
    if isinstance(error, STOPPED):
        return _stopped(error, frames, cells)
    problems = getattr(error, "problems", ())
    title, _, rest = _shown(shortened(str(error)), cells).partition("\n")
    if isinstance(error, (CompileFailed, RegistrationFailed)) and problems:
        count = "problem is" if len(problems) == 1 else f"{len(problems)} problems are"
        listed = problem_lines(problems, cells)
        rest = f"The {count} listed above." if error.is_shown else "\n".join(listed)
    lines = [f"{_RED}{_BOLD}{type(error).__name__}{_PLAIN}: {title}"]
    lines += rest.splitlines() if rest else []
    place = _last_place(frames, cells)
    if place:
        lines.append(f"{_DIM}{place}{_PLAIN}")
    return lines


def _shown(text: str, cells: CellRegistry) -> str:
    """Return the text with cells in place of file names, and without colours and control characters."""
    return plain(cells.humanize(text))


def problem_lines(problems: "tuple[Problem, ...]", cells: CellRegistry) -> "list[str]":
    """Return one numbered line for each problem: where, what, what to do, in which cell."""
    lines = []
    for number, problem in enumerate(problems, start=1):
        subject = plain(".".join(part for part in (problem.node_id, problem.variable) if part))
        place = cells.place(problem.location)
        lines.append(
            f"{number}. "
            + (f"{_BOLD}{subject}{_PLAIN} " if subject else "")
            + _shown(problem.message, cells)
            + (f" {plain(problem.hint)}" if problem.hint else "")
            + (f" {_DIM}({place}){_PLAIN}" if place else "")
        )
    return lines


def _syntax_error(error: SyntaxError, cells: CellRegistry) -> "list[str]":
    """Return cell and line, the text with a caret below it, and the message."""
    label = cells.label(error.filename or "") or "the cell"
    lines = [f"{label}, line {error.lineno}"]
    text = plain((error.text or "").rstrip("\n"))
    if text:
        bare = text.lstrip()
        at = max(0, (error.offset or 1) - 1 - (len(text) - len(bare)))
        lines += [f"    {bare}", f"    {' ' * at}{_BOLD}^{_PLAIN}"]
    return [*lines, f"{_RED}{_BOLD}SyntaxError{_PLAIN}: {plain(error.msg)}"]


def _task_error(error: ExecutionFailed, cells: CellRegistry) -> "list[str]":
    """Return what failed, the author's frames (which another process wrote), and the task's own error."""
    what = plain(error.message.partition(": Trace:")[0])
    parts = error_parts(_shown(error.info.message, cells))
    title = f"{_RED}{_BOLD}{type(error).__name__}{_PLAIN}: {what}"
    return [title, *parts.trace.splitlines(), f"{_BOLD}{parts.message}{_PLAIN}"]


def _stopped(
    error: BaseException, frames: "TracebackType | None", cells: CellRegistry
) -> "list[str]":
    """Return what was stopped and what goes on, then every line of a cell that was being executed."""
    title = _shown(shortened(str(error)), cells) or "It was interrupted."
    lines = [f"{_RED}{_BOLD}{type(error).__name__}{_PLAIN}: {title}"]
    return [*lines, *(f"{_DIM}{place}{_PLAIN}" for place in _places(frames, cells))]


def _is_in_ours(frames: "TracebackType | None") -> bool:
    return any(is_ours(frame.f_code.co_filename) for frame, _ in traceback.walk_tb(frames))


def _last_place(frames: "TracebackType | None", cells: CellRegistry) -> str:
    """Return the innermost line of a cell that the error went through; empty when there is none."""
    places = _places(frames, cells)
    return places[-1] if places else ""


def _places(frames: "TracebackType | None", cells: CellRegistry) -> "list[str]":
    """Return the lines of cells in a traceback, outermost first."""
    found = []
    for frame in traceback.extract_tb(frames):
        label = cells.label(frame.filename)
        # IPython turns a magic into a call of `get_ipython()…`, a line that nobody wrote.
        if label and not (frame.line or "").startswith("get_ipython()"):
            found.append(f"{label}, line {frame.lineno}: {(frame.line or '').strip()}")
    return found
