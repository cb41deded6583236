"""The working directory, which somebody may have deleted."""

import os

from flyte_nb.api.errors import UsageError


def working_folder() -> str:
    """Return the working directory.

    Raises:
        UsageError: when it was deleted.
    """
    try:
        return os.getcwd()
    except FileNotFoundError:
        raise UsageError(
            "The working directory was deleted. Change to a folder that exists: `cd` in a terminal, `%cd` in"
            " a notebook."
        ) from None
