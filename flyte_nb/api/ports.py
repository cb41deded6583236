"""The ports through which rooms on one floor meet.

A room that needs a service names the port; `session.py` passes an implementation. The conformance suites
in `flyte_nb.testing` hold implementations to what the docstrings here promise.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Protocol

from flyte_nb.api.specs import Location

GRACE_S = 24 * 3600.0
"""Seconds for which an object of a staging area is safe from garbage collection after its `modified_s`.

Collecting removes older objects only. Staging touches an object that it uses again and that is older than
half of this time. So an object that a registration found stays until the registration's index names it."""


class DataAccess(Protocol):
    """Moves the files of values: over the pipe in a task, directly to a store in a kernel."""

    def download(self, uri: str) -> str:
        """Return a local path with the content of `uri` (a folder for a multipart blob).

        Raises:
            StorageError: when it cannot be read.
        """
        ...

    def upload(self, path: str, *, name: str = "", uri: str = "") -> str:
        """Store the file or folder at `path` and return its URI.

        Args:
            path: a local path.
            name: a hint for the URI's last part.
            uri: where to store it; the store chooses a place when it is empty.

        Raises:
            StorageError: when it cannot be stored.
        """
        ...

    def uris_below(self, uri: str) -> "list[str]":
        """Return the URIs of the objects below `uri`, sorted; nothing is downloaded.

        Raises:
            StorageError: when the store cannot list them.
        """
        ...

    def scratch(self, suffix: str = "") -> str:
        """Return a new local path to write to, in the attempt's working folder; nothing is there yet."""
        ...


class ModuleAccess(Protocol):
    """What a `DataAccess` may offer besides: the author's own modules, which pickled values need."""

    def own_modules(self, tops: "Iterable[str]") -> "Mapping[str, bytes]":
        """Return the files, by path, of the author's own modules among `tops` and of what they import."""
        ...

    def adopt_modules(self, folder: str) -> None:
        """Make the modules in a local folder importable, with all others before them."""
        ...


class Stat(NamedTuple):
    """The properties of an object that a store knows without reading it."""

    size: int
    """Bytes."""
    md5: str = ""
    """Lower-case hex; empty where the store does not know it. A hint: it can be that of encrypted bytes."""
    stamp: str = ""
    """A text that changes whenever the content does, e.g. an ETag; empty where the store has none."""
    modified_s: "float | None" = None
    """The time of the last write or touch in seconds since 1970; `None` where the store does not know it."""


class AttemptFiles(Protocol):
    """Stores what an attempt keeps beside its outputs: checkpoints for the next attempt, and its report."""

    def save_checkpoint(self, path: str, name: str) -> None:
        """Keep the local file as `name`; with an empty name, the content of the local folder."""
        ...

    def restore_checkpoint(self) -> str:
        """Return a local folder with what the previous attempt kept; an empty text when it kept nothing."""
        ...

    def publish_deck(self, html: str) -> None:
        """Store the report's HTML as it is now, so that people can see it."""
        ...


class BlobStore(Protocol):
    """Reads and writes objects by URI. Writes are atomic: a reader sees all of an object or none of it.

    Every method raises `StorageError` when the store refuses or cannot be reached. `transient` is true when
    trying again may help, `missing` when there is no such object.
    """

    def read(self, uri: str) -> bytes:
        """Return the whole object."""
        ...

    def write(self, uri: str, data: "bytes | memoryview") -> None:
        """Store `data` at `uri`, in place of an existing object."""
        ...

    def read_part(self, uri: str, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset` on; fewer, or none, where the object ends before."""
        ...

    def size(self, uri: str) -> "int | None":
        """Return the object's size in bytes, or `None` when there is no object."""
        ...

    def stat(self, uri: str) -> "Stat | None":
        """Return what is known of the object without reading it, or `None` when there is no object."""
        ...

    def get(self, uri: str, path: str) -> None:
        """Copy the object or folder at `uri` to the local `path`."""
        ...

    def put(self, path: str, uri: str) -> None:
        """Copy the local file or folder to `uri`."""
        ...

    def list(self, uri: str) -> "list[str]":
        """Return the URIs of the objects below `uri`, sorted."""
        ...

    def delete(self, uri: str) -> None:
        """Remove the object; do nothing when there is none."""
        ...

    def touch(self, uri: str) -> bool:
        """Set the object's `modified_s` to now without sending its bytes again; return whether it was set.

        It returns `False` when the store cannot do that, and when there is no such object. Writing the
        object again then has the same effect.
        """
        ...


class StagingArea(Protocol):
    """Stores a bundle's members by content."""

    def stage(self, name: str, data: "bytes | memoryview", *, sha256: str) -> "tuple[str, int]":
        """Store the object unless it is stored already; return its URI and the number of bytes sent.

        An object with the same size (and digest, where the store knows it) is not sent again. It is touched
        when it is older than half of `GRACE_S`, so that garbage collection keeps it.

        Args:
            name: the path below the area, e.g. `ab/<sha256>` or `index-<sha256>.json`.
            data: the bytes; a `memoryview` has the format `B` and one dimension.
            sha256: the digest of `data`, lower-case hex.

        Raises:
            StorageError: when it cannot be stored.
        """
        ...

    @property
    def is_local(self) -> bool:
        """Whether objects go to a disk of this machine, where staging in threads is slower."""
        ...

    def settle(self) -> None:
        """Store again what was removed during staging. Call it after all indexes are stored."""
        ...


class Entity(Protocol):
    """What a registrar returns: a task, workflow or launch plan of the SDK, or a spec from a file."""

    @property
    def resource_type(self) -> str:
        """`task`, `workflow` or `launch_plan`."""
        ...

    @property
    def module(self) -> str:
        """The module that defines it; `__main__` in a notebook."""
        ...

    @property
    def short_name(self) -> str:
        """Its name in that module."""
        ...

    @property
    def fixed_name(self) -> str:
        """A full name that replaces `<module>.<short_name>`; empty when the entity has none."""
        ...

    @property
    def location(self) -> Location:
        """The place in the source where its author wrote it."""
        ...


class Registrar(Protocol):
    """Finds entities to register (flytekit-java's `Registrar<K, T>`)."""

    def load(self, env: "Mapping[str, str]") -> "Iterable[Entity]":
        """Return every entity that it knows now, each once. Of ambient state it may read `env` only."""
        ...


class Runner(Protocol):
    """Runs calls of entities that are made outside a workflow's body."""

    def run(self, entity: Entity, inputs: "dict[str, Any]") -> Any:
        """Run `entity` with Python inputs and return its Python output (a tuple for several)."""
        ...
