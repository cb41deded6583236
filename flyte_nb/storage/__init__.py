"""Read and write bytes by URI: local files with the standard library, other stores through fsspec.

Every store is a `BlobStore` (`api/ports.py`), and every error is a `StorageError` that says whether trying
again may help. The room imports `api` and `pipe` only. Local files must stay cheap: an attempt that needs
nothing else loads neither fsspec nor threads.

Start reading at `routing.py` (which store serves a URI), then `file.py`, `remote.py` and `directory.py` (a
staging area in a store). Plugins are in `plugins.py`, `plugin_process.py` and `plugin_child.py`. See
`docs/storage.md`, and for staging `docs/bundles.md`.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flyte_nb.api.ports import BlobStore

_VARIABLES = (
    *("AWS_", "FLYTE_AWS_", "AZURE_", "GOOGLE_", "GCSFS_", "STORAGE_EMULATOR_", "FSSPEC_"),
    "FLYTE_NB_PLUGIN_DIR",
)
"""Prefixes of the environment variables that stores and the clouds' libraries read."""


def open_stores(extra: "Mapping[str, BlobStore] | None" = None) -> "BlobStore":
    """Return a store for every URI. It opens a scheme's own store when the scheme is first used.

    Args:
        extra: stores by scheme (`memory`, `s3`, …) that replace the built-in ones.
    """
    # Imported here, because a process that only asks for `variables_of_stores` opens no store.
    from flyte_nb.storage.routing import Stores

    return Stores(extra or {})


def variables_of_stores(environ: "Mapping[str, str]") -> "dict[str, str]":
    """Return the environment variables that say how stores are reached, and with which credentials."""
    return {name: value for name, value in environ.items() if name.startswith(_VARIABLES)}
