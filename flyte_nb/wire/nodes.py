"""Nodes and bindings -> flyteidl/core/workflow.proto and literals.proto.

The hot path of the room: a workflow of ten thousand nodes is written here. Hence a writer that
keeps what repeats (the targets), and few attribute steps a node.
"""

from flyteidl.core import literals_pb2, tasks_pb2, workflow_pb2
from google.protobuf import duration_pb2
from google.protobuf.message import DecodeError

from flyte_nb.api import literals as v
from flyte_nb.api.errors import CodecError
from flyte_nb.api.identifiers import Identifier
from flyte_nb.api.literals import Literal
from flyte_nb.api.specs import (
    Binding,
    BindingCollection,
    BindingData,
    BindingMap,
    LaunchPlanNode,
    Node,
    NodeMetadata,
    OutputReference,
    Resources,
    TaskNode,
    WorkflowNode,
)
from flyte_nb.wire.identifiers import identifier_to_idl
from flyte_nb.wire.literals import scalar_to_bytes

_QUANTITIES = {
    "cpu": tasks_pb2.Resources.CPU,
    "mem": tasks_pb2.Resources.MEMORY,
    "gpu": tasks_pb2.Resources.GPU,
    "ephemeral_storage": tasks_pb2.Resources.EPHEMERAL_STORAGE,
}
# flytekit lists them in one order for containers and in another for overrides.
OVERRIDE_ORDER = ("cpu", "mem", "gpu", "ephemeral_storage")
CONTAINER_ORDER = ("ephemeral_storage", "cpu", "gpu", "mem")


class NodeWriter:
    """Writes nodes into messages. One writer for one spec: it remembers the targets it wrote."""

    def __init__(self) -> None:
        self._targets: dict[tuple[type, Identifier], bytes] = {}

    def write(self, message: workflow_pb2.Node, node: Node) -> None:
        """Fill the empty `message` with `node`.

        Raises:
            CodecError: with the input's name, when something in it cannot be said in flyteidl.
        """
        message.id = node.id
        self._metadata(message.metadata, node.metadata)
        bindings = node.bindings
        if len(bindings) > 1:
            bindings = tuple(sorted(bindings, key=_var))
        add = message.inputs.add
        for binding in bindings:
            self.write_binding(add(), binding)
        if node.upstream_node_ids:
            message.upstream_node_ids.extend(sorted(set(node.upstream_node_ids)))
        message.MergeFromString(self._target(node))

    def write_binding(self, message: literals_pb2.Binding, binding: Binding) -> None:
        """Fill the empty `message` with `binding`; see `write`."""
        message.var = binding.var
        try:
            _bind(message.binding, binding.data)
        except CodecError as error:
            raise error.below(f".{binding.var}") from None
        except (DecodeError, RecursionError):
            raise CodecError(
                "The value is nested too deeply to be sent.", path=f"$.{binding.var}"
            ) from None

    @staticmethod
    def _metadata(message: workflow_pb2.NodeMetadata, metadata: NodeMetadata) -> None:
        name, timeout_s, retries, interruptible, cacheable, cache_version = metadata
        if name:
            message.name = name
        if timeout_s:
            message.timeout.CopyFrom(duration_to_idl(timeout_s))
        if retries:
            message.retries.retries = retries
        else:
            message.retries.SetInParent()
        if interruptible is not None:
            message.interruptible = interruptible
        if cacheable is not None:
            message.cacheable = cacheable
        if cache_version is not None:
            message.cache_version = cache_version

    def _target(self, node: Node) -> bytes:
        target = node.target
        if isinstance(target, TaskNode) and target.resources is not None:
            return _target_bytes(target)
        key = (type(target), target.reference)
        written = self._targets.get(key)
        if written is None:
            written = self._targets[key] = _target_bytes(target)
        return written


def duration_to_idl(seconds: float) -> duration_pb2.Duration:
    """Seconds as flyteidl's message, to the nanosecond."""
    sign = -1 if seconds < 0 else 1
    whole, nanos = divmod(round(abs(seconds) * 1_000_000_000), 1_000_000_000)
    return duration_pb2.Duration(seconds=sign * whole, nanos=sign * nanos)


def resources_to_idl(
    requests: Resources, limits: Resources, order: "tuple[str, ...]" = OVERRIDE_ORDER
) -> tasks_pb2.Resources:
    """Requests and limits as flyteidl's message, in that order; what is unset is left out."""
    message = tasks_pb2.Resources()
    for given, entries in ((requests, message.requests), (limits, message.limits)):
        for name in order:
            quantity = getattr(given, name)
            if quantity:
                entries.add(name=_QUANTITIES[name], value=str(quantity))
    return message


def _target_bytes(target: "TaskNode | WorkflowNode | LaunchPlanNode") -> bytes:
    """A `Node` message that holds nothing but its target."""
    message = workflow_pb2.Node()
    reference = identifier_to_idl(target.reference)
    if isinstance(target, TaskNode):
        message.task_node.reference_id.CopyFrom(reference)
        message.task_node.overrides.SetInParent()
        if target.resources is not None:
            message.task_node.overrides.resources.CopyFrom(resources_to_idl(*target.resources))
    elif isinstance(target, WorkflowNode):
        message.workflow_node.sub_workflow_ref.CopyFrom(reference)
    else:
        message.workflow_node.launchplan_ref.CopyFrom(reference)
    return message.SerializeToString()


def _var(binding: Binding) -> str:
    return binding.var


def _bind(message: literals_pb2.BindingData, data: BindingData) -> None:
    if isinstance(data, OutputReference):
        promise = message.promise
        if data.node_id:
            promise.node_id = data.node_id
        promise.var = data.var
        for step in data.attr_path:
            if isinstance(step, str):
                promise.attr_path.add(string_value=step)
            else:
                promise.attr_path.add(int_value=step)
    elif isinstance(data, Literal):
        _bind_literal(message, data)
    elif isinstance(data, BindingCollection):
        message.collection.SetInParent()
        for index, item in enumerate(data.items):
            try:
                _bind(message.collection.bindings.add(), item)
            except CodecError as error:
                raise error.below(f"[{index}]") from None
    elif isinstance(data, BindingMap):
        message.map.SetInParent()
        for key in sorted(data.items):
            try:
                _bind(message.map.bindings[key], data.items[key])
            except CodecError as error:
                raise error.below(f".{key}") from None
    else:
        raise CodecError(f"{data!r} is no binding.")


def _bind_literal(message: literals_pb2.BindingData, literal: Literal) -> None:
    # Flyte binds lists and dicts item by item; only what is inside a union or struct is a literal.
    kind, value, _ = literal
    if kind == v.COLUMN:
        items = tuple(Literal(value[0], item) for item in value[1])
        _bind(message, BindingCollection(items))
    elif kind == v.COLLECTION:
        _bind(message, BindingCollection(tuple(value)))
    elif kind == v.MAP:
        _bind(message, BindingMap(value))
    else:
        message.scalar.MergeFromString(scalar_to_bytes(literal))
