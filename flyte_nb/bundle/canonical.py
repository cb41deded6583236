"""A value as bytes that are equal for equal values, in every kernel: to be digested, never loaded."""

import functools
import hashlib
from collections.abc import Callable
from types import CodeType, FunctionType, ModuleType
from typing import Any

from flyte_nb.bundle import code as code_of
from flyte_nb.bundle.shaded import cloudpickle
from flyte_nb.sdk.callee import Callee

NAMED = (FunctionType, Callee, ModuleType, type)
"""What is a part of its own, so that what refers to it only has its name."""

_VOLATILE = frozenset(
    {
        "__weakref__", "__dict__", "__module__", "__firstlineno__", "__static_attributes__",
        "__annotate_func__", "__annotations_cache__", "_abc_impl", "__abstractmethods__",
        "__protocol_attrs__", "__non_callable_proto_members__", "__callable_proto_members_only__",
        "_value2member_map_", "__signature__", "__pydantic_core_schema__", "__pydantic_validator__",
        "__pydantic_serializer__", "__pydantic_setattr_handlers__", "__pydantic_complete__",
    }
)  # fmt: skip
_DESCRIPTORS = frozenset({"getset_descriptor", "member_descriptor"})

_ATOMS = frozenset(
    {int, float, str, bytes, bool, complex, type(None), list, tuple, dict, bytearray}
)


class Sink:
    """A file that only counts and digests."""

    def __init__(self) -> None:
        self.hash = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> int:
        """Take in some bytes."""
        self.hash.update(data)
        self.size += len(data)
        return len(data)


@functools.cache
def canonical_pickler() -> Any:
    """A pickler class over the private cloudpickle's, which knows properties, cells and the like.

    Made with a sink, `refer`, which gives what stands for a value (`None`: its plain pickle), and what
    takes buffers.
    """

    class CanonicalPickler(cloudpickle().Pickler):  # type: ignore[misc]
        def __init__(self, sink: Any, refer: "Callable[[Any], Any]", out_of_band: Any) -> None:
            super().__init__(sink, protocol=5, buffer_callback=out_of_band)
            self._refer = refer

        def persistent_id(self, value: Any) -> Any:
            if type(value) in _ATOMS:
                return None
            return self._refer(value)

    return CanonicalPickler


class Named:
    """Stands for a function, class, entity or module that a name means: it is named, never inlined."""

    def __init__(self, value: Any) -> None:
        self.value = value


def function_content(function: FunctionType, *kinds: str) -> Any:
    """What makes a function itself, and which things its names mean; these are only named.

    Args:
        function: the function.
        *kinds: of the dependencies whose names count, as `Dependency.kind`.
    """
    hidden = {"__wrapped__"}
    code: Any = code_content(function.__code__)
    if code_of.is_dispatcher(function):  # what it chooses from is captured; the rest is Python's
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


def class_content(cls: type) -> Any:
    """What makes a class itself; what its methods refer to is only named."""
    members = {
        name: value
        for name, value in sorted(vars(cls).items())
        if name not in _VOLATILE and type(value).__name__ not in _DESCRIPTORS
    }
    if not members.get("__annotations__"):  # asking a class for them leaves none behind
        members.pop("__annotations__", None)
    registered = [Named(each) for each in code_of.registered(cls)]
    return [cls.__qualname__, type(cls), list(cls.__bases__), members, registered]


def code_content(code: CodeType) -> "tuple[Any, ...]":
    """Everything that makes code behave as it does; no file name, no line."""
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


def _const(const: Any) -> Any:
    # Types apart: `1`, `1.0` and `True` are equal and pickle differently, but `(1,)` holds them.
    return list(code_content(const)) if isinstance(const, CodeType) else const
