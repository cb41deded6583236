"""`flyte-nb quickstart` and `version`."""

import argparse

from flyte_nb.api.version import __version__
from flyte_nb.commands.terminal import DONE, out, show


def quickstart(options: argparse.Namespace) -> int:
    """Open the quickstart notebook, or execute it here."""
    from flyte_nb.unattended.quickstart import execute_headless, open_in_lab

    if options.headless:
        return execute_headless(options.folder, say=out)
    return open_in_lab(options.folder)


def version(options: argparse.Namespace) -> int:
    """Print the release."""
    show(options, {"version": __version__}, f"flyte-nb {__version__}")
    return DONE
