"""numpy arrays, stored as .npy files (flytekit's `NumpyArray` blob)."""

# ruff: noqa: D102 - `Codec` and `ObjectCodec` document these methods
from importlib import import_module
from typing import Any

from flyte_nb.api.errors import CodecError
from flyte_nb.types.codec import Annotation
from flyte_nb.types.stored_objects import ObjectCodec


class ArrayCodec(ObjectCodec):
    """Codec of numpy.ndarray: any shape, any dtype but those that hold Python objects."""

    transformer = "Numpy Array"
    format = "NumpyArray"
    name = "array.npy"

    def __init__(
        self, python_type: Annotation, allow_pickle: bool = False, mmap_mode: "str | None" = None
    ) -> None:
        """Make the codec.

        Args:
            python_type: the array's class.
            allow_pickle: whether arrays of Python objects are pickled in the file. Without it a reader of
                the file never runs code that was stored in it.
            mmap_mode: how numpy maps the file in place of reading it, e.g. `r`.
        """
        super().__init__(python_type)
        self._allow_pickle = allow_pickle
        self._mmap_mode = mmap_mode

    def with_options(self, options: "dict[str, Any]") -> "ArrayCodec":
        """Return the codec with numpy's options, as `Annotated[…, kwtypes(allow_pickle=True)]` has them.

        Raises:
            CodecError: when there is another option.
        """
        unknown = sorted(set(options) - {"allow_pickle", "mmap_mode"})
        if unknown:
            raise CodecError(
                f"Arrays have no option {', '.join(unknown)}.",
                hint="Write kwtypes with allow_pickle or mmap_mode.",
            )
        return ArrayCodec(
            self.python_type, bool(options.get("allow_pickle")), options.get("mmap_mode")
        )

    def check(self, value: Any) -> None:
        """Raise unless a .npy file holds the array.

        Raises:
            CodecError: when it has Python objects or a mask, which .npy cannot hold.
        """
        if value.dtype.hasobject and not self._allow_pickle:
            raise CodecError(
                f"The array has the dtype {value.dtype}, which holds Python objects.",
                hint="Give it a number or text dtype, or declare the type as Any to pickle it.",
            )
        if isinstance(value, import_module("numpy").ma.MaskedArray):
            raise CodecError(
                "The array is masked, and .npy files have no mask.",
                hint="Fill it (array.filled(…)), or declare the type as Any to pickle it.",
            )

    def write(self, value: Any, path: str) -> None:
        import_module("numpy").save(path, value, allow_pickle=self._allow_pickle)

    def read(self, path: str) -> object:
        numpy = import_module("numpy")
        array: object = numpy.load(path, allow_pickle=self._allow_pickle, mmap_mode=self._mmap_mode)
        return array
