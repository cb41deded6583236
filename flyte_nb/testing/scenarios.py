"""Scenarios: workflows with the events that FlytePropeller gives for them, in files that people can read.

A file has a title, a text and scenarios. Each scenario has a workflow (`scenario_reading`), says how every
attempt at its tasks ends, what happens from outside, and the exact events (`event_lines`). Attempts:

    - `ok`: ends with output o0 = 1 + the sum of the inputs; `ok 7` with o0 = 7
- `half`: ends without its outputs but the first
- `fail`: fails by the user's fault, and may be tried again; `fail CODE` with that code
- `fail!`: fails by the user's fault for good
- `system`, `system!`: likewise by the system's fault
- `hang`: runs until it is ended
- `unstartable`: cannot be started
- `makes`: ends with the nodes in the task's `makes`: a dynamic task

A list has one of these for each attempt, and the last one holds for all that follow. A mapping has them for
elements of a map by number; an element that is not in it succeeds.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from flyteidl.core.compiler_pb2 import CompiledWorkflowClosure
from flyteidl.core.literals_pb2 import Literal, LiteralMap

from flyte_nb.api.errors import SYSTEM, USER, ErrorInfo, TaskFailed, UsageError
from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.propeller.launch import Launch
from flyte_nb.propeller.ports import Attempt
from flyte_nb.testing.closures import DOMAIN, PROJECT, integers
from flyte_nb.testing.scenario_reading import Plain, closure_of, job_of
from flyte_nb.testing.scripted_executor import Result

_ERRORS = {
    "fail": ErrorInfo("USER:ValueError", "no", USER, recoverable=True),
    "fail!": ErrorInfo("USER:ValueError", "no", USER),
    "system": ErrorInfo("SYSTEM:Lost", "lost", SYSTEM, recoverable=True),
    "system!": ErrorInfo("SYSTEM:Lost", "lost", SYSTEM),
}


class Action(NamedTuple):
    """Something that happens from outside once an event was recorded."""

    after: str
    """The line of the event."""
    does: str
    """`abort`, or `signal <id>`."""
    value: Any


class Scenario(NamedTuple):
    """One scenario of a file."""

    name: str
    about: str
    file: str
    plain: Plain
    """The scenario as it is in the file."""

    @property
    def events(self) -> list[str]:
        """Return the lines of the events that propeller gives."""
        return str(self.plain.get("events", "")).splitlines()

    @property
    def outputs(self) -> Mapping[str, int]:
        """Return the workflow's outputs, for an execution that succeeds."""
        found: Mapping[str, int] = self.plain.get("returns", {})
        return found

    @property
    def races(self) -> str:
        """Return what depends on how fast attempts are; empty when nothing does."""
        return str(self.plain.get("races", ""))

    @property
    def actions(self) -> list[Action]:
        """Return what happens from outside."""
        found = []
        for entry in self.plain.get("then", ()):
            does, value = next((k, v) for k, v in entry.items() if k != "after")
            found.append(Action(entry["after"], does, value))
        return found

    @property
    def launches(self) -> int:
        """Return how often the workflow is launched, one after the other. The events are the last one's."""
        return int(self.plain.get("launches", 1))

    @property
    def slots(self) -> int:
        """Return how many attempts may run at a time."""
        return int(self.plain.get("slots", 4))

    @property
    def every_word(self) -> frozenset[str]:
        """Return all words that say how attempts end, without what follows them."""
        found = set()
        for task in self.plain.get("tasks", {}):
            for words in (self.words(task), *self.words_of_elements(task).values()):
                found |= {word.partition(" ")[0] for word in words}
        return frozenset(found)

    def words_of_elements(self, task: str) -> dict[str, list[str]]:
        """Return the words of a mapped task's elements, by number, of those that have words of their own."""
        plain = self.plain["tasks"][task]
        written = plain["attempts"] if isinstance(plain, Mapping) else plain
        if not isinstance(written, Mapping):
            return {}
        return {str(element): self.words(task, element) for element in written}

    def closure(self) -> CompiledWorkflowClosure:
        """Return the compiled workflow."""
        return closure_of(self.plain)

    def launch(self, number: int = 0) -> Launch:
        """Return the launch with that number."""
        return Launch(
            ExecutionId(PROJECT, DOMAIN, f"e{number}"),
            self.closure(),
            integers(**self.plain.get("inputs", {})),
            max_parallelism=int(self.plain.get("parallelism", 0)),
            overwrite_cache=bool(self.plain.get("overwrite_cache")),
        )

    def behaves(self, attempt: Attempt) -> Result:
        """Return how an attempt ends (a `scripted_executor.Behaviour`).

        Raises:
            TaskFailed: when the scenario says that it cannot be started.
        """
        plain, word = self.plain["tasks"][attempt.task_id.name], self.word(attempt)
        if word == "makes":
            return job_of(self.plain, attempt.task_id.name)
        return ending(word, attempt.inputs, _outputs(plain))

    def word(self, attempt: Attempt) -> str:
        """Return the word that says how the attempt ends."""
        words = self.words(attempt.task_id.name, attempt.element)
        return words[min(attempt.key.attempt, len(words) - 1)]

    def words(self, task: str, element: int = -1) -> list[str]:
        """Return the words that say how the attempts at a task end; the last one holds for all after it.

        Args:
            task: The task's name.
            element: The element of a map that the attempts are at; -1 for other nodes.
        """
        plain = self.plain["tasks"][task]
        written = plain["attempts"] if isinstance(plain, Mapping) else plain
        if isinstance(written, Mapping):
            written = written.get(element, "ok")
        return [str(word) for word in (written if isinstance(written, list) else [written])]


def ending(word: str, inputs: LiteralMap, outputs: Sequence[str]) -> Result:
    """Return how an attempt with that word ends.

    Raises:
        TaskFailed: for `unstartable`.
        UsageError: when there is no such word.
    """
    first, _, rest = word.partition(" ")
    if first == "ok":
        value = int(rest) if rest else 1 + sum(map(_sum, inputs.literals.values()))
        return integers(**dict.fromkeys(outputs, value))
    if first == "half":
        return integers(**{outputs[0]: 1})
    if first in _ERRORS:
        return _ERRORS[first]._replace(code=rest or _ERRORS[first].code)
    if first == "hang":
        return None
    if first == "unstartable":
        raise TaskFailed(ErrorInfo("CommandNotFound", "there is no such command", USER))
    raise UsageError(f"{word!r} says nothing about how an attempt ends.")


def load(path: Path) -> list[Scenario]:
    """Return the scenarios of one file.

    Raises:
        UsageError: when two have the same name.
    """
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    shared = document.get("tasks", {})
    found = [
        Scenario(
            name=plain["name"],
            about=str(plain.get("about", "")).strip(),
            file=path.stem,
            plain={**plain, "tasks": {**_used(shared, plain), **plain.get("tasks", {})}},
        )
        for plain in document["scenarios"]
    ]
    names = [scenario.name for scenario in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(f"{path.name} has two scenarios called {', '.join(twice)}.")
    return found


def load_all(folder: Path) -> list[Scenario]:
    """Return the scenarios of every file in the folder, by the files' names."""
    return [scenario for path in sorted(folder.glob("*.yaml")) for scenario in load(path)]


def _used(shared: Plain, plain: Plain) -> Plain:
    """Return the shared tasks that the scenario names."""
    text = str(plain)
    return {name: task for name, task in shared.items() if f"{name}(" in text}


def _outputs(plain: Any) -> Sequence[str]:
    found: Sequence[str] = plain.get("outputs", ["o0"]) if isinstance(plain, Mapping) else ["o0"]
    return found


def _sum(literal: Literal) -> int:
    if literal.HasField("collection"):
        return sum(map(_sum, literal.collection.literals))
    return int(literal.scalar.primitive.integer)
