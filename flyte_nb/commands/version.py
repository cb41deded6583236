"""`flyte-nb version`."""

import argparse

from flyte_nb.api.version import __version__
from flyte_nb.commands.terminal import DONE, show


def version(options: argparse.Namespace) -> int:
    """Print the release; return the exit code."""
    show(options, {"version": __version__}, f"flyte-nb {__version__}")
    return DONE
