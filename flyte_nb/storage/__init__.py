"""Bytes by URI: `file://` and plain paths by the standard library, others through fsspec."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flyte_nb.api.ports import BlobStore

_VARIABLES = (
    *("AWS_", "FLYTE_AWS_", "AZURE_", "GOOGLE_", "GCSFS_", "STORAGE_EMULATOR_", "FSSPEC_"),
    "FLYTE_NB_PLUGIN_DIR",
)
"""Beginnings of the variables that stores and the clouds' libraries read."""


def open_stores(extra: "Mapping[str, BlobStore] | None" = None) -> "BlobStore":
    """A store for every URI, which opens what a scheme needs when that scheme is first used.

    Args:
        extra: stores by scheme (`memory`, `s3`, …) that take the place of the built-in ones.
    """
    from flyte_nb.storage.routing import Stores

    return Stores(extra or {})


def variables_of_stores(environ: "Mapping[str, str]") -> "dict[str, str]":
    """The variables that say how stores are reached, and with which credentials."""
    return {name: value for name, value in environ.items() if name.startswith(_VARIABLES)}
