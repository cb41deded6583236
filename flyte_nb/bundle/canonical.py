"""Turn a value into bytes that are equal for equal values, in every kernel.

The bytes are digested and never loaded. So they may leave out what varies without meaning anything (file
names, line numbers, caches of classes), and they name what is fingerprinted by itself.
"""

import functools
import hashlib
import pickle
from collections.abc import Callable, Iterable
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple

from flyte_nb.bundle import code as code_of
from flyte_nb.bundle.shaded import cloudpickle
from flyte_nb.sdk.callee import Callee

NAMED = (FunctionType, Callee, ModuleType, type)
"""Kinds of values that become parts of their own; a value that refers to one contains only its name."""

_VOLATILE = frozenset(
    {
        "__weakref__", "__dict__", "__module__", "__firstlineno__", "__static_attributes__",
        "__annotate_func__", "__annotations_cache__", "_abc_impl", "__abstractmethods__",
        "__protocol_attrs__", "__non_callable_proto_members__", "__callable_proto_members_only__",
        "_value2member_map_", "__signature__", "__pydantic_core_schema__", "__pydantic_validator__",
        "__pydantic_serializer__", "__pydantic_setattr_handlers__", "__pydantic_complete__",
    }
)  # fmt: skip
"""Attributes of a class that Python, abc, typing, enum or pydantic derive, and fill in at any time."""
_DESCRIPTORS = frozenset({"getset_descriptor", "member_descriptor"})

_ATOMS = frozenset(
    {int, float, str, bytes, bool, complex, type(None), list, tuple, dict, bytearray}
)
"""Types whose plain pickle is canonical already, as far as their members are."""


class Sink:
    """A file that counts and digests what is written to it, and keeps nothing."""

    def __init__(self) -> None:
        self.hash = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> int:
        """Add `data` to the digest; return its length."""
        self.hash.update(data)
        self.size += len(data)
        return len(data)


@functools.cache
def canonical_pickler() -> Any:
    """Return a class derived from the private cloudpickle's pickler, which knows properties, cells, ….

    Its instances are made with a sink; with `refer`, which returns a stand-in for a value, or `None` for
    its plain pickle; and with a callback for buffers. It is cached, and made only when it is needed,
    because cloudpickle takes 20 ms to import.
    """

    class CanonicalPickler(cloudpickle().Pickler):  # type: ignore[misc]
        def __init__(
            self, sink: object, refer: "Callable[[object], object]", out_of_band: object
        ) -> None:
            super().__init__(sink, protocol=5, buffer_callback=out_of_band)
            self._refer = refer

        def persistent_id(self, value: object) -> object:
            # Pickle asks this first, for every object. A stand-in is pickled in the object's place.
            if type(value) in _ATOMS:
                return None
            return self._refer(value)

    return CanonicalPickler


class Measured(NamedTuple):
    """A value's digest, and its size in bytes when it is pickled."""

    digest: str
    size_bytes: int


def digested(
    value: object,
    refer: "Callable[[object], object]",
    buffer_digest: "Callable[[memoryview], str]",
    *,
    fast: bool,
) -> Measured:
    """Return the digest and the size of the canonical bytes of `value`.

    Args:
        value: the value.
        refer: returns the stand-in for a value inside of it, or `None` for its plain pickle.
        buffer_digest: returns the digest of an out-of-band buffer.
        fast: whether to pickle without a memo, so that two names for one object give the same bytes as
            two equal objects. A value that contains itself cannot be pickled so.

    Raises:
        Exception: anything that pickling a value raises which cannot be pickled.
    """
    sink = Sink()
    buffers: list[str] = []

    def out_of_band(buffer: pickle.PickleBuffer) -> bool:
        raw = buffer.raw()
        sink.size += raw.nbytes
        # The content of a buffer is not in the stream, so its digest stands for it.
        buffers.append(buffer_digest(raw))
        # "Out of band": pickle leaves the bytes to the callback, which has counted and digested them.
        return False

    pickler = canonical_pickler()(sink, refer, out_of_band)
    # Without a memo, whether two names share one object or have equal ones makes no difference to the bytes.
    pickler.fast = fast
    pickler.dump(value)
    sink.hash.update("".join(buffers).encode())
    return Measured(sink.hash.hexdigest(), sink.size)


class Named:
    """Marks a function, class, entity or module that a name refers to, so that it is never inlined."""

    def __init__(self, value: object) -> None:
        self.value = value


def function_content(function: FunctionType, *kinds: str) -> object:
    """Return what makes the function different from others, as plain values.

    Functions, classes and modules that its names refer to are only named.

    Args:
        function: the function.
        *kinds: the kinds of dependencies whose names count (`Dependency.kind`).
    """
    hidden = {"__wrapped__"}
    code: Iterable[object] = code_content(function.__code__)
    # All functions of singledispatch share one code object of Python's. What differs is the table of
    # implementations, which `code.captured` returns.
    if code_of.is_dispatcher(function):
        hidden |= vars(function).keys()
        code = ["singledispatch"]
    names = [
        [kind, name, Named(value) if isinstance(value, NAMED) else None]
        for kind, name, value in code_of.dependencies(function)
        if kind in kinds
    ]
    return [
        function.__qualname__,
        list(code),
        dict(code_of.annotations(function)),
        sorted(names, key=lambda each: each[:2]),
        {name: value for name, value in vars(function).items() if name not in hidden},
    ]


def class_content(cls: type) -> object:
    """Return what makes the class different from others; what its methods refer to is only named."""
    members = {
        name: value
        for name, value in sorted(vars(cls).items())
        if name not in _VOLATILE and type(value).__name__ not in _DESCRIPTORS
    }
    # Asking a class for its annotations creates an empty dict on it, so empty and absent are the same.
    if not members.get("__annotations__"):
        members.pop("__annotations__", None)
    registered = [Named(each) for each in code_of.registered(cls)]
    return [cls.__qualname__, type(cls), list(cls.__bases__), members, registered]


def object_content(value: Any) -> "list[object] | None":
    """Return what makes an object whose plain pickle is not canonical, or `None` for any other object.

    Such objects are code, descriptors with locks or caches, context managers, and pydantic's decorators.
    """
    if isinstance(value, CodeType):
        return ["code", *code_content(value)]
    derived = code_of.derived_descriptor(value)
    if derived is not None:
        return ["descriptor", type(value), *derived]
    made_by = code_of.context_manager(value)
    if made_by is not None:
        return ["context manager", type(value).__name__, *made_by]
    if type(value) in code_of.LOCKING_DESCRIPTORS:
        return ["descriptor", type(value).__name__, *code_of.around_method(value)]
    if type(value).__name__ == "Decorator" and type(value).__module__.startswith("pydantic."):
        return [
            "pydantic",
            value.cls_var_name,
            value.info,
        ]  # its other fields have the class's address
    return None


def code_content(code: CodeType) -> "tuple[object, ...]":
    """Return everything that decides what the code does: no file name, no line, no stack size."""
    return (
        code.co_name,
        code.co_argcount,
        code.co_posonlyargcount,
        code.co_kwonlyargcount,
        code.co_flags,
        code.co_code,
        [_const(const) for const in code.co_consts],
        code.co_names,
        code.co_varnames,
        code.co_freevars,
        code.co_cellvars,
        getattr(code, "co_exceptiontable", b""),
    )


def _const(const: object) -> object:
    # Constants are pickled, which keeps `1`, `1.0` and `True` apart, although Python calls them equal.
    return list(code_content(const)) if isinstance(const, CodeType) else const
