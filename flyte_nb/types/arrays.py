"""numpy arrays, as .npy files (flytekit's `NumpyArray` blob)."""

# ruff: noqa: D102 - `Codec` says what these methods do
from typing import Any

from flyte_nb.api import literal_types, literals
from flyte_nb.api.errors import CodecError
from flyte_nb.api.literal_types import BlobType, LiteralType
from flyte_nb.api.literals import Literal
from flyte_nb.api.ports import DataAccess
from flyte_nb.types.codec import Codec, mismatch, no_data
from flyte_nb.types.content import content_hash

_BLOB = BlobType("NumpyArray")
_NAME = "array.npy"


class ArrayCodec(Codec):
    """numpy.ndarray of any shape and of a type that holds no Python objects."""

    transformer = "Numpy Array"

    def __init__(self, python_type: Any) -> None:
        super().__init__(python_type, LiteralType(literal_types.BLOB, _BLOB))

    def encode(self, value: Any, data: "DataAccess | None") -> Literal:
        import numpy

        if not isinstance(value, numpy.ndarray):
            raise mismatch(self, value)
        if value.dtype.hasobject:
            raise CodecError(
                f"The array has the dtype {value.dtype}, which holds Python objects.",
                hint="Give it a number or text dtype, or declare the type as Any to pickle it.",
            )
        if isinstance(value, numpy.ma.MaskedArray):
            raise CodecError(
                "The array is masked, and .npy files have no mask.",
                hint="Fill it (array.filled(…)), or declare the type as Any to pickle it.",
            )
        if data is None:
            raise no_data(self)
        path = data.scratch(".npy")
        numpy.save(path, value, allow_pickle=False)
        # A name that never changes: where content decides the URI, equal arrays have equal ones.
        uri = data.upload(path, name=_NAME)
        return Literal(literals.BLOB, (uri, _BLOB), content_hash(path, data))

    def decode(self, literal: Literal, data: "DataAccess | None") -> Any:
        if literal.kind != literals.BLOB:
            return super().decode(literal, data)
        if data is None:
            raise no_data(self)
        import numpy

        try:
            return numpy.load(data.download(literal.value[0]), allow_pickle=False)
        except ValueError as error:
            raise CodecError(f"{literal.value[0]} is no .npy file: {error}.") from error

    def nearest(self, value: Any) -> Any:
        return None

    def accepts_exactly(self, value: Any) -> bool:
        import numpy

        return isinstance(value, numpy.ndarray)
