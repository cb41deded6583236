"""Write nodes and bindings as the bytes of flyteidl/core/workflow.proto and literals.proto.

This is the room's hot path: a workflow of ten thousand nodes is written here. Written as bytes (see
`encoding.py`), a node costs about half of what setting the dozen fields of a message costs. The upper
five bits of a tag byte are the field's number: 0a is field 1, 12 is 2, 1a is 3, 22 is 4, 52 is 10.
"""

import builtins

from flyteidl.core import tasks_pb2, workflow_pb2
from google.protobuf import duration_pb2

from flyte_nb.api import literals as v
from flyte_nb.api.errors import CodecError
from flyte_nb.api.literals import Literal
from flyte_nb.api.specs import (
    ApproveNode,
    ArrayNode,
    Binding,
    BindingCollection,
    BindingData,
    BindingMap,
    BranchNode,
    Node,
    NodeMetadata,
    OutputReference,
    OverriddenTaskNode,
    Resources,
    SignalNode,
    SleepNode,
    Target,
    TaskNode,
    WorkflowNode,
)
from flyte_nb.wire.columns import primitive_to_bytes
from flyte_nb.wire.conditions import condition_to_idl
from flyte_nb.wire.encoding import field, signed, text, utf8
from flyte_nb.wire.identifiers import identifier_to_idl
from flyte_nb.wire.literals import literal_to_idl
from flyte_nb.wire.types import type_to_idl

_QUANTITIES = {
    "cpu": tasks_pb2.Resources.CPU,
    "mem": tasks_pb2.Resources.MEMORY,
    "gpu": tasks_pb2.Resources.GPU,
    "ephemeral_storage": tasks_pb2.Resources.EPHEMERAL_STORAGE,
}
# flytekit lists quantities in one order for containers and in another for overrides. Equal specs of both
# SDKs need equal bytes.
OVERRIDE_ORDER = ("cpu", "mem", "gpu", "ephemeral_storage")
CONTAINER_ORDER = ("ephemeral_storage", "cpu", "gpu", "mem")

# Tag and length of fields 1, 2 and 3, by a length below 128.
_ONE = tuple(bytes((0x0A, size)) for size in range(128))
_TWO = tuple(bytes((0x12, size)) for size in range(128))
_THREE = tuple(bytes((0x1A, size)) for size in range(128))


class NodeWriter:
    """Writes nodes and bindings as bytes. Use one writer for one spec: it keeps what repeats in it."""

    def __init__(self) -> None:
        # Calls of one entity share their metadata and target. The key is their identity, which costs less
        # than hashing their fields; the entry holds both objects, so an id cannot be used again meanwhile.
        self._shared: dict[tuple[int, int], tuple[NodeMetadata, Target, bytes, bytes]] = {}
        self._names: dict[str, tuple[bytes, bytes]] = {}
        """By name: its field in `Binding` (`var`, 0a), and in `OutputReference` (`var`, 12)."""

    def node(self, node: Node) -> bytes:
        """Return the bytes of the `Node` message.

        Raises:
            CodecError: when a part cannot be expressed in flyteidl; `path` begins with the input's name.
        """
        id, target, bindings, upstream, metadata, _ = node
        shared = self._shared.get((builtins.id(metadata), builtins.id(target)))
        if shared is None:
            shared = self._share(metadata, target)
        # Keyword arguments come in any order, and equal nodes need equal bytes.
        if len(bindings) > 1:
            bindings = tuple(sorted(bindings, key=_var))
        out = [field(b"\x0a", utf8(id)), shared[2]]
        out += [
            self._short_promise(each) or field(b"\x1a", self.binding(each)) for each in bindings
        ]
        if upstream:
            if len(upstream) > 1:
                upstream = tuple(sorted(set(upstream)))
            out.extend([field(b"\x22", utf8(each)) for each in upstream])
        if type(target) is ArrayNode:
            # The sub-node has the same bindings: propeller replaces each list by one of its items.
            out.append(_array_to_bytes(target, b"".join(out[2 : 2 + len(bindings)])))
        else:
            out.append(shared[3])
        return b"".join(out)

    def binding(self, binding: Binding) -> bytes:
        """Return the bytes of the `Binding` message.

        Raises:
            CodecError: when its value cannot be expressed in flyteidl; `path` begins with the variable.
        """
        var, data = binding
        try:
            names = self._names.get(var) or self._name(var)
            return names[0] + field(b"\x12", self._data(data))
        except CodecError as error:
            raise error.below(f".{var}") from None
        except RecursionError:
            raise CodecError(
                "The value is nested too deeply to be sent.", path=f"$.{var}"
            ) from None

    def _short_promise(self, binding: Binding) -> bytes:
        """Return the field `Node.inputs` of a plain promise with short names; empty for every other binding.

        Most bindings are such promises, and this path calls no other method for them.
        """
        data = binding.data
        # ASCII can always be encoded. A lone surrogate cannot, and `binding` reports it.
        if type(data) is not OutputReference or data.attr_path or not data.node_id.isascii():
            return b""
        try:
            var = self._names[binding.var][0]
            maker = data.node_id.encode()
            promise = _ONE[len(maker)] + maker + self._names[data.var][1]
            reference = _THREE[len(promise)] + promise
            written = var + _TWO[len(reference)] + reference
            return _THREE[len(written)] + written
        # A name was not seen before, or is long. `binding` then does the work and remembers the name.
        except (KeyError, IndexError):
            return b""

    def _share(
        self, metadata: NodeMetadata, target: Target
    ) -> "tuple[NodeMetadata, Target, bytes, bytes]":
        """Write what all calls with this metadata and target have in common, and remember it."""
        message = _metadata_to_idl(metadata).SerializeToString(deterministic=True)
        if type(target) is ArrayNode:
            written = b""  # it repeats the node's bindings, so it is written with each node
        elif type(target) is BranchNode:
            written = self._branch(target)
        else:
            written = _target_bytes(target)
        shared = (metadata, target, field(b"\x12", message), written)
        self._shared[builtins.id(metadata), builtins.id(target)] = shared
        return shared

    def _branch(self, branch: BranchNode) -> bytes:
        """Return the bytes of a `Node` message that has a branch and nothing else."""
        message = workflow_pb2.Node()
        block = message.branch_node.if_else
        for number, (condition, node) in enumerate(branch.arms):
            case = block.other.add() if number else block.case
            case.condition.CopyFrom(condition_to_idl(condition))
            case.then_node.MergeFromString(self.node(node))
        if branch.otherwise is not None:
            block.else_node.MergeFromString(self.node(branch.otherwise))
        else:
            block.error.message = branch.error
            block.error.failed_node_id = branch.name
        return message.SerializeToString()

    def _name(self, name: str) -> "tuple[bytes, bytes]":
        names = self._names[name] = (text(b"\x0a", name), text(b"\x12", name))
        return names

    def _promise(self, reference: OutputReference) -> bytes:
        node_id, var, path = reference
        names = self._names.get(var) or self._name(var)
        out = field(b"\x0a", utf8(node_id)) + names[1] if node_id else names[1]
        for step in path:
            if isinstance(step, str):
                out += field(b"\x1a", field(b"\x0a", utf8(step)))
            elif -(2**31) <= step < 2**31:
                out += field(b"\x1a", b"\x10" + signed(step))
            else:
                raise CodecError(f"The index {step} does not fit the 32 bits of a promise's path.")
        return out

    def _data(self, data: BindingData) -> bytes:
        """Return the bytes of the `BindingData` message."""
        if isinstance(data, OutputReference):
            return field(b"\x1a", self._promise(data))
        if isinstance(data, BindingCollection):
            items = []
            for index, item in enumerate(data.items):
                try:
                    items.append(field(b"\x0a", self._data(item)))
                except CodecError as error:
                    raise error.below(f"[{index}]") from None
            return field(b"\x12", b"".join(items))
        if isinstance(data, BindingMap):
            items = []
            for key in sorted(data.items):
                try:
                    entry = field(b"\x0a", utf8(key)) + field(b"\x12", self._data(data.items[key]))
                except CodecError as error:
                    raise error.below(f".{key}") from None
                items.append(field(b"\x0a", entry))
            return field(b"\x22", b"".join(items))
        if isinstance(data, Literal):
            return self._literal(data)
        raise CodecError(f"{data!r} is not a binding.")

    def _literal(self, literal: Literal) -> bytes:
        # Flyte binds lists and dicts item by item, so that promises can be among the items. A union or
        # struct is bound as one literal.
        kind, value, _ = literal
        if kind == v.COLUMN:
            items = tuple(Literal(value[0], item) for item in value[1])
            return self._data(BindingCollection(items))
        if kind == v.COLLECTION:
            return self._data(BindingCollection(tuple(value)))
        if kind == v.MAP:
            return self._data(BindingMap(value))
        if kind in v.SCALAR_KINDS:
            return field(b"\x0a", field(b"\x0a", primitive_to_bytes(kind, value)))
        scalar = literal_to_idl(literal).scalar
        return field(b"\x0a", scalar.SerializeToString(deterministic=True))


def _metadata_to_idl(metadata: NodeMetadata) -> workflow_pb2.NodeMetadata:
    message = workflow_pb2.NodeMetadata(name=metadata.name)
    if metadata.timeout_s:
        message.timeout.CopyFrom(duration_to_idl(metadata.timeout_s))
    message.retries.retries = metadata.retries or 0
    message.retries.SetInParent()
    if metadata.interruptible is not None:
        message.interruptible = metadata.interruptible
    # Unset means that the task's own options count.
    if metadata.cacheable is not None:
        message.cacheable = metadata.cacheable
    if metadata.cache_version is not None:
        message.cache_version = metadata.cache_version
    if metadata.cache_serializable is not None:
        message.cache_serializable = metadata.cache_serializable
    return message


def duration_to_idl(seconds: float) -> duration_pb2.Duration:
    """Return `seconds` as flyteidl's message, rounded to the nanosecond."""
    sign = -1 if seconds < 0 else 1
    # Rounded as a whole, so that the nanos never reach a full second.
    whole, nanos = divmod(round(abs(seconds) * 1_000_000_000), 1_000_000_000)
    return duration_pb2.Duration(seconds=sign * whole, nanos=sign * nanos)


def resources_to_idl(
    requests: Resources, limits: Resources, order: "tuple[str, ...]" = OVERRIDE_ORDER
) -> tasks_pb2.Resources:
    """Return requests and limits as flyteidl's message.

    Args:
        requests: quantities that the pod asks for; unset ones are left out.
        limits: quantities that it may use at most.
        order: field names of `Resources`, in the order in which the message lists them.
    """
    message = tasks_pb2.Resources()
    for given, entries in ((requests, message.requests), (limits, message.limits)):
        for name in order:
            quantity = getattr(given, name)
            if quantity:
                entries.add(name=_QUANTITIES[name], value=str(quantity))
    return message


def _target_bytes(target: Target) -> bytes:
    """Return the bytes of a `Node` message that has a target and nothing else."""
    message = workflow_pb2.Node()
    if isinstance(target, (ApproveNode, SignalNode, SleepNode, BranchNode)):
        _gate(message.gate_node, target)
        return message.SerializeToString()
    reference = identifier_to_idl(target.reference)
    if isinstance(target, (TaskNode, OverriddenTaskNode)):
        message.task_node.reference_id.CopyFrom(reference)
        message.task_node.overrides.SetInParent()
        if target.resources is not None:
            message.task_node.overrides.resources.CopyFrom(resources_to_idl(*target.resources))
        if isinstance(target, OverriddenTaskNode):
            message.task_node.overrides.container_image = target.container_image
    elif isinstance(target, WorkflowNode):
        message.workflow_node.sub_workflow_ref.CopyFrom(reference)
    else:
        message.workflow_node.launchplan_ref.CopyFrom(reference)
    return message.SerializeToString()


def _gate(message: workflow_pb2.GateNode, target: Target) -> None:
    if isinstance(target, ApproveNode):
        message.approve.signal_id = target.signal_id
    elif isinstance(target, SignalNode):
        message.signal.signal_id = target.signal_id
        message.signal.type.CopyFrom(type_to_idl(target.type))
        message.signal.output_variable_name = target.output
    elif isinstance(target, SleepNode):
        message.sleep.duration.CopyFrom(duration_to_idl(target.duration_s))


def _array_to_bytes(array: ArrayNode, bindings: bytes) -> bytes:
    """Return the bytes of a `Node` message that has an array node and nothing else.

    Args:
        array: the map.
        bindings: the node's `inputs` fields as bytes, which the sub-node repeats.
    """
    metadata = _metadata_to_idl(array.metadata).SerializeToString(deterministic=True)
    element = field(b"\x0a", utf8(array.reference.name)) + field(b"\x12", metadata) + bindings
    element += _target_bytes(TaskNode(array.reference, array.resources))
    message = workflow_pb2.ArrayNode(
        bound_inputs=sorted(array.bound_inputs), run_all_sub_nodes=array.run_all_sub_nodes
    )
    message.is_original_sub_node_interface.SetInParent()
    if array.parallelism is not None:
        message.parallelism = array.parallelism
    # Flyte's message has room for one of the two.
    if array.min_successes is not None:
        message.min_successes = array.min_successes
    else:
        message.min_success_ratio = array.min_success_ratio
    # 52 is `Node.array_node`, and 0a in it is the sub-node.
    return field(b"\x52", field(b"\x0a", element) + message.SerializeToString())


def _var(binding: Binding) -> str:
    return binding.var
