"""Run flyte-nb tasks warm: an attempt is a fork of a process that has already loaded its task.

Everything else runs cold, as in the process executor: the first attempt at a task (its code may never
run again), commands of other programs, and what the warm host gives back. The files, the lock and the
log of an attempt are the same in both. So attempts outlive this process in both, and are adopted in the
same way.

`docs/warm-attempts.md` explains the warm host and its zygotes.
"""

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from signal import SIGKILL

from flyte_nb.api.errors import UsageError
from flyte_nb.api.ports import BlobStore
from flyte_nb.propeller.executors.attempt_environment import Environ
from flyte_nb.propeller.executors.attempt_folder import AttemptFolder, signal_all
from flyte_nb.propeller.executors.foreign import Access
from flyte_nb.propeller.executors.gpus import ListGpus
from flyte_nb.propeller.executors.limiter import Limiter
from flyte_nb.propeller.executors.process import ProcessExecutor, Start, cannot_start, is_ours
from flyte_nb.propeller.executors.reaper import RSS_UNIT, Exit, Watched
from flyte_nb.propeller.ports import Attempt, Surroundings
from flyte_nb.runtime.options import parse
from flyte_nb.runtime.spawn import PYTHON_VARIABLE
from flyte_nb.runtime.warm.link import WARM_VARIABLE, AttemptEnd, WarmAttempt, WarmLink, is_possible

__all__ = ["WarmExecutor"]

_OFF = frozenset({"0", "false", "no", "off"})
LOG = "warm-host.log"
"""The file in the executor's folder that has what the warm host and its storage plugins print."""
_REMEMBERED = 1000
"""For how many tasks the number of attempts is kept."""


class _Handed:
    """An attempt that was handed to the warm host, with what is needed to run it cold."""

    def __init__(self, watched: Watched, words: list[str], lock: int, how: Start) -> None:
        self.watched = watched
        self.words = words
        self.how = how
        self.lock = lock
        """Our own descriptor of the lock, which we hold while the attempt is between two processes."""


class WarmExecutor(ProcessExecutor):
    """A process executor whose attempts are forks where that is possible. It owns one more thread."""

    def __init__(
        self,
        home: Path,
        store: BlobStore,
        *,
        slots: int = 0,
        environ: "Mapping[str, str] | None" = None,
        grace_s: float = 5.0,
        surroundings: "Callable[[Attempt], Surroundings] | None" = None,
        access: "Access | None" = None,
        gpus: "ListGpus | None" = None,
        limiter: "Limiter | None" = None,
        cold_first: int = 1,
    ) -> None:
        """Start the watching thread. The warm host is started when it is first needed.

        Args:
            home: As for `ProcessExecutor`.
            store: As for `ProcessExecutor`.
            slots: As for `ProcessExecutor`.
            environ: As for `ProcessExecutor`.
            grace_s: As for `ProcessExecutor`.
            surroundings: As for `ProcessExecutor`.
            access: As for `ProcessExecutor`.
            gpus: As for `ProcessExecutor`.
            limiter: As for `ProcessExecutor`.
            cold_first: How many attempts at a task run cold before a process is kept for it.
        """
        super().__init__(
            home,
            store,
            slots=slots,
            environ=environ,
            grace_s=grace_s,
            surroundings=surroundings,
            access=access,
            gpus=gpus,
            limiter=limiter,
        )
        self._cold_first = cold_first
        self._counts: OrderedDict[tuple[str, str], int] = OrderedDict()  # by index and task
        self._warm_lock = threading.Lock()
        self._handed: dict[str, _Handed] = {}  # by the folder's tag; guarded by `_warm_lock`
        self._link: WarmLink | None = None  # likewise
        self._listener: threading.Thread | None = None

    def close(self) -> None:
        """Stop watching. The processes go on."""
        with self._warm_lock:
            link, self._link = self._link, None
        if link is not None:
            link.close()
        if self._listener is not None:
            self._listener.join()
            self._listener = None
        super().close()

    def _launch(
        self,
        words: list[str],
        attempt: Attempt,
        folder: AttemptFolder,
        lock: int,
        how: Start,
    ) -> Watched:
        if not self._is_warm(words, how.environ):
            return super()._launch(words, attempt, folder, lock, how)
        try:
            return self._hand_over(words, attempt, folder, lock, how)
        except OSError:
            # The warm host is dead or cannot be started. The attempt need not suffer from that.
            return super()._launch(words, attempt, folder, lock, how)

    def _is_warm(self, words: list[str], environ: Environ) -> bool:
        """Return whether to try the attempt warm; counts it as an attempt at its task."""
        if not is_ours(words) or not is_possible():
            return False
        if PYTHON_VARIABLE in environ.own:
            return (
                False  # the launch names another interpreter than the one that a zygote would have
            )
        if {**environ.common, **environ.own}.get(WARM_VARIABLE, "").lower() in _OFF:
            return False
        try:
            options = parse(words[4:])
        except UsageError:
            return False  # the cold attempt reports the wrong option
        task = (options.index_file_location, options.task)
        # Taken out and put back at the end: the task that was not used for longest is forgotten first.
        count = self._counts[task] = self._counts.pop(task, 0) + 1
        if len(self._counts) > _REMEMBERED:
            self._counts.popitem(last=False)
        return count > self._cold_first

    def _hand_over(
        self,
        words: list[str],
        attempt: Attempt,
        folder: AttemptFolder,
        lock: int,
        how: Start,
    ) -> Watched:
        id = folder.tag
        message = WarmAttempt(
            id=id,
            arguments=words[4:],
            base=how.environ.common,
            own=how.environ.own,
            cwd=str(folder.work),
            note=str(folder.note),
            limits=how.limits if any(how.limits) else None,
        )
        link = self._linked()
        watched = Watched(
            attempt, folder, send_signal=lambda number: self._signal(link, id, number)
        )
        # Before it is sent: the answer may arrive before `start` returns.
        with self._warm_lock:
            self._handed[id] = _Handed(watched, words, os.dup(lock), how)
        try:
            with folder.log.open("ab") as log:
                link.start(message, log.fileno(), log.fileno(), lock)
        except OSError:
            with self._warm_lock:
                handed = self._handed.pop(id, None)
            if handed is not None:
                os.close(handed.lock)
                raise
            # Otherwise the listener noticed first that the host is dead, and runs the attempt cold. It
            # must not be started twice.
        return watched

    def _linked(self) -> WarmLink:
        """Return the link to the warm host; start the host when none runs."""
        with self._warm_lock:
            if self._link is None:
                # The host starts in this folder, perhaps before an attempt has made it.
                self._home.mkdir(parents=True, exist_ok=True)
                link = self._link = WarmLink(
                    self._environment.of_host(), cwd=self._home, log=self._home / LOG
                )
                self._listener = threading.Thread(
                    target=self._listen_to, args=(link,), name="flyte-nb-warm", daemon=True
                )
                self._listener.start()
            return self._link

    @staticmethod
    def _signal(link: WarmLink, id: str, number: int) -> None:
        try:
            link.signal(id, number)
        except OSError:
            # The host is dead. The listener notices that too, and kills what is left of the attempt.
            return

    def _listen_to(self, link: WarmLink) -> None:
        """Take the warm host's answers until it ends, and then see to the attempts that it had."""
        while (answer := link.receive()) is not None:
            with self._warm_lock:
                handed = self._handed.pop(answer.id, None)
            if handed is not None:
                self._answered(handed, answer)
        with self._warm_lock:
            is_closing = self._link is not link
            if not is_closing:
                # The next warm attempt starts a new host.
                self._link = None
            left, self._handed = list(self._handed.values()), {}
        for handed in left:
            if is_closing:
                # The host goes on with them, and holds their locks itself.
                os.close(handed.lock)
            else:
                self._lost(handed)
        link.release()

    def _answered(self, handed: _Handed, answer: AttemptEnd) -> None:
        if answer.cold:
            self._run_cold(handed)
            return
        os.close(handed.lock)
        rss = None if answer.max_rss is None else answer.max_rss * RSS_UNIT
        self._reaper.ended(handed.watched, Exit(answer.exit_code, answer.cpu_s, rss))

    def _run_cold(self, handed: _Handed) -> None:
        watched, words = handed.watched, handed.words
        try:
            pid = self._spawn(words, watched.folder, handed.lock, handed.how)
        except OSError as error:
            # `start` has returned already, so the failure can only be reported.
            watched.error = cannot_start(words, "", error)
            self._reaper.ended(watched, Exit())
        else:
            self._reaper.take_over(watched, pid)
        finally:
            os.close(handed.lock)

    def _lost(self, handed: _Handed) -> None:
        """See to an attempt after the warm host was killed: run it cold if it had not begun, else kill it.

        The process is noted before any code of the task runs (`ZygoteProcess.fork`). So without a note,
        nothing has begun.
        """
        if handed.watched.folder.process() is None:
            self._run_cold(handed)
            return
        os.close(handed.lock)
        # Nobody serves the worker any more. A cold attempt whose host is killed ends in the same way.
        handed.watched.assumed = Exit(-SIGKILL)
        signal_all(handed.watched.folder, SIGKILL)
        self._reaper.take_over(handed.watched, None)
