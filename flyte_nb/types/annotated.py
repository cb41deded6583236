"""typing.Annotated: columns and schemas of tables, hashes, annotations; all else is for other tools."""

import typing
from typing import TYPE_CHECKING, Any

from flyte_nb.api.errors import CodecError
from flyte_nb.api.literals import Literal
from flyte_nb.api.ports import DataAccess
from flyte_nb.types.codec import Codec, spell
from flyte_nb.types.frames import FrameCodec

if TYPE_CHECKING:
    from flyte_nb.types.lookup import CodecLookup

_CACHE_KEY = "cache-key-metadata"
"""Key in a type's annotation that says how structs are serialized."""


def annotated_codec(python_type: Any, registry: "CodecLookup") -> Codec:
    """Return the codec of the annotated type.

    A dict of columns, or an Arrow schema, beside a table is what is read of it; a `HashMethod` gives
    literals their hash; a `FlyteAnnotation` goes into the type.

    Raises:
        CodecError: when something beside the type cannot be meant.
    """
    inner, *extras = typing.get_args(python_type)
    codec = registry.codec(inner)
    if isinstance(codec, FrameCodec):
        codec = _shaped(codec, extras, registry)
    annotations = [extra for extra in extras if _is(extra, "FlyteAnnotation", "data")]
    if annotations:
        codec = _with_annotation(codec, inner, annotations)
    methods = [extra for extra in extras if _is(extra, "HashMethod", "calculate")]
    if len(methods) > 1:
        raise CodecError(f"{spell(inner)} has {len(methods)} hash methods.", hint="Keep one.")
    return _hashed(codec, methods[0]) if methods else codec


def _shaped(codec: FrameCodec, extras: "list[Any]", registry: "CodecLookup") -> FrameCodec:
    columns: tuple[tuple[str, Any], ...] = ()
    schema = ""
    for extra in extras:
        if isinstance(extra, dict):
            columns = tuple(
                (name, registry.codec(column).literal_type) for name, column in extra.items()
            )
        elif type(extra).__name__ == "Schema" and type(extra).__module__.startswith("pyarrow"):
            schema = extra.to_string()
        elif isinstance(extra, str) and extra not in ("", "parquet"):
            raise CodecError(
                f"Tables are stored as parquet, not as {extra}.", hint="Remove the format."
            )
    return codec.with_shape(columns, schema) if columns or schema else codec


def _is(extra: Any, name: str, attribute: str) -> bool:
    """Whether it is ours or flytekit's class of that name: notebooks import either."""
    return type(extra).__name__ == name and hasattr(extra, attribute)


def _with_annotation(codec: Codec, inner: Any, annotations: "list[Any]") -> Codec:
    data = annotations[0].data
    if len(annotations) > 1:
        raise CodecError(
            f"{spell(inner)} has {len(annotations)} annotations, and Flyte keeps one.",
            hint="Write one FlyteAnnotation with everything in it.",
        )
    if not isinstance(data, dict) or _CACHE_KEY in data:
        raise CodecError(
            f"The annotation of {spell(inner)} is {data!r}.",
            hint=f"Write FlyteAnnotation with a dict, without the key {_CACHE_KEY!r}.",
        )
    made = _copy(codec, type(codec))
    before = codec.literal_type.annotation or {}
    made.literal_type = codec.literal_type._replace(annotation={**data, **before})
    return made


def _hashed(codec: Codec, method: Any) -> Codec:
    """The codec with hashes: of the same class, for much depends on what a codec is."""
    kind = type(codec)

    def encode(self: Codec, value: Any, data: "DataAccess | None") -> Literal:
        literal = codec.encode(value, data)
        digest = method.calculate(value)
        if not isinstance(digest, str):
            raise CodecError(
                f"The hash method of {spell(codec.python_type)} returned {spell(type(digest))}.",
                hint="Return text, e.g. a hex digest.",
            )
        return literal._replace(hash=digest)

    def decode(self: Codec, literal: Literal, data: "DataAccess | None") -> Any:
        return codec.decode(literal, data)

    made = _copy(codec, type(kind.__name__, (kind,), {"encode": encode, "decode": decode}))
    made.column_kind = ""  # a column has no room for hashes of its items
    return made


def _copy(codec: Codec, kind: "type[Codec]") -> Codec:
    made = object.__new__(kind)
    made.__dict__.update(codec.__dict__)
    return made
