"""numpy arrays, stored as .npy files (flytekit's `NumpyArray` blob).

numpy is optional: it is imported inside the methods, which only run where the user's code uses it.
"""

# ruff: noqa: D102 - `Codec` documents these methods
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
    """Codec of numpy.ndarray: any shape, any dtype but those that hold Python objects."""

    transformer = "Numpy Array"

    def __init__(self, python_type: Any) -> None:
        super().__init__(python_type, LiteralType(literal_types.BLOB, _BLOB))

    def encode(self, value: object, data: "DataAccess | None") -> Literal:
        """Store the array as a .npy file and return its blob.

        Raises:
            CodecError: when the value is no array, or has Python objects or a mask, which .npy cannot hold.
        """
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
        # Without pickles a reader of the file never runs code that was stored in it.
        path = data.scratch(".npy")
        numpy.save(path, value, allow_pickle=False)
        # The name is constant, so that equal arrays get equal URIs where the content decides them.
        uri = data.upload(path, name=_NAME)
        return Literal(literals.BLOB, (uri, _BLOB), content_hash(path, data))

    def decode(self, literal: Literal, data: "DataAccess | None") -> Any:
        """Return the array in the literal's file.

        Raises:
            CodecError: when the literal is no blob, or its file is no .npy file.
        """
        if literal.kind != literals.BLOB:
            return super().decode(literal, data)
        if data is None:
            raise no_data(self)
        import numpy

        try:
            return numpy.load(data.download(literal.value[0]), allow_pickle=False)
        except ValueError as error:
            raise CodecError(
                f"{literal.value[0]} cannot be read as a .npy file: {error}."
            ) from error

    def nearest(self, value: object) -> object:
        return None

    def accepts_exactly(self, value: object) -> bool:
        import numpy

        return isinstance(value, numpy.ndarray)
