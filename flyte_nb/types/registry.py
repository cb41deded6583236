"""Choose the codec of a Python type.

A registry belongs to a session, or to one attempt of a task; nothing is registered globally. The search
goes from the cheap to the rare, see `Registry._make`. Types of libraries are recognised by the name of
their module and class, so that no library has to be imported to ask. Codecs' modules are imported when the
first type needs them: a task of ints and texts should not load the code for data frames.
"""

import collections.abc
import sys
import types
import typing
import warnings
from _thread import RLock
from collections.abc import Callable
from typing import Any

from flyte_nb.api.errors import CodecError
from flyte_nb.api.literal_types import LiteralType
from flyte_nb.types.codec import Annotation, Codec, PickledTypeWarning, spell
from flyte_nb.types.containers import ListCodec, MapCodec
from flyte_nb.types.homes import codec_of, plugin_codec
from flyte_nb.types.scalars import BoolCodec, FloatCodec, IntCodec, NoneCodec, StrCodec

_SIMPLE: "dict[Any, Callable[[], Codec]]" = {
    int: IntCodec,
    float: FloatCodec,
    str: StrCodec,
    bool: BoolCodec,
    type(None): NoneCodec,
    None: NoneCodec,
}

_FILES = "flyte_nb.types.files"
_SCHEMAS = "flyte_nb.types.schemas"

Factory = typing.Callable[[Any, "Registry"], Codec]
"""Makes the codec of a type from the type as the author wrote it and the registry."""


class Registry:
    """Finds codecs by Python type, and makes each when it is first asked for. Threads may share it."""

    def __init__(self, *, warn_pickled: bool = True) -> None:
        """Make a registry with the built-in types; see `default_registry`."""
        self._codecs: dict[Any, tuple[Codec, Any]] = {}
        """Codec and `_order` by type: to Python `int | float` equals `float | int`, to Flyte it does not."""
        self._factories: dict[type, Factory] = {}
        self._warn_pickled = warn_pickled
        self._warned: set[str] = set()
        self._quiet: Registry | None = None
        self._open: list[type] = []
        """Dataclasses whose codecs are being made, to notice one that contains itself."""
        self._lock = RLock()

    def codec(self, python_type: Annotation) -> Codec:
        """Return the codec of a type, e.g. of `int`, `list[float]`, `pandas.DataFrame`.

        Raises:
            CodecError: when its values cannot be passed between tasks (`tuple`, `list` without a type, …).
        """
        try:
            known = self._codecs.get(python_type)
        except TypeError:  # unhashable, e.g. Annotated[..., {}]
            return self._make(python_type)
        # An order of `None` means that the type has no union, so equal types are the same type to Flyte too.
        if known is not None and (known[1] is None or known[1] == _order(python_type)):
            return known[0]
        # Another thread's half-made dataclass in `_open` must not look like one that contains itself.
        with self._lock:
            codec = self._make(python_type)
            self._codecs[python_type] = (codec, _order(python_type))
        return codec

    def register(self, python_type: type, factory: Factory) -> None:
        """Use `factory` for `python_type` and its subclasses, before anything built in is asked."""
        self._factories[python_type] = factory
        # Codecs of lists and dataclasses may contain the codec that is replaced now.
        self._codecs.clear()
        self._quiet = None

    def guess(self, literal_type: LiteralType) -> Any:
        """Return a Python type for values of `literal_type`, e.g. of an interface that was fetched.

        Raises:
            CodecError: when there is none, e.g. for a table where pandas and pyarrow are missing.
        """
        from flyte_nb.types.guess import guess

        return guess(literal_type)

    def pickled(self, python_type: Annotation) -> Codec:
        """Return the codec that pickles values of the type, after a warning for each type's first time."""
        from flyte_nb.types.pickles import PickleCodec

        name = spell(python_type)
        if self._warn_pickled and python_type is not Any and name not in self._warned:
            self._warned.add(name)
            module = getattr(python_type, "__module__", "typing")
            warnings.warn(
                f"Values of {name} (module {module}) are pickled: Python"
                f" {sys.version_info[0]}.{sys.version_info[1]} writes them, and another minor version of"
                " Python or of the package may not be able to read them.",
                PickledTypeWarning,
                stacklevel=_steps_out_of_here(),
            )
        return PickleCodec(python_type)

    @property
    def quiet(self) -> "Registry":
        """The same types, without warnings about types that are pickled."""
        if not self._warn_pickled:
            return self
        if self._quiet is None:
            self._quiet = Registry(warn_pickled=False)
            self._quiet._factories = self._factories  # shared: later registrations count too
        return self._quiet

    def _make(self, python_type: Annotation) -> Codec:
        """Return a new codec: of a registered factory, a simple type, a class, or a construct of `typing`."""
        # Most annotations are simple types. They need no look at bases while nothing is registered.
        simple = _SIMPLE.get(python_type) if _hashable(python_type) else None
        if simple is not None and not self._factories:
            return simple()
        if self._factories:
            # In the order of inheritance, so that the factory of the nearest base wins.
            for base in getattr(python_type, "__mro__", ()):
                if base in self._factories:
                    # The factory gets the class itself and not its base, so that values come back as that
                    # class.
                    return self._factories[base](python_type, self)
            if simple is not None:
                return simple()
        # In Python 3.10 `list[int]` is an instance of `type`, so the origin decides too.
        if isinstance(python_type, type) and typing.get_origin(python_type) is None:
            return self._class(python_type)
        return self._construct(python_type)

    def _construct(self, python_type: Annotation) -> Codec:
        """Return the codec of what is no plain class: `list[int]`, `A | B`, `Literal[…]`, `Annotated[…]`."""
        origin: Any = typing.get_origin(python_type)
        if origin is list or python_type is typing.List:  # noqa: UP006 - the bare alias itself
            return self._list(python_type)
        if origin is dict or python_type is typing.Dict:  # noqa: UP006
            return self._dict(python_type)
        # Until Python 3.14, `A | B` and `Union[A, B]` are of different classes.
        if origin is typing.Union or origin is types.UnionType:
            from flyte_nb.types.unions import union_codec

            return union_codec(python_type, self)
        if origin is typing.Literal:
            from flyte_nb.types.enums import choice_codec

            return choice_codec(python_type, self)
        if isinstance(origin, type) and origin.__module__ == _FILES:  # FlyteFile["csv"]
            from flyte_nb.types.file_codecs import file_codec

            return file_codec(python_type)
        if isinstance(origin, type) and origin.__module__ == _SCHEMAS:  # FlyteSchema[kwtypes(…)]
            from flyte_nb.types.schemas import schema_codec

            return schema_codec(python_type, self)
        if origin is collections.abc.Iterator:
            return self._iterator(python_type)
        if origin is typing.Annotated:
            from flyte_nb.types.annotated import annotated_codec

            return annotated_codec(python_type, self)
        if python_type is Any or python_type is object:
            return self.pickled(Any)
        return self._rare(python_type, origin)

    def _rare(self, python_type: Annotation, origin: Any) -> Codec:
        """Return the codec of aliases and new types; refuse what is no type; pickle everything else."""
        supertype = getattr(python_type, "__supertype__", None)  # typing.NewType
        if supertype is not None:
            return self.codec(supertype)
        if type(python_type).__name__ == "TypeAliasType":  # `type Rows = list[int]`, Python 3.12
            return self.codec(python_type.__value__)
        # Such an alias with parameters, e.g. numpy's NDArray[numpy.float64].
        if type(origin).__name__ == "TypeAliasType":
            value = origin.__value__
            return self.codec(value[typing.get_args(python_type)])
        if isinstance(python_type, (str, typing.ForwardRef)):
            raise CodecError(
                f"The annotation {python_type!r} is text, and the module to look it up in is unknown.",
                hint="Write the type itself, without quotes.",
            )
        if isinstance(python_type, typing.TypeVar):
            raise CodecError(
                f"{python_type} is a type variable.", hint="Write the type that is meant."
            )
        if origin is tuple or python_type is typing.Tuple:  # noqa: UP006
            raise _no_tuple(python_type)
        if (
            isinstance(origin, type)
            and origin.__module__ == "numpy"
            and origin.__name__ == "ndarray"
        ):
            return self._class(origin)  # numpy.typing.NDArray[...]
        if origin is None and not callable(python_type):
            raise CodecError(f"{python_type!r} is a value, not a type.", hint="Write its type.")
        return self.pickled(python_type)

    def _list(self, python_type: Annotation) -> Codec:
        arguments = typing.get_args(python_type)
        if len(arguments) != 1 or isinstance(arguments[0], typing.TypeVar):
            raise CodecError(
                "list needs the type of its items.", hint="Write list[int], list[Any], …"
            )
        return ListCodec(python_type, self.codec(arguments[0]))

    def _dict(self, python_type: Annotation) -> Codec:
        arguments = typing.get_args(python_type)
        if len(arguments) == 2 and arguments[0] is str:
            return MapCodec(python_type, self.codec(arguments[1]))
        from flyte_nb.types.structs import struct_codec

        return struct_codec(python_type, self)

    def _iterator(self, python_type: Annotation) -> Codec:
        from flyte_nb.types.iterators import iterator_codec

        return iterator_codec(python_type, self)

    def _class(self, python_type: type) -> Codec:
        """Return the codec of a class; one that nothing else knows is pickled."""
        if python_type is list:
            return self._list(python_type)
        if python_type is dict:
            return self._dict(python_type)
        if python_type is collections.abc.Iterator:
            return self._iterator(python_type)
        # A NamedTuple is a tuple too. flytekit reads both as several outputs, which is why neither is one
        # value.
        if issubclass(python_type, tuple):
            raise _no_tuple(python_type)
        if python_type is object:
            return self.pickled(Any)
        # Where enum was never imported, no class is an Enum.
        if "enum" in sys.modules and issubclass(python_type, sys.modules["enum"].Enum):
            from flyte_nb.types.enums import enum_codec

            return enum_codec(python_type)
        library = codec_of(python_type, self)
        if library is not None:
            return library
        # Libraries come first: a subclass of FlyteFile may be a dataclass too.
        if hasattr(python_type, "__dataclass_fields__"):
            return self._dataclass(python_type)
        # Pickling accepts nearly every class, so it is the last resort, after plugins.
        return plugin_codec(python_type, self) or self.pickled(python_type)

    def _dataclass(self, python_type: type) -> Codec:
        from flyte_nb.types.data_classes import dataclass_codec

        if python_type in self._open:
            raise CodecError(f"{spell(python_type)} contains itself.")
        self._open.append(python_type)
        try:
            codec = dataclass_codec(python_type, self)
        finally:
            self._open.pop()
        return self.pickled(python_type) if codec is None else codec


def default_registry(*, warn_pickled: bool = True) -> Registry:
    """Return a new registry with the built-in types.

    Args:
        warn_pickled: whether to warn about types that are pickled. A worker passes `False`: the author
            saw the warnings in the notebook.
    """
    return Registry(warn_pickled=warn_pickled)


def _steps_out_of_here() -> int:
    """Return the `stacklevel` of the first caller outside flyte_nb (Python 3.12: `skip_file_prefixes`)."""
    steps, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("flyte_nb."):
        steps, frame = steps + 1, frame.f_back
    return steps


def _order(python_type: object) -> Any:
    """Return the order of the variants of all unions in the type; `None` where it has no union."""
    arguments = typing.get_args(python_type)
    if not arguments:
        return None
    parts = [_order(each) for each in arguments]
    if typing.get_origin(python_type) in (typing.Union, types.UnionType):
        return arguments, parts
    return parts if any(part is not None for part in parts) else None


def _no_tuple(python_type: object) -> CodecError:
    return CodecError(
        f"{spell(python_type)} cannot be one value in Flyte.",
        hint="Write list[…] or a dataclass. As a task's return annotation a tuple means several outputs.",
    )


def _hashable(python_type: object) -> bool:
    try:
        hash(python_type)
    except TypeError:
        return False
    return True
