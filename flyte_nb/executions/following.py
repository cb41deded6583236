"""Follow one execution live: over the watch stream where the server has one, else by polling.

A `Follower` owns a thread that keeps an `Assembly` current and wakes the readers that wait for a view. A slow
reader skips views, but never the last one. When the server goes away, the follower looks for it again, and
only when the server stays away does the reader get the error.

The stream is `/flyte_nb.Watch/Executions` of the local backend (`admin/watch.py`). The theory of operation is
in `docs/watching.md`.
"""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
from flyteidl.admin.execution_pb2 import Execution, WorkflowExecutionGetRequest
from flyteidl.admin.node_execution_pb2 import NodeExecution
from flyteidl.admin.task_execution_pb2 import TaskExecution
from flyteidl.core import identifier_pb2
from google.protobuf.any_pb2 import Any as AnyMessage

from flyte_nb.api.errors import RemoteError
from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.client.admin_client import AdminClient
from flyte_nb.client.remote_errors import remote_error, status_of
from flyte_nb.compiler.outline import Outline
from flyte_nb.executions.assembly import Assembly
from flyte_nb.executions.dynamics import DynamicWorkflow, grow
from flyte_nb.executions.polling import refresh
from flyte_nb.executions.views import ExecutionView
from flyte_nb.wire.identifiers import execution_id_to_idl

WATCH = "/flyte_nb.Watch/Executions"

_MESSAGES: "dict[str, type[Execution] | type[NodeExecution] | type[TaskExecution]]" = {
    kind.DESCRIPTOR.full_name: kind for kind in (Execution, NodeExecution, TaskExecution)
}
"""The messages of the stream, by the name of their type."""

_GIVE_UP_AFTER_S = 60.0
"""How long a server may stay away. A backend that is started again is back in seconds, a FlyteAdmin that is
upgraded in less than a minute."""
_FASTEST_POLL_S = 0.25
_SLOWEST_POLL_S = 5.0
_SLOWER = 1.5
"""Each poll that finds nothing new makes the next interval longer by this factor."""
_RECONNECT_PAUSE_S = 0.1
_LONGEST_RECONNECT_PAUSE_S = 2.0
_LOOK_UP_S = 0.5
"""How often a reader that waits for a view checks whether it was stopped."""
_JOIN_S = 5.0
_PASSING = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "ABORTED"})
"""Codes of a server that restarts or has too much to do. Any other code is its final answer."""


class Follower:
    """Follows one execution from `start()` until it has ended or `close()` is called."""

    def __init__(
        self,
        client: AdminClient,
        execution: ExecutionId,
        outline: "Callable[[identifier_pb2.Identifier], Outline]",
        *,
        dynamic: "DynamicWorkflow | None" = None,
        patience_s: float = _GIVE_UP_AFTER_S,
    ) -> None:
        """Make a follower. Nothing is read yet.

        Args:
            client: Calls FlyteAdmin.
            execution: The execution to follow.
            outline: Returns the names and kinds of the nodes of a workflow, by its flyteidl identifier.
                It is called once, when the execution's workflow is known. It may call FlyteAdmin.
            dynamic: Returns what a dynamic node runs. It may call FlyteAdmin. `None` names the nodes in
                there by their ids.
            patience_s: How long a server may stay away, in seconds, before the reader gets the error.
        """
        self._client = client
        self._patience_s = patience_s
        self._heard_at = time.monotonic()
        self._id = execution
        self._outline = outline
        self._dynamic = dynamic
        self._assembly = Assembly()
        self._described = False
        # The condition guards the assembly and the four fields below. The thread notifies, readers wait.
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
        """Start the thread that follows."""
        self._thread.start()

    def close(self) -> None:
        """Stop following. The execution goes on."""
        self._stop.set()
        # The thread waits in the stream's iterator, which only a cancelled call leaves.
        call = self._call
        if call is not None:
            call.cancel()
        with self._condition:
            self._ended = True
            self._condition.notify_all()
        if self._thread is not threading.current_thread() and self._thread.ident is not None:
            self._thread.join(timeout=_JOIN_S)

    def views(
        self,
        serials: "Iterator[int]",
        deadline: "float | None" = None,
        stop: "threading.Event | None" = None,
    ) -> "Iterator[ExecutionView]":
        """Yield a view now and after each change; end after the terminal view, or when closed.

        Several changes that come while the reader is busy give one view.

        Args:
            serials: Gives each view its number.
            deadline: When to stop waiting, on the scale of `time.monotonic()`; `None` waits for ever.
            stop: Ends the views within half a second after it is set.

        Raises:
            RemoteError: FlyteAdmin refused, or stayed away.
            TimeoutError: the deadline passed before the execution ended.
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
                    # The wait is bounded so that `stop` is noticed, and KeyboardInterrupt is raised.
                    self._condition.wait(_LOOK_UP_S if left is None else min(_LOOK_UP_S, left))
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
        """Follow, and leave the error, if there is one, for the reader."""
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
        """Read until the execution has ended, across restarts of the server and expired tokens.

        Raises:
            RemoteError: the server's final answer, or the last error of a server that stayed away.
        """
        read = self._read_stream
        pause = _RECONNECT_PAUSE_S
        signed_in = False
        while not self._stop.is_set():
            heard_at = self._heard_at
            try:
                read()
                if self._is_terminal():
                    return
                # A proxy may close a stream without an error when it was idle for long.
                problem = RemoteError("The stream ended early.", code="UNAVAILABLE")
            except grpc.RpcError as error:
                if self._stop.is_set():
                    return
                code = status_of(error)
                problem = remote_error(
                    error, doing=f"Watching {self._id.name}", endpoint=self._client.endpoint
                )
                # A real FlyteAdmin has no such stream. It will not grow one, so polling is for good.
                if code is grpc.StatusCode.UNIMPLEMENTED:
                    read = self._poll
                    continue
                if code is grpc.StatusCode.UNAUTHENTICATED and not signed_in:
                    signed_in = True
                    if self._client.sign_in(self._client.generation):
                        continue
            except RemoteError as error:
                # A plain call failed: a poll, or reading the names of the nodes.
                problem = error
            if problem.code not in _PASSING:
                raise problem
            # Patience counts from the last message, not from the first failure. So a server that answers
            # now and then is followed for as long as the execution takes.
            if self._heard_at != heard_at:
                pause = _RECONNECT_PAUSE_S
            if time.monotonic() - self._heard_at > self._patience_s:
                raise problem
            self._stop.wait(pause)
            pause = min(pause * 2, _LONGEST_RECONNECT_PAUSE_S)
            self._client.link.relocate()  # the local backend may listen on another port by now

    def _read_stream(self) -> None:
        """Apply the messages of one stream until it ends.

        A new stream begins with every message as it stands, so nothing is lost between two streams.

        Raises:
            grpc.RpcError: the stream broke, or the server refused it.
            RemoteError: the names of the nodes cannot be read.
        """
        request = WorkflowExecutionGetRequest(id=execution_id_to_idl(self._id))
        self._call = self._client.open_stream(WATCH, request, AnyMessage)
        # `close` may have looked for a call just before this one was there.
        if self._stop.is_set():
            self._call.cancel()
        for wrapped in self._call:
            kind = _MESSAGES.get(wrapped.TypeName())
            if kind is None:
                continue  # a later release of the backend may send more kinds
            self._heard_at = time.monotonic()
            message = kind.FromString(wrapped.value)
            # The names are fetched before the message is applied, so that the first view has them.
            if not self._described and isinstance(message, Execution):
                self._describe(message)
            with self._condition:
                self._assembly.apply(message)
            self._grow()
            with self._condition:
                self._changes += 1
                self._condition.notify_all()

    def _poll(self) -> None:
        """Read the execution again and again until it has ended; less often while nothing changes.

        Raises:
            RemoteError: FlyteAdmin refused, or cannot be reached.
        """
        interval = _FASTEST_POLL_S
        while not self._stop.is_set():
            with self._condition:
                before = self._assembly.view(0)
            fresh = refresh(self._client, self._id, self._assembly, self._condition)
            self._heard_at = time.monotonic()
            if not self._described:
                self._describe(fresh)
            self._grow()
            with self._condition:
                # Reading gives messages whether or not they are new, so views are compared.
                changed = self._assembly.view(0) != before
                if changed:
                    self._changes += 1
                    self._condition.notify_all()
            if self._is_terminal():
                return
            interval = _FASTEST_POLL_S if changed else min(interval * _SLOWER, _SLOWEST_POLL_S)
            self._stop.wait(interval)

    def _describe(self, execution: Execution) -> None:
        """Fetch the names of the nodes. This calls FlyteAdmin, so the condition is not held."""
        outline = self._outline(execution.closure.workflow_id)
        self._described = True
        with self._condition:
            self._assembly.describe(outline)

    def _grow(self) -> None:
        """Fetch the names of the nodes that dynamic tasks made. The condition is not held meanwhile."""
        if self._dynamic is not None and self._described:
            grow(self._assembly, self._condition, self._dynamic)

    def _is_terminal(self) -> bool:
        with self._condition:
            view = self._assembly.view(0)
        return view is not None and view.is_terminal
