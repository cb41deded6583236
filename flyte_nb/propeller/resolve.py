"""Resolve a node's inputs from its bindings and the outputs of the nodes before it. Pure.

Source: flytepropeller/pkg/controller/nodes/{resolve,attr_path_resolver}.go at v1.16.8.
"""

from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any

from flyteidl.core.literals_pb2 import BindingData, Literal, LiteralMap
from flyteidl.core.types_pb2 import ERROR, OutputReference
from google.protobuf.struct_pb2 import Struct, Value

from flyte_nb.api.errors import SYSTEM, ErrorInfo, FlyteNbError
from flyte_nb.propeller.plan import NodePlan

MSGPACK = "msgpack"
"""The `Binary.tag` of msgpack data, which SDKs write for dataclasses, dicts and pydantic models."""

OutputOf = Callable[[str, str], Literal]
"""Looks up an output: `(node id in the template, variable)` → its value.

The outputs of the start node are the workflow's inputs. It raises `Unresolved` when there is no such output.
"""


Whole = Callable[[Literal], Literal]
"""Returns what a reference to a literal stands for, and any other literal as it is."""


class Unresolved(FlyteNbError):
    """A binding has no value. `info` is the error that the node fails with."""

    def __init__(
        self, message: str, *, code: str = "BindingResolutionFailure", origin: str = SYSTEM
    ) -> None:
        """Make the error. The default code and origin are those of propeller for inputs of a node."""
        super().__init__(message)
        self.info = ErrorInfo(code, message, origin)


def inputs_of(plan: NodePlan, outputs: OutputOf, whole: "Whole | None" = None) -> LiteralMap:
    """Return the node's inputs by variable.

    Args:
        plan: The node.
        outputs: Looks up outputs of other nodes.
        whole: Reads a literal that is stored elsewhere, when a part of it is asked for, or it is a list whose
            elements are run; `None` where none is.

    Raises:
        Unresolved: when a promise names an output, or a place in an output, that does not exist.
    """
    resolved = LiteralMap()
    literals = resolved.literals
    # Most nodes take only whole outputs of other nodes, and then no binding has to be walked through.
    if len(plan.promises) == len(plan.bindings) and not plan.optional:
        try:
            for name, node, output in plan.promises:
                literals[name].CopyFrom(outputs(node, output))
            return resolved
        except Unresolved:
            literals.clear()  # the long way says which binding it is
    for binding in plan.bindings:
        try:
            literals[binding.var].CopyFrom(literal_of(binding.binding, outputs, whole))
        except Unresolved as error:
            text = f"Error binding Var [wf].[{binding.var}], caused by: {error.message}"
            raise Unresolved(node_error(plan.id, "BindingResolutionError", text)) from error
    for name, none in plan.optional:
        literals[name].CopyFrom(none)
    return resolved


def with_error(inputs: LiteralMap, node_id: str, error: "ErrorInfo | None") -> LiteralMap:
    """Return the inputs of a failure node: one called `err` is replaced by the error of the workflow.

    As in propeller, `failed_node_id` is the id of the failure node itself.
    """
    if "err" not in inputs.literals or error is None:
        return inputs
    made = LiteralMap()
    made.CopyFrom(inputs)
    union = made.literals["err"]
    # Only the value is replaced: a hash of the bound one stays.
    union.scalar.Clear()
    scalar = union.scalar.union
    scalar.value.scalar.error.message = error.message
    scalar.value.scalar.error.failed_node_id = node_id
    scalar.type.simple = ERROR
    scalar.type.structure.tag = "FlyteError"
    return made


def literal_of(data: BindingData, outputs: OutputOf, whole: "Whole | None" = None) -> Literal:
    """Return the value of one binding.

    Raises:
        Unresolved: as `inputs_of`.
    """
    kind = data.WhichOneof("value")
    if kind == "promise":
        promise = data.promise
        found = outputs(promise.node_id, promise.var)
        if not promise.attr_path:
            return found
        try:
            return at_path(found if whole is None else whole(found), _steps(promise))
        except Unresolved as error:
            code = "PromiseAttributeResolveError"
            raise Unresolved(node_error(promise.node_id, code, error.message)) from error
    literal = Literal()
    if kind == "scalar":
        literal.scalar.CopyFrom(data.scalar)
    elif kind == "collection":
        literal.collection.SetInParent()
        for item in data.collection.bindings:
            literal.collection.literals.append(literal_of(item, outputs, whole))
    elif kind == "map":
        literal.map.SetInParent()
        for key, item in data.map.bindings.items():
            literal.map.literals[key].CopyFrom(literal_of(item, outputs, whole))
    elif kind == "offloaded_metadata":
        literal.offloaded_metadata.CopyFrom(data.offloaded_metadata)
    else:
        raise Unresolved("the binding is empty. Register the workflow again")
    return literal


def node_error(node_id: str, code: str, text: str) -> str:
    """Return the text of an error at a node, as propeller puts its errors into words."""
    return f"failed at Node[{node_id}]. {code}: {text}"


def _steps(promise: OutputReference) -> list["str | int"]:
    return [
        step.int_value if step.WhichOneof("value") == "int_value" else step.string_value
        for step in promise.attr_path
    ]


def at_path(literal: Literal, path: Iterable["str | int"]) -> Literal:
    """Return the value at `path` (`[2, "name"]`) in a list, map or struct.

    What is taken out of a msgpack struct stays msgpack, whatever it is, as in propeller: only the task
    that gets it knows its type.

    Raises:
        Unresolved: when there is no such place.
    """
    steps = list(path)
    for done, step in enumerate(steps):
        # A value of a union type is wrapped. The author wrote the path for the value itself.
        while literal.scalar.WhichOneof("value") == "union":
            literal = literal.scalar.union.value
        kind = literal.WhichOneof("value")
        if kind == "collection":
            items = literal.collection.literals
            if not isinstance(step, int) or not -len(items) <= step < len(items):
                raise _no_place(steps, done, f"the list has {len(items)} items")
            literal = items[step]
        elif kind == "map":
            if not isinstance(step, str) or step not in literal.map.literals:
                raise _no_place(steps, done, f"the map has {sorted(literal.map.literals)}")
            literal = literal.map.literals[step]
        elif literal.scalar.WhichOneof("value") == "generic":
            # The parts of a struct are no literals, so the rest of the path is walked there.
            return _from_struct(literal.scalar.generic, steps, done)
        elif literal.scalar.binary.tag == MSGPACK:
            return _from_msgpack(literal.scalar.binary.value, steps, done)
        else:
            raise _no_place(steps, done, "the value is not a list, map or struct")
    return literal


def _from_msgpack(data: bytes, steps: list["str | int"], start: int) -> Literal:
    # Imported here because few workflows take parts out of structs. Any: it ships neither types nor stubs.
    msgpack: Any = import_module("msgpack")
    # A dataclass may have a dict with integer keys, which msgpack refuses by default.
    value = _walk(msgpack.unpackb(data, strict_map_key=False), steps, start)
    literal = Literal()
    literal.scalar.binary.value = msgpack.packb(value)
    literal.scalar.binary.tag = MSGPACK
    return literal


def _from_struct(struct: Struct, steps: list["str | int"], start: int) -> Literal:
    value: Any = Value(struct_value=struct)
    for done in range(start, len(steps)):
        step = steps[done]
        if isinstance(step, str) and value.HasField("struct_value"):
            fields = value.struct_value.fields
            if step not in fields:
                raise _no_place(steps, done, f"the struct has {sorted(fields)}")
            value = fields[step]
        elif isinstance(step, int) and value.HasField("list_value"):
            items = value.list_value.values
            if not -len(items) <= step < len(items):
                raise _no_place(steps, done, f"the list has {len(items)} items")
            value = items[step]
        else:
            raise _no_place(steps, done, "the value there is not a list or struct")
    return _literal_of_value(value)


def _literal_of_value(value: Value) -> Literal:
    literal, kind = Literal(), value.WhichOneof("kind")
    scalar = literal.scalar
    if kind == "string_value":
        scalar.primitive.string_value = value.string_value
    elif kind == "number_value":
        # A protobuf struct has no integers: every number in it is a double.
        scalar.primitive.float_value = value.number_value
    elif kind == "bool_value":
        scalar.primitive.boolean = value.bool_value
    elif kind == "struct_value":
        scalar.generic.CopyFrom(value.struct_value)
    elif kind == "list_value":
        literal.collection.SetInParent()
        for item in value.list_value.values:
            literal.collection.literals.append(_literal_of_value(item))
    else:
        scalar.none_type.SetInParent()
    return literal


def _walk(value: Any, steps: list["str | int"], start: int) -> Any:
    for done in range(start, len(steps)):
        step = steps[done]
        try:
            if not isinstance(value, (list, dict)):
                raise TypeError
            value = value[step]  # type: ignore[index]  # a wrong step is a TypeError
        except (LookupError, TypeError):
            raise _no_place(steps, done, f"there is {_summary(value)}") from None
    return value


def _summary(value: Any) -> str:
    if isinstance(value, dict):
        return f"a struct with {sorted(map(str, value))}"
    if isinstance(value, list):
        return f"a list of {len(value)} items"
    return f"a {type(value).__name__}"


def _no_place(steps: list["str | int"], done: int, why: str) -> Unresolved:
    """Return the error for a path whose step number `done` leads nowhere."""
    place = "".join(f"[{step!r}]" for step in steps[: done + 1])
    return Unresolved(f"Failed to resolve {place} of the promise: {why}.")
