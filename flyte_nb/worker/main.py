"""Run one attempt in a worker: load the task, call it, send the answer, end the process."""

import atexit
import os
import sys
from typing import TYPE_CHECKING, Any

from flyte_nb.api.errors import ErrorInfo, IgnoreOutputs, TaskFailed
from flyte_nb.api.literals import from_plain, to_plain
from flyte_nb.pipe.pipe import Pipe, PipeClosed, TooLarge
from flyte_nb.sdk.execution_context import ExecutionContext, context_from
from flyte_nb.worker import failures
from flyte_nb.worker.call import call
from flyte_nb.worker.host_data import HostData
from flyte_nb.worker.inner import InnerRunner
from flyte_nb.worker.interrupts import Interrupts
from flyte_nb.worker.load import let_children_import, load

if TYPE_CHECKING:
    from flyte_nb.sdk.task import Task
    from flyte_nb.types.registry import Registry
    from flyte_nb.worker.deck_pages import DeckPages
    from flyte_nb.worker.preload import Preloaded

_REHEARSALS = 16
"""Calls after which Python has specialised a function's bytecode (PEP 659)."""


def serve(read_fd: int, write_fd: int, folder: str, preloaded: "Preloaded | None" = None) -> None:
    """Answer one `load` and one `call` message, and end the process; it does not return.

    The process ends by `os._exit`, after exit handlers have run and streams are flushed. So threads that the
    user's code left running do not delay the end of the attempt.

    Args:
        read_fd: the pipe's descriptor to read from.
        write_fd: the pipe's descriptor to write to.
        folder: the attempt's working folder.
        preloaded: the task of the `load` message, where this process is a fork of one that has loaded it.
    """
    pipe = Pipe(read_fd, write_fd, folder)
    process = os.getpid()
    interrupts = Interrupts()
    status = 0
    try:
        answer = _attempt(pipe, interrupts, preloaded)
        if os.getpid() != process:  # user code forked, and this is the child, which must not answer
            os._exit(0)
        try:
            pipe.send(answer)
        except TooLarge as error:
            pipe.send({"kind": "failed", "error": list(failures.classify(error))})
        except OSError as error:  # the disk is full: a large answer goes by file
            pipe.send({"kind": "failed", "error": list(failures.no_room("outputs", error))})
    except PipeClosed:
        status = 1  # the host has ended, so nothing can be reported
    _end(status)


def rehearse(folder: str) -> None:
    """Run attempts at an empty task, in a zygote whose forks are going to run real ones.

    They import what every attempt needs, and let Python specialise the bytecode that every attempt runs. Each
    fork shares that memory as long as nothing changes it.
    """
    from flyte_nb.sdk.task import Task, TaskOptions  # only a zygote needs it

    task = Task(_rehearsed, TaskOptions())
    for _ in range(_REHEARSALS):
        pipe = Pipe(*os.pipe(), folder)  # both ends are here: what is sent is received again
        interrupts = Interrupts()
        pipe.send({"kind": "call", "inputs": {"x": ["integer", 1]}, "execution": {}})
        with interrupts:
            message = pipe.receive()
        pipe.send(_call(task, message, HostData(pipe, interrupts), folder, _registry()))
        pipe.receive()
        pipe.close()


def _rehearsed(x: int) -> int:
    return x


def _attempt(pipe: Pipe, interrupts: Interrupts, preloaded: "Preloaded | None") -> "dict[str, Any]":
    try:
        interrupts.watch()
        # No signal may leave half of a message unread.
        with interrupts:
            message = pipe.receive()
        modules = message["modules"]
        task = (
            preloaded.task
            if preloaded is not None
            else load(message["payload"], message["buffers"], modules, python=message["python"])
        )
        let_children_import(modules)
        _as_main(task)
        with interrupts:
            message = pipe.receive()
        data = HostData(pipe, interrupts, modules)
        registry = preloaded.registry if preloaded is not None else _registry()
        answer = _call(task, message, data, pipe.folder, registry)
        interrupts.stop()
        return answer
    except PipeClosed:
        raise
    except TaskFailed as error:
        interrupts.stop()
        return _failed(error)
    except KeyboardInterrupt as error:
        interrupts.stop()
        return {"kind": "failed", "error": list(failures.classify(error))}
    except Exception as error:  # noqa: BLE001 - the outermost frame: an error of our own code
        interrupts.stop()
        info = ErrorInfo("SYSTEM:WorkerError", failures.describe(error), "SYSTEM", recoverable=True)
        return {"kind": "failed", "error": list(info)}


def _registry() -> "Registry":
    from flyte_nb.types.registry import default_registry  # the ring loads it after the task

    # The kernel has warned about pickled types already.
    return default_registry(warn_pickled=False)


def _call(
    task: "Task",
    message: "dict[str, Any]",
    data: HostData,
    folder: str,
    registry: "Registry",
) -> "dict[str, Any]":
    # JSON has no literals, so they cross the pipe as plain data.
    inputs = {name: from_plain(value) for name, value in message["inputs"].items()}
    execution = message.get("execution", {})
    runner = _AttemptRunner(execution, folder, data, registry)

    def answer() -> "dict[str, Any]":
        try:
            if task.is_dynamic:
                from flyte_nb.worker import dynamic  # plain tasks need not load it

                name, env = str(execution.get("task", "")), os.environ
                return dynamic.answer(task, inputs, registry, data, runner, name=name, env=env)
            function = runner.report.function if runner.report is not None else None
            outputs = call(task, inputs, registry, data, runner=runner, function=function)
        except TaskFailed as error:
            return _failed(error)
        plain = {name: to_plain(literal) for name, literal in outputs.items()}
        return {"kind": "outputs", "outputs": plain}

    if not task.options.enable_deck:
        return answer()
    from flyte_nb.worker.deck_pages import DeckPages  # only tasks with a deck need it

    runner.report = DeckPages(task, runner)
    return runner.report.answer(answer)


def _failed(error: TaskFailed) -> "dict[str, Any]":
    if isinstance(error.__cause__, IgnoreOutputs):
        return {"kind": "ignored"}
    whole = failures.whole_text(error.__cause__)
    if whole:  # the platform gets a cut text, and the log has all of it
        sys.stderr.write(whole)
    return {"kind": "failed", "error": list(error.info)}


class _AttemptRunner(InnerRunner):
    """Runs the calls in this attempt's body. `current_context()` describes the attempt."""

    def __init__(
        self, execution: "dict[str, Any]", folder: str, files: HostData, registry: "Registry"
    ) -> None:
        super().__init__(registry, files)
        self._execution = execution
        self._folder = folder
        self._files = files
        self.report: DeckPages | None = None
        """Only for a task with `enable_deck=True`."""

    def _made(self) -> ExecutionContext:
        # Made at the first use of the context: most tasks never ask for a folder.
        working = os.path.join(self._folder, "work")
        os.makedirs(working, exist_ok=True)
        return context_from(
            os.environ,
            working_directory=working,
            raw_output_prefix=str(self._execution.get("raw_output_prefix", "")),
            files=self._files,
            publish=self.report.html if self.report is not None else None,
        )


def _as_main(task: "Task") -> None:
    """Let what the notebook defined be found as `__main__.<name>`.

    `pickle` and `multiprocessing` inside a task look there for the notebook's functions and classes.
    """
    # Any callable can be a task's function, and not all have globals.
    namespace: dict[str, Any] = getattr(task.function, "__globals__", {})
    if namespace.get("__name__") != "__main__":
        return
    main = sys.modules["__main__"]
    # They name the bootstrap file. multiprocessing would run it again in every process that it spawns.
    for name in ("__file__", "__spec__", "__cached__"):
        vars(main)[name] = None
    vars(main).update(
        {name: value for name, value in namespace.items() if not name.startswith("__")}
    )


def _end(status: int) -> None:
    """Run exit handlers, flush the streams and end the process."""
    run_handlers = getattr(atexit, "_run_exitfuncs", None)
    if run_handlers is not None:
        try:
            run_handlers()
        except BaseException:  # noqa: BLE001, S110 - atexit has printed it; the answer was sent
            pass
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            continue
    os._exit(status)
