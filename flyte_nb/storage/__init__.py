"""Bytes by URI: `file://` and plain paths by the standard library, others through fsspec."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flyte_nb.api.ports import BlobStore


def open_stores(extra: "Mapping[str, BlobStore] | None" = None) -> "BlobStore":
    """A store for every URI, which opens what a scheme needs when that scheme is first used.

    Args:
        extra: stores by scheme (`memory`, `s3`, …) that take the place of the built-in ones.
    """
    from flyte_nb.storage.routing import Stores

    return Stores(extra or {})
