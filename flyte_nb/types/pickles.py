"""Everything without a codec of its own: cloudpickle in a file (flytekit's `PythonPickle` blob)."""

# ruff: noqa: D102 - `Codec` says what these methods do
from typing import Any

from flyte_nb.api import literal_types, literals
from flyte_nb.api.literal_types import BlobType, LiteralType
from flyte_nb.api.literals import Literal
from flyte_nb.api.ports import DataAccess
from flyte_nb.types.codec import Codec, mismatch, no_data
from flyte_nb.types.pickling import dump, load

_FORMAT = "PythonPickle"


class PickleCodec(Codec):
    """Any Python object, by cloudpickle; readable by the same Python minor version."""

    transformer = "FlytePickle"

    def __init__(self, python_type: Any) -> None:
        blob = LiteralType(
            literal_types.BLOB,
            BlobType(_FORMAT),
            metadata={"python_class_name": str(python_type)},
        )
        super().__init__(python_type, blob)
        self._is_class = isinstance(python_type, type)

    def encode(self, value: Any, data: "DataAccess | None") -> Literal:
        if not self._may_be(value):
            raise mismatch(self, value)
        if data is None:
            raise no_data(self)
        path = data.scratch(".pkl")
        digest = dump(value, path, data)  # flytekit's name for it
        return Literal(literals.BLOB, (data.upload(path, name=digest), BlobType(_FORMAT)))

    def decode(self, literal: Literal, data: "DataAccess | None") -> Any:
        if literal.kind != literals.BLOB:
            return super().decode(literal, data)
        if data is None:
            raise no_data(self)
        with open(data.download(literal.value[0]), "rb") as file:
            return load(file, self.python_type, data)

    def accepts_exactly(self, value: Any) -> bool:
        return self.python_type is not Any and self._is_class and self._may_be(value)

    def _may_be(self, value: Any) -> bool:
        """Whether the value is of the type, as far as that can be asked."""
        if self.python_type is Any or not self._is_class:
            return True
        try:
            return isinstance(value, self.python_type)
        except TypeError:  # a protocol, say
            return True
