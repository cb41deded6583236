"""Codecs of `typing.Annotated[T, …]`: columns and schemas of tables, hash methods, Flyte annotations.

Everything else that stands beside the type is for other tools and is ignored.
"""

import typing
from typing import TYPE_CHECKING, Any

from flyte_nb.api.errors import CodecError
from flyte_nb.api.literals import Literal, marked
from flyte_nb.api.ports import DataAccess
from flyte_nb.types.codec import Annotation, Codec, spell
from flyte_nb.types.frame_columns import shape_of
from flyte_nb.types.frames import TableCodec

if TYPE_CHECKING:
    from flyte_nb.types.lookup import CodecLookup

_CACHE_KEY = "cache-key-metadata"
"""flytekit's own key in a type's annotation: how values of a struct are serialized."""


def annotated_codec(python_type: Annotation, registry: "CodecLookup") -> Codec:
    """Return the codec of `Annotated[T, …]`: that of `T`, changed by what stands beside it.

    Beside a table, columns limit what is read, and a format says how it is stored. Beside an array or a dict,
    `kwtypes` has the options of its codec. A `HashMethod` computes the hash of each literal. A
    `FlyteAnnotation` becomes the type's annotation. A codec of the author's own replaces that of `T`.

    Raises:
        CodecError: when there are several hash methods or annotations, when an annotation is not a dict,
            or when a table has a format other than parquet.
    """
    inner, *extras = typing.get_args(python_type)
    chosen = [extra for extra in extras if isinstance(extra, Codec)]
    codec = chosen[0] if chosen else registry.codec(inner)
    if isinstance(codec, TableCodec):
        shape = shape_of(extras, registry)
        codec = codec.with_shape(*shape) if any(shape) else codec
    options = [extra for extra in extras if isinstance(extra, dict)]
    with_options: Any = getattr(codec, "with_options", None)
    if options and with_options is not None:
        codec = with_options(options[0])
    annotations = [extra for extra in extras if _is(extra, "FlyteAnnotation", "data")]
    if annotations:
        codec = _with_annotation(codec, inner, annotations)
    methods = [extra for extra in extras if _is(extra, "HashMethod", "calculate")]
    if len(methods) > 1:
        raise CodecError(f"{spell(inner)} has {len(methods)} hash methods.", hint="Keep one.")
    return _hashed(codec, methods[0]) if methods else codec


def _is(extra: Any, name: str, attribute: str) -> bool:
    """Return whether `extra` is of our class of that name, or of flytekit's.

    A notebook may import either, and flytekit may not be installed, so the name decides.
    """
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
    """Return a copy of the codec whose literals carry the hash that `method` computes.

    The copy's class is derived from the codec's class and not from a wrapper, because other code asks
    `isinstance(codec, TableCodec)` and the like.
    """
    kind = type(codec)

    def encode(self: Codec, value: object, data: "DataAccess | None") -> Literal:
        literal = codec.encode(value, data)
        digest = method.calculate(value)
        if not isinstance(digest, str):
            raise CodecError(
                f"The hash method of {spell(codec.python_type)} returned {spell(type(digest))}.",
                hint="Return text, e.g. a hex digest.",
            )
        return marked(literal._replace(hash=digest), literal.metadata)

    def decode(self: Codec, literal: Literal, data: "DataAccess | None") -> object:
        return codec.decode(literal, data)

    made = _copy(codec, type(kind.__name__, (kind,), {"encode": encode, "decode": decode}))
    # A column holds plain values, so its items would lose their hashes.
    made.column_kind = ""
    return made


def _copy(codec: Codec, kind: "type[Codec]") -> Codec:
    """Return a shallow copy of the codec as an object of `kind`.

    The registry keeps one codec for each type, so the codec of plain `T` must not change.
    """
    made = object.__new__(kind)
    made.__dict__.update(codec.__dict__)
    return made
