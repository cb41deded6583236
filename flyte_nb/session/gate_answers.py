"""Answer the gates of local runs: by `with answers(…)`, else by a widget, never by stdin."""

import sys
from collections.abc import Callable
from typing import Protocol

from flyteidl.core.literals_pb2 import Literal as LiteralMessage

from flyte_nb.api.errors import CodecError
from flyte_nb.api.literals import Literal
from flyte_nb.client.data import KernelData
from flyte_nb.compiler.casting import TypeTable
from flyte_nb.compiler.inference import type_of_literal
from flyte_nb.propeller.local_gates import Answerer, GateQuestion, Unanswered
from flyte_nb.sdk.answers import answer_to
from flyte_nb.types.codec import Codec, spell
from flyte_nb.types.registry import Registry
from flyte_nb.wire.literals import literal_from_idl, literal_to_idl
from flyte_nb.wire.types import type_from_idl


class GateAnswers(Answerer):
    """Answers the gates of a session's local runs."""

    def __init__(self, registry: Registry, data: KernelData) -> None:
        self._registry = registry
        self._data = data

    def given(self, question: GateQuestion) -> "LiteralMessage | None":
        """Return what `with answers(…)` gives; `None` when it gives nothing for this gate.

        Raises:
            Unanswered: when it does not fit.
        """
        approved = (lambda: self._approved(question)) if question.is_approval else None
        found = answer_to(question.name, approved)
        return literal_to_idl(self._literal(question, found[0])) if found else None

    def ask(
        self, question: GateQuestion, answer: "Callable[[LiteralMessage], None]"
    ) -> "Callable[[], None]":
        """Show a widget that asks, and return what takes it away.

        Raises:
            Unanswered: when there is no notebook in which a person could answer.
        """
        wanted = "bool" if question.is_approval else spell(self._codec(question).python_type)
        example = "True" if question.is_approval else "…"
        call = f"with flyte_nb.answers({{{question.name!r}: {example}}}): {_short(question.workflow)}(…)"
        ask = _asker()
        take_back = None
        if ask is not None:
            take_back = ask(
                name=question.name,
                workflow=_short(question.workflow),
                approved=self._approved(question) if question.is_approval else None,
                codec=None if question.is_approval else self._codec(question),
                send=lambda value: answer(literal_to_idl(self._literal(question, value))),
                call=call,
            )
        if take_back is None:
            what = "an approval" if question.is_approval else f"a value ({wanted})"
            raise Unanswered(
                f"{question.workflow} waits at the gate {question.name!r} for {what}, and nobody can be asked"
                " here.",
                hint=f"Give the answer with the call: {call}.",
            )
        return take_back

    def _approved(self, question: GateQuestion) -> object:
        """Return the value that waits to be approved, as its type reads it."""
        for literal in question.approved.literals.values():
            # The closure has the type, and nobody carries it here; the value says as much as a person needs.
            found = type_of_literal(TypeTable(), literal)
            if found is not None:
                guessed = self._registry.guess(type_from_idl(found.message))
                value: object = self._registry.codec(guessed).decode(
                    literal_from_idl(literal), self._data
                )
                return value
        return None

    def _codec(self, question: GateQuestion) -> Codec:
        return self._registry.codec(self._registry.guess(type_from_idl(question.type)))

    def _literal(self, question: GateQuestion, value: object) -> Literal:
        wanted = type_from_idl(question.type)
        codec = self._codec(question)
        try:
            own = self._registry.quiet.codec(value.__class__)
            if own.literal_type == wanted:
                codec = own
        except CodecError:
            pass  # e.g. a bare list: the type knows what is in it
        try:
            return codec.encode(value, self._data)
        except CodecError as error:
            raise Unanswered(
                f"The answer to the gate {question.name!r} does not fit: {error.bare_message}",
                hint=error.hint,
            ) from None


def _short(name: str) -> str:
    return name.rpartition(".")[2]


class _Ask(Protocol):
    """Asks a person in the notebook; see `notebook.live.gate_forms.ask_here`."""

    def __call__(
        self,
        *,
        name: str,
        workflow: str,
        approved: object,
        codec: "Codec | None",
        send: "Callable[[object], None]",
        call: str,
    ) -> "Callable[[], None] | None":
        """Show the question, and return what takes it away; `None` when nobody can be asked."""
        ...


def _asker() -> "_Ask | None":
    """Return what asks a person; `None` where `%load_ext flyte_nb` has not put it into the shell.

    The shell is what this room and the notebook's both see.
    """
    ipython = sys.modules.get("IPython.core.getipython")  # loaded where there is a shell
    shell = ipython.get_ipython() if ipython is not None else None
    ask: _Ask | None = getattr(getattr(shell, "_flyte_nb", None), "ask_at_gate", None)
    return ask
