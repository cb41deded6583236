"""What `--output json` prints when a command fails."""

import json

from flyte_nb.commands.terminal import out
from flyte_nb.drafting.compile_report import problem_document


def print_document(error: Exception, code: int) -> None:
    """Print the error as one JSON document; `code` is the exit code that goes with it."""
    out(json.dumps(_document(error, code), indent=2, default=str))


def _document(error: Exception, code: int) -> "dict[str, object]":
    """Return the document. Programs read it, so fields are only ever added."""
    # Which of these an error has depends on its class: FlyteAdmin's carry a code, a task's an `info`.
    info = getattr(error, "info", None)
    described = {
        "code": getattr(info, "code", "") or getattr(error, "code", "") or type(error).__name__,
        "message": getattr(error, "message", "") or str(error),
        "hint": getattr(error, "hint", ""),
    }
    problems = [problem_document(problem) for problem in getattr(error, "problems", ())]
    return {"format": 1, "ok": False, "exit_code": code, "error": described, "problems": problems}
