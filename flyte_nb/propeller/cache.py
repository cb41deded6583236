"""Results of discoverable tasks: the key of a result, and two catalogs that keep results.

The key must be the same in every process and release, and equal to Flyte's: a key that changes makes
every task run once more, and a key that is too coarse gives wrong results.

Source: flyteplugins/go/tasks/pluginmachinery/catalog/hashing.go and
flytepropeller/pkg/controller/nodes/task/catalog/datacatalog/{transformer,tag}.go at v1.16.8.
"""

import functools
import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from typing import NamedTuple

from flyteidl.core.interface_pb2 import VariableMap
from flyteidl.core.literals_pb2 import Literal, LiteralMap
from flyteidl.core.tasks_pb2 import TaskTemplate
from google.protobuf.message import DecodeError, Message

from flyte_nb.api.ports import BlobStore
from flyte_nb.compiler.digests import digest
from flyte_nb.storage.durable import make_durable


def key(task: TaskTemplate, cache_version: str, inputs: LiteralMap) -> str:
    """Return the key of a result: `<project>/<domain>/<dataset>/<version>/<tag>`.

    It is equal for equal task name, interface, cache version and inputs. A literal with a hash counts
    by that hash, and inputs in `cache_ignore_input_vars` do not count.
    """
    id, interface = task.id, task.interface
    version = "-".join((cache_version, _short(interface.inputs), _short(interface.outputs)))
    tag = f"flyte_cached-{_hash(_hashed(inputs, task.metadata.cache_ignore_input_vars))}"
    return f"{id.project}/{id.domain}/flyte_task-{id.name}/{version}/{tag}"


_SHORT = 8


class Dataset(NamedTuple):
    """What a dataset's version consists of: all of a key but the task's name and the inputs."""

    cache_version: str
    inputs: str
    """A hash of the inputs' names and types."""
    outputs: str
    """A hash of the outputs' names and types."""


def dataset_of(version: str) -> Dataset:
    """Return the parts of a dataset's version, as `key` made it."""
    # From the end: the author's version, and a hash too, may have a `-`.
    return Dataset(
        version[: -2 * (_SHORT + 1)], version[-2 * _SHORT - 1 : -_SHORT - 1], version[-_SHORT:]
    )


def input_hashes(inputs: LiteralMap, ignored: Collection[str] = ()) -> dict[str, str]:
    """Return a hash of each input that counts for a key, by its name.

    Raises:
        CodecError: when an input has no key.
    """
    counted = _hashed(inputs, ignored).literals
    return {name: _hash(counted[name]) for name in sorted(counted)}


class MemoryCatalog:
    """A catalog in memory. It ends with its owner."""

    def __init__(self) -> None:
        self._results: dict[str, bytes] = {}

    def get(self, key: str) -> "bytes | None":
        """Return the `LiteralMap` that was put under this key, or `None`."""
        return self._results.get(key)

    def put(self, key: str, outputs: bytes) -> None:
        """Keep a `LiteralMap` under this key, in place of an earlier one."""
        self._results[key] = outputs


class StoreCatalog:
    """A catalog of objects below `root`, each named by the hash of its key."""

    def __init__(self, store: BlobStore, root: str) -> None:
        self._store = store
        self._root = root.rstrip("/")

    def get(self, key: str) -> "bytes | None":
        """Return the `LiteralMap` that was put under this key, or `None`.

        Raises:
            StorageError: when the store cannot be reached.
        """
        uri = self._uri(key)
        if self._store.size(uri) is None:
            return None
        return self._store.read(uri)

    def put(self, key: str, outputs: bytes) -> None:
        """Keep a `LiteralMap` under this key, so that it survives a power cut after this call.

        The files that it refers to are made durable first. Otherwise an entry could outlive its files,
        and every later launch would get outputs that cannot be read.

        Raises:
            StorageError: when the entry cannot be kept.
        """
        # An entry that cannot be decoded refers to no files. Its reader reports the fault.
        with suppress(DecodeError):
            for uri in uris_in(LiteralMap.FromString(outputs).literals.values()):
                make_durable(uri)
        write = getattr(self._store, "write_durably", self._store.write)
        write(self._uri(key), outputs)

    def _uri(self, key: str) -> str:
        # A key has names that an author chose, of any length and script. Its hash is a name in every store.
        name = hashlib.sha256(key.encode("utf-8")).hexdigest()
        return f"{self._root}/{name[:2]}/{name}.pb"


def uris_in(literals: "Iterable[Literal]") -> "Iterator[str]":
    """Yield the URIs of the files, folders and datasets that the literals refer to."""
    for literal in literals:
        kind = literal.WhichOneof("value")
        if kind == "collection":
            yield from uris_in(literal.collection.literals)
        elif kind == "map":
            yield from uris_in(literal.map.literals.values())
        elif kind == "offloaded_metadata":
            yield literal.offloaded_metadata.uri
        elif kind == "scalar":
            value = literal.scalar.WhichOneof("value")
            if value == "union":
                yield from uris_in([literal.scalar.union.value])
            elif value in ("blob", "schema", "structured_dataset"):
                yield getattr(literal.scalar, value).uri


def _hashed(inputs: LiteralMap, ignored: Collection[str]) -> LiteralMap:
    if not ignored and all(map(_is_whole, inputs.literals.values())):
        return inputs  # nothing of it is replaced, as in most calls of small tasks
    counted = LiteralMap()
    for name, literal in inputs.literals.items():
        if name not in ignored:
            counted.literals[name].CopyFrom(_by_hash(literal))
    return counted


def _is_whole(literal: Literal) -> bool:
    """Return whether the literal counts as it is: a scalar without a hash."""
    return literal.HasField("scalar") and not literal.hash


def _by_hash(literal: Literal) -> Literal:
    """Return the literal with every part that has a hash replaced by that hash, as Flyte's transformer does.

    The hash of a list or map itself does not count: Flyte looks at the hashes of the items only.
    """
    kind = literal.WhichOneof("value")
    if kind == "collection":
        items = Literal()
        # Otherwise an empty list would become a literal without a value, and get another key.
        items.collection.SetInParent()
        items.collection.literals.extend(_by_hash(item) for item in literal.collection.literals)
        return items
    if kind == "map":
        entries = Literal()
        entries.map.SetInParent()
        for name, item in literal.map.literals.items():
            entries.map.literals[name].CopyFrom(_by_hash(item))
        return entries
    # The value itself does not count then: files with one hash are one input, wherever they are stored.
    return Literal(hash=literal.hash) if literal.hash else literal


def _short(variables: VariableMap) -> str:
    return _short_of(variables.SerializeToString(deterministic=True))


@functools.lru_cache(maxsize=1024)
def _short_of(variables: bytes) -> str:
    """Return the hash of an interface's half. It is the same at every call of a task, so it is remembered."""
    return _hash(VariableMap.FromString(variables))[:_SHORT]


def _hash(message: Message) -> str:
    # Go's `RawURLEncoding`, which has no padding.
    return urlsafe_b64encode(digest(message)).decode("ascii").rstrip("=")
