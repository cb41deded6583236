"""Run a scenario with real attempts: as processes, or as calls of functions in this process."""

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from flyteidl.core.compiler_pb2 import CompiledWorkflowClosure
from flyteidl.core.literals_pb2 import LiteralMap
from flyteidl.core.tasks_pb2 import TaskTemplate

from flyte_nb.api.errors import RecoverableError, UsageError
from flyte_nb.api.identifiers import TASK, ExecutionId, Identifier
from flyte_nb.propeller.cache import MemoryCatalog, StoreCatalog
from flyte_nb.propeller.engine import Engine
from flyte_nb.propeller.ports import Executor
from flyte_nb.propeller.records import AttemptRecord, Record
from flyte_nb.propeller.run import LocalSettings, run_local
from flyte_nb.propeller.services import Services
from flyte_nb.propeller.signals import MemorySignals
from flyte_nb.sdk.execution_context import current_context
from flyte_nb.sdk.task import AnyTask
from flyte_nb.sdk.task import task as make_task
from flyte_nb.storage import open_stores
from flyte_nb.testing.scenario_runs import ActingRecorder, Ran, last_outputs, perform
from flyte_nb.testing.scenarios import Action, Scenario
from flyte_nb.testing.waiting import PATIENCE_S
from flyte_nb.types.registry import Registry
from flyte_nb.wire.identifiers import identifier_from_idl

# A container's program in one file, without any library. The two messages that it writes are small enough
# to be written as bytes by hand: a LiteralMap of integers and an ErrorDocument.
_PROGRAM = """
import json, os, signal, sys
folder, words, names, *inputs = sys.argv[1:]
folder = folder[len('file://'):] if folder.startswith('file://') else folder
words, names = json.loads(words), json.loads(names)
words = words.get(os.environ.get('FLYTE_K8S_ARRAY_INDEX', ''), words[''])
def number(value):
    data = b''
    while value > 127:
        data, value = data + bytes([value & 127 | 128]), value >> 7
    return data + bytes([value])
def field(tag, data):
    return bytes([tag << 3 | 2]) + number(len(data)) + data
def literal(value):
    return field(1, field(1, bytes([8]) + number(value)))
def leave(name, data):
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, name)
    with open(path + '.part', 'wb') as file:
        file.write(data)
    os.rename(path + '.part', path)
def give(names, value):
    pairs = (field(1, field(1, name.encode()) + field(2, literal(value))) for name in names)
    leave('outputs.pb', b''.join(pairs))
def refuse(code, text, again, origin):
    error = field(1, code.encode()) + field(2, text.encode())
    error += bytes([24, 1]) if again else b''
    leave('error.pb', field(1, error + bytes([32, origin])))
attempt = int(os.environ['FLYTE_ATTEMPT_NUMBER'])
word, _, rest = words[min(attempt, len(words) - 1)].partition(' ')
if word in ('ok', 'half'):
    read = [json.loads(value) for value in inputs]
    total = 1 + sum(sum(value) if isinstance(value, list) else value for value in read)
    give(names if word == 'ok' else names[:1], 1 if word == 'half' else int(rest or total))
elif word == 'hang':
    while True: signal.pause()
elif word.startswith('fail'):
    refuse(rest or 'USER:ValueError', 'no', word == 'fail', 1)
else:
    refuse(rest or 'SYSTEM:Lost', 'lost', word == 'system', 2)
"""


class Clock:
    """The system's time and what was added to it. For one thread that adds."""

    def __init__(self) -> None:
        self._added_us = 0

    def __call__(self) -> int:
        """Return the time in microseconds since 1970."""
        return time.time_ns() // 1000 + self._added_us

    def add(self, duration_us: int) -> None:
        """Let that time pass at once."""
        self._added_us += duration_us


class _Watching(ActingRecorder):
    """Lets the time of attempts that hang pass as soon as they run."""

    def __init__(
        self,
        scenario: Scenario,
        act: Callable[[Action], None],
        hangs: Callable[[AttemptRecord], None],
    ) -> None:
        super().__init__(scenario.actions, act)
        self._hangs = hangs
        self._scenario = scenario

    def record(self, execution: ExecutionId, records: Sequence[Record]) -> None:
        super().record(execution, records)
        for record in records:
            if isinstance(record, AttemptRecord) and record.phase == "RUNNING":
                words = self._scenario.words(record.task_id.name)
                if words[min(record.attempt, len(words) - 1)] == "hang":
                    self._hangs(record)


def run_processes(
    scenario: Scenario, folder: Path, make_executor: Callable[[Path, int], Executor]
) -> Ran:
    """Run the scenario with attempts that are processes.

    Args:
        scenario: The scenario; it must not need the time of gates to pass.
        folder: An empty folder for values, attempts and results.
        make_executor: Returns an executor for a folder of attempts and a number of slots.

    Raises:
        UsageError: when the execution does not end.
    """
    clock, store, signals = Clock(), open_stores(), MemorySignals()
    closure = _with_commands(scenario)
    timeouts = _timeouts_us(closure)

    def act(action: Action) -> None:
        perform(action, launch.id, engine, signals)

    recorder = _Watching(scenario, act, lambda record: clock.add(timeouts.get(record.node_id, 0)))
    engine = Engine(
        recorder,
        make_executor(folder / "attempts", scenario.slots),
        store,
        folder.as_uri(),
        catalog=StoreCatalog(store, f"{folder.as_uri()}/cache"),
        services=Services(signals=signals),
        clock=clock,
    )
    try:
        for number in range(scenario.launches):
            launch = scenario.launch(number)._replace(closure=closure)
            engine.launch(launch)
            if not engine.wait(launch.id, PATIENCE_S):
                raise UsageError(f"{scenario.name} does not end.")
    finally:
        engine.close()
    records = recorder.history(launch.id)
    return Ran(launch.id, records, last_outputs(records, store))


def _with_commands(scenario: Scenario) -> CompiledWorkflowClosure:
    """Return the closure with commands that behave as the scenario says."""
    closure = scenario.closure()
    for compiled in closure.tasks:
        template = compiled.template
        words = scenario.words(template.id.name)
        program = [sys.executable, "-I", "-S", "-c", _PROGRAM]
        inputs = sorted(template.interface.inputs.variables)
        del template.container.command[:], template.container.args[:]
        template.container.command.extend(
            ["no-such-command"] if words == ["unstartable"] else program
        )
        template.container.args.extend(
            [
                "{{.outputPrefix}}",
                json.dumps({"": words, **scenario.words_of_elements(template.id.name)}),
                json.dumps(sorted(template.interface.outputs.variables)),
                *(f"{{{{.inputs.{name}}}}}" for name in inputs),
            ]
        )
    return closure


def _timeouts_us(closure: CompiledWorkflowClosure) -> dict[str, int]:
    """Return the time that each node's attempts have, by the node's id; a little more than the limit."""
    of_task = {task.template.id.name: task.template.metadata.timeout for task in closure.tasks}
    found = {}
    for workflow in (closure.primary, *closure.sub_workflows):
        for node in workflow.template.nodes:
            if node.HasField("task_node"):
                own = node.metadata.HasField("timeout")
                limit = node.metadata.timeout if own else of_task[node.task_node.reference_id.name]
                if limit.ToMicroseconds():
                    found[node.id] = limit.ToMicroseconds() + 1
    return {**found, **{f"n0-0-{node_id}": limit for node_id, limit in found.items()}}


def run_inline(scenario: Scenario, registry: Registry) -> Ran:
    """Run the scenario by calling functions in this process, as `wf(…)` does.

    A function cannot fail by the system's fault, and no execution in this process can be aborted.
    """
    closure, records = scenario.closure(), list[Record]()
    tasks = dict(_functions(scenario, closure))
    catalog, outputs = MemoryCatalog(), LiteralMap()
    settings = LocalSettings(
        slots=scenario.slots,
        max_parallelism=scenario.launch().max_parallelism,
        overwrite_cache=scenario.launch().overwrite_cache,
    )
    for _ in range(scenario.launches):
        records.clear()
        try:
            outputs = run_local(
                closure,
                scenario.launch().inputs,
                tasks,
                registry,
                catalog=catalog,
                on_records=records.extend,
                settings=settings,
            )
        except Exception:  # noqa: BLE001 - what a task raised; the records say the rest
            outputs = LiteralMap()
    return Ran(ExecutionId("", "", "local"), records, outputs)


def _functions(
    scenario: Scenario, closure: CompiledWorkflowClosure
) -> Iterator[tuple[Identifier, AnyTask]]:
    mapped = {
        node.array_node.node.task_node.reference_id.name
        for workflow in (closure.primary, *closure.sub_workflows)
        for node in workflow.template.nodes
    }
    for compiled in closure.tasks:
        template = compiled.template
        yield identifier_from_idl(template.id, TASK), _function(scenario, template, mapped)


class _Call(NamedTuple):
    """What a function of a scenario knows of its call."""

    words: Sequence[str]
    outputs: Sequence[str]

    def __call__(self, attempt: int, inputs: Mapping[str, int | list[int]]) -> object:
        word, _, rest = self.words[min(attempt, len(self.words) - 1)].partition(" ")
        if word == "fail":
            raise RecoverableError("no")
        if word == "fail!":
            raise ValueError("no")
        while word == "hang":
            time.sleep(0.001)  # an attempt that runs out of time is interrupted between two steps
        total = 1 + sum(sum(x) if isinstance(x, list) else x for x in inputs.values())
        value = int(rest or total)
        if len(self.outputs) < 2:
            return value if self.outputs else None
        return (value,) * len(self.outputs)


def _function(scenario: Scenario, template: TaskTemplate, mapped: "set[str]") -> AnyTask:
    """Return a task of ours with the template's interface; that of an element, when a map runs it."""
    is_mapped = template.id.name in mapped
    inputs = {
        name: "list[int]" if variable.type.HasField("collection_type") and not is_mapped else "int"
        for name, variable in sorted(template.interface.inputs.variables.items())
    }
    outputs = sorted(template.interface.outputs.variables)
    words = scenario.words(template.id.name)
    returned = {0: "None", 1: "int"}.get(
        len(outputs), f"tuple[{', '.join(['int'] * len(outputs))}]"
    )
    parameters = ", ".join(f"{name}: {type}" for name, type in inputs.items())
    source = (
        f"def {template.id.name}({parameters}) -> {returned}:\n"
        f"    return call(current_context().attempt, dict({', '.join(f'{n}={n}' for n in inputs)}))\n"
    )
    names: dict[str, object] = {
        "call": _Call(words, outputs),
        "current_context": current_context,
    }
    exec(source, names)
    function = names[template.id.name]
    assert callable(function)
    return make_task(function)
