"""Everything without a codec of its own: cloudpickle in a file (flytekit's `PythonPickle` blob)."""

# ruff: noqa: D102 - `Codec` says what these methods do
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from flyte_nb.api import literal_types, literals
from flyte_nb.api.errors import CodecError
from flyte_nb.api.literal_types import BlobType, LiteralType
from flyte_nb.api.literals import Literal
from flyte_nb.api.ports import DataAccess
from flyte_nb.api.ring import CLOUDPICKLE
from flyte_nb.types.codec import Codec, mismatch, no_data, spell

if TYPE_CHECKING:
    from pickle import PickleBuffer
    from typing import BinaryIO

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
        digest = _dump(value, path)  # flytekit's name for it
        return Literal(literals.BLOB, (data.upload(path, name=digest), BlobType(_FORMAT)))

    def decode(self, literal: Literal, data: "DataAccess | None") -> Any:
        if literal.kind != literals.BLOB:
            return super().decode(literal, data)
        if data is None:
            raise no_data(self)
        with open(data.download(literal.value[0]), "rb") as file:
            return _load(file, self.python_type)

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


class _Digesting:
    """Passes on what is written, and keeps its MD5: the pickle of a large value is never in memory."""

    def __init__(self, file: "BinaryIO") -> None:
        import hashlib

        self._file = file
        self._digest = hashlib.md5(usedforsecurity=False)
        self.broken: OSError | None = None
        """Why the file could not be written."""

    def write(self, data: "bytes | memoryview | PickleBuffer") -> int:
        self._digest.update(data)
        try:
            return self._file.write(data)
        except OSError as error:
            self.broken = error
            raise

    def hexdigest(self) -> str:
        return self._digest.hexdigest()


def _dump(value: Any, path: str) -> str:
    """Write the pickle to a new file; its MD5."""
    pickler = _cloudpickle()
    with open(path, "wb") as file:
        written = _Digesting(file)
        try:
            pickler.dump(value, written)
        except Exception as error:  # pickling runs code of any class
            if written.broken is error:
                raise
            raise CodecError(
                f"{spell(type(value))} cannot be pickled: {type(error).__name__}: {error}.",
                hint="Return the plain data in it, or write it to a file and return a FlyteFile.",
            ) from error
    return written.hexdigest()


def _load(file: "BinaryIO", python_type: Any) -> Any:
    try:
        return _unpickled(file)
    except Exception as error:  # unpickling runs code of any class
        raise CodecError(
            f"A pickled {spell(python_type)} cannot be read by Python"
            f" {sys.version_info[0]}.{sys.version_info[1]}: {type(error).__name__}: {error}.",
            hint="Read it with the Python and the package versions that wrote it.",
        ) from error


def _unpickled(file: "BinaryIO") -> Any:
    import pickle

    cloudpickle = _cloudpickle()

    class Unpickler(pickle.Unpickler):
        """Finds cloudpickle's own functions under whichever of its two names it has here."""

        def find_class(self, module: str, name: str) -> Any:
            top, dot, rest = module.partition(".")
            if top in (CLOUDPICKLE, "cloudpickle"):
                module = cloudpickle.__name__ + dot + rest
            return super().find_class(module, name)

    return Unpickler(file).load()


def _cloudpickle() -> Any:
    try:
        return import_module(CLOUDPICKLE)
    except ModuleNotFoundError:
        pass
    try:
        return import_module("cloudpickle")
    except ModuleNotFoundError:
        raise CodecError(
            "This value has to be pickled, and cloudpickle is not installed here.",
            hint="Install cloudpickle.",
        ) from None
