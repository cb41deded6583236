"""Put the inputs and outputs of nodes into words: `list[int]`, `TrainConfig`, `dataset`."""

import re
from collections.abc import Mapping

from flyteidl.core import compiler_pb2, identifier_pb2, interface_pb2, types_pb2, workflow_pb2

from flyte_nb.api import literal_types
from flyte_nb.api.errors import CodecError
from flyte_nb.api.literal_types import LiteralType
from flyte_nb.wire.types import type_from_idl

Words = Mapping[str, str]
"""The type of each variable in words, by the variable's name."""

_MAX_DEPTH = 12
_MAX_MAPS = 50  # maps in maps
_CLASS = re.compile(r"<class '([\w.<>]+)'>|([\w.]+)")


class Interfaces:
    """The interfaces of everything that a closure's nodes run, in words; each is read once."""

    def __init__(self, closure: compiler_pb2.CompiledWorkflowClosure) -> None:
        self._messages = {
            key_of(item.template.id): item.template.interface
            for items in (closure.tasks, closure.sub_workflows, closure.launch_plans)
            for item in items
        }
        self._spoken: dict[str, tuple[Words, Words]] = {}
        self._types: dict[bytes, str] = {}

    def of(self, node: workflow_pb2.Node) -> "tuple[Words, Words]":
        """Return the inputs and outputs of what the node runs; empty where the closure lacks it."""
        maps = 0
        while node.WhichOneof("target") == "array_node" and maps < _MAX_MAPS:
            node, maps = node.array_node.node, maps + 1
        if node.WhichOneof("target") == "gate_node":
            signal = node.gate_node.signal
            return {}, {signal.output_variable_name: self._word(signal.type)}
        reference = reference_of(node)
        key = "" if reference is None else key_of(reference)
        found = self._spoken.get(key)
        if found is None:
            message = self._messages.get(key)
            found = ({}, {}) if message is None else self._both(message)
            self._spoken[key] = found
        inputs, outputs = found
        # The inner task's outputs are those of one element; each map around it makes lists of them.
        for _ in range(maps):
            outputs = {var: f"list[{word}]" for var, word in outputs.items()}
        return inputs, outputs

    def words(self, variables: interface_pb2.VariableMap) -> "dict[str, str]":
        """Return the types of these variables in words."""
        return {var: self._word(item.type) for var, item in variables.variables.items()}

    def _both(self, interface: interface_pb2.TypedInterface) -> "tuple[Words, Words]":
        """Return the inputs and outputs of an interface in words."""
        return self.words(interface.inputs), self.words(interface.outputs)

    def _word(self, message: types_pb2.LiteralType) -> str:
        """Return a type in words; an empty text for a type that this release does not know."""
        key = message.SerializeToString()
        word = self._types.get(key)
        if word is None:
            try:
                word = type_word(type_from_idl(message))
            except (CodecError, RecursionError):
                word = ""
            self._types[key] = word
        return word


def type_word(type: LiteralType, depth: int = 0) -> str:
    """Return the type as a person would write it: as in Python, dataclasses and classes by their names."""
    if depth > _MAX_DEPTH:
        return "…"
    if type.kind == literal_types.COLLECTION:
        return f"list[{type_word(type.value, depth + 1)}]"
    if type.kind == literal_types.MAP:
        return f"dict[str, {type_word(type.value, depth + 1)}]"
    if type.kind == literal_types.UNION:
        return " | ".join(type_word(variant, depth + 1) for variant in type.value)
    if type.kind == literal_types.ENUM:
        return " | ".join(map(repr, type.value))
    metadata = type.metadata or {}
    # SDKs put a dataclass's name into its JSON schema, as the title or as the last part of a
    # reference.
    named = metadata.get("title") or str(metadata.get("$ref", "")).rpartition("/")[2]
    if isinstance(named, str) and named and type.kind == literal_types.SIMPLE:
        return named
    # The class of a pickled value: `<class 'module.Name'>`, or a dotted name such as `typing.Any`.
    of_class = _CLASS.match(str(metadata.get("python_class_name", "")))
    if of_class:
        return (of_class[1] or of_class[2]).rpartition(".")[2]
    return literal_types.describe(type)


def key_of(identifier: identifier_pb2.Identifier) -> str:
    """Return an identifier as text that is equal for equal identifiers."""
    fields = ("resource_type", "project", "domain", "name", "version")
    return ":".join(str(getattr(identifier, field)) for field in fields)


def reference_of(node: workflow_pb2.Node) -> "identifier_pb2.Identifier | None":
    """Return the identifier of what the node runs or maps; `None` for branches and gates."""
    for _ in range(_MAX_MAPS):
        if node.WhichOneof("target") != "array_node":
            break
        node = node.array_node.node
    which = node.WhichOneof("target")
    if which == "task_node":
        return node.task_node.reference_id
    if which == "workflow_node":
        reference = node.workflow_node.WhichOneof("reference")
        if reference is not None:
            found: identifier_pb2.Identifier = getattr(node.workflow_node, reference)
            return found
    return None
