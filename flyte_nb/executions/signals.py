"""The gates of one execution: which signals it has, what they wait for, and giving them a value.

A signal exists in FlyteAdmin from the moment in which the run reaches its gate. A value that comes earlier is
kept for the gate too: the signal is made then, with the type that the workflow's closure names.
"""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from flyteidl.admin.signal_pb2 import (
    Signal,
    SignalGetOrCreateRequest,
    SignalListRequest,
    SignalSetRequest,
)
from flyteidl.core.compiler_pb2 import CompiledWorkflowClosure
from flyteidl.core.identifier_pb2 import SignalIdentifier
from flyteidl.core.types_pb2 import BOOLEAN
from flyteidl.core.types_pb2 import LiteralType as TypeMessage
from flyteidl.core.workflow_pb2 import GateNode, Node
from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import StringValue

from flyte_nb.api.errors import CodecError, RemoteError, UsageError
from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.api.literal_types import LiteralType, describe
from flyte_nb.api.literals import Literal
from flyte_nb.executions.session_context import SessionContext
from flyte_nb.types.codec import Codec, spell
from flyte_nb.wire.identifiers import execution_id_to_idl
from flyte_nb.wire.literals import literal_from_idl, literal_to_idl
from flyte_nb.wire.types import type_from_idl

WAITS = "/flyte_nb.Engine/Waits"
"""The local backend's own call: why nodes do not go on."""

APPROVAL = "approval"
VALUE = "value"

_MOST = 1000
"""Signals that are listed at a time."""


class SignalView(NamedTuple):
    """One signal of an execution."""

    name: str
    kind: str
    """`APPROVAL` for a gate that is approved or rejected, else `VALUE`."""
    type: LiteralType
    is_set: bool = False
    value: object = None
    """The value that was given, as a Python value."""


class ExecutionSignals:
    """The signals of one execution."""

    def __init__(self, id: ExecutionId, context: SessionContext) -> None:
        self._id = id
        self._context = context
        self._has_waits = True
        self._reached: frozenset[str] = frozenset()

    def reached(self, closure: "CompiledWorkflowClosure | None") -> "tuple[SignalView, ...]":
        """Return the signals that the run has reached, in that order.

        Args:
            closure: The execution's workflow, which says which signals are approvals.

        Raises:
            CodecError: a value cannot be read.
            RemoteError: FlyteAdmin refused, or cannot be reached.
        """
        approvals = frozenset(n for n, gate in _gates(closure) if gate.HasField("approve"))
        return tuple(self._view(signal, approvals) for signal in self._listed())

    def answer(
        self, name: str, value: object, closure: "CompiledWorkflowClosure | None" = None
    ) -> None:
        """Give a signal a value.

        Args:
            name: The signal's name.
            value: A Python value of its type.
            closure: The execution's workflow, which knows signals that the run has not reached yet.

        Raises:
            UsageError: there is no such signal, or the value does not fit its type.
            RemoteError: FlyteAdmin refused, or cannot be reached.
        """
        type = self._found(name, closure)
        if name not in self._reached:
            request = SignalGetOrCreateRequest(id=self._signal_id(name), type=type)
            self._call("GetOrCreateSignal", request, f"Answering {name} of {self._id.name}")
        literal = as_literal(value, type_from_idl(type), self._context, f"The signal {name}")
        setting = SignalSetRequest(id=self._signal_id(name), value=literal_to_idl(literal))
        self._call("SetSignal", setting, f"Answering {name} of {self._id.name}")

    def type_of(self, name: str, closure: "CompiledWorkflowClosure | None") -> LiteralType:
        """Return the type of a signal's value.

        Raises:
            UsageError: there is no such signal.
            RemoteError: FlyteAdmin refused, or cannot be reached.
        """
        return type_from_idl(self._found(name, closure))

    def waits(self) -> "dict[str, str]":
        """Return what nodes wait for, by node id; nothing where FlyteAdmin does not say it.

        Raises:
            RemoteError: FlyteAdmin refused, or cannot be reached.
        """
        if not self._has_waits:
            return {}
        request = StringValue(value=json.dumps({"execution": list(self._id)}))
        try:
            answer = self._call(WAITS, request, f"Reading {self._id.name}")
        except RemoteError as error:
            if error.code != "UNIMPLEMENTED":
                raise
            self._has_waits = False  # a cluster's FlyteAdmin, which is not asked again
            return {}
        found: dict[str, list[str]] = json.loads(answer.value)["waits"]
        return {node_id: text for node_id, (_, text) in found.items()}

    def _found(self, name: str, closure: "CompiledWorkflowClosure | None") -> TypeMessage:
        """Return the type of a signal, and note which signals exist already."""
        listed = {signal.id.signal_id: signal.type for signal in self._listed()}
        self._reached = frozenset(listed)
        if name in listed:
            return listed[name]
        known = dict.fromkeys(listed)
        for gate_name, gate in _gates(closure):
            known[gate_name] = None
            if gate_name == name:
                is_approval = gate.HasField("approve")
                return TypeMessage(simple=BOOLEAN) if is_approval else gate.signal.type
        has = f"It has: {', '.join(known)}." if known else "It has none."
        raise UsageError(f"{self._id.name} has no signal {name!r}. {has}")

    def _view(self, signal: Signal, approvals: "frozenset[str]") -> SignalView:
        type = type_from_idl(signal.type)
        is_set = signal.value.WhichOneof("value") is not None
        value = None
        if is_set:
            codec = self._context.registry.codec(self._context.registry.guess(type))
            value = codec.decode(literal_from_idl(signal.value), self._context.data)
        kind = APPROVAL if signal.id.signal_id in approvals else VALUE
        return SignalView(signal.id.signal_id, kind, type, is_set, value)

    def _listed(self) -> "list[Signal]":
        found: list[Signal] = []
        token = ""
        while True:
            request = SignalListRequest(
                workflow_execution_id=execution_id_to_idl(self._id), limit=_MOST, token=token
            )
            answer = self._call("ListSignals", request, f"Reading the signals of {self._id.name}")
            found += answer.signals
            token = answer.token
            if not token:
                return found

    def _signal_id(self, name: str) -> SignalIdentifier:
        return SignalIdentifier(signal_id=name, execution_id=execution_id_to_idl(self._id))

    def _call(self, method: str, request: Message, doing: str) -> Any:
        return self._context.client.call(method, request, doing=doing, idempotent=True)


class WithSignals:
    """The part of an execution's handle that answers its gates."""

    _signals: ExecutionSignals

    def _closure(self) -> "CompiledWorkflowClosure | None":
        """Return the closure of the execution's workflow; `None` when there is none."""
        raise NotImplementedError

    def signals(self) -> "tuple[SignalView, ...]":
        """Return the signals of the gates that the run has reached, and the values that were given.

        Raises:
            CodecError: a value cannot be read.
            RemoteError: FlyteAdmin refused, or cannot be reached.
        """
        return self._signals.reached(self._closure())

    def set_signal(self, name: str, value: object) -> None:
        """Give a gate its value, also before the run reaches it.

        Args:
            name: The gate's name.
            value: For `wait_for_input` a value of its type, for `approve` True or False.

        Raises:
            RemoteError: FlyteAdmin refused, or cannot be reached.
            UsageError: There is no such gate, or the value does not fit.
        """
        self._signals.answer(name, value, self._closure())

    def signal_type(self, name: str) -> LiteralType:
        """Return the type of the value that a gate waits for.

        Raises:
            RemoteError: FlyteAdmin refused, or cannot be reached.
            UsageError: There is no such gate.
        """
        return self._signals.type_of(name, self._closure())

    def approve(self, name: str) -> None:
        """Approve what waits at a gate of `approve`.

        Raises:
            RemoteError: FlyteAdmin refused, or cannot be reached.
            UsageError: There is no such gate.
        """
        self.set_signal(name, True)

    def reject(self, name: str) -> None:
        """Reject what waits at a gate of `approve`: its node fails.

        Raises:
            RemoteError: FlyteAdmin refused, or cannot be reached.
            UsageError: There is no such gate.
        """
        self.set_signal(name, False)

    def waits(self) -> "dict[str, str]":
        """Return what nodes that could go on wait for, by node id: a signal, a time, a slot, another task.

        A FlyteAdmin of a cluster does not say it; then nothing is returned.

        Raises:
            RemoteError: FlyteAdmin refused, or cannot be reached.
        """
        return self._signals.waits()


def as_literal(value: object, type: LiteralType, context: SessionContext, what: str) -> Literal:
    """Return a Python value as a literal of a type that Flyte names.

    Args:
        value: The value.
        type: What is expected.
        context: The types, and where files are stored.
        what: What the value is for, for messages.

    Raises:
        UsageError: the value does not fit.
    """
    codec = codec_for(value, type, context)
    try:
        return codec.encode(value, context.data)
    except CodecError as error:
        raise UsageError(
            f"{what} takes {describe(type)}. {error.bare_message} {error.hint}".rstrip()
        ) from None


def codec_for(value: object, type: LiteralType, context: SessionContext) -> Codec:
    """Return the codec of the value's own class if it has this type, else one for the type."""
    registry = context.registry
    try:
        own = registry.quiet.codec(value.__class__)
        if own.literal_type == type:
            return own
    except CodecError:
        pass  # e.g. a bare list: the type knows what is in it
    return registry.codec(registry.guess(type))


def spelled(type: LiteralType, context: SessionContext) -> str:
    """Return the Python type that values of a type have, as a person writes it."""
    return spell(context.registry.guess(type))


def _gates(closure: "CompiledWorkflowClosure | None") -> "Iterator[tuple[str, GateNode]]":
    """Yield the gates that wait for a signal, with the signal's name, in all workflows of the closure."""
    if closure is None:
        return
    for compiled in (closure.primary, *closure.sub_workflows):
        waiting = [*compiled.template.nodes, compiled.template.failure_node]
        while waiting:
            node = waiting.pop(0)
            if node.WhichOneof("target") == "branch_node":
                waiting += _arms(node)
            gate = node.gate_node
            name = gate.approve.signal_id or gate.signal.signal_id
            if name:
                yield name, gate


def _arms(node: Node) -> "list[Node]":
    block = node.branch_node.if_else
    return [block.case.then_node, *(case.then_node for case in block.other), block.else_node]
