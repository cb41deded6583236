"""`api` types and interfaces <-> flyteidl's messages; and a message's type as a person would say it."""

from flyteidl.core import interface_pb2, types_pb2
from google.protobuf.message import DecodeError

from flyte_nb.api import literal_types
from flyte_nb.api.errors import CodecError
from flyte_nb.api.literal_types import LiteralType
from flyte_nb.api.specs import TypedInterface, Variable
from flyte_nb.wire.type_bytes import type_from_bytes, type_to_bytes


def type_to_idl(type: LiteralType) -> types_pb2.LiteralType:
    """The type as flyteidl's message.

    Raises:
        CodecError: for a kind or a value that flyteidl does not know, or a very deep type.
    """
    message = types_pb2.LiteralType()
    _merge_type(message, type)
    return message


def type_from_idl(message: types_pb2.LiteralType) -> LiteralType:
    """The type in flyteidl's message.

    Raises:
        CodecError: when the message says no type, or one that this release does not know.
    """
    try:
        return type_from_bytes(message.SerializeToString(deterministic=True))
    except RecursionError:
        raise _too_deep() from None


def interface_to_idl(interface: TypedInterface) -> interface_pb2.TypedInterface:
    """The interface as flyteidl's message; see `type_to_idl`. Its maps have no order."""
    message = interface_pb2.TypedInterface()
    # SetInParent: flytekit always sends both maps, empty or not.
    message.inputs.SetInParent()
    message.outputs.SetInParent()
    _merge_variables(message.inputs, interface.inputs)
    _merge_variables(message.outputs, interface.outputs)
    return message


def interface_from_idl(message: interface_pb2.TypedInterface) -> TypedInterface:
    """The interface in flyteidl's message, variables sorted by name (the message has no order)."""
    return TypedInterface(_variables(message.inputs), _variables(message.outputs))


def variable_to_idl(variable: Variable) -> interface_pb2.Variable:
    """The variable as flyteidl's message; see `type_to_idl`."""
    message = interface_pb2.Variable(description=variable.description)
    _merge_type(message.type, variable.type)
    return message


def variable_from_idl(message: interface_pb2.Variable) -> Variable:
    """The variable in flyteidl's message; see `type_from_idl`."""
    return Variable(type_from_idl(message.type), message.description)


def spoken(message: types_pb2.LiteralType) -> str:
    """The message's type as one would write it in Python, e.g. `list[int]`; never raises.

    Schemas and structured datasets have no Python spelling of their own: `dataset`.
    """
    try:
        return literal_types.describe(type_from_idl(message))
    except (CodecError, RecursionError):
        return "an unknown type"


def _merge_type(message: types_pb2.LiteralType, type: LiteralType) -> None:
    try:
        message.MergeFromString(type_to_bytes(type))
    except (DecodeError, RecursionError):
        raise _too_deep() from None


def _merge_variables(message: interface_pb2.VariableMap, variables: "dict[str, Variable]") -> None:
    for name, variable in variables.items():
        entry = message.variables[name]
        entry.description = variable.description
        try:
            _merge_type(entry.type, variable.type)
        except CodecError as error:
            raise error.below(f".{name}") from None


def _variables(message: interface_pb2.VariableMap) -> "dict[str, Variable]":
    found = {}
    for name in sorted(message.variables):
        try:
            found[name] = variable_from_idl(message.variables[name])
        except CodecError as error:
            raise error.below(f".{name}") from None
    return found


def _too_deep() -> CodecError:
    return CodecError(
        "The type is nested too deeply to be sent.",
        hint="protobuf reads about 50 levels of lists or dicts; use a pickled class instead.",
    )
