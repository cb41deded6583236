"""Classify what can go wrong in an attempt, in a worker process and in a notebook alike.

An exception becomes an `ErrorInfo`: a code, who has to fix it, whether another attempt may help, and a
message whose traceback shows the user's frames only.

Imports inside functions: a worker loads this module in every attempt, and most attempts have no failure.
"""

from typing import TYPE_CHECKING, Any

from flyte_nb.api.errors import (
    SYSTEM,
    USER,
    BundleError,
    CodecError,
    CompileFailed,
    ErrorInfo,
    RecoverableError,
    StorageError,
    TaskFailed,
)
from flyte_nb.api.ring import CLOUDPICKLE, RING_FILENAMES
from flyte_nb.worker.interrupts import TaskInterrupted

if TYPE_CHECKING:
    from traceback import TracebackException
    from types import CodeType, TracebackType

    from flyte_nb.sdk.task import AnyTask

_BOOTSTRAP = "flyte_nb/worker/bootstrap.py"

_MEMBER = r"^.*[\\/]flyte-nb-work-\d+-[0-9a-f]+[\\/](?:modules(?:-\d+)?|[^\\/]+\.zip)[\\/]"
"""The folders in which a bundle's modules are while its task runs; an older host has zips in their place."""

# Characters. FlytePropeller cuts messages far below this, and gRPC refuses large metadata.
_MAX_MESSAGE = 100_000


def classify(error: BaseException) -> ErrorInfo:
    """Return the content of `error.pb` for an exception that user code raised."""
    # An inner call has failed and was classified already.
    if isinstance(error, TaskFailed):
        return error.info
    if isinstance(error, TaskInterrupted):
        message = (
            "The attempt was interrupted by SIGTERM: the platform needs its machine, or ends the"
            f" execution.\n{describe(error)}"
        )
        return ErrorInfo("SYSTEM:Interrupted", message, SYSTEM, recoverable=True)
    if isinstance(error, RecoverableError):
        return ErrorInfo("USER:Recoverable", describe(error), USER, recoverable=True)
    if isinstance(error, BundleError):
        return ErrorInfo(error.code, str(error), _origin(error.code))
    if isinstance(error, StorageError):
        return ErrorInfo("SYSTEM:StorageError", str(error), SYSTEM, recoverable=error.transient)
    # Everything else is the user's own: its class is the code, so that people can search for it.
    name = type(error).__name__
    # A class made by `type()` may be called anything, and a code is one word.
    return ErrorInfo(f"USER:{name if name.isidentifier() else 'Exception'}", describe(error), USER)


def unusable(error: CompileFailed) -> ErrorInfo:
    """Return the failure of a task whose signature has problems, which registering would have refused."""
    return ErrorInfo("USER:SignatureProblems", str(error), USER)


def input_mismatch(task_name: str, variable: str, error: CodecError) -> ErrorInfo:
    """Return the failure of an input that the task's annotation does not accept."""
    message = f"The input {variable!r} of {task_name} cannot be read: {error}"
    return ErrorInfo("USER:InputTypeMismatch", message, USER)


def input_missing(task_name: str, variable: str) -> ErrorInfo:
    """Return the failure of a missing input that has no default."""
    message = (
        f"{task_name} needs the input {variable!r}, which was not sent and has no default."
        " Bind it in the workflow, or give it when launching."
    )
    return ErrorInfo("USER:InputMissing", message, USER)


def input_unknown(task_name: str, variables: "list[str]", known: "list[str]") -> ErrorInfo:
    """Return the failure of inputs that the task does not have."""
    message = (
        f"{task_name} has no input {', '.join(map(repr, variables))};"
        f" it takes {', '.join(map(repr, known)) or 'no inputs'}."
    )
    return ErrorInfo("USER:InputUnknown", message, USER)


def output_mismatch(task_name: str, variable: str, error: CodecError) -> ErrorInfo:
    """Return the failure of a returned value that the annotation does not accept."""
    message = (
        f"The output {variable!r} of {task_name} does not fit its annotation: {error}"
        " Return a value of the annotated type, or change the annotation."
    )
    return ErrorInfo("USER:OutputTypeMismatch", message, USER)


def output_shape(task_name: str, error: Exception) -> ErrorInfo:
    """Return the failure of a returned value that has too many or too few outputs."""
    return ErrorInfo(
        "USER:OutputTypeMismatch", f"{task_name} did not return its outputs: {error}", USER
    )


def output_not_set(task: "AnyTask", error: "BaseException | None") -> "ErrorInfo | None":
    """Return the failure of a `%%task` cell that ended without one of its outputs, or `None`.

    The cell's body becomes a function that ends with `return` of the outputs. Python's own error is about
    that line, which the author did not write. So an `UnboundLocalError` that comes from the function's last
    line, and names an output, is replaced by this failure.

    Args:
        task: the task; `function` is recognised as a cell's by its first line, 1.
        error: what its function raised.
    """
    if not isinstance(error, UnboundLocalError):
        return None
    code = getattr(task.function, "__code__", None)
    # The frame that raised is the last of the traceback.
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    if code is None or at is None or at.tb_frame.f_code is not code or code.co_firstlineno != 1:
        return None
    lines = [(start, line) for start, _, line in code.co_lines() if line is not None]
    # The `return` is the last line of all that the function has.
    named = [name for name in task.options.output_names if f"'{name}'" in str(error)]
    if not named or at.tb_lineno != max(line for _, line in lines):
        return None
    places = _assignments(code, named[0])
    where = (
        f" It is set in line {' and '.join(map(str, places))} of the cell only." if places else ""
    )
    message = (
        f"{task.short_name}() ended without its output {named[0]}: no line that ran sets it.{where}"
        f" Set it in every branch, or write {named[0]} = … before them."
    )
    return ErrorInfo("USER:OutputNotSet", message, USER)


def _assignments(code: "CodeType", name: str) -> "list[int]":
    """Return the lines in which a function sets a variable, sorted."""
    import dis

    starts = [(start, line) for start, _, line in code.co_lines() if line is not None]
    lines = set()
    for step in dis.get_instructions(code):
        held = step.argval if isinstance(step.argval, tuple) else (step.argval,)
        if step.opname.startswith("STORE_") and name in held:
            lines.add(max(start for start in starts if start[0] <= step.offset)[1])
    return sorted(lines)


def not_written(what: str, path: str, error: OSError) -> BundleError:
    """Return the error for a part of the bundle, `what`, that cannot be written to this machine's disk."""
    return BundleError(
        f"{what} cannot be written to {path}: {error.strerror or error}.",
        code="SYSTEM:DiskFull" if _is_full(error) else "SYSTEM:BundleNotWritten",
        hint="Give the task more ephemeral storage, or set TMPDIR to a folder with enough space.",
    )


def no_room(what: str, error: OSError) -> ErrorInfo:
    """Return the failure of a file with outputs, `what`, that cannot be written to this machine's disk."""
    message = (
        f"The {what} cannot be written to the folder for temporary files: {error}. Give the task"
        " more ephemeral storage, or set TMPDIR to a folder with enough space that allows files of this size."
    )
    code = "SYSTEM:DiskFull" if _is_full(error) else "SYSTEM:StorageError"
    return ErrorInfo(code, message, SYSTEM, recoverable=True)


def _is_full(error: OSError) -> bool:
    import errno

    # A quota and a limit on the size of files have the same remedy as a full disk.
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def describe(error: BaseException) -> str:
    r"""Return the exception as `Trace:\n\n    …\nMessage:\n\n    Type: text`, with the user's frames only.

    The layout is flytekit's, which consoles and people know.
    """
    # Each part gets a third, so that neither displaces the other.
    trace = _cut(user_trace(error), _MAX_MESSAGE // 3)
    kind = type(error).__name__
    said = _cut(_text(error), _MAX_MESSAGE // 3)
    text = f"{kind}: {said}" if said else kind
    indented = "\n".join("    " + line for line in trace.splitlines())
    return _cut(f"Trace:\n\n{indented}\nMessage:\n\n    {text}")


def whole_text(error: "BaseException | None") -> str:
    """Return the full texts of the exceptions in the chain that `describe` cuts; empty when it cuts none."""
    texts = []
    seen: set[int] = set()
    # `raise … from` can link exceptions into a cycle.
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        try:
            text = str(error)
        except BaseException:  # noqa: BLE001 - a broken __str__, which `describe` reports
            text = ""
        if len(text) > _MAX_MESSAGE // 3:
            texts.append(f"{type(error).__name__}: {text}\n")
        error = error.__cause__ or error.__context__
    return "".join(texts)


def user_trace(error: BaseException) -> str:
    """Return the traceback as Python prints it, without our frames in every exception of the chain."""
    # Importing traceback takes 4 ms, which a successful attempt saves.
    from traceback import TracebackException

    try:
        detail = TracebackException(type(error), error, error.__traceback__, compact=True)
        _strip(detail, set())
        return _cut("".join(map(_cut, detail.format())).rstrip("\n"))
    except Exception as broken:  # noqa: BLE001 - thousands of causes, or an exception's own code
        from traceback import format_tb

        trace = "".join(format_tb(user_frames(error.__traceback__)))
        why = f"What caused it cannot be shown: {type(broken).__name__}.\n"
        return _cut(f"{why}Traceback (most recent call last):\n{trace}{type(error).__name__}")


def user_frames(traceback: "TracebackType | None") -> "TracebackType | None":
    """Return the first entry of `traceback` that is the user's, with those that follow it."""
    while traceback is not None and is_ours(traceback.tb_frame.f_code.co_filename):
        traceback = traceback.tb_next
    return traceback


def _strip(detail: "TracebackException", seen: "set[int]") -> None:
    """Remove our frames from an exception and from those that it is linked to, which may form a cycle."""
    if id(detail) in seen:
        return
    seen.add(id(detail))
    stack = detail.stack
    stack[:] = [frame for frame in stack if not is_ours(frame.filename)]
    for frame in stack:  # their source lines were read before, so the name can change
        frame.filename = _shown(frame.filename)
    if isinstance(getattr(detail, "filename", None), str):  # of a SyntaxError
        detail.filename = _shown(detail.filename)
    # An ExceptionGroup (Python 3.11) has further exceptions inside.
    related: list[Any] = [detail.__cause__, detail.__context__]
    related.extend(getattr(detail, "exceptions", None) or ())
    for link in related:
        if link is not None:
            _strip(link, seen)


def _shown(filename: str) -> str:
    """Return a file name to show: the path below the notebook's folder for a module of the bundle."""
    import re

    return re.sub(_MEMBER, "", filename)


def _text(error: BaseException) -> str:
    try:
        return _cut(str(error))
    except BaseException as broken:  # noqa: BLE001 - a broken __str__ must not hide the failure
        return f"<its text failed: {type(broken).__name__}>"


def _cut(text: str, most: int = _MAX_MESSAGE) -> str:
    """Return a long text's beginning and end. Cut early: what follows makes copies of the text."""
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]}\n… {len(text) - 2 * half} characters …\n{text[-half:]}"


def is_ours(filename: str) -> bool:
    """Return whether a frame's file belongs to this library, whose frames are not shown to an author."""
    if filename.startswith(RING_FILENAMES) or filename.endswith(_BOOTSTRAP):
        return True
    # Also inside the ring's zip, where `__file__` is `<path>.zip/flyte_nb/worker/failures.py`.
    root = __file__[: -len("worker/failures.py")]
    if filename.startswith(root):
        # Notebooks in the package and the testing tools contain user code.
        return not filename.startswith((root + "_notebooks", root + "testing"))
    return CLOUDPICKLE in filename


def _origin(code: str) -> str:
    return USER if code.startswith("USER:") else SYSTEM
