"""A scripted execution: it implements `ExecutionPort` over a list of steps.

The script says which node is in which phase after how many seconds. A test chooses how time goes: by a real
clock at some speed, or only when it calls `advance`. Nothing here is a mock: views are real values, and
`watch` waits as the real one does.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple

from flyte_nb.api.errors import ErrorInfo, ExecutionFailed
from flyte_nb.api.identifiers import LAUNCH_PLAN, ExecutionId, Identifier
from flyte_nb.api.literal_types import LiteralType
from flyte_nb.executions.signals import SignalView
from flyte_nb.executions.views import AttemptView, ExecutionView, NodeView
from flyte_nb.executions.why import Why


class Step(NamedTuple):
    """A change of one node, `at_s` seconds after the launch."""

    at_s: float
    node: str
    phase: str
    error: ErrorInfo | None = None
    cache_status: str = ""


def plan(*steps: Step) -> "tuple[Step, ...]":
    """Return the steps in the order of time."""
    return tuple(sorted(steps, key=lambda step: step.at_s))


def succeeding(names: Mapping[str, str]) -> "tuple[Step, ...]":
    """Return a script in which every node runs for a second, one after the other, and succeeds."""
    steps = []
    for number, node in enumerate(names):
        steps += [Step(number, node, "RUNNING"), Step(number + 1, node, "SUCCEEDED")]
    return plan(*steps)


class FakeExecution:
    """One scripted execution. `speed` is scripted seconds for each real one; 0: only `advance` moves it."""

    def __init__(
        self,
        id: ExecutionId,
        workflow: Identifier,
        names: Mapping[str, str],
        script: Sequence[Step],
        *,
        inputs: Mapping[str, Any] | None = None,
        outputs: Any = None,
        speed: float = 1.0,
        now: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
    ) -> None:
        self.id = id
        self._workflow = workflow
        self._names = dict(names)
        self._script = tuple(script)
        self._inputs = dict(inputs or {})
        self._outputs = outputs
        self._speed = speed
        self._now = now
        self._began = now()
        self._steps = 0
        self._aborted = ""
        self._changed = threading.Condition()
        self.node_data_calls: list[str] = []
        self.again: list[tuple[Any, ...]] = []

        self.gates: dict[str, SignalView] = {}
        self.waiting: dict[str, str] = {}

    def signals(self) -> Sequence[SignalView]:
        return tuple(self.gates.values())

    def signal_type(self, name: str) -> LiteralType:
        return self.gates[name].type

    def set_signal(self, name: str, value: object) -> None:
        self.gates[name] = self.gates[name]._replace(is_set=True, value=value)
        self.waiting.clear()

    def approve(self, name: str) -> None:
        self.set_signal(name, True)

    def reject(self, name: str) -> None:
        self.set_signal(name, False)

    def waits(self) -> Mapping[str, str]:
        return dict(self.waiting)

    def __repr__(self) -> str:
        return f"Execution({self.id.name})"

    def advance(self, steps: int = 1) -> None:
        """Carry out the next steps of the script."""
        with self._changed:
            self._steps = min(len(self._script), self._steps + steps)
            self._changed.notify_all()

    def _elapse(self) -> None:
        if self._speed:
            elapsed = (self._now() - self._began).total_seconds() * self._speed
            self._steps = sum(1 for step in self._script if step.at_s <= elapsed)

    def _time_of(self, step: Step) -> datetime:
        return self._began + timedelta(seconds=step.at_s / (self._speed or 1.0))

    def view(self) -> ExecutionView:
        with self._changed:
            self._elapse()
            return self._view()

    def _view(self) -> ExecutionView:
        nodes: dict[str, NodeView] = {}
        for step in self._script[: self._steps]:
            nodes[step.node] = self._after(nodes.get(step.node), step)
        phase, error, ended = "RUNNING", None, None
        failed = [node for node in nodes.values() if node.phase == "FAILED"]
        if self._aborted:
            phase, ended = "ABORTED", self._now()
        elif self._steps == len(self._script):
            last = self._script[-1]
            phase, ended = ("FAILED" if failed else "SUCCEEDED"), self._time_of(last)
            error = failed[0].error if failed else None
        launch_plan = self._workflow._replace(resource_type=LAUNCH_PLAN)
        return ExecutionView(
            id=self.id,
            entity=launch_plan,
            workflow=self._workflow,
            phase=phase,
            created_at=self._began,
            started_at=self._began,
            ended_at=ended,
            error=error,
            abort_cause=self._aborted,
            nodes=tuple(nodes.values()),
            total_nodes=len(self._names),
            serial=self._steps + bool(self._aborted),
        )

    def _after(self, before: NodeView | None, step: Step) -> NodeView:
        at = self._time_of(step)
        if before is None:
            name = self._names[step.node]
            before = NodeView(step.node, step.node, name, "QUEUED", started_at=at)
        attempts = list(before.attempts)
        if step.phase == "RUNNING":
            attempts.append(AttemptView(len(attempts), "RUNNING", started_at=at))
        elif attempts:
            attempts[-1] = attempts[-1]._replace(
                phase="FAILED" if step.phase == "RETRYABLE_FAILED" else step.phase,
                ended_at=at,
                error=step.error,
                cpu_s=0.8,
                max_rss_bytes=212_000_000,
            )
        terminal = step.phase in ("SUCCEEDED", "FAILED", "ABORTED")
        return before._replace(
            phase="RUNNING" if step.phase == "RETRYABLE_FAILED" else step.phase,
            attempts=tuple(attempts),
            ended_at=at if terminal else None,
            error=step.error if step.phase == "FAILED" else None,
            cache_status=step.cache_status or before.cache_status,
        )

    def watch(self) -> Iterator[ExecutionView]:
        serial = -1
        while True:
            view = self.view()
            if view.serial != serial:
                serial = view.serial
                yield view
                if view.is_terminal:
                    return
            with self._changed:
                self._changed.wait(0.02)

    def wait(self, timeout: float | None = None) -> ExecutionView:
        for view in self.watch():
            last = view
        if last.phase != "SUCCEEDED":
            info = last.error or ErrorInfo(last.phase, last.abort_cause)
            raise ExecutionFailed(f"{self.id.name} ended {last.phase}", info=info)
        return last

    def inputs(self) -> Mapping[str, Any]:
        return self._inputs

    def outputs(self) -> Any:
        return self._outputs

    def node_data(self, node_id: str) -> "tuple[Mapping[str, Any], Mapping[str, Any]]":
        self.node_data_calls.append(node_id)
        return {"seed": 7}, {"o0": 0.97}

    def dynamic_workflow(self, node: NodeView) -> Any:
        return None

    def logs(self, node_id: str | None = None, attempt: int | None = None) -> str:
        lines = []
        for node in self.view().nodes:
            if node_id in (None, node.node_id):
                lines += [
                    f"{node.node_id} attempt {tried.attempt + 1} says hello"
                    for tried in node.attempts
                    if attempt in (None, tried.attempt)
                ]
        return "\n".join(lines) + ("\n" if lines else "")

    def relaunch(
        self, name: "str | None" = None, *, overwrite_cache: bool = False
    ) -> "FakeExecution":
        self.again.append(("relaunch", name, overwrite_cache))
        return self

    def recover(self, name: "str | None" = None) -> "FakeExecution":
        self.again.append(("recover", name))
        return self

    def why(self, node_id: str, name: str = "") -> Why:
        return Why(node_id, name, "hit", "f1 (n0) computed the result.")

    def terminate(self, cause: str) -> None:
        with self._changed:
            self._aborted = cause
            self._changed.notify_all()
