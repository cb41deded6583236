"""Every error of ours, in one tree.

    FlyteNbError
    ├── CompileFailed       problems: a workflow or spec that does not compile
    ├── CodecError          a value that does not fit its type; path says where in the value
    ├── BundleError         code that cannot be packed, staged, fetched or loaded
    │   └── ChecksumMismatch    a stored member is not what its index says
    ├── StorageError        a store that cannot be reached, read or written
    ├── BackendError        the local backend cannot start, or is not ours
    ├── RemoteError         an answer of FlyteAdmin that is not OK; code is gRPC's status name
    ├── RegistrationFailed  some entities were not registered; problems says which and why
    ├── ExecutionFailed     an execution that ended in anything but SUCCEEDED
    ├── TaskFailed          one attempt's failure, as error.pb has it
    ├── RecoverableError    raised by user code: the attempt should be tried again
    └── IgnoreOutputs       raised by user code: another process writes the outputs
    UsageError (RuntimeError)   the library was called wrongly

A message names what is wrong, where, and what to do. Fields carry the parts, so that no code parses text.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from flyte_nb.api.visible import plain

if TYPE_CHECKING:
    from flyte_nb.api.problems import Problem

USER = "USER"
SYSTEM = "SYSTEM"
UNKNOWN = "UNKNOWN"


class ErrorInfo(NamedTuple):
    """One failure as data (flyteidl/core/errors.proto `ContainerError`, execution.proto `ExecutionError`)."""

    code: str
    """E.g. `USER:ValueError`, `SYSTEM:BundleChecksumMismatch`."""
    message: str
    origin: str = UNKNOWN
    """`USER`, `SYSTEM` or `UNKNOWN`: who has to fix it."""
    recoverable: bool = False
    """Whether another attempt may help."""


_SHOWN_CHARACTERS = 4000
"""Characters of an error's text that are shown to a person at once."""


def shortened(text: str, most: int = _SHOWN_CHARACTERS) -> str:
    """Return the text, or its beginning and end with a note of how many characters were left out.

    Args:
        text: any text.
        most: characters of it that are kept.
    """
    if len(text) <= most:
        return text
    half = most // 2
    left_out = len(text) - 2 * half
    return (
        f"{text[:half]}\n… {left_out:,} characters; the task's log has all of it …\n{text[-half:]}"
    )


class FlyteNbError(Exception):
    """Base of all our errors. `hint` is what to do; it ends the message, and is empty where nothing helps."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        # Messages quote names and texts of others, whose control characters must not reach a terminal.
        message = plain(message)
        super().__init__(f"{message} {hint}" if hint else message)
        self.message = message
        self.hint = hint


class _WithProblems(FlyteNbError):
    def __init__(self, message: str, problems: "Sequence[Problem]") -> None:
        # `problems` imports `specs`, which a worker without errors need not load.
        from flyte_nb.api.problems import as_text, unique

        self.problems = unique(problems)
        super().__init__(f"{message}\n{as_text(self.problems)}")
        self.is_shown = False
        """Whether the problems are displayed beside the error, so that its text need not list them."""


class CompileFailed(_WithProblems):
    """A workflow or spec does not compile; `problems` has every reason."""


class RegistrationFailed(_WithProblems):
    """Some entities were not registered; `problems` says which and why."""


class CodecError(FlyteNbError):
    """A value does not fit its type. `path` says where in the value, e.g. `$.rows[2]`."""

    def __init__(self, message: str, *, path: str = "$", hint: str = "") -> None:
        super().__init__(f"{message} (at {path})" if path != "$" else message, hint=hint)
        self.bare_message = message
        self.path = path

    def below(self, step: str) -> "CodecError":
        """Return the same error seen from one container further out; `step` is `.name` or `[2]`."""
        return type(self)(self.bare_message, path="$" + step + self.path[1:], hint=self.hint)


class BundleError(FlyteNbError):
    """Code cannot be packed, staged, fetched or loaded. `code` is what `error.pb` carries."""

    def __init__(self, message: str, *, code: str = "SYSTEM:BundleError", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code


class ChecksumMismatch(BundleError):
    """A stored member has another digest than its index says. Nothing of it was used."""

    def __init__(self, member: str, *, expected: str, actual: str, uri: str = "") -> None:
        super().__init__(
            f"The bundle member {member!r}{f' at {uri}' if uri else ''} has sha256 {actual},"
            f" the index says {expected}.",
            code="SYSTEM:BundleChecksumMismatch",
            hint="Register again with --restage to store it again; the stored object was changed or is"
            " incomplete.",
        )
        self.member = member
        self.expected = expected
        self.actual = actual


class StorageError(FlyteNbError):
    """A store cannot be reached, read or written.

    `transient` is true when trying again may help, `missing` when the store has no such object.
    """

    def __init__(
        self,
        message: str,
        *,
        uri: str = "",
        transient: bool = False,
        missing: bool = False,
        hint: str = "",
    ) -> None:
        super().__init__(message, hint=hint)
        self.uri = uri
        self.transient = transient
        self.missing = missing


class BackendError(FlyteNbError):
    """The local backend cannot start, does not answer, or is not ours."""


class RemoteError(FlyteNbError):
    """FlyteAdmin refused or failed. `code` is the gRPC status name, e.g. `NOT_FOUND`."""

    def __init__(self, message: str, *, code: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code


class ExecutionFailed(FlyteNbError):
    """An execution ended in anything but SUCCEEDED.

    `info` is its error, `node_id` the node that failed first. The message is shortened for display;
    `info.message` has as much as the platform keeps.
    """

    def __init__(self, message: str, *, info: ErrorInfo, node_id: str = "", name: str = "") -> None:
        super().__init__(shortened(message))
        self.info = info
        self.node_id = node_id
        self.name = name


class TaskFailed(FlyteNbError):
    """One attempt failed; `info` is the content of `error.pb`."""

    def __init__(self, info: ErrorInfo) -> None:
        super().__init__(info.message)
        self.info = info


class RecoverableError(FlyteNbError):
    """Raise this in a task to have the attempt retried (within `retries`)."""

    def __init__(self, *args: Any) -> None:
        super().__init__(" ".join(str(arg) for arg in args))


class IgnoreOutputs(FlyteNbError):
    """Raise this in a task to end it successfully without outputs.

    Where several processes work on one result, all but one raise it, and the platform uses the outputs that
    the one writes.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(" ".join(str(arg) for arg in args))


class UsageError(RuntimeError):
    """The library was called wrongly; the message says how to call it."""
