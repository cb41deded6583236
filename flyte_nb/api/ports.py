"""The ports at which siblings meet. Each has a conformance suite in `flyte_nb.testing`."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Protocol

from flyte_nb.api.specs import Location

GRACE_S = 24 * 3600.0
"""Nobody who cleans up a staging area removes what was written (or used) within this time; and who uses
again what lies there for half of it makes it young. So what a registration found there stays until its
index names it."""


class DataAccess(Protocol):
    """How the types room moves files: in a task over the pipe, in a kernel straight to a store."""

    def download(self, uri: str) -> str:
        """A local path with the content of `uri` (a folder for a multipart blob)."""
        ...

    def upload(self, path: str, *, name: str = "") -> str:
        """Store the file or folder at `path`, return its URI. `name` is a hint for its last part."""
        ...

    def scratch(self, suffix: str = "") -> str:
        """A fresh local path to write to; it lies in the attempt's working folder."""
        ...


class ModuleAccess(Protocol):
    """What a `DataAccess` may have besides: the author's own modules, which pickled values need."""

    def own_modules(self, tops: "Iterable[str]") -> "Mapping[str, bytes]":
        """Files by path of those top-level modules that are the author's own, and of what they import."""
        ...

    def adopt_modules(self, folder: str) -> None:
        """Make the modules in a local folder importable, after all others."""
        ...


class Stat(NamedTuple):
    """What a store knows of an object without reading it."""

    size: int
    """Bytes."""
    md5: str = ""
    """Lower-case hex; empty where the store does not know it. A hint: it may be of encrypted bytes."""
    stamp: str = ""
    """Changes whenever the content does; empty where the store has no such thing."""
    modified_s: "float | None" = None
    """When it was written, in seconds since 1970; `None` where the store does not know."""


class AttemptFiles(Protocol):
    """What an attempt keeps beside its outputs: checkpoints for the next one, and its report."""

    def save_checkpoint(self, path: str, name: str) -> None:
        """Keep the local file as `name`; without a name, the content of the local folder."""
        ...

    def restore_checkpoint(self) -> str:
        """A local folder with what the previous attempt kept; empty when there is nothing."""
        ...

    def publish_deck(self, html: str) -> None:
        """Show the report as it is now."""
        ...


class BlobStore(Protocol):
    """Bytes by URI. Writes are atomic: a reader sees all of an object or none of it.

    Errors are `StorageError`; `transient` says whether trying again may help, `missing` that there is
    no such object.
    """

    def read(self, uri: str) -> bytes:
        """The whole object."""
        ...

    def write(self, uri: str, data: "bytes | memoryview") -> None:
        """Store `data` at `uri`, replacing what is there."""
        ...

    def read_part(self, uri: str, offset: int, length: int) -> bytes:
        """At most `length` bytes from `offset` on; fewer, or none, where the object ends."""
        ...

    def size(self, uri: str) -> "int | None":
        """The object's size in bytes, or `None` when there is none."""
        ...

    def stat(self, uri: str) -> "Stat | None":
        """What is known of the object without reading it, or `None` when there is none."""
        ...

    def get(self, uri: str, path: str) -> None:
        """Copy the object or folder at `uri` to the local `path`."""
        ...

    def put(self, path: str, uri: str) -> None:
        """Copy the local file or folder to `uri`."""
        ...

    def list(self, uri: str) -> "list[str]":
        """URIs of the objects below `uri`, sorted."""
        ...

    def delete(self, uri: str) -> None:
        """Remove the object; nothing happens when there is none."""
        ...

    def touch(self, uri: str) -> bool:
        """Make the object's `modified_s` the present, without sending its bytes again; whether it is.

        `False` where the store has no such thing or refuses it, and when there is no such object: then
        writing it again is what helps.
        """
        ...


class StagingArea(Protocol):
    """Where a bundle's members are put, by content."""

    def stage(self, name: str, data: "bytes | memoryview", *, sha256: str) -> "tuple[str, int]":
        """Make sure the object is there; return its URI and how many bytes had to be sent.

        `name` is the path below the area, e.g. `ab/<sha256>` or `index-<sha256>.json`. An object
        that is there already with that size (and digest, where the store knows it) is not sent, but
        made young when it is old (`GRACE_S`).
        A `memoryview` is one of plain bytes (format `B`, one dimension).
        """
        ...

    @property
    def is_local(self) -> bool:
        """Whether objects go to a disk of this machine, where threads cost more than they save."""
        ...

    def settle(self) -> None:
        """Store again what somebody removed while it was staged; called when all indexes are there."""
        ...


class Entity(Protocol):
    """What a registrar finds: a task, workflow or launch plan of the SDK, or a spec from a file."""

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
        """A full name that does not follow from module and short name; empty when it has none."""
        ...

    @property
    def location(self) -> Location:
        """Where its author wrote it."""
        ...


class Registrar(Protocol):
    """Finds entities to register (flytekit-java's `Registrar<K, T>`)."""

    def load(self, env: "Mapping[str, str]") -> "Iterable[Entity]":
        """Every entity this registrar knows now, each once. Reads no ambient state but `env`."""
        ...


class Runner(Protocol):
    """Who carries out a call of an entity outside of a workflow's body."""

    def run(self, entity: Entity, inputs: "dict[str, Any]") -> Any:
        """Run `entity` with Python inputs; return its Python output (a tuple for several)."""
        ...
