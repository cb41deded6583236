"""One execution followed live: the stream where there is one, else polling; both across restarts.

A `Follower` owns a thread that keeps an `Assembly` current and wakes whoever waits for a view. Slow
readers skip views, never the last one. A backend that goes away is looked for again; only when it
stays away does the reader see the error.
Source: DESIGN.md section 4, `/flyte_nb.Watch/Executions`.
"""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
from flyteidl.admin.execution_pb2 import Execution, WorkflowExecutionGetRequest
from flyteidl.admin.node_execution_pb2 import NodeExecution
from flyteidl.admin.task_execution_pb2 import TaskExecution
from google.protobuf.any_pb2 import Any as AnyMessage

from flyte_nb.api.errors import RemoteError
from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.api.phases import ENDED
from flyte_nb.client.admin_client import AdminClient
from flyte_nb.client.remote_errors import remote_error, status_of
from flyte_nb.compiler.outline import Outline
from flyte_nb.executions.assembly import Assembly
from flyte_nb.executions.polling import refresh
from flyte_nb.executions.views import ExecutionView
from flyte_nb.wire.identifiers import execution_id_to_idl

WATCH = "/flyte_nb.Watch/Executions"

_MESSAGES: "dict[str, type[Execution] | type[NodeExecution] | type[TaskExecution]]" = {
    kind.DESCRIPTOR.full_name: kind for kind in (Execution, NodeExecution, TaskExecution)
}
_GIVE_UP_AFTER_S = 60.0
_FASTEST_POLL_S = 0.25
_SLOWEST_POLL_S = 5.0
_RECONNECT_PAUSE_S = 0.1
_PASSING = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "ABORTED"})
"""What a server answers that restarts, or has too much to do. Anything else is its last word."""


class Follower:
    """Follows one execution from `start()` until it has ended or `close()` is called."""

    def __init__(
        self,
        client: AdminClient,
        execution: ExecutionId,
        outline: "Callable[[Any], Outline]",
        *,
        patience_s: float = _GIVE_UP_AFTER_S,
    ) -> None:
        """Make a follower; nothing is read yet.

        Args:
            client: The FlyteAdmin.
            execution: What to follow.
            outline: Gives the names of the nodes, once the execution's workflow is known.
            patience_s: For how long a server may stay away, in seconds.
        """
        self._client = client
        self._patience_s = patience_s
        self._heard_at = time.monotonic()
        self._id = execution
        self._outline = outline
        self._assembly = Assembly()
        self._described = False
        self._condition = threading.Condition()
        self._changes = 0
        self._ended = False
        self._failure: RemoteError | None = None
        self._stop = threading.Event()
        self._call: Any = None
        self._thread = threading.Thread(
            target=self._run, name=f"flyte-nb-follow-{execution.name}", daemon=True
        )

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def close(self) -> None:
        """Stop following; does not touch the execution."""
        self._stop.set()
        call = self._call
        if call is not None:
            call.cancel()
        with self._condition:
            self._ended = True
            self._condition.notify_all()
        if self._thread is not threading.current_thread() and self._thread.ident is not None:
            self._thread.join(timeout=5.0)

    def views(
        self,
        serials: "Iterator[int]",
        deadline: "float | None" = None,
        stop: "threading.Event | None" = None,
    ) -> "Iterator[ExecutionView]":
        """A view now and after changes; ends after the terminal one, or when closed.

        Args:
            serials: Gives each view its number.
            deadline: On `time.monotonic()`'s scale; `TimeoutError` when it passes.
            stop: Ends the views soon after it was set.

        Raises:
            RemoteError: FlyteAdmin refused, or stayed away.
            TimeoutError: the deadline passed.
        """
        seen = 0
        while True:
            with self._condition:
                while self._changes == seen and not self._ended:
                    if stop is not None and stop.is_set():
                        return
                    left = None if deadline is None else deadline - time.monotonic()
                    if left is not None and left <= 0:
                        raise TimeoutError
                    # Bounded, so that an interrupt or a cancelled await is noticed soon.
                    self._condition.wait(0.5 if left is None else min(0.5, left))
                changed = self._changes != seen
                seen = self._changes
                view = self._assembly.view(next(serials)) if changed else None
                failure, ended = self._failure, self._ended
            if view is not None:
                yield view
                if view.is_terminal:
                    return
            elif failure is not None:
                raise failure
            elif ended:
                return

    def _run(self) -> None:
        try:
            self._follow()
        except RemoteError as error:
            with self._condition:
                self._failure = error
        finally:
            with self._condition:
                self._ended = True
                self._condition.notify_all()

    def _follow(self) -> None:
        """Read until the execution has ended, across outages of the server and of its token."""
        read = self._read_stream
        pause = _RECONNECT_PAUSE_S
        signed_in = False
        while not self._stop.is_set():
            heard_at = self._heard_at
            try:
                read()
                if self._is_terminal():
                    return
                problem = RemoteError("The stream ended early.", code="UNAVAILABLE")
            except grpc.RpcError as error:
                if self._stop.is_set():
                    return
                code = status_of(error)
                problem = remote_error(
                    error, doing=f"Watching {self._id.name}", endpoint=self._client.endpoint
                )
                if code is grpc.StatusCode.UNIMPLEMENTED:
                    read = self._poll
                    continue
                if code is grpc.StatusCode.UNAUTHENTICATED and not signed_in:
                    signed_in = True
                    if self._client.sign_in(self._client.generation):
                        continue
            except RemoteError as error:  # of a plain call: one poll, or the names of the nodes
                problem = error
            if problem.code not in _PASSING:
                raise problem
            if self._heard_at != heard_at:
                pause = _RECONNECT_PAUSE_S
            if time.monotonic() - self._heard_at > self._patience_s:
                raise problem
            self._stop.wait(pause)
            pause = min(pause * 2, 2.0)
            self._client.link.relocate()

    def _read_stream(self) -> None:
        request = WorkflowExecutionGetRequest(id=execution_id_to_idl(self._id))
        self._call = self._client.open_stream(WATCH, request, AnyMessage)
        if self._stop.is_set():
            self._call.cancel()
        for wrapped in self._call:
            kind = _MESSAGES.get(wrapped.TypeName())
            if kind is None:
                continue  # a later release may send more kinds
            self._heard_at = time.monotonic()
            message = kind.FromString(wrapped.value)
            if not self._described and isinstance(message, Execution):
                self._describe(message)
            with self._condition:
                self._assembly.apply(message)
                self._changes += 1
                self._condition.notify_all()

    def _poll(self) -> None:
        interval = _FASTEST_POLL_S
        while not self._stop.is_set():
            with self._condition:
                before = self._assembly.view(0)
            fresh = refresh(self._client, self._id, self._assembly, self._condition)
            self._heard_at = time.monotonic()
            if not self._described:
                self._describe(fresh)
            with self._condition:
                changed = self._assembly.view(0) != before
                if changed:
                    self._changes += 1
                    self._condition.notify_all()
            if self._is_terminal():
                return
            interval = _FASTEST_POLL_S if changed else min(interval * 1.5, _SLOWEST_POLL_S)
            self._stop.wait(interval)

    def _describe(self, execution: Execution) -> None:
        outline = self._outline(execution.closure.workflow_id)
        self._described = True
        with self._condition:
            self._assembly.describe(outline)

    def _is_terminal(self) -> bool:
        with self._condition:
            view = self._assembly.view(0)
        return view is not None and view.phase in ENDED
