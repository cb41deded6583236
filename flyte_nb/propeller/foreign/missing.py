"""Say that a command is not on this machine, and what to install."""

import os
import sys

from flyte_nb.api.errors import USER, ErrorInfo

_PACKAGES = {
    "pyflyte-execute": "flytekit",
    "pyflyte-fast-execute": "flytekit",
    "pyflyte-map-execute": "flytekit",
    "papermill": "papermill",
    "dbt": "dbt-core",
}
"""The package on PyPI that has a command."""
_PROGRAMS = {
    "java": "a Java runtime",
    "jflyte": "flytekit-java's jflyte",
    "Rscript": "R",
    "julia": "Julia",
    "node": "Node.js",
}


def command_missing(command: str, image: str, why_no_image: str = "") -> ErrorInfo:
    """Return the error of an attempt whose command is not on this machine.

    Args:
        command: The command.
        image: The task's image; it may have the command.
        why_no_image: Why the image is not used, as a sentence.
    """
    name = os.path.basename(command)
    if name in _PACKAGES:
        remedy = f"Install it for the backend's Python: {sys.executable} -m pip install {_PACKAGES[name]}."
    else:
        remedy = f"Install {_PROGRAMS.get(name, 'it')} on this machine."
    if image:
        why = (
            why_no_image
            or "No container engine (podman, docker) was found, so images are not used."
        )
        remedy += f" The task's image {image} may have it. {why}"
    text = f"The command {command!r} is not on this machine. {remedy}"
    return ErrorInfo("CommandNotFound", text, USER)
