"""Run each attempt as a process group of its own on this machine. It outlives the process that started it.

A command `flyte-nb …` is run by this interpreter, and one of another SDK as `foreign` decides. Values go
through the store and the log through a file, so the attempt does not depend on us while it runs.

Two attempts at one node never live at the same time. `attempt_folder` explains how we know that after a
restart.
"""

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from flyte_nb.api.errors import SYSTEM, ErrorInfo, StorageError, TaskFailed
from flyte_nb.api.ports import BlobStore
from flyte_nb.propeller.data_layout import FUTURES, OUTPUTS
from flyte_nb.propeller.executors.attempt_environment import (
    AttemptEnvironment,
    Environ,
    check_installation,
    remove_secrets,
)
from flyte_nb.propeller.executors.attempt_folder import AttemptFolder, end_all
from flyte_nb.propeller.executors.capacity import Capacity, Share
from flyte_nb.propeller.executors.foreign import Access, foreign_words
from flyte_nb.propeller.executors.gpus import VARIABLE, ListGpus, nvidia_gpus
from flyte_nb.propeller.executors.limiter import Limiter
from flyte_nb.propeller.executors.needs import NOTHING, Needs, needs_of
from flyte_nb.propeller.executors.outcome import ERROR, Ended, Outcome, deck_of, outcome
from flyte_nb.propeller.executors.reaper import Exit, Reaper, Watched
from flyte_nb.propeller.foreign.containers import Program, program_of
from flyte_nb.propeller.foreign.missing import command_missing
from flyte_nb.propeller.foreign.templates import TASK_TEMPLATE, fill, wants_task_template
from flyte_nb.propeller.ports import Attempt, AttemptKey, AttemptReport, Started, Surroundings
from flyte_nb.runtime.limits import ProcessLimits

__all__ = ["ProcessExecutor"]

_COMMAND = "flyte-nb"


class Start(NamedTuple):
    """How an attempt's process is started."""

    environ: Environ
    limits: ProcessLimits


class ProcessExecutor:
    """An executor of processes on this machine, with one thread. See `ports.Executor` for the methods."""

    in_memory = False

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
    ) -> None:
        """Start the watching thread.

        Args:
            home: Folder for the attempts' locks, logs and working folders; the same after a restart.
            store: Where inputs and outputs are stored; the tasks' processes reach it by the same URIs.
            slots: How many attempts may run at a time; 0 means the number of processors, at least 2.
            environ: The variables of this process, of which attempts get a few; `None` means `os.environ`.
            grace_s: Seconds between SIGTERM and SIGKILL.
            surroundings: Returns what an attempt gets from those who registered and launched it; `None` means
                nothing. It raises `TaskFailed` when it cannot.
            access: How tasks of other SDKs reach the backend; `None` means not at all.
            gpus: Lists the GPUs of this machine; `None` asks `nvidia-smi`.
            limiter: Keeps attempts within their limits; `None` means a new one.
        """
        self.slots = slots or max(2, os.cpu_count() or 1)
        own = os.environ if environ is None else environ
        self._capacity = Capacity(cpus=self.slots, gpus=gpus or (lambda: nvidia_gpus(own)))
        self._limiter = limiter or Limiter()
        self._home = home
        self._store = store
        self._environment = AttemptEnvironment(own, access.config if access else "")
        self._surroundings = surroundings or (lambda attempt: Surroundings())
        self._access = access or Access()
        self._lock = threading.Lock()
        self._watched: dict[AttemptKey, Watched] = {}  # guarded by `_lock`
        self._reports: list[AttemptReport] = []  # guarded by `_lock`
        self._wake: Callable[[], None] = _nobody
        self._reaper = Reaper(self._exited, grace_s=grace_s)

    def listen(self, wake: Callable[[], None]) -> None:
        """Call `wake` from now on, from any thread, when `poll` has something to return."""
        self._wake = wake

    def start(self, attempt: Attempt) -> Started:
        """Start the attempt, or watch it when it lives already.

        Raises:
            TaskFailed: when it cannot be started.
            NoRoom: when other attempts have what it needs.
        """
        program = program_of(attempt.task)
        words = own_words(program, attempt)
        needs = _needs(program, attempt)
        # Before anything is made: an attempt that gets no room leaves no folder behind.
        share = self._capacity.take(attempt.key, needs, attempt.task_id.name)
        try:
            return self._started(attempt, program, words, share)
        except BaseException:
            # Whatever went wrong, the attempt did not start, so others may have its share.
            self._capacity.release(attempt.key)
            raise

    def _started(
        self, attempt: Attempt, program: Program, words: list[str], share: Share
    ) -> Started:
        surroundings = self._surroundings(attempt)
        # Only our own worker needs the Python that registered the task.
        if words:
            check_installation(surroundings.installation, attempt)
        folder = AttemptFolder(self._home, attempt.key)
        try:
            folder.create()
            lock = folder.take_lock()
            if lock is None:
                # It lives: we started it, and were killed before we could record that.
                return self._watch(Watched(attempt, folder), share.needs)
            try:
                # Under the lock: no process of this attempt can be writing results now.
                self._clear(attempt, program)
                environ = self._environment.of(attempt, surroundings, folder, bool(words))
                self._show_gpus(environ, share, folder)
                if not words:
                    variables = {**environ.common, **environ.own}
                    words = foreign_words(program, attempt, folder, variables, self._access)
                limits = self._limiter.limits_of(share, folder.tag)
                watched = self._launch(words, attempt, folder, lock, Start(environ, limits))
            finally:
                # The process has a copy of the descriptor, and holds the lock by it.
                os.close(lock)
        except (OSError, StorageError) as error:
            raise TaskFailed(cannot_start(words, program.image, error)) from error
        return self._watch(watched, share.needs)

    def adopt(self, attempt: Attempt) -> "Started | None":
        """Take over an attempt that an earlier process of this backend may have started.

        There are four cases: it lives; it was never begun; it was about to be begun; it has ended.
        """
        folder = AttemptFolder(self._home, attempt.key)
        if not folder.path.exists():
            # An earlier release named folders in another way, and an attempt of its may still live.
            former = AttemptFolder(self._home, attempt.key, former=True)
            folder = former if former.is_locked() else folder
        needs = _known_needs(attempt)
        if folder.is_locked():
            # It runs already, whether it fits or not, so its share is only noted.
            self._capacity.hold(attempt.key, needs, folder.gpus())
            return self._watch(Watched(attempt, folder), needs)
        if not folder.path.exists():
            return None
        # Its own process is dead. What that left running without the lock must not go on beside the
        # next attempt.
        end_all(folder)
        if folder.process() is None and not self._has_results(attempt):
            return None  # we were killed between taking the lock and starting the process
        return self._watch(Watched(attempt, folder), needs)

    def poll(self) -> list[AttemptReport]:
        """Return the reports since the last call."""
        with self._lock:
            reports, self._reports = self._reports, []
        # Here, and not when the process ended: `Capacity` is for the engine's thread alone.
        for report in reports:
            self._capacity.release(report.key)
        return reports

    def kill(self, key: AttemptKey) -> None:
        """End every process of that attempt, by SIGTERM and then by SIGKILL. A report follows."""
        with self._lock:
            watched = self._watched.get(key)
        if watched is not None:
            self._reaper.kill(watched)

    def close(self) -> None:
        """Stop watching. The processes go on."""
        self._limiter.close()
        self._reaper.close()

    def _clear(self, attempt: Attempt, program: Program) -> None:
        """Remove results from the attempt's folder, and put `task.pb` there when the command wants it.

        Results can only be there when an earlier start of this very attempt was cut short. They would
        be taken for those of the process that is started now.
        """
        for name in (OUTPUTS, ERROR, FUTURES):
            self._store.delete(f"{attempt.output_prefix}/{name}")
        if wants_task_template([*program.command, *program.args]):
            uri = f"{attempt.output_prefix}/{TASK_TEMPLATE}"
            self._store.write(uri, attempt.task.SerializeToString(deterministic=True))

    def _launch(
        self,
        words: list[str],
        attempt: Attempt,
        folder: AttemptFolder,
        lock: int,
        how: Start,
    ) -> Watched:
        """Start the attempt's process. The process gets the lock."""
        return Watched(attempt, folder, self._spawn(words, folder, lock, how))

    def _spawn(self, words: list[str], folder: AttemptFolder, lock: int, how: Start) -> int:
        with folder.log.open("ab") as log:
            process = subprocess.Popen(
                words,
                # A task that asks for input must not wait for a person.
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folder.work,
                env={**how.environ.common, **how.environ.own},
                # A group of its own: one signal reaches all of it, and Ctrl-C at the backend's terminal does
                # not.
                start_new_session=True,
                pass_fds=(lock,),
            )
        # The reaper waits for the process by wait4, which also gives CPU time and memory. A return code
        # keeps Popen from waiting first.
        process.returncode = 0
        # An interpreter needs ten milliseconds before it runs any code, so this comes early enough.
        how.limits.apply(process.pid)
        folder.write_process(process.pid)
        return process.pid

    def _watch(self, watched: Watched, needs: Needs) -> Started:
        folder, key = watched.folder, watched.attempt.key
        watched.memory_limit = needs.memory_limit
        with self._lock:
            # An attempt that is started and adopted again is watched once, and gives one report.
            is_new = key not in self._watched
            watched = self._watched.setdefault(key, watched)
        if is_new:
            self._reaper.watch(watched)
            self._limiter.watch(watched)
        pid = watched.pid
        if pid is None and watched.send_signal is None:  # a warm host notes the process later
            known = folder.process()
            pid = known.pid if known else None
        return Started((("log", folder.log.as_uri()),), pid)

    def _show_gpus(self, environ: Environ, share: Share, folder: AttemptFolder) -> None:
        """Let the attempt see the GPUs that it has, and no others."""
        # Before the process exists, so that a backend after a crash counts these GPUs as taken.
        folder.write_gpus(share.gpus)
        named = VARIABLE in environ.common or VARIABLE in environ.own
        # Where the task's own variables choose GPUs, that choice stays.
        if self._capacity.gpus and not named:
            environ.own[VARIABLE] = ",".join(share.gpus)

    def _has_results(self, attempt: Attempt) -> bool:
        """Return whether the attempt left results; `True` when the store cannot be read.

        Then the attempt counts as started, and its report says what is wrong with the store.
        """
        prefix = attempt.output_prefix
        try:
            sizes = [self._store.size(f"{prefix}/{name}") for name in (OUTPUTS, ERROR, FUTURES)]
        except StorageError:
            return True
        return any(size is not None for size in sizes)

    def _exited(self, watched: Watched, exit: Exit) -> None:
        """Make the report of an attempt that has ended. The reaper's thread calls this."""
        attempt = watched.attempt
        # First, so that no failure below leaves secrets on the disk.
        remove_secrets(watched.folder)
        ended = Ended(exit.exit_code, watched.folder.log_tail(), watched.memory)
        if watched.error is None:
            found = outcome(attempt, ended, self._store)
        else:
            found = Outcome(error=watched.error)
        peak, over_memory = self._limiter.ended(watched)
        if found.error is not None and over_memory is not None:
            # What its own processes say of a SIGKILL is a guess.
            found = Outcome(error=over_memory)
        if found.error is None:
            # The working folder of a failed attempt stays: a person may look there for the reason.
            shutil.rmtree(watched.folder.work, ignore_errors=True)
        report = AttemptReport(
            key=attempt.key,
            outputs=found.outputs,
            error=found.error,
            cpu_s=exit.cpu_s,
            max_rss_bytes=max(peak, exit.max_rss_bytes or 0) or None,
            job=found.job,
            deck_uri=deck_of(attempt, self._store, succeeded=found.error is None),
        )
        with self._lock:
            # Both changes under one lock: an attempt is either watched or reported.
            del self._watched[attempt.key]
            self._reports.append(report)
        self._wake()


def _known_needs(attempt: Attempt) -> Needs:
    """Return what an attempt needs that was started: nothing, if its task cannot be understood any more."""
    try:
        return _needs(program_of(attempt.task), attempt)
    except TaskFailed:
        return NOTHING


def _needs(program: Program, attempt: Attempt) -> Needs:
    needs = needs_of(program)
    return needs._replace(only_waits=True) if attempt.task.metadata.is_eager else needs


def own_words(program: Program, attempt: Attempt) -> list[str]:
    """Return the command of a `flyte-nb` task, filled in and run by this interpreter; empty for others.

    Raises:
        TaskFailed: when it cannot be filled in.
    """
    first = next(iter((*program.command, *program.args)), "")
    if os.path.basename(first) != _COMMAND:
        return []
    words = fill([*program.command, *program.args], attempt)
    return [sys.executable, "-m", "flyte_nb", *words[1:]]


def is_ours(words: list[str]) -> bool:
    """Return whether the command is `flyte-nb execute`, which runs a worker."""
    return words[1:4] == ["-m", "flyte_nb", "execute"]


def _nobody() -> None:
    """Do nothing: the `wake` before `listen` was called."""


def cannot_start(words: list[str], image: str, error: "OSError | StorageError") -> ErrorInfo:
    """Return the error of an attempt whose command could not be started.

    Args:
        words: The command.
        image: The task's image, which was not used.
        error: Why it could not be started.
    """
    if isinstance(error, FileNotFoundError) and words and error.filename == words[0]:
        return command_missing(words[0], image)
    text = f"The attempt's process cannot be started: {error}"
    return ErrorInfo("SYSTEM:CannotStart", text, SYSTEM, recoverable=True)
