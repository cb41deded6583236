"""Take apart the objects that calls of the typing module make: type variables, new types, aliases.

Python pickles them by their name in a module. A worker cannot find a name of the notebook's `__main__`, so
it makes them again from the arguments that made them.
"""

import typing
from typing import Any

from flyte_nb.worker import rebuild

_VARIABLES = ("TypeVar", "ParamSpec", "TypeVarTuple")
_NAMES = (*_VARIABLES, "NewType", "TypeAliasType")
_ARGUMENTS = ("bound", "constraints", "covariant", "contravariant", "infer_variance", "default")

KINDS: "tuple[type, ...]" = tuple(getattr(typing, name) for name in _NAMES if hasattr(typing, name))
"""Their types, as far as this Python has them. Every Python has `TypeVar` and `NewType`."""


def content(value: Any) -> "list[Any]":
    """Return the kind, the name and the arguments that made `value`, as plain values and types."""
    kind = type(value).__name__
    if kind == "NewType":
        return [kind, value.__name__, value.__supertype__]
    if kind == "TypeAliasType":
        return [kind, value.__name__, value.__value__, list(value.__type_params__)]
    arguments = {}
    for name in _ARGUMENTS:
        found = getattr(value, f"__{name}__", None)
        if found and found is not getattr(typing, "NoDefault", None):
            arguments[name] = found
    return [kind, value.__name__, arguments]


def reduction(value: Any) -> "tuple[Any, ...]":
    """Return the pickle reduction that makes `value` again in the worker."""
    return rebuild.from_typing, (*content(value), str(value.__module__))
