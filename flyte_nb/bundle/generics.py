"""What the typing module makes by a call: type variables, new types, aliases.

They are pickled by their name in a module. In a notebook that is no name which a worker could find, so
they are made anew there from what they were made of.
"""

import typing
from typing import Any

from flyte_nb.worker import rebuild

_VARIABLES = ("TypeVar", "ParamSpec", "TypeVarTuple")
_NAMES = (*_VARIABLES, "NewType", "TypeAliasType")
_SAID = ("bound", "constraints", "covariant", "contravariant", "infer_variance", "default")

KINDS: "tuple[type, ...]" = tuple(getattr(typing, name) for name in _NAMES if hasattr(typing, name))
"""As far as this Python has them. `TypeVar` and `NewType` are everywhere."""


def content(value: Any) -> "list[Any]":
    """What makes it itself, as plain values and types."""
    kind = type(value).__name__
    if kind == "NewType":
        return [kind, value.__name__, value.__supertype__]
    if kind == "TypeAliasType":
        return [kind, value.__name__, value.__value__, list(value.__type_params__)]
    said = {}
    for name in _SAID:
        found = getattr(value, f"__{name}__", None)
        if found and found is not getattr(typing, "NoDefault", None):
            said[name] = found
    return [kind, value.__name__, said]


def reduction(value: Any) -> "tuple[Any, ...]":
    """How it is made where it is unpickled."""
    return rebuild.from_typing, (*content(value), str(value.__module__))
