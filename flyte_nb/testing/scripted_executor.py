"""An executor that runs no code: a function says how each attempt ends, and the caller says when.

What runs is kept in an `Outside`, apart from the executor. So a test can let the backend's process "die"
and give the same `Outside` to the executor of the next one, as the processes of a real executor go on.
"""

from collections import deque
from collections.abc import Callable, Iterator

from flyteidl.core.dynamic_job_pb2 import DynamicJobSpec
from flyteidl.core.literals_pb2 import LiteralMap

from flyte_nb.api.errors import SYSTEM, ErrorInfo, TaskFailed
from flyte_nb.propeller.ports import Attempt, AttemptKey, AttemptReport, Started

Result = LiteralMap | DynamicJobSpec | ErrorInfo | None
"""How an attempt ends: with outputs, with nodes that it made, with an error, or not before it is killed."""

Behaviour = Callable[[Attempt], Result]
"""Says how an attempt ends. It may raise `TaskFailed`: the attempt cannot be started then."""

KILLED = ErrorInfo("KilledBySignal", "The attempt was ended by signal 15.", SYSTEM, True)
VANISHED = ErrorInfo("KilledBySignal", "The attempt was ended by signal 9.", SYSTEM, True)


class Outside:
    """The attempts that were started, with or without somebody who watches them. For one thread."""

    def __init__(
        self,
        behave: Behaviour,
        write: Callable[[str, bytes], None] = lambda uri, data: None,
    ) -> None:
        """Start without attempts.

        Args:
            behave: Says how each attempt ends, when it is started.
            write: Stores what an attempt leaves in its folder (`outputs.pb`, `futures.pb`), as its process
                does. By default nothing is stored, and only the report has it.
        """
        self._behave = behave
        self._write = write
        self._results: dict[AttemptKey, Result] = {}  # of the attempts that run, oldest first
        self._folders: dict[AttemptKey, str] = {}
        self._reports: dict[AttemptKey, AttemptReport] = {}  # of the attempts that ended
        self.started: list[Attempt] = []
        """Every attempt that was started, in order."""
        self.on_end: Callable[[AttemptKey], None] = lambda key: None

    def start(self, attempt: Attempt) -> None:
        """Start an attempt.

        Raises:
            TaskFailed: when `behave` says that it cannot be started.
            AssertionError: when it was started before, or another attempt at its node runs. The engine
                promises that neither happens.
        """
        key = attempt.key
        assert not self.knows(key), f"{key} was started twice"
        same = [
            k for k in self._results if (k.execution, k.node_id) == (key.execution, key.node_id)
        ]
        assert not same, f"two attempts run at one node: {key} and {same}"
        self._results[key] = self._behave(attempt)
        self._folders[key] = attempt.output_prefix
        self.started.append(attempt)

    def running(self) -> list[AttemptKey]:
        """Return the attempts that run, oldest first."""
        return list(self._results)

    def finishing(self) -> list[AttemptKey]:
        """Return the attempts that run and will end by themselves, oldest first."""
        return [key for key, result in self._results.items() if result is not None]

    def knows(self, key: AttemptKey) -> bool:
        """Return whether that attempt was started and has left a trace."""
        return key in self._results or key in self._reports

    def report(self, key: AttemptKey) -> "AttemptReport | None":
        """Return how the attempt ended; `None` while it runs."""
        return self._reports.get(key)

    def finish(self, key: AttemptKey) -> None:
        """Let an attempt that runs end as `behave` said."""
        result = self._results.pop(key)
        if isinstance(result, (LiteralMap, DynamicJobSpec)):
            name = "outputs.pb" if isinstance(result, LiteralMap) else "futures.pb"
            data = result.SerializeToString(deterministic=True)
            self._write(f"{self._folders[key]}/{name}", data)
        if isinstance(result, LiteralMap):
            self._end(AttemptReport(key, outputs=result))
        elif isinstance(result, DynamicJobSpec):
            self._end(AttemptReport(key, job=result))
        else:
            self._end(AttemptReport(key, error=result or KILLED))

    def kill(self, key: AttemptKey, error: ErrorInfo = KILLED) -> None:
        """End an attempt that runs with `error`; do nothing when it does not run."""
        if key in self._results:
            del self._results[key]
            self._end(AttemptReport(key, error=error))

    def lose(self, key: AttemptKey) -> None:
        """Remove every trace of an attempt, as when its machine is replaced. Only for one nobody watches."""
        self._results.pop(key, None)
        self._reports.pop(key, None)

    def _end(self, report: AttemptReport) -> None:
        self._reports[report.key] = report
        self.on_end(report.key)


class ScriptedExecutor:
    """An `Executor` whose attempts are in an `Outside`."""

    in_memory = False

    def __init__(self, outside: Outside, *, slots: int = 4, at_once: bool = False) -> None:
        """Watch no attempt yet.

        Args:
            outside: Has the attempts.
            slots: How many attempts may run at a time.
            at_once: Whether attempts that end by themselves have ended at the next `poll`.
        """
        self.outside = outside
        self.slots = slots
        self._at_once = at_once
        self._watched: set[AttemptKey] = set()
        self._ended: deque[AttemptKey] = deque()
        self._wake: Callable[[], None] = lambda: None
        outside.on_end = self._noticed

    def listen(self, wake: Callable[[], None]) -> None:
        """Call `wake` from now on when an attempt has ended."""
        self._wake = wake

    def start(self, attempt: Attempt) -> Started:
        """Start the attempt.

        Raises:
            TaskFailed: when the behaviour says that it cannot be started.
        """
        self.outside.start(attempt)
        self._watched.add(attempt.key)
        if self._at_once:
            self._wake()
        return Started()

    def adopt(self, attempt: Attempt) -> "Started | None":
        """Watch an attempt that an earlier executor started; return `None` when none has."""
        key = attempt.key
        if not self.outside.knows(key):
            return None
        self._watched.add(key)
        if self.outside.report(key) is not None:
            self._noticed(key)
        return Started()

    def poll(self) -> list[AttemptReport]:
        """Return the reports since the last call."""
        if self._at_once:
            for key in self.outside.finishing():
                if key in self._watched:
                    self.outside.finish(key)
        return list(self._taken())

    def kill(self, key: AttemptKey) -> None:
        """End the attempt; do nothing when it does not run."""
        self.outside.kill(key)

    def close(self) -> None:
        """Stop watching."""
        self._watched.clear()
        self._ended.clear()

    def _noticed(self, key: AttemptKey) -> None:
        if key in self._watched:
            self._ended.append(key)
            self._wake()

    def _taken(self) -> Iterator[AttemptReport]:
        while self._ended:
            key = self._ended.popleft()
            report = self.outside.report(key)
            if key in self._watched and report is not None:
                self._watched.discard(key)
                yield report


__all__ = ["KILLED", "VANISHED", "Behaviour", "Outside", "Result", "ScriptedExecutor", "TaskFailed"]
