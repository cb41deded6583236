"""The worker's life: load the task, call it, answer, end."""

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
from flyte_nb.worker.host import HostData
from flyte_nb.worker.inner import InnerRunner
from flyte_nb.worker.interrupts import Interrupts
from flyte_nb.worker.load import let_children_import, load

if TYPE_CHECKING:
    from flyte_nb.sdk.task import Task
    from flyte_nb.types.registry import Registry
    from flyte_nb.worker.report import Report

_REHEARSALS = 16
"""After so many calls Python has specialised a function."""


def serve(read_fd: int, write_fd: int, folder: str) -> None:
    """Answer one `load` and one `call`; does not return.

    The process ends by `os._exit`, after exit handlers have run and streams are flushed: threads
    that the user's code left running do not hold the attempt up.
    """
    pipe = Pipe(read_fd, write_fd, folder)
    process = os.getpid()
    interrupts = Interrupts()
    status = 0
    try:
        answer = _attempt(pipe, interrupts)
        if os.getpid() != process:  # user code forked, and this is the child coming back
            os._exit(0)
        try:
            pipe.send(answer)
        except TooLarge as error:
            pipe.send({"kind": "failed", "error": list(failures.classify(error))})
        except OSError as error:  # large answers go by file
            pipe.send({"kind": "failed", "error": list(failures.no_room("outputs", error))})
    except PipeClosed:
        status = 1  # the host is gone; nobody to tell
    _end(status)


def rehearse(folder: str) -> None:
    """Carry out attempts at nothing, for a process whose forks are going to carry out real ones.

    What every attempt needs is imported then, and what Python learns of code while it runs is learnt
    once: a fork that changes none of it shares the memory in which it lies.
    """
    from flyte_nb.sdk.task import Task, TaskOptions

    task = Task(_rehearsed, TaskOptions())
    for _ in range(_REHEARSALS):
        pipe = Pipe(*os.pipe(), folder)  # what is sent comes back
        interrupts = Interrupts()
        pipe.send({"kind": "call", "inputs": {"x": ["integer", 1]}, "execution": {}})
        with interrupts:
            message = pipe.receive()
        pipe.send(_call(task, message, HostData(pipe, interrupts), folder))
        pipe.receive()
        pipe.close()


def _rehearsed(x: int) -> int:
    return x


def _attempt(pipe: Pipe, interrupts: Interrupts) -> "dict[str, Any]":
    try:
        interrupts.watch()
        with interrupts:
            message = pipe.receive()
        task = load(
            message["payload"], message["buffers"], message["modules"], python=message["python"]
        )
        modules = message["modules"]
        let_children_import(modules)
        _as_main(task)
        with interrupts:
            message = pipe.receive()
        data = HostData(pipe, interrupts, modules)
        answer = _call(task, message, data, pipe.folder)
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
    except Exception as error:  # noqa: BLE001 - the outermost frame: ours to explain
        interrupts.stop()
        info = ErrorInfo("SYSTEM:WorkerError", failures.describe(error), "SYSTEM", recoverable=True)
        return {"kind": "failed", "error": list(info)}


def _call(task: "Task", message: "dict[str, Any]", data: HostData, folder: str) -> "dict[str, Any]":
    from flyte_nb.types.registry import default_registry

    # The kernel has warned about pickled types; a task's log need not say it again.
    registry = default_registry(warn_pickled=False)
    inputs = {name: from_plain(value) for name, value in message["inputs"].items()}
    execution = message.get("execution", {})
    runner = _AttemptRunner(execution, folder, data, registry)

    def answer() -> "dict[str, Any]":
        try:
            if task.is_dynamic:
                from flyte_nb.worker import dynamic

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
    from flyte_nb.worker.report import Report

    runner.report = Report(task, runner)
    return runner.report.answer(answer)


def _failed(error: TaskFailed) -> "dict[str, Any]":
    if isinstance(error.__cause__, IgnoreOutputs):
        return {"kind": "ignored"}
    whole = failures.whole_text(error.__cause__)
    if whole:  # what goes to the platform is cut; the log keeps all of it
        sys.stderr.write(whole)
    return {"kind": "failed", "error": list(error.info)}


class _AttemptRunner(InnerRunner):
    """Carries out the calls in this attempt; answers `current_context()` with the platform's words."""

    def __init__(
        self, execution: "dict[str, Any]", folder: str, files: HostData, registry: "Registry"
    ) -> None:
        super().__init__(registry, files)
        self._execution = execution
        self._folder = folder
        self._files = files
        self.report: Report | None = None
        """Of a task that has one."""

    def _made(self) -> ExecutionContext:
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
    """Make what the notebook defined findable as `__main__.<name>`.

    So `pickle` and `multiprocessing` inside a task find the notebook's functions and classes, as
    they do in the notebook.
    """
    namespace: dict[str, Any] = getattr(
        task.function, "__globals__", {}
    )  # any callable may be wrapped
    if namespace.get("__name__") != "__main__":
        return
    main = sys.modules["__main__"]
    for name in ("__file__", "__spec__", "__cached__"):
        vars(main)[name] = None
    vars(main).update(
        {name: value for name, value in namespace.items() if not name.startswith("__")}
    )


def _end(status: int) -> None:
    run_handlers = getattr(atexit, "_run_exitfuncs", None)
    if run_handlers is not None:
        try:
            run_handlers()
        except BaseException:  # noqa: BLE001 - printed by atexit; the attempt's outcome is known
            status = status or 0
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            continue
    os._exit(status)
