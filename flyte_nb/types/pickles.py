"""Everything without a codec of its own: cloudpickle in a file (flytekit's `PythonPickle` blob)."""

# ruff: noqa: D102 - `Codec` says what these methods do
import sys
from importlib import import_module
from typing import Any

from flyte_nb.api import literal_types, literals
from flyte_nb.api.errors import CodecError
from flyte_nb.api.literal_types import BlobType, LiteralType
from flyte_nb.api.literals import Literal
from flyte_nb.api.ports import DataAccess
from flyte_nb.types.codec import Codec, mismatch, no_data, spell

_FORMAT = "PythonPickle"
_SHADED = "_flyte_nb_cloudpickle"
"""The private name under which cloudpickle travels with the ring."""


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
        import hashlib

        content = _dumps(value)
        path = data.scratch(".pkl")
        with open(path, "wb") as file:
            file.write(content)
        digest = hashlib.md5(content, usedforsecurity=False).hexdigest()  # flytekit's name for it
        return Literal(literals.BLOB, (data.upload(path, name=digest), BlobType(_FORMAT)))

    def decode(self, literal: Literal, data: "DataAccess | None") -> Any:
        if literal.kind != literals.BLOB:
            return super().decode(literal, data)
        if data is None:
            raise no_data(self)
        with open(data.download(literal.value[0]), "rb") as file:
            return _loads(file.read(), self.python_type)

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


def _dumps(value: Any) -> bytes:
    pickler = _cloudpickle()
    try:
        return bytes(pickler.dumps(value))
    except Exception as error:  # pickling runs code of any class
        raise CodecError(
            f"{spell(type(value))} cannot be pickled: {type(error).__name__}: {error}.",
            hint="Return the plain data in it, or write it to a file and return a FlyteFile.",
        ) from error


def _loads(content: bytes, python_type: Any) -> Any:
    try:
        return _load(content)
    except Exception as error:  # unpickling runs code of any class
        raise CodecError(
            f"A pickled {spell(python_type)} cannot be read by Python"
            f" {sys.version_info[0]}.{sys.version_info[1]}: {type(error).__name__}: {error}.",
            hint="Read it with the Python and the package versions that wrote it.",
        ) from error


def _load(content: bytes) -> Any:
    import io
    import pickle

    cloudpickle = _cloudpickle()

    class Unpickler(pickle.Unpickler):
        """Finds cloudpickle's own functions under whichever of its two names it has here."""

        def find_class(self, module: str, name: str) -> Any:
            top, dot, rest = module.partition(".")
            if top in (_SHADED, "cloudpickle"):
                module = cloudpickle.__name__ + dot + rest
            return super().find_class(module, name)

    return Unpickler(io.BytesIO(content)).load()


def _cloudpickle() -> Any:
    try:
        return import_module(_SHADED)
    except ModuleNotFoundError:
        pass
    try:
        return import_module("cloudpickle")
    except ModuleNotFoundError:
        raise CodecError(
            "This value has to be pickled, and cloudpickle is not installed here.",
            hint="Install cloudpickle.",
        ) from None
