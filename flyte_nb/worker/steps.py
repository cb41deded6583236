"""The steps of one call of a task: read its signature, decode inputs, run the function, encode outputs.

Each step raises `TaskFailed`, whose `info` is the content of `error.pb`.
"""

from typing import TYPE_CHECKING, Any

from flyte_nb.api.errors import CodecError, CompileFailed, TaskFailed
from flyte_nb.sdk import context, outputs
from flyte_nb.sdk.loops import NoLoop, run_to_end
from flyte_nb.worker import failures

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flyte_nb.api.literals import Literal
    from flyte_nb.api.ports import DataAccess, Runner
    from flyte_nb.sdk.signature import TaskSignature
    from flyte_nb.sdk.task import AnyTask
    from flyte_nb.types.registry import Registry


class FunctionFailed(TaskFailed):
    """The author's own function raised; its exception is `__cause__`."""


class Stepwise:
    """The generator that a task returned. Its code runs while the output is written, a step at a time."""

    def __init__(self, generator: "Iterator[Any]", runner: "Runner") -> None:
        self._generator = generator
        self._runner = runner

    def __iter__(self) -> "Stepwise":
        return self

    def __next__(self) -> Any:
        __tracebackhide__ = True
        # The body of a generator runs in pieces, and only during them its calls belong to this runner.
        token = context.runner.set(self._runner)
        try:
            return next(self._generator)
        except (KeyboardInterrupt, StopIteration):
            raise
        except BaseException as error:
            raise FunctionFailed(failures.classify(error)) from error
        finally:
            context.runner.reset(token)


def signature_of(task: "AnyTask", registry: "Registry") -> "TaskSignature":
    """Return the task's signature.

    Raises:
        TaskFailed: when it has problems.
    """
    try:
        return task.signature(registry)
    except CompileFailed as error:
        raise TaskFailed(failures.unusable(error)) from error


def carried_out(
    function: "Callable[..., Any]", arguments: "dict[str, Any]", runner: "Runner"
) -> Any:
    """Return what the author's function returns, while `runner` runs the calls that it makes.

    The function sees no running event loop and no traced workflow, although its caller may be in one.

    Raises:
        FunctionFailed: for everything that it raises except an interrupt of the process.
    """
    __tracebackhide__ = True
    # A notebook's cell runs inside an event loop and may be called while a workflow is traced. The function
    # must behave as it does alone in a worker.
    token, frame = context.runner.set(runner), context.frame.set(None)
    try:
        with NoLoop():
            return run_to_end(function(**arguments))
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise FunctionFailed(failures.classify(error)) from error
    finally:
        context.frame.reset(frame)
        context.runner.reset(token)


def decode(
    task: "AnyTask",
    signature: "TaskSignature",
    inputs: "dict[str, Literal]",
    data: "DataAccess | None",
) -> "dict[str, Any]":
    """Return the Python inputs by variable, without those whose defaults apply.

    Raises:
        TaskFailed: when an input is missing, unknown or does not fit.
    """
    codecs = signature.input_codecs
    arguments: dict[str, Any] = {}
    for name, codec in codecs.items():
        literal = inputs.get(name)
        if literal is None:
            if name not in signature.defaults:
                raise TaskFailed(failures.input_missing(_name(task), name))
            continue  # Python applies the function's own default
        try:
            arguments[name] = codec.decode(literal, data)
        except CodecError as error:
            raise TaskFailed(failures.input_mismatch(_name(task), name, error)) from error
        except Exception as error:
            raise TaskFailed(failures.classify(error)) from error
    # Inputs without a literal have a default, so a longer mapping has names that the task does not know.
    if len(inputs) > len(arguments):
        unknown = sorted(set(inputs) - set(codecs))
        if unknown:
            raise TaskFailed(failures.input_unknown(_name(task), unknown, list(codecs)))
    return arguments


def encode(
    task: "AnyTask", signature: "TaskSignature", returned: Any, data: "DataAccess | None"
) -> "dict[str, Literal]":
    """Return the outputs as literals by variable.

    Raises:
        TaskFailed: when an output does not fit or cannot be stored, or there are too many or too few.
    """
    try:
        values = outputs.pack(returned, signature)
    except (CodecError, TypeError, ValueError) as error:
        raise TaskFailed(failures.output_shape(_name(task), error)) from error
    literals: dict[str, Literal] = {}
    for name, codec in signature.output_codecs.items():
        try:
            literals[name] = codec.encode(values[name], data)
        except TaskFailed:  # of the code in a generator
            raise
        except CodecError as error:
            raise TaskFailed(failures.output_mismatch(_name(task), name, error)) from error
        # The disk of this machine, and not the value, is at fault.
        except OSError as error:
            what = f"output {name!r} of {_name(task)}"
            raise TaskFailed(failures.no_room(what, error)) from error
        except Exception as error:
            raise TaskFailed(failures.classify(error)) from error
    return literals


def _name(task: "AnyTask") -> str:
    return f"{task.short_name}()"
