"""Find storage plugins: folders with packages of their own, each served by a process of its own.

`pip install --target` makes such a folder, `FLYTE_NB_PLUGIN_DIR/<name>/`. Entry points of the distributions
in it, in the group `flyte_nb.storage`, name the schemes that it serves: the entry point's name is a scheme,
and its value is a callable without arguments that returns a `BlobStore`
(`mine = my_package.stores:open_store`). A `plugin.json` in the folder can add schemes:

    {"schemes": {"mine": "my_package.stores:open_store", "s3": "fsspec"}, "python": "/usr/bin/python3"}

`fsspec` stands for the file system that the folder's own fsspec has for the scheme. `python` names another
interpreter than the host's. So the packages of a plugin may conflict with those of other plugins, of the
host and of the user.
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
    """For each scheme, what opens its store: `module:callable`, or `fsspec`."""
    python: str = ""
    """The path of its interpreter; empty for the host's."""

    @property
    def whereabouts(self) -> str:
        """Return a sentence that says where the plugin is and where the text that it printed can be found.

        A plugin shares standard error with the process that uses it.
        """
        try:
            target = os.readlink("/proc/self/fd/2")  # Linux has this
        except OSError:
            target = ""
        if target == os.devnull:
            log = "lost, because the process that uses it has no log"
        elif os.path.isfile(target):
            log = f"in {target}"
        else:
            log = "in the log (standard error) of the process that uses it"
        return f"Its packages are in {self.folder}; what it printed is {log}."


def plugin_for(scheme: str, root: str) -> "Plugin | None":
    """Return the plugin below `root` that claims `scheme`, or `None` when none does.

    Raises:
        StorageError: when two plugins claim it, or a `plugin.json` cannot be read.
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
    """Return all plugins below `root`, sorted by name; an empty list when there is no such folder.

    Raises:
        StorageError: when a `plugin.json` cannot be read.
    """
    try:
        folders = sorted(entry.path for entry in os.scandir(root) if entry.is_dir())
    except OSError:
        return []
    return [_plugin(Path(folder)) for folder in folders]


def load_store(value: str, scheme: str) -> BlobStore:
    """Return the store that an entry point's value, or `fsspec`, names.

    Args:
        value: `module:callable`, or `fsspec`.
        scheme: the scheme that the store will serve.

    Raises:
        StorageError: when fsspec has no file system for the scheme.
        Exception: anything that importing the module or calling the callable raises.
    """
    if value == FSSPEC:
        # Imported here, because fsspec takes 50 ms to import and few plugins need it.
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
    document: object = {}
    if manifest.exists():
        try:
            document = json.loads(manifest.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise _unreadable(manifest, str(error)) from error
    schemes = _entry_points(folder)
    if isinstance(document, dict) and isinstance(document.get("schemes", {}), dict):
        schemes |= {str(name): str(value) for name, value in document.get("schemes", {}).items()}
        return Plugin(folder.name, str(folder), schemes, str(document.get("python", "")))
    raise _unreadable(manifest, 'it has to be like {"schemes": {"mine": "my_package:open_store"}}')


def _entry_points(folder: Path) -> "dict[str, str]":
    """Return what the entry points of the folder's distributions name, by scheme.

    The files are read directly, because `importlib.metadata` takes 30 ms to import.
    """
    schemes: dict[str, str] = {}
    for file in sorted(folder.glob("*.dist-info/entry_points.txt")):
        parser = configparser.ConfigParser(delimiters=("=",), interpolation=None)
        parser.optionxform = str  # type: ignore[method-assign,assignment]  # keep upper case in names
        parser.read(file, encoding="utf-8")
        if parser.has_section(GROUP):
            schemes |= {
                name: value.partition("[")[0].strip() for name, value in parser.items(GROUP)
            }
    return schemes


def _unreadable(manifest: Path, reason: str) -> StorageError:
    return StorageError(f"The plugin's manifest {manifest} cannot be read: {reason}.")
