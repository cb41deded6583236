"""What every command does on a terminal: a session from its options, text or JSON, exit codes."""

import argparse
import json
import os
import sys
from typing import TYPE_CHECKING, Any

from flyte_nb.api.identifiers import Scope
from flyte_nb.api.visible import plain

if TYPE_CHECKING:
    from flyte_nb.session.session import Session

DONE, FAILED, WRONG, UNREACHED, INTERRUPTED = 0, 1, 2, 3, 130
"""Exit codes, as `flyte_nb.__main__` lists them."""


def session_of(options: argparse.Namespace) -> "Session":
    """The session that the shared options name; connects when it is first used."""
    from flyte_nb.session.session import connect

    return connect(
        options.config,
        project=options.project,
        domain=options.domain,
        name="",
        home=options.home,
    )


def scope_of(options: argparse.Namespace) -> Scope:
    """Where entities are named, without connecting (a session starts the local backend)."""
    from flyte_nb.client.config import find, home_folder

    home = options.home
    config = find(os.environ, home=home_folder(), path=options.config) if home is None else None
    named = Scope(main_module="")
    return named._replace(
        project=options.project or (config.project if config else "") or named.project,
        domain=options.domain or (config.domain if config else "") or named.domain,
    )


def show(options: argparse.Namespace, document: Any, text: str) -> None:
    """Print the document as JSON, or the text, as `--output` says."""
    out(json.dumps(document, indent=2, default=str) if options.output == "json" else text)


def out(line: str) -> None:
    """Print a line at once, also into a pipe. What is in it of others cannot steer the terminal."""
    sys.stdout.write(plain(line) + "\n")
    sys.stdout.flush()


def complain(line: str) -> None:
    """Print a line to stderr, as `out` does to stdout."""
    sys.stderr.write(plain(line) + "\n")


def say(error: Exception, code: int, *, as_json: bool = False) -> int:
    """Print an error for people, and as a document for machines; give back the exit code."""
    if as_json:
        out(json.dumps(_error_document(error, code), indent=2, default=str))
    complain(str(error) or type(error).__name__)
    return code


def _error_document(error: Exception, code: int) -> "dict[str, Any]":
    """What `--output json` prints when a command fails; fields are only ever added."""
    from flyte_nb.drafting.compile_report import problem_document

    info = getattr(error, "info", None)
    said = {
        "code": getattr(info, "code", "") or getattr(error, "code", "") or type(error).__name__,
        "message": getattr(error, "message", "") or str(error),
        "hint": getattr(error, "hint", ""),
    }
    problems = [problem_document(problem) for problem in getattr(error, "problems", ())]
    return {"format": 1, "ok": False, "exit_code": code, "error": said, "problems": problems}
