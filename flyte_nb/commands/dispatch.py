"""One call of `flyte-nb`, from the arguments to the exit code."""

import os
import sys
import warnings
from collections.abc import Sequence
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
from flyte_nb.commands.parsing import parser
from flyte_nb.commands.terminal import (
    DONE,
    FAILED,
    INTERRUPTED,
    UNREACHED,
    WRONG,
    WRONG_TARGET,
    complain,
)


def run(argv: "Sequence[str]") -> int:
    """Run the command in `argv`; return the exit code.

    An error of ours ends the command with one message on stderr, never with a traceback. With
    `--output json` it is a document on stdout as well.
    """
    # A person on a terminal needs a warning's text, not the line of our code that warned.
    warnings.formatwarning = lambda message, *_, **__: f"{message}\n"
    # Read before argparse does: a line that argparse refuses is answered in JSON, too.
    as_json = "--output=json" in argv or ("--output", "json") in pairwise(argv)
    name = ""
    try:
        options = parser().parse_args(argv)
        name = options.command.name
        exit_code: int = options.command.function()(options)
    except KeyboardInterrupt:
        sys.stderr.write("\nInterrupted.\n")
        return INTERRUPTED
    except BrokenPipeError:  # `flyte-nb … | head`
        # Python flushes stdout once more when it ends, which must not fail a second time.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except (FlyteNbError, UsageError, TimeoutError) as error:
        return _fail(error, _exit_code(name, error), as_json=as_json)
    except FileNotFoundError:
        # A relative path means nothing where the working directory was deleted; any other missing file is a
        # fault of ours, and keeps its traceback.
        try:
            working_folder()
        except UsageError as error:
            return _fail(error, WRONG, as_json=as_json)
        raise
    return exit_code


def _fail(error: Exception, code: int, *, as_json: bool) -> int:
    """Print the error; return the exit code."""
    if as_json:
        # Drafting knows how a problem is written; only a failure pays for its import.
        from flyte_nb.commands.failures import print_document

        print_document(error, code)
    complain(str(error) or type(error).__name__)
    return code


def _exit_code(name: str, error: Exception) -> int:
    if isinstance(error, CompileFailed) and name == "launch":
        return WRONG  # the inputs on the command line
    if isinstance(error, (CompileFailed, RegistrationFailed)):
        codes = {problem.code for problem in error.problems}
        return WRONG if WRONG_TARGET in codes else FAILED if codes else DONE
    if isinstance(error, UsageError):
        return WRONG
    return UNREACHED if isinstance(error, (RemoteError, BackendError, StorageError)) else FAILED
