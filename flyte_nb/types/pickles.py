"""Codec of everything without a codec of its own: cloudpickle in a file (flytekit's `PythonPickle` blob)."""

# ruff: noqa: D102 - `Codec` documents these methods
from typing import Any

from flyte_nb.api import literal_types, literals
from flyte_nb.api.literal_types import BlobType, LiteralType
from flyte_nb.api.literals import Literal
from flyte_nb.api.ports import DataAccess
from flyte_nb.types.codec import Annotation, Codec, mismatch, no_data
from flyte_nb.types.pickling import dump, load

PICKLED = "PythonPickle"
"""`BlobType.format` of pickles."""


class PickleCodec(Codec):
    """Codec of any Python object, by cloudpickle. The same minor version of Python has to read it."""

    transformer = "FlytePickle"

    def __init__(self, python_type: Annotation) -> None:
        self.blob = BlobType(PICKLED)
        metadata = {"python_class_name": str(python_type)}
        super().__init__(python_type, LiteralType(literal_types.BLOB, self.blob, metadata=metadata))
        self._is_class = isinstance(python_type, type)

    def encode(self, value: object, data: "DataAccess | None") -> Literal:
        if not self._may_be(value):
            raise mismatch(self, value)
        if data is None:
            raise no_data(self)
        path = data.scratch(".pkl")
        # flytekit names the stored file after its MD5 too.
        digest = dump(value, path, data)
        return Literal(literals.BLOB, (data.upload(path, name=digest), self.blob))

    def decode(self, literal: Literal, data: "DataAccess | None") -> object:
        if literal.kind != literals.BLOB:
            return super().decode(literal, data)
        if data is None:
            raise no_data(self)
        with open(data.download(literal.value[0]), "rb") as file:
            return load(file, self.python_type, data)

    def accepts_exactly(self, value: object) -> bool:
        return self.python_type is not Any and self._is_class and self._may_be(value)

    def _may_be(self, value: object) -> bool:
        """Return whether the value is of the type; `True` where Python cannot say."""
        if self.python_type is Any or not self._is_class:
            return True
        try:
            return isinstance(value, self.python_type)
        except TypeError:  # e.g. a Protocol that is not runtime-checkable
            return True
