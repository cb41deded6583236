"""The literals of one execution by URI: in a store if there is one, and in memory while they are small."""

from flyteidl.core.literals_pb2 import Literal, LiteralMap
from google.protobuf.message import DecodeError

from flyte_nb.api.errors import SYSTEM, ErrorInfo, StorageError
from flyte_nb.api.nodes import START_NODE
from flyte_nb.api.ports import BlobStore
from flyte_nb.propeller.resolve import Unresolved, node_error
from flyte_nb.propeller.state import NodeState
from flyte_nb.runtime.offloading import Offloading, offloaded

_KEPT_BYTES = 64 * 1024
"""A larger map is read from the store each time: a backend has many executions, and little memory."""


class Values:
    """`inputs.pb` and `outputs.pb` by URI. For one thread at a time."""

    def __init__(self, store: "BlobStore | None", offloading: "Offloading | None" = None) -> None:
        """Start without values.

        Args:
            store: Where maps are written and read; `None` keeps all of them in memory.
            offloading: Which literals are stored as files of their own; `None` means none.
        """
        self._offloading = offloading
        self.store = store
        """Where maps are written; `None` in memory."""
        self._kept: dict[str, LiteralMap] = {}
        self._held: dict[str, LiteralMap] = {}

    def put(self, uri: str, values: LiteralMap) -> None:
        """Write the map to `uri`.

        Raises:
            StorageError: when it cannot be written.
        """
        if self.store is None:
            self._kept[uri] = values
            return
        self.store.write(uri, values.SerializeToString(deterministic=True))
        self.keep(uri, values)

    def offloaded(self, uri: str, values: LiteralMap) -> LiteralMap:
        """Return the map that is to be put at `uri`, with large literals stored beside it.

        Raises:
            StorageError: when a literal cannot be stored.
            TaskFailed: when a literal is too large even for that.
        """
        if self.store is None or self._offloading is None:
            return values
        return offloaded(values, uri.rpartition("/")[0], self.store, self._offloading)

    def whole(self, literal: Literal) -> Literal:
        """Return the literal that a reference stands for; any other one as it is.

        Raises:
            StorageError: when it cannot be read.
        """
        if literal.WhichOneof("value") != "offloaded_metadata" or self.store is None:
            return literal
        uri = literal.offloaded_metadata.uri
        try:
            return Literal.FromString(self.store.read(uri))
        except DecodeError as error:
            raise StorageError(
                f"The object at {uri} is not a Literal: {error}.", uri=uri
            ) from error

    def try_put(self, uri: str, values: LiteralMap) -> bool:
        """Write the map to `uri`; return whether that worked."""
        try:
            self.put(uri, values)
        except StorageError:
            return False
        return True

    def write(self, uri: str, values: LiteralMap) -> None:
        """Write the map to `uri`, if there is a store, and do not remember it.

        Raises:
            StorageError: when it cannot be written.
        """
        if self.store is not None:
            self.store.write(uri, values.SerializeToString(deterministic=True))

    def hold(self, uri: str, values: LiteralMap) -> None:
        """Remember a map of any size until `release`: every element of a map takes its inputs from it."""
        self._held[uri] = values

    def release(self, uri: str) -> None:
        """Forget a map that was held. Nothing happens when it was not."""
        self._held.pop(uri, None)

    def keep(self, uri: str, values: LiteralMap) -> None:
        """Remember a map that is stored at `uri` already, if it is small."""
        if self.store is None or values.ByteSize() <= _KEPT_BYTES:
            self._kept[uri] = values

    def get(self, uri: str) -> LiteralMap:
        """Return the map at `uri`. The caller must not change it, because it may be remembered.

        Raises:
            StorageError: when it cannot be read, or is not a `LiteralMap`.
        """
        found = self._held.get(uri) or self._kept.get(uri)
        if found is not None:
            return found
        values = self.read(uri)
        self.keep(uri, values)
        return values

    def take_over(self, other: "Values") -> None:
        """Remember what another value of this kind remembers."""
        self._kept.update(other._kept)

    def read(self, uri: str) -> LiteralMap:
        """Return the map at `uri`, and do not remember it.

        Raises:
            StorageError: when it cannot be read, or is not a `LiteralMap`.
        """
        if self.store is None:
            raise StorageError(f"There is no value at {uri}.", uri=uri)
        try:
            return LiteralMap.FromString(self.store.read(uri))
        except DecodeError as error:
            raise StorageError(
                f"The object at {uri} is not a LiteralMap: {error}.", uri=uri
            ) from error


def inputs_at(node: NodeState, values: Values) -> LiteralMap:
    """Return the inputs of a node, or of an element of a map.

    Raises:
        StorageError: when they cannot be read.
    """
    if node.element < 0 or node.run.parent is None or node.run.parent.plan.array is None:
        return values.get(node.input_uri)
    uri = node.input_uri
    whole = values.get(uri)
    values.hold(uri, whole)  # after a restart nobody holds it, and the other elements need it too
    bound = node.run.parent.plan.array.bound
    made = LiteralMap()
    for name, literal in whole.literals.items():
        if name not in bound and literal.WhichOneof("value") == "collection":
            literal = literal.collection.literals[node.element]
        made.literals[name].CopyFrom(literal)
    return made


class NodeOutputs:
    """The outputs that the promises of one node may name (a `resolve.OutputOf`)."""

    def __init__(self, node: NodeState, values: Values) -> None:
        self._nodes = node.run.scope.nodes
        self._values = values

    def __call__(self, node_id: str, var: str) -> Literal:
        """Return the value of that output.

        Raises:
            Unresolved: when the node has no such output.
            StorageError: when its outputs cannot be read.
        """
        # A promise without a node names an input of the workflow, which is an output of its start node.
        node = self._nodes.get(node_id or START_NODE)
        if node is None or not node.output_uri:
            raise Unresolved(node_error(node_id, "OutputsNotFoundError", "it has no outputs"))
        literals = self._values.get(node.output_uri).literals
        for alias, output in node.plan.aliases:
            if alias == var:
                var = output
        if var not in literals:
            text = f"Failed to find [{node_id}].[{var}]"
            raise Unresolved(node_error(node_id, "OutputsNotFoundError", text))
        return literals[var]


def unusable(what: str, error: StorageError) -> ErrorInfo:
    """Return the error of a node or an execution whose values cannot be stored or read."""
    text = f"{what} cannot be read or written: {error}"
    return ErrorInfo("SYSTEM:StorageError", text, SYSTEM)
