"""What every command shares on a terminal: exit codes, and printing text or JSON."""

import argparse
import json
import sys

from flyte_nb.api.visible import plain

DONE, FAILED, WRONG, UNREACHED, INTERRUPTED = 0, 1, 2, 3, 130
"""Exit codes, as `flyte_nb.__main__` lists them."""

WRONG_TARGET = "WrongTarget"
"""The code of the problem that a target cannot be read as anything. It ends a command with `WRONG`."""


def show(options: argparse.Namespace, document: object, text: str) -> None:
    """Print the document as JSON or the text, whichever `--output` asks for."""
    out(json.dumps(document, indent=2, default=str) if options.output == "json" else text)


def out(line: str) -> None:
    """Print a line to stdout, and flush it so that a pipe gets it at once.

    Names and errors come from other people: control characters in them are spelled out, so that they
    cannot steer the terminal.
    """
    sys.stdout.write(plain(line) + "\n")
    sys.stdout.flush()


def complain(line: str) -> None:
    """Print a line to stderr, with control characters spelled out as `out` does."""
    sys.stderr.write(plain(line) + "\n")
