"""The literals of one execution by URI: kept in memory while small, in a store when there is one."""

from flyteidl.core.literals_pb2 import Literal, LiteralMap
from google.protobuf.message import DecodeError

from flyte_nb.api.errors import SYSTEM, ErrorInfo, StorageError
from flyte_nb.api.nodes import START_NODE
from flyte_nb.api.ports import BlobStore
from flyte_nb.propeller.resolve import Unresolved
from flyte_nb.propeller.state import NodeState

_KEPT_BYTES = 64 * 1024  # a map above is read again when it is needed: executions may be many


class Values:
    """`inputs.pb` and `outputs.pb` by URI. Not for several threads at a time."""

    def __init__(self, store: "BlobStore | None") -> None:
        """Args: store: where maps are written and read; `None` keeps all of them in memory."""
        self._store = store
        self._kept: dict[str, LiteralMap] = {}

    def put(self, uri: str, values: LiteralMap) -> None:
        """Write the map. Raises `StorageError` when it cannot be."""
        if self._store is None:
            self._kept[uri] = values
            return
        self._store.write(uri, values.SerializeToString(deterministic=True))
        self.keep(uri, values)

    def try_put(self, uri: str, values: LiteralMap) -> bool:
        """Write the map; return whether that worked."""
        try:
            self.put(uri, values)
        except StorageError:
            return False
        return True

    def keep(self, uri: str, values: LiteralMap) -> None:
        """Remember a map that lies at `uri` already."""
        if self._store is None or values.ByteSize() <= _KEPT_BYTES:
            self._kept[uri] = values

    def get(self, uri: str) -> LiteralMap:
        """The map at `uri`; not to be changed. Raises `StorageError` when it cannot be read."""
        found = self._kept.get(uri)
        if found is not None:
            return found
        if self._store is None:
            raise StorageError(f"There is no value at {uri}.", uri=uri)
        try:
            values = LiteralMap.FromString(self._store.read(uri))
        except DecodeError as error:
            raise StorageError(f"What lies at {uri} is no LiteralMap: {error}.", uri=uri) from error
        self.keep(uri, values)
        return values


class Outputs:
    """Outputs of the nodes that one node's promises may name (see `resolve.Outputs`)."""

    def __init__(self, node: NodeState, values: Values) -> None:
        self._nodes = node.run.scope.nodes
        self._values = values

    def __call__(self, node_id: str, var: str) -> Literal:
        """The value of that output. Raises `Unresolved` when there is none."""
        node = self._nodes.get(node_id or START_NODE)
        if node is None or not node.output_uri:
            raise Unresolved(f"node [{node_id}] has no outputs")
        literals = self._values.get(node.output_uri).literals
        for alias, output in node.plan.aliases:
            if alias == var:
                var = output
        if var not in literals:
            raise Unresolved(f"Failed to find [{node_id}].[{var}] in {node.output_uri}")
        return literals[var]


def unusable(what: str, error: StorageError) -> ErrorInfo:
    """The error of a node or an execution whose values cannot be stored or read."""
    text = f"{what} cannot be read or written: {error}"
    return ErrorInfo("SYSTEM:StorageError", text, SYSTEM)
