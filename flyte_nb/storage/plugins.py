"""Storage plugins: folders with packages of their own, each served by a process of its own.

`FLYTE_NB_PLUGIN_DIR/<name>/` is what `pip install --target` makes. What it serves is said by the
entry points of the distributions in it, group `flyte_nb.storage`: the name is a scheme, the value a
callable without arguments that gives a `BlobStore` (`mine = my_package.stores:open_store`). Where no
distribution says so, a `plugin.json` in the folder does:

    {"schemes": {"mine": "my_package.stores:open_store", "s3": "fsspec"}, "python": "/usr/bin/python3"}

`fsspec` means the file system that the folder's own fsspec has for the scheme; `python` is another
interpreter than the host's. So two plugins may need versions of a library that conflict with each
other, with the host's and with the user's.
"""

import configparser
import importlib
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

from flyte_nb.api.errors import StorageError
from flyte_nb.api.ports import BlobStore

GROUP = "flyte_nb.storage"
FSSPEC = "fsspec"


class Plugin(NamedTuple):
    """One plugin's folder."""

    name: str
    folder: str
    schemes: "dict[str, str]"
    """What serves each scheme: `module:callable`, or `fsspec`."""
    python: str = ""
    """Its interpreter; empty for the host's."""

    @property
    def whereabouts(self) -> str:
        """Where it is, and what it printed: it shares standard error with the process that uses it."""
        try:
            target = os.readlink("/proc/self/fd/2")  # where there is such a thing
        except OSError:
            target = ""
        if target == os.devnull:
            log = "nowhere, for the process that uses it has no log"
        elif os.path.isfile(target):
            log = f"in {target}"
        else:
            log = "in the log (standard error) of the process that uses it"
        return f"Its packages are in {self.folder}; what it printed is {log}."


def plugin_for(scheme: str, root: str) -> "Plugin | None":
    """The plugin below `root` that claims `scheme`.

    Raises:
        StorageError: when two claim it, or one's `plugin.json` cannot be read.
    """
    claiming = [plugin for plugin in plugins(root) if scheme in plugin.schemes]
    if len(claiming) > 1:
        names = " and ".join(plugin.name for plugin in claiming)
        raise StorageError(
            f"The plugins {names} in {root} both claim {scheme}://.",
            uri=f"{scheme}://",
            hint="Remove one of the folders, or set FLYTE_NB_PLUGIN_DIR to another.",
        )
    return claiming[0] if claiming else None


def plugins(root: str) -> "list[Plugin]":
    """Every plugin below `root`, by name; none when there is no such folder."""
    try:
        folders = sorted(entry.path for entry in os.scandir(root) if entry.is_dir())
    except OSError:
        return []
    return [_plugin(Path(folder)) for folder in folders]


def load_store(value: str, scheme: str) -> BlobStore:
    """The store that an entry point's value, or `fsspec`, names; its package must be importable."""
    if value == FSSPEC:
        from flyte_nb.storage.remote import FsspecStore

        return FsspecStore(scheme)
    module, _, name = value.partition(":")
    found: Any = importlib.import_module(module.strip())
    for part in filter(None, name.strip().split(".")):
        found = getattr(found, part)
    store: BlobStore = found()
    return store


def _plugin(folder: Path) -> Plugin:
    manifest = folder / "plugin.json"
    said: Any = {}
    if manifest.exists():
        try:
            said = json.loads(manifest.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise _unreadable(manifest, str(error)) from error
    schemes = _entry_points(folder)
    if isinstance(said, dict) and isinstance(said.get("schemes", {}), dict):
        schemes |= {str(name): str(value) for name, value in said.get("schemes", {}).items()}
        return Plugin(folder.name, str(folder), schemes, str(said.get("python", "")))
    raise _unreadable(manifest, 'it has to be like {"schemes": {"mine": "my_package:open_store"}}')


def _entry_points(folder: Path) -> "dict[str, str]":
    """Of this folder only, and without `importlib.metadata`, which takes 30 ms to import."""
    schemes: dict[str, str] = {}
    for file in sorted(folder.glob("*.dist-info/entry_points.txt")):
        parser = configparser.ConfigParser(delimiters=("=",), interpolation=None)
        parser.optionxform = str  # type: ignore[method-assign,assignment]
        parser.read(file, encoding="utf-8")
        if parser.has_section(GROUP):
            schemes |= {
                name: value.partition("[")[0].strip() for name, value in parser.items(GROUP)
            }
    return schemes


def _unreadable(manifest: Path, reason: str) -> StorageError:
    return StorageError(f"The plugin's manifest {manifest} cannot be read: {reason}.")
