"""Open files, `typing.TextIO` and `typing.BinaryIO`: a task that takes one gets the file open for reading."""

# ruff: noqa: D102 - `Codec` documents these methods
import os
import typing

from flyte_nb.api import literal_types, literals
from flyte_nb.api.errors import CodecError
from flyte_nb.api.literal_types import BlobType, LiteralType
from flyte_nb.api.literals import Literal
from flyte_nb.api.ports import DataAccess
from flyte_nb.types.codec import Annotation, Codec, mismatch, no_data
from flyte_nb.types.file_codecs import FileCodec
from flyte_nb.types.files import FlyteFile

_FORMATS = {
    typing.TextIO: ("TextIO", "text/plain", "r"),
    typing.BinaryIO: ("BinaryIO", "application/octet-stream", "rb"),
}
"""flytekit's transformer and format, and the mode in which the file is opened."""


class OpenFileCodec(Codec):
    """Codec of TextIO and BinaryIO."""

    def __init__(self, python_type: Annotation) -> None:
        self.transformer, format, self._mode = _FORMATS[python_type]
        self._blob = BlobType(format)
        super().__init__(python_type, LiteralType(literal_types.BLOB, self._blob))

    def encode(self, value: object, data: "DataAccess | None") -> Literal:
        """Store the file that is open, or the one at a path.

        Raises:
            CodecError: when the value is no file with a path.
            NeedsStore: when there is no store.
        """
        path = value
        if not isinstance(value, (str, os.PathLike)):
            path = getattr(value, "name", None)
            if not isinstance(path, str) or not hasattr(value, "read"):
                raise mismatch(self, value)
            flush = getattr(value, "flush", None)
            if callable(flush) and not getattr(value, "closed", False):
                flush()  # what was written may still be in a buffer
        stored = FileCodec(FlyteFile, FlyteFile, self._blob)
        return stored.encode(path, data)

    def decode(self, literal: Literal, data: "DataAccess | None") -> object:
        """Download the file and open it; whoever takes it closes it.

        Raises:
            CodecError: when the literal is no file, or it cannot be opened.
            NeedsStore: when there is no store.
        """
        if literal.kind != literals.BLOB:
            return super().decode(literal, data)
        if data is None:
            raise no_data(self)
        path = data.download(literal.value[0])
        try:
            return open(path, self._mode)
        except OSError as error:
            raise CodecError(f"{literal.value[0]} cannot be opened: {error}.") from error

    def accepts_exactly(self, value: object) -> bool:
        return hasattr(value, "read")
