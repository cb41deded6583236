"""typing.Annotated: columns of a table; everything else in it is for other tools."""

import typing
from typing import TYPE_CHECKING, Any

from flyte_nb.api.errors import CodecError
from flyte_nb.types.codec import Codec
from flyte_nb.types.frames import FrameCodec

if TYPE_CHECKING:
    from flyte_nb.types.lookup import CodecLookup


def annotated_codec(python_type: Any, registry: "CodecLookup") -> Codec:
    """The codec of the annotated type; a dict of columns beside a DataFrame or Table is its schema.

    Raises:
        CodecError: when a table is annotated with a format that cannot be written.
    """
    inner, *extras = typing.get_args(python_type)
    codec = registry.codec(inner)
    if not isinstance(codec, FrameCodec):
        return codec
    for extra in extras:
        if isinstance(extra, dict):
            columns = tuple(
                (name, registry.codec(column).literal_type) for name, column in extra.items()
            )
            return codec.with_columns(columns)
        if isinstance(extra, str) and extra not in ("", "parquet"):
            raise CodecError(
                f"Tables are stored as parquet, not as {extra}.", hint="Remove the format."
            )
    return codec
