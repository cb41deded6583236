"""Read the working directory, which may have been deleted meanwhile."""

import os

from flyte_nb.api.errors import UsageError


def working_folder() -> str:
    """Return the working directory.

    Raises:
        UsageError: when the directory does not exist any more.
    """
    try:
        return os.getcwd()
    except FileNotFoundError:
        raise UsageError(
            "The working directory was deleted. Change to a folder that exists: `cd` in a terminal, `%cd` in"
            " a notebook."
        ) from None
