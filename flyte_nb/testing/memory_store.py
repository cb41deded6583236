"""A store of objects in memory: a `BlobStore` for tests that must be quick or must see every write."""

from pathlib import Path

from flyte_nb.api.errors import StorageError
from flyte_nb.api.ports import Stat


class MemoryStore:
    """A `BlobStore` whose objects are in `objects`, by URI. It ends with its owner. For one thread."""

    def __init__(self) -> None:
        """Start without objects."""
        self.objects: dict[str, bytes] = {}

    def read(self, uri: str) -> bytes:
        """Return the whole object.

        Raises:
            StorageError: when there is no such object.
        """
        try:
            return self.objects[uri]
        except KeyError:
            raise StorageError(f"There is no object at {uri}.", uri=uri, missing=True) from None

    def read_part(self, uri: str, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset` on; fewer, or none, where the object ends before.

        Raises:
            StorageError: when there is no such object.
        """
        return self.read(uri)[offset : offset + length]

    def write(self, uri: str, data: "bytes | memoryview") -> None:
        """Store `data` at `uri`, in place of an existing object."""
        self.objects[uri] = bytes(data)

    def size(self, uri: str) -> "int | None":
        """Return the object's size in bytes, or `None` when there is no object."""
        found = self.objects.get(uri)
        return None if found is None else len(found)

    def stat(self, uri: str) -> "Stat | None":
        """Return the object's size, or `None` when there is no object."""
        size = self.size(uri)
        return None if size is None else Stat(size)

    def get(self, uri: str, path: str) -> None:
        """Copy the object at `uri`, or the objects below it, to the local `path`.

        Raises:
            StorageError: when there is no such object.
        """
        below = self.list(uri)
        if uri in self.objects or not below:
            Path(path).write_bytes(self.read(uri))
            return
        for found in below:
            place = Path(path, found[len(uri.rstrip("/")) + 1 :])
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(self.objects[found])

    def put(self, path: str, uri: str) -> None:
        """Copy the local file or folder to `uri`."""
        source = Path(path)
        if source.is_file():
            self.write(uri, source.read_bytes())
            return
        for found in sorted(source.rglob("*")):
            if found.is_file():
                self.write(f"{uri}/{found.relative_to(source).as_posix()}", found.read_bytes())

    def list(self, uri: str) -> "list[str]":
        """Return the URIs of the objects below `uri`, sorted."""
        below = uri.rstrip("/") + "/"
        return sorted(found for found in self.objects if found.startswith(below))

    def delete(self, uri: str) -> None:
        """Remove the object; do nothing when there is none."""
        self.objects.pop(uri, None)

    def touch(self, uri: str) -> bool:
        """Return `False`: objects in memory have no times."""
        return False
