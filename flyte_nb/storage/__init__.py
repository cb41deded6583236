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


def reached_alike(one: "Mapping[str, str]", other: "Mapping[str, str]") -> bool:
    """Whether stores opened under these two environments are the same, with the same credentials."""
    return _of_stores(one) == _of_stores(other)


def _of_stores(env: "Mapping[str, str]") -> "dict[str, str]":
    return {name: value for name, value in env.items() if name.startswith(_VARIABLES)}
