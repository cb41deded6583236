"""Change the private copy of cloudpickle in two points where the installed one does harm.

- The sentinels of `dataclasses` keep their identity. A class whose fields have copies of `MISSING` as
  defaults looks as if every field had a default.
- A class that exists already is not filled again. When a notebook reads back an instance of its own class,
  cloudpickle would replace the class's methods by copies with copied globals, and they would no longer see
  the notebook's variables.
"""

import dataclasses
import weakref
from typing import Any

_SENTINELS = ("MISSING", "KW_ONLY", "_HAS_DEFAULT_FACTORY")


def adapt(cloudpickle: Any) -> None:
    """Change the module `cloudpickle`, the private copy, in place."""
    filled: weakref.WeakSet[Any] = weakref.WeakSet()
    fill = cloudpickle._class_setstate

    def _class_setstate(made: Any, state: Any) -> Any:
        if made in filled:
            return made
        filled.add(made)
        return fill(made, state)

    # Pickles refer to the function by its module and name.
    _class_setstate.__module__ = cloudpickle.__name__
    _class_setstate.__qualname__ = "_class_setstate"
    cloudpickle._class_setstate = _class_setstate
    cloudpickle._FLYTE_NB_FILLED = filled
    for name in _SENTINELS:
        sentinel = getattr(dataclasses, name, None)
        if sentinel is not None:
            cloudpickle.Pickler._dispatch_table[type(sentinel)] = _Sentinel(name)


class _Sentinel:
    """Reduces a sentinel of `dataclasses` to its name in that module."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, _: object) -> "tuple[object, ...]":
        return getattr, (dataclasses, self._name)
