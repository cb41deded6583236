"""Make the pages that every report (deck) has: source, inputs, outputs, times, packages.

Only attempts of tasks with `enable_deck=True` load this module.
"""

import sys
import time
from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING, Any

from flyte_nb.sdk.deck import Deck, DeckField
from flyte_nb.sdk.loops import run_to_end

if TYPE_CHECKING:
    from flyte_nb.sdk.execution_context import DirectRunner
    from flyte_nb.sdk.task import Task

_MOST_CHARACTERS = 5000
_MOST_ROWS = 10


class DeckPages:
    """Collects the report of one attempt while it runs.

    Args:
        task: the task that runs.
        runner: its context has the pages that the task itself writes.
    """

    def __init__(self, task: "Task", runner: "DirectRunner") -> None:
        self._task = task
        self._runner = runner
        self._began = time.perf_counter()
        self._times: list[tuple[str, float]] = []
        self._inputs: dict[str, Any] = {}
        self._outputs: dict[str, Any] | None = None

    def answer(self, act: "Callable[[], dict[str, Any]]") -> "dict[str, Any]":
        """Return the message that `act` returns, with the report added; a failed attempt has one too."""
        message = act()
        # An attempt whose outputs are ignored has no report either.
        if message["kind"] == "ignored":
            return message
        self._times.append(("storing the outputs", time.perf_counter() - self._began))
        try:
            return {**message, "deck": self.html()}
        # A report must not change how the attempt ends.
        except Exception as error:  # noqa: BLE001 - whatever a value's own HTML raises
            sys.stderr.write(f"The deck cannot be written: {type(error).__name__}: {error}\n")
            return message

    def function(self, /, **arguments: Any) -> Any:
        """Call the task's function, and record its inputs, outputs and times."""
        self._inputs = dict(arguments)
        now = time.perf_counter()
        self._times.append(("reading the inputs", now - self._began))
        try:
            returned = run_to_end(self._task.function(**arguments))
        finally:
            self._began = time.perf_counter()
            self._times.append(("the task's own code", self._began - now))
        self._outputs = {"returned": returned}
        return returned

    def html(self) -> str:
        """Return the whole report as it is now."""
        from flyte_nb.sdk.deck_page import page  # first needed at the end

        makers: dict[str, Callable[[], str]] = {
            DeckField.SOURCE_CODE: self._source,
            DeckField.DEPENDENCIES: _packages,
            DeckField.TIMELINE: self._timeline,
            DeckField.INPUT: lambda: _values(self._inputs),
            DeckField.OUTPUT: lambda: _values(self._outputs or {}),
        }
        own = [
            Deck(field, make(), auto_add_to_deck=False)
            for field, make in makers.items()
            if field in self._task.options.deck_fields
        ]
        written = self._runner.context.decks
        return page(self._task.short_name, [*written, *own])

    def _source(self) -> str:
        import inspect  # only for this page

        from flyte_nb.sdk.hints import undecorated

        try:
            source = inspect.getsource(undecorated(self._task.function).__code__)
        except OSError:
            return "<p>The source is not available.</p>"
        return f"<pre>{escape(source)}</pre>"

    def _timeline(self) -> str:
        rows = [f"<tr><td>{what}<td>{seconds:.3f} s" for what, seconds in self._times]
        return f"<table><tr><th>Step<th>Time{''.join(rows)}</table>"


def _values(values: "dict[str, Any]") -> str:
    rows = [
        f"<tr><th>{escape(name)}<td><code>{escape(type(value).__name__)}</code><td>{_value(value)}"
        for name, value in values.items()
    ]
    return f"<table>{''.join(rows)}</table>" if rows else "<p>None.</p>"


def _value(value: Any) -> str:
    try:
        if hasattr(value, "to_html") and hasattr(value, "head"):  # a frame
            return str(value.head(_MOST_ROWS).to_html())
        text = repr(value)
    except Exception as error:  # noqa: BLE001 - the value's own code
        return f"<em>cannot be shown: {escape(type(error).__name__)}</em>"
    if len(text) > _MOST_CHARACTERS:
        text = f"{text[:_MOST_CHARACTERS]} … {len(text) - _MOST_CHARACTERS} more characters"
    return f"<pre>{escape(text)}</pre>"


def _packages() -> str:
    from importlib.metadata import distributions  # only for this page

    found = sorted({(each.metadata["Name"] or "", each.version) for each in distributions()})
    rows = [f"<tr><td>{escape(name)}<td>{escape(version)}" for name, version in found if name]
    return f"<table><tr><th>Package<th>Version{''.join(rows)}</table>"
