"""`flyte-nb quickstart`."""

import argparse

from flyte_nb.commands.terminal import out
from flyte_nb.unattended.quickstart import execute_headless, open_in_lab


def quickstart(options: argparse.Namespace) -> int:
    """Open the quickstart notebook in JupyterLab, or execute it here; return the exit code.

    Raises:
        UsageError: JupyterLab or nbclient is not installed, or the folder cannot be written to.
    """
    if options.headless:
        return execute_headless(options.folder, say=out)
    return open_in_lab(options.folder)
