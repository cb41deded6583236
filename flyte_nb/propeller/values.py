"""The literals of one execution by URI: kept in memory while small, in a store when there is one."""

from flyteidl.core.literals_pb2 import LiteralMap
from google.protobuf.message import DecodeError

from flyte_nb.api.errors import StorageError
from flyte_nb.api.ports import BlobStore

_KEPT_BYTES = 64 * 1024  # a map above is read again when it is needed: executions may be many


class Values:
    """`inputs.pb` and `outputs.pb` by URI. Not for several threads at a time."""

    def __init__(self, store: "BlobStore | None") -> None:
        """Args: store: where maps are written and read; `None` keeps all of them in memory."""
        self._store = store
        self._kept: dict[str, LiteralMap] = {}

    def put(self, uri: str, values: LiteralMap) -> None:
        """Write the map. Raises `StorageError` when it cannot be."""
        if self._store is not None:
            self._store.write(uri, values.SerializeToString(deterministic=True))
        self.keep(uri, values)

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
