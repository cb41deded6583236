"""`Execution`: the handle of one execution. Follow it, wait for it, read its values and logs, end it.

Every method is synchronous, so that it works inside a running event loop, as in a notebook. `await execution`
waits in a thread.
"""

import asyncio
import contextlib
import itertools
import threading
import time
from collections.abc import Generator, Mapping
from typing import Any

from flyteidl.admin.execution_pb2 import ExecutionTerminateRequest
from flyteidl.core import identifier_pb2
from flyteidl.core.compiler_pb2 import CompiledWorkflowClosure

from flyte_nb.api.errors import RemoteError, UsageError
from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.api.phases import SUCCEEDED
from flyte_nb.compiler.outline import Outline
from flyte_nb.executions.again import recover, relaunch
from flyte_nb.executions.assembly import Assembly
from flyte_nb.executions.dynamics import DynamicWorkflows, grow
from flyte_nb.executions.execution_values import ExecutionValues
from flyte_nb.executions.failures import failure_of
from flyte_nb.executions.following import Follower
from flyte_nb.executions.logs import logs_of
from flyte_nb.executions.nodes import ExecutionNodes
from flyte_nb.executions.polling import refresh
from flyte_nb.executions.reasons import Reasons
from flyte_nb.executions.session_context import SessionContext
from flyte_nb.executions.signals import ExecutionSignals, WithSignals
from flyte_nb.executions.views import ExecutionView, NodeView
from flyte_nb.executions.why import Why
from flyte_nb.types.codec import Codec
from flyte_nb.wire.identifiers import execution_id_to_idl, identifier_to_idl


class Watching:
    """What `execution.watch()` returns: an iterator of views. A notebook displays it as a live tracker."""

    def __init__(
        self, execution: "Execution", views: "Generator[ExecutionView, None, None]"
    ) -> None:
        self.execution = execution
        self._views = views

    def __iter__(self) -> "Watching":
        return self

    def __next__(self) -> ExecutionView:
        return next(self._views)

    def __repr__(self) -> str:
        return (
            f"<views of {self.execution.name}: a for loop gets one after every change,"
            f" %flyte watch {self.execution.name} shows them>"
        )

    def close(self) -> None:
        """Stop watching; the execution goes on."""
        self._views.close()


class Execution(WithSignals):
    """An execution on FlyteAdmin. All methods are synchronous; `await execution` waits too."""

    def __init__(
        self,
        id: ExecutionId,
        context: SessionContext,
        *,
        input_codecs: "Mapping[str, Codec] | None" = None,
        output_codecs: "Mapping[str, Codec] | None" = None,
    ) -> None:
        """Make a handle for the execution of that id. Nothing is read yet.

        Args:
            id: Its project, domain and name.
            context: The session's client, types and data access.
            input_codecs: Codecs of the inputs by name, when this kernel defines the entity: they give the
                author's own classes. `None` chooses codecs by the registered types.
            output_codecs: Codecs of the outputs by name, likewise.
        """
        self.id = id
        self._context = context
        self._codecs = (input_codecs, output_codecs)
        self._values = ExecutionValues(
            id, context, input_codecs=input_codecs, output_codecs=output_codecs
        )
        self._dynamics = DynamicWorkflows(context.client, id)
        self._signals = ExecutionSignals(id, context)
        self._serials = itertools.count(1)
        self._last: ExecutionView | None = None

    @property
    def name(self) -> str:
        """Return the execution's name, which is unique in its project and domain."""
        return self.id.name

    def __repr__(self) -> str:
        phase = f", {self._last.phase}" if self._last is not None else ""
        return f"<execution {self.id.name} in {self.id.project}/{self.id.domain}{phase}>"

    def view(self) -> ExecutionView:
        """Return the execution as it stands, with its nodes.

        Raises:
            RemoteError: NOT_FOUND when there is no such execution, and other refusals.
        """
        # What has ended does not change, so it is not read again.
        if self._last is not None and self._last.is_terminal:
            return self._last
        assembly = Assembly()
        own = refresh(self._context.client, self.id, assembly, threading.Lock())
        assembly.describe(self._outline(own.closure.workflow_id))
        grow(assembly, contextlib.nullcontext(), self._dynamics)
        return self._remember(assembly.view(next(self._serials)))

    def watch(self) -> "Watching":
        """Return an iterator of views: one now, one after every change, and the terminal one last.

        Leaving the loop early stops the watching. The execution goes on. The iterator raises `RemoteError`
        when FlyteAdmin refuses, or cannot be reached for a minute.
        """
        return Watching(self, self._watch(None, threading.Event()))

    def wait(self, timeout: "float | None" = None) -> ExecutionView:
        """Wait until the execution has ended; return its last view.

        Args:
            timeout: Seconds to wait at most; `None` waits as long as it takes.

        Raises:
            ExecutionFailed: it ended in another phase than SUCCEEDED; the message has the task's error.
            TimeoutError: it has not ended within `timeout` seconds. It goes on.
            RemoteError: FlyteAdmin refused, or could not be reached for a minute.
        """
        return self._wait(timeout, threading.Event())

    def __await__(self) -> "Generator[Any, None, ExecutionView]":
        return self._wait_in_thread().__await__()

    def outputs(self) -> "dict[str, Any]":
        """Return the outputs by name, as Python values.

        Raises:
            ExecutionFailed: it did not succeed, so there are no outputs.
            CodecError: a stored value does not fit its type.
            RemoteError: FlyteAdmin refused, or cannot be reached.
            StorageError: the outputs are missing, or cannot be read.
            UsageError: it has not ended yet.
        """
        view = self.view()
        if not view.is_terminal:
            raise UsageError(
                f"{self.name} is {view.phase}: it has no outputs yet. Call wait() first."
            )
        if view.phase != SUCCEEDED:
            raise failure_of(view)
        return self._values.outputs(view)

    def inputs(self) -> "dict[str, Any]":
        """Return the inputs by name, as Python values, with the defaults that FlyteAdmin added.

        Raises:
            CodecError: a stored value does not fit its type.
            RemoteError: FlyteAdmin refused, or cannot be reached.
            StorageError: the inputs are missing, or cannot be read.
        """
        # Inputs never change, so any view will do.
        return self._values.inputs(self._last if self._last is not None else self.view())

    @property
    def nodes(self) -> ExecutionNodes:
        """The nodes as they stand now, by id or by name: `execution.nodes["n0"].why()`."""
        return ExecutionNodes(self, self.view())

    def why(self, node_id: str, name: str = "") -> Why:
        """Return why a node ran, or did not: a cached result was found, or was not and because of what.

        Args:
            node_id: The node.
            name: What the answer calls it.

        Raises:
            RemoteError: NOT_FOUND when there is no such node, and other refusals.
        """
        return Reasons(self._context).why(self.id, node_id, name or node_id)

    def node_data(self, node_id: str) -> "tuple[dict[str, Any], dict[str, Any]]":
        """Return inputs and outputs of one node, by name. Outputs are empty until the node has succeeded.

        Raises:
            CodecError: a stored value does not fit its type.
            RemoteError: NOT_FOUND when there is no such node, and other refusals.
            StorageError: the outputs of a node that succeeded are missing, or cannot be read.
        """
        return self._values.of_node(node_id)

    def logs(self, node_id: "str | None" = None, attempt: "int | None" = None) -> str:
        """Return what the attempts printed, and what nodes that do not go on wait for.

        A log that is on a web page, as on most clusters, is given by its address. A log that cannot be read
        is named, with the reason.

        Args:
            node_id: The id or the name of a node; `None` for all nodes.
            attempt: The number of an attempt, counted from 0 as in flyteidl; `None` for all attempts.

        Raises:
            RemoteError: NOT_FOUND when there is no such execution, and other refusals.
        """
        view = self.view()
        waits = {} if view.is_terminal else self.waits()
        return logs_of(view, waits, self._context.data.read, node_id, attempt)

    def dynamic_workflow(self, node: NodeView) -> "CompiledWorkflowClosure | None":
        """Return what a dynamic node runs; `None` for other nodes, and when FlyteAdmin does not have it.

        Raises:
            RemoteError: FlyteAdmin cannot be reached.
        """
        return self._dynamics(node.node_id, node.job_uri) if node.job_uri else None

    def terminate(self, cause: str = "") -> None:
        """Ask FlyteAdmin to abort the execution. Nothing happens when it has ended already.

        Args:
            cause: Why, for people who look at the execution later.

        Raises:
            RemoteError: NOT_FOUND when there is no such execution, and other refusals.
        """
        # FlyteAdmin refuses to end what has ended. To the caller both mean the same, so it is no error.
        request = ExecutionTerminateRequest(id=execution_id_to_idl(self.id), cause=cause)
        try:
            self._context.client.call(
                "TerminateExecution", request, doing=f"Terminating {self.name}", idempotent=True
            )
        except RemoteError as error:
            if error.code != "FAILED_PRECONDITION":
                raise

    def relaunch(self, name: "str | None" = None, *, overwrite_cache: bool = False) -> "Execution":
        """Launch it again with the same inputs and settings; return the new execution.

        Args:
            name: The new execution's name; made up when `None`.
            overwrite_cache: Whether cached tasks run although their results are known, and replace them.

        Raises:
            RemoteError: NOT_FOUND when there is no such execution, and other refusals.
        """
        again = relaunch(self._context, self.id, name=name, overwrite_cache=overwrite_cache)
        return self._like(again)

    def recover(self, name: "str | None" = None) -> "Execution":
        """Launch it again without running what succeeded in it; return the new execution.

        Nodes that succeeded are taken over with their outputs, also inside of sub-workflows and in the
        executions that nodes started. Tasks that failed continue from their last checkpoint.

        Args:
            name: The new execution's name; made up when `None`.

        Raises:
            RemoteError: NOT_FOUND when there is no such execution, and other refusals.
        """
        return self._like(recover(self._context, self.id, name=name))

    def _like(self, id: ExecutionId) -> "Execution":
        inputs, outputs = self._codecs
        return Execution(id, self._context, input_codecs=inputs, output_codecs=outputs)

    async def _wait_in_thread(self) -> ExecutionView:
        """Wait in a thread, so that the event loop goes on; see `wait`."""
        stop = threading.Event()
        try:
            return await asyncio.to_thread(self._wait, None, stop)
        except asyncio.CancelledError:
            # In a notebook, interrupting a cell cancels its await.
            raise asyncio.CancelledError(self._not_waited_for()) from None
        finally:
            stop.set()  # cancelling the await does not end the thread by itself

    def _wait(self, timeout: "float | None", stop: threading.Event) -> ExecutionView:
        """Wait until the execution has ended, or until `stop` is set; see `wait`."""
        deadline = None if timeout is None else time.monotonic() + timeout
        view = None
        try:
            for view in self._watch(deadline, stop):  # noqa: B007 - the last one counts
                pass
        except TimeoutError:
            phase = self._last.phase if self._last is not None else "not seen yet"
            raise TimeoutError(
                f"{self.name} has not ended after {timeout:g} s (it is {phase}). It goes on;"
                " wait() again, or terminate()."
            ) from None
        if view is None or not view.is_terminal:
            raise RemoteError(
                f"Watching {self.name} was stopped.",
                code="CANCELLED",
                hint="The execution goes on; wait() again.",
            )
        if view.phase != SUCCEEDED:
            raise failure_of(view)
        return view

    def _not_waited_for(self) -> str:
        return (
            f"{self.name} is not waited for any longer. It goes on: wait() again, follow it with"
            f" %flyte watch {self.name}, or end it with terminate()."
        )

    def _watch(
        self, deadline: "float | None", stop: threading.Event
    ) -> "Generator[ExecutionView, None, None]":
        """Yield views from a follower of this call's own; see `Follower.views`."""
        if self._last is not None and self._last.is_terminal:
            yield self._last
            return
        # Each loop over views has a follower of its own, so that loops may start and stop independently.
        follower = Follower(self._context.client, self.id, self._outline, dynamic=self._dynamics)
        try:
            follower.start()
            for view in follower.views(self._serials, deadline, stop):
                yield self._remember(view)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(self._not_waited_for()) from None
        finally:
            follower.close()

    def _remember(self, view: "ExecutionView | None") -> ExecutionView:
        if view is None:
            raise RemoteError(
                f"There is no execution {self.name}.",
                code="NOT_FOUND",
                hint=f"Check its name, and that it is in {self.id.project}/{self.id.domain}.",
            )
        self._last = view
        return view

    def _closure(self) -> "CompiledWorkflowClosure | None":
        """Return the closure of the execution's workflow; `None` when there is none."""
        view = self._last if self._last is not None else self.view()
        return self._values.compiled(identifier_to_idl(view.workflow))

    def _outline(self, workflow: identifier_pb2.Identifier) -> Outline:
        return Outline(self._values.compiled(workflow))
