"""Run attempts on the workers of an existing Dask cluster, for those who outgrow one machine.

Code and inputs travel by the staged bundle and the object store, so workers need flyte_nb and nothing
else. The objects must be where the workers see them at the same URIs: a shared folder, or a remote
store.

An attempt is one task of Dask, and a process on its worker (`dask_worker`). It goes on when the
backend ends. Its name is noted in the store before it is submitted, so that the next backend can find
it, or keep it from beginning.
"""

import json
import threading
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import distributed

from flyte_nb.api.errors import SYSTEM, USER, BackendError, ErrorInfo, StorageError, TaskFailed
from flyte_nb.api.ports import BlobStore
from flyte_nb.propeller.data_layout import FUTURES, OUTPUTS
from flyte_nb.propeller.executors import dask_worker
from flyte_nb.propeller.executors.dask_worker import LOG, DaskEnd, DaskJob
from flyte_nb.propeller.executors.outcome import ERROR, Ended, Outcome, deck_of, outcome
from flyte_nb.propeller.foreign.containers import program_of
from flyte_nb.propeller.ports import Attempt, AttemptKey, AttemptReport, Started, Surroundings

NOTE = "dask.json"
"""The file in an attempt's folder that has the name under which it was submitted."""
_distributed: Any = distributed
"""Dask's own functions carry no types."""

_CONNECT_S = 10.0
_ASK_S = 1.0
"""How often to ask for attempts that a former backend submitted, and for the cluster's size."""


class _Submitted:
    """An attempt on the cluster."""

    def __init__(
        self, attempt: Attempt, name: str, future: "distributed.Future[DaskEnd] | None" = None
    ) -> None:
        self.attempt = attempt
        self.name = name
        self.future = future
        """`None` when a former backend submitted it; then the workers are asked about it."""


class DaskExecutor:
    """An executor on a Dask cluster. See `ports.Executor` for the methods. It owns a few threads."""

    in_memory = False

    def __init__(
        self,
        address: str,
        store: BlobStore,
        *,
        grace_s: float = 5.0,
        surroundings: "Callable[[Attempt], Surroundings] | None" = None,
        variables: "Mapping[str, str] | None" = None,
        timeout_s: float = _CONNECT_S,
    ) -> None:
        """Connect to the cluster's scheduler.

        Args:
            address: The scheduler's, e.g. `tcp://10.0.0.5:8786`.
            store: Where inputs and outputs are stored; the workers reach it by the same URIs.
            grace_s: Seconds between SIGTERM and SIGKILL.
            surroundings: As for `ProcessExecutor`. Workers have a Python of their own, and do not use the
                one that registered the task.
            variables: The backend's settings for all attempts; `None` means none.
            timeout_s: How long the scheduler may take to answer.

        Raises:
            BackendError: when no scheduler answers there.
        """
        self._address = address
        self._store = store
        self._grace_s = grace_s
        self._surroundings = surroundings or (lambda attempt: Surroundings())
        self._variables = dict(variables or {})
        self._lock = threading.Lock()
        self._submitted: dict[AttemptKey, _Submitted] = {}  # guarded by `_lock`
        self._reports: list[AttemptReport] = []  # guarded by `_lock`
        self._wake: Callable[[], None] = lambda: None
        try:
            self._client = _distributed.Client(address, timeout=timeout_s, set_as_default=False)
        except (OSError, ValueError, TypeError) as error:
            raise BackendError(
                f"No Dask scheduler answers at {address}: {error}",
                hint="Check FLYTE_NB_DASK and that the scheduler runs; without it tasks run here.",
            ) from error
        self.slots = self._threads()
        self._asking = ThreadPoolExecutor(2, thread_name_prefix="flyte-nb-dask-ask")
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="flyte-nb-dask", daemon=True)
        self._thread.start()

    def listen(self, wake: Callable[[], None]) -> None:
        """Call `wake` from now on, from any thread, when `poll` has something to return."""
        self._wake = wake

    def start(self, attempt: Attempt) -> Started:
        """Submit the attempt to the cluster.

        Raises:
            TaskFailed: when it cannot be submitted.
        """
        program_of(attempt.task)  # refuses what no worker can run
        surroundings = self._surroundings(attempt)
        name = (
            f"flyte-nb-{'-'.join(attempt.key.execution)}-{attempt.key.node_id}-{uuid.uuid4().hex}"
        )
        prefix = attempt.output_prefix
        try:
            # Results of an earlier start of this very attempt would be taken for those of this one.
            for each in (OUTPUTS, ERROR, FUTURES):
                self._store.delete(f"{prefix}/{each}")
            # Before the task is submitted: after a crash the next backend must find every task that may run.
            self._store.write(f"{prefix}/{NOTE}", json.dumps({"name": name}).encode())
        except StorageError as error:
            raise TaskFailed(_lost(f"The attempt cannot be noted: {error}")) from error
        try:
            future = self._client.submit(
                dask_worker.run_attempt,
                self._job(attempt, name, surroundings),
                key=name,
                pure=False,
            )
            # The cluster keeps the task when this backend ends.
            _distributed.fire_and_forget(future)
        except Exception as error:  # distributed raises what its transports raise
            raise TaskFailed(_lost(f"The Dask cluster takes no tasks: {error}")) from error
        submitted = _Submitted(attempt, name, future)
        with self._lock:
            self._submitted[attempt.key] = submitted
        # After it is in the table: the callback may come at once, and looks there.
        future.add_done_callback(lambda done: self._done(submitted, done))
        return _started(attempt)

    def adopt(self, attempt: Attempt) -> "Started | None":
        """Take over an attempt that an earlier process of this backend may have submitted.

        Raises:
            OSError: when the cluster or the store cannot be asked now.
        """
        name = self._noted(attempt)
        if name is None:
            return None
        try:
            event = _distributed.Event(name, client=self._client)
            has_begun = event.is_set()
            # From here on it does not begin. If it has begun, a worker has it or it has ended.
            event.set()
            runs = name in self._alive()
        except (OSError, RuntimeError, ValueError, TimeoutError) as error:
            raise OSError(
                f"the Dask cluster at {self._address} does not answer: {error}"
            ) from error
        if not has_begun and not runs and not self._has_results(attempt):
            self._forget(name)
            return self.start(attempt)
        submitted = _Submitted(attempt, name)
        with self._lock:
            self._submitted[attempt.key] = submitted
        # It ended while no backend listened. What it left is in the store.
        if not runs:
            self._end(submitted, DaskEnd())
        return _started(attempt)

    def poll(self) -> list[AttemptReport]:
        """Return the reports since the last call."""
        with self._lock:
            reports, self._reports = self._reports, []
        return reports

    def kill(self, key: AttemptKey) -> None:
        """End the attempt's process where it runs, or keep it from beginning. A report follows."""
        with self._lock:
            submitted = self._submitted.get(key)
        if submitted is not None:
            # Asking the workers takes as long as the network does, and the engine's thread must not wait for
            # it.
            self._asking.submit(self._kill, submitted)

    def close(self) -> None:
        """Stop watching. The attempts go on. May be called twice."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._thread.join()
        self._asking.shutdown()
        self._client.close(timeout=2)

    def _kill(self, submitted: _Submitted) -> None:
        name = submitted.name
        with suppress(Exception):  # the cluster may be away; the attempt's end is reported then too
            event = _distributed.Event(name, client=self._client)
            has_begun = event.is_set()
            event.set()
            found = self._client.run(
                dask_worker.end_attempt, name, self._grace_s, on_error="ignore"
            )
            if has_begun or any(found.values()):
                return  # it ends, or has ended: its report comes as always
        self._forget(name)
        self._end(submitted, DaskEnd(is_repeated=True))

    def _forget(self, name: str) -> None:
        """Take a task that has not begun from the scheduler."""
        with suppress(Exception):
            self._client.cancel([_distributed.Future(name, client=self._client)], force=True)

    def _alive(self) -> "set[str]":
        """Return the names of the attempts that run on any worker."""
        found = self._client.run(dask_worker.alive)
        return {name for names in found.values() for name in names}

    def _threads(self) -> int:
        """Return how many attempts the workers run at a time; at least one, which waits for a worker."""
        return max(1, sum(map(int, self._client.nthreads().values())))

    def _watch(self) -> None:
        """Ask again and again for what nobody reports."""
        while not self._closing.wait(_ASK_S):
            with suppress(Exception):  # asked again soon
                slots = self._threads()
                # Workers come and go while the cluster runs.
                grew, self.slots = slots > self.slots, slots
                if grew:
                    self._wake()
                with self._lock:
                    # A former backend submitted these, so no future of this process tells of their end.
                    adopted = [each for each in self._submitted.values() if each.future is None]
                if adopted:
                    alive = self._alive()
                    for submitted in adopted:
                        if submitted.name not in alive:
                            self._end(submitted, DaskEnd())

    def _done(self, submitted: _Submitted, future: "distributed.Future[DaskEnd]") -> None:
        """Take the end of a task of Dask. A thread of Dask's client calls this."""
        if self._closing.is_set():
            return  # the client gives up its tasks when it closes; they go on
        end = DaskEnd(is_repeated=True)
        if future.status in ("finished", "error"):
            try:
                end = future.result()
            except Exception as error:  # noqa: BLE001 - whatever was raised on the worker
                end = DaskEnd(error=_of_exception(error))
        self._end(submitted, end)

    def _end(self, submitted: _Submitted, end: DaskEnd) -> None:
        """Make the report of an attempt that has ended, unless it was made."""
        attempt = submitted.attempt
        with self._lock:
            # A kill and the cluster may both report the end. Only the first report counts.
            if self._submitted.get(attempt.key) is not submitted:
                return
            del self._submitted[attempt.key]
        # Outside of the lock, because it reads the store.
        found = self._outcome(attempt, end)
        report = AttemptReport(
            key=attempt.key,
            outputs=found.outputs,
            error=found.error,
            cpu_s=end.exit.cpu_s,
            max_rss_bytes=end.exit.max_rss_bytes,
            job=found.job,
            deck_uri=deck_of(attempt, self._store, succeeded=found.error is None),
        )
        with self._lock:
            self._reports.append(report)
        self._wake()
        if not end.is_repeated:
            # It has run, so nothing asks for the event any more, and the scheduler would keep it. One
            # that was kept from beginning may still be on its way to a worker.
            with suppress(Exception):
                _distributed.Event(submitted.name, client=self._client).clear()

    def _outcome(self, attempt: Attempt, end: DaskEnd) -> Outcome:
        if end.error is not None:
            return Outcome(error=end.error)
        if end.not_shared:
            return Outcome(error=_not_shared(attempt, end.not_shared))
        if end.is_repeated:
            text = "The Dask worker that ran the attempt was lost, or the attempt was ended before it began."
            return Outcome(error=_lost(text))
        return outcome(attempt, Ended(end.exit.exit_code, end.log_tail), self._store)

    def _job(self, attempt: Attempt, name: str, surroundings: Surroundings) -> DaskJob:
        key = attempt.key
        return DaskJob(
            name=name,
            execution=(key.execution.project, key.execution.domain, key.execution.name),
            node_id=key.node_id,
            attempt=key.attempt,
            task=attempt.task.SerializeToString(),
            input_uri=attempt.input_uri,
            output_prefix=attempt.output_prefix,
            raw_output_prefix=attempt.raw_output_prefix,
            checkpoint_uri=attempt.checkpoint_uri,
            prev_checkpoint_uri=attempt.prev_checkpoint_uri,
            envs={**self._variables, **attempt.envs},
            variables=dict(surroundings.variables or {}),
            secrets=dict(surroundings.secrets),
        )

    def _noted(self, attempt: Attempt) -> "str | None":
        uri = f"{attempt.output_prefix}/{NOTE}"
        try:
            if self._store.size(uri) is None:
                return None
            return str(json.loads(self._store.read(uri))["name"])
        except (StorageError, ValueError, KeyError, TypeError) as error:
            raise OSError(f"{uri} cannot be read: {error}") from error

    def _has_results(self, attempt: Attempt) -> bool:
        try:
            names = (OUTPUTS, ERROR, FUTURES)
            return any(
                self._store.size(f"{attempt.output_prefix}/{name}") is not None for name in names
            )
        except StorageError:
            # Then the attempt counts as begun: a failure that is reported is better than running it twice.
            return True


def _started(attempt: Attempt) -> Started:
    return Started((("log", f"{attempt.output_prefix}/{LOG}"),))


def _lost(text: str) -> ErrorInfo:
    return ErrorInfo("SYSTEM:AttemptLost", text, SYSTEM, recoverable=True)


def _not_shared(attempt: Attempt, host: str) -> ErrorInfo:
    text = (
        f"The Dask worker on {host} does not see {attempt.input_uri}, which the backend has written."
        " Put the backend's folder (FLYTE_NB_HOME) where all workers see it at the same path."
    )
    return ErrorInfo("DaskStoreNotShared", text, USER)


def _of_exception(error: BaseException) -> ErrorInfo:
    if isinstance(error, ImportError):
        text = f"The Dask worker cannot run tasks: {error}. Install flyte-nb on the workers, this release."
        return ErrorInfo("DaskWorkerWithoutRuntime", text, USER)
    return _lost(f"The Dask cluster could not run the attempt: {type(error).__name__}: {error}")
