"""The commands of `flyte-nb`: argument parsing, calls of a session, and text or JSON on the terminal."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise

from flyte_nb.api.errors import (
    BackendError,
    CompileFailed,
    FlyteNbError,
    RegistrationFailed,
    RemoteError,
    StorageError,
    UsageError,
)
from flyte_nb.api.folders import working_folder
from flyte_nb.commands.executions import launch
from flyte_nb.commands.parsing import parser
from flyte_nb.commands.targets import exit_code
from flyte_nb.commands.terminal import DONE, FAILED, INTERRUPTED, UNREACHED, WRONG, say


def run(argv: "Sequence[str]") -> int:
    """Run the command in `argv`; return the exit code. What a person did wrong is told in a line."""
    as_json = "--output=json" in argv or ("--output", "json") in pairwise(argv)
    command: Callable[[argparse.Namespace], int] | None = None
    try:
        options = parser().parse_args(argv)
        command = options.command
        return command(options)
    except KeyboardInterrupt:
        sys.stderr.write("\nInterrupted.\n")
        return INTERRUPTED
    except BrokenPipeError:  # `flyte-nb … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except (FlyteNbError, UsageError, TimeoutError) as error:
        return say(error, _exit_code(command, error), as_json=as_json)
    except FileNotFoundError:
        try:  # a relative path means nothing where the working directory was deleted
            working_folder()
        except UsageError as error:
            return say(error, WRONG, as_json=as_json)
        raise


def _exit_code(command: "Callable[..., int] | None", error: Exception) -> int:
    if isinstance(error, CompileFailed) and command is launch:
        return WRONG  # the inputs on the command line
    if isinstance(error, (CompileFailed, RegistrationFailed)):
        return exit_code(error.problems)
    if isinstance(error, UsageError):
        return WRONG
    return UNREACHED if isinstance(error, (RemoteError, BackendError, StorageError)) else FAILED
