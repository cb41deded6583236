"""Route each URI to the store of its scheme.

Imports of other stores are inside of functions here: each is optional, or takes milliseconds that an
attempt with local files need not pay.
"""

import os
from _thread import allocate_lock  # `threading` takes 2 ms to import
from collections.abc import Mapping
from typing import TYPE_CHECKING

from flyte_nb.api.ports import BlobStore, Stat
from flyte_nb.storage.file import FileStore

if TYPE_CHECKING:
    from flyte_nb.storage.plugin_process import PluginStore
    from flyte_nb.storage.plugins import Plugin

PLUGIN_DIR = "FLYTE_NB_PLUGIN_DIR"
"""The variable that names the folder which contains a folder for each plugin (`storage/plugins.py`)."""

_IN_TREE = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az"})


class Stores:
    """A `BlobStore` that passes each call to the store of the URI's scheme.

    `file://…` and plain paths are served without fsspec. A scheme's store is opened when it is first used, so
    every method raises `StorageError` also when no store serves the scheme.

    Args:
        extra: stores by scheme that replace the built-in ones.
    """

    def __init__(self, extra: "Mapping[str, BlobStore]") -> None:
        self._stores: dict[str, BlobStore] = {"file": FileStore(), **extra}
        self._plugins: dict[str, PluginStore] = {}
        self._opening = allocate_lock()

    def read(self, uri: str) -> bytes:
        """Return the whole object."""
        return self._of(uri).read(uri)

    def write(self, uri: str, data: "bytes | memoryview") -> None:
        """Store `data` at `uri` and replace an existing object."""
        self._of(uri).write(uri, data)

    def write_durably(self, uri: str, data: "bytes | memoryview") -> None:
        """Store `data` at `uri` so that it survives a power cut."""
        store = self._of(uri)  # a remote store's plain write does so already
        getattr(store, "write_durably", store.write)(uri, data)

    def size(self, uri: str) -> "int | None":
        """Return the object's size in bytes, or `None` when there is no such object."""
        return self._of(uri).size(uri)

    def read_part(self, uri: str, offset: int, length: int) -> bytes:
        """Return at most `length` bytes from `offset` on; fewer, or none, where the object ends."""
        return self._of(uri).read_part(uri, offset, length)

    def stat(self, uri: str) -> "Stat | None":
        """Return what the store knows of the object without reading it, or `None` when there is none."""
        return self._of(uri).stat(uri)

    def get(self, uri: str, path: str) -> None:
        """Copy the object or folder at `uri` to the local `path`."""
        self._of(uri).get(uri, path)

    def put(self, path: str, uri: str) -> None:
        """Copy the local file or folder to `uri`."""
        self._of(uri).put(path, uri)

    def list(self, uri: str) -> "list[str]":
        """Return the URIs of the objects below `uri`, sorted."""
        return self._of(uri).list(uri)

    def delete(self, uri: str) -> None:
        """Remove the object. Nothing happens when there is no such object."""
        self._of(uri).delete(uri)

    def touch(self, uri: str) -> bool:
        """Set the object's time to the present; return whether its store could do that."""
        touch = getattr(self._of(uri), "touch", None)  # an older store of others has no such method
        return touch is not None and bool(touch(uri))

    def close(self) -> None:
        """End the processes of plugins. They also end with this process, or when this object is freed."""
        for plugin in self._plugins.values():
            plugin.close()

    def _of(self, uri: str) -> BlobStore:
        scheme, separator, _ = uri.partition("://")
        if not separator:
            scheme = "file"
        store = self._stores.get(scheme)
        # Looking into a dict needs no lock, so only the first call for a scheme waits for one.
        if store is None:
            with self._opening:
                # Another thread may have opened it while this one waited.
                store = self._stores.get(scheme) or self._open(scheme)
                self._stores[scheme] = store
        return store

    def _open(self, scheme: str) -> BlobStore:
        """Return the store of a plugin that claims the scheme, or else of ours or an installed package.

        Plugins come first, so that one can replace the built-in store of `s3://`.
        """
        root = os.environ.get(PLUGIN_DIR)
        if root:
            from flyte_nb.storage.plugins import plugin_for

            plugin = plugin_for(scheme, root)
            if plugin is not None:
                return self._of_plugin(plugin)
        if scheme == "memory":
            from flyte_nb.storage.memory import MemoryStore

            return MemoryStore()
        # An installed package cannot take over a scheme that this release serves; only a plugin can.
        if scheme not in _IN_TREE:
            from importlib.metadata import entry_points

            from flyte_nb.storage.plugins import GROUP, load_store

            for point in entry_points(group=GROUP, name=scheme):
                return load_store(point.value, scheme)
        from flyte_nb.storage.remote import FsspecStore

        return FsspecStore(scheme)

    def _of_plugin(self, plugin: "Plugin") -> BlobStore:
        """Return the plugin's store. It has one process, however many schemes it serves."""
        from flyte_nb.storage.plugin_process import PluginStore

        if plugin.name not in self._plugins:
            self._plugins[plugin.name] = PluginStore(plugin)
        return self._plugins[plugin.name]
