"""One store in front of many: each URI goes to the store of its scheme."""

import os
from _thread import allocate_lock  # threading takes 2 ms to import, which an attempt need not pay
from collections.abc import Mapping
from typing import TYPE_CHECKING

from flyte_nb.api.ports import BlobStore, Stat
from flyte_nb.storage.file import FileStore

if TYPE_CHECKING:
    from flyte_nb.storage.plugin_process import PluginStore
    from flyte_nb.storage.plugins import Plugin

PLUGIN_DIR = "FLYTE_NB_PLUGIN_DIR"
"""Names the folder with a folder for each storage plugin (`storage/plugins.py`)."""

_IN_TREE = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az"})


class Stores:
    """A `BlobStore` that routes by scheme. `file://…` and plain paths need no fsspec."""

    def __init__(self, extra: "Mapping[str, BlobStore]") -> None:
        self._stores: dict[str, BlobStore] = {"file": FileStore(), **extra}
        self._plugins: dict[str, PluginStore] = {}
        self._opening = allocate_lock()

    def read(self, uri: str) -> bytes:
        """The whole object."""
        return self._of(uri).read(uri)

    def write(self, uri: str, data: "bytes | memoryview") -> None:
        """Store `data` at `uri`, replacing what is there."""
        self._of(uri).write(uri, data)

    def write_durably(self, uri: str, data: "bytes | memoryview") -> None:
        """Store `data` at `uri` so that it survives a power cut; other stores than files always do so."""
        store = self._of(uri)
        getattr(store, "write_durably", store.write)(uri, data)

    def size(self, uri: str) -> "int | None":
        """The object's size in bytes, or `None` when there is none."""
        return self._of(uri).size(uri)

    def read_part(self, uri: str, offset: int, length: int) -> bytes:
        """At most `length` bytes from `offset` on; fewer, or none, where the object ends."""
        return self._of(uri).read_part(uri, offset, length)

    def stat(self, uri: str) -> "Stat | None":
        """What is known of the object without reading it, or `None` when there is none."""
        return self._of(uri).stat(uri)

    def get(self, uri: str, path: str) -> None:
        """Copy the object or folder at `uri` to the local `path`."""
        self._of(uri).get(uri, path)

    def put(self, path: str, uri: str) -> None:
        """Copy the local file or folder to `uri`."""
        self._of(uri).put(path, uri)

    def list(self, uri: str) -> "list[str]":
        """URIs of the objects below `uri`, sorted."""
        return self._of(uri).list(uri)

    def delete(self, uri: str) -> None:
        """Remove the object; nothing happens when there is none."""
        self._of(uri).delete(uri)

    def touch(self, uri: str) -> bool:
        """Make the object's `modified_s` the present, where its store can; whether it is."""
        touch = getattr(self._of(uri), "touch", None)  # stores of others may be older than it
        return touch is not None and bool(touch(uri))

    def close(self) -> None:
        """End the processes of plugins; they also end with this process, or with this value."""
        for plugin in self._plugins.values():
            plugin.close()

    def _of(self, uri: str) -> BlobStore:
        scheme, separator, _ = uri.partition("://")
        if not separator:
            scheme = "file"
        store = self._stores.get(scheme)
        if store is None:
            with self._opening:
                store = self._stores.get(scheme) or self._open(scheme)
                self._stores[scheme] = store
        return store

    def _open(self, scheme: str) -> BlobStore:
        """A plugin's, when one claims the scheme; else one of our own, or an installed one."""
        root = os.environ.get(PLUGIN_DIR)
        if root:
            from flyte_nb.storage.plugins import plugin_for

            plugin = plugin_for(scheme, root)
            if plugin is not None:
                return self._of_plugin(plugin)
        if scheme == "memory":
            from flyte_nb.storage.memory import MemoryStore

            return MemoryStore()
        if scheme not in _IN_TREE:
            from importlib.metadata import entry_points

            from flyte_nb.storage.plugins import GROUP, load_store

            for point in entry_points(group=GROUP, name=scheme):
                return load_store(point.value, scheme)
        # fsspec costs 50 ms to import: only who has objects elsewhere pays it.
        from flyte_nb.storage.remote import FsspecStore

        return FsspecStore(scheme)

    def _of_plugin(self, plugin: "Plugin") -> BlobStore:
        """One process for a plugin, however many schemes it serves."""
        from flyte_nb.storage.plugin_process import PluginStore

        if plugin.name not in self._plugins:
            self._plugins[plugin.name] = PluginStore(plugin)
        return self._plugins[plugin.name]
