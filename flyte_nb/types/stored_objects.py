"""The base class of codecs whose values are objects of a library that are stored as one file.

numpy arrays, estimators, images, tensors: each library has a function that writes a file and one that reads
it. A subclass names the blob's format and calls these functions. Libraries are optional. They are imported
inside the methods, which only run where the user's code uses them.
"""

# ruff: noqa: D102 - `Codec` documents these methods
from typing import Any

from flyte_nb.api import literal_types, literals
from flyte_nb.api.errors import CodecError, FlyteNbError
from flyte_nb.api.literal_types import BlobType, LiteralType
from flyte_nb.api.literals import Literal
from flyte_nb.api.ports import DataAccess
from flyte_nb.types.codec import Annotation, Codec, mismatch, no_data, spell
from flyte_nb.types.content import content_hash
from flyte_nb.types.pickles import PICKLED, PickleCodec


class ObjectCodec(Codec):
    """Codec of a library's objects, each of them a file. A subclass says how the file is written and read."""

    format = ""
    """`BlobType.format`, by which flytekit recognises such files."""

    name = ""
    """The stored file's name. It is constant, so that equal content gets an equal URI."""

    def __init__(self, python_type: Annotation) -> None:
        self._blob = BlobType(self.format)
        super().__init__(python_type, LiteralType(literal_types.BLOB, self._blob))

    def write(self, value: Any, path: str) -> None:
        """Write the value to a new file at `path`, which ends as `name` does."""
        raise NotImplementedError

    def read(self, path: str) -> object:
        """Return the value in the file at `path`."""
        raise NotImplementedError

    def encode(self, value: object, data: "DataAccess | None") -> Literal:
        """Store the value as a file and return its blob.

        Raises:
            CodecError: when the value is of another type, or its library cannot write it.
            NeedsStore: when there is no store.
        """
        if not isinstance(value, self.python_type):
            raise mismatch(self, value)
        # Before the store is asked for, so that a launch form finds such a value without any store.
        self.check(value)
        if data is None:
            raise no_data(self)
        # Some libraries choose the format by the file's ending, so the path ends as the name does.
        path = data.scratch(f"-{self.name}")
        try:
            self.write(value, path)
        except FlyteNbError:
            raise
        except OSError:  # the disk is at fault, not the value
            raise
        except Exception as error:  # whatever the library raises
            raise CodecError(
                f"The {spell(type(value))} cannot be stored as {self.format}:"
                f" {type(error).__name__}: {error}.",
                hint="Declare the type as Any to pickle it.",
            ) from error
        uri = data.upload(path, name=self.name)
        return Literal(literals.BLOB, (uri, self._blob), content_hash(path, data))

    def decode(self, literal: Literal, data: "DataAccess | None") -> object:
        """Return the value in the literal's file.

        Raises:
            CodecError: when the literal is no blob, or the library cannot read its file.
            NeedsStore: when there is no store.
        """
        if literal.kind != literals.BLOB:
            return super().decode(literal, data)
        uri, blob = literal.value
        if blob.format == PICKLED:  # a task that had no codec for this type pickled the value
            return PickleCodec(self.python_type).decode(literal, data)
        if data is None:
            raise no_data(self)
        path = data.download(uri)
        try:
            return self.read(path)
        except FlyteNbError:
            raise
        except Exception as error:  # whatever the library raises for a foreign file
            raise CodecError(
                f"{uri} cannot be read as {self.format}: {type(error).__name__}: {error}."
            ) from error

    def check(self, value: Any) -> None:
        """Raise `CodecError` for a value of the type that the file cannot hold."""

    def accepts_exactly(self, value: object) -> bool:
        return isinstance(value, self.python_type)
